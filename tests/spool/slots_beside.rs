//! Slots read from outside their primary: what is told, and that nothing is
//! touched for it.

use super::common::{PATIENCE, Place};
use super::tools::{append, everywhere, open, small};
use epochwal::ErrorKind;
use epochwal::primary::{Ack, Primary, PrimaryOptions, Slot, SlotReport, StoreKind};
use epochwal::recovery::Verdict;
use epochwal::storage::sim::{Call, SimStorage};
use epochwal::storage::{File, OpenMode, Storage, read_exact_at, write_all_at};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const STORE: &str = "/data/test.db.logical.slots";

fn primary(place: &Place) -> Primary {
    let options = PrimaryOptions {
        saver: false,
        ..PrimaryOptions::default()
    };
    Primary::open_on(place.disk.clone(), &place.db, &small(), &options).unwrap()
}

fn report(place: &Place) -> SlotReport {
    SlotReport::read_on(place.disk.clone(), &place.db).unwrap()
}

fn slots(primary: &Primary) -> Vec<Slot> {
    primary.slots().into_iter().map(|s| s.slot).collect()
}

/// Three slots; the store has seen a drop, too.
fn filled(place: &Place) -> Primary {
    let p = primary(place);
    for lsn in 1..=100 {
        append(p.spool().unwrap(), 1, lsn).unwrap();
    }
    let a = p.register("a", Some("eu")).unwrap().generation;
    p.slot_create("b", Some(40), false).unwrap();
    p.slot_create("gone", Some(50), false).unwrap();
    p.slot_create("c", Some(60), false).unwrap();
    p.slot_drop("gone").unwrap();
    append(p.spool().unwrap(), 1, 101).unwrap();
    let ack = Ack {
        durable: 101,
        ..Ack::default()
    };
    p.ack("a", a, &ack).unwrap();
    p.save().unwrap();
    p
}

fn bytes(disk: &dyn Storage, path: &Path) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    read_exact_at(&*file, &mut bytes, 0).unwrap();
    bytes
}

fn put(disk: &dyn Storage, bytes: &[u8]) {
    let path = Path::new(STORE);
    let file = disk.open(path, OpenMode::WriteOrCreate).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    write_all_at(&*file, bytes, 0, 1).unwrap();
}

#[test]
fn slots_are_read_beside_their_primary_and_without_it() {
    everywhere(|place| {
        let p = filled(place);
        let seen = report(place);
        assert_eq!((seen.spool, seen.writer), (true, true));
        assert_eq!(seen.slots, slots(&p));
        assert_eq!(seen.floor(), Some(40));
        assert_eq!((seen.verdict, seen.unconfirmed), (Verdict::Clean, false));
        assert_eq!(p.prune(None).unwrap(), 40);
        p.close().unwrap();
        let seen = report(place);
        assert_eq!((seen.spool, seen.writer), (true, false));
        assert_eq!((seen.pruned_through, seen.slots.len()), (40, 3));
        let (path, kind) = seen.store.unwrap();
        assert_eq!(kind, StoreKind::Native);
        assert!(path.ends_with("test.db.logical.slots"));
        assert!(seen.error.is_none());
    });
}

#[test]
fn looking_changes_nothing_and_takes_no_lock() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let p = filled(&place);
    let mutes = [Call::Write, Call::Rename, Call::Remove, Call::SetLen];
    let asked = [&mutes[..], &[Call::SyncData, Call::SyncAll, Call::SyncDir]].concat();
    let count = || asked.iter().map(|c| disk.calls(*c)).sum::<u64>();
    let (before, locks) = (count(), disk.calls(Call::Lock));
    report(&place);
    assert_eq!(count(), before);
    // To ask whether a writer lives is one.
    assert_eq!(disk.calls(Call::Lock), locks + 1);
    // A mark is never waited for, so a crash may leave none, or half of one.
    let crashed = disk.crash_nothing();
    drop(p);
    let place = Place::sim(&crashed);
    let before = bytes(&crashed, Path::new(STORE));
    let seen = report(&place);
    assert_eq!(seen.slots.len(), 3);
    assert!(seen.unconfirmed);
    assert_eq!(bytes(&crashed, Path::new(STORE)), before);
}

#[test]
fn what_is_not_there_is_no_error_unless_the_log_had_it() {
    everywhere(|place| {
        let nothing = report(place);
        assert_eq!((nothing.spool, nothing.writer), (false, false));
        assert!(nothing.store.is_none() && nothing.slots.is_empty());
        assert_eq!(
            place.disk.list(place.db.parent().unwrap()).unwrap().len(),
            0
        );
        let alone = open(place, &small()).unwrap();
        append(&alone, 1, 1).unwrap();
        alone.close(PATIENCE).unwrap();
        let none = report(place);
        assert_eq!((none.spool, none.floor()), (true, None));
        assert!(none.store.is_none() && none.error.is_none());
        primary(place).close().unwrap();
        let (path, _) = report(place).store.unwrap();
        place.disk.remove(&path).unwrap();
        let lost = report(place);
        assert_eq!(lost.verdict, Verdict::Corrupt);
        let error = lost.error.unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(error.path(), Some(&*path));
    });
}

#[test]
fn an_older_store_is_shown_until_a_primary_has_one() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let p = filled(&place);
    let json = p.export_slots();
    let expected = slots(&p);
    p.close().unwrap();
    assert_eq!(report(&place).export(), json);
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let older = place.db.with_extension("db.logical.slots.json");
    let file = disk.open(&older, OpenMode::CreateNew).unwrap();
    write_all_at(&*file, &json, 0, 1).unwrap();
    let seen = report(&place);
    assert_eq!(seen.store, Some((older, StoreKind::Json)));
    let places = |slots: &[Slot]| -> Vec<_> {
        let one = |s: &Slot| (s.id.clone(), s.restart_lsn, s.confirmed_lsn);
        slots.iter().map(one).collect()
    };
    assert_eq!(places(&seen.slots), places(&expected));
    assert_eq!(seen.export(), json);
}

/// Of a closed store no flipped bit is passed over, but in the last mark and
/// the room behind it: then all slots are there.
#[test]
fn damage_is_told_with_its_place_and_never_fewer_slots() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    filled(&place).close().unwrap();
    let whole = bytes(&disk, Path::new(STORE));
    let expected = report(&place).slots;
    let used = whole.iter().rposition(|b| *b != 0).unwrap() + 1;
    let mut torn = 0;
    for at in (0..used).chain((used..whole.len()).step_by(997)) {
        let mut wrong = whole.clone();
        wrong[at] ^= 1 << (at % 8);
        put(&disk, &wrong);
        let seen = report_of(&disk, &place);
        match seen {
            Ok(seen) if seen.error.is_none() => {
                assert_eq!(seen.slots, expected, "byte {at}");
                assert_eq!(seen.verdict, Verdict::Torn, "byte {at}");
                torn += 1;
            }
            Ok(seen) => {
                assert_eq!(seen.verdict, Verdict::Corrupt, "byte {at}");
                assert_eq!(seen.suspects[0].path, Path::new(STORE));
                assert_eq!(seen.error.unwrap().offset(), Some(seen.suspects[0].offset));
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}"),
        }
        assert_eq!(bytes(&disk, Path::new(STORE)), wrong);
    }
    assert!(torn > 0);
    for len in (0..used).step_by(7).chain([whole.len() - 1]) {
        put(&disk, &whole[..len]);
        assert!(report(&place).error.is_some(), "cut to {len}");
    }
}

fn report_of(disk: &SimStorage, place: &Place) -> epochwal::Result<SlotReport> {
    SlotReport::read_on(Arc::new(disk.clone()), &place.db)
}

#[test]
fn slots_of_another_log_are_not_taken_for_this_ones() {
    let other = SimStorage::new();
    filled(&Place::sim(&other)).close().unwrap();
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    filled(&place).close().unwrap();
    put(&disk, &bytes(&other, Path::new(STORE)));
    let seen = report(&place);
    assert_eq!(seen.error.unwrap().offset(), Some(24));
}

/// A disk whose slot store is replaced when it is opened for the second time.
#[derive(Debug)]
struct Moving {
    disk: SimStorage,
    opened: AtomicU32,
    then: Vec<u8>,
}

impl Storage for Moving {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        if path == Path::new(STORE) && self.opened.fetch_add(1, Ordering::SeqCst) == 1 {
            put(&self.disk, &self.then);
        }
        self.disk.open(path, mode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.disk.list(dir)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.disk.resolve(path)
    }
}

/// A read is not atomic: it may show the end of a save and not its beginning.
#[test]
fn a_save_under_way_is_not_taken_for_damage() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let p = filled(&place);
    let before = bytes(&disk, Path::new(STORE));
    p.slot_create("d", Some(70), false).unwrap();
    let one = bytes(&disk, Path::new(STORE));
    p.slot_create("e", Some(80), false).unwrap();
    let after = bytes(&disk, Path::new(STORE));
    // The first save as it was not yet, the second one as it is.
    let second = (0..one.len()).rfind(|at| one[*at] != 0).unwrap() + 1 - 80;
    let mut mixed = after.clone();
    mixed[..second].copy_from_slice(&before[..second]);
    for (first, damaged) in [(mixed, true), (before, false)] {
        put(&disk, &first);
        assert_eq!(report(&place).error.is_some(), damaged);
        let moving = Moving {
            disk: disk.clone(),
            opened: AtomicU32::new(0),
            then: after.clone(),
        };
        let seen = SlotReport::read_on(Arc::new(moving), &place.db).unwrap();
        assert_eq!(seen.verdict, Verdict::Clean);
        assert_eq!(seen.slots.len(), if damaged { 5 } else { 3 });
    }
}
