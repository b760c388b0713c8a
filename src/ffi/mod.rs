//! The C ABI: exported functions named `ewal_*`, over the crate's Rust API.
//!
//! One file per C type, in the order in which the header shows them. The doc
//! comments of what is exported are the header's text, so they speak to a C
//! author; the `header` tool turns them into `include/epochwal.h`.
//!
//! Rules that hold for every exported function:
//! - `guard` holds the only place that catches a panic, and every function
//!   runs inside it;
//! - out-parameters are zeroed before anything else (`arg`);
//! - structs with a size are read and written through `struct_size`;
//! - handles are looked up in a table that readers never lock (`handle`);
//! - pointers may be unaligned: everything is copied in and out bytewise.

#![allow(non_camel_case_types)]
// The header's Ownership and Threads paragraphs are the safety contract of
// every exported function; a "# Safety" section would repeat them in C.
#![allow(clippy::missing_safety_doc)]

pub mod version;

pub mod error;
pub mod status;

pub mod batch;

pub mod coordinator;
pub mod options;

pub mod wait;

pub mod recovery;

pub mod checkpoint;
pub mod segment;

pub mod stats;

pub mod record;
pub mod spool;
pub mod spool_options;

pub mod cursor;
pub mod records;

pub mod spool_reader;

pub mod spool_history;
pub mod spool_keep;
pub mod spool_rdlw;

pub mod primary;
pub mod primary_options;

pub mod primary_ack;
pub mod primary_registry;
pub mod primary_resume;
pub mod primary_watch;

pub mod primary_replicas;
pub mod primary_slots;
pub mod primary_stats;

mod arg;
mod callback;
mod guard;
mod handle;
mod lent;
mod struct_size;

#[cfg(test)]
mod flush_tests;
#[cfg(test)]
mod tests;
