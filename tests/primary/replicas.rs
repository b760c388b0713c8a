//! The registry: sessions, acknowledgements, the topology epoch, progress.

use crate::site::*;
use epochwal::ErrorKind;
use epochwal::primary::{Ack, Level, Primary};
use std::time::Duration;

#[test]
fn registering_again_keeps_the_slot_and_the_progress() {
    let site = Site::new(40);
    let primary = site.open().unwrap();
    let first = primary.register("a", Some("eu")).unwrap();
    assert_eq!((first.restart_lsn, first.created), (40, true));
    site.log.append_through(60);
    primary.note_pull("a", first.generation, 58).unwrap();
    let ack = Ack {
        written: 57,
        durable: 55,
        applied: 50,
        apply_errors: 3,
        divergences: 1,
    };
    primary.ack("a", first.generation, &ack).unwrap();
    let again = primary.register("a", None).unwrap();
    assert_eq!((again.restart_lsn, again.created), (55, false));
    assert!(again.generation > first.generation);
    let replica = primary.replicas().remove(0);
    assert_eq!(replica.region.as_deref(), Some("eu"));
    assert_eq!(replica.generation, again.generation);
    let positions = [
        replica.sent_lsn,
        replica.written_lsn,
        replica.durable_lsn,
        replica.applied_lsn,
    ];
    assert_eq!(positions, [58, 57, 55, 50]);
    assert_eq!((replica.apply_errors, replica.divergences), (3, 1));
    // A session that is there goes on, and is made where there is none.
    assert_eq!(
        primary.ensure_registered("a", None).unwrap().generation,
        again.generation
    );
    assert!(primary.ensure_registered("b", None).unwrap().created);
    let stats = primary.stats();
    assert_eq!(
        (stats.registrations, stats.reconnects, stats.replicas),
        (2, 2, 2)
    );
}

/// The same id twice: the older session is over.
#[test]
fn an_older_session_is_refused() {
    let site = Site::new(40);
    let primary = site.open().unwrap();
    let old = primary.register("a", None).unwrap().generation;
    let new = primary.register("a", None).unwrap().generation;
    site.log.append_through(50);
    for wrong in [old, 0, new + 1, u64::MAX] {
        assert_eq!(
            kind(primary.ack("a", wrong, &durable(50))),
            ErrorKind::Fenced
        );
        assert_eq!(kind(primary.note_pull("a", wrong, 50)), ErrorKind::Fenced);
        assert_eq!(kind(primary.touch("a", wrong)), ErrorKind::Fenced);
    }
    assert_eq!(valid(&primary), [("a".into(), 40)]);
    assert_eq!(primary.replicas()[0].sent_lsn, 0);
    assert_eq!(primary.stats().acks_fenced, 4);
    primary.ack("a", new, &durable(50)).unwrap();
    assert_eq!(valid(&primary), [("a".into(), 50)]);
}

/// Also one of before a restart, clean or not: no number is given twice.
#[test]
fn a_session_of_another_life_is_refused() {
    let mut site = Site::new(40);
    let mut highest = 0;
    for life in 0..6 {
        let primary = site.open().unwrap();
        // It is a member, and has no session yet.
        if life > 0 {
            assert_eq!(primary.replicas()[0].generation, 0);
            let refused = primary.ack("a", highest, &durable(40));
            assert_eq!(kind(refused), ErrorKind::Fenced);
            assert_eq!(kind(primary.ack("a", 0, &durable(40))), ErrorKind::Fenced);
        }
        for _ in 0..3 {
            let session = primary.register("a", None).unwrap();
            assert!(session.generation > highest, "life {life}");
            highest = session.generation;
        }
        if life % 2 == 0 {
            primary.close().unwrap();
        }
        site = site.after(site.disk.crash_nothing());
    }
}

#[test]
fn an_unknown_id_is_not_found_and_makes_nothing() {
    let primary = Site::new(40).open().unwrap();
    for id in ["who", "", "\0"] {
        assert_eq!(kind(primary.ack(id, 1, &durable(1))), ErrorKind::NotFound);
        assert_eq!(kind(primary.note_pull(id, 1, 1)), ErrorKind::NotFound);
        assert_eq!(kind(primary.touch(id, 1)), ErrorKind::NotFound);
        assert_eq!(kind(primary.unregister(id)), ErrorKind::NotFound);
        assert_eq!(
            kind(primary.set_rebootstrapping(id, true)),
            ErrorKind::NotFound
        );
    }
    assert_eq!(primary.slots(), []);
    assert_eq!(primary.stats().acks_unknown, 3);
}

#[test]
fn nothing_beyond_the_end_is_taken() {
    let site = Site::new(40);
    let primary = site.open().unwrap();
    let a = primary.register("a", None).unwrap().generation;
    let beyond = |written, durable, applied| Ack {
        written,
        durable,
        applied,
        apply_errors: 9,
        divergences: 9,
    };
    for ack in [beyond(41, 0, 0), beyond(40, 41, 0), beyond(0, 40, u64::MAX)] {
        let error = primary.ack("a", a, &ack).unwrap_err();
        assert_eq!((error.kind(), error.lsn()), (ErrorKind::Ahead, Some(40)));
    }
    assert_eq!(kind(primary.note_pull("a", a, 41)), ErrorKind::Ahead);
    let replica = primary.replicas().remove(0);
    assert_eq!(
        (replica.sent_lsn, replica.written_lsn, replica.durable_lsn),
        (0, 0, 0)
    );
    assert_eq!((replica.apply_errors, replica.divergences), (0, 0));
    assert_eq!(primary.stats().acks_ahead, 3);
    primary.ack("a", a, &durable(40)).unwrap();
}

#[test]
fn all_of_an_acknowledgement_only_rises() {
    let site = Site::new(40);
    let primary = site.open().unwrap();
    primary.slot_create("a", Some(10), false).unwrap();
    let a = primary.register("a", None).unwrap().generation;
    let mut slot = primary.slot("a").unwrap().slot;
    for (written, durable, applied) in [(5, 5, 5), (30, 20, 15), (0, 0, 0), (29, 21, 3), (1, 2, 30)]
    {
        let ack = Ack {
            written,
            durable,
            applied,
            apply_errors: durable,
            divergences: applied,
        };
        primary.ack("a", a, &ack).unwrap();
        let now = primary.slot("a").unwrap().slot;
        assert_eq!(now.restart_lsn, slot.restart_lsn.max(durable));
        assert_eq!(now.confirmed_lsn, slot.confirmed_lsn.max(applied));
        slot = now;
    }
    let replica = primary.replicas().remove(0);
    let positions = [
        replica.written_lsn,
        replica.durable_lsn,
        replica.applied_lsn,
    ];
    assert_eq!(positions, [30, 21, 30]);
    assert_eq!((replica.apply_errors, replica.divergences), (21, 30));
}

#[test]
fn an_invalid_slot_takes_no_acknowledgement() {
    let site = Site::new(200_000);
    let primary = site.open().unwrap();
    primary.slot_create("a", Some(1), false).unwrap();
    let a = primary.register("a", None).unwrap().generation;
    primary.enforce_limits(0).unwrap();
    let error = primary.ack("a", a, &durable(200_000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WalRemoved);
    assert!(error.message().contains("horizon"), "{error}");
    assert_eq!(primary.slot("a").unwrap().slot.restart_lsn, 1);
    assert_eq!(primary.progress().replicas, 0);
    // It may still be heard of, and comes back with a new bootstrap.
    primary.touch("a", a).unwrap();
    primary.slot_reset("a", Some(150_000)).unwrap();
    primary.ack("a", a, &durable(200_000)).unwrap();
    assert_eq!(primary.stats().acks_invalid, 1);
}

/// The epoch rises with the shape, not with a reconnect, and never goes back.
#[test]
fn whoever_is_heard_of_was_seen_then() {
    let site = Site::new(10);
    let primary = site.open().unwrap();
    let session = primary.register("a", None).unwrap().generation;
    let calls: [fn(&Primary, u64); 3] = [
        |p, session| p.ack("a", session, &durable(10)).unwrap(),
        |p, session| p.note_pull("a", session, 10).unwrap(),
        |p, session| p.touch("a", session).unwrap(),
    ];
    for call in calls {
        site.clocks.pass(Duration::from_secs(1));
        assert!(primary.replicas()[0].last_seen_ms < site.clocks.wall());
        call(&primary, session);
        assert_eq!(primary.replicas()[0].last_seen_ms, site.clocks.wall());
    }
}

#[test]
fn the_topology_epoch_follows_the_shape() {
    let site = Site::new(40);
    let primary = site.open().unwrap();
    let mut last = primary.topology_epoch();
    let mut rises = |by: u64, what: &str| {
        let now = primary.topology_epoch();
        assert_eq!(now, last + by, "{what}");
        last = now;
    };
    primary.register("a", Some("eu")).unwrap();
    rises(1, "register");
    let session = primary.register("a", Some("eu")).unwrap();
    primary.ensure_registered("a", None).unwrap();
    rises(0, "reconnect");
    primary.register("a", Some("us")).unwrap();
    rises(1, "another region");
    primary.slot_create("slot", None, false).unwrap();
    rises(0, "a slot without a replica");
    primary.register("slot", None).unwrap();
    rises(1, "its replica");
    primary.set_rebootstrapping("a", true).unwrap();
    rises(1, "rebootstrapping");
    primary.set_rebootstrapping("a", true).unwrap();
    rises(0, "rebootstrapping already");
    primary.set_rebootstrapping("a", false).unwrap();
    rises(1, "rebootstrapped");
    primary.unregister("a").unwrap();
    rises(1, "unregister");
    assert_eq!(kind(primary.unregister("a")), ErrorKind::NotFound);
    assert_eq!(
        kind(primary.ack("a", session.generation, &durable(1))),
        ErrorKind::NotFound
    );
    rises(0, "who is not there");
    primary.slot_drop("a").unwrap();
    rises(0, "a slot whose replica had left");
    primary.slot_drop("slot").unwrap();
    rises(1, "a slot and its replica");
    primary.close().unwrap();
    let primary = site.open().unwrap();
    assert_eq!(primary.topology_epoch(), last, "a restart");
    primary.register("a", None).unwrap();
    assert_eq!(primary.topology_epoch(), last + 1);
    let crashed = site.after(site.disk.crash_nothing());
    assert!(crashed.open().unwrap().topology_epoch() > last, "a crash");
}

/// A shape that a restart changes: everyone is healthy after it.
#[test]
fn a_restart_that_heals_raises_the_topology_epoch() {
    let site = Site::new(40);
    let primary = site.open().unwrap();
    primary.register("a", None).unwrap();
    site.clocks.pass(DAY);
    primary.enforce_limits(0).unwrap();
    let sick = primary.topology_epoch();
    primary.close().unwrap();
    let primary = site.open().unwrap();
    assert!(primary.replicas()[0].healthy);
    assert!(primary.topology_epoch() > sick);
}

#[test]
fn members_survive_a_restart() {
    let site = Site::new(40);
    let primary = site.open().unwrap();
    let a = primary.register("a", Some("eu")).unwrap().generation;
    primary.register("gone", None).unwrap();
    primary.unregister("gone").unwrap();
    primary.register("loading", None).unwrap();
    primary.set_rebootstrapping("loading", true).unwrap();
    primary.ack("a", a, &applied(40)).unwrap();
    primary.register("silent", None).unwrap();
    primary.close().unwrap();
    let primary = site.open().unwrap();
    let replicas = primary.replicas();
    let ids: Vec<_> = replicas.iter().map(|r| (r.id.as_str(), r.counts)).collect();
    assert_eq!(ids, [("a", true), ("loading", false), ("silent", true)]);
    assert_eq!((replicas[0].durable_lsn, replicas[0].applied_lsn), (40, 40));
    // What was only pinned was never acknowledged.
    assert_eq!(replicas[2].durable_lsn, 0);
    assert_eq!(primary.slots().len(), 4);
}

#[test]
fn progress_is_that_of_who_counts() {
    let site = Site::new(100);
    let primary = site.open().unwrap();
    let empty = primary.progress();
    assert_eq!(
        (empty.replicas, empty.lag, empty.safe_replay_lsn),
        (0, 0, 0)
    );
    assert_eq!(empty.retention_floor, None);
    let session = |id, at| {
        primary.slot_create(id, Some(at), false).unwrap();
        primary.register(id, None).unwrap().generation
    };
    let (a, b, c) = (session("a", 10), session("b", 5), session("c", 1));
    primary.note_pull("a", a, 90).unwrap();
    primary.ack("a", a, &applied(80)).unwrap();
    primary.note_pull("b", b, 70).unwrap();
    let ack = Ack {
        durable: 60,
        applied: 30,
        ..Ack::default()
    };
    primary.ack("b", b, &ack).unwrap();
    primary.ack("c", c, &durable(2)).unwrap();
    primary.set_rebootstrapping("c", true).unwrap();
    let progress = primary.progress();
    assert_eq!(progress.replicas, 2);
    assert_eq!((progress.highest_sent, progress.lowest_applied), (90, 30));
    assert_eq!((progress.lag, progress.safe_replay_lsn), (60, 60));
    assert_eq!(progress.retention_floor, Some(2));
    let quorum = |n| primary.quorum_lsn(n, Level::Durable);
    assert_eq!([quorum(0), quorum(1), quorum(2), quorum(3)], [0, 80, 60, 0]);
    assert_eq!(primary.quorum_lsn(2, Level::Applied), 30);
    // What it has was sent to it, also where that was not noted.
    primary.ack("a", a, &durable(95)).unwrap();
    assert_eq!(
        (primary.progress().highest_sent, primary.progress().lag),
        (95, 65)
    );
    primary.close().unwrap();
    let again = site.open().unwrap();
    assert_eq!(again.progress().highest_sent, 95);
}

#[test]
fn the_largest_numbers_are_exact() {
    let end = u64::MAX - 1;
    let site = Site::new(end).with(|o| o.horizon_lsns = None);
    let primary = site.open().unwrap();
    let a = primary.register("a", None).unwrap().generation;
    primary.slot_create("b", Some(1 << 53), false).unwrap();
    let b = primary.register("b", None).unwrap().generation;
    primary.ack("a", a, &applied(end)).unwrap();
    primary.ack("b", b, &applied((1 << 53) + 1)).unwrap();
    assert_eq!(primary.enforce_limits(u64::MAX).unwrap(), []);
    primary.close().unwrap();
    let slots = timeless(&site.open().unwrap());
    assert_eq!((slots[0].restart_lsn, slots[0].confirmed_lsn), (end, end));
    assert_eq!(slots[1].restart_lsn, (1 << 53) + 1);
}

#[test]
fn in_memory_it_is_the_same_and_nothing_stays() {
    let site = Site::new(40);
    let primary = site.open_in_memory();
    let a = primary.register("a", None).unwrap().generation;
    site.log.append_through(60);
    primary.ack("a", a, &durable(50)).unwrap();
    assert_eq!(primary.prune(None).unwrap(), 50);
    site.clocks.pass(DAY / 2);
    primary.enforce_limits(0).unwrap();
    primary.touch("a", a).unwrap();
    assert!(primary.replicas()[0].healthy);
    primary.slot_drop("a").unwrap();
    primary.close().unwrap();
    assert_eq!(kind(primary.close()), ErrorKind::Closed);
    assert_eq!(kind(primary.register("a", None)), ErrorKind::Closed);
    assert_eq!(site.disk.operations(), 0);
}

#[test]
fn a_closed_primary_takes_nothing_and_has_saved_everything() {
    let site = Site::new(40);
    let primary = site.open().unwrap();
    let a = primary.register("a", None).unwrap().generation;
    site.log.append_through(50);
    primary.ack("a", a, &durable(45)).unwrap();
    primary.close().unwrap();
    for refused in [
        primary.ack("a", a, &durable(50)),
        primary.unregister("a"),
        primary.slot_drop("a"),
        primary.save(),
        primary.prune(None).map(|_| ()),
        primary.plan_resume("a", 0, 0).map(|_| ()),
    ] {
        assert_eq!(kind(refused), ErrorKind::Closed);
    }
    let crashed = site.after(site.disk.crash_nothing());
    assert_eq!(valid(&crashed.open().unwrap()), [("a".into(), 45)]);
}
