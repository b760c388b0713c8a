//! The one error type of the crate.
//!
//! Every failure carries a kind (the status code of the C ABI), a message
//! that names what was wrong, and where they are known the file, the offset
//! in it and the operating system's error number.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What kind of outcome a call had. The numbers are those of the C ABI
/// (`EWAL_*`): positive ones are benign, negative ones are failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorKind {
    /// The time was up; what was waited for is still pending.
    Timeout = 1,
    /// A lane or the memory budget is full, and the caller asked not to block.
    Busy = 3,
    /// An argument or an option is out of its range.
    Invalid = -1,
    /// The system gave no memory.
    NoMemory = -2,
    /// A call to the file system failed.
    Io = -3,
    /// Bytes of a known format version are wrong.
    Corrupt = -4,
    /// Another writer has the database or the spool.
    Locked = -5,
    /// The handle is closed. Says nothing about durability.
    Closed = -6,
    /// The handle belongs to the parent of a `fork()`.
    Forked = -7,
    /// The platform or the build lacks what was asked for.
    Unsupported = -8,
    /// Larger than a configured or a format limit.
    TooLarge = -9,
    /// No disk space, or the log's configured limit is reached.
    NoSpace = -10,
    /// A struct is larger than this library knows, with fields set.
    Abi = -11,
    /// A newer format, or a file of something else.
    Format = -12,
    /// There is no such thing.
    NotFound = -13,
    /// It is there already.
    Exists = -14,
    /// An earlier failure is final; only a reopen goes on.
    Failed = -15,
    /// A sync failed: the epoch may or may not be on the disk.
    OutcomeUnknown = -16,
    /// A blocking call from inside a callback.
    Deadlock = -17,
    /// A sequence or an LSN out of order.
    Order = -18,
    /// A lower term than the log has seen.
    Fenced = -19,
    /// The records asked for are pruned, or lost in a salvage.
    WalRemoved = -20,
    /// The asker is beyond the end of the log.
    Ahead = -21,
    /// The asker is on another branch of history.
    Diverged = -22,
    /// A panic was caught at the boundary.
    Panic = -99,
}

/// The epoch and commit sequence that a staged batch was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The epoch that the batch becomes durable with.
    pub epoch: u64,
    /// Its commit sequence, the caller's or the assigned one.
    pub commit_seq: u64,
}

#[derive(Clone, Debug)]
struct Detail {
    kind: ErrorKind,
    message: String,
    os: Option<i32>,
    path: Option<PathBuf>,
    offset: Option<u64>,
    ticket: Option<Ticket>,
    lsn: Option<u64>,
    lasting: bool,
}

/// A failure: kind, message, and where it happened. One pointer wide, so
/// that results stay small.
#[derive(Clone)]
pub struct Error(Box<Detail>);

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure of `kind` with a message that names what was wrong.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Detail {
            kind,
            message: message.into(),
            os: None,
            path: None,
            offset: None,
            ticket: None,
            lsn: None,
            lasting: false,
        }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// A failed file-system call: no space has a kind of its own, because it
    /// heals; out of memory too, because it is not the disk's doing.
    pub(crate) fn io(what: &str, path: &Path, error: &io::Error) -> Self {
        let kind = if is_no_space(error) {
            ErrorKind::NoSpace
        } else if error.raw_os_error() == Some(libc::ENOMEM) {
            ErrorKind::NoMemory
        } else {
            ErrorKind::Io
        };
        let mut e = Self::new(kind, format!("{what}: {error}"));
        e.0.os = error.raw_os_error();
        e.0.path = Some(path.to_path_buf());
        e
    }

    /// As [`Error::io`], where what is not there has a kind of its own.
    pub(crate) fn io_or_missing(what: &str, path: &Path, error: &io::Error) -> Self {
        let e = Self::io(what, path, error);
        match error.kind() {
            io::ErrorKind::NotFound => e.recast(ErrorKind::NotFound, "no such file or directory"),
            _ => e,
        }
    }

    /// A failed system call that is about no file.
    pub(crate) fn system(what: &str, error: &io::Error) -> Self {
        let mut e = Self::new(ErrorKind::Io, format!("{what}: {error}"));
        e.0.os = error.raw_os_error();
        e
    }

    pub(crate) fn at(mut self, path: &Path, offset: u64) -> Self {
        self.0.path = Some(path.to_path_buf());
        self.0.offset = Some(offset);
        self
    }

    pub(crate) fn in_file(mut self, path: &Path) -> Self {
        self.0.path = Some(path.to_path_buf());
        self
    }

    pub(crate) fn with_ticket(mut self, ticket: Ticket) -> Self {
        self.0.ticket = Some(ticket);
        self
    }

    pub(crate) fn with_lsn(mut self, lsn: u64) -> Self {
        self.0.lsn = Some(lsn);
        self
    }

    /// Trying again proves nothing, whatever the number says.
    pub(crate) fn lasting(mut self) -> Self {
        self.0.lasting = true;
        self
    }

    pub(crate) fn is_lasting(&self) -> bool {
        self.0.lasting
    }

    /// The same cause under another kind: how a failed coordinator answers.
    pub(crate) fn recast(&self, kind: ErrorKind, prefix: &str) -> Self {
        let mut e = self.clone();
        e.0.kind = kind;
        e.0.message = format!("{prefix}: {}", self.0.message);
        e
    }

    /// What kind of outcome it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message without file and offset.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The operating system's error number, where a call to it failed.
    pub fn os_error(&self) -> Option<i32> {
        self.0.os
    }

    /// The file, where one is to blame.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The byte offset in the file, where it is known.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// The LSN that the caller can go on from: the first that can be read where
    /// records were pruned, the last one of the spool where the caller is beyond
    /// it or out of order, the last common one where histories differ.
    pub fn lsn(&self) -> Option<u64> {
        self.0.lsn
    }

    /// The ticket of a batch that stays staged although the call failed
    /// (timeout, no space, outcome unknown).
    pub fn ticket(&self) -> Option<Ticket> {
        self.0.ticket
    }
}

/// A caller's text as a message quotes it: cut, so that what is said of it stays
/// in sight, in a message of fixed size too.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 64;
        match self.0.char_indices().nth(MOST) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => {
                let bytes = self.0.len();
                write!(f, "{:?}... ({bytes} bytes)", &self.0[..end])
            }
        }
    }
}

/// The errors that heal when space returns, or a limit on it is raised.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG)
    )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(path) = &self.0.path {
            write!(f, " (file {}", path.display())?;
            if let Some(offset) = self.0.offset {
                write!(f, ", offset {offset}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {}
