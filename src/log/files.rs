//! What files a log has.

use super::Disk;
use super::state_file::{Loaded, load};
use crate::error::{Error, Result};
use crate::format::group::{GROUP_HEADER, GroupKind, has_magic};
use crate::format::names::{Kind, Names};
use crate::format::state::State;
use crate::storage::{OpenMode, read_up_to};
use std::path::{Path, PathBuf};

/// Which format a segment's first bytes claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// One file per epoch.
    One,
    /// Groups, or a prepared file that has none yet, or damage.
    Two,
}

/// A segment file of the log.
#[derive(Clone, Debug)]
pub(crate) struct SegmentEntry {
    pub(crate) path: PathBuf,
    pub(crate) first_epoch: u64,
    pub(crate) len: u64,
    pub(crate) version: Version,
    /// The generation that its place in the log demands (version 2).
    pub(crate) generation: u64,
    /// Its first bytes, up to a group header's length.
    pub(crate) head: Vec<u8>,
}

/// The files of one log, in the order of their epochs.
#[derive(Clone, Debug)]
pub(crate) struct LogFiles {
    pub(crate) names: Names,
    pub(crate) state: Option<State>,
    /// Live segments.
    pub(crate) segments: Vec<SegmentEntry>,
    /// Segments that the checkpoint has passed, not yet removed.
    pub(crate) retired: Vec<PathBuf>,
    /// Spare files with their numbers.
    pub(crate) spares: Vec<(u64, PathBuf)>,
    /// Version 1 segments that were being written.
    pub(crate) leftovers: Vec<PathBuf>,
}

impl LogFiles {
    /// A log that has not been looked at.
    pub(crate) fn default_for(names: &Names) -> LogFiles {
        LogFiles {
            names: names.clone(),
            state: None,
            segments: Vec::new(),
            retired: Vec::new(),
            spares: Vec::new(),
            leftovers: Vec::new(),
        }
    }

    /// Lists the directory. The state is read first: a writer beside us adds
    /// segments and then says so, and what it retires it has said before.
    pub(crate) fn list(disk: &Disk, names: &Names) -> Result<LogFiles> {
        let state = Self::read_state(disk, names)?;
        let absent = state.is_none();
        match Self::list_with_state(disk, names, state) {
            // A writer may have made the log between the two looks.
            Err(_) if absent => Self::list_with_state(disk, names, Self::read_state(disk, names)?),
            listed => listed,
        }
    }

    /// What the state file says; none where there is no log yet.
    pub(crate) fn read_state(disk: &Disk, names: &Names) -> Result<Option<State>> {
        match load(disk, names)? {
            Loaded::Valid(state) => Ok(Some(*state)),
            Loaded::Absent => Ok(None),
        }
    }

    /// As [`LogFiles::list`] with a state from elsewhere (salvage).
    pub(crate) fn list_with_state(
        disk: &Disk,
        names: &Names,
        state: Option<State>,
    ) -> Result<LogFiles> {
        let mut files = LogFiles {
            state,
            ..LogFiles::default_for(names)
        };
        let dir = names.dir();
        let entries = disk
            .list(dir)
            .map_err(|e| Error::io("list the directory", dir, &e))?;
        let mut epochs = Vec::new();
        for entry in entries {
            match names.classify(&entry) {
                Some(Kind::Segment(epoch)) => epochs.push(epoch),
                Some(Kind::Spare(n)) => files.spares.push((n, names.spare(n))),
                Some(Kind::Tmp(epoch)) => files.leftovers.push(names.tmp(epoch)),
                Some(Kind::State | Kind::Lock | Kind::Salvaged(..)) | None => {}
            }
        }
        epochs.sort_unstable();
        files.spares.sort_unstable();
        for epoch in epochs {
            files.add_segment(disk, epoch)?;
        }
        // Version 1 has no records, and no log of them a segment before its state.
        let of_records = names.kind() == GroupKind::Records;
        if files.state.is_none()
            && files
                .segments
                .iter()
                .any(|s| of_records || claims(&s.head, 2))
        {
            return Err(Error::corrupt(
                "state file: missing or blank, but there are segments of version 2",
            )
            .at(&names.state(), 0));
        }
        Ok(files)
    }

    /// Neighbouring segments of a log that was opened in this state, the first
    /// one of this generation: for who reads a part of it beside its writer.
    pub(crate) fn part(
        disk: &Disk,
        names: &Names,
        opened: &State,
        generation: u64,
        epochs: &[u64],
    ) -> Result<LogFiles> {
        let mut state = opened.clone();
        let first = epochs.first().copied().unwrap_or(0);
        // As if all before it were retired.
        state.floor = first.checked_sub(1);
        state.retired_epoch = first;
        state.retired_generation = generation.saturating_sub(1);
        state.newest_generation = state.retired_generation + epochs.len() as u64;
        let mut files = LogFiles {
            state: Some(state),
            ..LogFiles::default_for(names)
        };
        for epoch in epochs {
            files.add_segment(disk, *epoch)?;
            if files.segments.last().map(|s| s.first_epoch) != Some(*epoch) {
                let path = names.segment(*epoch);
                let gone = std::io::Error::from_raw_os_error(libc::ENOENT);
                return Err(Error::io("open a segment", &path, &gone));
            }
        }
        Ok(files)
    }

    fn add_segment(&mut self, disk: &Disk, first_epoch: u64) -> Result<()> {
        let path = self.names.segment(first_epoch);
        let retired = self.state.as_ref().map_or(0, |s| s.retired_epoch);
        if first_epoch < retired {
            self.retired.push(path);
            return Ok(());
        }
        let file = match disk.open(&path, OpenMode::Read) {
            Ok(file) => file,
            // A writer that opens removes names without a group.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::io("open a segment", &path, &e)),
        };
        let len = file
            .len()
            .map_err(|e| Error::io("measure a segment", &path, &e))?;
        let mut head = vec![0; GROUP_HEADER];
        let got =
            read_up_to(&*file, &mut head, 0).map_err(|e| Error::io("read a segment", &path, &e))?;
        head.truncate(got);
        // Without a state file there is no log of version 2, so whatever this
        // is, it is judged as version 1.
        let one = claims(&head, 1) || (self.state.is_none() && !claims(&head, 2));
        let version = match self.names.kind() {
            GroupKind::Pages if one => Version::One,
            _ => Version::Two,
        };
        let before = self
            .segments
            .iter()
            .filter(|s| s.version == Version::Two)
            .count() as u64;
        let base = self.state.as_ref().map_or(0, |s| s.retired_generation);
        self.segments.push(SegmentEntry {
            path,
            first_epoch,
            len,
            version,
            generation: base.saturating_add(1).saturating_add(before),
            head,
        });
        Ok(())
    }

    /// How many segments of version 2 the state file says must be there, and
    /// how many are.
    pub(crate) fn expected_and_present(&self) -> (u64, u64) {
        let expected = self.state.as_ref().map_or(0, |s| {
            s.newest_generation.saturating_sub(s.retired_generation)
        });
        let present = self
            .segments
            .iter()
            .filter(|s| s.version == Version::Two)
            .count() as u64;
        (expected, present)
    }
}

/// Removes a file that is no part of a log any more, where a writer that was
/// there before has not done it yet.
pub(super) fn remove(disk: &Disk, what: &str, path: &Path) -> Result<()> {
    match disk.remove(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(what, path, &e)),
        _ => Ok(()),
    }
}

fn claims(head: &[u8], version: u8) -> bool {
    has_magic(head) && head.get(4..6) == Some(&[version, 0])
}
