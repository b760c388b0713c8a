//! The slot store's file: cut, flipped, missing, foreign, leftover.

use crate::site::*;
use epochwal::format::slot_journal::{Origin, Slot};
use epochwal::primary::{EventKind, saved};
use epochwal::storage::sim::{Call, FaultPlan, SimStorage};
use epochwal::storage::{OpenMode, Storage, write_all_at};
use epochwal::{Error, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// A store with a few of everything, its last save marked.
fn site() -> Site {
    let site = Site::new(100);
    let primary = site.open().unwrap();
    let a = primary.register("a", Some("eu")).unwrap().generation;
    primary.slot_create("dropped", Some(3), false).unwrap();
    site.log.append_through(150);
    primary.slot_create("b", Some(120), false).unwrap();
    primary.ack("a", a, &applied(130)).unwrap();
    primary.slot_drop("dropped").unwrap();
    primary.close().unwrap();
    site
}

/// Bytes up to the last that is not zero.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| *b != 0).unwrap() + 1
}

/// Where each frame begins, by the document.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![];
    let mut at = 0;
    while bytes[at..].starts_with(b"EWSL") {
        starts.push(at);
        at += u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    starts
}

#[test]
fn a_cut_store_is_refused_at_every_length() {
    let site = site();
    let bytes = site.bytes();
    assert_eq!(bytes.len() % 4096, 0);
    let lengths = (0..used(&bytes)).chain((used(&bytes)..bytes.len()).step_by(509));
    for len in lengths.chain([bytes.len() - 1]) {
        let cut = site.holding(&bytes[..len]);
        let error = cut.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "cut to {len}: {error}");
        assert_eq!(error.path(), Some(Path::new(STORE)), "cut to {len}");
        // Nothing was repaired.
        assert_eq!(cut.bytes(), &bytes[..len], "cut to {len}");
    }
    // Nor is one taken that has grown.
    let longer = [&bytes[..], &[0; 8]].concat();
    assert_eq!(kind(site.holding(&longer).open()), ErrorKind::Corrupt);
}

/// Of a store that was closed no bit counts for nothing, but those of the last
/// mark and of the room behind it: all slots are there then.
#[test]
fn a_flipped_bit_is_refused_or_changes_nothing() {
    let site = site();
    let bytes = site.bytes();
    let expected = timeless(&site.open().unwrap());
    let last = *frames(&bytes).last().unwrap();
    let tail = (used(&bytes)..bytes.len()).step_by(997);
    for at in (0..used(&bytes)).chain(tail) {
        for bit in 0..8 {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1 << bit;
            let flipped = site.holding(&wrong);
            match flipped.open() {
                Ok(primary) => {
                    assert!(at >= last, "bit {bit} of byte {at} was not seen");
                    assert_eq!(timeless(&primary), expected);
                    let event = &primary.events_since(0)[0].kind;
                    assert!(matches!(event, EventKind::StoreTornTail { .. }));
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{at}: {error}");
                    assert!(at < last, "bit {bit} of byte {at}: {error}");
                }
            }
        }
    }
}

/// What was dropped as torn is gone from the file before anything is written.
#[test]
fn a_torn_save_is_dropped_and_cleared() {
    let site = site();
    let mut bytes = site.bytes();
    let end = used(&bytes);
    bytes[end + 100..end + 900].fill(7);
    let torn = site.holding(&bytes);
    let primary = torn.open().unwrap();
    assert_eq!(valid(&primary), [("a".into(), 130), ("b".into(), 120)]);
    let crashed = torn.after(torn.disk.crash_nothing());
    assert_eq!(crashed.bytes(), site.bytes());
    // A single byte behind the last frame.
    let mut bytes = site.bytes();
    let last = *frames(&bytes).last().unwrap();
    let len = u32::from_le_bytes(bytes[last + 8..last + 12].try_into().unwrap());
    bytes[last + len as usize] = 7;
    let torn = site.holding(&bytes);
    torn.open().unwrap().close().unwrap();
    assert_eq!(torn.bytes(), site.bytes());
}

/// Each frame says which it is: one that is gone is missed, although those
/// around it are right and follow each other.
#[test]
fn a_frame_that_is_left_out_is_missed() {
    let site = site();
    let bytes = site.bytes();
    let starts = frames(&bytes);
    for pair in starts[1..].windows(2) {
        let mut without = [&bytes[..pair[0]], &bytes[pair[1]..]].concat();
        without.resize(bytes.len(), 0);
        let error = site.holding(&without).open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.message().contains("missing"), "{error}");
    }
}

/// A save that nobody vouches for may be in the page cache only, and marked
/// clean: it is written again before what it says is relied on.
#[test]
fn an_unconfirmed_save_is_confirmed() {
    let site = Site::new(100);
    let primary = site.open().unwrap();
    site.disk.fail(FaultPlan::error(Call::SyncData, libc::EIO));
    let refused = primary.slot_create("a", Some(40), false);
    assert_eq!(kind(refused), ErrorKind::OutcomeUnknown);
    drop(primary);
    let killed = site.after(site.disk.snapshot());
    assert_eq!(valid(&killed.open().unwrap()), [("a".into(), 40)]);
    let crashed = killed.after(killed.disk.crash_nothing());
    assert_eq!(valid(&crashed.open().unwrap()), [("a".into(), 40)]);
}

/// A name that is not durable yet is made so by an open.
#[test]
fn a_name_is_confirmed() {
    let site = Site::new(100);
    site.open()
        .unwrap()
        .slot_create("a", Some(40), false)
        .unwrap();
    let bytes = site.bytes();
    let killed = site.after(SimStorage::new());
    killed.disk.make_dirs(Path::new("/data"));
    let file = killed
        .disk
        .open(Path::new(STORE), OpenMode::CreateNew)
        .unwrap();
    write_all_at(&*file, &bytes, 0, 1).unwrap();
    file.sync_all().unwrap();
    drop(killed.open().unwrap());
    let crashed = killed.after(killed.disk.crash_nothing());
    assert_eq!(valid(&crashed.open().unwrap()), [("a".into(), 40)]);
}

/// A store that the log had is missed; one that there never was is made.
#[test]
fn a_missing_store_is_refused() {
    let site = site();
    site.disk.remove(Path::new(STORE)).unwrap();
    let mut import = || -> Result<Vec<Slot>, Error> { panic!("asked once only") };
    let error = site.open_importing(&mut import).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("missing"), "{error}");
    let path = Path::new(STORE);
    let disk: Arc<dyn Storage> = Arc::new(site.disk.clone());
    assert_eq!(saved(&disk, path).unwrap(), None);
    // A log with records that never had slots is another matter.
    site.log.state().has_store = false;
    assert_eq!(site.open().unwrap().slots(), []);
    assert!(site.log.state().has_store);
}

/// A crash between the file and the word of it in the log.
#[test]
fn a_store_that_the_log_does_not_know_of_is_used() {
    let site = site();
    site.log.state().has_store = false;
    assert_eq!(site.open().unwrap().slots().len(), 2);
    assert!(site.log.state().has_store);
}

#[test]
fn a_store_of_another_log_is_refused() {
    let site = site();
    site.log.state().id = 9;
    let error = site.open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("another log"), "{error}");
}

/// Its frames with their checksums made right again.
fn resealed(mut bytes: Vec<u8>, frame: usize, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let start = frames(&bytes)[frame];
    let len = u32::from_le_bytes(bytes[start + 8..start + 12].try_into().unwrap()) as usize;
    let frame = &mut bytes[start..start + len];
    change(frame);
    let crc = crc32c::crc32c(&frame[8..]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn right_checksums_around_what_cannot_be_are_corrupt() {
    let site = site();
    let bytes = site.bytes();
    type Change = (&'static str, usize, fn(&mut [u8]));
    let changes: [Change; 9] = [
        ("missing", 2, |f| f[16] += 1),
        ("another log", 2, |f| f[24] ^= 1),
        ("another file", 2, |f| f[41] ^= 1),
        ("behind the mark", 2, |f| f[12] = 3),
        ("not the first", 2, |f| f[12] = 1),
        ("not one of all slots", 0, |f| f[12] = 2),
        ("kind", 1, |f| f[12] = 9),
        ("bytes long", 0, |f| f[42] ^= 1),
        ("entries", 1, |f| f[72] += 1),
    ];
    for (what, frame, change) in changes {
        let wrong = site.holding(&resealed(bytes.clone(), frame, change));
        let error = wrong.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        assert!(error.message().contains(what), "{what}: {error}");
        assert!(error.offset().is_some(), "{what}: {error}");
    }
}

#[test]
fn a_newer_format_is_refused_as_such() {
    let site = site();
    let bytes = site.bytes();
    for frame in [0, 1, frames(&bytes).len() - 1] {
        let newer = resealed(bytes.clone(), frame, |f| f[13] = 2);
        let newer = site.holding(&newer).with(|o| o.salvage_slots = true);
        assert_eq!(kind(newer.open()), ErrorKind::Format, "frame {frame}");
    }
}

/// Whatever the bytes, an open ends with slots or with an error.
#[test]
fn no_bytes_do_harm() {
    let site = site();
    let bytes = site.bytes();
    for seed in 0..300_u64 {
        let mut rng = epochwal::storage::sim::SimRng::new(seed);
        let mut wrong = bytes.clone();
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(used(&bytes) as u64) as usize;
            let len = 1 + rng.below(40) as usize;
            for byte in wrong.iter_mut().skip(at).take(len) {
                *byte = rng.below(256) as u8;
            }
        }
        if let Err(error) = site.holding(&wrong).open() {
            let kinds = [ErrorKind::Corrupt, ErrorKind::Format];
            assert!(kinds.contains(&error.kind()), "seed {seed}: {error}");
        }
    }
}

#[test]
fn a_read_that_fails_is_no_verdict() {
    for call in [Call::Open, Call::Len, Call::Read] {
        let site = site();
        site.disk.fail(FaultPlan::error(call, libc::EIO).always());
        let error = site.open().unwrap_err();
        assert_eq!(
            (error.kind(), error.os_error()),
            (ErrorKind::Io, Some(libc::EIO))
        );
    }
}

/// Salvage keeps what stands before the damage, and the damaged file.
#[test]
fn salvage_keeps_what_can_be_read() {
    let site = site().with(|o| o.salvage_slots = true);
    let bytes = site.bytes();
    // The save before the last says that "dropped" is gone.
    let starts = frames(&bytes);
    let mut wrong = bytes.clone();
    wrong[starts[starts.len() - 3] + 90] ^= 1;
    let damaged = site.holding(&wrong);
    let primary = damaged.open().unwrap();
    let ids: Vec<_> = valid(&primary);
    assert_eq!(ids.len(), 3, "{ids:?}");
    let aside = primary.salvaged().unwrap();
    assert_eq!(aside, Path::new(&format!("{STORE}.salvaged-1")));
    let event = EventKind::StoreSalvaged { slots: 3 };
    assert_eq!(primary.events_since(0)[0].kind, event);
    // No number that was shown before is shown again with another meaning.
    assert!(primary.topology_epoch() > 1);
    assert!(primary.register("a", None).unwrap().generation > 1);
    drop(primary);
    let crashed = damaged.after(damaged.disk.crash_nothing());
    assert_eq!(valid(&crashed.open().unwrap()), ids);
    let kept = crashed.disk.open(&aside, OpenMode::Read).unwrap();
    assert_eq!(kept.len().unwrap(), bytes.len() as u64);
    // What is lost is lost by the caller's word.
    let lost = site.after(SimStorage::new());
    lost.disk.make_dirs(Path::new("/data"));
    assert_eq!(lost.open().unwrap().slots(), []);
}

/// A sound store is left alone, whether salvage is asked for or not.
#[test]
fn salvage_leaves_a_sound_store_alone() {
    let site = site().with(|o| o.salvage_slots = true);
    let primary = site.open().unwrap();
    assert_eq!((primary.salvaged(), primary.slots().len()), (None, 2));
}

#[test]
fn slots_of_another_store_are_taken_over_once() {
    let site = Site::new(100);
    let other = |id: &str, lsn| Slot::new(id, lsn, Origin::Acknowledged, 5);
    let mut asked = 0;
    let mut import = || {
        asked += 1;
        Ok(vec![other("a", 60), other("beyond", 101), other("b", 70)])
    };
    let primary = site.open_importing(&mut import).unwrap();
    assert_eq!(valid(&primary), [("a".into(), 60), ("b".into(), 70)]);
    let event = EventKind::SlotsImported { slots: 3 };
    assert_eq!(primary.events_since(0)[0].kind, event);
    drop(primary);
    let crashed = site.after(site.disk.crash_nothing());
    assert_eq!(
        valid(&crashed.open_importing(&mut import).unwrap()).len(),
        2
    );
    assert_eq!(asked, 1);
}

/// An import that can't be read leaves nothing behind that would look like an
/// empty store.
#[test]
fn an_import_that_fails_fails_the_open() {
    let site = Site::new(100);
    let bad = |slots: Vec<Slot>| site.open_importing(&mut || Ok(slots.clone()));
    let slot = |id: &str| Slot::new(id, 1, Origin::Acknowledged, 5);
    let failing = site.open_importing(&mut || Err(Error::new(ErrorKind::Corrupt, "damaged")));
    assert_eq!(kind(failing), ErrorKind::Corrupt);
    assert_eq!(kind(bad(vec![slot("")])), ErrorKind::Invalid);
    assert_eq!(kind(bad(vec![slot("a"), slot("a")])), ErrorKind::Corrupt);
    assert!(!site.log.state().has_store);
    assert_eq!(site.disk.operations(), 0);
    let few = site.clone().with(|o| o.max_slots = 1);
    let two = few.open_importing(&mut || Ok(vec![slot("a"), slot("b")]));
    assert_eq!(kind(two), ErrorKind::TooLarge);
}

/// What a log without a primary must keep.
#[test]
fn a_log_alone_can_ask_what_is_held_back() {
    let site = site();
    let disk: Arc<dyn Storage> = Arc::new(site.disk.clone());
    let kept = saved(&disk, Path::new(STORE)).unwrap().unwrap();
    assert_eq!((kept.floor, kept.quorum_lsn), (Some(120), 0));
    let mut wrong = site.bytes();
    wrong[30] ^= 1;
    let damaged: Arc<dyn Storage> = Arc::new(site.holding(&wrong).disk);
    assert_eq!(kind(saved(&damaged, Path::new(STORE))), ErrorKind::Corrupt);
}

/// Thousands of acknowledgements are one save, and a file does not grow.
#[test]
fn acknowledgements_are_saved_together() {
    let site = Site::new(1_000_000).with(|o| o.horizon_lsns = None);
    let primary = site.open().unwrap();
    let sessions: Vec<_> = (0..200)
        .map(|i| {
            let id = format!("replica {i}");
            primary.slot_create(&id, Some(0), false).unwrap();
            let generation = primary.register(&id, None).unwrap().generation;
            (id, generation)
        })
        .collect();
    let before = primary.stats();
    let syncs = || site.disk.calls(Call::SyncData) + site.disk.calls(Call::SyncAll);
    let synced = syncs();
    let ack_all = |lsn| {
        for (id, generation) in &sessions {
            primary.ack(id, *generation, &durable(lsn)).unwrap();
        }
    };
    (1..=50).for_each(ack_all);
    assert_eq!(syncs(), synced);
    primary.save().unwrap();
    primary.save().unwrap();
    assert_eq!(primary.stats().saves, before.saves + 1);
    assert_eq!(syncs(), synced + 1);
    for lsn in 51..151 {
        ack_all(lsn);
        primary.save().unwrap();
    }
    let stats = primary.stats();
    assert!(stats.compactions > before.compactions + 5, "{stats:?}");
    let most = 64 * 1024 + 4096 + 6 * 200 * 64;
    assert!(site.bytes().len() < most, "{}", site.bytes().len());
    let crashed = site.after(site.disk.crash_nothing());
    assert!(
        valid(&crashed.open().unwrap())
            .iter()
            .all(|(_, lsn)| *lsn == 150)
    );
}

/// The thread saves by itself, and syncs nothing while nothing happens.
#[test]
fn the_thread_saves_what_rises() {
    let site = Site::new(100).with(|o| o.saver = true);
    let primary = site.open().unwrap();
    let a = primary.register("a", None).unwrap().generation;
    site.log.append_through(200);
    primary.ack("a", a, &durable(150)).unwrap();
    until("it is saved", || {
        primary.slot("a").unwrap().saved_lsn == 150
    });
    let crashed = site.after(site.disk.crash_nothing());
    assert_eq!(valid(&crashed.open().unwrap()), [("a".into(), 150)]);
    let operations = site.disk.operations();
    // What changes nothing is not saved.
    primary.ack("a", a, &durable(120)).unwrap();
    primary.touch("a", a).unwrap();
    primary.close().unwrap();
    let saves = 1; // the exact counters at the close
    assert!(site.disk.operations() <= operations + 3 * saves);
}

/// A temporary file that a crash left is no obstacle.
#[test]
fn a_leftover_is_replaced() {
    let site = Site::new(100);
    let tmp = format!("{STORE}-tmp");
    let file = site
        .disk
        .open(Path::new(&tmp), OpenMode::CreateNew)
        .unwrap();
    write_all_at(&*file, &[7; 100_000], 0, 1).unwrap();
    site.open().unwrap().slot_create("a", None, false).unwrap();
    assert!(site.disk.open(Path::new(&tmp), OpenMode::Read).is_err());
    assert_eq!(site.open().unwrap().slots().len(), 1);
}

#[test]
fn a_close_waits_no_longer_than_it_may_for_a_save_under_way() {
    let site = Site::new(100).with(|options| options.saver = true);
    let primary = Arc::new(site.open().unwrap());
    let a = primary.register("a", None).unwrap().generation;
    let (open, gate) = mpsc::channel::<()>();
    let (tell, stuck) = mpsc::channel();
    let gate = Mutex::new(Some(gate));
    site.disk.on_call(move |call, _| {
        if matches!(call, Call::SyncData | Call::SyncAll)
            && let Some(gate) = gate.lock().unwrap().take()
        {
            tell.send(()).unwrap();
            // Until the other end is gone.
            let _ = gate.recv();
        }
    });
    primary.ack("a", a, &applied(50)).unwrap();
    let patience = Duration::from_secs(60);
    stuck.recv_timeout(patience).expect("nobody saves");
    let (done, closed) = mpsc::channel();
    let closing = primary.clone();
    let closer =
        thread::spawn(move || done.send(closing.close_within(Some(Duration::from_millis(1)))));
    let early = closed.recv_timeout(patience);
    drop(open);
    closer.join().unwrap().unwrap();
    assert_eq!(kind(early.expect("it waited on")), ErrorKind::Timeout);
    primary.close().unwrap();
}
