//! Arguments as C hands them in: paths, time limits, plain out-parameters.

use crate::error::{Error, Result};
use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// A path of a C string: bytes, of any encoding.
///
/// # Safety
/// `text` is NULL or a string that ends with NUL and outlives `'a`.
pub(super) unsafe fn path<'a>(text: *const c_char, name: &str) -> Result<&'a Path> {
    if text.is_null() {
        return Err(Error::invalid(format!("{name} is NULL")));
    }
    // SAFETY: not NULL, so the caller vouches for the string.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    if bytes.is_empty() {
        return Err(Error::invalid(format!("{name} is empty")));
    }
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

/// A C string of UTF-8.
///
/// # Safety
/// As for [`path`].
pub(super) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    if text.is_null() {
        return Err(Error::invalid(format!("{name} is NULL")));
    }
    // SAFETY: not NULL, so the caller vouches for the string.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str()
        .map_err(|_| Error::invalid(format!("{name} is not UTF-8")))
}

/// As [`text`]; none for NULL.
///
/// # Safety
/// As for [`path`].
pub(super) unsafe fn text_or_null<'a>(ptr: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if ptr.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised by our caller.
    unsafe { text(ptr, name) }.map(Some)
}

/// Nanoseconds of the ABI: 0 polls, negative waits for ever.
pub(super) fn timeout(ns: i64) -> Option<Duration> {
    u64::try_from(ns).ok().map(Duration::from_nanos)
}

/// A caller's out-parameter, zeroed as soon as it is seen, so that every
/// failure leaves it so. All types used are plain data for which zeros are
/// valid.
pub(super) struct Out<T>(*mut T);

impl<T: Copy> Out<T> {
    /// # Safety
    /// `ptr` is NULL or writable for one T, for the time of the call.
    pub(super) unsafe fn new(ptr: *mut T) -> Self {
        if !ptr.is_null() {
            // SAFETY: the caller vouches for the bytes; a bytewise write
            // needs no alignment.
            unsafe { ptr.cast::<u8>().write_bytes(0, size_of::<T>()) };
        }
        Out(ptr)
    }

    /// Refuses NULL.
    pub(super) fn required(&self, name: &str) -> Result<()> {
        if self.0.is_null() {
            return Err(Error::invalid(format!("{name} is NULL")));
        }
        Ok(())
    }

    /// Writes the value, where the caller wants it.
    pub(super) fn set(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: `new` was given a writable place.
            unsafe { self.0.write_unaligned(value) };
        }
    }
}

/// A caller's text buffer, filled as `snprintf` does.
pub(super) struct TextOut {
    buf: *mut c_char,
    cap: usize,
}

impl TextOut {
    /// # Safety
    /// `buf` is NULL or writable for `cap` bytes, for the time of the call.
    pub(super) unsafe fn new(buf: *mut c_char, cap: usize) -> Self {
        let out = TextOut { buf, cap };
        out.write(b"");
        out
    }

    /// Refuses NULL with a capacity.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        if self.buf.is_null() && self.cap > 0 {
            return Err(Error::invalid(format!(
                "{name} is NULL, but its capacity is {}",
                self.cap
            )));
        }
        Ok(())
    }

    /// As much of `text` as fits, and a NUL; gives the bytes that all of it
    /// takes, without the NUL.
    pub(super) fn write(&self, text: &[u8]) -> usize {
        if !self.buf.is_null() && self.cap > 0 {
            let n = text.len().min(self.cap - 1);
            // SAFETY: `n + 1` bytes are within the buffer that `new` was given.
            unsafe {
                let buf = self.buf.cast::<u8>();
                buf.copy_from_nonoverlapping(text.as_ptr(), n);
                buf.add(n).write(0);
            }
        }
        text.len()
    }
}

/// A caller's array, filled as far as it goes.
pub(super) struct ListOut<T> {
    out: *mut T,
    cap: usize,
}

impl<T: Copy> ListOut<T> {
    /// # Safety
    /// `out` is NULL or writable for `cap` of T, for the time of the call.
    pub(super) unsafe fn new(out: *mut T, cap: usize) -> Self {
        ListOut { out, cap }
    }

    /// Refuses NULL with a capacity.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        if self.out.is_null() && self.cap > 0 {
            let cap = self.cap;
            return Err(Error::invalid(format!("{name}: NULL with a cap of {cap}")));
        }
        Ok(())
    }

    /// As many as fit; gives how many there are.
    pub(super) fn write(&self, all: impl ExactSizeIterator<Item = T>) -> usize {
        let count = all.len();
        for (at, one) in all.take(self.cap).enumerate() {
            // SAFETY: `at` is below the capacity that `new` was given.
            unsafe { self.out.add(at).write_unaligned(one) };
        }
        count
    }
}
