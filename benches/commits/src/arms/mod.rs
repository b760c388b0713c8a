//! The arms: who commits.

mod epochwal;
mod keeper;
mod limit;
mod raw;
mod ring;
#[cfg(feature = "rivals")]
mod rivals;
mod spool;

use std::path::Path;

/// One way to make commits durable.
pub trait Arm: Sync {
    /// Makes the batch durable; returns after that and not before.
    /// `thread` is below the number that the arm was opened for, and no two
    /// callers use the same one at a time.
    fn commit(&self, thread: usize, batch: &[&[u8]]) -> Result<(), String>;

    /// Groups of commits written so far, each with one sync, where the arm
    /// knows.
    fn groups(&self) -> Option<u64> {
        None
    }

    /// Ends what the arm does in the background, between two turns and outside
    /// of the clock, so that it is not done in another arm's turn.
    fn settle(&self) -> Result<(), String> {
        Ok(())
    }
}

/// An arm by name.
#[derive(Clone, Copy)]
pub struct Entry {
    pub name: &'static str,
    pub kind: Kind,
    /// Fails where the arm needs what is not installed.
    pub check: fn() -> Result<(), String>,
    pub open: Open,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Written here; keeps no log.
    Limit,
    Epochwal,
    /// Somebody else's.
    #[cfg_attr(not(feature = "rivals"), allow(dead_code))]
    Rival,
}

/// Opens an arm in an empty directory, for that many threads. What an arm
/// sets up once (files, space) it sets up here.
type Open = fn(&Path, usize) -> Result<Box<dyn Arm>, String>;

const fn entry(name: &'static str, kind: Kind, open: Open) -> Entry {
    Entry {
        name,
        kind,
        check: || Ok(()),
        open,
    }
}

const OWN: &[Entry] = &[
    entry("raw-prealloc", Kind::Limit, |dir, _| {
        Ok(Box::new(raw::Prealloc::open(dir)?))
    }),
    entry("raw-group", Kind::Limit, |dir, _| {
        Ok(Box::new(raw::Group::open(dir)?))
    }),
    entry("limit-dsync", Kind::Limit, |dir, _| {
        Ok(Box::new(limit::Dsync::open(dir)?))
    }),
    entry("epochwal", Kind::Epochwal, |dir, _| {
        Ok(Box::new(epochwal::Epochwal::open(dir)?))
    }),
    entry("epochwal-spool", Kind::Epochwal, |dir, threads| {
        Ok(Box::new(spool::EpochwalSpool::open(dir, threads)?))
    }),
];

#[cfg(not(feature = "rivals"))]
const RIVALS: &[Entry] = &[];

#[cfg(feature = "rivals")]
const RIVALS: &[Entry] = &[
    entry("okaywal", Kind::Rival, |dir, _| {
        Ok(Box::new(rivals::okaywal::Okaywal::open(dir)?))
    }),
    entry("raft-engine", Kind::Rival, |dir, _| {
        Ok(Box::new(rivals::raft_engine::RaftEngine::open(dir)?))
    }),
    Entry {
        check: rivals::rocksdb::check,
        ..entry("rocksdb", Kind::Rival, |dir, _| {
            Ok(Box::new(rivals::rocksdb::Rocksdb::open(dir)?))
        })
    },
    entry("sqlite", Kind::Rival, |dir, _| {
        Ok(Box::new(rivals::sqlite::Sqlite::open(dir)?))
    }),
    entry("redb", Kind::Rival, |dir, _| {
        Ok(Box::new(rivals::redb::Redb::open(dir)?))
    }),
    entry("fjall", Kind::Rival, |dir, _| {
        Ok(Box::new(rivals::fjall::Fjall::open(dir)?))
    }),
    Entry {
        check: rivals::postgres::check,
        ..entry("postgresql", Kind::Rival, |dir, threads| {
            Ok(Box::new(rivals::postgres::Postgres::open(dir, threads)?))
        })
    },
];

/// All arms that were compiled in.
pub fn all() -> impl Iterator<Item = Entry> + Clone {
    OWN.iter().chain(RIVALS).copied()
}

/// The arms of these names, in this order.
pub fn named<N: AsRef<str>>(names: &[N]) -> Result<Vec<Entry>, String> {
    let one = |name: &N| {
        let name = name.as_ref();
        let entry = all().find(|e| e.name == name).ok_or_else(|| {
            let known: Vec<_> = all().map(|e| e.name).collect();
            let hint = if RIVALS.is_empty() {
                " (built without rivals)"
            } else {
                ""
            };
            format!("--arms: {name} is none of {}{hint}", known.join(", "))
        })?;
        (entry.check)().map_err(|e| format!("{name}: {e}"))?;
        Ok(entry)
    };
    names.iter().map(one).collect()
}
