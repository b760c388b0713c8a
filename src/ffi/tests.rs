//! No panic crosses the boundary, whichever function it starts in, and it
//! leaves the coordinator failed.

use super::batch::{ewal_batch, ewal_frame, ewal_slice, ewal_ticket};
use super::checkpoint::*;
use super::coordinator::*;
use super::cursor::*;
use super::error::ewal_error;
use super::guard::inject;
use super::primary::*;
use super::primary_ack::*;
use super::primary_registry::*;
use super::primary_replicas::*;
use super::primary_resume::*;
use super::primary_slots::*;
use super::primary_stats::*;
use super::primary_watch::*;
use super::record::ewal_record;
use super::records::*;
use super::recovery::*;
use super::segment::*;
use super::spool::*;
use super::spool_history::*;
use super::spool_keep::*;
use super::spool_rdlw::*;
use super::spool_reader::*;
use super::stats::*;
use super::status::*;
use super::wait::*;
use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr::{null, null_mut};

/// By name, over the handle with this number.
type Call = (&'static str, fn(u64, *mut ewal_error) -> ewal_status);

/// A call whose arguments do not matter: it panics before it looks at them.
macro_rules! calls {
    ($($name:ident($($arg:expr),*)),* $(,)?) => {
        &[$((stringify!($name), |handle, error| {
            let _ = (handle, error);
            // SAFETY: NULL and null handles are allowed everywhere.
            unsafe { calls!(@call $name, handle, error, $($arg),*) }
        })),*]
    };
    (@call $name:ident, $handle:ident, $error:ident, $($arg:expr),*) => {
        $name($($arg($handle, $error)),*)
    };
}

fn h(id: u64, _: *mut ewal_error) -> ewal_coordinator {
    ewal_coordinator { id }
}
fn s(id: u64, _: *mut ewal_error) -> ewal_spool {
    ewal_spool { id }
}
fn pr(id: u64, _: *mut ewal_error) -> ewal_primary {
    ewal_primary { id }
}
fn aw(id: u64, _: *mut ewal_error) -> ewal_ack_watch {
    ewal_ack_watch { id }
}
fn c(id: u64, _: *mut ewal_error) -> ewal_cursor {
    ewal_cursor { id }
}
fn e(_: u64, error: *mut ewal_error) -> *mut ewal_error {
    error
}
fn r(_: u64, _: *mut ewal_error) -> ewal_recovery {
    ewal_recovery { id: 0 }
}
fn sr(_: u64, _: *mut ewal_error) -> ewal_spool_reader {
    ewal_spool_reader { id: 0 }
}
fn b(_: u64, _: *mut ewal_error) -> ewal_records {
    ewal_records { id: 0 }
}
fn t(_: u64, _: *mut ewal_error) -> ewal_spool_ticket {
    ewal_spool_ticket {
        epoch: 0,
        first_lsn: 0,
        last_lsn: 0,
    }
}
fn p<T>(_: u64, _: *mut ewal_error) -> *const T {
    null()
}
fn m<T>(_: u64, _: *mut ewal_error) -> *mut T {
    null_mut()
}
fn z<T: Default>(_: u64, _: *mut ewal_error) -> T {
    T::default()
}

/// Over a coordinator, with an error struct.
const OVER_A_COORDINATOR: &[Call] = calls![
    ewal_submit(h, p, m, e),
    ewal_commit(h, p, z, m, e),
    ewal_coordinator_salvaged(h, z, m, z, m, e),
    ewal_wait(h, z, z, e),
    ewal_flush(h, z, m, e),
    ewal_event_fd(h, m, e),
    ewal_request_flush(h, z, e),
    ewal_on_durable(h, z, z, m, z, e),
    ewal_checkpoint(h, z, e),
    ewal_coordinator_stats(h, m, e),
    ewal_lane_backlog(h, z, m, e),
    ewal_stats_prometheus(h, m, z, m, e),
];

/// Over a coordinator, without one.
const WITHOUT_ERROR: &[Call] = calls![ewal_current_epoch(h, m), ewal_durable_epoch(h, m, m)];

/// Over a spool, with an error struct.
const OVER_A_SPOOL: &[Call] = calls![
    ewal_spool_submit(s, p, z, m, e),
    ewal_spool_append(s, p, z, z, e),
    ewal_spool_wait(s, t, z, e),
    ewal_spool_request_flush(s, t, e),
    ewal_spool_on_durable(s, t, z, m, z, e),
    ewal_spool_flush(s, z, e),
    ewal_spool_wait_after(s, z, z, e),
    ewal_spool_check_term(s, z, z, e),
    ewal_spool_event_fd(s, m, e),
    ewal_spool_read_since(s, z, z, z, m, e),
    ewal_cursor_open(s, z, m, e),
    ewal_spool_prune_through(s, z, m, e),
    ewal_spool_truncate_after(s, z, z, e),
    ewal_spool_salvaged(s, z, m, z, m, e),
    ewal_spool_torn(s, m, z, m, m, e),
    ewal_spool_stats(s, m, e),
    ewal_spool_terms(s, m, z, m, e),
    ewal_spool_lost(s, m, z, m, e),
    ewal_spool_export_rdlw(s, p, m, e),
    ewal_spool_imported(s, m, z, m, e),
    ewal_spool_saved_tail(s, m, z, m, e),
];

/// Over a spool, without one.
const OVER_A_SPOOL_WITHOUT_ERROR: &[Call] =
    calls![ewal_spool_bounds(s, m, m, m), ewal_spool_term(s, m)];

/// Over a primary, with an error struct.
const OVER_A_PRIMARY: &[Call] = calls![
    ewal_primary_salvaged(pr, m, z, m, e),
    ewal_primary_register(pr, p, p, m, e),
    ewal_primary_ensure_registered(pr, p, p, m, e),
    ewal_primary_unregister(pr, p, e),
    ewal_primary_set_rebootstrapping(pr, p, z, e),
    ewal_primary_note_pull(pr, p, z, z, e),
    ewal_primary_touch(pr, p, z, e),
    ewal_primary_plan_resume(pr, p, z, z, m, e),
    ewal_primary_ack(pr, p, z, p, e),
    ewal_primary_wait_acks(pr, z, p, z, m, e),
    ewal_primary_quorum_lsn(pr, z, z, m, e),
    ewal_primary_event_fd(pr, m, e),
    ewal_primary_watch_acks(pr, z, p, m, e),
    ewal_primary_slots(pr, z, m, e),
    ewal_primary_slot(pr, p, z, m, e),
    ewal_primary_slot_create(pr, p, z, z, e),
    ewal_primary_slot_drop(pr, p, e),
    ewal_primary_slot_reset(pr, p, z, e),
    ewal_primary_enforce_limits(pr, z, z, m, e),
    ewal_primary_prune(pr, z, m, e),
    ewal_primary_save(pr, e),
    ewal_primary_export_slots(pr, m, z, m, e),
    ewal_primary_replicas(pr, z, m, e),
    ewal_primary_progress(pr, m, e),
    ewal_primary_stats(pr, m, e),
    ewal_primary_events_since(pr, z, z, m, e),
];

/// Over a primary, without one.
const OVER_A_PRIMARY_WITHOUT_ERROR: &[Call] = calls![
    ewal_primary_spool(pr, m),
    ewal_primary_topology_epoch(pr, m),
];

/// Over something else, without one.
const THE_REST_WITHOUT_ERROR: &[Call] = calls![
    ewal_recovery_close(r),
    ewal_records_get(b, m, m),
    ewal_records_release(b),
    ewal_cursor_close(c),
    ewal_spool_reader_close(sr),
];

/// Over nothing, or over something else.
const THE_REST: &[Call] = calls![
    ewal_coordinator_open(p, p, m, e),
    ewal_coordinator_for_path(p, p, m, e),
    ewal_coordinator_close(h, z, e),
    ewal_recovery_open(p, p, m, e),
    ewal_recovery_next(r, m, e),
    ewal_recovery_report(r, m, e),
    ewal_recovery_suspect(r, z, m, e),
    ewal_recovery_epochs(r, m, z, m, e),
    ewal_recover_into_file(p, p, z, p, m, e),
    ewal_max_durable_epoch(p, m, m, e),
    ewal_list_segments(p, z, m, e),
    ewal_cleanup_segments(p, m, e),
    ewal_segment_path(p, z, m, z, m, e),
    ewal_segment_read(p, z, z, m, e),
    ewal_segment_write(p, z, p, z, e),
    ewal_segment_delete(p, z, e),
    ewal_spool_open(p, p, m, e),
    ewal_spool_close(s, z, e),
    ewal_spool_salvage(p, m, e),
    ewal_cursor_next(c, z, z, z, m, e),
    ewal_spool_reader_open(p, z, m, e),
    ewal_spool_reader_next(sr, z, z, m, e),
    ewal_spool_reader_report(sr, m, e),
    ewal_primary_open(p, p, m, e),
    ewal_ack_watch_decided(aw, m, e),
    ewal_ack_watch_finish(aw, m, e),
    ewal_primary_close(pr, z, e),
];

fn all() -> Vec<Call> {
    [with_error(), without_error()].concat()
}

fn with_error() -> Vec<Call> {
    [OVER_A_COORDINATOR, OVER_A_SPOOL, OVER_A_PRIMARY, THE_REST].concat()
}

fn without_error() -> Vec<Call> {
    [
        WITHOUT_ERROR,
        OVER_A_SPOOL_WITHOUT_ERROR,
        OVER_A_PRIMARY_WITHOUT_ERROR,
        THE_REST_WITHOUT_ERROR,
    ]
    .concat()
}

fn fresh_error() -> ewal_error {
    ewal_error {
        struct_size: size_of::<ewal_error>() as u32,
        code: 0,
        os_errno: 0,
        message: [0; 240],
        reserved: 0,
        lsn: 0,
        staged_epoch: 0,
    }
}

fn message(error: &ewal_error) -> &str {
    // SAFETY: the library ends every message with NUL.
    unsafe { CStr::from_ptr(error.message.as_ptr()) }
        .to_str()
        .unwrap()
}

fn open(dir: &std::path::Path, name: &str) -> ewal_coordinator {
    let path = CString::new(dir.join(name).as_os_str().as_bytes()).unwrap();
    let mut out = ewal_coordinator { id: 0 };
    let mut error = fresh_error();
    // SAFETY: a string, defaults, and places of the right types.
    let status = unsafe { ewal_coordinator_open(path.as_ptr(), null(), &mut out, &mut error) };
    assert_eq!(status, EWAL_OK, "{}", message(&error));
    out
}

fn close(wal: ewal_coordinator, error: &mut ewal_error) -> ewal_status {
    // SAFETY: a handle and a place of the right type.
    unsafe { ewal_coordinator_close(wal, -1, error) }
}

fn commit_one(wal: ewal_coordinator, error: &mut ewal_error) -> ewal_status {
    let page = [7_u8; 64];
    let frame = ewal_frame {
        page_number: 1,
        db_size_if_commit: 1,
        data: ewal_slice::of(&page),
    };
    let batch = ewal_batch {
        struct_size: size_of::<ewal_batch>() as u32,
        txn_epoch: 0,
        txn_id: 1,
        commit_seq: 1,
        frames: &frame,
        frame_count: 1,
        metadata: ewal_slice::of(&[]),
    };
    let mut ticket = ewal_ticket {
        epoch: 0,
        commit_seq: 0,
    };
    // SAFETY: everything lives until the call returns.
    unsafe { ewal_commit(wal, &batch, -1, &mut ticket, error) }
}

#[test]
fn every_function_turns_a_panic_into_a_status() {
    for (name, call) in with_error() {
        let mut error = fresh_error();
        inject::ask();
        assert_eq!(call(0, &mut error), EWAL_E_PANIC, "{name}");
        assert_eq!(error.code, EWAL_E_PANIC, "{name}");
        assert!(message(&error).contains("injected"), "{name}");
    }
    for (name, call) in without_error() {
        inject::ask();
        assert_eq!(call(0, null_mut()), EWAL_E_PANIC, "{name}");
    }
}

/// The lists above hold all that the header declares.
#[test]
fn no_function_is_missing_above() {
    let plain = ["ewal_version", "ewal_abi_version", "ewal_status_name"];
    let header = include_str!("../../include/epochwal.h");
    let declared = header.lines().filter_map(|line| {
        let name = line.strip_prefix("ewal_status ")?;
        Some(&name[..name.find('(')?])
    });
    let tested: Vec<&str> = all().iter().map(|(name, _)| *name).collect();
    let mut n = 0;
    for name in declared {
        assert!(tested.contains(&name) || plain.contains(&name), "{name}");
        n += 1;
    }
    assert_eq!(n, tested.len());
}

#[test]
fn a_panic_over_a_coordinator_fails_it_and_it_still_closes() {
    let dir = tempfile::tempdir().unwrap();
    for (name, call) in OVER_A_COORDINATOR.iter().chain(WITHOUT_ERROR) {
        let wal = open(dir.path(), name);
        let mut error = fresh_error();
        inject::ask();
        assert_eq!(call(wal.id, &mut error), EWAL_E_PANIC, "{name}");
        assert_eq!(commit_one(wal, &mut error), EWAL_E_FAILED, "{name}");
        close(wal, &mut error);
        assert_eq!(close(wal, &mut error), EWAL_E_CLOSED, "{name}");
        let again = open(dir.path(), name);
        assert_eq!(commit_one(again, &mut error), EWAL_OK, "{name}");
        assert_eq!(close(again, &mut error), EWAL_OK, "{name}");
    }
}

fn open_spool(dir: &std::path::Path, name: &str) -> ewal_spool {
    let path = CString::new(dir.join(name).as_os_str().as_bytes()).unwrap();
    let mut out = ewal_spool { id: 0 };
    let mut error = fresh_error();
    // SAFETY: a string, defaults, and places of the right types.
    let status = unsafe { ewal_spool_open(path.as_ptr(), null(), &mut out, &mut error) };
    assert_eq!(status, EWAL_OK, "{}", message(&error));
    out
}

fn close_spool(spool: ewal_spool, error: &mut ewal_error) -> ewal_status {
    // SAFETY: a handle and a place of the right type.
    unsafe { ewal_spool_close(spool, -1, error) }
}

fn append_one(spool: ewal_spool, lsn: u64, error: &mut ewal_error) -> ewal_status {
    let record = ewal_record {
        term: 1,
        lsn,
        timestamp_ms: 0,
        payload: ewal_slice::of(b"x"),
    };
    // SAFETY: everything lives until the call returns.
    unsafe { ewal_spool_append(spool, &record, 1, -1, error) }
}

#[test]
fn a_panic_over_a_spool_fails_it_and_it_still_closes() {
    let dir = tempfile::tempdir().unwrap();
    for (name, call) in OVER_A_SPOOL.iter().chain(OVER_A_SPOOL_WITHOUT_ERROR) {
        let spool = open_spool(dir.path(), name);
        let mut error = fresh_error();
        inject::ask();
        assert_eq!(call(spool.id, &mut error), EWAL_E_PANIC, "{name}");
        assert_eq!(append_one(spool, 1, &mut error), EWAL_E_FAILED, "{name}");
        close_spool(spool, &mut error);
        assert_eq!(close_spool(spool, &mut error), EWAL_E_CLOSED, "{name}");
        let again = open_spool(dir.path(), name);
        assert_eq!(append_one(again, 1, &mut error), EWAL_OK, "{name}");
        assert_eq!(close_spool(again, &mut error), EWAL_OK, "{name}");
    }
}

fn open_primary(dir: &std::path::Path, name: &str) -> (ewal_primary, ewal_spool) {
    let path = CString::new(dir.join(name).as_os_str().as_bytes()).unwrap();
    let mut out = ewal_primary { id: 0 };
    let mut spool = ewal_spool { id: 0 };
    let mut error = fresh_error();
    // SAFETY: a string, defaults, and places of the right types.
    let status = unsafe { ewal_primary_open(path.as_ptr(), null(), &mut out, &mut error) };
    assert_eq!(status, EWAL_OK, "{}", message(&error));
    // SAFETY: as above.
    assert_eq!(unsafe { ewal_primary_spool(out, &mut spool) }, EWAL_OK);
    (out, spool)
}

#[test]
fn a_panic_over_a_primary_fails_it_and_its_spool_and_it_still_closes() {
    let dir = tempfile::tempdir().unwrap();
    let register = |primary, error: &mut ewal_error| {
        // SAFETY: a string that ends with NUL, and a place of the right type.
        unsafe { ewal_primary_register(primary, c"a".as_ptr(), null(), null_mut(), error) }
    };
    // SAFETY: a handle and a place of the right type.
    let close = |primary, error: &mut ewal_error| unsafe { ewal_primary_close(primary, -1, error) };
    for (name, call) in OVER_A_PRIMARY.iter().chain(OVER_A_PRIMARY_WITHOUT_ERROR) {
        let (primary, spool) = open_primary(dir.path(), name);
        let mut error = fresh_error();
        inject::ask();
        assert_eq!(call(primary.id, &mut error), EWAL_E_PANIC, "{name}");
        assert_eq!(register(primary, &mut error), EWAL_E_FAILED, "{name}");
        assert_eq!(append_one(spool, 1, &mut error), EWAL_E_FAILED, "{name}");
        close(primary, &mut error);
        assert_eq!(close(primary, &mut error), EWAL_E_CLOSED, "{name}");
        assert_eq!(append_one(spool, 1, &mut error), EWAL_E_CLOSED, "{name}");
        let (again, spool) = open_primary(dir.path(), name);
        assert_eq!(append_one(spool, 1, &mut error), EWAL_OK, "{name}");
        assert_eq!(register(again, &mut error), EWAL_OK, "{name}");
        assert_eq!(close(again, &mut error), EWAL_OK, "{name}");
    }
}

#[test]
fn a_panic_in_a_cursor_fails_its_spool() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open_spool(dir.path(), "cursor");
    let mut error = fresh_error();
    assert_eq!(append_one(spool, 1, &mut error), EWAL_OK);
    let mut cursor = ewal_cursor { id: 0 };
    let mut records = ewal_records { id: 7 };
    // SAFETY: handles and places of the right types, here and below.
    let mut next = |cursor| unsafe { ewal_cursor_next(cursor, 9, 9, 0, &mut records, null_mut()) };
    // SAFETY: as above.
    let opened = unsafe { ewal_cursor_open(spool, 0, &mut cursor, &mut error) };
    assert_eq!(opened, EWAL_OK);
    inject::ask();
    assert_eq!(next(cursor), EWAL_E_PANIC);
    assert_eq!(append_one(spool, 2, &mut error), EWAL_E_FAILED);
    // What was durable is still read.
    assert_eq!(next(cursor), EWAL_OK);
    assert_eq!(next(cursor), EWAL_E_FAILED, "none will come");
    close_spool(spool, &mut error);
    assert_eq!(next(cursor), EWAL_E_CLOSED);
    assert_eq!(records.id, 0, "zeroed on failure");
    // SAFETY: as above.
    assert_eq!(unsafe { ewal_cursor_close(cursor) }, EWAL_OK);
}

#[test]
fn a_user_pointer_is_dropped_when_its_registration_panics() {
    unsafe extern "C" fn on_drop(user: *mut c_void) {
        // SAFETY: the pointer given below.
        unsafe { *user.cast::<u32>() += 1 };
    }
    let mut drops = 0_u32;
    inject::ask();
    // SAFETY: the pointer outlives the call, which drops it.
    let status = unsafe {
        ewal_on_durable(
            ewal_coordinator { id: 0 },
            1,
            None,
            (&raw mut drops).cast(),
            Some(on_drop),
            null_mut(),
        )
    };
    assert_eq!((status, drops), (EWAL_E_PANIC, 1));
}

#[test]
fn names_are_c_strings() {
    let name: *const c_char = ewal_status_name(EWAL_OK);
    // SAFETY: a static string that ends with NUL.
    assert_eq!(unsafe { CStr::from_ptr(name) }, c"EWAL_OK");
}
