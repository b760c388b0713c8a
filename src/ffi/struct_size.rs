//! The one rule for structs that begin with `struct_size`.
//!
//! A struct may grow at its end. A caller built against an older header hands
//! in a smaller one: what it lacks reads as zero, which is every field's
//! default. A caller built against a newer header hands in a larger one: it
//! is taken as long as what this library does not know is zero.

use crate::error::{Error, ErrorKind, Result};
use std::mem::MaybeUninit;

/// A C struct that begins with a `u32` of its own size, and for which all
/// zeros is a valid value.
///
/// # Safety
/// The type is `repr(C)`, plain data, valid when zeroed, and its first
/// field is the `u32` size.
pub(super) unsafe trait Sized32: Copy {
    /// What messages call it.
    const NAME: &'static str;
    /// Its size in the first version of the ABI.
    const FIRST: usize;
}

/// No struct of any version comes near this; a larger size is garbage, and
/// nothing is read on its word.
const LARGEST: usize = 4096;

/// Reads a caller's struct.
///
/// # Safety
/// `ptr` is NULL, or points to a u32 and to as many readable bytes as it says.
#[inline]
pub(super) unsafe fn read<T: Sized32>(ptr: *const T) -> Result<T> {
    // SAFETY: where not NULL the caller vouches for the u32.
    let whole =
        !ptr.is_null() && unsafe { ptr.cast::<u32>().read_unaligned() } as usize == size_of::<T>();
    // Nearly every caller was built against this very version: its fields are
    // read where they are, and only another version's are copied first.
    let mut copy = MaybeUninit::uninit();
    let from = if whole {
        ptr
    } else {
        // SAFETY: as promised by our caller.
        copy.write(unsafe { read_other(ptr) }?)
    };
    // SAFETY: the copy, or as many bytes as the caller vouches for.
    Ok(unsafe { from.read_unaligned() })
}

/// [`read`] for the sizes of other versions, and for what is none.
///
/// # Safety
/// As for [`read`].
#[cold]
#[inline(never)]
unsafe fn read_other<T: Sized32>(ptr: *const T) -> Result<T> {
    let name = T::NAME;
    if ptr.is_null() {
        return Err(Error::invalid(format!("{name} is NULL")));
    }
    // SAFETY: not NULL, so the caller vouches for the u32.
    let size = unsafe { ptr.cast::<u32>().read_unaligned() } as usize;
    check(name, size, T::FIRST)?;
    if size != T::FIRST && size < size_of::<T>() {
        return Err(Error::invalid(format!(
            "{name}.struct_size: {size} is the size of none of its versions"
        )));
    }
    let known = size.min(size_of::<T>());
    // SAFETY: the caller vouches for `size` bytes.
    let tail = unsafe { ptr.cast::<u8>().add(known) };
    for at in 0..size - known {
        // SAFETY: `known + at` is below `size`.
        if unsafe { tail.add(at).read() } != 0 {
            return Err(Error::new(
                ErrorKind::Abi,
                format!(
                    "{name}: byte {} is set, but this library knows only {} bytes of it",
                    known + at,
                    size_of::<T>()
                ),
            ));
        }
    }
    // SAFETY: zeros are a valid T (the trait's promise); `known` bytes are
    // readable there and writable here.
    unsafe {
        let mut value: T = std::mem::zeroed();
        (&raw mut value)
            .cast::<u8>()
            .copy_from_nonoverlapping(ptr.cast(), known);
        Ok(value)
    }
}

fn check(name: &str, size: usize, first: usize) -> Result<()> {
    if size < first {
        return Err(Error::invalid(format!(
            "{name}.struct_size: {size} is below {first}, the size of its first version"
        )));
    }
    if size > LARGEST {
        return Err(Error::invalid(format!(
            "{name}.struct_size: {size} is no struct's size (above {LARGEST})"
        )));
    }
    Ok(())
}

/// A caller's out-struct. Zeroed but for its size when it is seen; the bytes
/// of a larger one beyond what this library knows are left as they are.
pub(super) struct SizedOut<T> {
    ptr: *mut T,
    size: usize,
}

impl<T: Sized32> SizedOut<T> {
    /// # Safety
    /// `ptr` is NULL, or points to a u32 and to as many writable bytes as it
    /// says, for the time of the call.
    pub(super) unsafe fn new(ptr: *mut T) -> Self {
        let mut out = SizedOut { ptr, size: 0 };
        if !ptr.is_null() {
            // SAFETY: not NULL, so the caller vouches for the u32.
            out.size = unsafe { ptr.cast::<u32>().read_unaligned() } as usize;
            // SAFETY: zeros are a valid T (the trait's promise).
            let zeros: T = unsafe { std::mem::zeroed() };
            out.write(&zeros);
        }
        out
    }

    /// Refuses NULL and a size out of range.
    pub(super) fn check(&self) -> Result<()> {
        if self.ptr.is_null() {
            return Err(Error::invalid(format!("{} is NULL", T::NAME)));
        }
        check(T::NAME, self.size, T::FIRST)
    }

    /// As [`SizedOut::check`], but NULL means that the caller does not want it.
    pub(super) fn check_optional(&self) -> Result<()> {
        if self.ptr.is_null() {
            return Ok(());
        }
        self.check()
    }

    /// Writes all fields that the caller's struct has, but for its size.
    pub(super) fn write(&self, value: &T) {
        const HEAD: usize = size_of::<u32>();
        if self.check().is_err() {
            return;
        }
        let known = self.size.min(size_of::<T>());
        // SAFETY: the caller vouches for `size` bytes, and `known` is within
        // both structs.
        unsafe {
            self.ptr
                .cast::<u8>()
                .add(HEAD)
                .copy_from_nonoverlapping((&raw const *value).cast::<u8>().add(HEAD), known - HEAD);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Options {
        struct_size: u32,
        first: u32,
        added: u64,
    }

    // SAFETY: repr(C), plain data, the size first.
    unsafe impl Sized32 for Options {
        const NAME: &'static str = "options";
        const FIRST: usize = 8;
    }

    fn read_words(words: &[u32]) -> Result<Options> {
        // SAFETY: every test gives a size that its words cover.
        unsafe { read(words.as_ptr().cast()) }
    }

    #[test]
    fn an_older_struct_reads_with_defaults() {
        let got = read_words(&[8, 5]).unwrap();
        assert_eq!((got.first, got.added), (5, 0));
    }

    #[test]
    fn a_struct_of_this_version_is_read_wherever_it_lies() {
        let got = read_words(&[16, 5, 6, 7]).unwrap();
        assert_eq!((got.first, got.added), (5, 7 << 32 | 6));
        let mut bytes = [0_u8; 17];
        bytes[1] = 16;
        bytes[5] = 5;
        bytes[16] = 1;
        // SAFETY: 16 bytes follow the first.
        let got: Options = unsafe { read(bytes.as_ptr().add(1).cast()) }.unwrap();
        assert_eq!((got.first, got.added), (5, 1 << 56));
    }

    #[test]
    fn a_newer_struct_is_taken_while_its_tail_is_zero() {
        assert_eq!(read_words(&[20, 5, 6, 0, 0]).unwrap().added, 6);
        let refused = read_words(&[20, 5, 6, 0, 1]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Abi);
        assert!(refused.message().contains("byte 16"), "{refused}");
    }

    #[test]
    fn sizes_that_no_version_has_are_invalid() {
        for size in [0, 7, 4097, u32::MAX] {
            let refused = read_words(&[size, 0]).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid, "{size}");
        }
    }

    #[test]
    fn an_out_struct_keeps_its_size_and_the_bytes_beyond_ours() {
        let mut words = [24_u32, 9, 9, 9, 9, 9];
        // SAFETY: the array has 24 bytes.
        let out = unsafe { SizedOut::new(words.as_mut_ptr().cast::<Options>()) };
        out.check().unwrap();
        assert_eq!(words, [24, 0, 0, 0, 9, 9]);
        out.write(&Options {
            struct_size: 0,
            first: 3,
            added: 4,
        });
        assert_eq!(words, [24, 3, 4, 0, 9, 9]);
    }
}
