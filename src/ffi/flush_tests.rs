//! Panics below the boundary: in a write, a sync or a read, by a thread of the
//! caller's that flushes for others and by one of the library's. Each ends as a
//! status, nobody hangs, and the handle has failed and closes.

use super::batch::{ewal_batch, ewal_frame, ewal_slice, ewal_ticket};
use super::coordinator::{self, *};
use super::primary::{self, *};
use super::primary_registry::*;
use super::primary_slots::*;
use super::record::ewal_record;
use super::recovery::{self, *};
use super::spool::{self, *};
use super::status::*;
use super::wait::*;
use crate::coordinator::{Coordinator, EpochInterval, Options, SyncStyle};
use crate::primary::{Primary, PrimaryOptions};
use crate::recovery::{Recovery, RecoveryOptions};
use crate::spool::{Spool, SpoolOptions};
use crate::storage::sim::{Call, SimStorage};
use std::ffi::c_void;
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const DB: &str = "/data/test.db";

/// A disk, and the number of reads, writes and syncs until one panics; negative:
/// none will.
fn disk() -> (SimStorage, Arc<AtomicI64>) {
    let sim = SimStorage::new();
    sim.make_dirs(Path::new("/data"));
    let fuse = Arc::new(AtomicI64::new(-1));
    let burning = fuse.clone();
    sim.on_call(move |call, _| {
        let counts = matches!(
            call,
            Call::Read | Call::Write | Call::SyncData | Call::SyncAll
        );
        if counts && burning.load(SeqCst) >= 0 && burning.fetch_sub(1, SeqCst) == 0 {
            // Unlike `panic!` this does not ask the hook, which would print it.
            std::panic::resume_unwind(Box::new("the disk panics"));
        }
    });
    (sim, fuse)
}

fn burnt(fuse: &AtomicI64) -> bool {
    fuse.load(SeqCst) < 0
}

/// For ever, or in the background.
fn interval(background: bool) -> Duration {
    match background {
        true => Duration::from_millis(1),
        false => Duration::from_secs(3600),
    }
}

fn stage(wal: ewal_coordinator, seq: u64, out: &mut ewal_ticket) -> ewal_status {
    let page = [7_u8; 64];
    let frame = ewal_frame {
        page_number: 1,
        db_size_if_commit: 1,
        data: ewal_slice::of(&page),
    };
    let batch = ewal_batch {
        struct_size: size_of::<ewal_batch>() as u32,
        txn_epoch: 0,
        txn_id: seq,
        commit_seq: seq,
        frames: &frame,
        frame_count: 1,
        metadata: ewal_slice::of(&[]),
    };
    // SAFETY: everything lives until the call returns.
    unsafe { ewal_submit(wal, &batch, out, null_mut()) }
}

fn open_coordinator(sim: &SimStorage, background: bool) -> ewal_coordinator {
    let options = Options {
        epoch_interval: EpochInterval::After(interval(background)),
        sync_style: SyncStyle::Buffered,
        ..Options::default()
    };
    let storage = Arc::new(sim.clone());
    let opened = Coordinator::open_on(storage, Path::new(DB), &options).unwrap();
    coordinator::hand_out(opened).unwrap()
}

/// A wait that may have led the flush: of its panic or of its failure.
fn assert_over(status: ewal_status, what: &str) {
    assert!(
        [EWAL_E_PANIC, EWAL_E_FAILED, EWAL_E_OUTCOME_UNKNOWN].contains(&status),
        "{what}: {status}"
    );
}

#[test]
fn a_commit_whose_flush_panics_says_so_and_the_coordinator_has_failed() {
    let mut ticket = ewal_ticket {
        epoch: 0,
        commit_seq: 0,
    };
    // A flush is a write and a sync.
    for call in 0..2 {
        let (sim, fuse) = disk();
        let wal = open_coordinator(&sim, false);
        assert_eq!(stage(wal, 1, &mut ticket), EWAL_OK);
        fuse.store(call, SeqCst);
        // SAFETY: handles and places of the right types, here and below.
        let waited = unsafe { ewal_wait(wal, ticket.epoch, -1, null_mut()) };
        assert!(burnt(&fuse), "nothing panicked");
        assert_eq!(waited, EWAL_E_PANIC, "call {call}");
        // SAFETY: as above.
        let waited = unsafe { ewal_wait(wal, ticket.epoch, -1, null_mut()) };
        assert_over(waited, "waited again");
        assert_eq!(stage(wal, 2, &mut ticket), EWAL_E_FAILED);
        // SAFETY: as above.
        let close = || unsafe { ewal_coordinator_close(wal, -1, null_mut()) };
        assert_over(close(), "close");
        assert_eq!(close(), EWAL_E_CLOSED);
        let again = open_coordinator(&sim, false);
        // SAFETY: as above.
        let closed = unsafe { ewal_coordinator_close(again, -1, null_mut()) };
        assert_eq!(closed, EWAL_OK);
    }
}

/// Hands its status on.
unsafe extern "C" fn tell(user: *mut c_void, _epoch: u64, status: ewal_status) {
    // SAFETY: the sender given below, which outlives the coordinator.
    let told = unsafe { &*user.cast::<mpsc::Sender<ewal_status>>() };
    told.send(status).unwrap();
}

#[test]
fn a_flush_of_the_librarys_own_that_panics_tells_whoever_waits() {
    let mut ticket = ewal_ticket {
        epoch: 0,
        commit_seq: 0,
    };
    for call in 0..2 {
        let (sim, fuse) = disk();
        let wal = open_coordinator(&sim, true);
        let (tell_us, told) = mpsc::channel();
        fuse.store(call, SeqCst);
        assert_eq!(stage(wal, 1, &mut ticket), EWAL_OK);
        // SAFETY: the sender outlives the coordinator, which is closed below.
        let status = unsafe {
            ewal_on_durable(
                wal,
                ticket.epoch,
                Some(tell),
                (&raw const tell_us).cast_mut().cast(),
                None,
                null_mut(),
            )
        };
        // It may have failed already: then nobody is called.
        if status == EWAL_OK {
            assert_over(told.recv().unwrap(), "the callback");
        }
        assert!(burnt(&fuse), "nothing panicked");
        assert_eq!(stage(wal, 2, &mut ticket), EWAL_E_FAILED);
        // SAFETY: a handle and NULL.
        assert_over(
            unsafe { ewal_coordinator_close(wal, -1, null_mut()) },
            "close",
        );
    }
}

/// Appends a record, or leaves it to the background and waits for it.
fn append(spool: ewal_spool, lsn: u64, background: bool) -> ewal_status {
    let record = ewal_record {
        term: 1,
        lsn,
        timestamp_ms: 0,
        payload: ewal_slice::of(b"x"),
    };
    if !background {
        // SAFETY: everything lives until the call returns, here and below.
        return unsafe { ewal_spool_append(spool, &record, 1, -1, null_mut()) };
    }
    // SAFETY: as above.
    match unsafe { ewal_spool_submit(spool, &record, 1, null_mut(), null_mut()) } {
        // SAFETY: as above.
        EWAL_OK => unsafe { ewal_spool_wait_after(spool, lsn - 1, -1, null_mut()) },
        status => status,
    }
}

fn spool_options(background: bool) -> SpoolOptions {
    SpoolOptions {
        flush_interval: interval(background),
        sync_style: SyncStyle::Buffered,
        ..SpoolOptions::default()
    }
}

#[test]
fn an_append_whose_flush_panics_says_so_and_the_spool_has_failed() {
    for (call, background) in [(0, false), (1, false), (0, true), (1, true)] {
        let (sim, fuse) = disk();
        let opened = Spool::open_on(
            Arc::new(sim.clone()),
            Path::new(DB),
            &spool_options(background),
        );
        let spool = spool::hand_out(opened.unwrap()).unwrap();
        assert_eq!(append(spool, 1, background), EWAL_OK);
        fuse.store(call, SeqCst);
        assert_over(append(spool, 2, background), "append");
        assert!(burnt(&fuse), "nothing panicked");
        assert_eq!(append(spool, 3, background), EWAL_E_FAILED);
        // SAFETY: a handle and NULL.
        let wait = unsafe { ewal_spool_wait_after(spool, 2, -1, null_mut()) };
        assert_over(wait, "who waits for more");
        // SAFETY: as above.
        let close = || unsafe { ewal_spool_close(spool, -1, null_mut()) };
        assert_over(close(), "close");
        assert_eq!(close(), EWAL_E_CLOSED);
    }
}

#[test]
fn a_primary_whose_save_panics_has_failed() {
    for call in 0..2 {
        let (sim, fuse) = disk();
        let opened = Primary::open_on(
            Arc::new(sim.clone()),
            Path::new(DB),
            &spool_options(false),
            &PrimaryOptions::default(),
        );
        let primary = primary::hand_out(opened.unwrap()).unwrap();
        // SAFETY: strings, handles and NULL, here and below.
        let register = |id: &std::ffi::CStr| unsafe {
            ewal_primary_register(primary, id.as_ptr(), null(), null_mut(), null_mut())
        };
        assert_eq!(register(c"a"), EWAL_OK);
        fuse.store(call, SeqCst);
        assert_eq!(register(c"b"), EWAL_E_PANIC);
        assert!(burnt(&fuse), "nothing panicked");
        assert_eq!(register(c"c"), EWAL_E_FAILED);
        // SAFETY: as above.
        let saved = unsafe { ewal_primary_save(primary, null_mut()) };
        assert_eq!(saved, EWAL_E_FAILED);
        // SAFETY: as above.
        let close = || unsafe { ewal_primary_close(primary, -1, null_mut()) };
        assert_over(close(), "close");
        assert_eq!(close(), EWAL_E_CLOSED);
    }
}

#[test]
fn a_recovery_whose_read_panics_gives_nothing_more() {
    let (sim, fuse) = disk();
    let mut ticket = ewal_ticket {
        epoch: 0,
        commit_seq: 0,
    };
    let wal = open_coordinator(&sim, false);
    assert_eq!(stage(wal, 1, &mut ticket), EWAL_OK);
    // SAFETY: handles and places of the right types, here and below.
    let closed = unsafe { ewal_coordinator_close(wal, -1, null_mut()) };
    assert_eq!(closed, EWAL_OK);
    let options = RecoveryOptions::default();
    let opened = Recovery::open_on(Arc::new(sim.clone()), Path::new(DB), &options);
    let reader = recovery::hand_out(opened.unwrap()).unwrap();
    let mut batch = std::mem::MaybeUninit::uninit();
    // SAFETY: as above.
    let mut next = || unsafe { ewal_recovery_next(reader, batch.as_mut_ptr(), null_mut()) };
    fuse.store(0, SeqCst);
    assert_eq!(next(), EWAL_E_PANIC);
    assert!(burnt(&fuse), "nothing panicked");
    assert_eq!(next(), EWAL_E_FAILED);
    // SAFETY: as above.
    let close = || unsafe { ewal_recovery_close(reader) };
    assert_eq!(close(), EWAL_OK);
    assert_eq!(close(), EWAL_E_CLOSED);
}
