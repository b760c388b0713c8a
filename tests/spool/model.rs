//! Random use beside a model that is a list: of a spool on a disk, and of one
//! in memory, which may forget its oldest runs by itself.

use super::common::{PATIENCE, Place};
use super::tools::{append_all, checked, open, payload, small};
use epochwal::ErrorKind;
use epochwal::coordinator::Knobs;
use epochwal::spool::{Cursor, ReadLimit, Spool, SpoolOptions, SpoolRecord};
use epochwal::storage::sim::SimStorage;
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Op {
    /// So many records, the last of them behind a gap, and terms to skip.
    Append(usize, u64, u64),
    /// How far behind the end, as in all that follow.
    Prune(i64),
    Cut(u64, u64),
    Read(i64, ReadLimit),
    Follow(i64),
    Next(ReadLimit),
    /// Closes and opens it again; whether as a power failure leaves it.
    Reopen(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let limit = || {
        let bytes = prop_oneof![0..200_usize, 0..20_000_usize, Just(usize::MAX)];
        let records = prop_oneof![1..10_usize, 1..300_usize];
        (records, bytes).prop_map(|(records, bytes)| ReadLimit { records, bytes })
    };
    let behind = || prop_oneof![-3..40_i64, -3..500_i64];
    let count = prop_oneof![4 => 1..6_usize, 1 => 60..140_usize];
    let bump = || prop_oneof![8 => Just(0), 1 => 1..3_u64];
    prop_oneof![
        8 => (count, 0..3_u64, bump()).prop_map(|(n, gap, bump)| Op::Append(n, gap, bump)),
        2 => behind().prop_map(Op::Prune),
        1 => (0..30_u64, 1..3_u64).prop_map(|(back, bump)| Op::Cut(back, bump)),
        6 => (behind(), limit()).prop_map(|(back, limit)| Op::Read(back, limit)),
        2 => behind().prop_map(Op::Follow),
        4 => limit().prop_map(Op::Next),
        1 => any::<bool>().prop_map(Op::Reopen),
    ]
}

/// What a spool has been given: all of it that was not cut off.
#[derive(Default)]
struct Model {
    /// Term and LSN, ascending.
    ever: Vec<(u64, u64)>,
    /// Where each run ends in it.
    runs: Vec<usize>,
    pruned: u64,
    current: u64,
    term: u64,
}

impl Model {
    fn above(&self, lsn: u64) -> &[(u64, u64)] {
        &self.ever[self.ever.partition_point(|r| r.1 <= lsn)..]
    }

    /// What a read within a limit gives of records in their order.
    fn page(all: &[(u64, u64)], limit: ReadLimit) -> &[(u64, u64)] {
        let mut bytes = 0;
        let fits = |(at, (_, lsn)): (usize, &(u64, u64))| {
            bytes += payload(*lsn).len();
            at == 0 || (at < limit.records && bytes <= limit.bytes)
        };
        let count = all.iter().enumerate().map(fits).take_while(|f| *f).count();
        &all[..count]
    }

    fn behind(&self, back: i64) -> u64 {
        self.current.saturating_add_signed(-back)
    }
}

fn names(records: &[SpoolRecord]) -> Vec<(u64, u64)> {
    records.iter().map(|r| (r.term, checked(r))).collect()
}

struct Run<'a> {
    model: Model,
    options: &'a SpoolOptions,
}

impl Run<'_> {
    fn append(&mut self, spool: &Spool, (count, gap, bump): (usize, u64, u64)) {
        let model = &mut self.model;
        let term = model.term.max(1) + bump;
        let mut lsns: Vec<u64> = (1..=count as u64).map(|n| model.current + n).collect();
        *lsns.last_mut().unwrap() += gap;
        append_all(spool, term, &lsns).unwrap();
        model.ever.extend(lsns.iter().map(|lsn| (term, *lsn)));
        model.runs.push(model.ever.len());
        (model.term, model.current) = (term, model.ever.last().unwrap().1);
        if !spool.is_durable() {
            self.forgets(spool);
        }
    }

    /// In memory the oldest runs go, and no more of them than must.
    fn forgets(&mut self, spool: &Spool) {
        let (model, pruned) = (&mut self.model, spool.bounds().pruned_through);
        if pruned > model.pruned {
            let ends = model.runs.iter().map(|end| model.ever[*end - 1].1);
            let end = ends.clone().position(|lsn| lsn == pruned);
            let end = end.expect("a run goes whole");
            // With the run that went last it would have been too much.
            let start = end.checked_sub(1).map_or(0, |before| model.runs[before]);
            let kept = &model.ever[start..];
            let cost = |(_, lsn): &(u64, u64)| payload(*lsn).len() + 64;
            let bytes: usize = kept.iter().map(cost).sum();
            let (most, most_bytes) = (self.options.ring_records, self.options.ring_bytes);
            assert!(kept.len() as u64 > most || bytes as u64 > most_bytes);
            model.pruned = pruned;
        }
        let held = model.above(model.pruned);
        let bytes: usize = held.iter().map(|r| payload(r.1).len()).sum();
        assert!(held.len() as u64 <= self.options.ring_records);
        assert!(bytes as u64 <= self.options.ring_bytes);
    }

    fn prune(&mut self, spool: &Spool, back: i64) {
        let model = &mut self.model;
        model.pruned = model.pruned.max(model.behind(back).min(model.current));
        assert_eq!(
            spool.prune_through(model.behind(back)).unwrap(),
            model.pruned
        );
    }

    fn cut(&mut self, spool: &Spool, (back, bump): (u64, u64)) {
        let model = &mut self.model;
        let (lsn, term) = (model.current.saturating_sub(back), model.term + bump);
        match spool.truncate_after(lsn, term) {
            Err(e) if !spool.is_durable() => assert_eq!(e.kind(), ErrorKind::Unsupported),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::WalRemoved, "{e}");
                assert!(lsn < model.pruned);
            }
            Ok(aside) => {
                assert_eq!(aside.is_some(), !model.above(lsn).is_empty());
                assert!(lsn >= model.pruned);
                model.ever.retain(|r| r.1 <= lsn);
                (model.current, model.term) = (lsn, term);
            }
        }
    }

    fn read(&self, spool: &Spool, back: i64, limit: ReadLimit) {
        let (model, lsn) = (&self.model, self.model.behind(back));
        match spool.read_since(lsn, limit) {
            Ok(records) => {
                assert!((model.pruned..=model.current).contains(&lsn));
                assert_eq!(names(&records), Model::page(model.above(lsn), limit));
            }
            Err(e) if e.kind() == ErrorKind::WalRemoved => {
                assert!(lsn < model.pruned, "{e}");
                let first = model.above(model.pruned).first();
                assert_eq!(e.lsn(), Some(first.map_or(model.pruned + 1, |r| r.1)));
            }
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Ahead, "{e}");
                assert!(lsn > model.current && e.lsn() == Some(model.current));
            }
        }
    }

    /// A cursor gives what comes next, also of its segment what is pruned.
    fn next(&self, cursor: &mut Cursor<'_>, limit: ReadLimit) {
        let (model, lsn) = (&self.model, cursor.lsn());
        let next = model.above(lsn);
        match cursor.next_batch(limit, Some(Duration::ZERO)) {
            Ok(records) => {
                let got = names(&records);
                assert!(
                    !got.is_empty() && next.starts_with(&got),
                    "{got:?} of {next:?}"
                );
                assert!(Model::page(next, limit).starts_with(&got));
                assert_eq!(cursor.lsn(), got.last().unwrap().1);
            }
            Err(e) if e.kind() == ErrorKind::Timeout => assert_eq!(next, []),
            Err(e) if e.kind() == ErrorKind::Ahead => assert!(lsn > model.current),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::WalRemoved, "{e}");
                assert!(lsn < model.pruned);
            }
        }
    }

    fn check(&self, spool: &Spool) {
        let (model, bounds) = (&self.model, spool.bounds());
        let first = model.above(model.pruned).first().map_or(0, |r| r.1);
        let found = (bounds.oldest_lsn, bounds.current_lsn, bounds.pruned_through);
        assert_eq!(found, (first, model.current, model.pruned));
        assert_eq!(spool.term(), model.term);
        let half = model.pruned + (model.current - model.pruned) / 2;
        let bytes: usize = model.above(half).iter().map(|r| payload(r.1).len()).sum();
        assert!(spool.bytes_above(half) >= bytes as u64);
        assert_eq!(spool.bytes_above(model.current), 0);
    }

    /// Runs operations until it is to be opened again; gives what is left.
    fn session<'o>(&mut self, spool: &Spool, mut ops: &'o [Op]) -> &'o [Op] {
        let mut cursor = None;
        while let Some((op, rest)) = ops.split_first() {
            match *op {
                Op::Append(n, gap, bump) => self.append(spool, (n, gap, bump)),
                Op::Prune(back) => self.prune(spool, back),
                Op::Cut(back, bump) => {
                    // What a cursor says of a cut is another test's.
                    cursor = None;
                    self.cut(spool, (back, bump));
                }
                Op::Read(back, limit) => self.read(spool, back, limit),
                Op::Follow(back) => cursor = spool.cursor(self.model.behind(back)).ok(),
                Op::Next(limit) => {
                    if let Some(cursor) = &mut cursor {
                        self.next(cursor, limit);
                    }
                }
                Op::Reopen(_) => return ops,
            }
            self.check(spool);
            ops = rest;
        }
        ops
    }
}

fn on_disk(ops: &[Op], ring_bytes: u64) {
    let options = SpoolOptions {
        segment_size: 16 << 10,
        ring_bytes,
        knobs: Knobs {
            spares_in_line: true,
            ..Knobs::default()
        },
        ..small()
    };
    let mut run = Run {
        model: Model::default(),
        options: &options,
    };
    let (mut disk, mut rest) = (SimStorage::new(), ops);
    loop {
        let spool = open(&Place::sim(&disk), &options).unwrap();
        run.check(&spool);
        rest = run.session(&spool, rest);
        let Some((Op::Reopen(crash), later)) = rest.split_first() else {
            return spool.close(PATIENCE).unwrap();
        };
        match crash {
            true => disk = disk.crash_nothing(),
            false => spool.close(PATIENCE).unwrap(),
        }
        rest = later;
    }
}

fn in_memory(ops: &[Op], ring_bytes: u64, ring_records: u64) {
    let options = SpoolOptions {
        ring_bytes,
        ring_records,
        ..small()
    };
    let spool = Spool::in_memory(&options).unwrap();
    let mut run = Run {
        model: Model::default(),
        options: &options,
    };
    let mut rest = ops;
    while !rest.is_empty() {
        rest = run.session(&spool, rest);
        // It has nothing to be opened again from.
        rest = rest.get(1..).unwrap_or(&[]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_spool_on_a_disk_is_a_list(
        ops in prop::collection::vec(op(), 1..60),
        ring in prop_oneof![Just(0), 1000..20_000_u64, Just(1 << 20)],
    ) {
        on_disk(&ops, ring);
    }

    #[test]
    fn a_spool_in_memory_is_the_end_of_a_list(
        ops in prop::collection::vec(op(), 1..100),
        bytes in 4096..40_000_u64,
        records in 1..200_u64,
    ) {
        in_memory(&ops, bytes, records);
    }
}
