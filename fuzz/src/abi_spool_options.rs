//! The options of a spool, and of a primary with or without those of its spool,
//! as any bytes with any `struct_size`: as `abi_options` for a coordinator.
//!
//! Bit 0 of the first byte puts the true sizes into the structs, bit 1 asks for
//! a primary, bit 2 for one whose spool has its defaults.

use super::abi_options::{LARGEST, long, sized, word};
use epochwal::ffi::error::{EWAL_MESSAGE_BYTES, ewal_error};
use epochwal::ffi::primary::{ewal_primary, ewal_primary_open};
use epochwal::ffi::primary_options::ewal_primary_options;
use epochwal::ffi::spool::{ewal_spool, ewal_spool_open};
use epochwal::ffi::spool_options::ewal_spool_options;
use epochwal::ffi::status::{EWAL_E_ABI, EWAL_E_INVALID, EWAL_E_IO, EWAL_E_NOT_FOUND};
use std::ffi::{CStr, c_char};
use std::mem::offset_of;

const SPOOL: usize = size_of::<ewal_spool_options>();
const PRIMARY: usize = size_of::<ewal_primary_options>();
/// The directory can't exist, so that nothing is ever opened.
const PATH: *const c_char = c"/dev/null/test.db".as_ptr();

/// The status and the field that the message names.
type Refusal = Option<(i32, &'static str)>;

pub fn run(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    let (status, message, expected) = match mode & 2 {
        0 => {
            let (bytes, size) = sized(mode, data, SPOOL);
            let (status, message) = open_spool(&bytes);
            (status, message, refused(&bytes, size, SPOOL, spool_field))
        }
        _ => primary(mode, data),
    };
    match expected {
        Some((refused, field)) => {
            assert_eq!(status, refused, "{message}");
            assert!(message.contains(field), "{field} is not in: {message}");
        }
        None => assert!(
            matches!(status, EWAL_E_IO | EWAL_E_NOT_FOUND),
            "{status}: {message}"
        ),
    }
}

fn primary(mode: u8, data: &[u8]) -> (i32, String, Refusal) {
    let (own, of_spool) = data.split_at(data.len().min(PRIMARY));
    let (mut bytes, size) = sized(mode, own, PRIMARY);
    let (spool, spool_size) = sized(mode, of_spool, SPOOL);
    let given = mode & 4 == 0;
    let at = offset_of!(ewal_primary_options, spool);
    if bytes.len() >= PRIMARY {
        let pointer = if given { spool.as_ptr() as usize } else { 0 };
        bytes[at..PRIMARY].copy_from_slice(&pointer.to_ne_bytes());
    }
    let (status, message) = open_primary(&bytes);
    let own = refused(&bytes, size, PRIMARY, primary_field);
    let of_spool = || refused(&spool, spool_size, SPOOL, spool_field);
    let expected = own.or_else(|| given.then(of_spool).flatten());
    (status, message, expected)
}

/// What the header says of a struct of this size; `field` finds one that is out
/// of range.
fn refused(
    bytes: &[u8],
    size: usize,
    known: usize,
    field: fn(&[u8]) -> Option<&'static str>,
) -> Refusal {
    if !(known..=LARGEST).contains(&size) {
        return Some((EWAL_E_INVALID, "struct_size"));
    }
    if bytes[known..].iter().any(|b| *b != 0) {
        return Some((EWAL_E_ABI, "options"));
    }
    field(bytes).map(|field| (EWAL_E_INVALID, field))
}

const MILLI: u64 = 1_000_000;
const HOUR: u64 = 3_600_000_000_000;
const DAY: u64 = 24 * HOUR;

/// Zero is the default, and the highest number turns some off.
fn in_range(value: u64, low: u64, high: u64) -> bool {
    value == 0 || (low..=high).contains(&value)
}

fn first(checks: &[(&'static str, bool)]) -> Option<&'static str> {
    let bad = checks.iter().find(|(_, good)| !good)?;
    Some(bad.0)
}

/// In the order in which they are looked at.
fn spool_field(bytes: &[u8]) -> Option<&'static str> {
    const GIB: u64 = 1 << 30;
    let number = |at| long(bytes, at);
    let ring = number(offset_of!(ewal_spool_options, ring_bytes));
    let segment = number(offset_of!(ewal_spool_options, segment_size));
    let interval = number(offset_of!(ewal_spool_options, flush_interval_ns));
    let payload = number(offset_of!(ewal_spool_options, max_payload));
    let memory = number(offset_of!(ewal_spool_options, max_memory));
    let log = number(offset_of!(ewal_spool_options, max_log_bytes));
    let block = number(offset_of!(ewal_spool_options, block_timeout_ns));
    let format = word(bytes, offset_of!(ewal_spool_options, format));
    first(&[
        ("flags", word(bytes, 4) <= 3),
        ("format", format <= 2),
        ("sync_policy", word(bytes, 8) <= 3),
        ("sync_style", word(bytes, 12) <= 3),
        ("max_payload", in_range(payload, 1, 256 << 20)),
        ("ring_bytes", ring == u64::MAX || ring <= GIB),
        ("flush_interval", in_range(interval, 1000, HOUR)),
        ("block_timeout", block <= HOUR),
        ("max_memory", in_range(memory, 65_536, GIB)),
        ("max_log_bytes", in_range(log, 65_536, u64::MAX)),
        (
            "segment_size",
            in_range(segment, 16_384, 4 * GIB) && segment.is_multiple_of(4096),
        ),
    ])
}

fn primary_field(bytes: &[u8]) -> Option<&'static str> {
    let number = |at| long(bytes, at);
    let healthy = number(offset_of!(ewal_primary_options, healthy_for_ns));
    let idle = number(offset_of!(ewal_primary_options, idle_timeout_ns));
    let save = number(offset_of!(ewal_primary_options, save_interval_ns));
    let slots = word(bytes, offset_of!(ewal_primary_options, max_slots));
    let trace = word(bytes, offset_of!(ewal_primary_options, trace_capacity));
    first(&[
        ("flags", matches!(word(bytes, 4), 0 | 4)),
        ("healthy_for", in_range(healthy, MILLI, DAY)),
        (
            "idle_timeout",
            idle == u64::MAX || in_range(idle, MILLI, 3652 * DAY),
        ),
        ("max_slots", slots <= 50_000),
        ("save_interval", in_range(save, MILLI, 1000 * MILLI)),
        ("trace_capacity", trace <= 1_000_000),
    ])
}

fn open_spool(bytes: &[u8]) -> (i32, String) {
    let mut out = ewal_spool { id: 77 };
    // SAFETY: all pointers are valid, and `bytes` is as long as its size says
    // or shorter only where no size is accepted.
    let told = with_error(|e| unsafe { ewal_spool_open(PATH, bytes.as_ptr().cast(), &mut out, e) });
    assert_eq!(out.id, 0, "an out-parameter after a failure");
    told
}

fn open_primary(bytes: &[u8]) -> (i32, String) {
    let mut out = ewal_primary { id: 77 };
    // The struct holds a pointer, so it must lie where one may.
    let mut aligned = vec![0u64; bytes.len().div_ceil(8)];
    let words = bytes.chunks(8).zip(&mut aligned);
    for (bytes, word) in words {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_ne_bytes(whole);
    }
    // SAFETY: as above, and the spool's options outlive the call.
    let told =
        with_error(|e| unsafe { ewal_primary_open(PATH, aligned.as_ptr().cast(), &mut out, e) });
    assert_eq!(out.id, 0, "an out-parameter after a failure");
    told
}

fn with_error(call: impl FnOnce(*mut ewal_error) -> i32) -> (i32, String) {
    let mut error = ewal_error {
        struct_size: size_of::<ewal_error>() as u32,
        code: 77,
        os_errno: 0,
        message: [0x55; EWAL_MESSAGE_BYTES],
        reserved: 77,
        lsn: 77,
        staged_epoch: 77,
    };
    let status = call(&mut error);
    assert_eq!(error.code, status);
    // SAFETY: the library ended it with NUL, else this reads to the array's
    // end and the next line fails.
    let message = unsafe { CStr::from_ptr(error.message.as_ptr()) };
    assert!(message.to_bytes().len() < error.message.len());
    (status, message.to_str().expect("UTF-8").to_owned())
}
