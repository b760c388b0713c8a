//! Writers that stall or panic in the middle of a batch, lanes that spill and
//! refuse, and descriptors that are asked for beside the end.

use crate::commit::options;
use crate::harness::*;
use epochwal::coordinator::{EpochInterval, Overflow, Sequencing};
use epochwal::{BatchHead, Coordinator, ErrorKind, Frame, FrameSource, Options, Result, Ticket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Frames whose reading takes its time, and may panic: read once to measure
/// the batch, and once to copy it into its room.
struct Slow<'a> {
    data: &'a [u8],
    /// Looks at a frame until one panics.
    fuse: std::cell::Cell<u32>,
}

const NEVER: u32 = u32::MAX;

impl FrameSource for Slow<'_> {
    fn count(&self) -> usize {
        2
    }

    fn frame(&self, _index: usize) -> Frame<'_> {
        step();
        match self.fuse.get() {
            0 => std::panic::resume_unwind(Box::new("the writer panics")),
            NEVER => {}
            left => self.fuse.set(left - 1),
        }
        step();
        Frame {
            page_number: 1,
            db_size_if_commit: 1,
            data: self.data,
        }
    }
}

/// Stages two frames of `len` bytes; none: the writer panicked.
fn stage_slowly(wal: &Coordinator, txn: u64, len: usize, fuse: u32) -> Option<Result<Ticket>> {
    let data = vec![fill_of(txn); len];
    let source = Slow {
        data: &data,
        fuse: fuse.into(),
    };
    let head = BatchHead {
        txn_id: txn,
        ..BatchHead::default()
    };
    catch_unwind(AssertUnwindSafe(|| wal.submit_from(&head, &source))).ok()
}

/// Between any two frames another may seal, lead, or end it all: a flush waits
/// for the slowest of its writers. Of one that panics nothing comes back, and
/// what the others staged before and after does, with no sequence skipped
/// but the one it had.
fn writers(len: usize, fuse: u32) {
    let disk = Disk::new();
    let wal = disk.open(&Options {
        buffer_capacity: 4096,
        sequencing: Sequencing::Coordinator,
        ..options()
    });
    let (ours, theirs) = (disk.clone(), wal.clone());
    let staged = threads(3, move |i| {
        let (len, fuse) = if i == 1 { (len, fuse) } else { (64, NEVER) };
        let ticket = stage_slowly(&theirs, i, len, fuse)?.expect("submit");
        theirs.wait(ticket.epoch, None).expect("wait");
        assert_durable(&ours, i, &ticket);
        Some(ticket)
    });
    wal.close(None).expect("close");
    assert!(staged[1].is_some() && staged[2].is_some());
    let found = recover(disk.sim.crash_nothing());
    assert_eq!(found.len(), staged.iter().flatten().count(), "{found:?}");
}

#[test]
fn a_writer_that_stalls_is_waited_for() {
    for len in [64, 6000] {
        explore(300, move || writers(len, NEVER));
    }
}

/// On the ordered path. In a lane the model can't: its threads are one to the
/// system, where one that unwinds through a wake lets all others seem to panic.
#[test]
fn a_writer_that_panics_alone_takes_nobody_along() {
    // The first two looks measure, the next two copy.
    for fuse in 0..4 {
        explore(80, move || writers(6000, fuse));
    }
}

fn narrow(overflow: Overflow) -> Options {
    Options {
        slot_count: 1,
        buffer_capacity: 4096,
        overflow,
        ..options()
    }
}

/// Of a batch that was refused nothing is kept, and the next finds its room.
#[test]
fn a_lane_that_refuses_keeps_nothing() {
    explore(400, || {
        let disk = Disk::new();
        let wal = disk.open(&narrow(Overflow::Refuse));
        let (ours, theirs) = (disk.clone(), wal.clone());
        let kept: u32 = threads(3, move |i| {
            let mut kept = 0;
            for txn in [10 * i, 10 * i + 1] {
                match submit(&theirs, txn, 3000) {
                    Ok(ticket) => {
                        theirs.wait(ticket.epoch, None).expect("wait");
                        assert_durable(&ours, txn, &ticket);
                        kept += 1;
                    }
                    Err(e) => assert_eq!(e.kind(), ErrorKind::Busy, "{e}"),
                }
            }
            kept
        })
        .iter()
        .sum();
        assert!(kept > 0);
        assert!(submit(&wal, 99, 3000).is_ok(), "all before is durable");
        wal.close(None).expect("close");
        let found = recover(disk.sim.crash_nothing());
        assert_eq!(found.len() as u32, kept + 1);
    });
}

/// A lane that spills takes what the memory takes; what is full then blocks.
#[test]
fn a_lane_that_spills_blocks_at_the_budget() {
    explore(200, || {
        let disk = Disk::new();
        let wal = disk.open(&Options {
            max_memory: 64 << 10,
            segment_size: 256 << 10,
            epoch_interval: EpochInterval::After(Duration::from_millis(1)),
            ..narrow(Overflow::Spill)
        });
        let theirs = wal.clone();
        threads(3, move |i| {
            for round in 0..9 {
                // Below the lane's size each, and above the budget together.
                submit(&theirs, 10 * i + round, 3900).expect("room comes");
            }
        });
        wal.close(None).expect("close");
        assert_eq!(recover(disk.sim.crash_nothing()).len(), 27);
    });
}

/// Whoever gets a descriptor beside the end sees the end through it.
#[test]
fn a_descriptor_tells_the_end_whenever_it_was_asked_for() {
    explore(500, || {
        let disk = Disk::new();
        let wal = disk.open(&options());
        let theirs = wal.clone();
        let ender = shuttle::thread::spawn(move || {
            let why = epochwal::Error::new(ErrorKind::Panic, "the caller gives up");
            theirs.fail(why);
        });
        let fd = wal.event_fd().expect("eventfd");
        ender.join().expect("join");
        let mut count = [0; 8];
        // SAFETY: eight bytes that live through the call.
        let got = unsafe {
            let fd = std::os::fd::AsRawFd::as_raw_fd(&fd);
            libc::read(fd, count.as_mut_ptr().cast(), count.len())
        };
        assert_eq!(got, 8, "the descriptor isn't readable");
        let _ = wal.close(None);
    });
}

/// A crowd that waits for one epoch, and the end.
#[test]
fn close_wakes_a_crowd() {
    explore(4, || crate::end::close_among(60, &options()));
}

/// As many threads as lanes and more, and each thread's first submit takes one.
#[test]
fn threads_come_and_go_over_two_lanes() {
    explore(200, || {
        let disk = Disk::new();
        let wal = disk.open(&options());
        for wave in 0..2 {
            let theirs: Arc<Coordinator> = wal.clone();
            threads(3, move |i| {
                let ticket = submit(&theirs, 10 * wave + i, 64).expect("submit");
                if i == 1 {
                    theirs.wait(ticket.epoch, None).expect("wait");
                }
            });
        }
        wal.close(None).expect("close");
        assert_eq!(recover(disk.sim.crash_nothing()).len(), 6);
    });
}

/// A large batch whose writer, once it has its room, waits for somebody's end.
struct Waits<'a> {
    data: &'a [u8],
    measured: std::cell::Cell<bool>,
    over: &'a AtomicBool,
}

impl FrameSource for Waits<'_> {
    fn count(&self) -> usize {
        1
    }

    fn frame(&self, _index: usize) -> Frame<'_> {
        // Not for ever: a schedule may let nobody else run.
        for _ in 0..200 {
            if !self.measured.get() || self.over.load(Ordering::SeqCst) {
                break;
            }
            step();
        }
        self.measured.set(true);
        Frame {
            page_number: 1,
            db_size_if_commit: 1,
            data: self.data,
        }
    }
}

/// A large batch leaves two epochs to be written, the first of which nobody
/// waits for any more: who waits for a third is the one to lead.
#[test]
fn the_lead_passes_over_an_epoch_that_was_given_up() {
    explore(300, || {
        let disk = Disk::new();
        let wal = disk.open(&options());
        let over = Arc::new(AtomicBool::new(false));
        let (ours, theirs) = (disk.clone(), wal.clone());
        threads(3, move |i| match i {
            1 => {
                let ticket = submit(&theirs, 1, 64).expect("submit");
                let result = theirs.wait(ticket.epoch, Some(Duration::from_secs(2)));
                over.store(true, Ordering::SeqCst);
                assert!(matches!(kind(&result), None | Some(ErrorKind::Timeout)));
            }
            2 => {
                let head = BatchHead {
                    txn_id: 2,
                    commit_seq: 2,
                    ..BatchHead::default()
                };
                let source = Waits {
                    data: &[fill_of(2); 20_000],
                    measured: false.into(),
                    over: &over,
                };
                theirs.submit_from(&head, &source).expect("submit");
            }
            _ => {
                let ticket = commit(&theirs, i).expect("commit");
                assert_durable(&ours, i, &ticket);
            }
        });
        wal.close(None).expect("close");
        assert_eq!(recover(disk.sim.crash_nothing()).len(), 3);
    });
}
