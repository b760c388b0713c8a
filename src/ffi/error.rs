//! What went wrong, in the caller's own memory.

use super::status::{self, EWAL_E_PANIC, EWAL_OK, ewal_status};
use crate::error::{Error, ErrorKind};
use std::ffi::c_char;

/// Bytes of `ewal_error.message`, the final NUL included.
pub const EWAL_MESSAGE_BYTES: usize = 240;

/// Detail of an outcome, owned by the caller: nothing in it is ever freed.
/// Begin with EWAL_ERROR_INIT; one struct serves any number of calls. Every
/// function takes NULL instead. A struct_size below sizeof(ewal_error) makes
/// the call EWAL_E_INVALID, with nothing done and nothing written to it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_error {
    /// sizeof(ewal_error), set by the caller.
    pub struct_size: u32,
    /// What the call returned.
    pub code: ewal_status,
    /// The operating system's errno where a call to it failed, else 0.
    pub os_errno: i32,
    /// What was wrong, with file and offset where they are known: UTF-8, cut
    /// at a character, ends with NUL; empty after success.
    pub message: [c_char; EWAL_MESSAGE_BYTES],
}

/// The caller's error struct, or nothing.
#[derive(Clone, Copy)]
pub(super) struct ErrorOut(*mut ewal_error);

impl ErrorOut {
    /// Accepts NULL; refuses a struct that is smaller than this one.
    ///
    /// # Safety
    /// `error` is NULL, or points to a u32 and to as many writable bytes as
    /// it says, for the time of the call.
    pub(super) unsafe fn new(error: *mut ewal_error) -> Result<Self, ewal_status> {
        if !error.is_null() {
            // SAFETY: not NULL, so the caller vouches for the u32.
            let size = unsafe { error.cast::<u32>().read_unaligned() };
            if (size as usize) < size_of::<ewal_error>() {
                return Err(status::EWAL_E_INVALID);
            }
        }
        Ok(ErrorOut(error))
    }

    /// After success: no message from an earlier call stays behind.
    #[inline]
    pub(super) fn clear(self) {
        let base = self.0;
        if base.is_null() {
            return;
        }
        // SAFETY: `new` saw that the caller's struct has all fields; raw
        // pointers to fields need no alignment.
        unsafe {
            (&raw mut (*base).code).write_unaligned(EWAL_OK);
            (&raw mut (*base).os_errno).write_unaligned(0);
            (&raw mut (*base).message).cast::<u8>().write(0);
        }
    }

    /// Writes what `error` says and gives its status.
    #[cold]
    pub(super) fn fill(self, error: &Error) -> ewal_status {
        let code = status::of(error.kind());
        if !self.0.is_null() {
            self.write(code, error.os_error().unwrap_or(0), &error.to_string());
        }
        code
    }

    /// Writes a status that has no error of its own.
    pub(super) fn fill_text(self, code: ewal_status, text: &str) -> ewal_status {
        self.write(code, 0, text);
        code
    }

    fn write(self, code: ewal_status, os_errno: i32, text: &str) {
        if self.0.is_null() {
            return;
        }
        let cut = cut_at_character(text, EWAL_MESSAGE_BYTES - 1);
        let base = self.0;
        // SAFETY: `new` saw that the caller's struct has all fields; raw
        // pointers to fields need no alignment, and the copy ends with its
        // NUL inside `message`.
        unsafe {
            (&raw mut (*base).code).write_unaligned(code);
            (&raw mut (*base).os_errno).write_unaligned(os_errno);
            let message = (&raw mut (*base).message).cast::<u8>();
            message.copy_from_nonoverlapping(cut.as_ptr(), cut.len());
            message.add(cut.len()).write(0);
        }
    }
}

/// The longest beginning of `text` that has at most `limit` bytes, ends
/// between characters and holds no NUL.
fn cut_at_character(text: &str, limit: usize) -> &str {
    let text = text.split('\0').next().unwrap_or("");
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The error that a caught panic becomes.
pub(super) fn of_panic(text: &str) -> Error {
    debug_assert_eq!(status::of(ErrorKind::Panic), EWAL_E_PANIC);
    Error::new(ErrorKind::Panic, format!("a panic was caught: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_between_characters() {
        let text = "é".repeat(200);
        assert_eq!(cut_at_character(&text, 239).len(), 238);
        assert_eq!(cut_at_character("short", 239), "short");
        assert_eq!(cut_at_character("a\0b", 239), "a");
    }

    #[test]
    fn the_struct_is_252_bytes_and_a_smaller_one_is_left_alone() {
        assert_eq!(size_of::<ewal_error>(), 252);
        let mut small = [251_u32, 7, 7];
        // SAFETY: the u32 is there; the call must not touch the rest.
        let refused = unsafe { ErrorOut::new(small.as_mut_ptr().cast()) };
        assert_eq!(refused.err(), Some(status::EWAL_E_INVALID));
        assert_eq!(small, [251, 7, 7]);
    }
}
