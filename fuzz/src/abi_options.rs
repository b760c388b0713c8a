//! The options of a coordinator as any bytes with any `struct_size`. The
//! library may read as many bytes as that says, and not one more: there are
//! no more. Bit 0 of the first byte puts the true size into it.
//!
//! The database's directory can't exist, so that nothing is ever opened.

use epochwal::ffi::coordinator::{ewal_coordinator, ewal_coordinator_open};
use epochwal::ffi::error::{EWAL_MESSAGE_BYTES, ewal_error};
use epochwal::ffi::options::ewal_coordinator_options;
use epochwal::ffi::status::{EWAL_E_ABI, EWAL_E_INVALID, EWAL_E_IO, EWAL_E_NOT_FOUND};
use std::ffi::CStr;

const KNOWN: usize = size_of::<ewal_coordinator_options>();
/// Sizes above it are refused unread.
pub const LARGEST: usize = 4096;

pub fn run(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    let (bytes, size) = sized(mode, data, KNOWN);
    let (status, message) = open(&bytes);
    match expected(&bytes, size) {
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

/// A struct of a size of its own, `known` bytes or more where bit 0 of the mode
/// asks for it; exactly as long as its size says, where the library may read
/// it. And the size.
pub fn sized(mode: u8, data: &[u8], known: usize) -> (Box<[u8]>, usize) {
    let mut bytes = data.to_vec();
    bytes.resize(bytes.len().max(4), 0);
    if mode & 1 != 0 {
        bytes.resize(bytes.len().max(known), 0);
        let size = bytes.len() as u32;
        bytes[..4].copy_from_slice(&size.to_le_bytes());
    }
    let size = word(&bytes, 0) as usize;
    bytes.resize(if size > LARGEST { 4 } else { size.max(4) }, 0);
    (bytes.into_boxed_slice(), size)
}

fn open(bytes: &[u8]) -> (i32, String) {
    let mut error = ewal_error {
        struct_size: size_of::<ewal_error>() as u32,
        code: 77,
        os_errno: 0,
        message: [0x55; EWAL_MESSAGE_BYTES],
        reserved: 77,
        lsn: 77,
        staged_epoch: 77,
    };
    let mut out = ewal_coordinator { id: 77 };
    // SAFETY: all pointers are valid, and `bytes` is as long as its size says
    // or shorter only where no size is accepted.
    let status = unsafe {
        ewal_coordinator_open(
            c"/dev/null/test.db".as_ptr(),
            bytes.as_ptr().cast(),
            &mut out,
            &mut error,
        )
    };
    assert_eq!(error.code, status);
    assert_eq!(out.id, 0, "an out-parameter after a failure");
    // SAFETY: the library ended it with NUL, else this reads to the array's
    // end and the next line fails.
    let message = unsafe { CStr::from_ptr(error.message.as_ptr()) };
    assert!(message.to_bytes().len() < error.message.len());
    (status, message.to_str().expect("UTF-8").to_owned())
}

pub fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// What the header says of these bytes: the status and the field that the
/// message names; none where they are good.
fn expected(bytes: &[u8], size: usize) -> Option<(i32, &'static str)> {
    let invalid = |field| Some((EWAL_E_INVALID, field));
    if !(KNOWN..=LARGEST).contains(&size) {
        return invalid("struct_size");
    }
    if bytes[KNOWN..].iter().any(|b| *b != 0) {
        return Some((EWAL_E_ABI, "options"));
    }
    const HOUR: u64 = 3_600_000_000_000;
    const GIB: u64 = 1 << 30;
    let in_range = |value: u64, low, high| value == 0 || (low..=high).contains(&value);
    let interval = long(bytes, 32);
    let segment = long(bytes, 80);
    // In the order in which they are looked at.
    let checks = [
        ("flags", word(bytes, 4) <= 1),
        ("overflow_policy", word(bytes, 12) <= 3),
        ("sync_policy", word(bytes, 16) <= 3),
        ("sync_style", word(bytes, 20) <= 3),
        ("sequencing", word(bytes, 28) <= 2),
        ("slot_count", in_range(word(bytes, 8).into(), 1, 65_535)),
        (
            "epoch_interval",
            interval == u64::MAX || in_range(interval, 1000, HOUR),
        ),
        ("block_timeout", long(bytes, 48) <= HOUR),
        ("buffer_capacity", in_range(long(bytes, 40), 4096, GIB)),
        ("max_memory", in_range(long(bytes, 56), 65_536, GIB)),
        ("max_batch_bytes", in_range(long(bytes, 64), 4096, GIB)),
        ("max_log_bytes", in_range(long(bytes, 72), 65_536, u64::MAX)),
        (
            "segment_size",
            in_range(segment, 16_384, 4 * GIB) && segment.is_multiple_of(4096),
        ),
        ("segment_format", in_range(word(bytes, 24).into(), 1, 2)),
    ];
    let bad = checks.iter().find(|(_, good)| !good)?;
    invalid(bad.0)
}
