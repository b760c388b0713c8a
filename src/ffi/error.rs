//! What went wrong, in the caller's own memory.

use super::status::{self, EWAL_E_PANIC, EWAL_OK, ewal_status};
use crate::error::{Error, ErrorKind};
use std::ffi::c_char;

/// Bytes of `ewal_error.message`, the final NUL included.
pub const EWAL_MESSAGE_BYTES: usize = 240;

/// Detail of an outcome, owned by the caller: nothing in it is ever freed.
/// Begin with EWAL_ERROR_INIT; one struct serves any number of calls. Every
/// function takes NULL instead. A struct_size below sizeof(ewal_error) makes
/// the call EWAL_E_INVALID, with nothing done and nothing written to it; 252,
/// without what follows the message, is taken too.
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
    /// Zero.
    pub reserved: u32,
    /// The LSN to go on from, where there is one: the first that can be read
    /// (EWAL_E_WAL_REMOVED), the spool's last (EWAL_E_AHEAD, EWAL_E_ORDER,
    /// EWAL_E_FENCED), the last one in common (EWAL_E_DIVERGED). Else 0.
    pub lsn: u64,
    /// Not 0: what was handed in stays staged although the call failed. Wait
    /// for this epoch, and do not hand it in again.
    pub staged_epoch: u64,
}

/// The struct as it was before it had an LSN.
const FIRST: usize = std::mem::offset_of!(ewal_error, reserved);

/// The caller's error struct, or nothing.
#[derive(Clone, Copy)]
pub(super) struct ErrorOut {
    base: *mut ewal_error,
    /// It has the fields behind the message.
    whole: bool,
}

/// What a failure says beside its status.
#[derive(Clone, Copy, Default)]
struct Numbers {
    os_errno: i32,
    lsn: u64,
    staged_epoch: u64,
}

impl ErrorOut {
    /// Accepts NULL; refuses a struct that no version had.
    ///
    /// # Safety
    /// `error` is NULL, or points to a u32 and to as many writable bytes as
    /// it says, for the time of the call.
    pub(super) unsafe fn new(error: *mut ewal_error) -> Result<Self, ewal_status> {
        let mut whole = false;
        if !error.is_null() {
            // SAFETY: not NULL, so the caller vouches for the u32.
            let size = unsafe { error.cast::<u32>().read_unaligned() } as usize;
            whole = size >= size_of::<ewal_error>();
            if !whole && size != FIRST {
                return Err(status::EWAL_E_INVALID);
            }
        }
        Ok(ErrorOut { base: error, whole })
    }

    /// After success: no message from an earlier call stays behind.
    #[inline]
    pub(super) fn clear(self) {
        if self.base.is_null() {
            return;
        }
        self.numbers(EWAL_OK, Numbers::default());
        // SAFETY: as in `numbers`.
        unsafe { (&raw mut (*self.base).message).cast::<u8>().write(0) };
    }

    /// Writes all fields but the message. `base` is not NULL.
    #[inline]
    fn numbers(self, code: ewal_status, numbers: Numbers) {
        let base = self.base;
        // SAFETY: `new` saw which fields the caller's struct has; raw pointers
        // to fields need no alignment.
        unsafe {
            (&raw mut (*base).code).write_unaligned(code);
            (&raw mut (*base).os_errno).write_unaligned(numbers.os_errno);
            if self.whole {
                (&raw mut (*base).reserved).write_unaligned(0);
                (&raw mut (*base).lsn).write_unaligned(numbers.lsn);
                (&raw mut (*base).staged_epoch).write_unaligned(numbers.staged_epoch);
            }
        }
    }

    /// Writes what `error` says and gives its status.
    #[cold]
    pub(super) fn fill(self, error: &Error) -> ewal_status {
        let code = status::of(error.kind());
        if !self.base.is_null() {
            let numbers = Numbers {
                os_errno: error.os_error().unwrap_or(0),
                lsn: error.lsn().unwrap_or(0),
                staged_epoch: error.ticket().map_or(0, |t| t.epoch),
            };
            self.write(code, numbers, &error.to_string());
        }
        code
    }

    /// Writes a status that has no error of its own.
    pub(super) fn fill_text(self, code: ewal_status, text: &str) -> ewal_status {
        self.write(code, Numbers::default(), text);
        code
    }

    fn write(self, code: ewal_status, numbers: Numbers, text: &str) {
        if self.base.is_null() {
            return;
        }
        let cut = cut_at_character(text, EWAL_MESSAGE_BYTES - 1);
        self.numbers(code, numbers);
        // SAFETY: as in `numbers`, and the copy ends with its NUL inside
        // `message`.
        unsafe {
            let message = (&raw mut (*self.base).message).cast::<u8>();
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
    fn a_struct_of_no_version_is_left_alone() {
        for size in [0, 4, 251, 253, 271] {
            let mut small = [size, 7, 7];
            // SAFETY: the u32 is there; the call must not touch the rest.
            let refused = unsafe { ErrorOut::new(small.as_mut_ptr().cast()) };
            assert_eq!(refused.err(), Some(status::EWAL_E_INVALID));
            assert_eq!(small, [size, 7, 7]);
        }
    }

    #[test]
    fn what_stands_behind_the_message_is_written_where_there_is_room() {
        assert_eq!((FIRST, size_of::<ewal_error>()), (252, 272));
        let error = Error::new(ErrorKind::WalRemoved, "gone")
            .with_lsn(7)
            .with_ticket(crate::error::Ticket {
                epoch: 9,
                commit_seq: 1,
            });
        for size in [252_u32, 272] {
            let mut words = [u32::MAX; 68];
            words[0] = size;
            // SAFETY: the array is as long as the largest size says.
            let Ok(out) = (unsafe { ErrorOut::new(words.as_mut_ptr().cast()) }) else {
                panic!("{size} is a version's size");
            };
            assert_eq!(out.fill(&error), status::EWAL_E_WAL_REMOVED);
            let tail = match size {
                252 => [u32::MAX; 5],
                _ => [0, 7, 0, 9, 0],
            };
            assert_eq!(words[63..], tail);
            out.clear();
            assert_eq!(words[63..], if size == 252 { tail } else { [0; 5] });
        }
    }
}
