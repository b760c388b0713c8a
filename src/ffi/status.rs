//! The outcome of a call: constants, and their names.

use crate::error::ErrorKind;
use std::ffi::{CStr, c_char};

/// The outcome of a call: 0 is success, positive is benign, negative is a
/// failure. Plain integers, so that a value which a later library adds is
/// nothing worse than unknown.
pub type ewal_status = i32;

/// It worked.
pub const EWAL_OK: ewal_status = 0;
/// The time is up; what was waited for is still pending.
pub const EWAL_TIMEOUT: ewal_status = 1;
/// The end of a stream.
pub const EWAL_END: ewal_status = 2;
/// Full, or in use by another thread; the call would have had to block.
pub const EWAL_BUSY: ewal_status = 3;
/// An argument or a field is out of range; the message names it.
pub const EWAL_E_INVALID: ewal_status = -1;
/// The system gave no memory.
pub const EWAL_E_NO_MEMORY: ewal_status = -2;
/// A call to the file system failed; see os_errno.
pub const EWAL_E_IO: ewal_status = -3;
/// Bytes of a known format version are wrong.
pub const EWAL_E_CORRUPT: ewal_status = -4;
/// Another writer has the database.
pub const EWAL_E_LOCKED: ewal_status = -5;
/// The handle is closed. Says nothing about durability.
pub const EWAL_E_CLOSED: ewal_status = -6;
/// The handle belongs to the parent of a fork().
pub const EWAL_E_FORKED: ewal_status = -7;
/// The platform or the file system lacks what was asked for.
pub const EWAL_E_UNSUPPORTED: ewal_status = -8;
/// Larger than a limit of the format or of the configuration.
pub const EWAL_E_TOO_LARGE: ewal_status = -9;
/// No disk space, or the log's configured limit is reached. Heals.
pub const EWAL_E_NO_SPACE: ewal_status = -10;
/// A struct is larger than this library knows, with fields set in the rest.
pub const EWAL_E_ABI: ewal_status = -11;
/// A newer format, or a file of something else.
pub const EWAL_E_FORMAT: ewal_status = -12;
/// There is no such thing.
pub const EWAL_E_NOT_FOUND: ewal_status = -13;
/// It is there already.
pub const EWAL_E_EXISTS: ewal_status = -14;
/// An earlier failure is final; only a reopen goes on.
pub const EWAL_E_FAILED: ewal_status = -15;
/// A sync failed: the epoch may or may not be on the disk.
pub const EWAL_E_OUTCOME_UNKNOWN: ewal_status = -16;
/// A blocking function was called from inside a callback.
pub const EWAL_E_DEADLOCK: ewal_status = -17;
/// A sequence or a log position out of order.
pub const EWAL_E_ORDER: ewal_status = -18;
/// A lower term than the log has seen.
pub const EWAL_E_FENCED: ewal_status = -19;
/// The records asked for are pruned, or lost in a salvage.
pub const EWAL_E_WAL_REMOVED: ewal_status = -20;
/// The asker is beyond the end of the log.
pub const EWAL_E_AHEAD: ewal_status = -21;
/// The asker is on another branch of history.
pub const EWAL_E_DIVERGED: ewal_status = -22;
/// A defect of the library was caught at its boundary; the handle has failed.
pub const EWAL_E_PANIC: ewal_status = -99;

/// Every status with its name.
const NAMES: &[(ewal_status, &CStr)] = &[
    (EWAL_OK, c"EWAL_OK"),
    (EWAL_TIMEOUT, c"EWAL_TIMEOUT"),
    (EWAL_END, c"EWAL_END"),
    (EWAL_BUSY, c"EWAL_BUSY"),
    (EWAL_E_INVALID, c"EWAL_E_INVALID"),
    (EWAL_E_NO_MEMORY, c"EWAL_E_NO_MEMORY"),
    (EWAL_E_IO, c"EWAL_E_IO"),
    (EWAL_E_CORRUPT, c"EWAL_E_CORRUPT"),
    (EWAL_E_LOCKED, c"EWAL_E_LOCKED"),
    (EWAL_E_CLOSED, c"EWAL_E_CLOSED"),
    (EWAL_E_FORKED, c"EWAL_E_FORKED"),
    (EWAL_E_UNSUPPORTED, c"EWAL_E_UNSUPPORTED"),
    (EWAL_E_TOO_LARGE, c"EWAL_E_TOO_LARGE"),
    (EWAL_E_NO_SPACE, c"EWAL_E_NO_SPACE"),
    (EWAL_E_ABI, c"EWAL_E_ABI"),
    (EWAL_E_FORMAT, c"EWAL_E_FORMAT"),
    (EWAL_E_NOT_FOUND, c"EWAL_E_NOT_FOUND"),
    (EWAL_E_EXISTS, c"EWAL_E_EXISTS"),
    (EWAL_E_FAILED, c"EWAL_E_FAILED"),
    (EWAL_E_OUTCOME_UNKNOWN, c"EWAL_E_OUTCOME_UNKNOWN"),
    (EWAL_E_DEADLOCK, c"EWAL_E_DEADLOCK"),
    (EWAL_E_ORDER, c"EWAL_E_ORDER"),
    (EWAL_E_FENCED, c"EWAL_E_FENCED"),
    (EWAL_E_WAL_REMOVED, c"EWAL_E_WAL_REMOVED"),
    (EWAL_E_AHEAD, c"EWAL_E_AHEAD"),
    (EWAL_E_DIVERGED, c"EWAL_E_DIVERGED"),
    (EWAL_E_PANIC, c"EWAL_E_PANIC"),
];

/// The name of a status, such as "EWAL_E_CORRUPT"; "EWAL_UNKNOWN" for a
/// number that this library does not know.
///
/// Ownership: a static string, never freed.
/// Threads: any.
/// Blocking: never.
/// Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn ewal_status_name(status: ewal_status) -> *const c_char {
    NAMES
        .iter()
        .find(|(value, _)| *value == status)
        .map_or(c"EWAL_UNKNOWN", |(_, name)| name)
        .as_ptr()
}

/// The status of an error: the kinds carry the ABI's numbers.
pub(super) fn of(kind: ErrorKind) -> ewal_status {
    kind as ewal_status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_the_number_of_its_constant() {
        let pairs = [
            (ErrorKind::Timeout, EWAL_TIMEOUT),
            (ErrorKind::Busy, EWAL_BUSY),
            (ErrorKind::Invalid, EWAL_E_INVALID),
            (ErrorKind::NoMemory, EWAL_E_NO_MEMORY),
            (ErrorKind::Io, EWAL_E_IO),
            (ErrorKind::Corrupt, EWAL_E_CORRUPT),
            (ErrorKind::Locked, EWAL_E_LOCKED),
            (ErrorKind::Closed, EWAL_E_CLOSED),
            (ErrorKind::Forked, EWAL_E_FORKED),
            (ErrorKind::Unsupported, EWAL_E_UNSUPPORTED),
            (ErrorKind::TooLarge, EWAL_E_TOO_LARGE),
            (ErrorKind::NoSpace, EWAL_E_NO_SPACE),
            (ErrorKind::Abi, EWAL_E_ABI),
            (ErrorKind::Format, EWAL_E_FORMAT),
            (ErrorKind::NotFound, EWAL_E_NOT_FOUND),
            (ErrorKind::Exists, EWAL_E_EXISTS),
            (ErrorKind::Failed, EWAL_E_FAILED),
            (ErrorKind::OutcomeUnknown, EWAL_E_OUTCOME_UNKNOWN),
            (ErrorKind::Deadlock, EWAL_E_DEADLOCK),
            (ErrorKind::Order, EWAL_E_ORDER),
            (ErrorKind::Fenced, EWAL_E_FENCED),
            (ErrorKind::WalRemoved, EWAL_E_WAL_REMOVED),
            (ErrorKind::Ahead, EWAL_E_AHEAD),
            (ErrorKind::Diverged, EWAL_E_DIVERGED),
            (ErrorKind::Panic, EWAL_E_PANIC),
        ];
        for (kind, status) in pairs {
            assert_eq!(of(kind), status, "{kind:?}");
        }
    }

    #[test]
    fn every_status_has_a_name_of_its_own() {
        for (status, name) in NAMES {
            // SAFETY: the function gives a static string that ends with NUL.
            let got = unsafe { CStr::from_ptr(ewal_status_name(*status)) };
            assert_eq!(got, *name);
        }
    }
}
