//! Cutting a tail off under a new term.

use super::common::{PATIENCE, Place};
use super::tools::{append, append_all, everywhere, open, read_all, small};
use epochwal::ErrorKind;
use epochwal::spool::{ReadLimit, SpoolOptions};
use epochwal::storage::sim::SimStorage;

#[test]
fn what_is_cut_off_is_gone_and_the_new_term_goes_on() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        for lsn in 1..=200 {
            append(&spool, 1, lsn).unwrap();
        }
        append_all(&spool, 2, &[201, 202]).unwrap();
        let saved = spool
            .truncate_after(150, 5)
            .unwrap()
            .expect("a tail was saved");
        assert!(saved.to_string_lossy().contains("test.db.logical.wal"));
        assert_eq!(spool.bounds().current_lsn, 150);
        assert_eq!(spool.term(), 5);
        let ahead = spool.read_since(151, ReadLimit::default()).unwrap_err();
        assert_eq!((ahead.kind(), ahead.lsn()), (ErrorKind::Ahead, Some(150)));
        assert_eq!(
            append(&spool, 4, 151).unwrap_err().kind(),
            ErrorKind::Fenced
        );
        for lsn in 151..=160 {
            append(&spool, 5, lsn).unwrap();
        }
        let all: Vec<u64> = (1..=160).collect();
        for page in [1, 7, 1000] {
            assert_eq!(read_all(&spool, 0, page).unwrap(), all);
        }
        let terms = |records: Vec<epochwal::spool::SpoolRecord>| -> Vec<u64> {
            records.iter().map(|r| r.term).collect()
        };
        assert_eq!(
            terms(spool.read_since(148, ReadLimit::default()).unwrap())[..4],
            [1, 1, 5, 5]
        );
        spool.close(PATIENCE).unwrap();
        let spool = open(place, &small()).unwrap();
        assert_eq!((spool.bounds().current_lsn, spool.term()), (160, 5));
        assert_eq!(read_all(&spool, 0, 7).unwrap(), all);
        assert_eq!(
            terms(spool.read_since(148, ReadLimit::default()).unwrap())[..4],
            [1, 1, 5, 5]
        );
    });
}

#[test]
fn a_term_that_has_begun_and_bounds_that_do_not_hold_are_refused() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &small()).unwrap();
    for lsn in 1..=50 {
        append(&spool, 3, lsn).unwrap();
    }
    spool.prune_through(10).unwrap();
    for (lsn, term, why) in [
        (20, 3, ErrorKind::Fenced),
        (20, 2, ErrorKind::Fenced),
        (51, 4, ErrorKind::Ahead),
        (9, 4, ErrorKind::WalRemoved),
    ] {
        assert_eq!(spool.truncate_after(lsn, term).unwrap_err().kind(), why);
    }
    assert_eq!(
        spool.truncate_after(50, 4).unwrap(),
        None,
        "no tail, a new term"
    );
    assert_eq!(append(&spool, 3, 51).unwrap_err().kind(), ErrorKind::Fenced);
    append(&spool, 4, 51).unwrap();
    spool.truncate_after(10, 5).unwrap().unwrap();
    assert_eq!(spool.bounds().oldest_lsn, 0);
    spool.close(PATIENCE).unwrap();
    let spool = open(&place, &small()).unwrap();
    let bounds = spool.bounds();
    assert_eq!(
        (bounds.oldest_lsn, bounds.current_lsn, bounds.pruned_through),
        (0, 10, 10)
    );
    append(&spool, 5, 11).unwrap();
    assert_eq!(read_all(&spool, 10, 10).unwrap(), [11]);
}

#[test]
fn cuts_again_and_again_leave_one_history() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let options = SpoolOptions {
        segment_size: 16 << 10,
        ..small()
    };
    let mut model: Vec<(u64, u64)> = Vec::new();
    let mut seed = 12345u64;
    let mut random = move |below: u64| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) % below
    };
    for term in 1..=40u64 {
        let spool = open(&place, &options).unwrap();
        let last = model.last().map_or(0, |r| r.1);
        let cut = last
            .saturating_sub(random(30))
            .max(spool.bounds().pruned_through);
        spool.truncate_after(cut, term).unwrap();
        model.retain(|r| r.1 <= cut);
        let mut lsn = cut;
        for _ in 0..random(60) {
            lsn += 1 + random(3);
            append(&spool, term, lsn).unwrap();
            model.push((term, lsn));
        }
        if term % 7 == 0 {
            let target = cut.saturating_sub(random(50));
            let pruned = spool.prune_through(target).unwrap();
            model.retain(|r| r.1 > pruned);
        }
        let pruned = spool.bounds().pruned_through;
        let read = |spool: &epochwal::spool::Spool| -> Vec<(u64, u64)> {
            let limit = ReadLimit {
                records: usize::MAX,
                bytes: usize::MAX,
            };
            let records = spool.read_since(pruned, limit).unwrap();
            records
                .iter()
                .map(|r| (r.term, super::tools::checked(r)))
                .collect()
        };
        assert_eq!(read(&spool), model, "term {term}");
        drop(spool);
        assert_eq!(
            read(&open(&place, &options).unwrap()),
            model,
            "term {term}, reopened"
        );
    }
}

#[test]
fn a_full_history_refuses_terms_until_a_prune_and_loses_nothing() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let mut spool = open(&place, &small()).unwrap();
    for term in 1..=240 {
        append(&spool, term, term * 2).unwrap();
        if term % 100 == 0 {
            spool.close(PATIENCE).unwrap();
            spool = open(&place, &small()).unwrap();
        }
    }
    for _ in 0..2 {
        let next = spool.bounds().current_lsn + 1;
        let full = append(&spool, 241, next).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::TooLarge, "{full}");
        let full = spool.truncate_after(next - 1, 241).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::TooLarge, "{full}");
        // The term of now is taken on.
        append(&spool, 240, next).unwrap();
        assert_eq!(read_all(&spool, 478, 10).unwrap().first(), Some(&480));
        spool.close(PATIENCE).unwrap();
        spool = open(&place, &small()).unwrap();
    }
    assert_eq!((spool.term(), spool.bounds().current_lsn), (240, 482));
    // A cut drops the terms that it cuts off whole.
    spool.truncate_after(470, 241).unwrap().unwrap();
    spool.prune_through(100).unwrap();
    for term in 242..=260 {
        append(&spool, term, 300 + term).unwrap();
    }
    spool.close(PATIENCE).unwrap();
    let spool = open(&place, &small()).unwrap();
    let whole: Vec<u64> = (51..=235).map(|n| n * 2).chain(542..=560).collect();
    assert_eq!(read_all(&spool, 100, 10).unwrap(), whole);
}

#[test]
fn a_cut_at_the_highest_lsn_has_nothing_behind_it() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &small()).unwrap();
    let last = u64::MAX - 1;
    append_all(&spool, 1, &[last - 1, last]).unwrap();
    let none = spool.truncate_after(last, 2).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Invalid, "{none}");
    assert_eq!(
        append(&spool, 1, last).unwrap_err().kind(),
        ErrorKind::Order
    );
    spool.truncate_after(last - 1, u64::MAX).unwrap().unwrap();
    append(&spool, u64::MAX, last).unwrap();
    let fenced = spool.truncate_after(last - 1, u64::MAX).unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Fenced);
    assert_eq!(spool.prune_through(u64::MAX).unwrap(), last);
    spool.close(PATIENCE).unwrap();
    let spool = open(&place, &small()).unwrap();
    assert_eq!(spool.bounds().current_lsn, last);
    assert_eq!(read_all(&spool, last, 10).unwrap(), [0_u64; 0]);
}
