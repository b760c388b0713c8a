//! The options of a recovery as any bytes with any `struct_size`, through each
//! function that takes them. As with the coordinator's (`abi_options`), the
//! library may read as many bytes as the size says and not one more, and the
//! database's directory can't exist.

use super::abi_options::{LARGEST, sized, word};
use epochwal::ffi::error::{EWAL_MESSAGE_BYTES, ewal_error};
use epochwal::ffi::recovery::{
    EWAL_RECOVER_DELETE_SEGMENTS, EWAL_RECOVER_DURABLE_PREFIX, EWAL_RECOVER_VERIFY_ONLY,
    ewal_recover_into_file, ewal_recovery, ewal_recovery_open, ewal_recovery_options,
    ewal_recovery_summary,
};
use epochwal::ffi::status::{EWAL_E_ABI, EWAL_E_INVALID, EWAL_E_IO, EWAL_E_NOT_FOUND};
use std::ffi::CStr;

const KNOWN: usize = size_of::<ewal_recovery_options>();
const SUMMARY: usize = size_of::<ewal_recovery_summary>();
const KNOWN_FLAGS: u32 =
    EWAL_RECOVER_DURABLE_PREFIX | EWAL_RECOVER_VERIFY_ONLY | EWAL_RECOVER_DELETE_SEGMENTS;

pub fn run(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    let (bytes, size) = sized(mode, data, KNOWN);
    let (status, message) = open(&bytes);
    check(&bytes, size, status, &message, EWAL_RECOVER_DELETE_SEGMENTS);
    // The size of the summary is any, too. Where it is refused, nothing else
    // is looked at.
    let told = match mode & 2 {
        0 => SUMMARY,
        _ => usize::from(mode) << 1,
    };
    let (status, message) = into_file(&bytes, told);
    if told < SUMMARY {
        assert_eq!(status, EWAL_E_INVALID, "{message}");
        assert!(message.contains("summary.struct_size"), "{message}");
    } else {
        check(&bytes, size, status, &message, 0);
    }
}

/// What the header says of these bytes.
fn check(bytes: &[u8], size: usize, status: i32, message: &str, refused: u32) {
    let bad = !(KNOWN..=LARGEST).contains(&size);
    if bad {
        assert_eq!(status, EWAL_E_INVALID, "{message}");
        assert!(message.contains("struct_size"), "{message}");
    } else if bytes[KNOWN..].iter().any(|b| *b != 0) {
        assert_eq!(status, EWAL_E_ABI, "{message}");
    } else if word(bytes, 4) & (!KNOWN_FLAGS | refused) != 0 {
        assert_eq!(status, EWAL_E_INVALID, "{message}");
        let named = message.contains("flags") || message.contains("DELETE_SEGMENTS");
        assert!(named, "{message}");
    } else {
        assert!(
            matches!(status, EWAL_E_IO | EWAL_E_NOT_FOUND),
            "{status}: {message}"
        );
    }
}

fn open(bytes: &[u8]) -> (i32, String) {
    let mut error = no_error();
    let mut out = ewal_recovery { id: 77 };
    // SAFETY: all pointers are valid, and `bytes` is as long as its size says
    // or shorter only where no size is accepted.
    let status = unsafe {
        ewal_recovery_open(
            c"/dev/null/test.db".as_ptr(),
            bytes.as_ptr().cast(),
            &mut out,
            &mut error,
        )
    };
    assert_eq!(out.id, 0, "an out-parameter after a failure");
    (status, told(&error, status))
}

/// With a summary of `told` bytes: all that the library may write is there.
fn into_file(bytes: &[u8], told_size: usize) -> (i32, String) {
    let mut error = no_error();
    let mut summary = vec![0x55; told_size.max(4)].into_boxed_slice();
    summary[..4].copy_from_slice(&(told_size as u32).to_le_bytes());
    // SAFETY: as above, and the summary is as long as its size says.
    let status = unsafe {
        ewal_recover_into_file(
            c"/dev/null/test.db".as_ptr(),
            c"/dev/null/target.db".as_ptr(),
            512,
            bytes.as_ptr().cast(),
            summary.as_mut_ptr().cast(),
            &mut error,
        )
    };
    let (known, beyond) = summary[4..].split_at((SUMMARY - 4).min(summary.len() - 4));
    let cleared = if told_size < SUMMARY { 0x55 } else { 0 };
    assert!(
        known.iter().all(|b| *b == cleared),
        "a summary after a failure"
    );
    assert!(beyond.iter().all(|b| *b == 0x55), "bytes that no field has");
    (status, told(&error, status))
}

fn no_error() -> ewal_error {
    ewal_error {
        struct_size: size_of::<ewal_error>() as u32,
        code: 77,
        os_errno: 0,
        message: [0x55; EWAL_MESSAGE_BYTES],
        reserved: 77,
        lsn: 77,
        staged_epoch: 77,
    }
}

fn told(error: &ewal_error, status: i32) -> String {
    assert_eq!(error.code, status);
    assert_eq!((error.lsn, error.staged_epoch), (0, 0));
    // SAFETY: the library ended it with NUL, else this reads to the array's
    // end and the next line fails.
    let message = unsafe { CStr::from_ptr(error.message.as_ptr()) };
    assert!(message.to_bytes().len() < error.message.len());
    message.to_str().expect("UTF-8").to_owned()
}
