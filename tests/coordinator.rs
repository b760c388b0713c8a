//! The coordinator's contract, on the real disk and on the simulated one.

mod common;
#[path = "coordinator/wrong.rs"]
mod wrong;

use common::*;
use epochwal::coordinator::{EpochInterval, Overflow, Sequencing, SyncStyle};
use epochwal::recovery::{RecoveryOptions, Verdict, max_durable_epoch_on};
use epochwal::storage::sim::SimStorage;
use epochwal::{Batch, BatchHead, Coordinator, ErrorKind, Frame, FrameSource, Options};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

fn one_frame(data: &[u8]) -> [Frame<'_>; 1] {
    [Frame {
        page_number: 1,
        db_size_if_commit: 0,
        data,
    }]
}

#[test]
fn what_is_committed_comes_back_in_order() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        for txn in 1..=200 {
            let ticket = commit(&wal, txn).unwrap();
            assert_eq!(wal.durable_epoch().unwrap(), Some(ticket.epoch));
        }
        wal.close(PATIENCE).unwrap();
        let (got, report) = place.recover(&RecoveryOptions::default()).unwrap();
        assert_eq!(got.len(), 200, "{}", place.name);
        for (i, batch) in got.iter().enumerate() {
            assert_eq!(batch.txn, i as u64 + 1);
            assert_whole(batch);
        }
        assert_eq!(report.verdict, Verdict::Clean);
        assert_eq!(report.epochs.count(), 200);
        assert_eq!(report.highest_commit_seq, 200);
        assert_eq!(report.unconfirmed.count(), 0);
        assert!(report.segments > 2, "the workload rolls: {report:?}");
    });
}

#[test]
fn an_epoch_holds_what_was_staged_and_replays_by_sequence() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        let first = submit(&wal, 3).unwrap();
        let second = submit(&wal, 1).unwrap();
        let third = submit(&wal, 2).unwrap();
        assert_eq!(first.epoch, second.epoch);
        assert_eq!(first.epoch, third.epoch);
        assert_eq!(wal.current_epoch().unwrap(), first.epoch);
        assert_eq!(wal.flush(PATIENCE).unwrap(), first.epoch);
        assert_eq!(wal.current_epoch().unwrap(), first.epoch + 1);
        assert_eq!(wal.flush(PATIENCE).unwrap(), first.epoch, "nothing staged");
        wal.close(PATIENCE).unwrap();
        let order: Vec<u64> = place.recover_all().iter().map(|b| b.txn).collect();
        assert_eq!(order, [1, 2, 3]);
    });
}

#[test]
fn reopening_goes_on_with_higher_epochs() {
    everywhere(|place, options| {
        let mut last = 0;
        for round in 0..10 {
            let wal = place.open(options).unwrap();
            assert_eq!(wal.durable_epoch().unwrap().unwrap_or(0), last);
            for i in 1..=5 {
                let ticket = commit(&wal, round * 5 + i).unwrap();
                assert!(ticket.epoch > last);
                last = ticket.epoch;
            }
            wal.close(PATIENCE).unwrap();
            assert_eq!(
                max_durable_epoch_on(place.disk.clone(), &place.db).unwrap(),
                Some(last)
            );
        }
        assert_eq!(last, 50, "a clean close leaves no gap");
        assert_eq!(place.recover_all().len(), 50);
    });
}

#[test]
fn many_threads_lose_nothing() {
    everywhere(|place, options| {
        let options = Options {
            slot_count: 8,
            ..options.clone()
        };
        let wal = place.open(&options).unwrap();
        let next = AtomicU64::new(1);
        std::thread::scope(|s| {
            for _ in 0..16 {
                s.spawn(|| {
                    for _ in 0..25 {
                        commit(&wal, next.fetch_add(1, Ordering::Relaxed)).unwrap();
                    }
                });
            }
        });
        let stats = wal.stats().unwrap();
        assert_eq!(stats.batches, 400);
        assert_eq!(stats.epochs, stats.groups);
        wal.close(PATIENCE).unwrap();
        let mut got = place.recover_all();
        got.sort_by_key(|b| b.txn);
        assert_eq!(got.len(), 400);
        got.iter().for_each(assert_whole);
        got.dedup_by_key(|b| b.txn);
        assert_eq!(got.len(), 400, "nothing comes back twice");
    });
}

#[test]
fn the_ticker_flushes_what_nobody_waits_for() {
    let place = Place::real();
    let options = Options {
        epoch_interval: EpochInterval::After(Duration::from_millis(1)),
        ..small()
    };
    let wal = place.open(&options).unwrap();
    let fd = wal.event_fd().unwrap();
    let ticket = submit(&wal, 1).unwrap();
    poll_readable(&fd);
    assert_eq!(wal.durable_epoch().unwrap(), Some(ticket.epoch));
}

fn poll_readable(fd: &std::os::fd::OwnedFd) {
    use std::os::fd::AsRawFd;
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd that lives through the call.
    let n = unsafe { libc::poll(&mut poll, 1, 60_000) };
    assert_eq!(n, 1, "readable within a minute");
}

#[test]
fn assigned_sequences_are_dense_and_go_on() {
    everywhere(|place, options| {
        let options = Options {
            sequencing: Sequencing::Coordinator,
            ..options.clone()
        };
        let mut expected = 1;
        for _ in 0..3 {
            let wal = place.open(&options).unwrap();
            for _ in 0..10 {
                let data = [7; 100];
                let ticket = wal
                    .submit(&Batch {
                        txn_id: 1,
                        txn_epoch: 0,
                        commit_seq: 0,
                        frames: &one_frame(&data),
                        metadata: &[],
                    })
                    .unwrap();
                assert_eq!(ticket.commit_seq, expected);
                expected += 1;
                if expected % 4 == 0 {
                    wal.flush(PATIENCE).unwrap();
                }
            }
            wal.close(PATIENCE).unwrap();
        }
        let seqs: Vec<u64> = place.recover_all().iter().map(|b| b.seq).collect();
        assert_eq!(seqs, (1..=30).collect::<Vec<_>>());
    });
}

#[test]
fn bad_batches_are_refused_by_field() {
    let place = Place::sim(&SimStorage::new());
    let wal = place
        .open(&Options {
            max_batch_bytes: 99_000,
            ..small()
        })
        .unwrap();
    let data = [1u8; 10];
    let good = one_frame(&data);
    let big = vec![0u8; 65_537];
    let metadata = vec![0u8; 65_537];
    let page_zero = [Frame {
        page_number: 0,
        ..good[0]
    }];
    let many = vec![good[0]; 10_000];
    let (empty, large) = (one_frame(&[]), one_frame(&big));
    let batch = |txn_id, commit_seq, frames, metadata| Batch {
        txn_id,
        txn_epoch: 0,
        commit_seq,
        frames,
        metadata,
    };
    let cases = [
        (
            batch(0, 1, &good[..], &[][..]),
            ErrorKind::Invalid,
            "txn_id",
        ),
        (batch(1, 0, &good, &[]), ErrorKind::Invalid, "commit_seq"),
        (batch(1, 1, &[], &[]), ErrorKind::Invalid, "frames"),
        (
            batch(1, 1, &page_zero, &[]),
            ErrorKind::Invalid,
            "frames[0].page_number",
        ),
        (
            batch(1, 1, &empty, &[]),
            ErrorKind::Invalid,
            "frames[0].data",
        ),
        (
            batch(1, 1, &large, &[]),
            ErrorKind::TooLarge,
            "frames[0].data",
        ),
        (
            batch(1, 1, &good, &metadata),
            ErrorKind::TooLarge,
            "metadata",
        ),
        (
            batch(1, 1, &many, &[]),
            ErrorKind::TooLarge,
            "max_batch_bytes",
        ),
    ];
    for (batch, kind, word) in cases {
        let error = wal.submit(&batch).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(word), "{error}");
    }
    assert_eq!(wal.stats().unwrap().batches, 0);
    assert_eq!(wal.flush(PATIENCE).unwrap(), 0, "nothing was kept");
}

#[test]
fn an_epoch_never_handed_out_is_an_error_and_not_a_hang() {
    let place = Place::sim(&SimStorage::new());
    let wal = place.open(&small()).unwrap();
    let current = wal.current_epoch().unwrap();
    for epoch in [0, current, current + 1, u64::MAX] {
        let error = wal.wait(epoch, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{epoch}: {error}");
        assert_eq!(
            wal.request_flush(epoch).unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }
    let ticket = submit(&wal, 1).unwrap();
    let polled = wal.wait(ticket.epoch, Some(Duration::ZERO)).unwrap_err();
    assert_eq!(polled.kind(), ErrorKind::Timeout);
    wal.wait(ticket.epoch, None).unwrap();
    wal.wait(ticket.epoch, Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_full_lane_refuses_spills_or_blocks() {
    let fill = |overflow: Overflow| {
        let place = Place::sim(&SimStorage::new());
        let options = Options {
            overflow,
            buffer_capacity: 64 << 10,
            block_timeout: Duration::ZERO,
            ..small()
        };
        let wal = place.open(&options).unwrap();
        let data = vec![5u8; 4096];
        let mut staged = 0u64;
        let error = loop {
            let result = wal.submit(&Batch {
                txn_id: 1,
                txn_epoch: 0,
                commit_seq: staged + 1,
                frames: &one_frame(&data),
                metadata: &[],
            });
            match result {
                Ok(_) => staged += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        let stats = wal.stats().unwrap();
        assert_eq!(u64::from(stats.backlog[0]), staged);
        wal.flush(PATIENCE).unwrap();
        submit(&wal, staged + 1).expect("room after a flush");
        wal.close(PATIENCE).unwrap();
        assert_eq!(place.recover_all().len() as u64, staged + 1);
        (staged, stats.spills)
    };
    let (refused, spills) = fill(Overflow::Refuse);
    assert_eq!(
        (refused, spills),
        (15, 0),
        "64 KiB hold 15 frames and heads"
    );
    assert_eq!(fill(Overflow::Block).0, 15);
    let (spilled, spills) = fill(Overflow::Spill);
    assert_eq!(spilled, ((64 << 10) + (8 << 20)) / 4160);
    assert_eq!(spills, spilled - 15);
}

/// Frames the reading of which panics, after some that went well.
struct Panics(std::cell::Cell<u32>);

impl FrameSource for Panics {
    fn count(&self) -> usize {
        1
    }

    fn frame(&self, _index: usize) -> Frame<'_> {
        match self.0.get() {
            0 => std::panic::resume_unwind(Box::new("the writer panics")),
            left => self.0.set(left - 1),
        }
        Frame {
            page_number: 1,
            db_size_if_commit: 1,
            data: &[1; 8000],
        }
    }
}

/// In its lane, and on the ordered path: nothing of it comes back, and what
/// others staged in its epoch and around it does.
#[test]
fn a_writer_that_panics_takes_nobody_along() {
    for buffer_capacity in [4096, 64 << 10] {
        // The first look measures, the second copies.
        for looks in [0, 1] {
            let place = Place::sim(&SimStorage::new());
            let wal = place
                .open(&Options {
                    buffer_capacity,
                    ..small()
                })
                .unwrap();
            submit(&wal, 1).unwrap();
            let head = BatchHead {
                txn_id: 2,
                commit_seq: 2,
                ..BatchHead::default()
            };
            let source = Panics(looks.into());
            let staging = AssertUnwindSafe(|| wal.submit_from(&head, &source));
            assert!(catch_unwind(staging).is_err());
            let after = submit(&wal, 3).unwrap();
            wal.wait(after.epoch, PATIENCE).unwrap();
            wal.close(PATIENCE).unwrap();
            let txns: Vec<u64> = place.recover_all().iter().map(|g| g.txn).collect();
            assert_eq!(txns, [1, 3]);
        }
    }
}

#[test]
fn a_blocked_submit_goes_on_when_there_is_room() {
    let place = Place::real();
    let options = Options {
        overflow: Overflow::Block,
        buffer_capacity: 16 << 10,
        block_timeout: Duration::from_secs(60),
        epoch_interval: EpochInterval::After(Duration::from_secs(3600)),
        ..small()
    };
    let wal = place.open(&options).unwrap();
    for txn in 1..=100 {
        submit(&wal, txn).unwrap();
    }
    wal.close(PATIENCE).unwrap();
    assert_eq!(place.recover_all().len(), 100);
}

#[test]
fn a_wait_for_room_can_be_given_up() {
    let place = Place::real();
    let options = Options {
        overflow: Overflow::Block,
        buffer_capacity: 16 << 10,
        block_timeout: Duration::from_secs(3600),
        // Nobody flushes: there is never any room.
        epoch_interval: EpochInterval::Off,
        ..small()
    };
    let wal = place.open(&options).unwrap();
    let data = [7; 4096];
    let head = |txn| BatchHead {
        txn_id: txn,
        txn_epoch: 0,
        commit_seq: txn,
        metadata: &[],
    };
    let frames = one_frame(&data);
    let mut asked = 0;
    let mut staged = 0;
    let error = loop {
        let mut ask = || {
            asked += 1;
            asked == 3
        };
        match wal.submit_interruptible(&head(staged + 1), &frames[..], &mut ask) {
            Ok(_) => staged += 1,
            Err(error) => break error,
        }
    };
    // Nothing was asked before the lane was full, and nothing after the answer.
    assert_eq!((asked, staged), (3, 3));
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    let mut at_once = || true;
    let error = wal
        .commit_interruptible(&head(4), &frames[..], None, &mut at_once)
        .unwrap_err();
    assert_eq!((error.kind(), error.ticket()), (ErrorKind::Busy, None));
    wal.flush(PATIENCE).unwrap();
    let mut never = || false;
    wal.commit_interruptible(&head(4), &frames[..], None, &mut never)
        .unwrap();
    wal.close(PATIENCE).unwrap();
    assert_eq!(place.recover_all().len(), 4);
}

#[test]
fn an_oversize_batch_takes_an_epoch_of_its_own() {
    everywhere(|place, options| {
        for assigned in [false, true] {
            let place = if place.name == "real" {
                Place::real()
            } else {
                Place::sim(&SimStorage::new())
            };
            let options = Options {
                buffer_capacity: 16 << 10,
                sequencing: if assigned {
                    Sequencing::Coordinator
                } else {
                    Sequencing::Caller
                },
                ..options.clone()
            };
            let wal = place.open(&options).unwrap();
            let seq = |n| if assigned { 0 } else { n };
            let small_data = [1u8; 50];
            let big_data = vec![2u8; 60_000];
            let put = |n: u64, data: &[u8]| {
                wal.submit(&Batch {
                    txn_id: n,
                    txn_epoch: 0,
                    commit_seq: seq(n),
                    frames: &one_frame(data),
                    metadata: &[],
                })
                .unwrap()
            };
            let before = put(1, &small_data);
            let big = put(2, &big_data);
            let after = put(3, &small_data);
            assert_eq!(big.epoch, before.epoch + 1);
            assert_eq!(after.epoch, big.epoch + 1);
            let alone = put(4, &big_data);
            wal.wait(alone.epoch, PATIENCE).unwrap();
            wal.close(PATIENCE).unwrap();
            let got = place.recover_all();
            let txns: Vec<u64> = got.iter().map(|b| b.txn).collect();
            let seqs: Vec<u64> = got.iter().map(|b| b.seq).collect();
            assert_eq!(txns, [1, 2, 3, 4]);
            assert_eq!(seqs, [1, 2, 3, 4]);
            assert_eq!(got[1].frames[0].2, big_data);
        }
    });
}

#[test]
fn a_second_writer_is_told_locked() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        let error = place.open(options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        wal.close(PATIENCE).unwrap();
        place.open(options).unwrap();
    });
}

#[test]
fn callbacks_run_once_and_may_not_block() {
    let place = Place::real();
    let wal = std::sync::Arc::new(place.open(&small()).unwrap());
    let (send, receive) = mpsc::channel();
    let ticket = submit(&wal, 1).unwrap();
    let inner = wal.clone();
    wal.on_durable(
        ticket.epoch,
        Box::new(move |epoch, outcome| {
            let blocked = inner.flush(None).unwrap_err().kind();
            send.send((epoch, outcome.is_ok(), blocked)).unwrap();
        }),
    )
    .unwrap();
    let got = receive.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(got, (ticket.epoch, true, ErrorKind::Deadlock));
    assert!(receive.recv().is_err(), "the callback is gone");
}

#[test]
fn handles_of_one_path_share_a_coordinator() {
    let place = Place::real();
    let dir = place.db.parent().unwrap();
    std::fs::create_dir(dir.join("sub")).unwrap();
    let options = small();
    let one = Coordinator::for_path(&place.db, &options).unwrap();
    let crooked = dir.join("sub/../test.db");
    let two = Coordinator::for_path(&crooked, &options).unwrap();
    let other = Options {
        slot_count: 5,
        ..small()
    };
    let error = Coordinator::for_path(&place.db, &other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let ticket = commit(&one, 1).unwrap();
    assert_eq!(two.durable_epoch().unwrap(), Some(ticket.epoch));
    one.close(PATIENCE).unwrap();
    assert_eq!(one.close(None).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(one.flush(None).unwrap_err().kind(), ErrorKind::Closed);
    commit(&two, 2).unwrap();
    two.close(PATIENCE).unwrap();
    drop(Coordinator::for_path(&place.db, &other).unwrap());
    assert_eq!(place.recover_all().len(), 2);
}

#[test]
fn a_database_identity_is_stored_and_checked() {
    everywhere(|place, options| {
        let with = |id: Option<[u8; 16]>| Options {
            database_id: id,
            ..options.clone()
        };
        let wal = place.open(&with(Some([7; 16]))).unwrap();
        commit(&wal, 1).unwrap();
        wal.close(PATIENCE).unwrap();
        let other = place.open(&with(Some([8; 16]))).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Format);
        place.open(&with(None)).unwrap().close(None).unwrap();
        place.open(&with(Some([7; 16]))).unwrap();
    });
}

#[test]
fn options_out_of_range_are_named() {
    let place = Place::sim(&SimStorage::new());
    type Spoil = fn(&mut Options);
    let cases: [(&str, Spoil); 8] = [
        ("slot_count", |o| o.slot_count = 0),
        ("epoch_interval", |o| {
            o.epoch_interval = EpochInterval::After(Duration::ZERO)
        }),
        ("buffer_capacity", |o| o.buffer_capacity = 1),
        ("max_memory", |o| o.max_memory = 1),
        ("max_batch_bytes", |o| o.max_batch_bytes = 0),
        ("segment_size", |o| o.segment_size = 16_385),
        ("segment_format", |o| o.segment_format = 3),
        ("database_id", |o| o.database_id = Some([0; 16])),
    ];
    for (field, spoil) in cases {
        let mut options = small();
        spoil(&mut options);
        let error = place.open(&options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().starts_with(field), "{error}");
    }
}

#[test]
fn direct_style_is_refused_where_the_disk_refuses_it() {
    let disk = SimStorage::new();
    disk.refuse_direct(true);
    let place = Place::sim(&disk);
    let direct = Options {
        sync_style: SyncStyle::Direct,
        ..small()
    };
    let error = place.open(&direct).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let wal = place.open(&small()).expect("the probe falls back");
    commit(&wal, 1).unwrap();
}
