//! SIGKILL at random moments, again and again over one log.

use super::child::{Part, argument, database, say};
use super::common::{PATIENCE, frames_of, pages_of};
use epochwal::coordinator::{Sequencing, SyncStyle};
use epochwal::recovery::RecoveryOptions;
use epochwal::{Batch, Coordinator, Options, Recovery, Ticket};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const LIVES: u64 = 30;
/// A life's transactions begin here times its number.
const LIFE: u64 = 1 << 32;
/// Each so many commits of a thread it checkpoints.
const CHECKPOINT: u64 = 25;

fn options(style: SyncStyle) -> Options {
    Options {
        sequencing: Sequencing::Coordinator,
        sync_style: style,
        // Rolls, spares and reuse within a life.
        segment_size: 64 << 10,
        slot_count: 4,
        ..Options::default()
    }
}

pub fn commit(wal: &Coordinator, txn: u64) -> epochwal::Result<Ticket> {
    let pages = pages_of(txn);
    wal.commit(
        &Batch {
            txn_id: txn,
            txn_epoch: 0,
            commit_seq: 0,
            frames: &frames_of(&pages, txn),
            metadata: &[],
        },
        PATIENCE,
    )
}

/// The part that is killed: commits and checkpoints, and tells of it.
pub fn writer() {
    let dice = argument();
    let style = [SyncStyle::Probe, SyncStyle::Buffered][(dice % 2) as usize];
    let threads = 1 + dice / 2 % 4;
    say("opening");
    let wal = Coordinator::open(&database(), &options(style)).unwrap();
    say(&format!("opened {}", wal.current_epoch().unwrap()));
    let next = AtomicU64::new(dice / 8 * LIFE + 1);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for n in 1.. {
                    let txn = next.fetch_add(1, Ordering::Relaxed);
                    let ticket = commit(&wal, txn).unwrap();
                    let (seq, epoch) = (ticket.commit_seq, ticket.epoch);
                    say(&format!("committed {txn} {seq} {epoch}"));
                    if n % CHECKPOINT == 0 {
                        say(&format!("checkpointing {epoch}"));
                        wal.checkpoint(epoch).unwrap();
                        say(&format!("checkpointed {epoch}"));
                    }
                }
            });
        }
    });
}

/// What the writers told of over all their lives.
#[derive(Default)]
struct Told {
    /// Sequence and epoch by transaction.
    commits: BTreeMap<u64, (u64, u64)>,
    /// All at or below it may be gone, and below the other it is.
    floor_at_most: u64,
    floor: u64,
    opened: Option<u64>,
}

impl Told {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        let number = |i: usize| words[i].parse::<u64>().unwrap();
        match words[0] {
            "opening" => self.opened = None,
            "opened" => self.opened = Some(number(1)),
            "committed" => {
                let twice = self.commits.insert(number(1), (number(2), number(3)));
                assert_eq!(twice, None, "{line}");
            }
            "checkpointing" => self.floor_at_most = self.floor_at_most.max(number(1)),
            "checkpointed" => self.floor = self.floor.max(number(1)),
            _ => panic!("{line}"),
        }
    }

    /// The log holds what was told of, whole and once, in one dense row;
    /// gives the last epoch.
    fn check(&self, db: &Path) -> u64 {
        let mut stream = Recovery::open(db, &RecoveryOptions::default()).unwrap();
        let mut found = BTreeMap::new();
        let mut last: Option<(u64, u64)> = None;
        while let Some(batch) = stream.next_batch().unwrap() {
            let (txn, seq, epoch) = (batch.txn_id, batch.commit_seq, batch.epoch);
            let pages = pages_of(txn);
            let whole = frames_of(&pages, txn);
            assert_eq!(&batch.frames[..], &whole[..], "transaction {txn}");
            assert!(epoch > self.floor, "epoch {epoch} is checkpointed");
            if let Some((last_seq, last_epoch)) = last {
                assert_eq!(seq, last_seq + 1, "sequences are dense");
                assert!(epoch >= last_epoch);
            }
            last = Some((seq, epoch));
            assert_eq!(found.insert(txn, (seq, epoch)), None, "{txn} came twice");
        }
        for (txn, told) in &self.commits {
            match found.get(txn) {
                Some(got) => assert_eq!(got, told, "transaction {txn}"),
                None => assert!(told.1 <= self.floor_at_most, "transaction {txn} is lost"),
            }
        }
        // Nothing between the floor and the first that is there.
        let missed = |&&(seq, _): &&(u64, u64)| found.values().all(|got| got.0 > seq);
        let below = self
            .commits
            .values()
            .filter(missed)
            .map(|told| told.0)
            .max();
        if let (Some(below), Some(first)) = (below, found.values().map(|got| got.0).min()) {
            assert!(below < first);
        }
        last.map_or(0, |(_, epoch)| epoch)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub fn roll(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub fn seed() -> u64 {
    match std::env::var("EPOCHWAL_KILL_SEED") {
        Ok(given) => given.parse().unwrap(),
        Err(_) => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            now.unwrap().as_nanos() as u64
        }
    }
}

#[test]
fn a_kill_loses_nothing_that_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("test.db");
    let mut dice = seed();
    // Repeats the moments as far as the scheduler lets it.
    println!("EPOCHWAL_KILL_SEED={dice}");
    let mut told = Told::default();
    let mut last_epoch = 0;
    for life in 0..LIVES {
        let style_and_threads = roll(&mut dice) % 8;
        let mut writer = Part::start("writer", &db, life * 8 + style_and_threads);
        // One in four dies while it opens, or just after.
        let lines = match roll(&mut dice) % 4 {
            0 => 1,
            _ => 1 + roll(&mut dice) % 150,
        };
        for _ in 0..lines {
            told.hear(&writer.next().expect("it lives until it is killed"));
        }
        writer.kill();
        // What it told before the signal hit counts too.
        while let Some(line) = writer.next() {
            told.hear(&line);
        }
        if let Some(epoch) = told.opened {
            assert!(epoch > last_epoch, "epoch {epoch} is used again");
        }
        last_epoch = told.check(&db).max(last_epoch);
    }
    assert!(told.commits.len() > LIVES as usize);
    // A clean session confirms what the last kill left, and goes on behind it.
    let wal = Coordinator::open(&db, &options(SyncStyle::Probe)).unwrap();
    let ticket = commit(&wal, LIVES * LIFE).unwrap();
    assert!(ticket.epoch > last_epoch);
    wal.close(PATIENCE).unwrap();
    told.commits
        .insert(LIVES * LIFE, (ticket.commit_seq, ticket.epoch));
    told.check(&db);
}
