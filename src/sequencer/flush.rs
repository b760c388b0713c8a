//! The flush: seal, write, sync, publish, wake. One at a time, by whoever
//! holds the flusher: a committer that leads, the ticker, a close.

use super::buffer::Pages;
use super::core::{Phase, Sequencer};
use super::sink::DurableGroup;
use super::staging::Sealed;
use crate::error::{Error, ErrorKind, Result};
use crate::format::group::{CertificateFlags, GROUP_HEADER, LaneCounts, Summary, group_len};
use crate::log::{Gone, GroupInput, LogWriter, heals};
use crate::sync::{Instant, MutexGuard, Ordering, thread};
use crate::wrong::{self, Wrong};
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Where a sealed epoch's bytes are.
#[derive(Debug)]
pub(crate) enum Source {
    /// In one of the two staging buffers.
    Buffer(usize),
    /// In memory of its own.
    Own(Pages),
}

/// A sealed epoch that is not durable yet.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) epoch: u64,
    pub(crate) count: u32,
    pub(crate) payload_len: usize,
    pub(crate) source: Source,
    /// Counted at the first attempt to write it.
    pub(crate) summary: Option<Summary>,
}

impl Pending {
    pub(crate) fn staged(sealed: Sealed) -> Pending {
        Pending {
            epoch: sealed.epoch,
            count: sealed.count,
            payload_len: sealed.payload_len,
            source: Source::Buffer(sealed.buffer),
            summary: None,
        }
    }
}

/// The one who writes.
#[derive(Debug)]
pub(crate) struct Flusher {
    /// None once closed.
    pub(crate) log: Option<LogWriter>,
    /// Sealed epochs in their order. At most one is in a staging buffer.
    pending: VecDeque<Pending>,
    lanes: LaneCounts,
    /// The epoch whose bytes are on their way, until that is known to all:
    /// not among the pending.
    writing: Option<u64>,
    /// Epochs made durable under the current hold, to be woken after it.
    done: Option<RangeInclusive<u64>>,
}

impl Flusher {
    pub(crate) fn new(log: LogWriter) -> Flusher {
        Flusher {
            log: Some(log),
            pending: VecDeque::new(),
            lanes: LaneCounts::default(),
            writing: None,
            done: None,
        }
    }
}

/// The hold on the flusher. Letting go hands on: someone who waits for an
/// epoch that is not durable yet is woken to lead, and only then those whose
/// epoch is done. A panic that begins under the hold fails the sequencer.
pub(crate) struct FlushGuard<'a> {
    core: &'a Sequencer,
    /// A commit from a destructor, while a panic of the caller's unwinds.
    panicked_before: bool,
    flusher: ManuallyDrop<MutexGuard<'a, Flusher>>,
}

impl FlushGuard<'_> {
    pub(crate) fn push(&mut self, pending: Pending) {
        self.flusher.pending.push_back(pending);
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.flusher.pending.is_empty()
    }

    /// The epochs that are pending, first and last.
    pub(crate) fn pending_range(&self) -> Option<(u64, u64)> {
        let first = self.flusher.pending.front()?.epoch;
        Some((first, self.flusher.pending.back()?.epoch))
    }

    pub(crate) fn log(&mut self) -> Option<&mut LogWriter> {
        self.flusher.log.as_mut()
    }

    pub(crate) fn take_log(&mut self) -> Option<LogWriter> {
        self.flusher.log.take()
    }
}

impl Drop for FlushGuard<'_> {
    fn drop(&mut self) {
        let panicked = thread::panicking() && !self.panicked_before;
        if panicked && self.core.phase() == Phase::Open {
            let pending = self.pending_range().map(|r| r.1);
            let unknown = pending.max(self.flusher.writing).unwrap_or(0);
            let error = Error::new(ErrorKind::Panic, "a panic while flushing");
            self.core.fail(error, unknown);
        }
        let done = self.flusher.done.take();
        // SAFETY: the guard is dropped once, here.
        unsafe { ManuallyDrop::drop(&mut self.flusher) };
        if !wrong::is(Wrong::LeadIsNotHandedOn) {
            self.core.hand_on();
        }
        if let Some(done) = done {
            for epoch in done {
                self.core.waiters.of(epoch).wake_all();
            }
            if !wrong::is(Wrong::RoomIsNotTold) {
                self.core.room.wake_all();
            }
            self.core.events.signal();
            if self.core.callbacks_pending.load(Ordering::SeqCst) > 0 {
                self.core.ticker.notify();
            }
        }
    }
}

impl Sequencer {
    fn guard<'a>(&'a self, flusher: MutexGuard<'a, Flusher>) -> FlushGuard<'a> {
        FlushGuard {
            core: self,
            panicked_before: thread::panicking(),
            flusher: ManuallyDrop::new(flusher),
        }
    }

    pub(crate) fn try_lock_flusher(&self) -> Option<FlushGuard<'_>> {
        self.flusher.try_lock().map(|g| self.guard(g))
    }

    pub(crate) fn lock_flusher(&self) -> FlushGuard<'_> {
        self.guard(self.flusher.lock())
    }

    pub(crate) fn lock_flusher_for(&self, patience: Duration) -> Option<FlushGuard<'_>> {
        self.flusher.try_lock_for(patience).map(|g| self.guard(g))
    }

    /// Ends a hold under which segments were let go: what is left of them is
    /// removed while others write. An error that does not pass is final.
    pub(crate) fn let_go(&self, guard: FlushGuard<'_>, gone: Result<Gone>) -> Result<()> {
        let (guard, error) = match gone {
            Ok(gone) => {
                drop(guard);
                match gone.remove() {
                    Ok(()) => return Ok(()),
                    Err(error) => (self.lock_flusher(), error),
                }
            }
            Err(error) => (guard, error),
        };
        if !heals(&error) {
            let unknown = guard.pending_range().map_or(0, |r| r.1);
            self.fail(error.clone(), unknown);
        }
        Err(error)
    }

    /// Wakes one waiter of the oldest epoch that someone waits for, to lead.
    pub(crate) fn hand_on(&self) {
        let next = self.durable().map_or(0, |d| d + 1).max(self.first_epoch);
        let (current, _) = self.staging.current();
        // Few: sealed ones and the current. The bound holds if numbers ran away.
        for epoch in next..=current.min(next.saturating_add(15)) {
            // Who is about to sleep looks again and leads; where nobody slept,
            // nobody may be left, so that a later epoch's is woken as well.
            if self.waiters.of(epoch).wake_one() {
                return;
            }
        }
    }

    /// Seals the current epoch if it has anything and its buffer can be left.
    pub(crate) fn seal_into(&self, guard: &mut FlushGuard<'_>) {
        if guard.has_pending() {
            return;
        }
        if let Some(sealed) = self.staging.seal() {
            guard.push(Pending::staged(sealed));
            self.room.wake_all();
        }
    }

    /// One flush: what was sealed before and, if nothing was, the current
    /// epoch. What it covers is fixed before the first write.
    pub(crate) fn flush_once(&self, guard: &mut FlushGuard<'_>) -> Result<()> {
        self.seal_into(guard);
        self.write_pending(guard)
    }

    /// Writes the sealed epochs in their order, each with its sync.
    pub(crate) fn write_pending(&self, guard: &mut FlushGuard<'_>) -> Result<()> {
        while let Some(mut pending) = guard.flusher.pending.pop_front() {
            if self.phase() != Phase::Open || guard.flusher.log.is_none() {
                guard.flusher.pending.push_front(pending);
                return Err(self.refusal());
            }
            let began = Instant::now();
            guard.flusher.writing = Some(pending.epoch);
            let written = self.write_one(guard, &mut pending);
            match written {
                Ok(bytes) => self.written(guard, &pending, bytes, began),
                Err(error) => {
                    let epoch = pending.epoch;
                    guard.flusher.pending.push_front(pending);
                    guard.flusher.writing = None;
                    self.not_written(&error, epoch);
                    return Err(error);
                }
            }
            guard.flusher.writing = None;
        }
        self.alone_pending.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn write_one(&self, guard: &mut FlushGuard<'_>, pending: &mut Pending) -> Result<u64> {
        let flusher = &mut **guard.flusher;
        let Some(log) = flusher.log.as_mut() else {
            return Err(self.refusal());
        };
        let pages = match &pending.source {
            Source::Buffer(index) => {
                let buffer = self.staging.buffer(*index);
                if !wrong::is(Wrong::WritesBeforeFilled) {
                    buffer.wait_filled(pending.count);
                }
                &buffer.pages
            }
            Source::Own(pages) => pages,
        };
        // SAFETY: the epoch is sealed and all its reservations are filled, so
        // nobody else has a slice of it; the flusher is held.
        let buffer = unsafe { pages.slice(0, pages.len()) };
        let payload = &buffer[GROUP_HEADER..GROUP_HEADER + pending.payload_len];
        let summary = match pending.summary.take() {
            Some(summary) => summary,
            None => Summary::walk(payload, false, &mut flusher.lanes, |_, _| Ok(()))
                .map_err(|(_, why)| Error::corrupt(format!("staged bytes: {why}")))?,
        };
        let mut input = GroupInput {
            buffer,
            payload_len: pending.payload_len,
            epoch: pending.epoch,
            summary: &summary,
            flags: CertificateFlags {
                fallback: false,
                assigned: self.assigns(),
            },
            lane_count: self.lanes.count(),
        };
        let written = log.append(&mut input);
        pending.summary = Some(summary);
        written
    }

    fn written(&self, guard: &mut FlushGuard<'_>, pending: &Pending, bytes: u64, began: Instant) {
        if let Some(log) = guard.log() {
            // Before anyone is told, so that a reader that starts after an
            // acknowledgement finds what was acknowledged.
            log.publish(Some(pending.epoch));
            self.note_log(log);
            if let Some(sink) = &self.sink {
                let place = log.last_group();
                sink.durable(&DurableGroup {
                    place,
                    payload: self.payload_of(pending),
                });
            }
        }
        self.set_durable(pending.epoch);
        self.short_of_space.store(false, Ordering::SeqCst);
        if let Source::Buffer(index) = &pending.source {
            let used = group_len(pending.payload_len as u64, 0) as usize;
            self.staging.buffer(*index).pages.trim(used);
        }
        self.staging.release(pending.payload_len);
        let counters = &self.counters;
        counters.epochs.fetch_add(1, Ordering::Relaxed);
        counters.groups.fetch_add(1, Ordering::Relaxed);
        counters.group_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.syncs() {
            counters.syncs.fetch_add(1, Ordering::Relaxed);
        }
        self.flush_latency.record(began.elapsed().as_nanos() as u64);
        let done = guard.flusher.done.take();
        let first = done.map_or(pending.epoch, |d| *d.start());
        guard.flusher.done = Some(first..=pending.epoch);
    }

    /// The items of a sealed epoch that was written.
    fn payload_of<'a>(&'a self, pending: &'a Pending) -> &'a [u8] {
        let pages = match &pending.source {
            Source::Buffer(index) => &self.staging.buffer(*index).pages,
            Source::Own(pages) => pages,
        };
        // SAFETY: sealed and filled, and the flusher, who holds the only other
        // slice of it, is done with that.
        unsafe { pages.slice(GROUP_HEADER, pending.payload_len) }
    }

    /// Takes over the figures of the log.
    pub(crate) fn note_log(&self, log: &LogWriter) {
        let (segments, spares) = log.segment_counts();
        self.log_bytes.store(log.log_bytes(), Ordering::Relaxed);
        self.segments.store(segments, Ordering::Relaxed);
        self.spares.store(spares, Ordering::Relaxed);
        self.floor
            .store(log.floor().map_or(0, |f| f + 1), Ordering::Relaxed);
    }

    fn not_written(&self, error: &Error, epoch: u64) {
        if heals(error) || wrong::is(Wrong::TriesAgainAfterFailing) {
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
            *self.space_error.lock() = Some(error.clone());
            self.short_of_space.store(true, Ordering::SeqCst);
            self.space_failures.fetch_add(1, Ordering::SeqCst);
            self.waiters.wake_all();
            self.room.wake_all();
            // For event loops, whose poll then says so.
            self.events.signal();
            self.ticker.notify();
        } else {
            self.fail(error.clone(), epoch);
        }
    }
}
