//! Loading and saving the state file.

use super::Disk;
use super::writer::heals;
use crate::error::{Error, ErrorKind, Result};
use crate::format::group::GroupKind;
use crate::format::names::Names;
use crate::format::state::{STATE_COPY, STATE_FILE, State, StateError};
use crate::storage::{File, OpenMode, read_up_to, uninterrupted, write_all_at};
use crate::wrong::{self, Wrong};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What stands at the state file's name.
#[derive(Debug)]
pub(crate) enum Loaded {
    /// Nothing, or a file that a crash left before its first sync.
    Absent,
    /// The newest valid copy.
    Valid(Box<State>),
}

/// Reads the state file. Damage to both copies is corruption.
pub(crate) fn load(disk: &Disk, names: &Names) -> Result<Loaded> {
    let path = &names.state();
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Absent),
        Err(e) => return Err(Error::io("open the state file", path, &e)),
    };
    let mut bytes = vec![0; 2 * STATE_COPY];
    let len = read_up_to(&*file, &mut bytes, 0)
        .map_err(|e| Error::io("read the state file", path, &e))?;
    bytes.truncate(len);
    let second_is_blank = bytes.iter().skip(STATE_COPY).all(|b| *b == 0);
    let mut newest: Option<State> = None;
    let mut newer_format = None;
    for copy in bytes.chunks(STATE_COPY) {
        match State::parse(copy) {
            Ok(state) if newest.as_ref().is_none_or(|n| state.update > n.update) => {
                newest = Some(state);
            }
            Ok(_) | Err(StateError::Damaged) => {}
            Err(StateError::Version(v)) => newer_format = Some(v),
        }
    }
    match (newest, newer_format) {
        (_, Some(version)) => Err(Error::new(
            ErrorKind::Format,
            format!("state file: version {version} or its flags are newer than this library"),
        )
        .at(path, 8)),
        (Some(state), None) if state.kind != names.kind() => {
            Err(Error::corrupt(match state.kind {
                GroupKind::Records => {
                    "state file: of a log of records where a log of pages should be"
                }
                _ => "state file: of a log of pages where a log of records should be",
            })
            .at(path, 120))
        }
        (Some(state), None) => Ok(Loaded::Valid(Box::new(state))),
        // The first save was cut short: it had not touched the second copy, and
        // nothing relied on the file yet.
        (None, None) if second_is_blank => Ok(Loaded::Absent),
        (None, None) => {
            Err(Error::corrupt("state file: neither copy has a right checksum").at(path, 0))
        }
    }
}

/// The state file of an open log.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    file: Arc<dyn File>,
    sync: bool,
    state: State,
    /// The copy to be written first, and the highest update number in the file.
    first: usize,
    highest: u64,
}

impl StateFile {
    /// Opens the file, making it where it is missing; `state` is what it says
    /// or shall say after the first [`StateFile::save`]. Without `sync`
    /// nothing is made durable (sync policy off).
    pub(crate) fn open(disk: &Disk, path: &Path, state: State, sync: bool) -> Result<Self> {
        let fail = |what: &str, e: io::Error| Error::io(what, path, &e);
        let file = disk
            .open(path, OpenMode::WriteOrCreate)
            .map_err(|e| fail("open the state file", e))?;
        let len = file.len().map_err(|e| fail("measure the state file", e))?;
        if len < STATE_FILE {
            // Real blocks, so that saving needs no space later.
            let zeros = vec![0; (STATE_FILE - len) as usize];
            write_all_at(&*file, &zeros, len, 1).map_err(|e| fail("write the state file", e))?;
        }
        let mut bytes = vec![0; 2 * STATE_COPY];
        read_up_to(&*file, &mut bytes, 0).map_err(|e| fail("read the state file", e))?;
        let (one, two) = bytes.split_at(STATE_COPY);
        let (one, two) = (doubt(one), doubt(two));
        Ok(StateFile {
            path: path.to_path_buf(),
            file,
            sync,
            highest: state.update,
            first: usize::from(two > one),
            state,
        })
    }

    /// What the file says, and what the next save will.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Changes what the next save will say.
    pub(crate) fn note(&mut self, change: impl FnOnce(&mut State)) {
        change(&mut self.state);
    }

    /// Changes the state and saves it: one copy written and synced before the
    /// other is touched, so that a crash or a bad block leaves one. In memory
    /// the change holds once the first is done.
    ///
    /// The copy with the higher number goes first: after a kill it is the one
    /// that may be in the page cache only, and the other is on the disk.
    pub(crate) fn save(&mut self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut next = self.state.clone();
        change(&mut next);
        let mut saved = false;
        for copy in [self.first, 1 - self.first] {
            if copy == 1 && wrong::is(Wrong::OneStateCopy) {
                continue;
            }
            self.highest += 1;
            next.update = self.highest;
            self.first = copy;
            let offset = (copy * STATE_COPY) as u64;
            let written = write_all_at(&*self.file, &next.encode(), offset, 1)
                .map_err(|e| Error::io("write the state file", &self.path, &e));
            match written {
                // The change holds with one copy; the next save mends the other.
                Err(e) if saved && heals(&e) => break,
                written => written?,
            }

            if self.sync {
                sync_file(&*self.file, "sync the state file", &self.path)?;
            }
            saved = true;
            self.state = next.clone();
        }
        Ok(())
    }
}

/// How much in doubt a copy is: by its number; blank the least, damaged the most.
fn doubt(copy: &[u8]) -> u64 {
    match State::parse(copy) {
        Ok(state) => state.update,
        Err(_) if copy.iter().all(|b| *b == 0) => 0,
        Err(_) => u64::MAX,
    }
}

/// Syncs a file, data and metadata.
pub(crate) fn sync_file(file: &dyn File, what: &str, path: &Path) -> Result<()> {
    uninterrupted(|| file.sync_all()).map_err(|e| sync_failed(what, path, &e))
}

/// Makes a directory's entries durable.
pub(crate) fn sync_dir(disk: &Disk, dir: &Path) -> Result<()> {
    uninterrupted(|| disk.sync_dir(dir)).map_err(|e| match e.raw_os_error() {
        // No answer of fsync(2): the directory could not be opened, and nothing
        // was asked of the disk yet.
        Some(libc::EMFILE | libc::ENFILE) => Error::io("open the directory to sync it", dir, &e),
        _ => sync_failed("sync the directory", dir, &e),
    })
}

/// A failed sync is final whatever its number says: also "no space" does not
/// heal, because the pages are marked clean (Rebello et al., "Can Applications
/// Recover from fsync Failures?", USENIX ATC 2020).
pub(crate) fn sync_failed(what: &str, path: &Path, error: &io::Error) -> Error {
    if wrong::is(Wrong::NoSpaceInASyncHeals) {
        return Error::io(what, path, error);
    }
    Error::io(what, path, error)
        .recast(ErrorKind::Io, "sync failed")
        .lasting()
}
