//! Who the replicas are, and how far they have come.

use super::error::ewal_error;
use super::guard::Done;
use super::lent::Lent;
use super::primary::{ewal_primary, with_primary};
use super::status::ewal_status;
use super::struct_size::{Sized32, SizedOut};
use crate::error::Error;
use crate::primary::{Primary, Progress, ReplicaInfo};
use std::ffi::{c_char, c_int, c_void};

/// A member of the registry as a listing shows it. Filled by the library; a
/// later one may have more fields, see struct_size. Times are milliseconds since
/// the Unix epoch.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_replica_info {
    /// Bytes that the library filled.
    pub struct_size: u32,
    /// It was seen within healthy_for_ns, as of the last look at the limits.
    pub healthy: bool,
    /// It is being loaded from a snapshot.
    pub rebootstrapping: bool,
    /// Commits may count on it: its slot is valid, and it is not being
    /// rebootstrapped.
    pub counts: bool,
    /// Zero.
    pub reserved: u8,
    /// Borrowed for the time of the callback.
    pub id: *const c_char,
    /// NULL where it has none; borrowed likewise.
    pub region: *const c_char,
    /// Of its session; 0 where it has had none since the primary was opened.
    pub generation: u64,
    /// When its session began; 0 where it has none.
    pub connected_at_ms: u64,
    /// When it was seen last.
    pub last_seen_ms: u64,
    /// The LSN through which it was sent records.
    pub sent_lsn: u64,
    /// The LSN through which it has received.
    pub written_lsn: u64,
    /// The LSN through which it has on stable storage.
    pub durable_lsn: u64,
    /// The LSN through which it has applied.
    pub applied_lsn: u64,
    /// Records that it could not apply.
    pub apply_errors: u64,
    /// Differences that it has found.
    pub divergences: u64,
}

/// Called for each replica; non-zero stops the listing. Must return without
/// unwinding: no C++ exception, no longjmp.
pub type ewal_replica_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, replica: *const ewal_replica_info) -> c_int>;

/// How far the replicas are together. Those whose slot was given up, or who are
/// being rebootstrapped, are left out. Begin with EWAL_PROGRESS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_progress {
    /// sizeof(ewal_progress).
    pub struct_size: u32,
    /// Whether there is a valid slot.
    pub has_retention_floor: bool,
    /// Zero.
    pub reserved: [u8; 3],
    /// Replicas that are counted here.
    pub replicas: u64,
    /// The highest LSN that was sent to one.
    pub highest_sent: u64,
    /// The lowest that one has applied; 0 where there is none.
    pub lowest_applied: u64,
    /// The distance of the two.
    pub lag: u64,
    /// The lowest LSN that one has durable: all of them can replay to it; 0
    /// where there is none.
    pub safe_replay_lsn: u64,
    /// The lowest restart LSN of the valid slots; see has_retention_floor.
    pub retention_floor: u64,
    /// The highest LSN that a commit wait called reached.
    pub quorum_lsn: u64,
}

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_progress {
    const NAME: &'static str = "progress";
    const FIRST: usize = size_of::<ewal_progress>();
}

/// Calls back for each member of the registry, by id, as they were at one
/// moment.
///
/// Ownership: what the callback gets is borrowed for its time.
/// Threads: any. The callback runs on the calling thread, under no lock, and
///   may call any function.
/// Blocking: never.
/// Errors: INVALID, CLOSED, FORKED; a callback that stops the listing is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_replicas(
    primary: ewal_primary,
    function: ewal_replica_fn,
    user: *mut c_void,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        let function = function.ok_or_else(|| Error::invalid("function is NULL"))?;
        for replica in &it.replicas() {
            let (id, region) = (Lent::new(&replica.id), Lent::of(replica.region.as_deref()));
            let replica = to_c(replica, &id, &region);
            // SAFETY: the caller's function, with the caller's pointer; the
            // strings outlive the call.
            if unsafe { function(user, &replica) } != 0 {
                break;
            }
        }
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { with_primary(primary, error, body) }
}

/// How far the replicas are together.
///
/// Ownership: *out is the caller's.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_progress(
    primary: ewal_primary,
    out: *mut ewal_progress,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { SizedOut::new(out) };
    let body = |it: &Primary| {
        out.check()?;
        out.write(&it.progress().into());
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

fn to_c(replica: &ReplicaInfo, id: &Lent, region: &Lent) -> ewal_replica_info {
    ewal_replica_info {
        struct_size: size_of::<ewal_replica_info>() as u32,
        healthy: replica.healthy,
        rebootstrapping: replica.rebootstrapping,
        counts: replica.counts,
        reserved: 0,
        id: id.as_ptr(),
        region: region.as_ptr(),
        generation: replica.generation,
        connected_at_ms: replica.connected_at_ms,
        last_seen_ms: replica.last_seen_ms,
        sent_lsn: replica.sent_lsn,
        written_lsn: replica.written_lsn,
        durable_lsn: replica.durable_lsn,
        applied_lsn: replica.applied_lsn,
        apply_errors: replica.apply_errors,
        divergences: replica.divergences,
    }
}

impl From<Progress> for ewal_progress {
    fn from(progress: Progress) -> Self {
        ewal_progress {
            struct_size: 0,
            has_retention_floor: progress.retention_floor.is_some(),
            reserved: [0; 3],
            replicas: progress.replicas,
            highest_sent: progress.highest_sent,
            lowest_applied: progress.lowest_applied,
            lag: progress.lag,
            safe_replay_lsn: progress.safe_replay_lsn,
            retention_floor: progress.retention_floor.unwrap_or(0),
            quorum_lsn: progress.quorum_lsn,
        }
    }
}
