//! Health, the limits on what slots hold back, prunes, and clocks.

use crate::site::*;
use epochwal::ErrorKind;
use epochwal::primary::{Cause, EventKind, SlotInfo};
use std::time::Duration;

fn causes(given_up: &[SlotInfo]) -> Vec<(&str, Cause)> {
    let each = |s: &'_ SlotInfo| s.slot.invalidation.unwrap().cause;
    let mut causes: Vec<_> = given_up
        .iter()
        .map(|s| (s.slot.id.as_str(), each(s)))
        .collect();
    causes.sort_by_key(|c| c.0);
    causes
}

#[test]
fn a_replica_is_healthy_while_it_is_seen() {
    let site = Site::new(10);
    let primary = site.open().unwrap();
    let a = primary.register("a", None).unwrap();
    let b = primary.register("b", None).unwrap();
    let healthy = || {
        primary
            .replicas()
            .iter()
            .map(|r| r.healthy)
            .collect::<Vec<_>>()
    };
    let shape = primary.topology_epoch();
    site.clocks.pass(Duration::from_secs(30));
    primary.touch("b", b.generation).unwrap();
    primary.enforce_limits(0).unwrap();
    assert_eq!(healthy(), [true, true]);
    assert_eq!(primary.topology_epoch(), shape);
    site.clocks.pass(Duration::from_millis(1));
    primary.enforce_limits(0).unwrap();
    assert_eq!(healthy(), [false, true]);
    assert_eq!(primary.topology_epoch(), shape + 1);
    // Nothing new: nothing changes.
    primary.enforce_limits(0).unwrap();
    assert_eq!(primary.topology_epoch(), shape + 1);
    // Each way of being heard of, after each silence.
    let mut shape = shape + 1;
    for speak in [
        &(|| primary.ack("a", a.generation, &durable(1))) as &dyn Fn() -> _,
        &|| primary.note_pull("a", a.generation, 3),
        &|| primary.touch("a", a.generation),
    ] {
        speak().unwrap();
        assert_eq!(healthy(), [true, true]);
        shape += 1;
        assert_eq!(primary.topology_epoch(), shape);
        site.clocks.pass(Duration::from_secs(31));
        primary.touch("b", b.generation).unwrap();
        primary.enforce_limits(0).unwrap();
        assert_eq!(healthy(), [false, true]);
        shape += 1;
    }
    primary.register("a", None).unwrap();
    assert_eq!(healthy(), [true, true]);
    assert_eq!(primary.topology_epoch(), shape + 1);
}

#[test]
fn the_horizon_is_in_lsns_and_in_bytes() {
    let site = Site::new(200_000).with(|o| o.horizon_bytes = Some(150_000 * RECORD));
    let primary = site.open().unwrap();
    primary.slot_create("at it", Some(100_000), false).unwrap();
    primary.slot_create("beyond", Some(99_999), false).unwrap();
    let given_up = primary.enforce_limits(77).unwrap();
    assert_eq!(causes(&given_up), [("beyond", Cause::Horizon)]);
    assert_eq!(given_up[0].slot.invalidation.unwrap().at_ms, 77);
    assert_eq!(primary.enforce_limits(78).unwrap(), []);

    let site = Site::new(200_000).with(|o| {
        o.horizon_lsns = None;
        o.horizon_bytes = Some(1000 * RECORD);
    });
    let primary = site.open().unwrap();
    primary.slot_create("at it", Some(199_000), false).unwrap();
    primary.slot_create("beyond", Some(198_999), false).unwrap();
    assert_eq!(
        causes(&primary.enforce_limits(0).unwrap()),
        [("beyond", Cause::Horizon)]
    );
    let stats = primary.stats();
    assert_eq!(
        (stats.invalidated_horizon, stats.valid_slots, stats.slots),
        (1, 1, 2)
    );
    let events = primary.events_since(0);
    let expected = EventKind::SlotInvalidated {
        id: "beyond".into(),
        cause: Cause::Horizon,
        restart_lsn: 198_999,
    };
    assert_eq!(events.last().unwrap().kind, expected);
}

#[test]
fn who_is_not_seen_for_a_day_is_given_up() {
    let site = Site::new(10);
    let primary = site.open().unwrap();
    let seen = primary.register("seen", None).unwrap();
    primary.register("registered", None).unwrap();
    primary.slot_create("never seen", Some(1), false).unwrap();
    site.clocks.pass(DAY);
    primary.touch("seen", seen.generation).unwrap();
    assert_eq!(primary.enforce_limits(0).unwrap(), []);
    site.clocks.pass(Duration::from_millis(1));
    assert_eq!(
        causes(&primary.enforce_limits(0).unwrap()),
        [
            ("never seen", Cause::IdleTimeout),
            ("registered", Cause::IdleTimeout)
        ]
    );
    assert_eq!(primary.stats().invalidated_idle, 2);
}

#[test]
fn each_limit_can_be_off() {
    let site = Site::new(1_000_000).with(|o| {
        o.horizon_lsns = None;
        o.idle_timeout = None;
    });
    let primary = site.open().unwrap();
    primary.slot_create("a", Some(0), false).unwrap();
    site.clocks.pass(100 * DAY);
    assert_eq!(primary.enforce_limits(0).unwrap(), []);
}

/// The wall's clock a day forward, a day back, and to the beginning of time.
#[test]
fn a_clock_that_jumps_gives_nobody_up() {
    let site = Site::new(10);
    let primary = site.open().unwrap();
    let a = primary.register("a", None).unwrap();
    let now = site.clocks.wall();
    let day = DAY.as_millis() as u64;
    for wall in [now + 3 * day, now - 3 * day, 0, u64::MAX] {
        site.clocks.jump_to(wall);
        primary.ack("a", a.generation, &durable(5)).unwrap();
        for given in [0, wall, now + 9 * day, u64::MAX] {
            assert_eq!(primary.enforce_limits(given).unwrap(), []);
        }
        assert!(primary.replicas()[0].healthy);
    }
}

#[test]
fn a_primary_that_was_down_for_long_gives_nobody_up() {
    let site = Site::new(10);
    let primary = site.open().unwrap();
    primary.register("a", None).unwrap();
    primary.slot_create("b", Some(4), false).unwrap();
    primary.close().unwrap();
    site.clocks
        .jump_to(site.clocks.wall() + 40 * DAY.as_millis() as u64);
    let later = site.after(site.disk.clone());
    let primary = later.open().unwrap();
    assert_eq!(primary.enforce_limits(0).unwrap(), []);
    assert_eq!(valid(&primary).len(), 2);
    assert!(primary.replicas()[0].healthy);
    // From then on its time counts.
    later.clocks.pass(DAY + Duration::from_millis(1));
    assert_eq!(primary.enforce_limits(0).unwrap().len(), 2);
}

/// G11: a crash after a slot rose in memory and before it was saved.
#[test]
fn a_prune_relies_on_nothing_but_what_is_saved() {
    let site = Site::new(100);
    let primary = site.open().unwrap();
    let a = primary.register("a", None).unwrap();
    primary.slot_create("b", Some(10), false).unwrap();
    primary.slot_drop("b").unwrap();
    site.log.append_through(200);
    primary.ack("a", a.generation, &durable(150)).unwrap();
    let info = primary.slot("a").unwrap();
    assert_eq!((info.slot.restart_lsn, info.saved_lsn), (150, 100));
    let crashed = site.after(site.disk.crash_nothing());
    assert_eq!(valid(&crashed.open().unwrap()), [("a".into(), 100)]);
    // The prune saves it first.
    assert_eq!(primary.prune(None).unwrap(), 150);
    assert_eq!(primary.slot("a").unwrap().saved_lsn, 150);
    let crashed = site.after(site.disk.crash_nothing());
    assert_eq!(valid(&crashed.open().unwrap()), [("a".into(), 150)]);
}

#[test]
fn a_prune_stops_at_the_archive_the_end_and_the_slots() {
    let site = Site::new(100);
    let primary = site.open().unwrap();
    primary.slot_create("a", Some(60), false).unwrap();
    assert_eq!(primary.prune(Some(0)).unwrap(), 0);
    assert_eq!(primary.prune(Some(40)).unwrap(), 40);
    assert_eq!(primary.prune(Some(1000)).unwrap(), 60);
    primary.slot_drop("a").unwrap();
    assert_eq!(primary.prune(Some(1000)).unwrap(), 100);
    assert_eq!(site.log.state().prunes, [0, 40, 60, 100]);
    assert_eq!(primary.stats().prunes, 4);
    // Whoever prunes by the log's own function is held back, too.
    primary.slot_create("b", Some(100), false).unwrap();
    site.log.append_through(110);
    let through = primary.prune_with(105, Ok).unwrap();
    assert_eq!(through, 100);
}

/// A slot beyond the horizon is given up by the prune that it would hold back.
#[test]
fn a_prune_looks_at_the_limits() {
    let site = Site::new(100).with(|o| o.horizon_lsns = Some(30));
    let primary = site.open().unwrap();
    primary.slot_create("far", Some(69), false).unwrap();
    primary.slot_create("near", Some(70), false).unwrap();
    assert_eq!(primary.prune(None).unwrap(), 70);
    assert_eq!(valid(&primary), [("near".into(), 70)]);
    // The word of it is on the disk before the records are gone.
    let crashed = site.after(site.disk.crash_nothing());
    assert_eq!(valid(&crashed.open().unwrap()), [("near".into(), 70)]);
}

#[test]
fn a_log_pruned_without_its_slots_loses_those_that_need_it() {
    let site = Site::new(100);
    let primary = site.open().unwrap();
    primary.slot_create("a", Some(40), false).unwrap();
    primary.slot_create("b", Some(50), false).unwrap();
    primary.close().unwrap();
    site.log.state().pruned = 41;
    let primary = site.open().unwrap();
    assert_eq!(valid(&primary), [("b".into(), 50)]);
    let cause = primary.slot("a").unwrap().slot.invalidation.unwrap().cause;
    assert_eq!(cause, Cause::WalRemoved);
    assert_eq!(primary.stats().invalidated_wal_removed, 1);
    drop(primary);
    // A log that lost its end: what is beyond it is of another log.
    site.log.state().end = 49;
    assert_eq!(valid(&site.open().unwrap()), []);
}

#[test]
fn a_cut_gives_up_what_is_beyond_and_never_goes_below_a_quorum() {
    let site = Site::new(100);
    let primary = site.open().unwrap();
    let a = primary.register("a", None).unwrap();
    let b = primary.register("b", None).unwrap();
    primary.slot_create("low", Some(70), false).unwrap();
    site.log.append_through(120);
    primary.ack("a", a.generation, &applied(115)).unwrap();
    primary.ack("b", b.generation, &durable(105)).unwrap();
    let one = epochwal::primary::AckPolicy::new(
        epochwal::primary::Quorum::Replicas(2),
        epochwal::primary::Level::Durable,
    );
    primary.wait_acks(104, &one, None).unwrap();
    let cut = |lsn| {
        primary.truncate_with(lsn, || {
            site.log.state().end = lsn;
            Ok(())
        })
    };
    let error = cut(103).unwrap_err();
    assert_eq!((error.kind(), error.lsn()), (ErrorKind::Order, Some(104)));
    assert_eq!(site.log.state().end, 120);
    // A cut that fails changes nothing, but that nobody has what it takes while
    // it is under way.
    let failing = primary.truncate_with(110, || {
        assert_eq!(primary.replicas()[0].durable_lsn, 110);
        let early = primary.ack("a", a.generation, &applied(111));
        assert_eq!(kind(early), ErrorKind::Ahead);
        Err(epochwal::Error::new(ErrorKind::Io, "no"))
    });
    assert_eq!(kind(failing), ErrorKind::Io);
    assert_eq!(
        (primary.replicas()[0].durable_lsn, valid(&primary).len()),
        (115, 3)
    );
    primary.ack("a", a.generation, &applied(116)).unwrap();
    primary.save().unwrap();
    cut(110).unwrap();
    assert_eq!(valid(&primary), [("b".into(), 105), ("low".into(), 70)]);
    let replicas = primary.replicas();
    assert_eq!(
        (replicas[0].durable_lsn, replicas[0].applied_lsn),
        (110, 110)
    );
    // It is saved: nobody can tell any more once the log has grown again.
    let crashed = site.after(site.disk.crash_nothing());
    crashed.log.append_through(200);
    assert_eq!(valid(&crashed.open().unwrap()).len(), 2);
    let crashed = site.after(site.disk.crash_nothing());
    assert_eq!(valid(&crashed.open().unwrap()).len(), 2);
    // What a quorum has is known after a crash, too.
    let primary = crashed.open().unwrap();
    assert_eq!(
        kind(primary.truncate_with(103, || unreachable!())),
        ErrorKind::Order
    );
    assert_eq!(primary.progress().quorum_lsn, 104);
    // A cut that fails changes nothing.
    let failing = primary.truncate_with(104, || Err(epochwal::Error::new(ErrorKind::Io, "no")));
    assert_eq!(kind(failing), ErrorKind::Io);
    assert_eq!(valid(&primary).len(), 2);
}

#[test]
fn the_trace_is_bounded_and_numbered() {
    let site = Site::new(100).with(|o| {
        o.horizon_lsns = Some(1);
        o.trace_capacity = 3;
    });
    let primary = site.open().unwrap();
    for round in 0..5 {
        primary
            .slot_create(&format!("{round}"), Some(90), false)
            .unwrap();
        assert_eq!(primary.enforce_limits(0).unwrap().len(), 1);
    }
    let numbers: Vec<_> = primary.events_since(0).iter().map(|e| e.number).collect();
    assert_eq!(numbers, [3, 4, 5]);
    assert_eq!(primary.events_since(4).len(), 1);
    assert_eq!(primary.events_since(5), []);
}
