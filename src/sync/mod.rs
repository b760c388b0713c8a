//! Every lock, atomic, futex, thread and clock of the coordinator comes
//! through here, so that a model checker can stand in for them.
//!
//! With the `shuttle` feature threads, atomics and the futex are
//! [shuttle](https://docs.rs/shuttle)'s, which runs them one at a time in an
//! order of its choice, and time stands still but for waits that run out: whole
//! coordinators, under many schedules. With the `loom` feature they are
//! [loom](https://docs.rs/loom)'s, which tries every schedule and every value
//! that a load may see where memory is as weak as the language allows: the
//! small pieces. The locks of `lock` are the same in all three worlds.

mod lock;

#[cfg(not(any(feature = "shuttle", feature = "loom")))]
mod futex;
#[cfg(feature = "shuttle")]
mod model;
#[cfg(any(feature = "shuttle", feature = "loom"))]
mod stand_in;
#[cfg(feature = "loom")]
mod weak;
#[cfg(all(test, feature = "loom"))]
mod weak_tests;

#[cfg(all(feature = "shuttle", feature = "loom"))]
compile_error!("one model checker at a time: shuttle or loom");

pub(crate) use lock::{Condvar, Mutex, MutexGuard};
pub(crate) use std::sync::atomic::Ordering;

#[cfg(not(any(feature = "shuttle", feature = "loom")))]
mod machine {
    pub(crate) use super::futex::{futex_wait, futex_wake, processor};
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
    pub(crate) use super::model::{futex_wait, futex_wake, now, spins};
    pub(crate) use super::stand_in::{Instant, thread};
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
    pub(crate) use shuttle::thread_local;

    pub(crate) fn spin() {
        shuttle::thread::yield_now();
    }

    pub(crate) fn processor() -> usize {
        0
    }
}

#[cfg(feature = "loom")]
mod machine {
    pub(crate) use super::stand_in::{Instant, thread};
    pub(crate) use super::weak::{
        AtomicBool, AtomicU8, AtomicU32, AtomicU64, futex_wait, futex_wake, now, spins,
        thread_local,
    };

    pub(crate) fn spin() {
        ::loom::thread::yield_now();
    }

    pub(crate) fn processor() -> usize {
        0
    }
}

pub(crate) use machine::*;

#[cfg(all(test, feature = "loom"))]
pub(crate) use weak::{World, explore};

/// Memory outside the checker's sight that one thread at a time may use: who
/// uses it says so, and loom then sees two that are not ordered.
#[cfg(feature = "loom")]
pub(crate) use weak::Watched;

#[cfg(not(feature = "loom"))]
mod unwatched {
    /// Nothing, where nobody watches.
    #[derive(Debug, Default)]
    pub(crate) struct Watched;

    impl Watched {
        pub(crate) const fn new(_parts: usize) -> Watched {
            Watched
        }

        /// The caller alone uses these parts from here on, or did till now.
        #[inline(always)]
        pub(crate) fn touch(&self, _parts: std::ops::Range<usize>) {}
    }
}
#[cfg(not(feature = "loom"))]
pub(crate) use unwatched::Watched;
