//! The small pieces of the coordinator where memory is weak, on loom.
//!
//! Each test names the weakenings of the code that it is known to catch.

use super::buffer::EpochBuffer;
use super::core::Sequencer;
use super::lanes::{LaneUse, Lanes};
use super::options::{EpochInterval, Options, SyncStyle};
use super::staging::{Bounds, Reservation, Reserved, Sealed, Staging};
use super::waiters::WaitWord;
use crate::batch::{BatchHead, Frame};
use crate::coordinator::submit::submit;
use crate::log::{Disk, names_of};
use crate::storage::sim::SimStorage;
use crate::sync::{AtomicU64, Ordering, World, explore};
use ::loom::thread::{self, JoinHandle};
use std::path::Path;
use std::sync::Arc;

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|t| t.join().unwrap()).collect()
}

/// Sleeps until the epoch is there, as a committer does.
fn sleep_for(word: &WaitWord, durable: &AtomicU64, epoch: u64) {
    loop {
        let token = word.enter();
        if durable.load(Ordering::SeqCst) >= epoch {
            return;
        }
        word.sleep(token, None);
    }
}

/// Caught: a relaxed or acquiring look in `enter` or `wake_all`, a weaker
/// announcement in `enter`, a wake that only clears the bit.
#[test]
fn everyone_who_sleeps_is_woken() {
    explore(World::Crowd, 3, || {
        let shared = Arc::new((WaitWord::default(), AtomicU64::new(0)));
        let sleepers = [1, 1].map(|epoch| {
            let shared = shared.clone();
            thread::spawn(move || sleep_for(&shared.0, &shared.1, epoch))
        });
        shared.1.store(1, Ordering::SeqCst);
        shared.0.wake_all();
        join(sleepers);
    });
}

/// A wake of one leaves those who sleep on to be woken later.
///
/// Caught: a `wake_one` that clears the bit, a `wake_all` that gives up where
/// another waker was faster.
#[test]
fn a_wake_of_one_does_not_forget_the_others() {
    explore(World::Crowd, 2, || {
        let shared = Arc::new((WaitWord::default(), AtomicU64::new(0)));
        let sleepers = [1, 1].map(|epoch| {
            let shared = shared.clone();
            thread::spawn(move || sleep_for(&shared.0, &shared.1, epoch))
        });
        let theirs = shared.clone();
        let waker = thread::spawn(move || {
            theirs.0.wake_one();
        });
        shared.1.store(1, Ordering::SeqCst);
        shared.0.wake_all();
        join(sleepers);
        join([waker]);
    });
}

/// One wakeup for each change, and a second change after the first was heard.
///
/// Caught: a weaker announcement in `enter`, an acquiring look in `wake_one`, a
/// wake that leaves the word as it is.
#[test]
fn a_word_is_slept_on_again() {
    explore(World::Sleep, 3, || {
        let shared = Arc::new((WaitWord::default(), AtomicU64::new(0)));
        let theirs = shared.clone();
        let sleeper = thread::spawn(move || {
            sleep_for(&theirs.0, &theirs.1, 1);
            sleep_for(&theirs.0, &theirs.1, 2);
        });
        for epoch in [1, 2] {
            shared.1.store(epoch, Ordering::SeqCst);
            shared.0.wake_one();
        }
        join([sleeper]);
    });
}

/// Writes an item, as a submit does.
fn fill(buffer: &EpochBuffer, offset: usize, item: u64) {
    {
        // SAFETY: the test's threads fill ranges of their own.
        let bytes = unsafe { buffer.pages.slice(offset, 8) };
        bytes.copy_from_slice(&item.to_ne_bytes());
    }
    buffer.fill_one();
}

/// Reads the items once they are all there, as a flush does.
fn read(buffer: &EpochBuffer, count: u32) -> Vec<u64> {
    buffer.wait_filled(count);
    // SAFETY: that nobody fills any more is what is tested.
    let bytes = unsafe { buffer.pages.slice(0, 8 * count as usize) };
    let items = bytes.chunks(8).map(|c| c.try_into().unwrap());
    items.map(u64::from_ne_bytes).collect()
}

fn two_fill() {
    let buffer = Arc::new(EpochBuffer::new(4096).unwrap());
    let fillers = [0, 1].map(|i| {
        let buffer = buffer.clone();
        thread::spawn(move || fill(&buffer, 8 * i, 7 + i as u64))
    });
    assert_eq!(read(&buffer, 2), [7, 8]);
    join(fillers);
}

/// Caught: a relaxed count in `fill_one`, a relaxed look at it in `wait_filled`,
/// in the first tries as in the loop.
#[test]
fn the_flusher_sees_what_was_filled() {
    explore(World::Bytes, 3, two_fill);
}

/// Caught: a relaxed `flusher_waits`, stored or looked at.
#[test]
fn the_flusher_is_woken_by_the_last_to_fill() {
    explore(World::Sleep, 3, two_fill);
}

const BOUNDS: Bounds = Bounds {
    lane: u64::MAX,
    log: u64::MAX,
};

fn staging(limit: u64) -> Arc<Staging> {
    Arc::new(Staging::new(limit, 1, 1, 1).unwrap())
}

/// Stages an item that says what its reservation does; gives both.
fn stage(staging: &Staging, lane: &mut LaneUse) -> Option<Reservation> {
    match staging.reserve(8, lane, BOUNDS) {
        Reserved::Room(room) => {
            fill(
                staging.buffer(room.buffer),
                room.offset,
                room.epoch << 32 | room.assigned_seq,
            );
            Some(room)
        }
        Reserved::Shut => None,
        full => panic!("{full:?}"),
    }
}

/// Reads a sealed epoch: its items are of it, and numbered in a row.
fn drain(staging: &Staging, sealed: Sealed, next_seq: &mut u64) {
    assert_eq!(sealed.payload_len, 8 * sealed.count as usize);
    for item in read(staging.buffer(sealed.buffer), sealed.count) {
        assert_eq!(item, sealed.epoch << 32 | *next_seq);
        *next_seq += 1;
    }
    staging.release(sealed.payload_len);
}

/// Three batches of two threads, with both buffers used and one used again.
fn stage_and_drain() {
    let staging = staging(64);
    let (ours, theirs) = (staging.clone(), staging.clone());
    let one = thread::spawn(move || {
        stage(&ours, &mut LaneUse::default()).unwrap();
    });
    let two = thread::spawn(move || {
        let mut lane = LaneUse::default();
        let first = stage(&theirs, &mut lane).unwrap();
        let second = stage(&theirs, &mut lane).unwrap();
        assert!(first.assigned_seq < second.assigned_seq);
        assert!(first.epoch <= second.epoch);
    });
    let (mut next_seq, mut epoch) = (1, 1);
    while next_seq <= 3 {
        match staging.seal() {
            Some(sealed) => {
                assert_eq!(sealed.epoch, epoch);
                epoch += 1;
                drain(&staging, sealed, &mut next_seq);
            }
            None => thread::yield_now(),
        }
    }
    assert_eq!(staging.current(), (epoch, 0));
    assert_eq!(staging.memory(), 0);
    join([one, two]);
}

/// Caught: a relaxed exchange in the seal, the next buffer prepared after it.
/// Not caught, because nothing needs it: a relaxed exchange in `reserve`, whose
/// bytes are told by the count of the filled.
#[test]
fn what_was_sealed_is_read_whole_and_its_buffer_used_again() {
    explore(World::Bytes, 2, stage_and_drain);
}

/// A seal counts its epoch twice for a moment; who asks for room at that
/// moment isn't refused for it.
///
/// Caught: no second look at the word and the seals before a refusal.
#[test]
fn a_seal_takes_no_room_away() {
    explore(World::Bytes, None, || {
        let staging = staging(16);
        let mut next_seq = 1;
        stage(&staging, &mut LaneUse::default()).unwrap();
        let theirs = staging.clone();
        let other = thread::spawn(move || stage(&theirs, &mut LaneUse::default()).unwrap());
        let sealed = staging.seal().unwrap();
        let epoch = join([other])[0].epoch;
        assert_eq!(epoch, 1 + u64::from(sealed.count == 1));
        drain(&staging, sealed, &mut next_seq);
        assert_eq!(staging.memory(), 8 * (2 - u64::from(sealed.count)));
    });
}

/// Nor does it give any: what is in flight still takes its room.
///
/// Caught: bytes in flight counted after the seal's exchange; a relaxed look at
/// the word in `reserve`.
#[test]
fn a_seal_gives_no_room() {
    explore(World::Bytes, None, || {
        let staging = staging(8);
        stage(&staging, &mut LaneUse::default()).unwrap();
        let theirs = staging.clone();
        let other = thread::spawn(move || {
            let got = theirs.reserve(8, &mut LaneUse::default(), BOUNDS);
            assert!(matches!(got, Reserved::MemoryFull), "{got:?}");
        });
        let sealed = staging.seal().unwrap();
        join([other]);
        drain(&staging, sealed, &mut 1);
        assert!(stage(&staging, &mut LaneUse::default()).is_some());
    });
}

/// A batch is in the last epoch or is refused; an end in between is none.
#[test]
fn what_is_shut_holds_all_that_was_taken() {
    explore(World::Bytes, 2, || {
        let staging = staging(64);
        let others = [(); 2].map(|()| {
            let staging = staging.clone();
            thread::spawn(move || stage(&staging, &mut LaneUse::default()).is_some())
        });
        let sealed = staging.shut();
        if let Some(sealed) = sealed {
            drain(&staging, sealed, &mut 1);
        }
        let taken = join(others).into_iter().filter(|t| *t).count();
        assert_eq!(taken, sealed.map_or(0, |s| s.count as usize));
        assert!(staging.is_shut() && staging.seal().is_none());
    });
}

/// A failure stops seals and submits: whoever is in comes before it.
///
/// Caught: a block by load and store.
#[test]
fn a_block_ends_it_between_two_batches() {
    explore(World::Bytes, 3, || {
        let staging = staging(64);
        let theirs = staging.clone();
        let submitter =
            thread::spawn(move || stage(&theirs, &mut LaneUse::default()).map(|r| r.epoch));
        let theirs = staging.clone();
        let blocker = thread::spawn(move || {
            theirs.block();
            theirs.current()
        });
        let sealed = staging.seal();
        let (epoch, count) = join([blocker])[0];
        assert_eq!(epoch, 1 + u64::from(sealed.is_some()));
        let taken = join([submitter])[0];
        assert_eq!(taken.is_some(), sealed.is_some() || count > 0);
        assert!(staging.seal().is_none());
    });
}

/// The ordered path: its epoch and sequence lie between the others'.
///
/// Caught: a relaxed exchange in the seal.
#[test]
fn an_epoch_alone_has_its_numbers_alone() {
    explore(World::Bytes, 3, || {
        let staging = staging(64);
        let theirs = staging.clone();
        let other = thread::spawn(move || {
            let room = stage(&theirs, &mut LaneUse::default()).unwrap();
            (room.epoch, room.assigned_seq)
        });
        let (before, alone) = staging.seal_around().unwrap();
        if let Some(sealed) = before {
            drain(&staging, sealed, &mut 1);
        }
        let other = join([other])[0];
        let alone = (alone.epoch, alone.assigned_seq);
        match before {
            Some(_) => assert_eq!((other, alone), ((1, 1), (2, 2))),
            None => assert_eq!((alone, other), ((1, 1), (2, 2))),
        }
    });
}

/// More threads than lanes: what a lane counts is exact, and a lane that is
/// given back is had again.
#[test]
fn a_lane_is_shared_and_handed_on() {
    explore(World::Sleep, 3, || {
        let lanes = Lanes::new(1);
        let count = |lanes: &Arc<Lanes>| {
            let lane = lanes.mine();
            lanes.lock(lane).count(1, 8);
        };
        let others = [(); 2].map(|()| {
            let lanes = lanes.clone();
            thread::spawn(move || count(&lanes))
        });
        join(others);
        // A thread's locals are dropped after its join.
        while lanes.in_use() > 0 {
            thread::yield_now();
        }
        let mut total = 0;
        lanes.for_each(|lane| total += lane.batches_total);
        assert_eq!(total, 2);
        assert_eq!(lanes.mine(), 0);
    });
}

/// Two whole commits on a simulated disk, without a ticker: each leads, is
/// led, or is handed the lead.
///
/// Caught: no hand-over when the flusher is let go, an unlock that only
/// releases, a relaxed `flusher_waits`.
#[test]
fn the_lead_is_handed_on() {
    explore(World::Sleep, 3, || {
        let sim = SimStorage::new();
        sim.make_dirs(Path::new("/d"));
        let disk: Disk = Arc::new(sim);
        let names = names_of(&disk, Path::new("/d/db")).unwrap();
        let core = Arc::new(Sequencer::open("coordinator", &disk, &names, &options()).unwrap());
        let theirs = core.clone();
        let other = thread::spawn(move || commit(&theirs, 1));
        commit(&core, 2);
        join([other]);
    });
}

fn options() -> Options {
    Options {
        slot_count: 2,
        epoch_interval: EpochInterval::Off,
        max_memory: 64 << 10,
        buffer_capacity: 4096,
        segment_size: 64 << 10,
        sync_style: SyncStyle::Buffered,
        ..Options::default()
    }
}

fn commit(core: &Sequencer, txn_id: u64) {
    let head = BatchHead {
        txn_id,
        commit_seq: txn_id,
        ..BatchHead::default()
    };
    let frame = Frame {
        page_number: 1,
        db_size_if_commit: 1,
        data: &[7; 8],
    };
    let ticket = submit(core, &head, &[frame][..], false, None).unwrap();
    core.wait(ticket.epoch, None, None).unwrap();
}
