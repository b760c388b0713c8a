//! Calls to the file system that fail, one at a time and in every way.
//!
//! A log is believed when it says "durable", so it may say so only when it
//! is: after an error, after half a write, after a sync that failed once and
//! would succeed the next time. Here each call of a workload fails once in
//! each way it can. Whatever the caller was told before must hold after a
//! crash, the errors must be the ones that `Coordinator::wait` promises, and
//! an open afterwards must go on.
//!
//! | call | fails | what happens |
//! | --- | --- | --- |
//! | read, write | interrupted, short | nobody notices |
//! | any sync | interrupted | nobody notices |
//! | open, rename, write, set_len | no space (quota and file size, too) | waits and opens say so; the group is kept, and heals when tried again |
//! | open, rename, remove, lock | no descriptors, no memory | waits and opens say so; heals |
//! | sync of the directory | no descriptors to open it | version 2: as any open, heals; version 1: final |
//! | sync of a segment, the state, the directory | with any other number | final: outcome unknown for what was written, failed for what was staged, nothing acknowledged any more; a reopen goes on |
//! | sync of a file that nothing relies on yet | no space | the file is thrown away; heals |
//! | write through (`O_DSYNC`) | other than no space | as a failed sync |
//! | any other | any other number | final, as a failed sync |
//! | any, of an open or a close | any | the open or close fails with that error; the next succeeds |
//! | any, of a recovery or a look | any | that error: never a verdict, never a shorter answer |
//! | any, of a salvage, a cleanup, a recovery into a file | any | that error; done again, it ends as if nothing had failed |
//! | any | slow | waits run out of time and may go on; nothing is early |

mod common;
#[path = "crash/ledger.rs"]
mod ledger;
#[path = "faults/matrix.rs"]
mod matrix;
#[path = "faults/space.rs"]
mod space;
#[path = "faults/tools.rs"]
mod tools;
#[path = "crash/verify.rs"]
mod verify;
#[path = "faults/waiters.rs"]
mod waiters;
#[path = "faults/ways.rs"]
mod ways;
#[path = "faults/workload.rs"]
mod workload;
#[path = "faults/wrong.rs"]
mod wrong;

use common::{PATIENCE, Place, commit, small};
use epochwal::coordinator::SyncStyle;
use epochwal::recovery::{RecoveryOptions, max_durable_epoch_on};
use epochwal::storage::sim::{Call, FaultPlan, SimStorage};
use epochwal::{ErrorKind, Options};
use workload::Workload;

/// Runs the workload with the plan; gives the errors that the caller saw.
fn run_with(
    style: SyncStyle,
    format: u32,
    call: Call,
    plan: FaultPlan,
) -> Vec<(&'static str, ErrorKind)> {
    let text = format!("{style:?}, format {format}, {plan:?}");
    let mut workload = Workload::new(style, format);
    workload.fail(call, plan);
    let ran = workload.run().and_then(|()| workload.crash());
    if let Err(why) = ran {
        panic!("{text}: {why} (errors seen: {:?})", workload.errors);
    }
    workload.errors
}

/// Calls `test` with a plan for each call of the workload: the kind of call,
/// and which of its kind fails.
fn sweep(test: impl Fn(SyncStyle, u32, Call, u64)) {
    for (style, format) in [
        (SyncStyle::Direct, 2),
        (SyncStyle::Buffered, 2),
        (SyncStyle::Buffered, 1),
    ] {
        let mut workload = Workload::new(style, format);
        workload.run().expect("nothing fails");
        assert_eq!(workload.errors, []);
        for call in Call::ALL {
            for n in 1..=workload.disk.calls(call) {
                test(style, format, call, n);
            }
        }
    }
}

#[test]
fn an_io_error_is_never_a_false_acknowledgement() {
    sweep(|style, format, call, n| {
        let errors = run_with(
            style,
            format,
            call,
            FaultPlan::error(call, libc::EIO).nth(n),
        );
        for (what, kind) in errors {
            let allowed: &[ErrorKind] = match what {
                "open" => &[ErrorKind::Io, ErrorKind::Unsupported],
                "wait" => &[ErrorKind::OutcomeUnknown, ErrorKind::Failed],
                "submit" => &[ErrorKind::Failed],
                _ => &[ErrorKind::Io, ErrorKind::Failed, ErrorKind::OutcomeUnknown],
            };
            assert!(
                allowed.contains(&kind),
                "{call:?} {n}: {what} says {kind:?}"
            );
        }
    });
}

#[test]
fn no_space_heals_unless_a_sync_says_it() {
    sweep(|style, format, call, n| {
        if matches!(
            call,
            Call::List | Call::Resolve | Call::Read | Call::Len | Call::Lock
        ) {
            return; // They take no space.
        }
        let plan = FaultPlan::error(call, libc::ENOSPC).nth(n);
        let errors = run_with(style, format, call, plan);
        let syncs = matches!(call, Call::SyncDir | Call::SyncData | Call::SyncAll);
        for (what, kind) in errors {
            let healing = matches!(kind, ErrorKind::NoSpace | ErrorKind::Unsupported);
            assert!(healing || syncs, "{call:?} {n}: {what} says {kind:?}");
        }
        // A new file that could not be synced is thrown away, and the next try
        // makes another; what has a segment's name can't be.
        if syncs {
            let plan = FaultPlan::error(call, libc::ENOSPC).on("-wal-seg-").nth(n);
            for (what, kind) in run_with(style, format, call, plan) {
                let healing = what == "wait" && kind == ErrorKind::NoSpace;
                assert!(!healing, "{call:?} {n}: a failed sync was called no space");
            }
        }
    });
}

#[test]
fn an_interruption_is_not_seen() {
    sweep(|style, format, call, n| {
        let plan = FaultPlan::error(call, libc::EINTR).nth(n);
        let errors = run_with(style, format, call, plan);
        if matches!(call, Call::Read | Call::Write) {
            assert_eq!(errors, [], "{call:?} {n}");
        }
    });
}

#[test]
fn a_short_read_or_write_is_not_seen() {
    sweep(|style, format, call, n| {
        let lengths: &[usize] = match call {
            Call::Read => &[1, 24, 4095],
            Call::Write => &[0, 1, 511, 4096],
            _ => &[],
        };
        for length in lengths {
            let plan = FaultPlan::short(call, *length).nth(n);
            let errors = run_with(style, format, call, plan);
            assert_eq!(errors, [], "{call:?} {n} of {length} bytes");
        }
    });
}

/// A log of several segments that was not closed.
fn unclosed() -> SimStorage {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let options = Options {
        segment_size: 16 << 10,
        ..small()
    };
    let wal = place.open(&options).unwrap();
    for txn in 1..=12 {
        commit(&wal, txn).unwrap();
    }
    let left = disk.snapshot();
    wal.close(PATIENCE).unwrap();
    left
}

/// Row 16 of the decision table: what can't be read is neither torn nor
/// corrupt, and nothing is cut for it.
#[test]
fn an_error_while_reading_is_no_verdict() {
    let left = unclosed();
    let whole = Place::sim(&left).recover_all();
    assert_eq!(whole.len(), 12);
    for call in [Call::Open, Call::List, Call::Read, Call::Len, Call::Lock] {
        for errno in [libc::EIO, libc::EACCES, libc::EMFILE] {
            for n in 1.. {
                let disk = left.snapshot();
                let fault = disk.fail(FaultPlan::error(call, errno).nth(n));
                let place = Place::sim(&disk);
                let read = place.recover(&RecoveryOptions::default());
                let prefix = RecoveryOptions {
                    durable_prefix: true,
                    ..RecoveryOptions::default()
                };
                if fault.hits() == 0 {
                    break;
                }
                let error = read.expect_err("a call failed");
                assert_eq!(error.kind(), ErrorKind::Io, "{call:?} {n}: {error:?}");
                assert_eq!(place.recover_all(), whole, "once more");
                disk.fail(FaultPlan::error(call, errno).nth(n));
                let error = place.recover(&prefix).expect_err("a call failed");
                assert_eq!(error.kind(), ErrorKind::Io, "prefix: {error:?}");
                disk.clear_faults();
                disk.fail(FaultPlan::error(call, errno).nth(n));
                if let Err(error) = max_durable_epoch_on(place.disk.clone(), &place.db) {
                    assert_eq!(error.kind(), ErrorKind::Io, "durable: {error:?}");
                }
                disk.clear_faults();
                disk.fail(FaultPlan::error(call, errno).nth(n));
                if let Err(error) = place.open(&small()) {
                    assert_eq!(error.kind(), ErrorKind::Io, "open: {error:?}");
                }
                disk.clear_faults();
                assert_eq!(place.recover_all(), whole, "nothing was cut");
            }
        }
    }
}
