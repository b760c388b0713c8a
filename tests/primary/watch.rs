//! Commit waits that an event loop looks at.

use crate::site::*;
use epochwal::ErrorKind;
use epochwal::primary::{AckPolicy, AckWatch, EventKind, Level, Outcome, Primary};
use epochwal::storage::sim::{Call, FaultPlan};
use std::fs::File;
use std::io::{ErrorKind as Io, Read};

/// A descriptor of the primary's, as a loop has it.
struct Bell(File);

impl Bell {
    fn of(primary: &Primary) -> Bell {
        Bell(File::from(primary.event_fd().unwrap()))
    }

    /// Whether it was rung since the last look.
    fn rang(&mut self) -> bool {
        match self.0.read(&mut [0; 8]) {
            Ok(read) => read == 8,
            Err(e) if e.kind() == Io::WouldBlock => false,
            Err(e) => panic!("{e}"),
        }
    }
}

fn watch(primary: &Primary, lsn: u64, text: &str) -> AckWatch {
    let policy = AckPolicy::new(text.parse().unwrap(), Level::Durable);
    primary.watch_acks(lsn, &policy).unwrap()
}

use Outcome::{Reached, TimedOut, Unmeetable};

fn finish(watch: AckWatch) -> (Outcome, u32, u32) {
    let result = watch.finish().unwrap();
    (result.outcome, result.observed, result.required)
}

#[test]
fn the_bell_rings_for_what_is_decided_alone() {
    let site = Site::new(10);
    let primary = site.open().unwrap();
    let a = primary.register("a", None).unwrap().generation;
    let b = primary.register("b", None).unwrap().generation;
    let (mut bell, mut another) = (Bell::of(&primary), Bell::of(&primary));
    let (five, ten) = (watch(&primary, 5, "2"), watch(&primary, 10, "2"));
    assert_eq!(primary.stats().waiting, 2);
    primary.ack("a", a, &durable(10)).unwrap();
    primary.ack("b", b, &durable(4)).unwrap();
    assert!(!bell.rang(), "nothing is decided");
    primary.ack("b", b, &durable(5)).unwrap();
    assert!(bell.rang() && another.rang() && !bell.rang());
    assert!(five.is_decided().unwrap() && !ten.is_decided().unwrap());
    assert_eq!(finish(five), (Reached, 2, 2));
    // Who is there already rings nothing: the one who begins looks.
    assert_eq!(finish(watch(&primary, 9, "1")), (Reached, 1, 1));
    assert!(!bell.rang());
    // The time of the loop's own is up.
    assert_eq!(finish(ten), (TimedOut, 1, 2));
    primary.ack("b", b, &durable(10)).unwrap();
    assert!(!bell.rang(), "nobody waits any more");
    assert_eq!(primary.stats().waiting, 0);
    let stats = primary.stats();
    assert_eq!((stats.waits_reached, stats.waits_timed_out), (2, 1));
    // What was called reached is so after a crash.
    let crashed = site.after(site.disk.crash_nothing());
    assert!(crashed.open().unwrap().progress().quorum_lsn >= 9);
}

#[test]
fn who_leaves_decides_too() {
    let site = Site::new(10);
    let primary = site.open().unwrap();
    primary.register("a", None).unwrap();
    let mut bell = Bell::of(&primary);
    let (one, forgotten) = (watch(&primary, 10, "1"), watch(&primary, 10, "1"));
    primary.slot_drop("a").unwrap();
    assert!(bell.rang());
    assert_eq!(finish(one), (Unmeetable, 0, 1));
    // One comes back, and the other wait goes on.
    assert!(forgotten.is_decided().unwrap());
    let a = primary.register("a", None).unwrap().generation;
    assert!(!forgotten.is_decided().unwrap());
    primary.ack("a", a, &durable(10)).unwrap();
    assert!(bell.rang() && forgotten.is_decided().unwrap());
    drop(forgotten);
    assert_eq!(primary.stats().waiting, 0);
}

#[test]
fn a_watch_degrades_as_a_wait_does() {
    let site = Site::new(10);
    let primary = site.open().unwrap();
    primary.register("a", None).unwrap();
    let mut policy = AckPolicy::new("1".parse().unwrap(), Level::Durable);
    policy.degrade = true;
    for lsn in [10, 11] {
        let result = primary.watch_acks(lsn, &policy).unwrap().finish().unwrap();
        // No policy makes a commit of what is not durable here.
        assert_eq!((result.outcome, result.degraded), (TimedOut, lsn == 10));
    }
    assert_eq!(primary.stats().waits_degraded, 1);
    let events = primary.events_since(0);
    assert!(matches!(
        events.last().unwrap().kind,
        EventKind::CommitDegraded { lsn: 10, .. }
    ));
}

#[test]
fn the_log_alone_is_watched_through_its_own() {
    let site = Site::new(10);
    let primary = site.open().unwrap();
    let mut bell = Bell::of(&primary);
    let local = watch(&primary, 11, "local");
    assert_eq!(primary.stats().waiting, 0);
    assert!(!local.is_decided().unwrap());
    site.log.append_through(11);
    assert!(local.is_decided().unwrap() && !bell.rang());
    assert_eq!(finish(local), (Reached, 0, 0));
    assert_eq!(finish(watch(&primary, 12, "local")), (TimedOut, 0, 0));
}

#[test]
fn everyone_hears_of_the_end() {
    let site = Site::new(10);
    let primary = site.open().unwrap();
    let a = primary.register("a", None).unwrap().generation;
    let mut bell = Bell::of(&primary);
    let (pending, reached) = (watch(&primary, 10, "1"), watch(&primary, 5, "1"));
    primary.ack("a", a, &durable(5)).unwrap();
    assert!(bell.rang());
    primary.close().unwrap();
    assert!(bell.rang());
    assert!(Bell::of(&primary).rang(), "asked for after the end");
    assert_eq!(kind(pending.is_decided()), ErrorKind::Closed);
    assert_eq!(kind(pending.finish()), ErrorKind::Closed);
    assert!(reached.is_decided().unwrap(), "what was reached stays so");
    let policy = AckPolicy::new("1".parse().unwrap(), Level::Durable);
    assert_eq!(kind(primary.watch_acks(1, &policy)), ErrorKind::Closed);
    // Its watches may outlive it.
    drop(primary);
    drop(reached);
}

#[test]
fn a_failure_is_heard_too() {
    let site = Site::new(10);
    let primary = site.open().unwrap();
    primary.register("a", None).unwrap();
    let mut bell = Bell::of(&primary);
    let pending = watch(&primary, 10, "1");
    site.disk.fail(FaultPlan::error(Call::SyncData, libc::EIO));
    primary.register("b", None).unwrap_err();
    assert!(bell.rang());
    assert_eq!(kind(pending.is_decided()), ErrorKind::Failed);
}
