//! Threads that take turns, in an order that a seed decides, so that a run
//! with several threads can be repeated.

use epochwal::storage::sim::SimRng;
use std::sync::{Condvar, Mutex};

struct State {
    rng: SimRng,
    /// Threads that have not ended.
    alive: Vec<usize>,
    /// Whose turn it is.
    turn: usize,
}

impl State {
    fn next(&mut self) {
        if !self.alive.is_empty() {
            let index = self.rng.below(self.alive.len() as u64);
            self.turn = self.alive[index as usize];
        }
    }
}

pub struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

impl Turns {
    pub fn new(threads: usize, rng: SimRng) -> Turns {
        let mut state = State {
            rng,
            alive: (0..threads).collect(),
            turn: 0,
        };
        state.next();
        Turns {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Runs a step of a thread when it is its turn.
    pub fn take<T>(&self, thread: usize, step: impl FnOnce() -> T) -> T {
        self.take_over(thread);
        let result = step();
        self.pass(|_| {});
        result
    }

    /// Runs the last step of a thread.
    pub fn leave(&self, thread: usize, step: impl FnOnce()) {
        self.take_over(thread);
        step();
        self.pass(|state| state.alive.retain(|t| *t != thread));
    }

    fn take_over(&self, thread: usize) {
        let state = self.state.lock().unwrap();
        let state = self.changed.wait_while(state, |s| s.turn != thread);
        drop(state.unwrap());
    }

    fn pass(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap();
        change(&mut state);
        state.next();
        self.changed.notify_all();
    }
}
