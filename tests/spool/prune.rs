//! Pruning: what is kept, what goes, and that the numbers go on.

use super::common::{PATIENCE, Place};
use super::tools::{append, append_all, everywhere, open, read_all, small};
use epochwal::ErrorKind;
use epochwal::spool::{Bounds, ReadLimit, SpoolReader};
use epochwal::storage::sim::{Call, SimStorage};

#[test]
fn a_prune_is_seen_at_once_and_after_a_reopen() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        for lsn in 1..=600 {
            append(&spool, 1, lsn * 2).unwrap();
        }
        let segments = spool.stats().unwrap().unwrap().segments_in_use;
        assert!(segments > 3);
        assert_eq!(spool.prune_through(601).unwrap(), 601);
        let bounds = Bounds {
            oldest_lsn: 602,
            current_lsn: 1200,
            pruned_through: 601,
        };
        let check = |spool: &epochwal::spool::Spool| {
            assert_eq!(spool.bounds(), bounds);
            for lsn in [0, 599, 600] {
                let gone = spool.read_since(lsn, ReadLimit::default()).unwrap_err();
                assert_eq!(
                    (gone.kind(), gone.lsn()),
                    (ErrorKind::WalRemoved, Some(602))
                );
            }
            assert_eq!(read_all(spool, 601, 50).unwrap().len(), 300);
        };
        check(&spool);
        assert!(spool.stats().unwrap().unwrap().segments_in_use < segments);
        assert_eq!(spool.prune_through(10).unwrap(), 601, "never back");
        spool.close(PATIENCE).unwrap();
        check(&open(place, &small()).unwrap());
    });
}

/// To remove large files takes long.
#[test]
fn appends_go_on_while_files_are_removed() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &small()).unwrap();
    for lsn in 1..=600 {
        append(&spool, 1, lsn).unwrap();
    }
    let gate = disk.block_on_path(Call::Remove, ".wal-seg-");
    std::thread::scope(|scope| {
        let pruning = scope.spawn(|| spool.prune_through(600));
        gate.wait_blocked();
        let appended = append(&spool, 1, 601);
        let reader = SpoolReader::open_on(place.disk.clone(), &place.db, Some(600));
        let read = reader.and_then(|mut r| r.read_to_end().map(|()| r.report().clone()));
        gate.open();
        appended.unwrap();
        assert_eq!(read.unwrap().last_lsn, 601);
        assert_eq!(pruning.join().unwrap().unwrap(), 600);
    });
    assert_eq!(read_all(&spool, 600, 50).unwrap(), [601]);
}

#[test]
fn a_spool_pruned_empty_goes_on_after_what_it_had() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        for lsn in 1..=100 {
            append(&spool, 7, lsn).unwrap();
        }
        assert_eq!(spool.prune_through(u64::MAX).unwrap(), 100);
        let empty = Bounds {
            oldest_lsn: 0,
            current_lsn: 100,
            pruned_through: 100,
        };
        assert_eq!(spool.bounds(), empty);
        spool.close(PATIENCE).unwrap();
        for _ in 0..2 {
            let spool = open(place, &small()).unwrap();
            assert_eq!(spool.bounds(), empty);
            assert_eq!(append(&spool, 7, 100).unwrap_err().kind(), ErrorKind::Order);
            assert_eq!(
                append(&spool, 6, 101).unwrap_err().kind(),
                ErrorKind::Fenced
            );
            spool.close(PATIENCE).unwrap();
        }
        let spool = open(place, &small()).unwrap();
        append_all(&spool, 7, &[101, 102]).unwrap();
        assert_eq!(read_all(&spool, 100, 10).unwrap(), [101, 102]);
        assert_eq!(spool.bounds().oldest_lsn, 101);
    });
}

#[test]
fn a_full_disk_stops_neither_reading_nor_pruning_for_good() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &small()).unwrap();
    disk.set_capacity(Some(300 << 10));
    let mut lsn = 1;
    let pending = loop {
        match append(&spool, 1, lsn) {
            Ok(()) => lsn += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(pending.kind(), ErrorKind::NoSpace);
    let epoch = pending.ticket().expect("it stays staged").epoch;
    assert_eq!(spool.bounds().current_lsn, lsn - 1);
    assert_eq!(read_all(&spool, 0, 100).unwrap().len() as u64, lsn - 1);
    // Files that pruning lets go of make room.
    spool.prune_through(lsn - 1).unwrap();
    let ticket = epochwal::spool::SpoolTicket {
        epoch,
        first_lsn: lsn,
        last_lsn: lsn,
    };
    spool.wait(ticket, PATIENCE).unwrap();
    assert_eq!(read_all(&spool, lsn - 1, 10).unwrap(), [lsn]);
    append(&spool, 1, lsn + 1).unwrap();
}
