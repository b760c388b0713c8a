//! The bytes of a RDLW file: read ahead where the scan is, read singly
//! elsewhere, and summed.

use super::sums::{STEP, Sums};
use crate::error::{Error, Result};
use crate::format::rdlw::{MAGIC, MAX_HEADER, crc32};
use crate::log::{Disk, Window};
use crate::storage::{File, OpenMode, read_exact_at};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much of the file is looked at together.
const AHEAD: u64 = 1 << 20;
/// How often each byte of a sound record may be summed on later claims.
const CREDIT: u64 = 4;

/// A file of a known length.
#[derive(Debug)]
pub(super) struct Reader {
    file: Arc<dyn File>,
    path: PathBuf,
    len: u64,
}

impl Reader {
    /// `len` bytes from `at`, in `buffer`; they are all in the file.
    pub(super) fn read<'a>(
        &self,
        at: u64,
        len: usize,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let bytes = &mut buffer[..len];
        read_exact_at(&*self.file, bytes, at).map_err(|e| self.failed(&e))?;
        Ok(bytes)
    }

    fn failed(&self, e: &std::io::Error) -> Error {
        Error::io("read", &self.path, e)
    }

    /// It has become shorter since it was opened.
    fn cut(&self) -> Error {
        self.failed(&std::io::ErrorKind::UnexpectedEof.into())
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Source {
    reader: Reader,
    window: Window,
    sums: Sums,
    scratch: Vec<u8>,
    /// Bytes that may be summed straight away; see [`Source::sum`].
    credit: u64,
}

impl Source {
    pub(super) fn open(disk: &Disk, path: &Path) -> Result<Source> {
        let file = disk
            .open(path, OpenMode::Read)
            .map_err(|e| Error::io_or_missing("open", path, &e))?;
        let len = file.len().map_err(|e| Error::io("read", path, &e))?;
        let path = path.to_path_buf();
        Ok(Source {
            reader: Reader { file, path, len },
            window: Window::default(),
            sums: Sums::default(),
            scratch: Vec::new(),
            credit: AHEAD,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.reader.path
    }

    /// Bytes of the file from `at` on, as long as it was when it was opened.
    pub(super) fn left(&self, at: u64) -> u64 {
        self.reader.len.saturating_sub(at)
    }

    /// `len` bytes from `at`, read ahead from there.
    pub(super) fn forward(&mut self, at: u64, len: usize) -> Result<&[u8]> {
        let Reader { file, len: end, .. } = &self.reader;
        match self.window.slice(&**file, *end, at, len) {
            Ok(bytes) if bytes.len() == len => Ok(bytes),
            Ok(_) => Err(self.reader.cut()),
            Err(e) => Err(self.reader.failed(&e)),
        }
    }

    /// `len` bytes from `at`, where they are in memory.
    pub(super) fn held(&self, at: u64, len: usize) -> Option<&[u8]> {
        self.window.held_from(at).get(..len)
    }

    /// A few bytes from `at`, which may be anywhere: as many as asked for, or
    /// as the file has.
    pub(super) fn peek(&mut self, at: u64, len: usize) -> Result<&[u8]> {
        let len = self.left(at).min(len as u64) as usize;
        if self.window.held_from(at).len() >= len {
            return Ok(&self.window.held_from(at)[..len]);
        }
        self.reader.read(at, len, &mut self.scratch)
    }

    /// What may be a header at `at`.
    pub(super) fn head(&mut self, at: u64) -> Result<Head> {
        let mut head = Head {
            bytes: [0; MAX_HEADER],
            len: 0,
        };
        let bytes = self.peek(at, MAX_HEADER)?;
        head.len = bytes.len();
        head.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(head)
    }

    /// The checksum of `len` bytes from `at`, which are all in the file.
    ///
    /// Little, and what is in memory, is summed as it stands. For the rest
    /// there are the marks of [`Sums`], which cost the same for any length.
    /// Only what sound records have earned is summed the first way, so that
    /// many long claims over the same bytes can't have it for ever.
    pub(super) fn sum(&mut self, at: u64, len: u64) -> Result<u32> {
        let few = len <= STEP as u64;
        let held = self.window.held_from(at).len() as u64 >= len;
        if few || (held && len <= self.credit) {
            if !few {
                self.credit -= len;
            }
            return Ok(crc32(self.peek(at, len as usize)?));
        }
        self.sums.of(&self.reader, at, len)
    }

    /// The scan goes on at `at`, behind a sound record of `len` bytes.
    pub(super) fn passed(&mut self, at: u64, len: u64) {
        self.credit = self.credit.saturating_add(CREDIT * len);
        self.sums.forget(at);
    }

    /// The first place at or behind `at` where the magic stands.
    pub(super) fn find_magic(&mut self, mut at: u64) -> Result<Option<u64>> {
        loop {
            let held = self.window.held_from(at);
            let mut windows = held.windows(MAGIC.len());
            if let Some(place) = windows.position(|bytes| bytes == MAGIC) {
                return Ok(Some(at + place as u64));
            }
            // The last bytes may be the front of one.
            at += (held.len() as u64).saturating_sub(MAGIC.len() as u64 - 1);
            if self.left(at) < MAGIC.len() as u64 {
                return Ok(None);
            }
            let len = self.left(at).min(AHEAD);
            self.forward(at, len as usize)?;
        }
    }
}

/// The next bytes of the file, as many as the longest header has, or fewer
/// where it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    bytes: [u8; MAX_HEADER],
    len: usize,
}

impl std::ops::Deref for Head {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
