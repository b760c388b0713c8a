//! What to do about an error of the library, for whoever typed the command.

use crate::exit::Failure;
use crate::show;
use epochwal::{Error, ErrorKind};
use std::path::Path;

/// The library's answer about a page log, and what to do.
pub fn on_pages(db: &Path, error: Error) -> Failure {
    let shown = db.display();
    let advice = match error.kind() {
        ErrorKind::Corrupt => Some(format!(
            "`epochwal inspect {shown}` shows what is readable, `epochwal recover --prefix {shown} \
             TARGET --page-size N` applies that"
        )),
        _ => on_any(&error),
    };
    with(error, advice)
}

/// About a spool.
pub fn on_spool(db: &Path, error: Error) -> Failure {
    let db = db.display();
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
    let file = error.path().map(show::path_text).unwrap_or_default();
    let db_shown = db.display();
    let advice = match error.kind() {
        ErrorKind::Corrupt if file.ends_with(".logical.slots") => format!(
            "`epochwal slots list {db_shown}` shows what can be read, `epochwal slots salvage \
             {db_shown}` goes on with that; slots that it has lost hold nothing back"
        ),
        ErrorKind::Corrupt if file.ends_with(".logical.slots.json") => {
            "mend the file, or move it away to go on without its slots".to_owned()
        }
        _ => return on_spool(db, error),
    };
    with(error, Some(advice))
}

/// What is the same for all of them.
fn on_any(error: &Error) -> Option<String> {
    let advice = match (error.kind(), error.os_error()) {
        (ErrorKind::Locked, _) => "close the process that has it open, or ask that one",
        (ErrorKind::Format, _) => "read it with the version that wrote it",
        (ErrorKind::NoSpace, _) => "make room on the disk, and run it again",
        (ErrorKind::NotFound, _) | (ErrorKind::Io, Some(ENOENT)) => {
            "give the path of the data file, in a folder that is there"
        }
        (ErrorKind::Io, Some(EACCES | EPERM)) => "run it as the user who owns the log",
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

fn with(error: Error, advice: Option<String>) -> Failure {
    match advice {
        Some(advice) => Failure::Advised(error, advice),
        None => Failure::Engine(error),
    }
}
