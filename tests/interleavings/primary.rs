//! Slots and commit waits: who acknowledges, waits, leaves, prunes and saves
//! at the same time.

use crate::harness::{Disk, explore, kind, step, threads};
use crate::site::{STORE, Site, applied};
use epochwal::ErrorKind;
use epochwal::primary::{AckPolicy, Level, Outcome, Parts, Primary};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A primary over a disk whose calls are scheduling points.
fn open(site: &Site) -> Arc<Primary> {
    let disk = Disk::over(site.disk.clone());
    let parts = Parts {
        wal: site.log.clone(),
        store: Some((Arc::new(disk), Path::new(STORE).into())),
        clock: Some(site.clocks.clone()),
    };
    let primary = Primary::open_with(parts, &site.options, &mut || Ok(Vec::new()));
    Arc::new(primary.expect("open"))
}

fn policy(text: &str) -> AckPolicy {
    AckPolicy::new(text.parse().expect("policy"), Level::Durable)
}

/// What a crash at this moment leaves.
fn crashed(site: &Site) -> Primary {
    let site = site.after(site.disk.crash_nothing());
    site.open().expect("open after a crash")
}

/// Each wait ends, by acknowledgements alone; what it calls reached is durable.
#[test]
fn acknowledgements_wake_committers() {
    explore(400, || {
        let site = Site::new(0);
        let primary = open(&site);
        let sessions =
            ["a", "b"].map(|id| primary.register(id, None).expect("register").generation);
        site.log.append_through(4);
        let (ours, theirs) = (site.clone(), primary.clone());
        threads(4, move |i| match i {
            1 | 2 => {
                let (id, session) = (["a", "b"][i as usize - 1], sessions[i as usize - 1]);
                for lsn in [2, 4] {
                    theirs.ack(id, session, &applied(lsn)).expect("ack");
                }
            }
            _ => {
                let lsn = i - 1;
                let text = if i == 3 { "2" } else { "any 1 (b)" };
                let result = theirs.wait_acks(lsn, &policy(text), None).expect("wait");
                assert_eq!(result.outcome, Outcome::Reached);
                assert!(crashed(&ours).progress().quorum_lsn >= lsn);
            }
        });
        assert_eq!(primary.stats().waiting, 0);
    });
}

/// A replica leaves for good: whoever waits for it wakes and is told.
#[test]
fn departures_wake_committers() {
    explore(400, || {
        let site = Site::new(0);
        let primary = open(&site);
        let a = primary.register("a", None).expect("register").generation;
        primary.register("b", None).expect("register");
        site.log.append_through(2);
        let theirs = primary.clone();
        threads(4, move |i| match i {
            1 => theirs.ack("a", a, &applied(2)).expect("ack"),
            2 => theirs.slot_drop("b").expect("drop"),
            3 => {
                let result = theirs.wait_acks(2, &policy("2"), None).expect("wait");
                assert_eq!(result.outcome, Outcome::Unmeetable);
            }
            _ => {
                let result = theirs
                    .wait_acks(2, &policy("any 1 (a, b)"), None)
                    .expect("wait");
                assert_eq!(result.outcome, Outcome::Reached);
            }
        });
    });
}

/// A close ends every wait, and has saved what was acknowledged before it.
#[test]
fn a_close_wakes_committers() {
    explore(300, || {
        let site = Site::new(0).with(|o| o.saver = true);
        let primary = open(&site);
        let a = primary.register("a", None).expect("register").generation;
        site.log.append_through(9);
        let theirs = primary.clone();
        let acknowledged = threads(3, move |i| match i {
            1 => theirs.ack("a", a, &applied(5)).is_ok(),
            2 => {
                theirs.close().expect("close");
                false
            }
            _ => {
                let result = theirs.wait_acks(7, &policy("1"), None);
                assert_eq!(kind(&result), Some(ErrorKind::Closed));
                false
            }
        })[0];
        let expected = if acknowledged { 5 } else { 0 };
        let slot = crashed(&site).slot("a").expect("slot").slot;
        assert_eq!(slot.restart_lsn, expected);
    });
}

/// The thread hears of whatever rises, also while it falls asleep.
#[test]
fn the_saver_hears_of_everything() {
    explore(150, || {
        let site = Site::new(0).with(|o| {
            o.saver = true;
            o.save_interval = Duration::from_millis(1);
        });
        let primary = open(&site);
        let a = primary.register("a", None).expect("register").generation;
        site.log.append_through(9);
        for lsn in [3, 6] {
            primary.ack("a", a, &applied(lsn)).expect("ack");
            while primary.slot("a").expect("slot").saved_lsn < lsn {
                shuttle::thread::yield_now();
            }
        }
        primary.close().expect("close");
    });
}

/// G11: what registers beside a prune keeps what it was told it has.
#[test]
fn a_prune_races_with_new_slots() {
    explore(300, || {
        let site = Site::new(10);
        let primary = open(&site);
        let a = primary.register("a", None).expect("register").generation;
        site.log.append_through(20);
        let (ours, theirs) = (site.clone(), primary.clone());
        threads(4, move |i| match i {
            1 => theirs.ack("a", a, &applied(20)).expect("ack"),
            2 => _ = theirs.prune(None).expect("prune"),
            3 => {
                if theirs.slot_create("b", Some(12), false).is_ok() {
                    assert!(ours.log.state().pruned <= 12);
                    let slot = crashed(&ours).slot("b").expect("slot").slot;
                    assert!(slot.is_valid());
                }
            }
            _ => {
                let session = theirs.register("c", None).expect("register");
                assert!(ours.log.state().pruned <= session.restart_lsn);
            }
        });
        let floor = crashed(&site).progress().retention_floor;
        assert!(site.log.state().pruned <= floor.expect("slots"));
    });
}

/// G11: a replica that has what became durable just now is not beyond the end.
#[test]
fn a_look_at_the_limits_gives_up_nobody_who_keeps_up() {
    explore(200, || {
        let site = Site::new(10);
        let primary = open(&site);
        let a = primary.register("a", None).expect("register").generation;
        let (ours, theirs) = (site.clone(), primary.clone());
        threads(3, move |i| match i {
            1 => {
                for lsn in [15, 20] {
                    ours.log.append_through(lsn);
                    theirs.ack("a", a, &applied(lsn)).expect("ack");
                }
            }
            2 => _ = theirs.enforce_limits(0).expect("limits"),
            _ => _ = theirs.prune(None).expect("prune"),
        });
        assert!(primary.slot("a").expect("slot").slot.is_valid());
    });
}

/// What a wait calls reached is not cut off, and nobody is said to have what
/// was.
#[test]
fn a_cut_races_with_acknowledgements_and_waits() {
    explore(400, || {
        let site = Site::new(10);
        let primary = open(&site);
        let a = primary.register("a", None).expect("register").generation;
        site.log.append_through(20);
        let (ours, theirs) = (site.clone(), primary.clone());
        let did = threads(3, move |i| match i {
            1 => {
                let acknowledged = theirs.ack("a", a, &applied(20));
                let kinds = [None, Some(ErrorKind::Ahead), Some(ErrorKind::WalRemoved)];
                assert!(kinds.contains(&kind(&acknowledged)), "{acknowledged:?}");
                acknowledged.is_ok()
            }
            2 => {
                let cut = theirs.truncate_with(15, || {
                    step();
                    ours.log.state().end = 15;
                    step();
                    Ok(())
                });
                assert!([None, Some(ErrorKind::Order)].contains(&kind(&cut)));
                cut.is_ok()
            }
            _ => {
                let looked = theirs.wait_acks(20, &policy("1"), Some(Duration::ZERO));
                looked.expect("wait").outcome == Outcome::Reached
            }
        });
        let (cut, reached) = (did[1], did[2]);
        assert!(!(cut && reached), "cut off what was reached");
        let slot = primary.slot("a").expect("slot").slot;
        assert!(!cut || !slot.is_valid() || slot.restart_lsn <= 15);
        let replica = &primary.replicas()[0];
        assert!(!cut || replica.durable_lsn <= 15, "{replica:?}");
    });
}

/// A wait that is watched was decided when its loop first looked, or it rings.
#[test]
fn a_watch_is_decided_at_once_or_rings() {
    for leaves in [false, true] {
        explore(150, move || {
            let site = Site::new(0);
            let primary = open(&site);
            let a = primary.register("a", None).expect("register").generation;
            site.log.append_through(2);
            let mut bell = File::from(primary.event_fd().expect("descriptor"));
            let theirs = primary.clone();
            let at_once = threads(2, move |i| match i {
                1 if leaves => theirs.slot_drop("a").is_ok(),
                1 => theirs.ack("a", a, &applied(2)).is_ok(),
                _ => {
                    let watch = theirs.watch_acks(2, &policy("1")).expect("watch");
                    let at_once = watch.is_decided().expect("look");
                    while !watch.is_decided().expect("look") {
                        shuttle::thread::yield_now();
                    }
                    at_once
                }
            });
            let rang = bell.read(&mut [0; 8]).is_ok();
            assert!(at_once[0] && (at_once[1] || rang));
            assert_eq!(primary.stats().waiting, 0);
        });
    }
}
