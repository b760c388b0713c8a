//! Acknowledgements, and commits that wait for them.

use super::arg::{self, Out};
use super::error::ewal_error;
use super::guard::{self, Done};
use super::options::known_flags;
use super::primary::{ewal_primary, with_primary};
use super::status::ewal_status;
use super::struct_size::{self, Sized32, SizedOut};
use crate::error::{Error, Result};
use crate::primary::{Ack, AckPolicy, AckResult, Level, Outcome, Primary};
use std::ffi::c_char;

/// How far a replica has come. Begin with EWAL_ACK_INIT. All of it only rises:
/// what is below an earlier acknowledgement changes nothing.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_ack {
    /// sizeof(ewal_ack).
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// The LSN through which it has received. What is durable or applied was.
    pub written: u64,
    /// The LSN through which it has on stable storage: its slot's restart LSN
    /// follows.
    pub durable: u64,
    /// The LSN through which it has applied: its slot's confirmed LSN follows.
    pub applied: u64,
    /// Records that could not be applied, in all.
    pub apply_errors: u64,
    /// Differences that it has found, in all.
    pub divergences: u64,
}

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_ack {
    const NAME: &'static str = "ack";
    const FIRST: usize = size_of::<ewal_ack>();
}

/// A replica has received a record.
pub const EWAL_LEVEL_WRITTEN: u32 = 1;
/// A replica has made a record durable. The default.
pub const EWAL_LEVEL_DURABLE: u32 = 2;
/// A replica has applied a record.
pub const EWAL_LEVEL_APPLIED: u32 = 3;

/// flags: a commit whose policy is not met in time, or can't be, counts all the
/// same where it is durable here, as degraded: EWAL_OK, counted, and an event.
pub const EWAL_ACK_DEGRADE: u32 = 1;

/// Which replicas must have a record, and how surely, before a commit counts.
/// Begin with EWAL_ACK_POLICY_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_ack_policy {
    /// sizeof(ewal_ack_policy).
    pub struct_size: u32,
    /// EWAL_LEVEL_*; 0 is EWAL_LEVEL_DURABLE.
    pub level: u32,
    /// EWAL_ACK_DEGRADE or 0.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
    /// Whose acknowledgements are asked for, in any case of letters:
    /// "local" nobody's; "2" or "any 2" those of two, whichever; "any 2 (a, b,
    /// c)" two of these; "first 2 (a, b, c)" the first two of these that are
    /// there, healthy ones before others; "regions 1 (eu, us)" one in each of
    /// these regions. A name with , ( ) " or space at its ends stands in
    /// double quotes, and a quote in it twice. Never NULL.
    pub policy: *const c_char,
}

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_ack_policy {
    const NAME: &'static str = "policy";
    const FIRST: usize = size_of::<ewal_ack_policy>();
}

/// outcome: the policy is met.
pub const EWAL_ACK_REACHED: u32 = 1;
/// outcome: it was not met in time.
pub const EWAL_ACK_TIMED_OUT: u32 = 2;
/// outcome: it can't be met by the replicas there are.
pub const EWAL_ACK_UNMEETABLE: u32 = 3;

/// What a commit wait came to, and by how much. Begin with EWAL_ACK_RESULT_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_ack_result {
    /// sizeof(ewal_ack_result).
    pub struct_size: u32,
    /// EWAL_ACK_REACHED, _TIMED_OUT or _UNMEETABLE; 0 where the call failed
    /// before there was any.
    pub outcome: u32,
    /// Acknowledgements that count.
    pub observed: u32,
    /// Acknowledgements that the policy asks for.
    pub required: u32,
    /// The commit counts although the policy is not met: EWAL_ACK_DEGRADE.
    pub degraded: bool,
    /// Zero.
    pub reserved: [u8; 7],
}

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_ack_result {
    const NAME: &'static str = "result";
    const FIRST: usize = size_of::<ewal_ack_result>();
}

/// Takes an acknowledgement of a session. It is in force at once, and saved a
/// little later: at the latest after save_interval_ns, and before a prune that
/// relies on it.
///
/// Ownership: nothing passed in is kept.
/// Threads: any.
/// Blocking: never.
/// Errors, and nothing has changed: NOT_FOUND for an id that is not registered,
///   FENCED for any session but the newest, AHEAD beyond the durable end of the
///   spool (error->lsn is the end), WAL_REMOVED for a slot that was given up;
///   INVALID, ABI, FAILED, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_ack(
    primary: ewal_primary,
    id: *const c_char,
    generation: u64,
    ack: *const ewal_ack,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        // SAFETY: the caller keeps to the header, here and below.
        let id = unsafe { arg::text(id, "id") }?;
        // SAFETY: as above.
        let ack = unsafe { struct_size::read(ack) }?.to_rust()?;
        it.ack(id, generation, &ack)?;
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Waits until the policy's replicas have the record at lsn, or it is known
/// that they can't, or the time is up. Replicas that leave stop counting, and
/// those who wait see it. What it calls reached is kept durably first: the
/// spool is never cut below it.
///
/// Ownership: nothing passed in is kept. out may be NULL. It is filled also
///   where the status is TIMEOUT or NOT_FOUND.
/// Threads: any number.
/// Blocking: up to timeout_ns (0 polls, negative waits for ever), and for
///   saving what was reached.
/// Errors: OK: the policy is met, or the commit counts as degraded. TIMEOUT: it
///   is not met yet. NOT_FOUND: the replicas that it asks for are not there
///   (fewer than it needs, a region with none). INVALID for a policy that is
///   none: an unknown one is never read as "local". IO, NO_SPACE, FAILED, ABI,
///   CLOSED, FORKED, DEADLOCK from inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_wait_acks(
    primary: ewal_primary,
    lsn: u64,
    policy: *const ewal_ack_policy,
    timeout_ns: i64,
    out: *mut ewal_ack_result,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { SizedOut::new(out) };
    let body = |it: &Primary| {
        out.check_optional()?;
        guard::refuse_in_callback("ewal_primary_wait_acks")?;
        // SAFETY: as above.
        let policy = unsafe { read_policy(policy) }?;
        let result = it.wait_acks(lsn, &policy, arg::timeout(timeout_ns))?;
        out.write(&result.into());
        result.ok().map(|_| Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// The LSN that at least n replicas have at a level (EWAL_LEVEL_*), without
/// waiting; 0 where there are fewer. Those that are being rebootstrapped, or
/// whose slot was given up, do not count.
///
/// Ownership: *out is the caller's.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID for an n of 0, an unknown level, or where out is NULL;
///   CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_quorum_lsn(
    primary: ewal_primary,
    n: usize,
    level: u32,
    out: *mut u64,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Primary| {
        out.required("out")?;
        if n == 0 {
            return Err(Error::invalid("n: 0 replicas have everything"));
        }
        out.set(it.quorum_lsn(n, level_of(level)?));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

impl ewal_ack {
    fn to_rust(self) -> Result<Ack> {
        reserved_is_zero(self.reserved)?;
        Ok(Ack {
            written: self.written,
            durable: self.durable,
            applied: self.applied,
            apply_errors: self.apply_errors,
            divergences: self.divergences,
        })
    }
}

/// # Safety
/// `ptr` is NULL, or points to a u32 and to as many readable bytes as it says,
/// and its text is NULL or a string that ends with NUL.
pub(super) unsafe fn read_policy(ptr: *const ewal_ack_policy) -> Result<AckPolicy> {
    // SAFETY: as promised by our caller, here and below.
    let policy = unsafe { struct_size::read(ptr) }?;
    known_flags(policy.flags, EWAL_ACK_DEGRADE)?;
    reserved_is_zero(policy.reserved)?;
    // SAFETY: as above.
    let quorum = unsafe { arg::text(policy.policy, "policy") }?.parse()?;
    Ok(AckPolicy {
        quorum,
        level: level_of(policy.level)?,
        degrade: policy.flags & EWAL_ACK_DEGRADE != 0,
    })
}

fn level_of(level: u32) -> Result<Level> {
    match level {
        EWAL_LEVEL_WRITTEN => Ok(Level::Written),
        0 | EWAL_LEVEL_DURABLE => Ok(Level::Durable),
        EWAL_LEVEL_APPLIED => Ok(Level::Applied),
        _ => Err(Error::invalid(format!(
            "level: {level} is none of its values"
        ))),
    }
}

fn reserved_is_zero(reserved: u32) -> Result<()> {
    match reserved {
        0 => Ok(()),
        _ => Err(Error::invalid(format!("reserved: {reserved} is not zero"))),
    }
}

impl From<AckResult> for ewal_ack_result {
    fn from(result: AckResult) -> Self {
        ewal_ack_result {
            struct_size: 0,
            outcome: match result.outcome {
                Outcome::Reached => EWAL_ACK_REACHED,
                Outcome::TimedOut => EWAL_ACK_TIMED_OUT,
                Outcome::Unmeetable => EWAL_ACK_UNMEETABLE,
            },
            observed: result.observed,
            required: result.required,
            degraded: result.degraded,
            reserved: [0; 7],
        }
    }
}
