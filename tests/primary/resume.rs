//! Where a replica goes on.

use crate::site::*;
use epochwal::primary::{RebootstrapCause as Why, Resume};
use std::time::Duration;

fn partial(resume_lsn: u64) -> Resume {
    Resume::Partial { resume_lsn }
}

fn rebootstrap(cause: Why) -> Resume {
    Resume::Rebootstrap { cause }
}

#[test]
fn from_the_later_of_what_it_asks_and_its_slot() {
    let site = Site::new(50);
    let primary = site.open().unwrap();
    let session = primary.register("a", None).unwrap();
    site.log.append_through(100);
    primary.ack("a", session.generation, &durable(70)).unwrap();
    for (since, resume) in [(0, 70), (69, 70), (70, 70), (71, 71), (100, 100)] {
        assert_eq!(primary.plan_resume("a", since, 0).unwrap(), partial(resume));
    }
    primary.slot_create("given", Some(60), false).unwrap();
    assert_eq!(primary.plan_resume("given", 10, 0).unwrap(), partial(60));
    assert_eq!(primary.stats().resumes_partial, 6);
}

/// What a registration pinned is not what the replica has: skipping to it
/// would lose what lies below.
#[test]
fn a_pinned_slot_skips_nothing() {
    let site = Site::new(50);
    let primary = site.open().unwrap();
    let session = primary.register("new", None).unwrap();
    assert_eq!(session.restart_lsn, 50);
    assert_eq!(primary.plan_resume("new", 0, 0).unwrap(), partial(0));
    // It stays so over a restart, until the replica speaks.
    primary.close().unwrap();
    let primary = site.open().unwrap();
    assert_eq!(primary.plan_resume("new", 0, 0).unwrap(), partial(0));
    assert_eq!(primary.prune(None).unwrap(), 50);
    assert_eq!(
        primary.plan_resume("new", 49, 0).unwrap(),
        rebootstrap(Why::WalRemoved)
    );
    assert_eq!(primary.plan_resume("new", 50, 0).unwrap(), partial(50));
    let session = primary.register("new", None).unwrap();
    primary
        .ack("new", session.generation, &durable(50))
        .unwrap();
    assert_eq!(primary.plan_resume("new", 0, 0).unwrap(), partial(50));
}

#[test]
fn nor_does_one_that_is_being_rebootstrapped() {
    let site = Site::new(50);
    let primary = site.open().unwrap();
    primary.slot_create("a", Some(40), false).unwrap();
    primary.register("a", None).unwrap();
    primary.set_rebootstrapping("a", true).unwrap();
    assert_eq!(primary.plan_resume("a", 10, 0).unwrap(), partial(10));
    primary.set_rebootstrapping("a", false).unwrap();
    assert_eq!(primary.plan_resume("a", 10, 0).unwrap(), partial(40));
}

#[test]
fn a_full_rebootstrap_has_a_cause() {
    let site = Site::new(1000).with(|o| {
        o.horizon_lsns = Some(500);
        o.idle_timeout = Some(Duration::from_secs(60));
    });
    let primary = site.open().unwrap();
    assert_eq!(
        primary.plan_resume("who", 1000, 0).unwrap(),
        rebootstrap(Why::Unknown)
    );
    primary.slot_create("far", Some(499), false).unwrap();
    primary.slot_create("idle", Some(1000), false).unwrap();
    primary.enforce_limits(0).unwrap();
    site.clocks.pass(Duration::from_secs(61));
    primary.enforce_limits(0).unwrap();
    assert_eq!(
        primary.plan_resume("far", 900, 0).unwrap(),
        rebootstrap(Why::Horizon)
    );
    assert_eq!(
        primary.plan_resume("idle", 1000, 0).unwrap(),
        rebootstrap(Why::IdleTimeout)
    );
    primary.slot_reset("far", Some(1000)).unwrap();
    assert_eq!(primary.plan_resume("far", 0, 0).unwrap(), partial(1000));
    let stats = primary.stats();
    assert_eq!(
        [
            stats.rebootstraps_unknown,
            stats.rebootstraps_horizon,
            stats.rebootstraps_idle
        ],
        [1, 1, 1]
    );
    let names = [
        Why::Unknown,
        Why::WalRemoved,
        Why::Horizon,
        Why::IdleTimeout,
    ]
    .map(Why::name);
    assert_eq!(names, ["unknown", "wal-removed", "horizon", "idle-timeout"]);
}

#[test]
fn ahead_and_on_another_branch_is_diverged() {
    let site = Site::new(100);
    site.log.state().terms = vec![(1, 1), (3, 61)];
    let primary = site.open().unwrap();
    primary.slot_create("a", Some(50), false).unwrap();
    let diverged = |common_lsn| Resume::Diverged { common_lsn };
    assert_eq!(primary.plan_resume("a", 101, 0).unwrap(), diverged(100));
    assert_eq!(
        primary.plan_resume("a", u64::MAX, 3).unwrap(),
        diverged(100)
    );
    assert_eq!(primary.plan_resume("a", 200, 1).unwrap(), diverged(60));
    assert_eq!(primary.plan_resume("a", 61, 2).unwrap(), diverged(60));
    assert_eq!(primary.plan_resume("a", 60, 2).unwrap(), partial(60));
    assert_eq!(primary.plan_resume("a", 61, 3).unwrap(), partial(61));
    // Whether it has a slot or not, it must give up what it has first.
    assert_eq!(primary.plan_resume("who", 101, 0).unwrap(), diverged(100));
    assert_eq!(primary.stats().resumes_diverged, 5);
}
