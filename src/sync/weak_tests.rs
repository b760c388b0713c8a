//! The mutex and the condition variable where memory is weak.
//!
//! Each test names the weakenings of the code that it is known to catch.

use super::weak::{World, explore};
use super::{Condvar, Mutex};
use ::loom::thread::{self, JoinHandle};
use std::sync::Arc;

fn join<const N: usize>(threads: [JoinHandle<()>; N]) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Each holder sees all that the one before it did.
///
/// Caught: `Relaxed` for the exchange in `take_free`, for the swap in `wait`,
/// or for the one in `unlock`; `HELD` for `AWAITED` in `wait`; no wake in `unlock`.
#[test]
fn a_mutex_hands_its_value_on() {
    explore(World::Sleep, 3, || {
        let total = Arc::new(Mutex::new(0));
        let others = [1, 2].map(|_| {
            let total = total.clone();
            thread::spawn(move || *total.lock() += 1)
        });
        *total.lock() += 1;
        join(others);
        assert_eq!(*total.lock(), 3);
    });
}

#[test]
fn a_mutex_that_is_tried_for_is_had_alone() {
    explore(World::Sleep, None, || {
        let total = Arc::new(Mutex::new(0));
        let theirs = total.clone();
        let other = thread::spawn(move || theirs.try_lock().map(|mut t| *t += 1).is_some());
        let mine = total.try_lock().map(|mut t| *t += 1).is_some();
        let had = u32::from(mine) + u32::from(other.join().unwrap());
        assert!(had >= 1);
        assert_eq!(*total.lock(), had);
    });
}

/// Of a change made under the lock and told afterwards, whoever waits hears.
///
/// Caught: the word read after the unlock in `Condvar::sleep`; no change of the
/// word in `notify_all`.
#[test]
fn no_notification_is_lost() {
    for under_the_lock in [true, false] {
        explore(World::Sleep, 3, move || {
            let door = Arc::new((Mutex::new(false), Condvar::default()));
            let others = [1, 2].map(|_| {
                let door = door.clone();
                thread::spawn(move || {
                    let mut open = door.0.lock();
                    while !*open {
                        door.1.wait(&mut open);
                    }
                })
            });
            let mut open = door.0.lock();
            *open = true;
            if !under_the_lock {
                drop(open);
                door.1.notify_all();
            } else {
                door.1.notify_all();
                drop(open);
            }
            join(others);
        });
    }
}
