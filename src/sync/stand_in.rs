//! What stands in for `std::time` and `std::thread` where a model checker
//! runs the world: on the checker's own threads and the world's own clock.

use super::machine::now;
use std::ops::Add;
use std::time::Duration;

#[cfg(feature = "loom")]
use ::loom as checker;
#[cfg(feature = "shuttle")]
use ::shuttle as checker;

/// A moment of the execution's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(Duration);

impl Instant {
    pub(crate) fn now() -> Instant {
        Instant(now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        Instant::now().saturating_duration_since(self)
    }

    pub(crate) fn checked_add(self, more: Duration) -> Option<Instant> {
        self.0.checked_add(more).map(Instant)
    }

    pub(crate) fn checked_duration_since(self, earlier: Instant) -> Option<Duration> {
        self.0.checked_sub(earlier.0)
    }

    pub(crate) fn saturating_duration_since(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, more: Duration) -> Instant {
        Instant(self.0 + more)
    }
}

/// What the crate uses of `std::thread`.
pub(crate) mod thread {
    use super::checker;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Of whichever thread of the execution: they are one to the system. Who
    /// asks compares with what it was before.
    pub(crate) use std::thread::panicking;

    pub(crate) struct Builder(checker::thread::Builder);

    impl Builder {
        pub(crate) fn new() -> Builder {
            Builder(checker::thread::Builder::new())
        }

        pub(crate) fn name(self, name: String) -> Builder {
            Builder(self.0.name(name))
        }

        pub(crate) fn spawn<T: Send + 'static>(
            self,
            run: impl FnOnce() -> T + Send + 'static,
        ) -> io::Result<JoinHandle<T>> {
            let finished = Arc::new(AtomicBool::new(false));
            let done = finished.clone();
            let inner = self.0.spawn(move || {
                let result = run();
                done.store(true, Ordering::SeqCst);
                result
            })?;
            Ok(JoinHandle { inner, finished })
        }
    }

    #[derive(Debug)]
    pub(crate) struct JoinHandle<T> {
        inner: checker::thread::JoinHandle<T>,
        finished: Arc<AtomicBool>,
    }

    impl<T> JoinHandle<T> {
        pub(crate) fn join(self) -> std::thread::Result<T> {
            self.inner.join()
        }

        pub(crate) fn is_finished(&self) -> bool {
            self.finished.load(Ordering::SeqCst)
        }
    }
}
