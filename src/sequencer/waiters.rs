//! Where committers sleep: a futex word per epoch, sixteen in a ring, so that
//! only those wake whose epoch became durable.

use crate::sync::{AtomicU32, Ordering, futex_wait, futex_wake};
use std::time::Duration;

/// Epochs that are waited for at one time are neighbours, so that a ring of
/// sixteen keeps them apart.
const WORDS: u64 = 16;

/// A word to sleep on.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct WaitWord {
    changes: AtomicU32,
    sleepers: AtomicU32,
}

impl WaitWord {
    /// Announces a sleeper: from now on a wake bumps the word. The token says
    /// what the word was; the condition is looked at after this.
    pub(crate) fn enter(&self) -> Sleeper<'_> {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        Sleeper { word: self }
    }

    /// Whether anyone sleeps here, or is about to.
    pub(crate) fn has_sleepers(&self) -> bool {
        self.sleepers.load(Ordering::SeqCst) > 0
    }

    /// Wakes up to `count` sleepers. What they wait for must be visible before.
    pub(crate) fn wake(&self, count: i32) {
        if self.has_sleepers() {
            self.changes.fetch_add(1, Ordering::SeqCst);
            futex_wake(&self.changes, count);
        }
    }
}

/// One who is about to sleep; leaving the word when dropped.
pub(crate) struct Sleeper<'a> {
    word: &'a WaitWord,
}

impl Sleeper<'_> {
    /// What the word is now: a change after this ends the sleep at once.
    pub(crate) fn token(&self) -> u32 {
        self.word.changes.load(Ordering::SeqCst)
    }

    /// Sleeps until the word is not `token` any more, or the time is up.
    pub(crate) fn sleep(&self, token: u32, timeout: Option<Duration>) {
        futex_wait(&self.word.changes, token, timeout);
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.word.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The words of all epochs.
#[derive(Debug, Default)]
pub(crate) struct Waiters([WaitWord; WORDS as usize]);

impl Waiters {
    /// The word of an epoch.
    pub(crate) fn of(&self, epoch: u64) -> &WaitWord {
        &self.0[(epoch % WORDS) as usize]
    }

    /// Wakes everyone.
    pub(crate) fn wake_all(&self) {
        for word in &self.0 {
            word.wake(i32::MAX);
        }
    }
}
