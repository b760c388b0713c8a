//! A log without a disk, clocks that stand still, and a simulated disk for the
//! slot store.
#![allow(dead_code)] // no suite uses all of it

use epochwal::primary::{
    Ack, Bounds, Branch, Clock, Parts, Primary, PrimaryOptions, Slot, SlotInfo, Wal,
};
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{OpenMode, Storage, read_exact_at, write_all_at};
use epochwal::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub const STORE: &str = "/data/app.db.logical.slots";
/// Long enough for any machine; a test never waits for it to pass.
pub const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));
pub const DAY: Duration = Duration::from_secs(24 * 3600);
/// Bytes that a record is said to have.
pub const RECORD: u64 = 100;

/// A log whose every word is durable at once.
#[derive(Debug, Default)]
pub struct Log {
    state: Mutex<LogState>,
    grown: Condvar,
}

#[derive(Clone, Debug, Default)]
pub struct LogState {
    pub id: u8,
    pub end: u64,
    pub pruned: u64,
    pub lost: u64,
    pub quorum: u64,
    pub has_store: bool,
    /// Term and first LSN of each.
    pub terms: Vec<(u64, u64)>,
    pub volatile: bool,
    pub prunes: Vec<u64>,
    /// What `save_quorum` and `prune_through` say.
    pub refuses: bool,
}

impl Log {
    pub fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn append_through(&self, lsn: u64) {
        let mut state = self.state();
        assert!(lsn >= state.end);
        state.end = lsn;
        self.grown.notify_all();
    }

    fn refusal(state: &LogState) -> Result<()> {
        match state.refuses {
            true => Err(Error::new(ErrorKind::Io, "the log refuses")),
            false => Ok(()),
        }
    }
}

impl Wal for Log {
    fn bounds(&self) -> Bounds {
        let state = self.state();
        let oldest = if state.pruned < state.end {
            state.pruned + 1
        } else {
            0
        };
        Bounds {
            oldest_lsn: oldest,
            current_lsn: state.end,
            pruned_through: state.pruned,
            lost_through: state.lost,
        }
    }

    fn is_durable(&self) -> bool {
        !self.state().volatile
    }

    fn identity(&self) -> [u8; 16] {
        [self.state().id; 16]
    }

    fn bytes_above(&self, lsn: u64) -> u64 {
        let state = self.state();
        state
            .end
            .saturating_sub(lsn.max(state.pruned))
            .saturating_mul(RECORD)
    }

    fn check_branch(&self, lsn: u64, term: u64) -> Branch {
        let state = self.state();
        assert!(lsn <= state.end, "asked beyond the end");
        let next = state.terms.iter().find(|(t, _)| *t > term);
        match next {
            Some((_, first)) if lsn >= *first => Branch::Diverged {
                last_common_lsn: first - 1,
            },
            _ => Branch::Same,
        }
    }

    fn prune_through(&self, lsn: u64) -> Result<u64> {
        let mut state = self.state();
        Self::refusal(&state)?;
        assert!(lsn <= state.end, "pruned beyond the end");
        state.pruned = state.pruned.max(lsn);
        let pruned = state.pruned;
        state.prunes.push(pruned);
        Ok(pruned)
    }

    fn save_quorum(&self, lsn: u64) -> Result<()> {
        let mut state = self.state();
        Self::refusal(&state)?;
        assert!(lsn > state.quorum, "saved what it has");
        state.quorum = lsn;
        Ok(())
    }

    fn quorum(&self) -> u64 {
        self.state().quorum
    }

    fn has_slot_store(&self) -> bool {
        self.state().has_store
    }

    fn note_slot_store(&self) -> Result<()> {
        self.state().has_store = true;
        Ok(())
    }

    fn wait_for_lsn_after(&self, lsn: u64, timeout: Option<Duration>) -> Result<bool> {
        let state = self.state();
        let later = |s: &mut LogState| s.end <= lsn;
        let limit = timeout.unwrap_or(Duration::from_secs(3600));
        let (state, _) = self.grown.wait_timeout_while(state, limit, later).unwrap();
        Ok(state.end > lsn)
    }
}

/// Clocks that a test sets.
#[derive(Debug, Default)]
pub struct Clocks(Mutex<(Duration, u64)>);

impl Clocks {
    pub fn pass(&self, time: Duration) {
        let mut clocks = self.0.lock().unwrap();
        clocks.0 += time;
        clocks.1 += time.as_millis() as u64;
    }

    /// The wall's clock alone.
    pub fn jump_to(&self, unix_ms: u64) {
        self.0.lock().unwrap().1 = unix_ms;
    }

    pub fn wall(&self) -> u64 {
        self.0.lock().unwrap().1
    }
}

impl Clock for Clocks {
    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().0
    }

    fn unix_ms(&self) -> u64 {
        self.0.lock().unwrap().1
    }
}

/// A machine with a log.
#[derive(Clone, Debug)]
pub struct Site {
    pub disk: SimStorage,
    pub log: Arc<Log>,
    pub clocks: Arc<Clocks>,
    pub options: PrimaryOptions,
}

impl Site {
    /// With a log that ends at `end`, and no thread that saves.
    pub fn new(end: u64) -> Site {
        let disk = SimStorage::new();
        disk.make_dirs(Path::new("/data"));
        let log = Arc::new(Log::default());
        log.append_through(end);
        let clocks = Arc::new(Clocks::default());
        clocks.jump_to(1_700_000_000_000);
        Site {
            disk,
            log,
            clocks,
            options: PrimaryOptions {
                saver: false,
                ..PrimaryOptions::default()
            },
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut PrimaryOptions)) -> Site {
        change(&mut self.options);
        self
    }

    /// The same log after a crash that left this disk; another boot's clock.
    pub fn after(&self, disk: SimStorage) -> Site {
        let clocks = Clocks::default();
        clocks.jump_to(self.clocks.wall());
        let log = Log::default();
        *log.state() = self.log.state().clone();
        Site {
            disk,
            log: Arc::new(log),
            clocks: Arc::new(clocks),
            options: self.options.clone(),
        }
    }

    pub fn open(&self) -> Result<Primary> {
        self.open_importing(&mut || Ok(Vec::new()))
    }

    pub fn open_importing(&self, import: &mut dyn FnMut() -> Result<Vec<Slot>>) -> Result<Primary> {
        let parts = Parts {
            wal: self.log.clone(),
            store: Some((Arc::new(self.disk.clone()), STORE.into())),
            clock: Some(self.clocks.clone()),
        };
        Primary::open_with(parts, &self.options, import)
    }

    pub fn open_in_memory(&self) -> Primary {
        self.log.state().volatile = true;
        let parts = Parts {
            wal: self.log.clone(),
            store: None,
            clock: Some(self.clocks.clone()),
        };
        Primary::open_with(parts, &self.options, &mut || {
            unreachable!("nothing to import")
        })
        .unwrap()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let file = self.disk.open(Path::new(STORE), OpenMode::Read).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        read_exact_at(&*file, &mut bytes, 0).unwrap();
        bytes
    }

    /// The same machine with these bytes for a store.
    pub fn holding(&self, bytes: &[u8]) -> Site {
        let site = self.after(SimStorage::new());
        site.disk.make_dirs(Path::new("/data"));
        let file = site
            .disk
            .open(Path::new(STORE), OpenMode::CreateNew)
            .unwrap();
        write_all_at(&*file, bytes, 0, 1).unwrap();
        file.sync_all().unwrap();
        site.disk.sync_dir(Path::new("/data")).unwrap();
        site
    }
}

/// Looks again until it is so; what never is so fails the test.
pub fn until(what: &str, so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE.unwrap(), "never: {what}");
        std::thread::yield_now();
    }
}

pub fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("refused").kind()
}

pub fn durable(lsn: u64) -> Ack {
    Ack {
        durable: lsn,
        ..Ack::default()
    }
}

pub fn applied(lsn: u64) -> Ack {
    Ack {
        durable: lsn,
        applied: lsn,
        ..Ack::default()
    }
}

/// Ids and restart LSNs of the valid slots.
pub fn valid(primary: &Primary) -> Vec<(String, u64)> {
    let slots = primary.slots().into_iter();
    let valid = slots.filter(|s| s.slot.is_valid());
    valid.map(|s| (s.slot.id, s.slot.restart_lsn)).collect()
}

/// The slots without the times at which things were done.
pub fn timeless(primary: &Primary) -> Vec<Slot> {
    let strip = |info: SlotInfo| Slot {
        last_seen_ms: 0,
        created_ms: 0,
        ..info.slot
    };
    primary.slots().into_iter().map(strip).collect()
}
