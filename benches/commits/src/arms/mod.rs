//! The arms: who commits.

mod epochwal;
mod limit;
mod raw;
mod ring;

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
}

/// An arm by name.
#[derive(Clone, Copy)]
pub struct Entry {
    pub name: &'static str,
    pub open: Open,
}

/// Opens an arm in an empty directory, for that many threads. What an arm
/// sets up once (files, space) it sets up here.
type Open = fn(&Path, usize) -> Result<Box<dyn Arm>, String>;

fn boxed<A: Arm + 'static>(arm: Result<A, String>) -> Result<Box<dyn Arm>, String> {
    arm.map(|a| Box::new(a) as Box<dyn Arm>)
}

const ALL: [Entry; 4] = [
    Entry {
        name: "raw-prealloc",
        open: |dir, _| boxed(raw::Prealloc::open(dir)),
    },
    Entry {
        name: "raw-group",
        open: |dir, _| boxed(raw::Group::open(dir)),
    },
    Entry {
        name: "limit-dsync",
        open: |dir, _| boxed(limit::Dsync::open(dir)),
    },
    Entry {
        name: "epochwal",
        open: |dir, _| boxed(epochwal::Epochwal::open(dir)),
    },
];

/// The arms of these names in this order; all, where there are none.
pub fn named(names: &[String]) -> Result<Vec<Entry>, String> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    let one = |name: &String| {
        ALL.into_iter()
            .find(|e| e.name == name)
            .ok_or_else(|| format!("--arms: {name} is none of {}", known()))
    };
    names.iter().map(one).collect()
}

fn known() -> String {
    ALL.map(|e| e.name).join(", ")
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
