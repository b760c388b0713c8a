//! The bytes on disk, as `docs/format.md` has them.
//!
//! Pure: bytes in, bytes out. Nothing here opens a file, and nothing is
//! allocated on the word of a length that was not checked first.

pub mod bytes;
mod crc;
pub mod group;
pub mod item;
pub mod lost;
pub mod names;
pub mod prelude;
pub mod rdlw;
pub mod record;
pub mod slot_journal;
pub mod slots_json;
pub mod state;
pub mod terms;
pub mod v1;
