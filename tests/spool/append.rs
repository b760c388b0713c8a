//! What is taken, and what is refused without leaving a byte.

use super::common::{PATIENCE, Place};
use super::tools::{append, append_all, everywhere, open, payload, read_all, small};
use epochwal::ErrorKind;
use epochwal::spool::{Bounds, ReadLimit, Record, Spool, SpoolOptions, SpoolTicket};
use epochwal::storage::sim::SimStorage;
use std::sync::{Arc, mpsc};
use std::time::Duration;

fn kind(result: epochwal::Result<()>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn what_was_appended_is_read_and_outlives_a_reopen() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        assert_eq!(spool.bounds(), Bounds::default());
        assert!(read_all(&spool, 0, 10).unwrap().is_empty());
        let all: Vec<u64> = (1..=500).map(|n| n * 3).collect();
        for run in all.chunks(7) {
            append_all(&spool, 1, run).unwrap();
        }
        let bounds = Bounds {
            oldest_lsn: 3,
            current_lsn: 1500,
            pruned_through: 0,
        };
        assert_eq!(spool.bounds(), bounds);
        assert_eq!(read_all(&spool, 0, 10).unwrap(), all);
        spool.close(PATIENCE).unwrap();
        let spool = open(place, &small()).unwrap();
        assert_eq!(spool.bounds(), bounds);
        assert_eq!(spool.term(), 1);
        for page in [1, 10, 1000] {
            assert_eq!(read_all(&spool, 0, page).unwrap(), all);
        }
        for lsn in [1, 2, 3, 4, 700, 751, 1499] {
            let above: Vec<u64> = all.iter().copied().filter(|l| *l > lsn).collect();
            assert_eq!(read_all(&spool, lsn, 100).unwrap(), above);
        }
        append(&spool, 1, 1501).unwrap();
        assert_eq!(read_all(&spool, 1500, 100).unwrap(), [1501]);
    });
}

#[test]
fn callbacks_run_once_and_may_not_block() {
    let place = Place::real();
    let spool = Arc::new(open(&place, &small()).unwrap());
    let (send, receive) = mpsc::channel();
    let record = Record {
        term: 1,
        lsn: 7,
        timestamp_ms: 1,
        payload: b"x",
    };
    let ticket = spool.submit(&[record]).unwrap();
    let inner = spool.clone();
    let callback = move |epoch, outcome: epochwal::Result<()>| {
        let seen = inner.bounds().current_lsn;
        let blocked = kind(inner.flush(None));
        send.send((epoch, outcome.is_ok(), seen, blocked)).unwrap();
    };
    spool.on_durable(ticket, Box::new(callback)).unwrap();
    let got = receive.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(got, (ticket.epoch, true, 7, ErrorKind::Deadlock));
    assert!(receive.recv().is_err(), "the callback is gone");
    let never = SpoolTicket {
        epoch: ticket.epoch + 1000,
        ..ticket
    };
    let refused = spool.on_durable(never, Box::new(|_, _| unreachable!()));
    assert_eq!(kind(refused), ErrorKind::Invalid);
}

#[test]
fn lsns_that_do_not_rise_and_terms_that_fall_are_refused() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        append_all(&spool, 3, &[5, 9]).unwrap();
        assert_eq!(kind(append(&spool, 3, 9)), ErrorKind::Order);
        assert_eq!(kind(append(&spool, 3, 8)), ErrorKind::Order);
        assert_eq!(kind(append(&spool, 2, 10)), ErrorKind::Fenced);
        assert_eq!(kind(append_all(&spool, 3, &[10, 10])), ErrorKind::Order);
        assert_eq!(kind(append_all(&spool, 3, &[11, 10])), ErrorKind::Order);
        assert_eq!(kind(append_all(&spool, 3, &[])), ErrorKind::Invalid);
        assert_eq!(kind(append(&spool, 3, 0)), ErrorKind::Invalid);
        assert_eq!(kind(append(&spool, 3, u64::MAX)), ErrorKind::Invalid);
        let refused = spool.append(
            &[
                Record {
                    term: 4,
                    lsn: 10,
                    timestamp_ms: 1,
                    payload: b"",
                },
                Record {
                    term: 3,
                    lsn: 11,
                    timestamp_ms: 1,
                    payload: b"",
                },
            ],
            PATIENCE,
        );
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Fenced);
        append(&spool, 3, 10).unwrap();
        assert_eq!(read_all(&spool, 0, 10).unwrap(), [5, 9, 10]);
        spool.close(PATIENCE).unwrap();
        let spool = open(place, &small()).unwrap();
        assert_eq!(read_all(&spool, 0, 10).unwrap(), [5, 9, 10]);
        assert_eq!(kind(append(&spool, 2, 11)), ErrorKind::Fenced);
        assert_eq!(kind(append(&spool, 3, 10)), ErrorKind::Order);
    });
}

#[test]
fn lsns_are_exact_up_to_the_last_one() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        let lsns = [
            (1 << 53) - 1,
            1 << 53,
            (1 << 53) + 1,
            (1 << 63) - 1,
            1 << 63,
            u64::MAX - 2,
            u64::MAX - 1,
        ];
        for lsn in lsns {
            append(&spool, u64::MAX, lsn).unwrap();
            assert_eq!(spool.bounds().current_lsn, lsn);
        }
        spool.close(PATIENCE).unwrap();
        let spool = open(place, &small()).unwrap();
        assert_eq!(read_all(&spool, 0, 3).unwrap(), lsns);
        assert!(read_all(&spool, u64::MAX - 1, 3).unwrap().is_empty());
        let beyond = spool.read_since(u64::MAX, ReadLimit::default());
        assert_eq!(beyond.unwrap_err().kind(), ErrorKind::Ahead);
        assert_eq!(kind(append(&spool, u64::MAX, u64::MAX)), ErrorKind::Invalid);
        assert_eq!(kind(append(&spool, u64::MAX, 1)), ErrorKind::Order);
    });
}

#[test]
fn a_payload_at_the_limit_is_taken_and_one_byte_more_is_not() {
    everywhere(|place| {
        let options = SpoolOptions {
            max_payload: 5 << 20,
            ..small()
        };
        let spool = open(place, &options).unwrap();
        let large = vec![7; (5 << 20) + 1];
        let record = |lsn, len| Record {
            term: 1,
            lsn,
            timestamp_ms: 1,
            payload: &large[..len],
        };
        for (lsn, len) in [
            (1, 5 << 20),
            (2, 0),
            (3, 1),
            (4, (4 << 20) - 48),
            (5, 4 << 20),
        ] {
            spool.append(&[record(lsn, len)], PATIENCE).unwrap();
        }
        let refused = spool
            .append(&[record(6, (5 << 20) + 1)], PATIENCE)
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TooLarge);
        assert!(refused.message().contains("LSN 6"), "{refused}");
        spool.close(PATIENCE).unwrap();
        let spool = open(place, &options).unwrap();
        // One record comes even if it alone is above the limit.
        let limit = ReadLimit {
            records: 10,
            bytes: 100,
        };
        let lens = |lsn| -> Vec<usize> {
            let got = spool.read_since(lsn, limit).unwrap();
            got.iter().map(|r| r.payload.len()).collect()
        };
        assert_eq!(lens(0), [5 << 20]);
        assert_eq!(lens(1), [0, 1]);
        assert_eq!(lens(3), [(4 << 20) - 48]);
        assert_eq!(lens(4), [4 << 20]);
        assert_eq!(lens(5), [0_usize; 0]);
    });
}

#[test]
fn gaps_are_refused_where_that_is_asked_for() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let options = SpoolOptions {
        dense: true,
        ..small()
    };
    let spool = open(&place, &options).unwrap();
    append(&spool, 1, 100).unwrap();
    append_all(&spool, 1, &[101, 102]).unwrap();
    assert_eq!(kind(append(&spool, 1, 104)), ErrorKind::Order);
    assert_eq!(kind(append_all(&spool, 1, &[103, 105])), ErrorKind::Order);
    spool.close(PATIENCE).unwrap();
    let spool = open(&place, &options).unwrap();
    assert_eq!(kind(append(&spool, 1, 104)), ErrorKind::Order);
    append(&spool, 1, 103).unwrap();
}

#[test]
fn one_writer_and_the_child_of_a_close_are_told() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        assert_eq!(open(place, &small()).unwrap_err().kind(), ErrorKind::Locked);
        append(&spool, 1, 1).unwrap();
        spool.close(PATIENCE).unwrap();
        assert_eq!(spool.close(PATIENCE).unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(kind(append(&spool, 1, 2)), ErrorKind::Closed);
        assert_eq!(kind(spool.wait_after(0, PATIENCE)), ErrorKind::Closed);
        open(place, &small()).unwrap();
    });
}

#[test]
fn a_page_log_and_a_spool_of_one_file_do_not_meet() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        let wal = place.open(&super::common::small()).unwrap();
        append(&spool, 1, 1).unwrap();
        super::common::commit(&wal, 1).unwrap();
        spool.close(PATIENCE).unwrap();
        wal.close(PATIENCE).unwrap();
        assert_eq!(
            read_all(&open(place, &small()).unwrap(), 0, 10).unwrap(),
            [1]
        );
        assert_eq!(place.recover_all().len(), 1);
    });
}

#[test]
fn a_spool_in_memory_keeps_the_newest_and_says_what_is_gone() {
    let options = SpoolOptions {
        ring_bytes: 64 << 10,
        ring_records: 100,
        ..SpoolOptions::default()
    };
    let spool = Spool::in_memory(&options).unwrap();
    assert!(!spool.is_durable());
    for lsn in 1..=250 {
        append(&spool, 1, lsn).unwrap();
    }
    let bounds = spool.bounds();
    assert_eq!((bounds.oldest_lsn, bounds.current_lsn), (151, 250));
    assert_eq!(bounds.pruned_through, 150);
    let removed = spool.read_since(149, ReadLimit::default()).unwrap_err();
    assert_eq!(removed.kind(), ErrorKind::WalRemoved);
    assert_eq!(removed.lsn(), Some(151));
    assert_eq!(
        read_all(&spool, 150, 7).unwrap(),
        (151..=250).collect::<Vec<_>>()
    );
    assert_eq!(spool.prune_through(200).unwrap(), 200);
    assert_eq!(spool.bounds().oldest_lsn, 201);
    assert_eq!(kind(append(&spool, 1, 250)), ErrorKind::Order);
    assert_eq!(
        spool.truncate_after(220, 2).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    let held = spool.read_since(249, ReadLimit::default()).unwrap();
    spool.close(PATIENCE).unwrap();
    assert_eq!(&*held[0].payload, payload(250));
    assert_eq!(kind(append(&spool, 1, 251)), ErrorKind::Closed);
}

/// Of records and of the end, as that of a log does.
#[test]
fn a_descriptor_tells_of_records_in_memory() {
    use std::io::Read;
    let spool = Spool::in_memory(&SpoolOptions::default()).unwrap();
    let mut fd = std::fs::File::from(spool.event_fd().unwrap());
    let mut rang = || fd.read(&mut [0; 8]).is_ok();
    assert!(!rang());
    append(&spool, 1, 1).unwrap();
    assert!(rang() && !rang());
    append(&spool, 1, 1).unwrap_err();
    assert!(!rang(), "nothing was taken");
    spool.close(PATIENCE).unwrap();
    assert!(rang());
    assert_eq!(spool.event_fd().unwrap_err().kind(), ErrorKind::Closed);
}
