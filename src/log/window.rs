//! Reading a file through one growing buffer, so that following a log costs
//! a system call per megabyte and not per group.

use crate::storage::{File, read_up_to};
use std::io;

const READ_AHEAD: usize = 1 << 20;

/// A stretch of a file in memory.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    start: u64,
    len: usize,
    ahead: usize,
    pub(crate) total_read: u64,
}

impl Default for Window {
    /// For one who reads on and on.
    fn default() -> Self {
        Window::growing(READ_AHEAD)
    }
}

impl Window {
    /// Reads `first` bytes ahead at first, and twice as much each time.
    pub(crate) fn growing(first: usize) -> Window {
        Window {
            bytes: Vec::new(),
            start: 0,
            len: 0,
            ahead: first,
            total_read: 0,
        }
    }

    /// Forgets what was read: the next slice comes from the file.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// What is in memory from `offset` on.
    pub(crate) fn held_from(&self, offset: u64) -> &[u8] {
        let from = offset.checked_sub(self.start).map(usize::try_from);
        match from {
            Some(Ok(from)) => self.bytes[..self.len].get(from..).unwrap_or(&[]),
            _ => &[],
        }
    }

    /// `len` bytes from `offset`, fewer where the file ends. The caller has
    /// checked `len` against the file's length, `file_len`: no more memory is
    /// taken than the rest of the file fills.
    pub(crate) fn slice(
        &mut self,
        file: &dyn File,
        file_len: u64,
        offset: u64,
        len: usize,
    ) -> io::Result<&[u8]> {
        let rest = file_len.saturating_sub(offset);
        let ahead = self.ahead.min(usize::try_from(rest).unwrap_or(READ_AHEAD));
        let from = self.locate(file, offset, len, len.max(ahead))?;
        let to = (from + len).min(self.len);
        Ok(&self.bytes[from..to])
    }

    fn locate(
        &mut self,
        file: &dyn File,
        offset: u64,
        len: usize,
        want: usize,
    ) -> io::Result<usize> {
        let inside = offset >= self.start
            && offset
                .checked_add(len as u64)
                .is_some_and(|end| end <= self.start + self.len as u64);
        if !inside {
            if self.bytes.len() < want {
                let more = want - self.bytes.len();
                self.bytes
                    .try_reserve(more)
                    .map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
                self.bytes.resize(want, 0);
            }
            // What is there already of it need not be read again.
            let at = offset.wrapping_sub(self.start);
            let kept = (self.len as u64).saturating_sub(at) as usize;
            self.bytes.copy_within(self.len - kept..self.len, 0);
            self.start = offset;
            self.len = kept;
            let more = read_up_to(file, &mut self.bytes[kept..want], offset + kept as u64)?;
            self.len += more;
            self.ahead = (self.ahead * 2).min(READ_AHEAD);
            self.total_read += more as u64;
        }
        Ok((offset - self.start) as usize)
    }
}
