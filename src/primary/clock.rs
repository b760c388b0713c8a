//! Two clocks: one that only goes on, to measure with, and the wall's, to
//! stamp with. Nothing is decided by the wall's.

use crate::sync::Instant;
use std::fmt::Debug;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where a primary has its times from.
#[doc(hidden)]
pub trait Clock: Send + Sync + Debug {
    /// Time since some moment; never goes back.
    fn elapsed(&self) -> Duration;
    /// Milliseconds since the Unix epoch; may go anywhere.
    fn unix_ms(&self) -> u64;
}

/// The system's clocks.
#[derive(Debug)]
pub(super) struct SystemClock(Instant);

impl SystemClock {
    pub(super) fn new() -> SystemClock {
        SystemClock(Instant::now())
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |d| d.as_millis() as u64)
    }
}
