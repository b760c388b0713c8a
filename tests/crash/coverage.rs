//! What a sweep has really done. A sweep that quietly stops rolling segments
//! passes all its checks, so it counts, and its test says what must be above 0.

use super::common::{PATIENCE, Place};
use epochwal::storage::sim::Call;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Counts of named events. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Coverage(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Coverage {
    pub fn add(&self, event: &'static str, count: u64) {
        if count > 0 {
            *self.0.lock().unwrap().entry(event).or_default() += count;
        }
    }

    pub fn count(&self, event: &'static str) {
        self.add(event, 1);
    }

    /// Panics where one of the events never happened.
    pub fn require(&self, events: &[&str]) {
        let counts = self.0.lock().unwrap();
        let missing: Vec<_> = events.iter().filter(|e| !counts.contains_key(*e)).collect();
        assert!(
            missing.is_empty(),
            "never happened: {missing:?} in {counts:?}"
        );
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (event, count) in &*self.0.lock().unwrap() {
            writeln!(f, "{count:>9} {event}")?;
        }
        Ok(())
    }
}

/// What a file of a log is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Segment,
    Spare,
    Tmp,
    State,
    Lock,
    Salvaged,
    /// A spool in one RDLW file.
    Single,
    Other,
}

pub fn role(path: &Path) -> Role {
    let name = path.to_string_lossy();
    let roles = [
        (".salvaged-", Role::Salvaged),
        ("wal-seg-", Role::Segment),
        ("wal-spare-", Role::Spare),
        ("wal-tmp-", Role::Tmp),
        ("wal-state", Role::State),
        ("wal-lock", Role::Lock),
    ];
    let found = roles.iter().find(|(part, _)| name.contains(part));
    match found {
        Some((_, role)) => *role,
        None if name.ends_with(".logical.wal") => Role::Single,
        None => Role::Other,
    }
}

/// Watches the calls of one machine and counts what they do to the log.
#[derive(Debug, Default)]
pub struct Watch {
    coverage: Coverage,
    /// Spares that were segments.
    retired: BTreeSet<PathBuf>,
    /// An open is under way.
    pub opening: bool,
    /// The call under way, and what file it is about.
    pub call: Option<(Call, Role)>,
}

impl Watch {
    pub fn new(coverage: &Coverage) -> Watch {
        Watch {
            coverage: coverage.clone(),
            ..Watch::default()
        }
    }

    pub fn see(&mut self, call: Call, paths: &[&Path]) {
        let first = role(paths[0]);
        self.call = Some((call, first));
        let event = match (call, first, paths.get(1).map(|to| role(to))) {
            (Call::Rename, Role::Tmp, Some(Role::Spare)) => "spare prepared",
            (Call::Rename, Role::Tmp, Some(Role::Segment)) => "version 1 segment",
            (Call::Rename, Role::Tmp, Some(Role::Single)) if self.opening => {
                "single file mended by an open"
            }
            (Call::Rename, Role::Tmp, Some(Role::Single)) => "single file replaced",
            (Call::Rename, Role::Segment, Some(Role::Spare)) => {
                self.retired.insert(paths[1].to_owned());
                "segment retired to a spare"
            }
            (Call::Rename, Role::Spare, Some(Role::Segment)) => {
                if self.retired.remove(paths[0]) {
                    self.coverage.count("segment reused");
                }
                "roll"
            }
            (Call::Remove, Role::Segment, _) if self.opening => "segment removed by an open",
            (Call::Remove, Role::Segment, _) => "segment removed",
            (Call::Write, Role::State, _) => "state saved",
            (Call::Write, Role::Segment, _) if self.opening => "tail written by an open",
            _ => return,
        };
        self.coverage.count(event);
    }

    /// The stage of an open that the machine is in, if any.
    pub fn stage(&self) -> Option<&'static str> {
        let stage = match self.call {
            _ if !self.opening => return None,
            Some((Call::Write | Call::SyncAll, Role::Segment)) => {
                "crash as an open writes the tail"
            }
            Some((_, Role::State)) => "crash as an open saves the state",
            Some((Call::Remove, _)) => "crash as an open removes files",
            _ => "crash elsewhere in an open",
        };
        Some(stage)
    }
}

/// Notes what a coordinator counted itself, and closes it.
pub fn close(wal: &epochwal::Coordinator, coverage: &Coverage) -> epochwal::Result<()> {
    let stats = wal.stats()?;
    coverage.add("batch in an epoch of its own", stats.oversize);
    coverage.add("batch beyond its lane", stats.spills);
    coverage.add("batch refused for want of room", stats.refused);
    coverage.add("checkpoint", stats.checkpoints);
    wal.close(PATIENCE)
}

/// Whether the log beside the database was closed by its last writer.
pub fn is_clean(place: &Place) -> Option<bool> {
    let looked = epochwal::recovery::inspect_on(place.disk.clone(), &place.db).ok()?;
    looked.state.map(|state| state.clean)
}
