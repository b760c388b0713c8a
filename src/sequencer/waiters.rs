//! Where committers sleep: a futex word per epoch, sixteen in a ring, so that
//! only those wake whose epoch became durable.

use crate::sync::{AtomicU32, Ordering, futex_wait, futex_wake};
use crate::wrong::{self, Wrong};
use std::time::Duration;

/// Epochs that are waited for at one time are neighbours, so that a ring of
/// sixteen keeps them apart.
const WORDS: u64 = 16;

/// Someone may sleep on the word. Above it stands how often the word was woken.
const SLEEPERS: u32 = 1;
const ONE_WAKE: u32 = 2;

/// A word to sleep on.
///
/// Sleepers are not counted, because a count is written twice per sleep, by
/// all of them in one cache line. One bit says that there may be some: the
/// first sleeper sets it, the others find it set, and waking all clears it. It
/// outlives those who leave without having been woken; the next wake is then
/// for nobody.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct WaitWord(AtomicU32);

impl WaitWord {
    /// Announces a sleeper: from now on a wake changes the word. Gives what the
    /// word is; the condition is looked at after this.
    ///
    /// Who finds the bit set needs not write: whoever cleared it before a waker
    /// looks has changed the word, so that this sleep ends at once.
    pub(crate) fn enter(&self) -> Token {
        let word = self.0.load(Ordering::SeqCst);
        if word & SLEEPERS != 0 {
            return Token(word);
        }
        Token(self.0.fetch_or(SLEEPERS, Ordering::SeqCst) | SLEEPERS)
    }

    /// Sleeps until the word is not what it was at `enter`, or the time is up.
    pub(crate) fn sleep(&self, token: Token, timeout: Option<Duration>) {
        futex_wait(&self.0, token.0, timeout);
    }

    /// Wakes one sleeper, and those who are about to sleep. What it is to do
    /// must be visible before. Whether one slept: others may sleep on, so that
    /// the bit stays.
    pub(crate) fn wake_one(&self) -> bool {
        if self.0.load(Ordering::SeqCst) & SLEEPERS == 0 {
            return false;
        }
        let wake = match wrong::is(Wrong::WakeOfOneForgetsTheOthers) {
            true => ONE_WAKE - SLEEPERS,
            false => ONE_WAKE,
        };
        self.0.fetch_add(wake, Ordering::SeqCst);
        futex_wake(&self.0, 1) || wrong::is(Wrong::LeadIsHandedToNobody)
    }

    /// Wakes everyone. What they wait for must be visible before.
    pub(crate) fn wake_all(&self) {
        let mut word = self.0.load(Ordering::SeqCst);
        // Whoever clears the bit first wakes them.
        while word & SLEEPERS != 0 {
            let woken = (word & !SLEEPERS).wrapping_add(ONE_WAKE);
            match self
                .0
                .compare_exchange(word, woken, Ordering::SeqCst, Ordering::SeqCst)
            {
                Ok(_) => {
                    futex_wake(&self.0, i32::MAX);
                    return;
                }
                Err(now) => word = now,
            }
        }
    }
}

/// What a word was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token(u32);

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
            word.wake_all();
        }
    }
}
