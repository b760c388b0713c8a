//! Every lock, atomic, futex and thread of the coordinator comes through
//! here, so that a model checker can stand in for them.

mod futex;
mod lock;

pub(crate) use futex::{futex_wait, futex_wake};
pub(crate) use lock::{Condvar, Mutex, MutexGuard};
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
pub(crate) use std::thread;

/// Lets others go on while something that takes a few instructions is awaited.
pub(crate) fn spin() {
    std::hint::spin_loop();
}
