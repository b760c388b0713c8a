//! What recovery, readers, checkpoint and cleanup promise, on the real disk and
//! on the simulated one.

mod common;
#[path = "recovery/into.rs"]
mod into;
#[path = "recovery/told.rs"]
mod told;
#[path = "recovery/wrong.rs"]
mod wrong;

use common::*;
use epochwal::recovery::{
    RecoveryOptions, Verdict, cleanup_segments_on, list_segments_on, recover_into_file_on,
    recover_into_map_on,
};
use epochwal::storage::sim::{Call, SimStorage};
use epochwal::{Batch, ErrorKind, Frame, Options};

fn one_frame(data: &[u8]) -> [Frame<'_>; 1] {
    [Frame {
        page_number: 1,
        db_size_if_commit: 0,
        data,
    }]
}

#[test]
fn a_checkpoint_frees_segments_and_recovery_starts_above_it() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        let tickets: Vec<_> = (1..=100).map(|t| commit(&wal, t).unwrap()).collect();
        let before = list_segments_on(place.disk.clone(), &place.db).unwrap();
        assert!(before.len() > 2);
        let beyond = wal.checkpoint(tickets[99].epoch + 1).unwrap_err();
        assert_eq!(beyond.kind(), ErrorKind::Invalid);
        wal.checkpoint(tickets[49].epoch).unwrap();
        wal.checkpoint(tickets[9].epoch)
            .expect("below the last: nothing");
        let after = list_segments_on(place.disk.clone(), &place.db).unwrap();
        assert!(after.len() < before.len());
        let got = place.recover_all();
        assert_eq!(got.len(), 50);
        assert_eq!(got[0].txn, 51);
        wal.checkpoint(tickets[99].epoch).unwrap();
        assert_eq!(list_segments_on(place.disk.clone(), &place.db).unwrap(), []);
        for txn in 101..=300 {
            commit(&wal, txn).unwrap();
            if txn % 10 == 0 {
                wal.checkpoint(wal.durable_epoch().unwrap().unwrap() - 5)
                    .unwrap();
            }
        }
        let stats = wal.stats().unwrap();
        assert!(stats.segments_in_use <= 2, "{stats:?}");
        wal.close(PATIENCE).unwrap();
        let got = place.recover_all();
        assert_eq!(
            got.iter().map(|b| b.txn).collect::<Vec<_>>(),
            [296, 297, 298, 299, 300]
        );
        let wal = place.open(options).unwrap();
        let ticket = commit(&wal, 301).unwrap();
        assert!(ticket.epoch > 300);
    });
}

#[test]
fn cleanup_deletes_everything_and_numbers_go_on() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        for txn in 1..=50 {
            commit(&wal, txn).unwrap();
        }
        let locked = cleanup_segments_on(place.disk.clone(), &place.db).unwrap_err();
        assert_eq!(locked.kind(), ErrorKind::Locked);
        wal.close(PATIENCE).unwrap();
        let count = cleanup_segments_on(place.disk.clone(), &place.db).unwrap();
        assert!(count > 1);
        assert_eq!(
            cleanup_segments_on(place.disk.clone(), &place.db).unwrap(),
            0
        );
        assert_eq!(place.recover_all(), []);
        let wal = place.open(options).unwrap();
        assert_eq!(wal.durable_epoch().unwrap(), Some(50));
        assert_eq!(commit(&wal, 51).unwrap().epoch, 51);
        wal.close(PATIENCE).unwrap();
        assert_eq!(place.recover_all().len(), 1);
    });
}

#[test]
fn a_reader_beside_a_writer_sees_every_acknowledged_batch() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        for txn in 1..=60 {
            commit(&wal, txn).unwrap();
            submit(&wal, txn + 1000).unwrap();
            let got = place.recover_all();
            assert!(got.iter().any(|b| b.txn == txn), "{}", place.name);
            wal.flush(PATIENCE).unwrap();
            if txn % 20 == 0 {
                wal.checkpoint(wal.durable_epoch().unwrap().unwrap())
                    .unwrap();
            }
        }
    });
}

#[test]
fn a_reader_keeps_its_segments_from_a_checkpoint() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        for txn in 1..=100 {
            commit(&wal, txn).unwrap();
        }
        let mut reader =
            epochwal::Recovery::open_on(place.disk.clone(), &place.db, &RecoveryOptions::default())
                .unwrap();
        assert_eq!(reader.next_batch().unwrap().unwrap().txn_id, 1);
        wal.checkpoint(100).unwrap();
        for txn in 101..=200 {
            commit(&wal, txn).unwrap();
        }
        let mut last = 1;
        while let Some(batch) = reader.next_batch().unwrap() {
            assert_eq!(batch.txn_id, last + 1);
            last = batch.txn_id;
        }
        assert_eq!(last, 100, "what was durable when it was opened");
        drop(reader);
        wal.checkpoint(200).unwrap();
        assert_eq!(list_segments_on(place.disk.clone(), &place.db).unwrap(), []);
    });
}

#[test]
fn what_a_reader_held_goes_at_the_next_roll() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        for txn in 1..=100 {
            commit(&wal, txn).unwrap();
        }
        let all = RecoveryOptions::default();
        let reader = epochwal::Recovery::open_on(place.disk.clone(), &place.db, &all).unwrap();
        wal.checkpoint(100).unwrap();
        let held = wal.stats().unwrap().segments_in_use;
        assert!(held > 2);
        // One that comes now lists the same, and one that comes after does not.
        drop(reader);
        for txn in 101..=200 {
            commit(&wal, txn).unwrap();
        }
        let listed = list_segments_on(place.disk.clone(), &place.db).unwrap();
        assert!(listed.iter().all(|s| !s.checkpointed), "{listed:?}");
        let late = epochwal::Recovery::open_on(place.disk.clone(), &place.db, &all).unwrap();
        let oldest = listed[0].first_epoch;
        wal.checkpoint(200).unwrap();
        let after = list_segments_on(place.disk.clone(), &place.db).unwrap();
        assert_eq!(after[0].first_epoch, oldest, "the late reader holds it");
        drop(late);
        wal.close(PATIENCE).unwrap();
    });
}

#[test]
fn recovery_into_a_map_and_into_a_file_agree() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        for txn in 1..=40u64 {
            let data = page(txn, 1 + txn as u32 % 10, 512);
            let frames = [Frame {
                page_number: 1 + txn as u32 % 10,
                db_size_if_commit: 12,
                data: &data,
            }];
            let ticket = wal
                .submit(&Batch {
                    txn_id: txn,
                    txn_epoch: 0,
                    commit_seq: txn,
                    frames: &frames,
                    metadata: &[],
                })
                .unwrap();
            wal.wait(ticket.epoch, PATIENCE).unwrap();
        }
        wal.close(PATIENCE).unwrap();
        let options = RecoveryOptions::default();
        let (map, _) = recover_into_map_on(place.disk.clone(), &place.db, &options).unwrap();
        assert_eq!(map.db_size, 12);
        let wrong = recover_into_file_on(place.disk.clone(), &place.db, &place.db, 4096, &options)
            .unwrap_err();
        assert!(wrong.message().contains("page_size"), "{wrong}");
        let delete = RecoveryOptions {
            delete_segments: true,
            ..options
        };
        let report =
            recover_into_file_on(place.disk.clone(), &place.db, &place.db, 512, &delete).unwrap();
        assert_eq!(report.records, 40);
        let file = place
            .disk
            .open(&place.db, epochwal::storage::OpenMode::Read)
            .unwrap();
        assert_eq!(file.len().unwrap(), 12 * 512);
        for (number, (seq, image)) in &map.pages {
            let mut got = vec![0; 512];
            epochwal::storage::read_exact_at(&*file, &mut got, u64::from(number - 1) * 512)
                .unwrap();
            assert_eq!(&got, image);
            assert_eq!(image, &page(*seq, *number, 512));
        }
        assert_eq!(list_segments_on(place.disk.clone(), &place.db).unwrap(), []);
    });
}

#[test]
fn nothing_is_deleted_of_a_corrupt_log() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        for txn in 1..=60 {
            let data = page(txn, 1, 512);
            let ticket = wal
                .submit(&Batch {
                    txn_id: txn,
                    txn_epoch: 0,
                    commit_seq: txn,
                    frames: &one_frame(&data),
                    metadata: &[],
                })
                .unwrap();
            wal.wait(ticket.epoch, PATIENCE).unwrap();
        }
        wal.close(PATIENCE).unwrap();
        let segments = list_segments_on(place.disk.clone(), &place.db).unwrap();
        let file = place
            .disk
            .open(&segments[1].path, epochwal::storage::OpenMode::Write)
            .unwrap();
        file.write_at(&[0xff], 300).unwrap();
        let prefix = RecoveryOptions {
            durable_prefix: true,
            delete_segments: true,
            ..RecoveryOptions::default()
        };
        let report =
            recover_into_file_on(place.disk.clone(), &place.db, &place.db, 512, &prefix).unwrap();
        assert_eq!(report.verdict, Verdict::Corrupt);
        let cleanup = cleanup_segments_on(place.disk.clone(), &place.db).unwrap_err();
        assert_eq!(cleanup.kind(), ErrorKind::Corrupt);
        let after = list_segments_on(place.disk.clone(), &place.db).unwrap();
        assert_eq!(after.len(), segments.len());
    });
}

#[test]
fn the_log_is_not_recovered_into_itself() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        commit(&wal, 1).unwrap();
        wal.close(PATIENCE).unwrap();
        let segment = list_segments_on(place.disk.clone(), &place.db).unwrap()[0]
            .path
            .clone();
        let mut state = place.db.clone().into_os_string();
        state.push("-wal-state");
        for target in [segment, state.into()] {
            let none = RecoveryOptions::default();
            let error = recover_into_file_on(place.disk.clone(), &place.db, &target, 512, &none)
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.message().starts_with("target"), "{error}");
        }
        assert_eq!(place.recover_all().len(), 1);
    });
}

#[test]
fn version_one_is_written_on_request_and_both_read_as_one_log() {
    everywhere(|place, options| {
        let mut txn = 0;
        for format in [1, 2, 1, 2] {
            let options = Options {
                segment_format: format,
                ..options.clone()
            };
            let wal = place.open(&options).unwrap();
            for _ in 0..5 {
                txn += 1;
                commit(&wal, txn).unwrap();
            }
            wal.close(PATIENCE).unwrap();
        }
        let got = place.recover_all();
        assert_eq!(
            got.iter().map(|b| b.txn).collect::<Vec<_>>(),
            (1..=20).collect::<Vec<_>>()
        );
        let listed = list_segments_on(place.disk.clone(), &place.db).unwrap();
        let ones = listed.iter().filter(|s| s.version == 1).count();
        assert_eq!((ones, listed.len()), (10, 12));
    });
}

/// Reading costs opens in proportion to the segments, however many there are.
#[test]
fn a_long_log_is_not_listed_again_and_again() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let options = Options {
        segment_size: 16 << 10,
        ..small()
    };
    let wal = place.open(&options).unwrap();
    for txn in 1..=100 {
        commit(&wal, txn).unwrap();
    }
    wal.close(PATIENCE).unwrap();
    let segments = list_segments_on(place.disk.clone(), &place.db)
        .unwrap()
        .len() as u64;
    assert!(segments > 30);
    let before = disk.calls(Call::Open);
    assert_eq!(place.recover_all().len(), 100);
    let opens = disk.calls(Call::Open) - before;
    assert!(
        opens <= 4 * segments + 10,
        "{opens} opens for {segments} segments"
    );
}
