use super::*;

fn terms(entries: &[(u64, u64)]) -> Terms {
    let mut terms = Terms::default();
    for (term, first_lsn) in entries {
        terms.push(*term, *first_lsn, 0).unwrap();
    }
    terms
}

fn listed(terms: &Terms) -> Vec<(u64, u64)> {
    let entries = terms.entries().iter();
    entries.map(|e| (e.term, e.first_lsn)).collect()
}

fn diverged(last_common_lsn: u64) -> Standing {
    Standing::Diverged { last_common_lsn }
}

fn encoded(terms: &Terms) -> Vec<u8> {
    let mut out = vec![0; TERMS_BYTES];
    terms.encode(&mut out);
    out
}

#[test]
fn a_term_ends_where_the_next_begins() {
    let terms = terms(&[(2, 10), (3, 20), (7, 50)]);
    for (term, end) in [(0, 10), (1, 10), (2, 20), (3, 50), (4, 50), (6, 50)] {
        assert_eq!(terms.end_of(term), Some(end), "{term}");
        assert!(terms.is_live(term, end - 1) && !terms.is_live(term, end));
    }
    assert_eq!(terms.end_of(7), None);
    assert!(terms.is_live(7, 1) && terms.is_live(7, MAX_LSN) && terms.is_live(8, 1));
    for (lsn, term) in [
        (9, None),
        (10, Some(2)),
        (19, Some(2)),
        (20, Some(3)),
        (49, Some(3)),
        (50, Some(7)),
        (MAX_LSN, Some(7)),
    ] {
        assert_eq!(terms.term_at(lsn), term, "{lsn}");
    }
    assert_eq!(Terms::default().term_at(1), None);
    assert!(Terms::default().is_live(1, 1));
}

#[test]
fn a_term_begins_behind_the_others_or_cuts_them_off() {
    let mut t = terms(&[(2, 10), (3, 20), (7, 50)]);
    assert_eq!(t.push(7, 60, 0), Err(TermRefused::Fenced));
    assert_eq!(t.push(1, 60, 0), Err(TermRefused::Fenced));
    assert_eq!(t.push(8, 0, 0), Err(TermRefused::Lsn));
    assert_eq!(t.push(8, u64::MAX, 0), Err(TermRefused::Lsn));
    assert_eq!(listed(&t), [(2, 10), (3, 20), (7, 50)]);
    t.push(9, 50, 0).unwrap();
    assert_eq!(listed(&t), [(2, 10), (3, 20), (9, 50)]);
    assert!(!t.is_live(7, 50));
    t.push(10, 21, 0).unwrap();
    assert_eq!(listed(&t), [(2, 10), (3, 20), (10, 21)]);
    assert!(t.is_live(3, 20) && !t.is_live(3, 21) && !t.is_live(9, 60));
    t.push(11, 1, 0).unwrap();
    assert_eq!(listed(&t), [(11, 1)]);
    t.push(u64::MAX, MAX_LSN, 0).unwrap();
    assert_eq!(t.last().map(|last| last.term), Some(u64::MAX));
    assert_eq!(t.push(u64::MAX, MAX_LSN, 0), Err(TermRefused::Fenced));
}

#[test]
fn a_full_history_forgets_what_was_pruned() {
    let all: Vec<_> = (1..=MAX_TERMS as u64).map(|t| (t, 10 * t)).collect();
    let mut t = terms(&all);
    let next = MAX_TERMS as u64 + 1;
    assert_eq!(t.room(0), 0);
    assert_eq!(t.push(next, 10 * next, 0), Err(TermRefused::Full));
    // The second term begins at 20: below that the first is needed.
    assert_eq!(t.push(next, 10 * next, 19), Err(TermRefused::Full));
    assert_eq!(listed(&t), all);
    assert_eq!((t.room(20), t.room(29), t.room(30)), (1, 1, 2));
    let mut one = t.clone();
    one.push(next, 10 * next, 20).unwrap();
    assert_eq!(one.entries().len(), MAX_TERMS);
    assert_eq!(listed(&one)[0], (2, 20));
    assert_eq!(one.room(20), 0);
    t.push(next, 10 * next, 35).unwrap();
    assert_eq!(listed(&t)[..2], [(3, 30), (4, 40)]);
    assert_eq!(t.entries().len(), MAX_TERMS - 1);
    // Everything pruned: the last term is kept.
    assert_eq!(t.room(u64::MAX), MAX_TERMS - 1);
    // One that cuts others off makes its own room.
    let mut full = terms(&all);
    full.push(next, 15, 0).unwrap();
    assert_eq!(listed(&full), [(1, 10), (next, 15)]);
    assert_eq!(full.room(0), MAX_TERMS - 2);
}

#[test]
fn a_replica_that_went_its_own_way_is_told_where() {
    let t = terms(&[(2, 10), (5, 20), (7, 50)]);
    for (term, lsn) in [
        (2, 10),
        (2, 19),
        (5, 20),
        (5, 49),
        (7, 50),
        (7, 99),
        // Without a record, or before all that is remembered.
        (9, 0),
        (2, 9),
        (1, 9),
    ] {
        assert_eq!(t.check(term, lsn), Standing::Same, "({term}, {lsn})");
    }
    // Its term is known, and ended here before there.
    assert_eq!(t.check(2, 20), diverged(19));
    assert_eq!(t.check(2, 80), diverged(19));
    assert_eq!(t.check(5, 50), diverged(49));
    // Its term is not: what is common ended at the latest where the known one
    // before it did.
    assert_eq!(t.check(3, 25), diverged(19));
    assert_eq!(t.check(6, 80), diverged(49));
    assert_eq!(t.check(1, 15), diverged(9));
    assert_eq!(t.check(0, 15), diverged(9));
    // It has a later term where this log has an earlier one.
    assert_eq!(t.check(7, 30), diverged(29));
    assert_eq!(t.check(9, 30), diverged(29));
    assert_eq!(t.check(3, 5), diverged(4));
    assert_eq!(t.check(9, 80), diverged(79));
    assert_eq!(t.check(9, 1), diverged(0));
    assert_eq!(Terms::default().check(9, 80), Standing::Same);
}

/// Two logs made by the same terms up to a point: what the one says of the
/// other's end is never below what they share, and asking again from there
/// ends at it.
#[test]
fn asking_again_ends_at_what_is_common() {
    let ours = terms(&[(1, 1), (3, 40), (6, 60), (9, 80)]);
    for theirs in [
        terms(&[(1, 1), (2, 35), (4, 45), (5, 70)]),
        terms(&[(1, 1), (3, 40), (7, 55), (8, 90)]),
        terms(&[(1, 1), (3, 40), (6, 60), (7, 70)]),
        terms(&[(4, 1)]),
    ] {
        let common = (1..=100).take_while(|lsn| ours.term_at(*lsn) == theirs.term_at(*lsn));
        let common = common.count() as u64;
        let (mut lsn, mut asked) = (100, 0);
        while let Standing::Diverged { last_common_lsn } =
            ours.check(theirs.term_at(lsn).unwrap_or(0), lsn)
        {
            assert!(last_common_lsn < lsn && last_common_lsn >= common);
            lsn = last_common_lsn;
            asked += 1;
        }
        assert_eq!(lsn, common, "{theirs:?} after {asked}");
    }
}

#[test]
fn a_record_follows_another_or_begins_a_branch() {
    let t = terms(&[(2, 10), (5, 20), (7, 50)]);
    // The usual way: the LSN rises, the term stays or rises.
    assert!(t.may_follow((2, 10), (2, 11)) && t.may_follow((7, 60), (8, 61)));
    assert!(t.may_follow((2, 10), (5, 30)));
    // Terms never fall, and LSNs within one rise.
    assert!(!t.may_follow((5, 20), (2, 21)));
    assert!(!t.may_follow((5, 30), (5, 30)) && !t.may_follow((5, 30), (5, 29)));
    // A branch that the history knows, and one that it does not.
    assert!(t.may_follow((2, 99), (5, 20)) && t.may_follow((2, 20), (5, 20)));
    assert!(!t.may_follow((2, 99), (5, 19)));
    assert!(!t.may_follow((7, 60), (8, 60)));
    // The term behind a branch need not be the one that made it.
    assert!(t.may_follow((5, 99), (8, 60)) && t.may_follow((2, 99), (8, 50)));
    assert!(!t.may_follow((5, 99), (8, 49)) && !t.may_follow((2, 99), (4, 19)));
    // No term has records from before its beginning.
    assert!(!t.may_follow((2, 15), (5, 16)) && !t.may_follow((5, 40), (7, 49)));
    // Of a branch that a deeper one cut off nothing is left but dead records.
    assert!(t.may_follow((2, 99), (6, 50)) && t.may_follow((2, 99), (3, 20)));
    assert!(!t.may_follow((2, 99), (3, 19)));
    // What was forgotten can't be judged.
    assert!(t.may_follow((0, 99), (1, 5)));
    let none = Terms::default();
    assert!(none.may_follow((1, 1), (2, 2)) && !none.may_follow((1, 2), (2, 2)));
}

#[test]
fn the_layout_is_that_of_the_document() {
    let mut expected = vec![2, 0, 0, 0, 0, 0, 0, 0];
    for number in [0x0102_0304_0506_0708_u64, 9, u64::MAX, MAX_LSN] {
        expected.extend_from_slice(&number.to_le_bytes());
    }
    expected.resize(TERMS_BYTES, 0);
    let both = terms(&[(0x0102_0304_0506_0708, 9), (u64::MAX, MAX_LSN)]);
    assert_eq!(encoded(&both), expected);
    assert_eq!(Terms::parse(&expected), Some(both));
}

#[test]
fn a_history_that_nobody_writes_is_refused() {
    let full: Vec<_> = (1..=MAX_TERMS as u64).map(|t| (t, t)).collect();
    let good = encoded(&terms(&full));
    assert_eq!(Terms::parse(&good), Some(terms(&full)));
    let patched = |at: usize, number: u64| {
        let mut bytes = good.clone();
        put_u64(&mut bytes, at, number);
        Terms::parse(&bytes)
    };
    assert_eq!(patched(0, 0), Some(Terms::default()));
    assert_eq!(patched(0, MAX_TERMS as u64 + 1), None);
    assert_eq!(patched(0, u64::from(u32::MAX)), None);
    // Neither terms nor LSNs may stay or fall, and no LSN is impossible.
    assert_eq!(patched(8 + 16, 1), None);
    assert_eq!(patched(8 + 16 + 8, 1), None);
    assert_eq!(patched(8 + 8, 0), None);
    assert_eq!(patched(8 + 239 * 16 + 8, u64::MAX), None);
    assert!(patched(8 + 239 * 16 + 8, MAX_LSN).is_some());
    assert!(patched(8, 0).is_some());
    for len in [0, 4, 8, TERMS_BYTES - 1] {
        assert_eq!(Terms::parse(&good[..len]), None, "{len}");
    }
}
