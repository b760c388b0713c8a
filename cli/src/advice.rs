//! What to do about an error of the library, for whoever typed the command.

use crate::exit::Failure;
use crate::show;
use epochwal::storage::{RealStorage, Storage};
use epochwal::{Error, ErrorKind};
use std::path::Path;

/// Where nothing was found.
pub const DATA_FILE: &str = "give the path of the data file, not of a log or a folder";

/// Whether there is a data file or a page log of it: a path that is spelled wrong
/// has neither, and must not pass for a log in which nothing is wrong.
pub fn expect_pages(db: &Path) -> Result<(), Failure> {
    let shown = show::path(db);
    if db.is_dir() {
        return Err(Failure::missing(format!("{shown} is a folder"), DATA_FILE));
    }
    // What is wrong with the path itself the library says better.
    let there = db.exists() || has_pages(db).unwrap_or(true);
    match there {
        true => Ok(()),
        false => Err(Failure::missing(
            format!("there is neither {shown} nor a log of it, {shown}-wal-state"),
            DATA_FILE,
        )),
    }
}

fn has_pages(db: &Path) -> Option<bool> {
    let db = RealStorage.resolve(db).ok()?;
    let mut begin = db.file_name()?.to_os_string();
    begin.push("-wal-");
    let names = RealStorage.list(db.parent()?).ok()?;
    let begin = begin.as_encoded_bytes();
    Some(
        names
            .iter()
            .any(|name| name.as_encoded_bytes().starts_with(begin)),
    )
}

/// The library's answer about a page log, and what to do.
pub fn on_pages(db: &Path, error: Error) -> Failure {
    let shown = show::quoted(db);
    let advice = match error.kind() {
        ErrorKind::Corrupt if is_named(&error, "-wal-state") => Some(format!(
            "copy all of the log's files, then `epochwal salvage {shown}` makes it anew from what \
             the segments say"
        )),
        ErrorKind::Corrupt => Some(format!(
            "copy all of the log's files, then `epochwal recover --prefix {shown} TARGET \
             --page-size N` applies what lies before the damage, `epochwal salvage {shown}` moves \
             the rest aside"
        )),
        _ => on_any(&error),
    };
    with(error, advice)
}

/// About a spool.
pub fn on_spool(db: &Path, error: Error) -> Failure {
    let db = show::quoted(db);
    let lsn = error.lsn().unwrap_or(0);
    let advice = match error.kind() {
        ErrorKind::WalRemoved => Some(format!(
            "--since {} gives all there is",
            lsn.saturating_sub(1)
        )),
        ErrorKind::Ahead => Some(format!("--since {lsn} is the highest that there is")),
        ErrorKind::Diverged => Some("read it again".to_owned()),
        ErrorKind::Corrupt => Some(format!(
            "`epochwal spool verify {db}` says what is readable, `epochwal spool salvage {db}` \
             moves the rest aside"
        )),
        _ => on_any(&error),
    };
    with(error, advice)
}

/// About slots, or the spool beside them.
pub fn on_slots(db: &Path, error: Error) -> Failure {
    let shown = show::quoted(db);
    let advice = match error.kind() {
        ErrorKind::Corrupt if is_named(&error, ".logical.slots") => format!(
            "`epochwal slots list {shown}` shows what can be read, `epochwal slots salvage \
             {shown}` goes on with that; slots that it has lost hold nothing back"
        ),
        ErrorKind::Corrupt if is_named(&error, ".logical.slots.json") => {
            "mend the file, or move it away to go on without its slots".to_owned()
        }
        _ => return on_spool(db, error),
    };
    with(error, Some(advice))
}

/// Whether an error is about a file that is to be written, or one on the way to it.
pub fn is_about(error: &Error, file: &Path) -> bool {
    let Some(path) = error.path() else {
        return false;
    };
    let (path, file) = (path.as_os_str(), file.as_os_str());
    let rest = path
        .as_encoded_bytes()
        .strip_prefix(file.as_encoded_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-tmp-"))
}

/// About slots whose spool is not there, or not readable.
pub fn on_lone_slots(db: &Path, error: Error) -> Failure {
    let advice = format!(
        "first restore the spool, or run `epochwal spool salvage {}`",
        show::quoted(db)
    );
    with(error, Some(advice))
}

fn is_named(error: &Error, end: &str) -> bool {
    let file = error.path().map(show::path_text).unwrap_or_default();
    file.ends_with(end)
}

/// What is the same for all of them.
fn on_any(error: &Error) -> Option<String> {
    let advice = match (error.kind(), error.os_error()) {
        (ErrorKind::Locked, _) => "close the process that has it open, or ask that one",
        (ErrorKind::Format, _) => "read it with the version that wrote it",
        (ErrorKind::NoSpace, _) => "make room on the disk, and run it again",
        (ErrorKind::NotFound, _) | (ErrorKind::Io, Some(ENOENT | ENOTDIR)) => {
            "give the path of the data file, in a folder that is there"
        }
        (ErrorKind::Io, Some(EACCES | EPERM)) => "run it as the user who owns the log",
        (ErrorKind::Io, Some(EROFS)) => "write to another place, or mount the file system for it",
        (ErrorKind::Io, Some(EISDIR)) => "move the folder away that has the name of a file",
        (ErrorKind::Io, Some(EIO)) => {
            "the disk failed, which says nothing about the log: see the system's log, and copy \
             what you can"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

// Of Linux, on all of its architectures.
const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const EIO: i32 = 5;
const EACCES: i32 = 13;
const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;
const EROFS: i32 = 30;

fn with(error: Error, advice: Option<String>) -> Failure {
    match advice {
        Some(advice) => Failure::Advised(error, advice),
        None => Failure::Engine(error),
    }
}
