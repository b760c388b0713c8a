//! What most people write by hand: pwrite and fdatasync over written blocks.

use super::Arm;
use super::ring::{Cursor, Ring};
use parking_lot::{Condvar, Mutex};
use std::path::Path;

/// One commit at a time, under a lock.
pub struct Prealloc {
    ring: Ring,
    state: Mutex<Serial>,
}

#[derive(Default)]
struct Serial {
    buffer: Vec<u8>,
    cursor: Cursor,
    groups: u64,
}

impl Prealloc {
    pub fn open(dir: &Path) -> Result<Prealloc, String> {
        Ok(Prealloc {
            ring: Ring::buffered(dir)?,
            state: Mutex::default(),
        })
    }
}

impl Arm for Prealloc {
    fn commit(&self, _thread: usize, batch: &[&[u8]]) -> Result<(), String> {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.buffer.clear();
        for frame in batch {
            state.buffer.extend_from_slice(frame);
        }
        let at = state.cursor.take(state.buffer.len());
        self.ring.write(&state.buffer, at)?;
        self.ring.sync()?;
        state.groups += 1;
        Ok(())
    }

    fn groups(&self) -> Option<u64> {
        Some(self.state.lock().groups)
    }
}

/// Leader and followers: whoever finds nobody writing takes what all have put
/// into the buffer, writes it, and wakes the others.
pub struct Group {
    ring: Ring,
    state: Mutex<Shared>,
    changed: Condvar,
}

struct Shared {
    filling: Vec<u8>,
    spare: Vec<u8>,
    cursor: Cursor,
    /// The group that the filling buffer will be.
    group: u64,
    durable: u64,
    writing: bool,
    failure: Option<String>,
}

impl Group {
    pub fn open(dir: &Path) -> Result<Group, String> {
        Ok(Group {
            ring: Ring::buffered(dir)?,
            state: Mutex::new(Shared {
                filling: Vec::with_capacity(1 << 20),
                spare: Vec::with_capacity(1 << 20),
                cursor: Cursor::default(),
                group: 1,
                durable: 0,
                writing: false,
                failure: None,
            }),
            changed: Condvar::new(),
        })
    }
}

impl Arm for Group {
    fn commit(&self, _thread: usize, batch: &[&[u8]]) -> Result<(), String> {
        let mut state = self.state.lock();
        for frame in batch {
            state.filling.extend_from_slice(frame);
        }
        let mine = state.group;
        while state.durable < mine {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.writing {
                self.changed.wait(&mut state);
                continue;
            }
            state.writing = true;
            state.group += 1;
            let spare = std::mem::take(&mut state.spare);
            let full = std::mem::replace(&mut state.filling, spare);
            let at = state.cursor.take(full.len());
            drop(state);
            let written = self.ring.write(&full, at).and_then(|()| self.ring.sync());
            state = self.state.lock();
            state.writing = false;
            state.spare = full;
            state.spare.clear();
            match written {
                Ok(()) => state.durable = mine,
                Err(e) => state.failure = Some(e),
            }
            self.changed.notify_all();
        }
        Ok(())
    }

    fn groups(&self) -> Option<u64> {
        Some(self.state.lock().durable)
    }
}
