//! Where a replica goes on.

use super::arg::{self, Out};
use super::error::ewal_error;
use super::guard::Done;
use super::primary::{ewal_primary, with_primary};
use super::status::ewal_status;
use crate::primary::{Primary, RebootstrapCause, Resume};
use std::ffi::{CStr, c_char};

/// kind: read on above resume_lsn.
pub const EWAL_RESUME_PARTIAL: u32 = 1;
/// kind: be loaded from a snapshot; see cause.
pub const EWAL_RESUME_REBOOTSTRAP: u32 = 2;
/// kind: give up what is above common_lsn; the replica is ahead of the spool,
/// or on another branch of history.
pub const EWAL_RESUME_DIVERGED: u32 = 3;

/// cause: there is no slot.
pub const EWAL_CAUSE_UNKNOWN: u32 = 1;
/// cause: the records that are needed are gone.
pub const EWAL_CAUSE_WAL_REMOVED: u32 = 2;
/// cause: the slot held back more than the horizon.
pub const EWAL_CAUSE_HORIZON: u32 = 3;
/// cause: the slot was not seen for too long.
pub const EWAL_CAUSE_IDLE_TIMEOUT: u32 = 4;

/// What a replica is to do.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_resume {
    /// EWAL_RESUME_*.
    pub kind: u32,
    /// EWAL_CAUSE_* of a rebootstrap, else 0.
    pub cause: u32,
    /// Partial: what it asked for, or its slot where that is further on. Else 0.
    pub resume_lsn: u64,
    /// Diverged: the last LSN that both have. Else 0.
    pub common_lsn: u64,
}

/// Says how a replica goes on that has everything up to since_lsn, the last of
/// it of that term (0: it does not say). It goes on from its slot where that is
/// further than what it asks for, but not while it is being rebootstrapped, nor
/// where the slot is only what its registration pinned.
///
/// Ownership: *out is the caller's.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID, FAILED, CLOSED, FORKED. An id without a slot is none: it is
///   told to be loaded from a snapshot.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_plan_resume(
    primary: ewal_primary,
    id: *const c_char,
    since_lsn: u64,
    term: u64,
    out: *mut ewal_resume,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Primary| {
        out.required("out")?;
        // SAFETY: as above.
        let id = unsafe { arg::text(id, "id") }?;
        out.set(it.plan_resume(id, since_lsn, term)?.into());
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// The name of an EWAL_CAUSE_*, such as "wal-removed"; "" for 0, and for a
/// number that this library does not know.
///
/// Ownership: a static string, never freed.
/// Threads: any.
/// Blocking: never.
/// Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn ewal_cause_name(cause: u32) -> *const c_char {
    let name: &CStr = match cause {
        EWAL_CAUSE_UNKNOWN => c"unknown",
        EWAL_CAUSE_WAL_REMOVED => c"wal-removed",
        EWAL_CAUSE_HORIZON => c"horizon",
        EWAL_CAUSE_IDLE_TIMEOUT => c"idle-timeout",
        _ => c"",
    };
    name.as_ptr()
}

impl From<Resume> for ewal_resume {
    fn from(resume: Resume) -> Self {
        let mut c = ewal_resume {
            kind: EWAL_RESUME_PARTIAL,
            cause: 0,
            resume_lsn: 0,
            common_lsn: 0,
        };
        match resume {
            Resume::Partial { resume_lsn } => c.resume_lsn = resume_lsn,
            Resume::Rebootstrap { cause } => {
                c.kind = EWAL_RESUME_REBOOTSTRAP;
                c.cause = cause_to_c(cause);
            }
            Resume::Diverged { common_lsn } => {
                c.kind = EWAL_RESUME_DIVERGED;
                c.common_lsn = common_lsn;
            }
        }
        c
    }
}

pub(super) fn cause_to_c(cause: RebootstrapCause) -> u32 {
    match cause {
        RebootstrapCause::Unknown => EWAL_CAUSE_UNKNOWN,
        RebootstrapCause::WalRemoved => EWAL_CAUSE_WAL_REMOVED,
        RebootstrapCause::Horizon => EWAL_CAUSE_HORIZON,
        RebootstrapCause::IdleTimeout => EWAL_CAUSE_IDLE_TIMEOUT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primary::Cause;

    #[test]
    fn each_cause_has_the_name_that_the_other_faces_give_it() {
        let causes = Cause::ALL.map(RebootstrapCause::from);
        for cause in causes.into_iter().chain([RebootstrapCause::Unknown]) {
            // SAFETY: a static string that ends with NUL.
            let name = unsafe { CStr::from_ptr(ewal_cause_name(cause_to_c(cause))) };
            assert_eq!(name.to_str().unwrap(), cause.name());
        }
    }
}
