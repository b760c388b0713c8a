//! Which library is loaded.

use std::ffi::c_char;

/// Version of the binary interface that this header describes. It rises
/// when something is added; what is there keeps its meaning for as long as the
/// library's SONAME (`libepochwal.so.0`) stays.
pub const EWAL_ABI_VERSION: u32 = 1;

/// The library's version, such as "0.1.0".
///
/// Ownership: a static string, never freed.
/// Threads: any.
/// Blocking: never.
/// Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn ewal_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The EWAL_ABI_VERSION that the loaded library was built with. A program
/// that may meet an older library compares it with its own.
///
/// Ownership: nothing.
/// Threads: any.
/// Blocking: never.
/// Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn ewal_abi_version() -> u32 {
    EWAL_ABI_VERSION
}
