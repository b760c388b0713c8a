//! A mutex and a condition variable, each one word in memory.
//!
//! Their own, because of `fork()`: parking_lot keeps its waiting threads in a
//! table of the whole process, under locks that another thread may hold at
//! the moment of a fork; the child then hangs at its first contended lock or
//! notified condition, over a database of its own too. The standard library's
//! have no such table, but no time limit on a lock either.
//!
//! Nothing is poisoned: what a panic leaves half done is the owner's to tell.

use super::{AtomicU32, Instant, Ordering, Watched, futex_wait, futex_wake, spins};
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and someone may be asleep.
const AWAITED: u32 = 2;

/// How often a lock is tried before its thread sleeps: about as long as a
/// short critical section takes.
const SPINS: u32 = 100;

/// Mutual exclusion.
pub(crate) struct Mutex<T: ?Sized> {
    state: AtomicU32,
    watched: Watched,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only by the one thread that holds the lock.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex {
            state: AtomicU32::new(FREE),
            watched: Watched::new(1),
            value: UnsafeCell::new(value),
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state.load(Ordering::Relaxed) {
            FREE => "Mutex(free)",
            _ => "Mutex(held)",
        })
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        if !self.take_free() {
            self.wait(None);
        }
        self.guard()
    }

    /// The lock, if it is free now.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.take_free().then(|| self.guard())
    }

    /// The lock, if it becomes free in time.
    pub(crate) fn try_lock_for(&self, patience: Duration) -> Option<MutexGuard<'_, T>> {
        // A limit beyond the clock's range is none.
        let end = Instant::now().checked_add(patience);
        (self.take_free() || self.wait(end)).then(|| self.guard())
    }

    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: self,
            _stays: PhantomData,
        }
    }

    /// A failed look and an unlock have their places in the one order of all
    /// `SeqCst` operations. So who announces itself elsewhere and then finds the
    /// lock held is seen there by whoever looks after the unlock: that is how
    /// the lead gets from one committer to the next.
    fn take_free(&self) -> bool {
        // A look first: where the lock is held, as a committer mostly finds it,
        // the cache line stays with its holder.
        let taken = self.state.load(Ordering::SeqCst) == FREE
            && self
                .state
                .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::SeqCst)
                .is_ok();
        if taken {
            self.watched.touch(0..1);
        }
        taken
    }

    #[cold]
    fn wait(&self, end: Option<Instant>) -> bool {
        for _ in 0..spins(SPINS) {
            if self.take_free() {
                return true;
            }
            std::hint::spin_loop();
        }
        // From here on as "awaited": who sleeps can't know whether it is alone.
        while self.state.swap(AWAITED, Ordering::Acquire) != FREE {
            let left = match end {
                None => None,
                Some(end) => match end.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => Some(left),
                    _ => return false,
                },
            };
            futex_wait(&self.state, AWAITED, left);
        }
        self.watched.touch(0..1);
        true
    }

    fn unlock(&self) {
        self.watched.touch(0..1);
        if self.state.swap(FREE, Ordering::SeqCst) == AWAITED {
            futex_wake(&self.state, 1);
        }
    }
}

/// The lock, held until it is dropped.
pub(crate) struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    /// Given back by the thread that took it.
    _stays: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock, and is borrowed alone.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.unlock();
    }
}

/// Waiting for a change under a mutex.
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    /// Changes with each notification.
    news: AtomicU32,
}

impl Condvar {
    /// Gives the lock up until notified, or for no reason.
    pub(crate) fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        self.sleep(guard, None);
    }

    /// As [`Condvar::wait`], at most for `patience`.
    pub(crate) fn wait_for<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, patience: Duration) {
        self.sleep(guard, Some(patience));
    }

    fn sleep<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, patience: Option<Duration>) {
        // Read under the lock: a change made under it after this is seen by
        // the kernel as another word than the one expected.
        let news = self.news.load(Ordering::Relaxed);
        guard.mutex.unlock();
        futex_wait(&self.news, news, patience);
        if !guard.mutex.take_free() {
            guard.mutex.wait(None);
        }
    }

    /// Wakes all that wait.
    pub(crate) fn notify_all(&self) {
        self.news.fetch_add(1, Ordering::Release);
        futex_wake(&self.news, i32::MAX);
    }
}

#[cfg(all(test, not(any(feature = "shuttle", feature = "loom"))))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn many_threads_count_without_losing_one() {
        let total = Mutex::new(0_u64);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50_000 {
                        *total.lock() += 1;
                    }
                });
            }
        });
        assert_eq!(*total.lock(), 400_000);
    }

    #[test]
    fn a_held_lock_is_not_had_in_time_and_a_freed_one_is() {
        let mutex = Mutex::new(());
        let held = mutex.lock();
        assert!(mutex.try_lock().is_none());
        assert!(mutex.try_lock_for(Duration::from_millis(5)).is_none());
        drop(held);
        assert!(mutex.try_lock_for(Duration::MAX).is_some());
    }

    /// A ball that two threads pass to each other: a lost wakeup hangs it.
    #[test]
    fn no_notification_is_lost() {
        let table = Arc::new((Mutex::new(0_u32), Condvar::default()));
        let play = |parity| {
            let table = Arc::clone(&table);
            move || {
                let (ball, changed) = &*table;
                for _ in 0..20_000 {
                    let mut at = ball.lock();
                    while *at % 2 != parity {
                        changed.wait(&mut at);
                    }
                    *at += 1;
                    changed.notify_all();
                }
            }
        };
        let other = std::thread::spawn(play(1));
        play(0)();
        other.join().unwrap();
        assert_eq!(*table.0.lock(), 40_000);
    }
}
