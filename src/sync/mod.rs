//! Every lock, atomic, futex, thread and clock of the coordinator comes
//! through here, so that a model checker can stand in for them.
//!
//! With the `shuttle` feature it does: threads, atomics and the futex are then
//! [shuttle](https://docs.rs/shuttle)'s, which runs them one at a time in an
//! order of its choice, and time stands still but for waits that run out. The
//! locks of `lock` are the same in both worlds.

mod lock;

#[cfg(not(feature = "shuttle"))]
mod futex;
#[cfg(feature = "shuttle")]
mod model;

pub(crate) use lock::{Condvar, Mutex, MutexGuard};
pub(crate) use std::sync::atomic::Ordering;

#[cfg(not(feature = "shuttle"))]
mod machine {
    pub(crate) use super::futex::{futex_wait, futex_wake};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
    pub(crate) use std::time::Instant;
    pub(crate) use std::{thread, thread_local};

    /// Lets others go on while something that takes a few instructions is awaited.
    pub(crate) fn spin() {
        std::hint::spin_loop();
    }

    /// How often to look again before sleeping: as often as the caller means.
    pub(crate) const fn spins(count: u32) -> u32 {
        count
    }
}

#[cfg(feature = "shuttle")]
mod machine {
    pub(crate) use super::model::{Instant, futex_wait, futex_wake, spins, thread};
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
    pub(crate) use shuttle::thread_local;

    pub(crate) fn spin() {
        shuttle::thread::yield_now();
    }
}

pub(crate) use machine::*;
