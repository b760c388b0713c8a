//! Bytes that changed on the disk.
//!
//! A crash leaves a torn tail, which is dropped; damage to what was
//! acknowledged must be told from it and be an error. Here logs of a few
//! segments are spoiled in every way that fits into a test's time: bits,
//! fields with their checksums made right again, lengths, files missing,
//! doubled and exchanged. Every verdict is held against the decision table of
//! `docs/format.md`; and whatever the damage, nothing comes out but what was
//! written, reading changes nothing, and a salvaging open keeps the durable
//! prefix and throws nothing away.
//!
//! `EPOCHWAL_DAMAGE_ALL=1` flips every bit of the pages, too.

#[path = "damage/bits.rs"]
mod bits;
mod common;
#[path = "damage/fix.rs"]
mod fix;
#[path = "damage/image.rs"]
mod image;
#[path = "damage/judge.rs"]
mod judge;
#[path = "damage/leftovers.rs"]
mod leftovers;
#[path = "damage/rows.rs"]
mod rows;
#[path = "damage/sweeps.rs"]
mod sweeps;
#[path = "damage/wrong.rs"]
mod wrong;
