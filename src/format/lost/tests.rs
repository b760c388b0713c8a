use super::*;
use proptest::prelude::*;

fn lost(ranges: &[(u64, u64)]) -> Lost {
    let mut lost = Lost::default();
    for (after, through) in ranges {
        lost.add(range((*after, *through)));
    }
    lost
}

fn range((after, through): (u64, u64)) -> LostRange {
    LostRange { after, through }
}

fn pairs(lost: &Lost) -> Vec<(u64, u64)> {
    lost.ranges().iter().map(|r| (r.after, r.through)).collect()
}

#[test]
fn ranges_that_meet_become_one() {
    for (added, left) in [
        (vec![(5, 5)], vec![]),
        (vec![(5, 9), (12, 14)], vec![(5, 9), (12, 14)]),
        (vec![(12, 14), (5, 9)], vec![(5, 9), (12, 14)]),
        (vec![(5, 9), (9, 14)], vec![(5, 14)]),
        (vec![(9, 14), (5, 9)], vec![(5, 14)]),
        (vec![(5, 9), (7, 14)], vec![(5, 14)]),
        (vec![(5, 9), (2, 20)], vec![(2, 20)]),
        (vec![(5, 9), (12, 14), (9, 12)], vec![(5, 14)]),
        (vec![(5, 9), (6, 7)], vec![(5, 9)]),
    ] {
        assert_eq!(pairs(&lost(&added)), left, "{added:?}");
    }
}

/// What is in doubt is called lost, never the other way round.
#[test]
fn without_room_the_oldest_become_one() {
    let ranges: Vec<_> = (0..=MAX_LOST as u64)
        .map(|n| (10 * n, 10 * n + 5))
        .collect();
    let full = lost(&ranges);
    assert_eq!(full.ranges().len(), MAX_LOST);
    assert_eq!(pairs(&full)[..2], [(0, 15), (20, 25)]);
    assert_eq!(pairs(&full)[1..], ranges[2..]);
}

#[test]
fn whoever_stands_before_a_lost_record_is_told() {
    let two = lost(&[(5, 9), (12, 14)]);
    let (first, second) = (range((5, 9)), range((12, 14)));
    for (lsn, at, beyond) in [
        (0, None, Some(first)),
        (4, None, Some(first)),
        (5, Some(first), Some(first)),
        (8, Some(first), Some(second)),
        (9, None, Some(second)),
        (11, None, Some(second)),
        (12, Some(second), Some(second)),
        (13, Some(second), None),
        (14, None, None),
        (u64::MAX, None, None),
    ] {
        assert_eq!((two.at(lsn), two.beyond(lsn)), (at, beyond), "{lsn}");
    }
    assert_eq!((two.through(), Lost::default().through()), (14, 0));
}

#[test]
fn a_cut_and_a_prune_forget() {
    for (lsn, cut, pruned) in [
        (4, vec![], vec![(5, 9), (12, 14)]),
        (5, vec![], vec![(5, 9), (12, 14)]),
        (6, vec![(5, 6)], vec![(5, 9), (12, 14)]),
        (9, vec![(5, 9)], vec![(12, 14)]),
        (12, vec![(5, 9)], vec![(12, 14)]),
        (13, vec![(5, 9), (12, 13)], vec![(12, 14)]),
        (14, vec![(5, 9), (12, 14)], vec![]),
    ] {
        let (mut one, mut other) = (lost(&[(5, 9), (12, 14)]), lost(&[(5, 9), (12, 14)]));
        one.cut(lsn);
        other.forget(lsn);
        assert_eq!((pairs(&one), pairs(&other)), (cut, pruned), "{lsn}");
    }
}

#[test]
fn what_no_writer_makes_is_refused() {
    for entries in [
        vec![(5, 5)],
        vec![(5, 4)],
        vec![(5, 9), (9, 12)],
        vec![(5, 9), (8, 12)],
        vec![(12, 14), (5, 9)],
        vec![(0, 0), (5, 9)],
        vec![(1, 0)],
    ] {
        let mut bytes = [0; LOST_BYTES];
        for (at, (after, through)) in entries.iter().enumerate() {
            put_u64(&mut bytes, at * ENTRY, *after);
            put_u64(&mut bytes, at * ENTRY + 8, *through);
        }
        assert_eq!(Lost::parse(&bytes), None, "{entries:?}");
    }
    assert_eq!(Lost::parse(&[0; LOST_BYTES - 1]), None);
}

proptest! {
    /// Against a set of lost LSNs: every one stays lost, and what is written is
    /// read again.
    #[test]
    fn nothing_lost_is_forgotten(added in proptest::collection::vec((0..60u64, 1..9u64), 0..12)) {
        let mut lost = Lost::default();
        for (after, count) in &added {
            lost.add(range((*after, after + count)));
        }
        let mut bytes = [0; LOST_BYTES];
        lost.encode(&mut bytes);
        prop_assert_eq!(Lost::parse(&bytes), Some(lost.clone()));
        prop_assert!(lost.ranges().len() <= MAX_LOST);
        for (after, count) in added {
            for lsn in after + 1..=after + count {
                prop_assert!(lost.at(lsn - 1).is_some(), "{}", lsn);
            }
        }
    }
}
