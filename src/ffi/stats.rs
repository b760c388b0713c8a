//! Figures.

use super::arg::{Out, TextOut};
use super::coordinator::ewal_coordinator;
use super::error::ewal_error;
use super::guard::{self, Done};
use super::options::{EWAL_SYNC_STYLE_BUFFERED, EWAL_SYNC_STYLE_DIRECT};
use super::status::ewal_status;
use super::struct_size::{Sized32, SizedOut};
use crate::coordinator::{Coordinator, Latency, Stats, SyncStyle};
use crate::error::{Error, ErrorKind};
use std::ffi::c_char;

/// Percentiles of a latency in nanoseconds, at most 12.5% too high; 0 where
/// nothing was measured.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_latency {
    /// How many were measured.
    pub count: u64,
    /// All of them together.
    pub sum: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// The largest, exact.
    pub max: u64,
}

/// The coordinator's figures. Counters count since open. Begin with
/// EWAL_STATS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_stats {
    /// sizeof(ewal_stats).
    pub struct_size: u32,
    /// Lanes configured.
    pub lanes: u32,
    /// Lanes that a living thread holds.
    pub lanes_in_use: u32,
    /// Whether any epoch is durable.
    pub has_durable: bool,
    /// Whether anything was checkpointed.
    pub has_checkpoint: bool,
    /// How groups reach the disk: EWAL_SYNC_STYLE_DIRECT or
    /// EWAL_SYNC_STYLE_BUFFERED, as the probe at open found.
    pub sync_style: u8,
    /// Zero.
    pub reserved: u8,
    /// Batches staged.
    pub batches: u64,
    /// Frames staged.
    pub frames: u64,
    /// Page bytes staged.
    pub bytes: u64,
    /// Epochs made durable.
    pub epochs: u64,
    /// Groups written.
    pub groups: u64,
    /// Bytes written as groups, padding and certificates included.
    pub group_bytes: u64,
    /// Syncs of groups (a write-through write counts as one).
    pub syncs: u64,
    /// Batches that went past their lane's capacity.
    pub spills: u64,
    /// Batches larger than a lane.
    pub oversize: u64,
    /// Submits that found their lane taken by another thread.
    pub contended: u64,
    /// Submits that had to wait for room.
    pub blocked: u64,
    /// Submits refused for want of room.
    pub refused: u64,
    /// Writes taken up again after an interruption, a short write or no space.
    pub retries: u64,
    /// Flushes that failed.
    pub failures: u64,
    /// Checkpoints done.
    pub checkpoints: u64,
    /// The epoch that a batch staged now would get.
    pub current_epoch: u64,
    /// The highest durable epoch; see has_durable.
    pub durable_epoch: u64,
    /// The highest epoch checkpointed; see has_checkpoint.
    pub checkpoint_epoch: u64,
    /// Segment files that hold live epochs.
    pub segments_in_use: u64,
    /// Prepared files that wait for use.
    pub segments_free: u64,
    /// Bytes of groups in live segments.
    pub log_bytes: u64,
    /// The configured limit of log_bytes; 0: none.
    pub max_log_bytes: u64,
    /// Bytes staged or in flight.
    pub memory_bytes: u64,
    /// The configured limit of memory_bytes.
    pub max_memory: u64,
    /// From the call of a wait that had to wait, to its return.
    pub wait: ewal_latency,
    /// From the start of a group's write to its durability.
    pub flush: ewal_latency,
}

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_stats {
    const NAME: &'static str = "stats";
    const FIRST: usize = size_of::<ewal_stats>();
}

/// A snapshot of the figures.
///
/// Ownership: *out is the caller's.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_coordinator_stats(
    coordinator: ewal_coordinator,
    out: *mut ewal_stats,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { SizedOut::new(out) };
    let body = |it: &Coordinator| {
        out.check()?;
        out.write(&to_c(&it.stats()?));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::with_coordinator(coordinator, error, body) }
}

/// Frames staged in a lane and not yet sealed; lanes count from 0.
///
/// Ownership: *out is the caller's.
/// Threads: any.
/// Blocking: never.
/// Errors: NOT_FOUND beyond the last lane; INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_lane_backlog(
    coordinator: ewal_coordinator,
    lane: u32,
    out: *mut u32,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Coordinator| {
        out.required("out")?;
        let stats = it.stats()?;
        let frames = stats.backlog.get(lane as usize).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("lane: {lane}, but there are {}", stats.backlog.len()),
            )
        })?;
        out.set(*frames);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::with_coordinator(coordinator, error, body) }
}

/// All figures as Prometheus text, as snprintf writes it: cut to cap - 1
/// bytes and ended with NUL; *out_len is the whole text's length.
///
/// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
///   may be NULL.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_stats_prometheus(
    coordinator: ewal_coordinator,
    buf: *mut c_char,
    cap: usize,
    out_len: *mut usize,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out_len = unsafe { Out::new(out_len) };
    // SAFETY: as above.
    let text = unsafe { TextOut::new(buf, cap) };
    let body = |it: &Coordinator| {
        text.check("buf")?;
        let database = it.path().display().to_string();
        out_len.set(text.write(it.stats()?.prometheus(&database).as_bytes()));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::with_coordinator(coordinator, error, body) }
}

pub(super) fn to_c(stats: &Stats) -> ewal_stats {
    ewal_stats {
        struct_size: 0,
        lanes: stats.lanes,
        lanes_in_use: stats.lanes_in_use,
        has_durable: stats.durable_epoch.is_some(),
        has_checkpoint: stats.checkpoint_epoch.is_some(),
        sync_style: match stats.sync_style {
            SyncStyle::Direct => EWAL_SYNC_STYLE_DIRECT as u8,
            _ => EWAL_SYNC_STYLE_BUFFERED as u8,
        },
        reserved: 0,
        batches: stats.batches,
        frames: stats.frames,
        bytes: stats.bytes,
        epochs: stats.epochs,
        groups: stats.groups,
        group_bytes: stats.group_bytes,
        syncs: stats.syncs,
        spills: stats.spills,
        oversize: stats.oversize,
        contended: stats.contended,
        blocked: stats.blocked,
        refused: stats.refused,
        retries: stats.retries,
        failures: stats.failures,
        checkpoints: stats.checkpoints,
        current_epoch: stats.current_epoch,
        durable_epoch: stats.durable_epoch.unwrap_or(0),
        checkpoint_epoch: stats.checkpoint_epoch.unwrap_or(0),
        segments_in_use: stats.segments_in_use,
        segments_free: stats.segments_free,
        log_bytes: stats.log_bytes,
        max_log_bytes: stats.max_log_bytes,
        memory_bytes: stats.memory_bytes,
        max_memory: stats.max_memory,
        wait: latency(stats.wait),
        flush: latency(stats.flush),
    }
}

fn latency(latency: Latency) -> ewal_latency {
    ewal_latency {
        count: latency.count,
        sum: latency.sum,
        p50: latency.p50,
        p90: latency.p90,
        p99: latency.p99,
        p999: latency.p999,
        max: latency.max,
    }
}
