//! The futex and the clock of the world that shuttle runs.
//!
//! All threads of one execution share one thread of the system, so that what
//! belongs to the execution is kept in that thread, without locks: between two
//! scheduling points nobody else runs.

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::AtomicU32;
use shuttle::sync::{Condvar, Mutex};
use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// One look is as good as many: what happens between two of them happens
/// between a look and a sleep as well.
pub(crate) const fn spins(_count: u32) -> u32 {
    1
}

/// One time in so many a wait ends for no reason, or a limit runs out early.
const WHIM: u32 = 8;

/// A limit from here on never runs out: who sleeps under it and is not woken
/// is found as one of those who sleep for ever.
const NEVER: Duration = Duration::from_secs(30 * 60);

/// A thread asleep on a word.
struct Sleeper {
    word: usize,
    woken: Mutex<bool>,
    bell: Condvar,
}

impl Sleeper {
    fn wake(&self) {
        // A panic of a thread that unwinds poisons what others let go meanwhile.
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_one();
    }

    fn is_woken(&self) -> bool {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        while !*woken {
            woken = self
                .bell
                .wait(woken)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

thread_local! {
    static SLEEPERS: RefCell<Vec<Arc<Sleeper>>> = const { RefCell::new(Vec::new()) };
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A place among the sleepers.
struct Place(Arc<Sleeper>);

impl Place {
    fn take(word: &AtomicU32) -> Place {
        let sleeper = Arc::new(Sleeper {
            word: std::ptr::from_ref(word).addr(),
            woken: Mutex::new(false),
            bell: Condvar::new(),
        });
        SLEEPERS.with_borrow_mut(|all| all.push(sleeper.clone()));
        Place(sleeper)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        SLEEPERS.with_borrow_mut(|all| all.retain(|s| !Arc::ptr_eq(s, &self.0)));
    }
}

/// Sleeps while `word` is `expected`. Returns early for no reason now and
/// then; a `timeout` below [`NEVER`] runs out whenever the scheduler likes, and then the clock
/// says so.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    // The look and the falling asleep are one step, as the kernel's are.
    if word.load(Ordering::SeqCst) != expected {
        return;
    }
    let place = Place::take(word);
    let on_a_whim = || thread_rng().gen_ratio(1, WHIM);
    match timeout.filter(|&t| t < NEVER) {
        None if on_a_whim() => {}
        None => place.0.wait(),
        Some(patience) => {
            let end = NOW.get().saturating_add(patience);
            while !place.0.is_woken() {
                if on_a_whim() {
                    NOW.set(NOW.get().max(end));
                    break;
                }
                shuttle::thread::yield_now();
            }
        }
    }
}

/// Wakes up to `count` threads that wait on `word`, in any order; whether
/// there were any.
pub(crate) fn futex_wake(word: &AtomicU32, count: i32) -> bool {
    // Whatever changed the word, others may act before the wake.
    shuttle::thread::sleep(Duration::ZERO);
    let word = std::ptr::from_ref(word).addr();
    let mut woken = Vec::new();
    SLEEPERS.with_borrow_mut(|all| {
        for _ in 0..count {
            let here: Vec<usize> = (0..all.len()).filter(|&i| all[i].word == word).collect();
            if here.is_empty() {
                break;
            }
            let one = here[thread_rng().gen_range(0..here.len())];
            woken.push(all.remove(one));
        }
    });
    woken.iter().for_each(|s| s.wake());
    !woken.is_empty()
}

/// The execution's clock, which only waits that run out advance.
pub(crate) fn now() -> Duration {
    NOW.get()
}
