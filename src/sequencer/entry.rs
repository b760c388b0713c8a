//! What is staged in one reservation: a batch of page frames, or a run of
//! logical records.

use super::staging::Reserved;
use crate::error::Result;

/// A checked entry that knows its size and can write itself.
pub(crate) trait Entry {
    /// Bytes of its items, a multiple of 8, at least one item's.
    fn len(&self) -> usize;

    /// Page images, for the figures.
    fn frames(&self) -> u32;

    /// The caller's bytes, for the figures.
    fn bytes(&self) -> u64;

    /// Its sequence, where the caller gives them.
    fn sequence(&self) -> u64;

    /// Takes its turn: `take` asks for room. Entries that must stand in an order
    /// of their own hold that order's lock around it, may refuse, and note it
    /// where room was got.
    fn in_turn(&self, take: &mut dyn FnMut() -> Reserved) -> Result<Reserved> {
        Ok(take())
    }

    /// Writes its items into `out`, of [`Entry::len`] bytes. False: the caller's
    /// memory changed since it was checked, and `out` holds nothing valid.
    fn encode(&self, out: &mut [u8], lane: u16, sequence: u64) -> bool;
}
