//! The bodies of the fuzz targets, one module each.
//!
//! A body takes any bytes. It panics where the library breaks a promise:
//! where it panics itself, takes memory out of proportion to the input, or
//! contradicts itself. The fuzzer finds inputs; `tests/corpus.rs` includes
//! this file and runs the bodies over the committed corpus.
//!
//! Checksums would stop a fuzzer at the first field. The first byte of most
//! inputs says whether they are made right before the library sees them.

pub mod abi_append;
pub mod abi_options;
pub mod abi_recovery;
pub mod abi_spool_options;
pub mod abi_submit;
pub mod fix;
pub mod group;
pub mod image;
pub mod input;
pub mod log;
pub mod memory;
pub mod names;
pub mod prelude;
pub mod rdlw;
pub mod second;
pub mod slots_json;
pub mod state;
pub mod twice;
pub mod v1;

/// A target's body.
pub type Body = fn(&[u8]);

/// All targets by the names of their corpus directories.
pub const TARGETS: [(&str, Body); 14] = [
    ("prelude", prelude::run),
    ("names", names::run),
    ("v1", v1::run),
    ("group", group::run),
    ("rdlw", rdlw::run),
    ("slots_json", slots_json::run),
    ("state", state::run),
    ("log", log::run),
    ("twice", twice::run),
    ("abi_options", abi_options::run),
    ("abi_recovery", abi_recovery::run),
    ("abi_submit", abi_submit::run),
    ("abi_append", abi_append::run),
    ("abi_spool_options", abi_spool_options::run),
];
