//! Reserving room in the current epoch, and sealing it: one atomic word.
//!
//! The word holds which of the two buffers is filling, how many batches it
//! has and how many bytes. A submit adds its batch with one compare-exchange
//! and so learns epoch, place and sequence at once; a seal exchanges the word
//! for the other buffer's and so learns the exact boundary. (The idea of
//! reserving ranges of a log buffer by one atomic add is Aether's: Johnson et
//! al., "Aether: A Scalable Approach to Logging", VLDB 2010.)

use super::buffer::EpochBuffer;
use super::lanes::LaneUse;
use crate::error::Result;
use crate::format::group::{CERTIFICATE, GROUP_HEADER};
use crate::sync::{AtomicU64, Ordering};
use crate::wrong::{self, Wrong};

const UNIT_BITS: u32 = 29;
const COUNT_BITS: u32 = 21;
const TURN_BITS: u32 = 64 - UNIT_BITS - COUNT_BITS;
const UNIT_MASK: u64 = (1 << UNIT_BITS) - 1;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// Bytes per unit: items are multiples of it.
const UNIT: u64 = 8;
/// No room at all: closed, or failed.
const SHUT: u64 = UNIT_MASK;

/// The word, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    turn: u64,
    count: u64,
    units: u64,
}

impl Word {
    fn from_bits(bits: u64) -> Word {
        Word {
            turn: bits >> (UNIT_BITS + COUNT_BITS),
            count: (bits >> UNIT_BITS) & COUNT_MASK,
            units: bits & UNIT_MASK,
        }
    }

    fn bits(self) -> u64 {
        self.turn << (UNIT_BITS + COUNT_BITS) | self.count << UNIT_BITS | self.units
    }

    fn buffer(self) -> usize {
        (self.turn & 1) as usize
    }

    fn next_turn(self) -> u64 {
        (self.turn + 1) & ((1 << TURN_BITS) - 1)
    }
}

/// Room for one item, to be filled by its holder.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub(crate) buffer: usize,
    pub(crate) epoch: u64,
    /// The sequence that is assigned, where that is done here.
    pub(crate) assigned_seq: u64,
    /// From the payload's start.
    pub(crate) offset: usize,
    pub(crate) len: usize,
    /// The epoch had nothing before.
    pub(crate) first: bool,
}

/// What asking for room gave.
#[derive(Debug)]
pub(crate) enum Reserved {
    Room(Reservation),
    /// The lane is full.
    LaneFull,
    /// The memory budget or the epoch is full.
    MemoryFull,
    /// The log's byte limit is reached.
    LogFull,
    /// Closed or failed.
    Shut,
}

/// The bounds that a reservation must keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes that the lane may hold.
    pub(crate) lane: u64,
    /// Bytes of log that may still be staged.
    pub(crate) log: u64,
}

/// A sealed epoch: nothing is added to it any more, but its last writers may
/// still be filling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) buffer: usize,
    pub(crate) epoch: u64,
    pub(crate) count: u32,
    pub(crate) payload_len: usize,
}

/// An epoch of its own for one batch: what the ordered path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alone {
    pub(crate) epoch: u64,
    pub(crate) assigned_seq: u64,
}

/// The two buffers and the word over them.
#[derive(Debug)]
pub(crate) struct Staging {
    word: AtomicU64,
    buffers: [EpochBuffer; 2],
    in_flight: AtomicU64,
    /// Odd while a seal is under way.
    seals: AtomicU64,
    limit: u64,
}

impl Staging {
    /// `limit`: bytes staged and in flight; `lanes`: for the certificate's table.
    pub(crate) fn new(limit: u64, lanes: u32, epoch: u64, base_seq: u64) -> Result<Staging> {
        let trailer = CERTIFICATE as u64 + u64::from(lanes) * 8 + 4096;
        let capacity = (GROUP_HEADER as u64 + limit + trailer) as usize;
        let buffers = [EpochBuffer::new(capacity)?, EpochBuffer::new(capacity)?];
        buffers[0].prepare(epoch, base_seq);
        Ok(Staging {
            word: AtomicU64::new(0),
            buffers,
            in_flight: AtomicU64::new(0),
            seals: AtomicU64::new(0),
            limit,
        })
    }

    pub(crate) fn buffer(&self, index: usize) -> &EpochBuffer {
        &self.buffers[index]
    }

    /// Takes room for `len` bytes (a multiple of 8) if there is some. The
    /// lane's lock is held by the caller, so its use is exact.
    pub(crate) fn reserve(&self, len: usize, lane: &mut LaneUse, bounds: Bounds) -> Reserved {
        let units = len as u64 / UNIT;
        let early = wrong::is(Wrong::EpochReadBeforeReserving).then(|| self.current().0);
        let mut seals = self.seals.load(Ordering::SeqCst);
        let mut bits = self.word.load(Ordering::SeqCst);
        loop {
            let word = Word::from_bits(bits);
            if word.units == SHUT {
                return Reserved::Shut;
            }
            let buffer = &self.buffers[word.buffer()];
            let epoch = buffer.epoch.load(Ordering::Acquire);
            let staged = (word.units + units) * UNIT;
            let in_flight = self.in_flight.load(Ordering::SeqCst);
            let lane_full = lane.bytes_in(epoch) + len as u64 > bounds.lane;
            let log_full = staged + in_flight > bounds.log;
            let full = if lane_full && !wrong::is(Wrong::LaneLimitIgnored) {
                Some(Reserved::LaneFull)
            } else if log_full && !wrong::is(Wrong::LogLimitIgnored) {
                Some(Reserved::LogFull)
            } else if staged + in_flight > self.limit
                || word.units + units >= SHUT
                || word.count == COUNT_MASK
            {
                Some(Reserved::MemoryFull)
            } else {
                None
            };
            if let Some(full) = full {
                // Around a seal the epoch is counted twice: look again.
                let again = self.word.load(Ordering::SeqCst);
                let seals_now = self.seals.load(Ordering::SeqCst);
                if again == bits && seals_now == seals && seals.is_multiple_of(2) {
                    return full;
                }
                crate::sync::spin();
                (bits, seals) = (again, seals_now);
                continue;
            }
            let next = Word {
                count: word.count + 1,
                units: word.units + units,
                ..word
            };
            match self.word.compare_exchange_weak(
                bits,
                next.bits(),
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Err(now) => bits = now,
                // From here on the epoch can't be sealed without this batch, and
                // the buffer not reused before it is filled.
                Ok(_) => {
                    let epoch = buffer.epoch.load(Ordering::Acquire);
                    lane.add(epoch, len as u64);
                    return Reserved::Room(Reservation {
                        buffer: word.buffer(),
                        epoch: early.unwrap_or(epoch),
                        assigned_seq: buffer.base_seq.load(Ordering::Acquire) + word.count,
                        offset: (word.units * UNIT) as usize,
                        len,
                        first: word.count == 0,
                    });
                }
            }
        }
    }

    /// Closes the current epoch and opens the next, if it has anything.
    ///
    /// Only the flusher seals, and only while the other buffer is free.
    pub(crate) fn seal(&self) -> Option<Sealed> {
        let (sealed, _) = self.exchange(false, false);
        sealed.filter(|s| s.count > 0)
    }

    /// Closes the current epoch, takes the next alone and opens the one after.
    /// None: shut.
    pub(crate) fn seal_around(&self) -> Option<(Option<Sealed>, Alone)> {
        let (sealed, alone) = self.exchange(true, false);
        let sealed = sealed?;
        Some(((sealed.count > 0).then_some(sealed), alone?))
    }

    /// Closes the current epoch for good: nothing is staged any more. Gives
    /// what it holds.
    pub(crate) fn shut(&self) -> Option<Sealed> {
        let (sealed, _) = self.exchange(false, true);
        sealed.filter(|s| s.count > 0)
    }

    fn exchange(&self, alone: bool, shut: bool) -> (Option<Sealed>, Option<Alone>) {
        loop {
            let bits = self.word.load(Ordering::SeqCst);
            let word = Word::from_bits(bits);
            if word.units == SHUT || (word.count == 0 && !alone && !shut) {
                return (None, None);
            }
            let current = &self.buffers[word.buffer()];
            let epoch = current.epoch.load(Ordering::Acquire);
            let base = current.base_seq.load(Ordering::Acquire);
            let after = epoch + u64::from(word.count > 0);
            let seq = base + word.count;
            let turn = word.next_turn();
            let next = Word {
                turn,
                count: 0,
                units: if shut { SHUT } else { 0 },
            };
            // Written before the word is published, and free until then.
            self.buffers[next.buffer()].prepare(after + u64::from(alone), seq + u64::from(alone));
            let sealed = Sealed {
                buffer: word.buffer(),
                epoch,
                count: word.count as u32,
                payload_len: (word.units * UNIT) as usize,
            };
            // Before the exchange: no submit may see these bytes nowhere.
            let bytes = sealed.payload_len as u64;
            self.seals.fetch_add(1, Ordering::SeqCst);
            self.in_flight.fetch_add(bytes, Ordering::SeqCst);
            let swapped =
                self.word
                    .compare_exchange(bits, next.bits(), Ordering::SeqCst, Ordering::SeqCst);
            if swapped.is_err() {
                self.in_flight.fetch_sub(bytes, Ordering::SeqCst);
            }
            self.seals.fetch_add(1, Ordering::SeqCst);
            if swapped.is_ok() {
                let alone = alone.then_some(Alone {
                    epoch: after,
                    assigned_seq: seq,
                });
                return (Some(sealed), alone);
            }
        }
    }

    /// Takes nothing more, whatever is staged: after a failure. Any thread may
    /// do it; the buffers stay as they are.
    pub(crate) fn block(&self) {
        self.word.fetch_or(UNIT_MASK, Ordering::SeqCst);
    }

    /// Whether nothing is taken any more.
    pub(crate) fn is_shut(&self) -> bool {
        Word::from_bits(self.word.load(Ordering::SeqCst)).units == SHUT
    }

    /// Counts memory outside the two buffers.
    pub(crate) fn add_in_flight(&self, bytes: usize) {
        self.in_flight.fetch_add(bytes as u64, Ordering::SeqCst);
    }

    /// Bytes of a sealed epoch are free again.
    pub(crate) fn release(&self, bytes: usize) {
        self.in_flight.fetch_sub(bytes as u64, Ordering::SeqCst);
    }

    /// The current epoch, and how many batches it has.
    pub(crate) fn current(&self) -> (u64, u64) {
        loop {
            let bits = self.word.load(Ordering::SeqCst);
            let word = Word::from_bits(bits);
            let epoch = self.buffers[word.buffer()].epoch.load(Ordering::Acquire);
            if self.word.load(Ordering::SeqCst) >> (UNIT_BITS + COUNT_BITS) == word.turn {
                return (epoch, word.count);
            }
        }
    }

    /// When the current epoch got its first batch; none where it has nothing.
    pub(crate) fn started(&self) -> Option<u64> {
        let word = Word::from_bits(self.word.load(Ordering::SeqCst));
        (word.count > 0).then(|| self.buffers[word.buffer()].started.load(Ordering::Acquire))
    }

    /// Bytes staged or in flight.
    pub(crate) fn memory(&self) -> u64 {
        let word = Word::from_bits(self.word.load(Ordering::SeqCst));
        let staged = if word.units == SHUT { 0 } else { word.units };
        staged * UNIT + self.in_flight.load(Ordering::Relaxed)
    }
}
