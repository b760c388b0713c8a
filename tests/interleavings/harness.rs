//! Running a test under many schedules, and a disk that takes part in them.

use epochwal::recovery::{Recovery, RecoveryOptions};
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{File, LockMode, OpenMode, Storage};
use epochwal::{Batch, Coordinator, ErrorKind, Frame, Options, Result, Ticket};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// The model never lets a wait of this length run out.
pub const FOR_EVER: Duration = Duration::from_secs(3600);

const SEED: u64 = 0x5eed_0f1e_0c00_2026;

/// Runs `test` under `schedules` schedules by chance, and as many that preempt
/// rarely and at the worst moments. `EPOCHWAL_SCHEDULES` multiplies both,
/// `SHUTTLE_RANDOM_SEED` is another seed than the fixed one.
pub fn explore(schedules: usize, test: impl Fn() + Send + Sync + 'static) {
    let factor = std::env::var("EPOCHWAL_SCHEDULES").map_or(1, |f| {
        f.parse().expect("EPOCHWAL_SCHEDULES is a whole number")
    });
    let n = schedules * factor;
    let test = Arc::new(test);
    run("by chance", RandomScheduler::new_from_seed(SEED, n), &test);
    for depth in [2, 4] {
        let pct = PctScheduler::new_from_seed(SEED + depth as u64, depth, n.div_ceil(2));
        run(&format!("PCT of depth {depth}"), pct, &test);
    }
}

fn run(
    how: &str,
    scheduler: impl Scheduler + 'static,
    test: &Arc<impl Fn() + Send + Sync + 'static>,
) {
    struct Tell<'a>(&'a str);
    impl Drop for Tell<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("scheduled {}, seed {SEED:#x} (unless told another)", self.0);
            }
        }
    }
    let mut config = Config::new();
    // Recovery's frames in an unoptimized build; only what is touched counts.
    config.stack_size = 512 << 10;
    config.max_steps = MaxSteps::FailAfter(100_000);
    config.failure_persistence = FailurePersistence::Print;
    config.silence_warnings = true;
    let _tell = Tell(how);
    let test = test.clone();
    Runner::new(scheduler, config).run(move || test());
}

/// Where another thread may run.
pub fn step() {
    shuttle::thread::sleep(Duration::ZERO);
}

/// A simulated disk each call of which is a scheduling point, and one call of
/// which may panic.
#[derive(Clone, Debug)]
pub struct Disk {
    pub sim: SimStorage,
    /// Writes and syncs until one panics; negative: none does.
    fuse: Arc<AtomicI64>,
}

pub const DB: &str = "/data/test.db";

impl Disk {
    pub fn new() -> Disk {
        let sim = SimStorage::new();
        sim.make_dirs(Path::new("/data"));
        Disk::over(sim)
    }

    pub fn over(sim: SimStorage) -> Disk {
        Disk {
            sim,
            fuse: Arc::new(AtomicI64::new(-1)),
        }
    }

    /// Lets the write or sync after `calls` others panic.
    pub fn panic_after(&self, calls: u64) {
        self.fuse.store(calls as i64, Ordering::SeqCst);
    }

    pub fn open(&self, options: &Options) -> Arc<Coordinator> {
        let storage = Arc::new(self.clone());
        Arc::new(Coordinator::open_on(storage, Path::new(DB), options).expect("open"))
    }

    fn burn(&self) {
        step();
        // Not where nobody waits and nothing is promised: to the model, whose
        // threads are one, the flusher would panic too.
        if shuttle::thread::current().name() == Some("epochwal-spare") {
            return;
        }
        if self.fuse.fetch_sub(1, Ordering::SeqCst) == 0 {
            // Unlike `panic!` this does not ask the hook, which would take it
            // for a test that fails.
            std::panic::resume_unwind(Box::new("the disk panics"));
        }
    }
}

impl Storage for Disk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        step();
        let file = self.sim.open(path, mode)?;
        Ok(Arc::new(DiskFile {
            file,
            disk: self.clone(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        step();
        self.sim.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        step();
        self.sim.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        step();
        self.sim.sync_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        step();
        self.sim.list(dir)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.sim.resolve(path)
    }
}

#[derive(Debug)]
struct DiskFile {
    file: Arc<dyn File>,
    disk: Disk,
}

impl File for DiskFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        step();
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.disk.burn();
        self.file.write_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.burn();
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.disk.burn();
        self.file.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        step();
        self.file.set_len(len)
    }

    fn try_lock(&self, mode: LockMode, start: u64, len: u64) -> io::Result<bool> {
        step();
        self.file.try_lock(mode, start, len)
    }

    fn unlock(&self, start: u64, len: u64) -> io::Result<()> {
        step();
        self.file.unlock(start, len)
    }

    fn is_locked(&self, start: u64, len: u64) -> io::Result<bool> {
        step();
        self.file.is_locked(start, len)
    }
}

/// A recovered batch: its place, and that its content is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub epoch: u64,
    pub seq: u64,
    pub txn: u64,
}

/// What recovery gives on a disk; whatever it gives must be whole.
pub fn recover(sim: SimStorage) -> Vec<Found> {
    let options = RecoveryOptions::default();
    let mut stream =
        Recovery::open_on(Arc::new(sim), Path::new(DB), &options).expect("open the recovery");
    let mut found = Vec::new();
    while let Some(batch) = stream.next_batch().expect("recover") {
        for frame in &batch.frames {
            assert!(
                frame.data.iter().all(|&b| b == fill_of(batch.txn_id)),
                "batch {} is not what was staged",
                batch.txn_id
            );
        }
        found.push(Found {
            epoch: batch.epoch,
            seq: batch.commit_seq,
            txn: batch.txn_id,
        });
    }
    found
}

/// What the pages of a transaction are full of.
pub fn fill_of(txn: u64) -> u8 {
    txn as u8 ^ 0xa5
}

/// Whether the batch of a ticket is among those recovered, in its place.
pub fn holds(found: &[Found], txn: u64, ticket: &Ticket) -> bool {
    let at = Found {
        epoch: ticket.epoch,
        seq: ticket.commit_seq,
        txn,
    };
    let same: Vec<&Found> = found.iter().filter(|f| f.txn == txn).collect();
    assert!(same.len() <= 1, "batch {txn} came back twice: {same:?}");
    same.first().is_some_and(|f| **f == at)
}

/// An acknowledged batch survives the worst crash, from the very moment of
/// its acknowledgement.
pub fn assert_durable(disk: &Disk, txn: u64, ticket: &Ticket) {
    let found = recover(disk.sim.crash_nothing());
    assert!(
        holds(&found, txn, ticket),
        "batch {txn} was acknowledged as {ticket:?} and is not durable: {found:?}"
    );
}

/// A batch that will never be durable is on no disk that any crash leaves.
pub fn assert_never_durable(disk: &Disk, txn: u64) {
    let found = recover(disk.sim.crash_everything());
    assert!(
        found.iter().all(|f| f.txn != txn),
        "batch {txn} was given up for good and came back: {found:?}"
    );
}

/// Stages a batch of one page of `len` bytes.
pub fn submit(wal: &Coordinator, txn: u64, len: usize) -> Result<Ticket> {
    staged(wal, txn, txn, len)
}

/// As [`submit`], where the coordinator assigns the sequence.
pub fn submit_unnumbered(wal: &Coordinator, txn: u64, len: usize) -> Result<Ticket> {
    staged(wal, txn, 0, len)
}

fn staged(wal: &Coordinator, txn: u64, commit_seq: u64, len: usize) -> Result<Ticket> {
    let data = vec![fill_of(txn); len];
    wal.submit(&Batch {
        txn_id: txn,
        txn_epoch: 0,
        commit_seq,
        frames: &[Frame {
            page_number: 1,
            db_size_if_commit: 1,
            data: &data,
        }],
        metadata: &[],
    })
}

/// Stages a batch and waits for it, with one call.
pub fn commit(wal: &Coordinator, txn: u64) -> Result<Ticket> {
    let data = [fill_of(txn); 64];
    wal.commit(
        &Batch {
            txn_id: txn,
            txn_epoch: 0,
            commit_seq: txn,
            frames: &[Frame {
                page_number: 1,
                db_size_if_commit: 1,
                data: &data,
            }],
            metadata: &[],
        },
        None,
    )
}

/// Runs the same on `count` threads, with a number each from 1, and waits.
pub fn threads<T: Send + 'static>(
    count: u64,
    run: impl Fn(u64) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let run = Arc::new(run);
    let all: Vec<_> = (1..=count)
        .map(|i| {
            let run = run.clone();
            shuttle::thread::spawn(move || run(i))
        })
        .collect();
    all.into_iter().map(|t| t.join().expect("join")).collect()
}

pub fn kind<T>(result: &Result<T>) -> Option<ErrorKind> {
    result.as_ref().err().map(|e| e.kind())
}
