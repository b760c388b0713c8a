//! A crash after every operation of a workload that appends, rolls, prunes and
//! cuts: recovery gives what was acknowledged and nothing that was refused.

use super::common::{PATIENCE, Place};
use super::tools::{append_all, checked, open, small};
use epochwal::coordinator::SyncStyle;
use epochwal::spool::{ReadLimit, Spool, SpoolOptions};
use epochwal::storage::sim::SimStorage;
use std::sync::{Arc, Mutex};

/// What the workload knows to be so at a moment.
#[derive(Clone, Default)]
struct Known {
    /// Acknowledged records (term, LSN), not cut off.
    acked: Vec<(u64, u64)>,
    /// Taken and not acknowledged yet.
    staged: Vec<(u64, u64)>,
    /// Pruned for certain, and pruned perhaps.
    pruned: u64,
    pruning: u64,
    /// A cut that may have happened: behind this LSN, under this term.
    cutting: Option<(u64, u64)>,
}

fn options(style: SyncStyle) -> SpoolOptions {
    SpoolOptions {
        sync_style: style,
        segment_size: 16 << 10,
        knobs: epochwal::coordinator::Knobs {
            spares_in_line: true,
            ..Default::default()
        },
        ..small()
    }
}

/// Runs the workload; each step is announced before it begins and after it.
fn workload(place: &Place, options: &SpoolOptions, known: &Mutex<Known>) {
    let add = |spool: &Spool, term: u64, lsns: &[u64]| {
        let records: Vec<_> = lsns.iter().map(|l| (term, *l)).collect();
        known.lock().unwrap().staged = records.clone();
        append_all(spool, term, lsns).unwrap();
        let mut known = known.lock().unwrap();
        known.staged.clear();
        known.acked.extend(records);
    };
    let spool = open(place, options).unwrap();
    for first in (1..=120).step_by(4) {
        add(&spool, 1, &[first, first + 1, first + 3]);
    }
    let prune = |spool: &Spool, lsn: u64| {
        known.lock().unwrap().pruning = lsn;
        let pruned = spool.prune_through(lsn).unwrap();
        known.lock().unwrap().pruned = pruned;
    };
    prune(&spool, 90);
    known.lock().unwrap().cutting = Some((105, 2));
    spool.truncate_after(105, 2).unwrap();
    {
        let mut known = known.lock().unwrap();
        known.cutting = None;
        known.acked.retain(|r| r.1 <= 105);
    }
    for lsn in 106..120 {
        add(&spool, 2, &[lsn]);
    }
    spool.close(PATIENCE).unwrap();
    let spool = open(place, options).unwrap();
    for lsn in 120..130 {
        add(&spool, 2, &[lsn * 2]);
    }
    prune(&spool, 1000);
    add(&spool, 3, &[2000]);
    spool.close(PATIENCE).unwrap();
}

fn read(spool: &Spool) -> Vec<(u64, u64)> {
    let limit = ReadLimit {
        records: usize::MAX,
        bytes: usize::MAX,
    };
    let records = spool
        .read_since(spool.bounds().pruned_through, limit)
        .unwrap();
    records.iter().map(|r| (r.term, checked(r))).collect()
}

/// Opens what a crash left, and compares with what was known.
fn check(disk: &SimStorage, known: &Known, options: &SpoolOptions, what: &str) {
    let place = Place::sim(disk);
    let spool = match open(&place, options) {
        Ok(spool) => spool,
        Err(error) => panic!("{what}: {error}"),
    };
    let bounds = spool.bounds();
    assert!(
        (known.pruned..=known.pruning).contains(&bounds.pruned_through),
        "{what}: pruned through {}, which is not {} to {}",
        bounds.pruned_through,
        known.pruned,
        known.pruning
    );
    let above = |records: &[(u64, u64)]| -> Vec<(u64, u64)> {
        let above = records.iter().filter(|r| r.1 > bounds.pruned_through);
        above.copied().collect()
    };
    let got = read(&spool);
    let whole = above(&known.acked);
    let with_staged = above(&[known.acked.clone(), known.staged.clone()].concat());
    let cut = known.cutting.map(|(lsn, _)| {
        let kept: Vec<_> = known.acked.iter().copied().filter(|r| r.1 <= lsn).collect();
        above(&kept)
    });
    assert!(
        got == whole || got == with_staged || Some(&got) == cut.as_ref(),
        "{what}: got {got:?}, acknowledged {whole:?}, staged {:?}",
        known.staged
    );
    let highest = got.last().map_or(bounds.pruned_through, |r| r.1);
    assert!(bounds.current_lsn >= highest);
    // And it goes on.
    let next = bounds.current_lsn + 1;
    append_all(&spool, spool.term().max(1), &[next]).unwrap();
    assert_eq!(read(&spool).last().map(|r| r.1), Some(next), "{what}");
}

#[test]
fn a_crash_after_any_operation_loses_nothing_acknowledged() {
    let most = std::env::var("EPOCHWAL_CRASH_STATES").ok();
    let each: u64 = most
        .and_then(|m| m.parse::<u64>().ok())
        .map_or(4, |m| (m / 10_000).max(4));
    let mut states = 0;
    for style in [SyncStyle::Direct, SyncStyle::Buffered] {
        let options = options(style);
        let disk = SimStorage::new();
        let place = Place::sim(&disk);
        let known = Arc::new(Mutex::new(Known::default()));
        let moments: Arc<Mutex<Vec<(u64, SimStorage, Known)>>> = Arc::default();
        let (keep, see) = (moments.clone(), known.clone());
        disk.on_operation(move |snapshot, at| {
            let known = see.lock().unwrap().clone();
            keep.lock().unwrap().push((at, snapshot, known));
        });
        workload(&place, &options, &known);
        disk.stop_observing();
        for (at, snapshot, known) in moments.lock().unwrap().drain(..) {
            let mut crashed = vec![
                ("nothing", snapshot.crash_nothing()),
                ("everything", snapshot.crash_everything()),
            ];
            for seed in 0..each {
                crashed.push(("a part", snapshot.crash_random(at * 1000 + seed)));
            }
            for (kept, disk) in crashed {
                states += 1;
                let what = format!("{style:?}, operation {at}, {kept} kept");
                check(&disk, &known, &options, &what);
            }
        }
    }
    assert!(states > 2000, "{states} states");
}
