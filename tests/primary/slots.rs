//! Slots by hand, and what they say of themselves.

use crate::site::*;
use epochwal::ErrorKind;
use epochwal::primary::{Ack, Cause, Level, Origin, PrimaryOptions, Quorum, WalStatus};
use std::time::Duration;

#[test]
fn a_slot_is_made_once_and_dropped_once() {
    let site = Site::new(50);
    let primary = site.open().unwrap();
    primary.slot_create("b", Some(7), false).unwrap();
    primary.slot_create("a", None, false).unwrap();
    assert_eq!(
        kind(primary.slot_create("a", None, false)),
        ErrorKind::Exists
    );
    assert_eq!(valid(&primary), [("a".into(), 50), ("b".into(), 7)]);
    let slot = primary.slot("b").unwrap().slot;
    assert_eq!((slot.confirmed_lsn, slot.origin), (7, Origin::Given));
    assert_eq!(slot.created_ms, site.clocks.wall());
    primary.slot_drop("b").unwrap();
    assert_eq!(kind(primary.slot_drop("b")), ErrorKind::NotFound);
    assert_eq!(kind(primary.slot("b")), ErrorKind::NotFound);
    assert_eq!(kind(primary.slot_reset("b", Some(50))), ErrorKind::NotFound);
    assert_eq!(valid(&primary), [("a".into(), 50)]);
}

#[test]
fn a_slot_stands_between_the_first_available_record_and_the_end() {
    let site = Site::new(50);
    let primary = site.open().unwrap();
    assert_eq!(primary.prune(Some(20)).unwrap(), 20);
    let error = primary.slot_create("a", Some(19), false).unwrap_err();
    assert_eq!(
        (error.kind(), error.lsn()),
        (ErrorKind::WalRemoved, Some(21))
    );
    assert_eq!(
        kind(primary.slot_create("a", Some(51), false)),
        ErrorKind::Ahead
    );
    assert_eq!(
        kind(primary.slot_create("a", Some(u64::MAX), false)),
        ErrorKind::Ahead
    );
    // What stands at 20 needs 21, which is there.
    primary.slot_create("a", Some(20), false).unwrap();
    primary.slot_create("b", Some(50), false).unwrap();
    assert_eq!(
        kind(primary.slot_reset("a", Some(19))),
        ErrorKind::WalRemoved
    );
    assert_eq!(kind(primary.slot_reset("a", Some(51))), ErrorKind::Ahead);
    assert_eq!(valid(&primary), [("a".into(), 20), ("b".into(), 50)]);
    primary.slot_reset("a", None).unwrap();
    assert_eq!(valid(&primary), [("a".into(), 50), ("b".into(), 50)]);
}

/// G11: only what holds nothing may be set back.
#[test]
fn a_valid_slot_is_not_set_back() {
    let site = Site::new(200_000).with(|o| o.horizon_lsns = Some(100));
    let primary = site.open().unwrap();
    primary.slot_create("a", Some(199_950), false).unwrap();
    let refused = primary.slot_reset("a", Some(199_949)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Order);
    assert_eq!(refused.lsn(), Some(199_950));
    primary.slot_reset("a", Some(199_960)).unwrap();
    assert_eq!(valid(&primary), [("a".into(), 199_960)]);
    site.log.append_through(200_061);
    assert_eq!(primary.enforce_limits(0).unwrap().len(), 1);
    assert_eq!(valid(&primary), []);
    primary.slot_reset("a", Some(10)).unwrap();
    assert_eq!(valid(&primary), [("a".into(), 10)]);
    let slot = primary.slot("a").unwrap();
    assert_eq!((slot.slot.invalidation, slot.saved_lsn), (None, 10));
}

#[test]
fn names_are_checked_everywhere() {
    let primary = Site::new(5).open().unwrap();
    for bad in ["", "a\0b", "a\nb", "\u{7f}", &"x".repeat(256)] {
        for error in [
            primary.slot_create(bad, None, false).unwrap_err(),
            primary.register(bad, None).unwrap_err(),
            primary.register("good", Some(bad)).unwrap_err(),
            primary.ensure_registered(bad, None).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{bad:?}: {error}");
        }
    }
    for good in ["x", "ä ö", "\u{1F980}", "a,b(c)\"", &"x".repeat(255)] {
        primary.register(good, Some(good)).unwrap();
    }
    assert_eq!(primary.replicas().len(), 5);
}

/// A caller is told of what it named: a replica, or a slot.
#[test]
fn what_is_not_there_is_called_what_it_was_asked_as() {
    let primary = Site::new(5).open().unwrap();
    primary.slot_create("alone", None, false).unwrap();
    for (error, why) in [
        (
            primary.ack("a", 1, &Ack::default()).unwrap_err(),
            "replica \"a\": it is not registered, and has no slot",
        ),
        (
            primary.touch("alone", 1).unwrap_err(),
            "replica \"alone\": its slot is there, but it is not registered",
        ),
        (
            primary.slot_drop("a").unwrap_err(),
            "slot \"a\": there is none",
        ),
    ] {
        assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, why));
    }
}

/// In C a message has 240 bytes.
#[test]
fn a_long_name_hides_nothing_of_what_is_said() {
    let primary = Site::new(5).open().unwrap();
    let (longest, long) = ("\u{e9}".repeat(127), "x".repeat(1_000_000));
    primary.register(&longest, None).unwrap();
    primary.slot_create("a", None, false).unwrap();
    let policy = |text: &str| text.parse::<Quorum>().unwrap_err();
    let ack = |id| primary.ack(id, 9, &Ack::default()).unwrap_err();
    let slot = |id| primary.slot_create(id, None, false).unwrap_err();
    for (error, why) in [
        (slot(&long), "has more than 255 bytes"),
        (slot(&longest), "there is one already"),
        (ack(&long), "has no slot"),
        (ack(&longest), "this is one of 9"),
        (primary.register("a", Some(&long)).unwrap_err(), "region: "),
        (policy(&long), "regions 1 (eu, us)"),
        (policy(&format!("any 1 ({long}, a, a)")), "255 bytes"),
        (policy(&format!("any 9 ({longest})")), "than its list has"),
        (long.parse::<Level>().unwrap_err(), "applied"),
    ] {
        let text = error.to_string();
        assert!(text.len() < 240 && text.contains(why), "{text:.300}");
    }
}

#[test]
fn there_are_not_more_slots_than_configured() {
    let site = Site::new(5).with(|o| o.max_slots = 2);
    let primary = site.open().unwrap();
    primary.register("a", None).unwrap();
    primary.slot_create("b", None, true).unwrap();
    assert_eq!(kind(primary.register("c", None)), ErrorKind::TooLarge);
    assert_eq!(
        kind(primary.slot_create("c", None, false)),
        ErrorKind::TooLarge
    );
    primary.register("a", None).unwrap();
    primary.slot_drop("b").unwrap();
    primary.register("c", None).unwrap();
}

#[test]
fn a_temporary_slot_is_gone_with_its_session_or_with_the_primary() {
    let site = Site::new(5);
    let primary = site.open().unwrap();
    primary.slot_create("t", Some(3), true).unwrap();
    let session = primary.register("t", Some("eu")).unwrap();
    assert_eq!((session.restart_lsn, session.created), (3, false));
    primary.ack("t", session.generation, &durable(4)).unwrap();
    // It holds back what it needs while it lives.
    assert_eq!(primary.prune(None).unwrap(), 4);
    primary.unregister("t").unwrap();
    assert_eq!(primary.slots(), []);
    primary.slot_create("u", Some(4), true).unwrap();
    primary.slot_create("stays", Some(4), false).unwrap();
    primary.close().unwrap();
    assert_eq!(valid(&site.open().unwrap()), [("stays".into(), 4)]);
}

#[test]
fn the_status_tells_how_near_the_horizon_is() {
    let site = Site::new(1000).with(|o| {
        o.horizon_lsns = Some(100);
        o.horizon_bytes = Some(90 * RECORD);
    });
    let primary = site.open().unwrap();
    let mut seen = Vec::new();
    for lag in [0, 45, 46, 90, 91] {
        let id = format!("lag {lag:02}");
        primary.slot_create(&id, Some(1000 - lag), false).unwrap();
        let info = primary.slot(&id).unwrap();
        seen.push((info.wal_status, info.safe_wal_size.unwrap() / RECORD));
    }
    use WalStatus::*;
    let expected = [
        (Reserved, 90),
        (Reserved, 45),
        (Extended, 44),
        (Extended, 0),
        (Unreserved, 0),
    ];
    assert_eq!(seen, expected);
    let given_up = primary.enforce_limits(0).unwrap();
    assert_eq!(given_up.len(), 1);
    assert_eq!(given_up[0].wal_status, Lost);
    assert_eq!(given_up[0].safe_wal_size, Some(0));
    assert_eq!(given_up[0].slot.invalidation.unwrap().cause, Cause::Horizon);
    let names = [Reserved, Extended, Unreserved, Lost].map(WalStatus::name);
    assert_eq!(names, ["reserved", "extended", "unreserved", "lost"]);
}

#[test]
fn without_a_horizon_everything_is_reserved() {
    let site = Site::new(1_000_000).with(|o| o.horizon_lsns = None);
    let primary = site.open().unwrap();
    primary.slot_create("a", Some(0), false).unwrap();
    assert_eq!(primary.enforce_limits(0).unwrap(), []);
    let info = primary.slot("a").unwrap();
    assert_eq!(info.wal_status, WalStatus::Reserved);
    assert_eq!(info.safe_wal_size, None);
}

/// A horizon in LSNs is told in bytes by the mean record, once there is one.
#[test]
fn lsns_are_told_in_bytes() {
    let site = Site::new(0);
    let primary = site.open().unwrap();
    primary.slot_create("a", Some(0), false).unwrap();
    assert_eq!(primary.slot("a").unwrap().safe_wal_size, None);
    site.log.append_through(40_000);
    let info = primary.slot("a").unwrap();
    assert_eq!(info.safe_wal_size, Some(60_000 * RECORD));
}

#[test]
fn options_have_ranges_and_errors_name_the_field() {
    let second = Duration::from_secs(1);
    type Case = (&'static str, fn(&mut PrimaryOptions));
    let cases: [Case; 8] = [
        ("healthy_for", |o| o.healthy_for = Duration::ZERO),
        ("horizon_lsns", |o| o.horizon_lsns = Some(0)),
        ("horizon_bytes", |o| o.horizon_bytes = Some(0)),
        ("idle_timeout", |o| o.idle_timeout = Some(Duration::MAX)),
        ("max_slots", |o| o.max_slots = 50_001),
        ("save_interval", |o| {
            o.save_interval = Duration::from_millis(1001)
        }),
        ("trace_capacity", |o| o.trace_capacity = 0),
        ("idle_timeout", |o| {
            o.idle_timeout = Some(Duration::from_micros(9))
        }),
    ];
    for (field, change) in cases {
        let site = Site::new(0).with(change);
        let error = site.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().starts_with(field), "{field}: {error}");
    }
    assert_eq!(PrimaryOptions::default().save_interval, second);
    PrimaryOptions::default().validate().unwrap();
}
