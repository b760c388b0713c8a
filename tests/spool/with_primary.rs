//! A primary over its spool: what slots hold back, and what outlives a crash.

use super::common::{PATIENCE, Place};
use super::tools::{append, everywhere, open, read_all, small};
use epochwal::ErrorKind;
use epochwal::primary::{Ack, AckPolicy, Level, Outcome, Primary, PrimaryOptions, Quorum, Resume};
use epochwal::storage::Storage;
use epochwal::storage::sim::SimStorage;
use std::path::Path;

fn primary(place: &Place) -> epochwal::Result<Primary> {
    let options = PrimaryOptions {
        saver: false,
        ..PrimaryOptions::default()
    };
    Primary::open_on(place.disk.clone(), &place.db, &small(), &options)
}

fn fill(primary: &Primary, through: u64) {
    let spool = primary.spool().unwrap();
    for lsn in spool.bounds().current_lsn + 1..=through {
        append(spool, 1, lsn).unwrap();
    }
}

fn ack(lsn: u64) -> Ack {
    Ack {
        written: lsn,
        durable: lsn,
        applied: lsn,
        apply_errors: 0,
        divergences: 0,
    }
}

#[test]
fn nobody_prunes_what_a_slot_needs() {
    everywhere(|place| {
        let p = primary(place).unwrap();
        fill(&p, 100);
        let a = p.register("a", Some("eu")).unwrap();
        assert_eq!((a.restart_lsn, a.created), (100, true));
        fill(&p, 600);
        // Through the primary, through its spool, and through a spool alone.
        assert_eq!(p.prune(None).unwrap(), 100);
        assert_eq!(p.spool().unwrap().prune_through(600).unwrap(), 100);
        p.ack("a", a.generation, &ack(300)).unwrap();
        p.close().unwrap();
        let alone = open(place, &small()).unwrap();
        assert_eq!(alone.prune_through(600).unwrap(), 300);
        assert_eq!(read_all(&alone, 300, 100).unwrap().len(), 300);
        alone.close(PATIENCE).unwrap();
        let p = primary(place).unwrap();
        let plan = p.plan_resume("a", 300, 1).unwrap();
        assert_eq!(plan, Resume::Partial { resume_lsn: 300 });
        assert_eq!(primary(place).unwrap_err().kind(), ErrorKind::Locked);
        p.slot_drop("a").unwrap();
        assert_eq!(p.prune(Some(500)).unwrap(), 500);
    });
}

#[test]
fn what_was_acknowledged_and_not_saved_is_not_pruned_past() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let p = primary(&place).unwrap();
    fill(&p, 100);
    let a = p.register("a", None).unwrap();
    fill(&p, 400);
    p.ack("a", a.generation, &ack(350)).unwrap();
    // In memory only: a crash gives the older one, and its records are there.
    let crashed = Place::sim(&disk.crash_nothing());
    let old = primary(&crashed).unwrap();
    assert_eq!(old.slot("a").unwrap().slot.restart_lsn, 100);
    assert_eq!(read_all(old.spool().unwrap(), 100, 100).unwrap().len(), 300);
    // The prune saves it first.
    assert_eq!(p.prune(None).unwrap(), 350);
    let crashed = Place::sim(&disk.crash_nothing());
    let new = primary(&crashed).unwrap();
    assert_eq!(new.slot("a").unwrap().slot.restart_lsn, 350);
    assert_eq!(new.spool().unwrap().bounds().pruned_through, 350);
}

#[test]
fn a_lost_or_damaged_slot_store_stops_pruning() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let p = primary(&place).unwrap();
    fill(&p, 50);
    p.register("a", None).unwrap();
    fill(&p, 100);
    p.close().unwrap();
    let path = Path::new("/data/test.db.logical.slots");
    let lost = disk.crash_everything();
    lost.remove(path).unwrap();
    let place = Place::sim(&lost);
    assert_eq!(primary(&place).unwrap_err().kind(), ErrorKind::Corrupt);
    let alone = open(&place, &small()).unwrap();
    let error = alone.prune_through(100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(read_all(&alone, 0, 100).unwrap().len(), 100);
}

#[test]
fn what_a_quorum_has_is_never_cut_off() {
    everywhere(|place| {
        let p = primary(place).unwrap();
        fill(&p, 100);
        let a = p.register("a", None).unwrap();
        let policy = AckPolicy::new(Quorum::Replicas(1), Level::Durable);
        p.ack("a", a.generation, &ack(80)).unwrap();
        let reached = p.wait_acks(80, &policy, PATIENCE).unwrap();
        assert_eq!(reached.outcome, Outcome::Reached);
        let spool = p.spool().unwrap();
        let refused = spool.truncate_after(79, 2).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Order, "{refused}");
        spool.truncate_after(90, 2).unwrap();
        let beyond = p.plan_resume("a", 95, 1).unwrap();
        assert_eq!(beyond, Resume::Diverged { common_lsn: 90 });
        append(spool, 2, 91).unwrap();
        p.close().unwrap();
        let alone = open(place, &small()).unwrap();
        assert_eq!(
            alone.truncate_after(79, 3).unwrap_err().kind(),
            ErrorKind::Order
        );
        assert_eq!(read_all(&alone, 0, 1000).unwrap().len(), 91);
    });
}

#[test]
fn a_primary_in_memory_does_the_same_and_keeps_nothing() {
    let options = PrimaryOptions::default();
    let p = Primary::in_memory(&small(), &options).unwrap();
    fill(&p, 100);
    let a = p.register("a", None).unwrap();
    fill(&p, 200);
    assert_eq!(p.prune(None).unwrap(), 100);
    p.ack("a", a.generation, &ack(200)).unwrap();
    assert_eq!(p.prune(None).unwrap(), 200);
    p.close().unwrap();
    assert_eq!(p.register("b", None).unwrap_err().kind(), ErrorKind::Closed);
}

/// The log itself knows it once it was pruned: for whoever gives the slots up.
#[test]
fn what_a_quorum_has_outlives_the_slot_store() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let p = primary(&place).unwrap();
    let a = p.register("a", None).unwrap();
    fill(&p, 100);
    let policy = AckPolicy::new(Quorum::Replicas(1), Level::Durable);
    p.ack("a", a.generation, &ack(80)).unwrap();
    p.wait_acks(80, &policy, PATIENCE).unwrap();
    assert_eq!(p.prune(Some(70)).unwrap(), 70);
    let crashed = disk.crash_nothing();
    crashed
        .remove(Path::new("/data/test.db.logical.slots"))
        .unwrap();
    let place = Place::sim(&crashed);
    let options = PrimaryOptions {
        saver: false,
        salvage_slots: true,
        ..PrimaryOptions::default()
    };
    let p = Primary::open_on(place.disk.clone(), &place.db, &small(), &options).unwrap();
    assert!(p.slots().is_empty());
    let refused = p.spool().unwrap().truncate_after(79, 2).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Order, "{refused}");
}
