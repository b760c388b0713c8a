//! Staging an entry: take room, encode straight into the epoch's buffer.

use super::buffer::{HUGE_PAGE, Pages};
use super::core::{Phase, Sequencer, inside_callback};
use super::entry::Entry;
use super::flush::{FlushGuard, Pending, Source};
use super::options::{Overflow, SPILL_BYTES};
use super::staging::{Alone, Bounds, Reservation, Reserved, Sealed};
use super::wait::{ASK_EVERY, Ask, Limit};
use crate::error::{Error, ErrorKind, Result, Ticket};
use crate::format::group::{GROUP_HEADER, group_len};
use crate::format::item::{ITEM_ALIGN, encode_void};
use crate::sync::{Instant, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

impl Sequencer {
    /// Stages an entry. `arm`: nobody is going to wait at once, so the ticker
    /// must know of it. A wait for room ends early where `interrupted` says so.
    pub(crate) fn submit(
        &self,
        entry: &impl Entry,
        arm: bool,
        interrupted: Option<Ask<'_>>,
    ) -> Result<Ticket> {
        self.check_size(entry.len() as u64)?;
        if entry.len() as u64 > self.options.buffer_capacity {
            return self.submit_alone(entry, arm, interrupted);
        }
        let lane = self.lanes.mine();
        let room = self.take_room(lane, entry, interrupted)?;
        let ticket = self.fill(lane, room, entry)?;
        if arm {
            self.arm();
        }
        Ok(ticket)
    }

    fn check_size(&self, len: u64) -> Result<()> {
        let what = match self.options.max_log_bytes {
            _ if len > self.options.max_memory => format!(
                "{len} bytes with headers are above max_memory ({})",
                self.options.max_memory
            ),
            Some(limit) if len > limit => {
                format!("{len} bytes never fit max_log_bytes ({limit})")
            }
            _ => return Ok(()),
        };
        Err(Error::new(ErrorKind::TooLarge, format!("batch: {what}")))
    }

    fn bounds(&self, spill: bool) -> Bounds {
        let lane = self.options.buffer_capacity + if spill { SPILL_BYTES } else { 0 };
        let log = match self.options.max_log_bytes {
            Some(limit) => limit.saturating_sub(self.log_bytes.load(Ordering::Relaxed)),
            None => u64::MAX,
        };
        Bounds { lane, log }
    }

    /// Room in the lane, or what the overflow policy says.
    fn take_room(
        &self,
        lane: u16,
        entry: &impl Entry,
        mut interrupted: Option<Ask<'_>>,
    ) -> Result<Reservation> {
        let mut deadline = None;
        loop {
            let spill = self.options.overflow == Overflow::Spill;
            let token = deadline.is_some().then(|| self.room.enter());
            let reserved = {
                let mut used = self.lanes.lock(lane);
                let bounds = self.bounds(spill);
                let got = entry
                    .in_turn(&mut || self.staging.reserve(entry.len(), &mut used, bounds))
                    // A failure comes first: what follows entries of an unknown
                    // outcome would be told as if those were there.
                    .map_err(|e| match self.staging.is_shut() {
                        true => self.refusal(),
                        false => e,
                    })?;
                if let Reserved::Room(room) = &got {
                    used.count(entry.frames(), entry.bytes());
                    if used.bytes_in(room.epoch) > self.options.buffer_capacity {
                        used.spills += 1;
                    }
                }
                got
            };
            let why = match reserved {
                Reserved::Room(room) => return Ok(room),
                Reserved::Shut => return Err(self.refusal()),
                Reserved::LogFull => return Err(self.log_full()),
                Reserved::LaneFull => "lane",
                Reserved::MemoryFull => "memory budget",
            };
            let until = *deadline.get_or_insert_with(|| Instant::now() + self.patience());
            let left = until.saturating_duration_since(Instant::now());
            let mut gives_up = || interrupted.as_mut().is_some_and(|ask| ask());
            if left.is_zero() || token.is_some() && gives_up() {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
                return Err(self.no_room(why));
            }
            match token {
                Some(token) => {
                    self.make_room();
                    let slice = match interrupted {
                        Some(_) => left.min(ASK_EVERY),
                        None => left,
                    };
                    self.room.sleep(token, Some(slice));
                }
                // Once more, now that a wake would be seen.
                None => {
                    self.counters.blocked.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn patience(&self) -> Duration {
        if self.options.overflow == Overflow::Refuse || inside_callback() {
            Duration::ZERO
        } else {
            self.options.block_timeout
        }
    }

    /// A full lane is sealed by whoever flushes; without a ticker that is the
    /// caller's business.
    fn make_room(&self) {
        if self.interval().is_some() {
            self.request(self.staging.current().0);
        }
    }

    fn no_room(&self, why: &str) -> Error {
        if self.short_of_space.load(Ordering::SeqCst)
            && let Some(error) = &*self.space_error.lock()
        {
            return error.recast(
                error.kind(),
                &format!("the {why} is full and can't be written"),
            );
        }
        Error::new(
            ErrorKind::Busy,
            format!("the {why} is full: nothing was kept"),
        )
    }

    fn log_full(&self) -> Error {
        Error::new(
            ErrorKind::NoSpace,
            format!(
                "max_log_bytes: the log has reached {} bytes; a checkpoint makes room",
                self.options.max_log_bytes.unwrap_or(0)
            ),
        )
    }

    /// Encodes into reserved room. Whatever happens the reservation gets
    /// filled: the flusher waits for it.
    fn fill(&self, lane: u16, room: Reservation, entry: &impl Entry) -> Result<Ticket> {
        let buffer = self.staging.buffer(room.buffer);
        if room.first {
            buffer.started.store(self.now(), Ordering::Release);
        }
        let seq = if self.assigns() {
            room.assigned_seq
        } else {
            entry.sequence()
        };
        let slot = Slot {
            pages: &buffer.pages,
            offset: GROUP_HEADER + room.offset,
            len: room.len,
            lane,
            void_seq: if self.assigns() { seq } else { 0 },
            done: false,
            after: || buffer.fill_one(),
        };
        if !slot.fill(|bytes| entry.encode(bytes, lane, seq)) {
            return Err(changed());
        }
        Ok(Ticket {
            epoch: room.epoch,
            commit_seq: seq,
        })
    }

    /// The ordered path, for a batch larger than a lane: an epoch of its own
    /// in memory of its own, one at a time.
    fn submit_alone(
        &self,
        entry: &impl Entry,
        arm: bool,
        interrupted: Option<Ask<'_>>,
    ) -> Result<Ticket> {
        let mut guard = match self.take_turn(interrupted) {
            Some(guard) => guard,
            None => return Err(self.no_room("ordered path")),
        };
        if self.staging.is_shut() {
            return Err(self.refusal());
        }
        // Counted before it is looked at, so that what others stage from here
        // on leaves room for it.
        let len = entry.len();
        self.staging.add_in_flight(len);
        let sealed = self
            .make_way(&mut guard, len)
            .and_then(|pages| Ok((pages, self.seal_for(entry)?)));
        let (pages, (before, alone)) = sealed.inspect_err(|_| {
            self.staging.release(len);
            self.room.wake_all();
        })?;
        let lane = self.lanes.mine();
        let seq = if self.assigns() {
            alone.assigned_seq
        } else {
            entry.sequence()
        };
        let slot = Slot {
            pages: &pages,
            offset: GROUP_HEADER,
            len,
            lane,
            void_seq: if self.assigns() { seq } else { 0 },
            done: false,
            after: || {},
        };
        // What was sealed is kept whatever the writer does: a panic of its own
        // is none of the flush.
        let fill = || slot.fill(|bytes| entry.encode(bytes, lane, seq));
        let done = catch_unwind(AssertUnwindSafe(fill));
        if let Some(before) = before {
            guard.push(Pending::staged(before));
        }
        guard.push(Pending {
            epoch: alone.epoch,
            count: 1,
            payload_len: len,
            source: Source::Own(pages),
            summary: None,
        });
        self.alone_pending.store(true, Ordering::SeqCst);
        self.room.wake_all();
        drop(guard);
        let done = done.unwrap_or_else(|panic| {
            self.arm();
            resume_unwind(panic)
        });
        // Of one that gives up, what others staged before is left to write.
        if arm || !done {
            self.arm();
        }
        if !done {
            return Err(changed());
        }
        self.count_alone(lane, entry);
        Ok(Ticket {
            epoch: alone.epoch,
            commit_seq: seq,
        })
    }

    /// The flusher's lock, for as long as a submit may wait.
    fn take_turn(&self, interrupted: Option<Ask<'_>>) -> Option<FlushGuard<'_>> {
        let Some(ask) = interrupted else {
            return self.lock_flusher_for(self.patience());
        };
        let limit = Limit::after(Some(self.patience()));
        loop {
            let left = limit.left().unwrap_or(ASK_EVERY);
            let guard = self.lock_flusher_for(left.min(ASK_EVERY));
            if guard.is_some() || left.is_zero() || ask() {
                return guard;
            }
        }
    }

    /// Seals around an entry, in its turn: what was staged before it, and the
    /// epoch that it has alone.
    fn seal_for(&self, entry: &impl Entry) -> Result<(Option<Sealed>, Alone)> {
        let mut sealed = None;
        entry.in_turn(&mut || {
            sealed = self.staging.seal_around();
            match &sealed {
                None => Reserved::Shut,
                Some((_, alone)) => Reserved::Room(Reservation {
                    buffer: 0,
                    epoch: alone.epoch,
                    assigned_seq: alone.assigned_seq,
                    offset: 0,
                    len: entry.len(),
                    first: false,
                }),
            }
        })?;
        sealed.ok_or_else(|| self.refusal())
    }

    /// Memory for a batch of its own, which is counted already: what takes its
    /// room is written first.
    fn make_way(&self, guard: &mut FlushGuard<'_>, len: usize) -> Result<Pages> {
        if self.staging.memory() > self.bounds(false).log {
            return Err(self.log_full());
        }
        // What was sealed before goes first, and frees the other buffer.
        if guard.has_pending() {
            self.write_before(guard)?;
        }
        if self.staging.memory() > self.options.max_memory {
            self.seal_into(guard);
            self.write_before(guard)?;
        }
        let pages = Pages::new(group_len(len as u64, 1) as usize)?;
        if len >= HUGE_PAGE {
            pages.use_huge_pages();
        }
        Ok(pages)
    }

    /// Writes what stands in the way of the ordered path.
    fn write_before(&self, guard: &mut FlushGuard<'_>) -> Result<()> {
        self.write_pending(guard)
            .map_err(|error| match self.phase() {
                Phase::Open => error.recast(error.kind(), "nothing was kept"),
                _ => self.refusal(),
            })
    }

    fn count_alone(&self, lane: u16, entry: &impl Entry) {
        self.counters.oversize.fetch_add(1, Ordering::Relaxed);
        let mut used = self.lanes.lock(lane);
        used.batches_total += 1;
        used.frames_total += u64::from(entry.frames());
        used.bytes_total += entry.bytes();
    }
}

fn changed() -> Error {
    Error::invalid("frames: they changed while they were read")
}

/// A reserved range: filled with a void item where its writer gives up, by a
/// panic too, because the rest of the epoch must still be written.
struct Slot<'a, F: Fn()> {
    pages: &'a Pages,
    offset: usize,
    len: usize,
    lane: u16,
    void_seq: u64,
    done: bool,
    after: F,
}

impl<F: Fn()> Slot<'_, F> {
    /// The bytes, for as long as the slot is not given up.
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the staging word gave this range to this reservation alone
        // (or the pages are the call's own); the flusher takes a slice of it
        // only after `after`, when this borrow has ended.
        unsafe { self.pages.slice(self.offset, self.len) }
    }

    /// Runs the writer; whether it did its work.
    fn fill(mut self, write: impl FnOnce(&mut [u8]) -> bool) -> bool {
        self.done = write(self.bytes());
        self.done
    }
}

impl<F: Fn()> Drop for Slot<'_, F> {
    fn drop(&mut self) {
        debug_assert_eq!(self.len % ITEM_ALIGN, 0);
        if !self.done {
            let (lane, seq) = (self.lane, self.void_seq);
            encode_void(self.bytes(), lane, seq);
        }
        (self.after)();
    }
}
