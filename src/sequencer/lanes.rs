//! Lanes: which thread stages where, and how much.
//!
//! A thread keeps its lane of a sequencer for life; when it ends, the lane
//! is handed on, the lowest free one first. With more threads than lanes some
//! share one.

use crate::storage::fork_generation;
use crate::sync::{Mutex, MutexGuard, thread_local};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What a lane holds of one epoch, and what it has counted since open.
#[derive(Debug, Default)]
pub(crate) struct LaneUse {
    epoch: u64,
    bytes: u64,
    frames: u32,
    pub(crate) batches_total: u64,
    pub(crate) frames_total: u64,
    pub(crate) bytes_total: u64,
    pub(crate) spills: u64,
    pub(crate) contended: u64,
}

impl LaneUse {
    /// Bytes staged in `epoch`: another epoch's are sealed and gone.
    pub(crate) fn bytes_in(&self, epoch: u64) -> u64 {
        if self.epoch == epoch { self.bytes } else { 0 }
    }

    /// Frames staged in `epoch`.
    pub(crate) fn frames_in(&self, epoch: u64) -> u32 {
        if self.epoch == epoch { self.frames } else { 0 }
    }

    pub(crate) fn add(&mut self, epoch: u64, bytes: u64) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.bytes = 0;
            self.frames = 0;
        }
        self.bytes += bytes;
    }

    pub(crate) fn count(&mut self, frames: u32, bytes: u64) {
        self.frames += frames;
        self.batches_total += 1;
        self.frames_total += u64::from(frames);
        self.bytes_total += bytes;
    }
}

/// Lanes of different threads stand in different cache lines (two at a time
/// are fetched on x86).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane(Mutex<LaneUse>);

#[derive(Debug)]
struct Owners {
    free: BTreeSet<u16>,
    /// Threads per lane.
    threads: Vec<u32>,
    next_shared: u16,
}

/// The lanes of one sequencer.
#[derive(Debug)]
pub(crate) struct Lanes {
    id: u64,
    lanes: Box<[Lane]>,
    owners: Mutex<Owners>,
}

/// Names only, nothing is ordered by it: a plain atomic, also under a model.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static HELD: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };
}

/// A thread's hold on a lane; dropped with the thread.
struct Held {
    id: u64,
    lane: u16,
    lanes: Weak<Lanes>,
    born: u32,
}

impl Drop for Held {
    fn drop(&mut self) {
        // In the child of a fork the owners' lock may be held by nobody who lives.
        if self.born == fork_generation()
            && let Some(lanes) = self.lanes.upgrade()
        {
            lanes.give_back(self.lane);
        }
    }
}

impl Lanes {
    pub(crate) fn new(count: u32) -> Arc<Lanes> {
        Arc::new(Lanes {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            lanes: (0..count).map(|_| Lane::default()).collect(),
            owners: Mutex::new(Owners {
                free: (0..count as u16).collect(),
                threads: vec![0; count as usize],
                next_shared: 0,
            }),
        })
    }

    /// The calling thread's lane.
    pub(crate) fn mine(self: &Arc<Self>) -> u16 {
        let known = HELD.try_with(|held| {
            let held = held.try_borrow().ok()?;
            held.iter().find(|h| h.id == self.id).map(|h| h.lane)
        });
        match known {
            Ok(Some(lane)) => lane,
            Ok(None) => self.take(),
            // The thread is ending and its holds are gone.
            Err(_) => 0,
        }
    }

    fn take(self: &Arc<Self>) -> u16 {
        let lane = {
            let mut owners = self.owners.lock();
            let lane = owners.free.pop_first().unwrap_or_else(|| {
                let lane = owners.next_shared;
                owners.next_shared = (lane + 1) % self.lanes.len() as u16;
                lane
            });
            owners.threads[usize::from(lane)] += 1;
            lane
        };
        let held = Held {
            id: self.id,
            lane,
            lanes: Arc::downgrade(self),
            born: fork_generation(),
        };
        HELD.with(|all| {
            let mut all = all.borrow_mut();
            all.retain(|h| h.lanes.strong_count() > 0);
            all.push(held);
        });
        lane
    }

    fn give_back(&self, lane: u16) {
        let mut owners = self.owners.lock();
        let threads = &mut owners.threads[usize::from(lane)];
        *threads -= 1;
        if *threads == 0 {
            owners.free.insert(lane);
        }
    }

    /// Locks a lane; contended only where threads share it, or figures are read.
    pub(crate) fn lock(&self, lane: u16) -> MutexGuard<'_, LaneUse> {
        let lane = &self.lanes[usize::from(lane)].0;
        match lane.try_lock() {
            Some(guard) => guard,
            None => {
                let mut guard = lane.lock();
                guard.contended += 1;
                guard
            }
        }
    }

    /// Each lane in turn, under its lock.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&LaneUse)) {
        for lane in &self.lanes {
            f(&lane.0.lock());
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.lanes.len() as u32
    }

    pub(crate) fn in_use(&self) -> u32 {
        self.count() - self.owners.lock().free.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_waves_of_threads_use_the_same_lanes() {
        let lanes = Lanes::new(2);
        for _ in 0..2 {
            let barrier = std::sync::Barrier::new(2);
            let mut got: Vec<u16> = std::thread::scope(|s| {
                let run = || {
                    let lane = lanes.mine();
                    barrier.wait();
                    assert_eq!(lanes.mine(), lane, "a thread keeps its lane");
                    lane
                };
                let threads = [s.spawn(run), s.spawn(run)];
                threads.map(|t| t.join().unwrap()).to_vec()
            });
            got.sort_unstable();
            assert_eq!(got, [0, 1]);
            // A scope may end before the threads' locals are dropped.
            while lanes.in_use() > 0 {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn more_threads_than_lanes_share() {
        let lanes = Lanes::new(1);
        let mine = lanes.mine();
        let other = std::thread::scope(|s| s.spawn(|| lanes.mine()).join().unwrap());
        assert_eq!((mine, other), (0, 0));
        assert_eq!(lanes.in_use(), 1, "the first thread still holds it");
    }
}
