//! A small life of a log of records, crashed at each of its operations. What
//! comes back is what was acknowledged, and of the step under way all or nothing.

use super::stand::*;
use crate::log::Verdict;
use crate::log::policy::SyncStyle;
use crate::storage::sim::SimStorage;
use std::sync::{Arc, Mutex};

/// Up to this many possible crashes of a state all are made.
const EXHAUSTIVE: usize = 32;
/// How many random ones else.
const SAMPLES: u64 = 12;

#[derive(Clone, Copy, Debug)]
enum Act {
    /// Each a group.
    Append(&'static [Id]),
    Prune(u64),
    /// The term, and its first LSN.
    Branch(u64, u64),
    Quorum(u64),
    Close,
    Open,
}

use Act::*;

/// Rolls, terms that rise within a group and between, branches over segment
/// ends, prunes that let segments go, clean and unclean ends.
const LIFE: &[Act] = &[
    Open,
    Append(&[(1, 1), (1, 2)]),
    Append(&[(1, 3), (2, 4)]),
    Append(&[(2, 5)]),
    Append(&[(2, 6), (3, 7)]),
    Append(&[(3, 8)]),
    Quorum(4),
    Branch(5, 6),
    Append(&[(5, 6)]),
    Prune(3),
    Append(&[(5, 9)]),
    Append(&[(6, 10)]),
    Open,
    Append(&[(6, 11), (7, 12)]),
    Branch(8, 12),
    Branch(9, 11),
    Open,
    Append(&[(9, 11)]),
    Append(&[(9, 12)]),
    Prune(10),
    Close,
    Open,
    Append(&[(9, 14)]),
    Prune(14),
    Open,
    Append(&[(10, 15)]),
    Close,
    Open,
];

/// What the log should be: records that count, and what the state keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    live: Vec<Id>,
    terms: Vec<Id>,
    highest: u64,
    pruned: u64,
    quorum: u64,
}

impl Model {
    fn after(&self, act: Act) -> Model {
        let mut next = self.clone();
        match act {
            Append(records) => {
                for (term, lsn) in records {
                    if next.terms.last().is_none_or(|last| last.0 < *term) {
                        next.terms.push((*term, *lsn));
                    }
                    next.live.push((*term, *lsn));
                    next.highest = *lsn;
                }
            }
            Prune(lsn) => {
                next.pruned = lsn;
                next.live.retain(|r| r.1 > lsn);
            }
            Branch(term, first_lsn) => {
                next.terms.retain(|t| t.1 < first_lsn);
                next.terms.push((term, first_lsn));
                next.live.retain(|r| r.1 < first_lsn);
                next.highest = first_lsn - 1;
            }
            Quorum(lsn) => next.quorum = lsn,
            Close | Open => {}
        }
        next
    }

    /// What an open of this disk finds; the walk before it agrees.
    fn found(sim: &SimStorage) -> Result<(Model, SimStorage), String> {
        let before = read(sim).map_err(|e| format!("read: {e:?}"))?;
        if before.end.verdict == Verdict::Corrupt {
            return Err(format!("corrupt: {}", before.end.reason));
        }
        let session = open_with(sim, options(SyncStyle::Buffered));
        let mut log = session.map_err(|e| format!("open: {e:?}"))?;
        let after = read(sim).map_err(|e| format!("read again: {e:?}"))?;
        if before.live != after.live {
            return Err(format!("{:?} became {:?}", before.live, after.live));
        }
        let records = log.opened.records.clone().expect("a log of records");
        let model = Model {
            live: after.live,
            terms: listed(&records.terms),
            highest: records.highest_lsn,
            pruned: records.pruned_through,
            quorum: log.log().quorum(),
        };
        Ok((model, sim.crash_nothing()))
    }
}

/// A state of the disk, and what the log may be in it.
struct Moment {
    sim: SimStorage,
    operation: u64,
    act: Act,
    may_be: [Model; 2],
}

/// Lives a life; gives the states of its disk at each operation.
fn live(style: SyncStyle) -> Vec<Moment> {
    let sim = SimStorage::new();
    let moments = Arc::new(Mutex::new(Vec::new()));
    let now = Arc::new(Mutex::new((Open, [Model::default(), Model::default()])));
    sim.on_operation({
        let (moments, now) = (moments.clone(), now.clone());
        move |sim, operation| {
            let (act, may_be) = now.lock().unwrap().clone();
            moments.lock().unwrap().push(Moment {
                sim,
                operation,
                act,
                may_be,
            });
        }
    });
    let mut model = Model::default();
    let mut log: Option<Session> = None;
    for act in LIFE {
        let next = model.after(*act);
        *now.lock().unwrap() = (*act, [model, next.clone()]);
        match (*act, &mut log) {
            (Open, _) => {
                drop(log.take());
                log = Some(open_with(&sim, options(style)).unwrap());
            }
            (Close, _) => log.take().unwrap().close().unwrap(),
            (act, Some(log)) => perform(&sim, log, act),
            (act, None) => panic!("{act:?} of a log that is closed"),
        }
        model = next;
    }
    sim.stop_observing();
    let moments = std::mem::take(&mut *moments.lock().unwrap());
    assert!(moments.len() > 150, "{}", moments.len());
    moments
}

fn perform(sim: &SimStorage, log: &mut Session, act: Act) {
    match act {
        Append(records) => log.append(records).unwrap(),
        Branch(term, first_lsn) => log.log().branch(term, first_lsn).unwrap(),
        Quorum(lsn) => log.log().save_quorum(lsn).unwrap(),
        Prune(lsn) => {
            let through = last_epoch_below(sim, log, lsn);
            // Some are in use, so that both ways of letting go are crashed.
            log.prune(lsn, through, &|epoch| epoch % 2 == 0).unwrap();
        }
        Close | Open => unreachable!("not of an open log"),
    }
}

/// The last epoch of the segments that hold no live record above `lsn`.
fn last_epoch_below(sim: &SimStorage, log: &mut Session, lsn: u64) -> Option<u64> {
    let needed = read(sim).unwrap().epochs.into_iter();
    let needed = needed.filter(|(_, at)| *at > lsn).map(|(epoch, _)| epoch);
    let first = needed.min().unwrap_or(u64::MAX);
    let segments = log.log().live_segments().iter().map(|s| s.last_epoch);
    segments.take_while(|last| *last < first).last()
}

fn check(moment: &Moment, sim: &SimStorage, how: &str) {
    let fail = |why: String| -> ! {
        panic!(
            "operation {} ({:?}), {how}: {why}",
            moment.operation, moment.act
        )
    };
    let (found, again) = Model::found(sim).unwrap_or_else(|why| fail(why));
    if !moment.may_be.contains(&found) {
        fail(format!("{found:?}\nis none of {:#?}", moment.may_be));
    }
    // What an open reports is durable.
    let (second, _) = Model::found(&again).unwrap_or_else(|why| fail(format!("again: {why}")));
    if second != found {
        fail(format!("{found:?}\nbecame {second:?}"));
    }
    // And the log goes on, as the last term or a new one.
    let mut log = open(sim);
    let next = (found.terms.last().map_or(1, |t| t.0 + 1), found.highest + 2);
    log.append(&[next])
        .unwrap_or_else(|e| fail(format!("append: {e:?}")));
    drop(log);
    let (third, _) = Model::found(&sim.crash_nothing()).unwrap_or_else(|why| fail(why));
    if third.live.last() != Some(&next) || third.live[..third.live.len() - 1] != found.live {
        fail(format!("{found:?}\nand {next:?} became {third:?}"));
    }
}

fn crash_everywhere(style: SyncStyle) {
    let mut states = 0;
    for moment in live(style) {
        check(&moment, &moment.sim.snapshot(), "killed");
        states += 1;
        let pending = moment.sim.pending_count();
        if pending < usize::BITS as usize && 1 << pending <= EXHAUSTIVE {
            for (n, crashed) in moment.sim.crashes().enumerate() {
                check(&moment, &crashed, &format!("crash {n}"));
                states += 1;
            }
            continue;
        }
        check(&moment, &moment.sim.crash_nothing(), "nothing kept");
        check(&moment, &moment.sim.crash_everything(), "all kept");
        for seed in 0..SAMPLES {
            let seed = moment.operation * 1000 + seed;
            let crashed = moment.sim.crash_random(seed);
            check(&moment, &crashed, &format!("crash_random({seed})"));
        }
        states += 2 + SAMPLES;
    }
    println!("{style:?}: {states} states");
    assert!(states > 2000, "{states}");
}

#[test]
fn every_operation_with_buffered_writes() {
    crash_everywhere(SyncStyle::Buffered);
}

#[test]
fn every_operation_with_direct_writes() {
    crash_everywhere(SyncStyle::Direct);
}
