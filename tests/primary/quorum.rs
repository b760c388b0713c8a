//! Commits that wait for replicas.

use crate::site::*;
use epochwal::ErrorKind;
use epochwal::primary::{Ack, AckPolicy, AckResult, EventKind, Level, Outcome, Primary, Quorum};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const NOW: Option<Duration> = Some(Duration::ZERO);

fn policy(text: &str) -> AckPolicy {
    AckPolicy::new(text.parse().unwrap(), Level::Durable)
}

fn look(primary: &Primary, lsn: u64, text: &str) -> (Outcome, u32, u32) {
    let result = primary.wait_acks(lsn, &policy(text), NOW).unwrap();
    (result.outcome, result.observed, result.required)
}

/// A primary with these replicas and regions; their sessions.
fn with(site: &Site, ids: &[(&str, Option<&str>)]) -> (Arc<Primary>, Vec<u64>) {
    let primary = Arc::new(site.open().unwrap());
    let register = |(id, region): &(&str, Option<&str>)| {
        let session = primary.register(id, *region).unwrap();
        session.generation
    };
    let sessions = ids.iter().map(register).collect();
    (primary, sessions)
}

/// Waits until so many commits sleep.
fn until_waiting(primary: &Primary, count: u64) {
    until("they wait", || primary.stats().waiting >= count);
}

use Outcome::{Reached, TimedOut, Unmeetable};

#[test]
fn so_many_or_so_many_of_a_list() {
    let site = Site::new(10);
    let (primary, s) = with(&site, &[("a", None), ("b", None), ("c", None)]);
    assert_eq!(look(&primary, 10, "local"), (Reached, 0, 0));
    assert_eq!(look(&primary, 11, "local"), (TimedOut, 0, 0));
    assert_eq!(look(&primary, 10, "any 1"), (TimedOut, 0, 1));
    primary.ack("a", s[0], &durable(9)).unwrap();
    primary.ack("b", s[1], &durable(10)).unwrap();
    assert_eq!(look(&primary, 10, "1"), (Reached, 1, 1));
    assert_eq!(look(&primary, 9, "2"), (Reached, 2, 2));
    assert_eq!(look(&primary, 10, "3"), (TimedOut, 1, 3));
    assert_eq!(look(&primary, 10, "4"), (Unmeetable, 1, 4));
    assert_eq!(look(&primary, 10, "any 1 (a, b)"), (Reached, 1, 1));
    assert_eq!(look(&primary, 10, "any 1 (a, c)"), (TimedOut, 0, 1));
    assert_eq!(look(&primary, 10, "any 2 (b, x)"), (Unmeetable, 1, 2));
    assert_eq!(look(&primary, 10, "any 1 (x, y)"), (Unmeetable, 0, 1));
}

#[test]
fn the_first_of_a_list_are_those_that_are_there() {
    let site = Site::new(10);
    let (primary, s) = with(&site, &[("a", None), ("b", None), ("c", None)]);
    for (id, session) in [("b", s[1]), ("c", s[2])] {
        primary.ack(id, session, &durable(10)).unwrap();
    }
    // a has priority, and does not have it.
    assert_eq!(look(&primary, 10, "first 1 (a, b, c)"), (TimedOut, 0, 1));
    assert_eq!(look(&primary, 10, "first 2 (b, a, c)"), (TimedOut, 1, 2));
    assert_eq!(look(&primary, 10, "first 2 (b, x, c)"), (Reached, 2, 2));
    // Not healthy, it stands behind the others.
    site.clocks.pass(Duration::from_secs(31));
    primary.touch("b", s[1]).unwrap();
    primary.touch("c", s[2]).unwrap();
    primary.enforce_limits(0).unwrap();
    assert_eq!(look(&primary, 10, "first 1 (a, b, c)"), (Reached, 1, 1));
    assert_eq!(look(&primary, 10, "first 3 (a, b, c)"), (TimedOut, 2, 3));
    primary.unregister("a").unwrap();
    assert_eq!(look(&primary, 10, "first 3 (a, b, c)"), (Unmeetable, 2, 3));
}

#[test]
fn so_many_in_each_region() {
    let site = Site::new(10);
    let regions = [
        ("e1", Some("eu")),
        ("e2", Some("eu")),
        ("u1", Some("us")),
        ("n", None),
    ];
    let (primary, s) = with(&site, &regions);
    assert_eq!(look(&primary, 10, "regions 1 (eu, us)"), (TimedOut, 0, 2));
    primary.ack("e1", s[0], &durable(10)).unwrap();
    primary.ack("e2", s[1], &durable(10)).unwrap();
    primary.ack("n", s[3], &durable(10)).unwrap();
    // Two in one region are not one in each.
    assert_eq!(look(&primary, 10, "regions 1 (eu, us)"), (TimedOut, 1, 2));
    assert_eq!(look(&primary, 10, "regions 2 (eu)"), (Reached, 2, 2));
    assert_eq!(look(&primary, 10, "regions 2 (eu, us)"), (Unmeetable, 2, 4));
    assert_eq!(
        look(&primary, 10, "regions 1 (eu, asia)"),
        (Unmeetable, 1, 2)
    );
    primary.ack("u1", s[2], &durable(10)).unwrap();
    assert_eq!(look(&primary, 10, "regions 1 (eu, us)"), (Reached, 2, 2));
}

#[test]
fn levels_are_apart() {
    let site = Site::new(10);
    let (primary, s) = with(&site, &[("a", None)]);
    let ack = Ack {
        written: 9,
        durable: 8,
        applied: 7,
        ..Ack::default()
    };
    primary.ack("a", s[0], &ack).unwrap();
    for (level, has) in Level::ALL.into_iter().zip([9, 8, 7]) {
        let one = AckPolicy::new(Quorum::Replicas(1), level);
        let outcome = |lsn| primary.wait_acks(lsn, &one, NOW).unwrap().outcome;
        assert_eq!((outcome(has), outcome(has + 1)), (Reached, TimedOut));
    }
}

/// Who has registered and said nothing has nothing, whatever it pins.
#[test]
fn a_pinned_slot_counts_for_nothing() {
    let site = Site::new(10);
    let (primary, _) = with(&site, &[("a", None)]);
    assert_eq!(look(&primary, 5, "1"), (TimedOut, 0, 1));
    primary.slot_create("b", Some(9), false).unwrap();
    primary.register("b", None).unwrap();
    assert_eq!(look(&primary, 5, "2"), (TimedOut, 0, 2));
}

#[test]
fn who_does_not_count_is_not_there() {
    let site = Site::new(10);
    let (primary, s) = with(&site, &[("a", None), ("b", None)]);
    primary.ack("a", s[0], &durable(10)).unwrap();
    primary.set_rebootstrapping("a", true).unwrap();
    assert_eq!(look(&primary, 10, "2"), (Unmeetable, 0, 2));
    primary.ack("a", s[0], &durable(10)).unwrap();
    assert_eq!(look(&primary, 10, "1"), (TimedOut, 0, 1));
    primary.set_rebootstrapping("a", false).unwrap();
    assert_eq!(look(&primary, 10, "1"), (Reached, 1, 1));
    // Replaced from a snapshot: what it had is gone.
    primary.slot_reset("a", Some(10)).unwrap();
    assert_eq!(look(&primary, 10, "1"), (TimedOut, 0, 1));
}

#[test]
fn impossible_policies_are_refused() {
    let primary = Site::new(10).open().unwrap();
    for quorum in [
        Quorum::Replicas(0),
        Quorum::Any(0, vec!["a".into()]),
        Quorum::First(2, vec!["a".into()]),
        Quorum::Any(1, vec![]),
        Quorum::Regions(1, vec![]),
        Quorum::Regions(1, vec!["".into()]),
        Quorum::Any(1, vec!["a".into(), "a".into()]),
    ] {
        let policy = AckPolicy::new(quorum, Level::Applied);
        assert_eq!(
            kind(primary.wait_acks(1, &policy, None)),
            ErrorKind::Invalid
        );
    }
}

#[test]
fn a_policy_may_degrade_and_says_so() {
    let site = Site::new(10);
    let (primary, _) = with(&site, &[("a", None)]);
    let mut one = policy("any 1 (a)");
    one.degrade = true;
    let mut two = policy("2");
    two.degrade = true;
    let degraded = |outcome, required| AckResult {
        outcome,
        degraded: true,
        observed: 0,
        required,
    };
    assert_eq!(
        primary.wait_acks(10, &one, NOW).unwrap(),
        degraded(TimedOut, 1)
    );
    assert_eq!(
        primary.wait_acks(10, &two, None).unwrap(),
        degraded(Unmeetable, 2)
    );
    // What is not durable here is no commit under any policy.
    let result = primary.wait_acks(11, &one, NOW).unwrap();
    assert!(!result.degraded);
    assert_eq!(kind(result.ok()), ErrorKind::Timeout);
    assert_eq!(
        kind(primary.wait_acks(10, &policy("2"), None).unwrap().ok()),
        ErrorKind::NotFound
    );
    let stats = primary.stats();
    assert_eq!(
        (
            stats.waits_degraded,
            stats.waits_timed_out,
            stats.waits_unmeetable
        ),
        (2, 2, 2)
    );
    let expected = EventKind::CommitDegraded {
        lsn: 10,
        observed: 0,
        required: 1,
    };
    assert_eq!(primary.events_since(0)[0].kind, expected);
}

#[test]
fn an_acknowledgement_wakes_those_it_decides() {
    let site = Site::new(10);
    let (primary, s) = with(&site, &[("a", None), ("b", None)]);
    let wait = |lsn, text: &str| {
        let (primary, policy) = (primary.clone(), policy(text));
        thread::spawn(move || primary.wait_acks(lsn, &policy, None).unwrap())
    };
    let (low, high, both) = (wait(5, "1"), wait(9, "1"), wait(5, "any 2 (a, b)"));
    until_waiting(&primary, 3);
    primary.ack("a", s[0], &durable(5)).unwrap();
    assert_eq!(low.join().unwrap().outcome, Reached);
    // The others sleep on: their policies are not met.
    assert_eq!(primary.stats().waiting, 2);
    primary.ack("b", s[1], &durable(7)).unwrap();
    assert_eq!(both.join().unwrap().outcome, Reached);
    primary.ack("b", s[1], &durable(10)).unwrap();
    assert_eq!(high.join().unwrap().outcome, Reached);
    assert_eq!(primary.stats().waiting, 0);
}

#[test]
fn changes_of_the_shape_wake_those_they_decide() {
    type Change = (&'static str, &'static str, Outcome, fn(&Primary));
    let changes: [Change; 8] = [
        ("drop", "any 2 (a, b)", Unmeetable, |p| {
            p.slot_drop("b").unwrap()
        }),
        ("leave", "2", Unmeetable, |p| p.unregister("b").unwrap()),
        ("load", "regions 1 (eu)", Unmeetable, |p| {
            p.set_rebootstrapping("b", true).unwrap();
        }),
        ("come", "first 1 (c, b)", Reached, |p| {
            p.set_rebootstrapping("c", false).unwrap()
        }),
        ("move", "regions 1 (us)", Reached, |p| {
            _ = p.register("a", Some("us")).unwrap()
        }),
        ("give up", "first 2 (a, b)", Unmeetable, |p| {
            assert_eq!(p.enforce_limits(0).unwrap().len(), 1);
        }),
        ("cut", "2", Unmeetable, |p| {
            p.truncate_with(2000, || Ok(())).unwrap();
        }),
        ("close", "2", TimedOut, |p| p.close().unwrap()),
    ];
    for (what, text, outcome, change) in changes {
        let site = Site::new(100_000).with(|o| o.horizon_lsns = Some(99_000));
        let primary = Arc::new(site.open().unwrap());
        let session = |id, at, region| {
            primary.slot_create(id, Some(at), false).unwrap();
            primary.register(id, region).unwrap().generation
        };
        let a = session("a", 2000, None);
        session("b", 1000, Some("eu"));
        let c = session("c", 2000, Some("us"));
        primary.ack("a", a, &durable(2500)).unwrap();
        primary.ack("c", c, &durable(2500)).unwrap();
        primary.set_rebootstrapping("c", true).unwrap();
        site.log.append_through(101_400);
        let theirs = primary.clone();
        let wait = policy(text);
        // Until the change there is one more in that region, without the LSN.
        if what == "move" {
            primary.slot_create("d", Some(100_000), false).unwrap();
            primary.register("d", Some("us")).unwrap();
        }
        let waiter = thread::spawn(move || theirs.wait_acks(2400, &wait, None));
        until_waiting(&primary, 1);
        change(&primary);
        match waiter.join().unwrap() {
            Ok(result) => assert_eq!(result.outcome, outcome, "{what}"),
            Err(e) => assert_eq!((what, e.kind()), ("close", ErrorKind::Closed)),
        }
    }
}

#[test]
fn health_decides_who_is_first() {
    let site = Site::new(10);
    let (primary, s) = with(&site, &[("a", None), ("b", None)]);
    primary.ack("b", s[1], &durable(10)).unwrap();
    let theirs = primary.clone();
    let waiter = thread::spawn(move || theirs.wait_acks(10, &policy("first 1 (a, b)"), None));
    until_waiting(&primary, 1);
    site.clocks.pass(Duration::from_secs(31));
    primary.touch("b", s[1]).unwrap();
    primary.enforce_limits(0).unwrap();
    assert_eq!(waiter.join().unwrap().unwrap().outcome, Reached);
}

#[test]
fn a_wait_ends_when_the_caller_says_so() {
    let site = Site::new(10);
    let (primary, _) = with(&site, &[("a", None)]);
    let mut asked = 0;
    let result = primary.wait_acks_interruptible(10, &policy("1"), None, &mut || {
        asked += 1;
        asked == 2
    });
    assert_eq!(result.unwrap().outcome, TimedOut);
    assert_eq!(primary.stats().waiting, 0);
}

/// The time runs out by itself, too.
#[test]
fn a_wait_has_an_end() {
    let site = Site::new(10);
    let (primary, _) = with(&site, &[("a", None)]);
    let result = primary
        .wait_acks(10, &policy("1"), Some(Duration::from_millis(1)))
        .unwrap();
    assert_eq!(
        (result.outcome, result.observed, result.required),
        (TimedOut, 0, 1)
    );
    assert_eq!(primary.stats().waiting, 0);
}

/// Local durability is waited for in the log.
#[test]
fn local_waits_for_the_log() {
    let site = Site::new(10);
    let (primary, _) = with(&site, &[]);
    let theirs = primary.clone();
    let waiter = thread::spawn(move || theirs.wait_acks(12, &policy("local"), PATIENCE));
    site.log.append_through(12);
    assert_eq!(waiter.join().unwrap().unwrap().outcome, Reached);
}

/// And that wait can be given up like any other.
#[test]
fn a_local_wait_can_be_given_up() {
    let site = Site::new(10);
    let (primary, _) = with(&site, &[]);
    let mut asked = 0;
    let result = primary.wait_acks_interruptible(11, &policy("local"), None, &mut || {
        asked += 1;
        asked == 2
    });
    assert_eq!((result.unwrap().outcome, asked), (TimedOut, 2));
    let end = Some(Duration::from_millis(1));
    let result = primary.wait_acks_interruptible(11, &policy("local"), end, &mut || false);
    assert_eq!(result.unwrap().outcome, TimedOut);
}

/// What is called reached is on the disk; one save serves many.
#[test]
fn a_reached_quorum_is_durable() {
    let site = Site::new(100);
    let (primary, s) = with(&site, &[("a", None)]);
    primary.ack("a", s[0], &durable(100)).unwrap();
    for lsn in [40, 80, 60, 80] {
        assert_eq!(look(&primary, lsn, "1"), (Reached, 1, 1));
        let crashed = site.after(site.disk.crash_nothing());
        let kept = crashed.open().unwrap().progress().quorum_lsn;
        assert!(kept >= lsn, "{kept} after {lsn} was reached");
    }
    // 60 and the second 80 were covered; and the acknowledgement is still to be saved.
    assert_eq!(primary.stats().saves, 1 + 2);
    assert_eq!(site.log.state().quorum, 0);
    primary.close().unwrap();
    assert_eq!(site.log.state().quorum, 80);
}

/// Eight committers, four replicas that acknowledge, come and go. Everyone
/// comes back; nobody is told "reached" of what a quorum did not have.
#[test]
fn waits_race_with_acknowledgements_and_departures() {
    const END: u64 = 400;
    let site = Site::new(0);
    let primary = Arc::new(site.open().unwrap());
    let ids = ["a", "b", "c", "d"];
    for id in ids {
        primary.register(id, Some("eu")).unwrap();
    }
    site.log.append_through(END);
    thread::scope(|scope| {
        for (n, id) in ids.into_iter().enumerate() {
            let primary = &primary;
            scope.spawn(move || {
                let mut session = primary.register(id, None).unwrap().generation;
                for lsn in 1..=END {
                    primary.ack(id, session, &applied(lsn)).unwrap();
                    // The first two stay, so that two are always there.
                    match (n, lsn % 50) {
                        (2, 10) => {
                            primary.unregister(id).unwrap();
                            session = primary.register(id, None).unwrap().generation;
                        }
                        (3, 20) => {
                            primary.slot_drop(id).unwrap();
                            session = primary.register(id, Some("eu")).unwrap().generation;
                        }
                        _ => {}
                    }
                }
            });
        }
        for committer in 0..8_u64 {
            let primary = &primary;
            scope.spawn(move || {
                let texts = [
                    "1",
                    "2",
                    "any 1 (a, b)",
                    "first 2 (a, b, c)",
                    "regions 2 (eu)",
                ];
                for lsn in (1 + committer..=END).step_by(8) {
                    let text = texts[(lsn % 5) as usize];
                    let result = primary.wait_acks(lsn, &policy(text), PATIENCE).unwrap();
                    assert_eq!(result.outcome, Reached, "{lsn}: {text}");
                    // a and b never lose what they have.
                    let a_and_b = primary.replicas();
                    let have = |r: &&epochwal::primary::ReplicaInfo| r.durable_lsn >= lsn;
                    match text {
                        "any 1 (a, b)" => assert!(a_and_b[..2].iter().any(|r| have(&r))),
                        "first 2 (a, b, c)" => assert!(a_and_b[..2].iter().all(|r| have(&r))),
                        _ => {}
                    }
                }
            });
        }
    });
    let stats = primary.stats();
    assert_eq!((stats.waits_reached, stats.waiting), (END, 0));
    assert_eq!(primary.progress().quorum_lsn, END);
}
