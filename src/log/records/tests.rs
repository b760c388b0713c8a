use super::stand::*;
use crate::error::{Error, ErrorKind};
use crate::format::group::CertificateFlags;
use crate::format::names::Names;
use crate::format::terms::{MAX_TERMS, Terms};
use crate::log::policy::{SyncPolicy, SyncStyle};
use crate::log::{LogFiles, LogOptions, ReaderHold, Step, Verdict, Walker, cleanup};
use crate::storage::sim::SimStorage;
use crate::storage::{OpenMode, Storage, read_up_to, write_all_at};
use std::path::Path;

/// What an open finds after a crash that lost nothing that was synced.
fn crashed(sim: &SimStorage) -> SimStorage {
    sim.crash_nothing()
}

fn ids(term: u64, lsns: std::ops::RangeInclusive<u64>) -> Vec<Id> {
    lsns.map(|lsn| (term, lsn)).collect()
}

/// Flips a bit of a byte of a file.
fn flip(sim: &SimStorage, path: &Path, at: u64) {
    let file = disk(sim).open(path, OpenMode::Write).unwrap();
    let mut byte = [0];
    assert_eq!(read_up_to(&*file, &mut byte, at).unwrap(), 1);
    byte[0] ^= 4;
    write_all_at(&*file, &byte, at, 1).unwrap();
}

fn salvage(sim: &SimStorage) -> Session {
    let options = LogOptions {
        salvage: true,
        ..options(SyncStyle::Buffered)
    };
    open_with(sim, options).unwrap()
}

#[test]
fn what_was_appended_comes_back_after_a_crash_and_after_a_close() {
    for style in [SyncStyle::Buffered, SyncStyle::Direct] {
        let sim = SimStorage::new();
        let mut log = open_with(&sim, options(style)).unwrap();
        assert_eq!(
            log.opened.records.clone().unwrap_or_default().highest_lsn,
            0
        );
        log.append(&[(3, 5), (3, 6)]).unwrap();
        log.append(&[(3, 9), (4, 10)]).unwrap();
        for lsn in 11..20 {
            log.append(&[(4, lsn)]).unwrap();
        }
        assert_eq!(log.log().live_segments().len(), 4);
        let expected: Vec<_> = [(3, 5), (3, 6), (3, 9), (4, 10)]
            .into_iter()
            .chain(ids(4, 11..=19))
            .collect();
        let mut places = vec![crashed(&sim)];
        log.close().unwrap();
        places.push(crashed(&sim));
        for sim in places {
            let found = read(&sim).unwrap();
            assert_eq!((&found.live, &found.all), (&expected, &expected));
            assert_eq!((found.highest, found.end.verdict), (19, Verdict::Clean));
            let log = open(&sim);
            let records = log.opened.records.unwrap();
            assert_eq!((records.highest_lsn, records.term), (19, 4));
            assert_eq!(listed(&records.terms), [(3, 5), (4, 10)]);
            assert_eq!(log.opened.torn, None);
        }
    }
}

/// Terms that no save of the state file has seen yet stand in the segment.
#[test]
fn terms_that_were_not_saved_are_found_again() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    log.append(&[(1, 1)]).unwrap();
    log.append(&[(2, 2), (5, 3)]).unwrap();
    let saved = read(&crashed(&sim)).unwrap().state.unwrap();
    assert_eq!(listed(&saved.records.terms), []);
    let expected = [(1, 1), (2, 2), (5, 3)];
    assert_eq!(listed(log.log().terms()), expected);
    let sim = crashed(&sim);
    assert_eq!(listed(&read(&sim).unwrap().terms), expected);
    let mut log = open(&sim);
    assert_eq!(listed(log.log().terms()), expected);
    let state = read(&crashed(&sim)).unwrap().state.unwrap();
    assert_eq!(listed(&state.records.terms), expected);
    assert_eq!(state.highest_seq, 3);
}

#[test]
fn records_out_of_order_are_refused_before_they_are_written() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    log.append(&[(3, 5), (3, 6)]).unwrap();
    for wrong in [
        &[(3, 6)][..],
        &[(2, 7)],
        &[(3, 7), (3, 7)],
        &[(4, 8), (3, 9)],
        &[(4, 6)],
    ] {
        let error = log.append(wrong).unwrap_err();
        assert!(error.message().contains("out of order"), "{error}");
    }
    log.append(&[(4, 7)]).unwrap();
    assert_eq!(read(&sim).unwrap().live, [(3, 5), (3, 6), (4, 7)]);
}

#[test]
fn a_history_that_is_full_takes_no_term_until_some_is_pruned() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    let last = MAX_TERMS as u64;
    for term in 1..=last {
        log.append(&[(term, 10 * term)]).unwrap();
    }
    let next = (last + 1, 10 * last + 10);
    let error = log.append(&[next]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    let error = log.log().branch(next.0, 10 * last + 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    log.append(&[(last, 10 * last + 1)]).unwrap();
    log.prune(20, None, &|_| false).unwrap();
    let error = log.append(&[next, (next.0 + 1, next.1 + 1)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    log.append(&[next]).unwrap();
    let sim = crashed(&sim);
    let found = read(&sim).unwrap();
    assert_eq!(found.end.verdict, Verdict::Clean);
    assert_eq!(found.live.len() as u64, last + 2 - 2);
    assert_eq!(listed(&found.terms).len(), MAX_TERMS);
    assert_eq!(listed(&found.terms)[0], (2, 20));
}

#[test]
fn a_branch_is_one_save_and_what_it_cuts_off_stays_dead() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    for lsn in 1..=8 {
        log.append(&[(1, lsn)]).unwrap();
    }
    let before = sim.calls(crate::storage::sim::Call::Write);
    log.log().branch(2, 5).unwrap();
    // Two copies of the state, and nothing else.
    assert_eq!(sim.calls(crate::storage::sim::Call::Write) - before, 2);
    let check = |sim: &SimStorage, live: &[Id], highest: u64| {
        let found = read(sim).unwrap();
        assert_eq!(found.live, live);
        assert_eq!(found.end.verdict, Verdict::Clean);
        let log = open(&crashed(sim));
        let records = log.opened.records.unwrap();
        assert_eq!((records.highest_lsn, records.term), (highest, 2));
        assert_eq!(listed(&records.terms), [(1, 1), (2, 5)]);
    };
    check(&crashed(&sim), &ids(1, 1..=4), 4);
    assert_eq!(
        log.append(&[(1, 9)]).unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    log.append(&[(2, 6)]).unwrap();
    let live = [&ids(1, 1..=4)[..], &[(2, 6)]].concat();
    check(&crashed(&sim), &live, 6);
    log.close().unwrap();
    check(&crashed(&sim), &live, 6);
    assert_eq!(read(&sim).unwrap().all.len(), 9);
}

/// Branches upon branches, some of them cut off whole before they had a record.
#[test]
fn branches_of_branches_are_followed() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    log.append(&ids(1, 1..=9)).unwrap();
    log.log().branch(2, 7).unwrap();
    log.append(&ids(2, 7..=8)).unwrap();
    log.log().branch(3, 6).unwrap();
    log.log().branch(4, 4).unwrap();
    log.append(&ids(4, 4..=4)).unwrap();
    log.append(&ids(6, 5..=7)).unwrap();
    log.log().branch(9, 7).unwrap();
    log.append(&ids(9, 7..=7)).unwrap();
    let live = [&ids(1, 1..=3)[..], &[(4, 4), (6, 5), (6, 6), (9, 7)]].concat();
    let sim = crashed(&sim);
    let found = read(&sim).unwrap();
    assert_eq!((found.live, found.highest), (live.clone(), 7));
    assert_eq!(listed(&found.terms), [(1, 1), (4, 4), (6, 5), (9, 7)]);
    // Deeper than all of them: what stays of their order can't be judged.
    let mut log = open(&sim);
    log.log().branch(10, 1).unwrap();
    log.append(&[(10, 1)]).unwrap();
    drop(log);
    let found = read(&crashed(&sim)).unwrap();
    assert_eq!((found.live, found.highest), (vec![(10, 1)], 1));
    assert_eq!(found.end.verdict, Verdict::Clean);
}

#[test]
fn a_branch_has_bounds() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    log.append(&ids(3, 1..=9)).unwrap();
    log.prune(2, None, &|_| false).unwrap();
    log.log().save_quorum(5).unwrap();
    log.log().save_quorum(4).unwrap();
    let kind = |result: Result<(), Error>| result.unwrap_err().kind();
    for (term, first_lsn) in [(4, 5), (4, 2), (4, 0), (4, 11), (3, 7), (2, 7)] {
        let refused = kind(log.log().branch(term, first_lsn));
        assert_eq!(refused, ErrorKind::Invalid, "{term}, {first_lsn}");
    }
    assert_eq!((log.log().quorum(), log.log().highest_seq()), (5, 9));
    log.log().branch(4, 10).unwrap();
    log.log().branch(5, 6).unwrap();
    drop(log);
    let mut log = open(&crashed(&sim));
    assert_eq!((log.log().quorum(), log.log().highest_seq()), (5, 5));
    assert_eq!(listed(log.log().terms()), [(3, 1), (5, 6)]);
}

#[test]
fn what_is_pruned_is_let_go_and_numbers_go_on() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    for lsn in 1..=9 {
        log.append(&[(1, lsn)]).unwrap();
    }
    let ends: Vec<u64> = log
        .log()
        .live_segments()
        .iter()
        .map(|s| s.last_epoch)
        .collect();
    assert_eq!(ends.len(), 3);
    log.prune(4, Some(ends[0]), &|_| false).unwrap();
    assert_eq!(log.log().live_segments().len(), 2);
    let found = read(&crashed(&sim)).unwrap();
    assert_eq!((found.live, found.all), (ids(1, 5..=9), ids(1, 4..=9)));
    // Nothing to let go of; what was said before is not taken back.
    log.prune(3, None, &|_| false).unwrap();
    assert_eq!(read(&crashed(&sim)).unwrap().live, ids(1, 5..=9));
    log.prune(9, Some(ends[2]), &|_| false).unwrap();
    assert_eq!(log.log().live_segments().len(), 0);
    drop(log);
    let sim = crashed(&sim);
    assert_eq!(count_files(&sim, "seg"), 0);
    let mut log = open(&sim);
    let records = log.opened.records.clone().unwrap();
    assert_eq!((records.highest_lsn, records.pruned_through), (9, 9));
    assert_eq!((records.term, listed(&records.terms)), (1, vec![(1, 1)]));
    assert!(log.append(&[(1, 9)]).is_err());
    log.append(&[(1, 10)]).unwrap();
    assert_eq!(read(&crashed(&sim)).unwrap().live, [(1, 10)]);
}

#[test]
fn a_segment_in_use_is_not_reused() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    for lsn in 1..=7 {
        log.append(&[(1, lsn)]).unwrap();
    }
    let spares = count_files(&sim, "spare");
    let first: Vec<u64> = log
        .log()
        .live_segments()
        .iter()
        .map(|s| s.first_epoch)
        .collect();
    let asked = std::cell::RefCell::new(Vec::new());
    let in_use = |epoch| {
        asked.borrow_mut().push(epoch);
        true
    };
    let held = disk(&sim)
        .open(&names().segment(first[0]), OpenMode::Read)
        .unwrap();
    log.prune(3, Some(first[1] - 1), &in_use).unwrap();
    assert_eq!(*asked.borrow(), [first[0]]);
    assert_eq!(count_files(&sim, "spare"), spares);
    let mut block = [0; 4096];
    assert_eq!(read_up_to(&*held, &mut block, 0).unwrap(), 4096);
    assert_ne!(block, [0; 4096]);
    log.prune(6, Some(first[2] - 1), &|_| false).unwrap();
    assert_eq!(count_files(&sim, "spare"), spares + 1);
    assert_eq!(count_files(&sim, "seg"), 1);
}

#[test]
fn what_a_reader_elsewhere_holds_is_let_go_later() {
    for by_roll in [false, true] {
        let sim = SimStorage::new();
        let mut log = open(&sim);
        for lsn in 1..=7 {
            log.append(&[(1, lsn)]).unwrap();
        }
        let oldest = log.log().live_segments()[0].last_epoch;
        let path = log.log().live_segments()[0].path.clone();
        let here = disk(&sim).open(&path, OpenMode::Read).unwrap();
        let content = || {
            let mut block = vec![0; 4096];
            read_up_to(&*here, &mut block, 0).unwrap();
            block
        };
        let before = content();
        let hold = ReaderHold::take(&disk(&sim), &names().lock()).unwrap();
        let never = |_| panic!("a segment that stays");
        log.prune(5, Some(oldest), &never).unwrap();
        assert_eq!(log.log().live_segments().len(), 3);
        assert_eq!(read(&crashed(&sim)).unwrap().live, ids(1, 6..=7));
        drop(hold);
        match by_roll {
            false => log.prune(5, None, &|_| false).unwrap(),
            true => {
                for lsn in 8..=10 {
                    log.append(&[(1, lsn)]).unwrap();
                }
            }
        }
        let left = log.log().live_segments()[0].first_epoch;
        assert!(left > oldest, "{by_roll}");
        assert_eq!(read(&crashed(&sim)).unwrap().live[0], (1, 6));
        // A roll can't ask who reads here, so it reuses nothing.
        for lsn in 11..=20 {
            log.append(&[(1, lsn)]).unwrap();
        }
        assert_eq!(content() == before, by_roll);
    }
}

/// Right checksums around a wrong order are damage, also where no watermark
/// covers them.
#[test]
fn a_wrong_order_is_corrupt_and_never_torn() {
    let within = |wrong: &[Id], make: &dyn Fn(&mut Session)| {
        let sim = SimStorage::new();
        let mut log = open(&sim);
        log.append(&[(3, 5), (3, 6)]).unwrap();
        make(&mut log);
        // As a writer would that does not look.
        log.log().highest_seq = 0;
        log.log().state.note(|s| s.records.terms = Terms::default());
        let blind = |s: &mut crate::format::group::Summary| {
            s.out_of_order = None;
            s.runs.clear();
        };
        log.append_as(wrong, blind, CertificateFlags::default())
            .unwrap();
        drop(log);
        let found = read(&sim).unwrap();
        (found.end.verdict, found.end.reason)
    };
    let nothing = |_: &mut Session| {};
    for wrong in [
        &[(3, 6)][..],
        &[(2, 7)],
        &[(3, 8), (3, 8)],
        &[(4, 8), (3, 9)],
        &[(3, 8), (4, 7)],
        &[(4, 6)],
        &[(4, 5)],
    ] {
        let (verdict, reason) = within(wrong, &nothing);
        assert_eq!(verdict, Verdict::Corrupt, "{wrong:?}: {reason}");
        assert!(reason.starts_with("record: "), "{reason}");
    }
    assert_eq!(within(&[(4, 7)], &nothing).0, Verdict::Clean);
    // The history knows of a branch, but of another place.
    let branch = |log: &mut Session| log.log().branch(5, 6).unwrap();
    assert_eq!(within(&[(5, 6)], &branch).0, Verdict::Clean);
    assert_eq!(within(&[(5, 5)], &branch).0, Verdict::Corrupt);
    assert_eq!(within(&[(6, 5)], &branch).0, Verdict::Corrupt);
    assert_eq!(within(&[(6, 6)], &branch).0, Verdict::Clean);
    assert_eq!(within(&[(3, 7), (5, 8)], &branch).0, Verdict::Clean);
}

#[test]
fn more_terms_than_a_history_holds_are_corrupt() {
    for (terms, expected) in [(240, Verdict::Clean), (241, Verdict::Corrupt)] {
        let sim = SimStorage::new();
        let mut log = open(&sim);
        let all: Vec<Id> = (1..=terms).map(|n| (n, n)).collect();
        let blind = |s: &mut crate::format::group::Summary| s.runs.clear();
        log.append_as(&all, blind, CertificateFlags::default())
            .unwrap();
        drop(log);
        assert_eq!(read(&sim).unwrap().end.verdict, expected, "{terms}");
    }
}

#[test]
fn a_walk_that_starts_again_takes_what_comes() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    for lsn in 1..=5 {
        log.append(&[(1, lsn)]).unwrap();
    }
    drop(log);
    let files = LogFiles::list(&disk(&sim), &names()).unwrap();
    let mut walker = Walker::new(disk(&sim), files, None);
    for (start, groups) in [(0, 5), (0, 5), (1, 2)] {
        walker.start_at(start);
        let mut seen = 0;
        let end = loop {
            match walker.step(true).unwrap() {
                Step::End(end) => break end,
                _ => seen += 1,
            }
        };
        assert_eq!((end.verdict, seen), (Verdict::Clean, groups));
    }
}

#[test]
fn after_a_cleanup_numbers_go_on() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    for lsn in 1..=5 {
        log.append(&[(lsn, lsn)]).unwrap();
    }
    drop(log);
    assert_eq!(cleanup(&disk(&sim), &names()).unwrap(), 2);
    let log = open(&crashed(&sim));
    let records = log.opened.records.unwrap();
    assert_eq!((records.highest_lsn, records.pruned_through), (5, 5));
    let expected: Vec<Id> = (1..=5).map(|n| (n, n)).collect();
    assert_eq!(listed(&records.terms), expected);
}

/// Without a group's body its certificate tells at least where it begins.
#[test]
fn a_walk_along_certificates_sees_falling_numbers() {
    let verdict = |branch: bool, again: bool| {
        let sim = SimStorage::new();
        let mut log = open(&sim);
        log.append(&[(1, 5), (1, 6)]).unwrap();
        if branch {
            log.log().branch(2, 6).unwrap();
            log.append(&[(2, 6)]).unwrap();
        }
        if again {
            log.log().highest_seq = 0;
            log.append(&[(2, 3)]).unwrap();
        }
        drop(log);
        let files = LogFiles::list(&disk(&sim), &names()).unwrap();
        let mut walker = Walker::new(disk(&sim), files, None);
        loop {
            if let Step::End(end) = walker.step(false).unwrap() {
                return end.verdict;
            }
        }
    };
    assert_eq!(verdict(false, false), Verdict::Clean);
    assert_eq!(verdict(true, false), Verdict::Clean);
    assert_eq!(verdict(false, true), Verdict::Corrupt);
    assert_eq!(verdict(true, true), Verdict::Corrupt);
}

#[test]
fn each_kind_of_log_refuses_the_others_groups() {
    let spool = names();
    let pages = Names::new(Path::new("/app.db"));
    for (own, other) in [(&spool, &pages), (&pages, &spool)] {
        let sim = SimStorage::new();
        let opened = crate::log::open_log(
            &disk(&sim),
            own,
            options(SyncStyle::Buffered),
            &mut |_, _| Ok(()),
        )
        .unwrap();
        let mut log = Session {
            epoch: opened.next_epoch,
            opened,
        };
        // A void alone has its place in both; then records, into the same
        // segment, under the other kind.
        log.append(&[]).unwrap();
        log.log().names = other.clone();
        log.append(&[(1, 2)]).unwrap();
        drop(log);
        let files = LogFiles::list(&disk(&sim), own).unwrap();
        let mut walker = Walker::new(disk(&sim), files, None);
        let end = loop {
            match walker.step(true).unwrap() {
                Step::End(end) => break end,
                Step::Group(group) => assert_eq!(group.header.kind, own.kind()),
                Step::Epoch(..) => unreachable!(),
            }
        };
        let what = match own == &spool {
            true => "group: of page batches, in a log of records",
            false => "group: of records, in a log of pages",
        };
        assert_eq!((end.verdict, &end.reason[..]), (Verdict::Torn, what));
        assert_eq!(end.position, 4096);
        // And the state file of the one is none of the other's.
        sim.rename(&own.state(), &other.state()).unwrap();
        let error = LogFiles::list(&disk(&sim), other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(error.offset(), Some(120));
    }
}

#[test]
fn what_only_pages_have_is_refused() {
    let version_one = LogOptions {
        version_one: true,
        ..options(SyncStyle::Buffered)
    };
    let refused = open_with(&SimStorage::new(), version_one).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let sim = SimStorage::new();
    let mut log = open(&sim);
    let assigned = CertificateFlags {
        assigned: true,
        ..CertificateFlags::default()
    };
    log.append_as(&[(1, 1)], |_| {}, assigned).unwrap();
    drop(log);
    let found = read(&sim).unwrap();
    assert_eq!(found.end.verdict, Verdict::Torn);
    assert_eq!(
        found.end.reason,
        "certificate: sequences assigned to records"
    );
}

#[test]
fn segments_without_a_state_are_corrupt() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    log.append(&[(1, 1)]).unwrap();
    drop(log);
    sim.remove(&names().state()).unwrap();
    let error = open_with(&sim, options(SyncStyle::Buffered)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    // Whatever is in it.
    let sim = SimStorage::new();
    let junk = disk(&sim)
        .open(&names().segment(1), OpenMode::WriteOrCreate)
        .unwrap();
    write_all_at(&*junk, &[7; 4096], 0, 1).unwrap();
    let error = open_with(&sim, options(SyncStyle::Buffered)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

/// Damage to what was acknowledged: the error says which LSNs lie beyond, and a
/// salvage keeps what is before and gives none of them out again.
#[test]
fn a_salvage_gives_no_number_out_again() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    for lsn in 1..=8 {
        log.append(&[(1, lsn)]).unwrap();
    }
    log.append(&[(2, 20), (2, 25)]).unwrap();
    let segment = log.log().live_segments()[1].path.clone();
    drop(log);
    // The body of the group of LSN 4.
    flip(&sim, &segment, 200);
    let error = open_with(&sim, options(SyncStyle::Buffered)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let beyond = "records of LSN 4 to 25 lie beyond";
    assert!(error.message().contains(beyond), "{error}");
    assert!(error.message().contains("salvages"), "{error}");
    let mut log = salvage(&sim);
    assert!(!log.opened.salvaged.is_empty());
    let records = log.opened.records.clone().unwrap();
    assert_eq!((records.highest_lsn, records.term), (25, 1));
    assert_eq!(read(&sim).unwrap().live, ids(1, 1..=3));
    assert!(log.append(&[(2, 25)]).is_err());
    log.append(&[(2, 26)]).unwrap();
    drop(log);
    let found = read(&crashed(&sim)).unwrap();
    assert_eq!(found.live, [&ids(1, 1..=3)[..], &[(2, 26)]].concat());
    assert_eq!(found.end.verdict, Verdict::Clean);
}

/// Without a state file the branches are made up from the records.
#[test]
fn a_salvage_without_a_state_finds_the_branches() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    log.append(&ids(1, 1..=6)).unwrap();
    log.append(&[(2, 7)]).unwrap();
    log.log().branch(5, 4).unwrap();
    log.append(&ids(5, 4..=5)).unwrap();
    log.append(&[(5, 6), (7, 8)]).unwrap();
    drop(log);
    sim.remove(&names().state()).unwrap();
    let mut log = salvage(&sim);
    let expected = [&ids(1, 1..=3)[..], &ids(5, 4..=6), &[(7, 8)]].concat();
    assert_eq!(read(&sim).unwrap().live, expected);
    assert_eq!(listed(log.log().terms()), [(1, 1), (5, 4), (7, 8)]);
    let records = log.opened.records.clone().unwrap();
    assert_eq!((records.highest_lsn, records.term), (8, 7));
    log.append(&[(7, 9)]).unwrap();
    log.close().unwrap();
    assert_eq!(read(&crashed(&sim)).unwrap().live.len(), 8);
}

#[test]
fn a_torn_tail_is_dropped_and_reported() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    log.append(&[(1, 1)]).unwrap();
    log.append(&[(2, 2)]).unwrap();
    let segment = log.log().live_segments()[0].path.clone();
    drop(log);
    flip(&sim, &segment, 4096 + 200);
    let log = open(&sim);
    let torn = log.opened.torn.clone().unwrap();
    assert_eq!((torn.path, torn.offset), (segment, 4096));
    assert!(torn.reason.contains("checksum"), "{}", torn.reason);
    // The term of what is gone is gone with it.
    let records = log.opened.records.clone().unwrap();
    assert_eq!((records.highest_lsn, records.term), (1, 1));
}

/// Whatever byte is wrong, what is read was written, in its order, up to some
/// place, and less than all only with a verdict.
#[test]
fn no_damaged_byte_changes_a_record() {
    let sim = SimStorage::new();
    let mut log = open(&sim);
    log.append(&ids(1, 1..=3)).unwrap();
    log.log().branch(2, 3).unwrap();
    log.append(&ids(2, 3..=4)).unwrap();
    log.append(&[(3, 6)]).unwrap();
    let segment = log.log().live_segments()[0].path.clone();
    log.close().unwrap();
    let whole = read(&sim).unwrap().all;
    for at in (0..4 * 4096).filter(|at| at % 4096 < 700 || at % 4096 >= 3900) {
        let sim = sim.snapshot();
        flip(&sim, &segment, at);
        let found = read(&sim).unwrap();
        assert!(whole.starts_with(&found.all), "byte {at}");
        // The mark says nothing that the state file does not.
        let damaged = at < 3 * 4096;
        let lost = found.end.verdict == Verdict::Corrupt;
        assert_eq!(lost, damaged, "byte {at}");
        assert!(damaged || found.all == whole, "byte {at}");
    }
}

/// Without syncs a power failure leaves a log that opens, or one that is called
/// corrupt; a kill leaves all of it.
#[test]
fn without_syncs_the_terms_are_found_after_a_kill() {
    let sim = SimStorage::new();
    let off = LogOptions {
        policy: SyncPolicy::Off,
        ..options(SyncStyle::Buffered)
    };
    let mut log = open_with(&sim, off).unwrap();
    for lsn in 1..=20 {
        log.append(&[(lsn, lsn)]).unwrap();
    }
    let expected: Vec<Id> = (1..=20).map(|n| (n, n)).collect();
    let killed = sim.snapshot();
    let mut log = open_with(&killed, off).unwrap();
    assert_eq!(listed(log.log().terms()), expected);
    assert_eq!(read(&killed).unwrap().live, expected);
}
