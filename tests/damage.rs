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
//! Whatever lengths the damage claims, memory is taken only as the files are long.
//!
//! `EPOCHWAL_DAMAGE_ALL=1` flips every bit of larger logs, too;
//! `EPOCHWAL_DAMAGE_SEED` and `EPOCHWAL_DAMAGE_ROUNDS` choose the random part.

#[path = "damage/bits.rs"]
mod bits;
mod common;
#[path = "damage/conditions.rs"]
mod conditions;
#[path = "damage/fields.rs"]
mod fields;
#[path = "damage/files.rs"]
mod files;
#[path = "damage/fix.rs"]
mod fix;
#[path = "damage/image.rs"]
mod image;
#[path = "damage/judge.rs"]
mod judge;
#[path = "damage/leftovers.rs"]
mod leftovers;
#[path = "../fuzz/src/memory.rs"]
mod memory;
#[path = "damage/rows.rs"]
mod rows;
#[path = "damage/several.rs"]
mod several;
#[path = "damage/structures.rs"]
mod structures;
#[path = "damage/wrong.rs"]
mod wrong;
