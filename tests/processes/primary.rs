//! SIGKILL over a primary: appends, acknowledgements, commit waits and prunes
//! beside each other, killed at random moments, again and again over one spool.

use super::child::{Part, argument, database, say};
use super::common::PATIENCE;
use super::kill::{roll, seed};
use epochwal::ErrorKind;
use epochwal::coordinator::SyncStyle;
use epochwal::primary::{Ack, AckPolicy, Level, Outcome, Primary, PrimaryOptions, Quorum};
use epochwal::spool::{Record, Spool, SpoolOptions, SpoolReader};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

const LIVES: u64 = 20;
const REPLICAS: [&str; 2] = ["a", "b"];

fn open(db: &Path, style: SyncStyle) -> Primary {
    let spool = SpoolOptions {
        sync_style: style,
        // Rolls and reuse within a life.
        segment_size: 64 << 10,
        ..SpoolOptions::default()
    };
    let slots = PrimaryOptions {
        save_interval: Duration::from_millis(1),
        ..PrimaryOptions::default()
    };
    Primary::open(db, &spool, &slots).unwrap()
}

fn payload(lsn: u64) -> Vec<u8> {
    let len = lsn % 700;
    (0..len).map(|i| (lsn * 31 + i) as u8).collect()
}

/// The part that is killed. What may happen is told before, and what has
/// happened after.
pub fn writer() {
    let (style, reached) = (argument() % 2, argument() / 2);
    let style = [SyncStyle::Probe, SyncStyle::Buffered][style as usize];
    say("opening");
    let primary = open(&database(), style);
    refuses_to_cut_below(primary.spool().unwrap(), reached);
    say_what_it_has(&primary);
    let next = Mutex::new(primary.spool().unwrap().bounds().current_lsn + 1);
    let sessions = REPLICAS.map(|id| {
        let session = primary.register(id, None).unwrap();
        say(&format!("registered {id} {}", session.restart_lsn));
        (id, session)
    });
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| append_for_ever(primary.spool().unwrap(), &next));
        }
        for (id, session) in sessions {
            let primary = &primary;
            scope.spawn(move || {
                acknowledge_for_ever(primary, (id, session.generation), session.restart_lsn)
            });
        }
        scope.spawn(|| {
            loop {
                say(&format!("pruned {}", primary.prune(None).unwrap()));
                wait_for_one_replica(&primary);
            }
        });
    });
}

/// What a commit wait called reached, in any life, is not cut off.
fn refuses_to_cut_below(spool: &Spool, reached: u64) {
    if reached > spool.bounds().pruned_through {
        let error = spool.truncate_after(reached - 1, 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Order, "{error}");
    }
}

fn say_what_it_has(primary: &Primary) {
    for slot in primary.slots() {
        let (slot, valid) = (&slot.slot, slot.slot.is_valid());
        say(&format!("slot {} {} {valid}", slot.id, slot.restart_lsn));
    }
    let bounds = primary.spool().unwrap().bounds();
    let (current, pruned) = (bounds.current_lsn, bounds.pruned_through);
    say(&format!("opened {current} {pruned}"));
}

fn append_for_ever(spool: &Spool, next: &Mutex<u64>) {
    for count in (1..5).cycle() {
        let mut next = next.lock().unwrap();
        let payloads: Vec<_> = (*next..*next + count).map(|l| (l, payload(l))).collect();
        let records = payloads.iter().map(|(lsn, payload)| Record {
            term: 1,
            lsn: *lsn,
            timestamp_ms: *lsn,
            payload,
        });
        let records: Vec<_> = records.collect();
        let ticket = spool.submit(&records).unwrap();
        *next += count;
        drop(next);
        spool.wait(ticket, PATIENCE).unwrap();
        say(&format!("appended {}", ticket.last_lsn));
    }
}

fn acknowledge_for_ever(primary: &Primary, (id, generation): (&str, u64), from: u64) {
    let mut at = from;
    for n in 1.. {
        let spool = primary.spool().unwrap();
        spool.wait_after(at, PATIENCE).unwrap();
        at += (spool.bounds().current_lsn - at).div_ceil(2);
        say(&format!("acknowledging {id} {at}"));
        let ack = Ack {
            durable: at,
            applied: at,
            ..Ack::default()
        };
        primary.ack(id, generation, &ack).unwrap();
        if n % 5 == 0 {
            primary.save().unwrap();
            say(&format!("saved {id} {at}"));
        }
    }
}

fn wait_for_one_replica(primary: &Primary) {
    let policy = AckPolicy::new(Quorum::Replicas(1), Level::Durable);
    let lsn = primary.spool().unwrap().bounds().current_lsn;
    let reached = primary.wait_acks(lsn, &policy, PATIENCE).unwrap();
    assert_eq!(reached.outcome, Outcome::Reached);
    say(&format!("reached {lsn}"));
}

/// What the primaries told of over all their lives.
#[derive(Default)]
struct Told {
    appended: u64,
    /// Restart LSNs: at least what was saved, at most what was said.
    saved: BTreeMap<String, u64>,
    said: BTreeMap<String, u64>,
    pruned: u64,
    reached: u64,
    prunes: u64,
    /// What this life's open has found of the slots so far.
    found: BTreeMap<String, u64>,
    current: u64,
}

fn rise(map: &mut BTreeMap<String, u64>, id: &str, lsn: u64) {
    let at = map.entry(id.to_owned()).or_default();
    *at = lsn.max(*at);
}

impl Told {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        let number = |i: usize| words[i].parse::<u64>().unwrap();
        match words[0] {
            "opening" => self.found.clear(),
            "slot" => {
                assert_eq!(words[3], "true", "{line}");
                let highest = self.said.get(words[1]).copied();
                // One that was made and not told of may be there, at the end then.
                let highest = highest.unwrap_or(self.current);
                let least = self.saved.get(words[1]).copied().unwrap_or(0);
                assert!(number(2) >= least, "{line}: {least} was saved");
                assert!(number(2) <= highest, "{line}: {highest} was said");
                self.found.insert(words[1].to_owned(), number(2));
            }
            "opened" => {
                let (current, pruned) = (number(1), number(2));
                assert!(current >= self.appended, "{line}: {}", self.appended);
                assert!(self.saved.keys().all(|id| self.found.contains_key(id)));
                for (id, restart) in &self.found {
                    assert!(*restart >= pruned, "{line}: {id} needs from {restart} on");
                }
                assert!(pruned >= self.pruned, "{line}: {}", self.pruned);
                self.current = current;
            }
            "registered" => {
                let known = self.found.get(words[1]);
                assert!(known.is_none_or(|at| *at == number(2)), "{line}");
                rise(&mut self.saved, words[1], number(2));
                rise(&mut self.said, words[1], number(2));
            }
            "appended" => self.appended = self.appended.max(number(1)),
            "acknowledging" => rise(&mut self.said, words[1], number(2)),
            "saved" => rise(&mut self.saved, words[1], number(2)),
            "reached" => self.reached = self.reached.max(number(1)),
            "pruned" => {
                let needed = self.said.values().min().copied().unwrap_or(0);
                assert!(number(1) <= needed, "{line}: {needed} is needed");
                self.prunes += u64::from(number(1) > self.pruned);
                self.pruned = self.pruned.max(number(1));
            }
            _ => panic!("{line}"),
        }
    }

    /// All that was acknowledged and not pruned is there, in one dense row.
    fn check(&mut self, db: &Path) {
        let mut reader = SpoolReader::open(db, None).unwrap();
        let pruned = reader.report().pruned_through;
        let mut last = pruned;
        while let Some(record) = reader.next_record().unwrap() {
            assert_eq!(record.lsn, last + 1, "a gap behind {last}");
            assert_eq!(record.payload, payload(record.lsn));
            last = record.lsn;
        }
        assert!(last >= self.appended, "{last}, and {} told", self.appended);
        assert!(pruned >= self.pruned, "{pruned}, and {} told", self.pruned);
        self.current = last;
    }
}

#[test]
fn a_killed_primary_keeps_what_it_told_and_what_its_replicas_need() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("test.db");
    let mut dice = seed();
    println!("EPOCHWAL_KILL_SEED={dice}");
    let mut told = Told::default();
    for _ in 0..LIVES {
        let mut writer = Part::start("primary", &db, told.reached * 2 + roll(&mut dice) % 2);
        // One in four dies while it opens, or just after.
        let lines = match roll(&mut dice) % 4 {
            0 => 1 + roll(&mut dice) % 4,
            _ => 1 + roll(&mut dice) % 300,
        };
        for _ in 0..lines {
            told.hear(&writer.next().expect("it lives until it is killed"));
        }
        writer.kill();
        while let Some(line) = writer.next() {
            told.hear(&line);
        }
        told.check(&db);
    }
    let Told { appended, .. } = told;
    assert!(appended > 10 * LIVES && told.prunes > LIVES, "{appended}");
    assert!(told.reached > 0 && told.saved.values().all(|at| *at > 0));
    // A session that ends well saves all that its replicas said.
    let primary = open(&db, SyncStyle::Probe);
    refuses_to_cut_below(primary.spool().unwrap(), told.reached);
    primary.close().unwrap();
    told.check(&db);
    let alone = Spool::open(&db, &SpoolOptions::default()).unwrap();
    refuses_to_cut_below(&alone, told.reached);
}
