//! No panic crosses the boundary, whichever function it starts in, and it
//! leaves the coordinator failed.

use super::batch::{ewal_batch, ewal_frame, ewal_slice, ewal_ticket};
use super::checkpoint::*;
use super::coordinator::*;
use super::error::ewal_error;
use super::guard::inject;
use super::recovery::*;
use super::segment::*;
use super::stats::*;
use super::status::*;
use super::wait::*;
use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr::{null, null_mut};

type Call = (
    &'static str,
    fn(ewal_coordinator, *mut ewal_error) -> ewal_status,
);

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

fn h(handle: ewal_coordinator, _: *mut ewal_error) -> ewal_coordinator {
    handle
}
fn e(_: ewal_coordinator, error: *mut ewal_error) -> *mut ewal_error {
    error
}
fn r(_: ewal_coordinator, _: *mut ewal_error) -> ewal_recovery {
    ewal_recovery { id: 0 }
}
fn p<T>(_: ewal_coordinator, _: *mut ewal_error) -> *const T {
    null()
}
fn m<T>(_: ewal_coordinator, _: *mut ewal_error) -> *mut T {
    null_mut()
}
fn z<T: Default>(_: ewal_coordinator, _: *mut ewal_error) -> T {
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
const WITHOUT_ERROR: &[Call] = calls![
    ewal_current_epoch(h, m),
    ewal_durable_epoch(h, m, m),
    ewal_recovery_close(r),
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
];

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
    let all = [OVER_A_COORDINATOR, WITHOUT_ERROR, THE_REST].concat();
    for (name, call) in all {
        let mut error = fresh_error();
        inject::ask();
        let status = call(ewal_coordinator { id: 0 }, &mut error);
        assert_eq!(status, EWAL_E_PANIC, "{name}");
        if !WITHOUT_ERROR.iter().any(|(n, _)| *n == name) {
            assert_eq!(error.code, EWAL_E_PANIC, "{name}");
            assert!(message(&error).contains("injected"), "{name}");
        }
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
    let tested: Vec<&str> = [OVER_A_COORDINATOR, WITHOUT_ERROR, THE_REST]
        .concat()
        .iter()
        .map(|(name, _)| *name)
        .collect();
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
    let without = &WITHOUT_ERROR[..2];
    for (name, call) in OVER_A_COORDINATOR.iter().chain(without) {
        let wal = open(dir.path(), name);
        let mut error = fresh_error();
        inject::ask();
        assert_eq!(call(wal, &mut error), EWAL_E_PANIC, "{name}");
        assert_eq!(commit_one(wal, &mut error), EWAL_E_FAILED, "{name}");
        close(wal, &mut error);
        assert_eq!(close(wal, &mut error), EWAL_E_CLOSED, "{name}");
        let again = open(dir.path(), name);
        assert_eq!(commit_one(again, &mut error), EWAL_OK, "{name}");
        assert_eq!(close(again, &mut error), EWAL_OK, "{name}");
    }
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
