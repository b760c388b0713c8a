//! Several damages at once, at random: what one leaves standing, another may
//! take. Whatever it is, all that was acknowledged is there or its absence is
//! an error.

use super::common::{Got, PATIENCE, Place, commit};
use super::image::{BLOCK, Ending, Files, Log, disk_of, options, read, tiny, tiny_reused};
use super::judge::{Ruling, Telling, rule};
use epochwal::recovery::RecoveryOptions;
use epochwal::storage::sim::SimRng;
use epochwal::{ErrorKind, Options};

const ROUNDS: u64 = 2500;

fn knob(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |t| t.parse().expect("a number"))
}

fn pick<'a>(rng: &mut SimRng, files: &'a Files) -> Option<&'a String> {
    let wanted = |n: &&String| !n.contains("-wal-spare-");
    let count = files.keys().filter(wanted).count() as u64;
    let mut names = files.keys().filter(wanted);
    names.nth(rng.below(count.max(1)) as usize)
}

/// Changes one thing; says what.
fn damage(rng: &mut SimRng, files: &mut Files) -> String {
    let (Some(name), Some(other)) = (pick(rng, files).cloned(), pick(rng, files).cloned()) else {
        return "nothing is left".into();
    };
    let donor = files[&other].clone();
    let kind = rng.below(10);
    if kind == 0 && rng.chance(1, 4) {
        files.remove(&name);
        return format!("{name} is gone");
    }
    let bytes = files.get_mut(&name).unwrap();
    let len = bytes.len().max(1) as u64;
    let (at, from) = (
        rng.below(len) as usize,
        rng.below(donor.len().max(1) as u64) as usize,
    );
    let (block, from) = (at / BLOCK * BLOCK, from / BLOCK * BLOCK);
    let end = (block + BLOCK).min(bytes.len());
    let from = &donor[from.min(donor.len())..(from + BLOCK).min(donor.len())];
    match kind {
        // The frames of a header or trailer are hit more often than zeros.
        0..4 if !bytes.is_empty() => {
            let at = match rng.below(3) {
                0 => at,
                1 => (block + at % 256).min(bytes.len() - 1),
                _ => (end - 1 - at % 112).max(block),
            };
            bytes[at] ^= 1 << rng.below(8);
            format!("a bit of byte {at} of {name}")
        }
        4 | 5 => {
            bytes[block..end].fill(if kind == 4 { 0 } else { 0xff });
            format!("block {block} of {name} overwritten")
        }
        6 | 7 => {
            let count = from.len().min(end - block);
            bytes[block..block + count].copy_from_slice(&from[..count]);
            format!("block {block} of {name} from {other}")
        }
        8 => {
            bytes.truncate(if rng.chance(1, 2) { block } else { at });
            format!("{name} cut to {}", bytes.len())
        }
        _ => {
            let own = std::mem::replace(bytes, donor);
            files.insert(other.clone(), own);
            format!("{name} and {other} swapped")
        }
    }
}

/// All is there but for `uncovered` of the last epochs, for which nothing
/// vouches; or it is an error, and a salvage keeps at least what a reader gives.
fn check(files: &Files, log: &Log, uncovered: usize) {
    let (ruling, got) = rule(files, log);
    match ruling {
        Ruling::Clean | Ruling::Torn => {
            let lost = log.truth.len() - got.len();
            assert!(lost <= uncovered, "{ruling:?}: {lost} silently absent");
        }
        Ruling::Corrupt => salvage(files, log, &got),
        Ruling::Newer => {}
    }
}

fn salvage(files: &Files, log: &Log, prefix: &[Got]) {
    let disk = disk_of(files);
    let options = Options {
        salvage: true,
        ..options()
    };
    let wal = match Place::sim(&disk).open(&options) {
        Err(error) if error.kind() == ErrorKind::TooLarge => return,
        opened => opened.expect("a salvaging open"),
    };
    let epoch = commit(&wal, 5000).unwrap().epoch;
    assert!(epoch > log.truth.last().unwrap().epoch, "{epoch} again");
    wal.close(PATIENCE).unwrap();
    let (got, end) = read(&disk.crash_nothing(), &RecoveryOptions::default());
    end.expect("a salvaged log is good");
    let (new, old) = got.split_last().expect("the new batch");
    assert_eq!(new.epoch, epoch);
    assert!(old.starts_with(prefix), "less than a reader gave");
    assert!(old.iter().all(|b| log.truth.contains(b)), "a wrong record");
}

fn at_random(log: &Log, uncovered: usize) {
    let seed = knob("EPOCHWAL_DAMAGE_SEED", 1);
    for round in seed..seed + knob("EPOCHWAL_DAMAGE_ROUNDS", ROUNDS) {
        let mut rng = SimRng::new(round);
        let mut files = log.files.clone();
        let mut done = Vec::new();
        for _ in 0..2 + rng.below(2) {
            done.push(damage(&mut rng, &mut files));
        }
        let _telling = Telling(|| format!("EPOCHWAL_DAMAGE_SEED={round}: {done:?}"));
        check(&files, log, uncovered);
    }
}

#[test]
fn two_or_three_damages_to_a_closed_log() {
    at_random(&tiny(Ending::Closed), 0);
}

#[test]
fn two_or_three_damages_to_a_killed_log() {
    at_random(&tiny(Ending::Killed), 1);
}

#[test]
fn two_or_three_damages_to_a_reused_log() {
    at_random(&tiny_reused(), 0);
}
