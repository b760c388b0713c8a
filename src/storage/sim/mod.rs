//! A simulated disk for crash tests: deterministic, in memory, and as unkind
//! as a real one may be.
//!
//! # What a crash keeps
//!
//! A file's bytes are kept or lost in sectors of 512 bytes, each by itself.
//! What was synced is kept. Of a sector written since, any version may be
//! left: the durable one, or any written after it. The same holds for a
//! file's size, chosen apart from its bytes: bytes beyond it are lost, and
//! bytes below it that were lost read as zeros or as what was there before.
//! (That is harsher than most file systems, which order a size after its
//! bytes, and never show again what a cut removed.)
//!
//! Creating, renaming and unlinking a file are pending until a sync of the
//! directory, each kept whole or lost whole. Syncing a file makes its bytes
//! and size durable, and not its name. Closing a file syncs nothing: others
//! still read what is in the page cache, a crash loses it.
//!
//! A write through a [`OpenMode::DirectSync`] file may be torn by a crash
//! while it is under way. Once it returned its bytes are durable, but neither
//! a size that it changed nor the file's name.
//!
//! Directories exist from when they are made by [`SimStorage::make_dirs`].
//! There are no links. Relative paths begin at the root.
//!
//! # Crashing
//!
//! A crash does not touch the running machine: [`SimStorage::crash`] and its
//! kin give another one, with what was left of the disk. Take it after the
//! workload, or at each operation ([`SimStorage::on_operation`]), or stop the
//! workload in its middle ([`SimStorage::cut_power_at`]).

mod disk;
mod fault;
mod file;
mod inode;
mod lock;
mod rng;

pub use fault::{Call, Fault, FaultPlan, Gate, is_power_cut};
pub use inode::SECTOR;
pub use rng::SimRng;

use super::{File, OpenMode, Storage};
use disk::Disk;
use fault::{Barrier, Effect, power_cut};
use file::SimFile;
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Sees the state of the disk at an operation, and the operation's number.
type Observer = Arc<dyn Fn(SimStorage, u64) + Send + Sync>;
/// Sees each call and its paths.
type Listener = Arc<dyn Fn(Call, &[&Path]) + Send + Sync>;

/// A simulated machine: its disk, page cache and locks. Clones are the same
/// machine. Any number of threads may use it.
#[derive(Clone, Default)]
pub struct SimStorage(Arc<Shared>);

#[derive(Default)]
struct Shared {
    machine: Mutex<Machine>,
    gates: Mutex<Vec<Arc<Barrier>>>,
}

#[derive(Default)]
struct Machine {
    disk: Disk,
    locks: lock::Locks,
    /// Open files, by owner.
    open: BTreeMap<u64, u64>,
    last_owner: u64,
    operations: u64,
    calls: [u64; Call::ALL.len()],
    cut_at: Option<u64>,
    powerless: bool,
    capacity: Option<u64>,
    refuses_direct: bool,
    read_only: bool,
    faults: Vec<Fault>,
    observer: Option<Observer>,
    listener: Option<Listener>,
}

/// A call that has begun, and what a fault plan says about it.
struct Ongoing<'a> {
    machine: MutexGuard<'a, Machine>,
    effect: Option<Effect>,
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

/// Whether after this error nobody knows what reached the disk.
fn leaves_doubt(error: &io::Error) -> bool {
    !matches!(error.raw_os_error(), Some(libc::EINTR | libc::ENOSPC))
}

impl std::fmt::Debug for SimStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimStorage(after {} operations)", self.operations())
    }
}

/// Running a machine.
impl SimStorage {
    /// A machine with an empty disk, which has a root directory.
    pub fn new() -> Self {
        let storage = SimStorage::default();
        storage.make_dirs(Path::new("/"));
        storage
    }

    /// A machine with this disk, and nothing running.
    fn with(disk: Disk) -> Self {
        let storage = SimStorage::default();
        storage.0.machine.lock().disk = disk;
        storage
    }

    /// Makes a directory and those above it. They are durable at once.
    pub fn make_dirs(&self, dir: &Path) {
        self.0.machine.lock().disk.make_dirs(&normalize(dir));
    }

    /// How many operations there have been: calls that change something, or
    /// would (write, set_len, syncs, rename, remove, an open that creates).
    /// They are numbered from 1.
    pub fn operations(&self) -> u64 {
        self.0.machine.lock().operations
    }

    /// How many calls of a kind there have been, failed ones included.
    pub fn calls(&self, call: Call) -> u64 {
        self.0.machine.lock().calls[call as usize]
    }

    /// Cuts the power when operation `n` is under way: a crash may find it
    /// done, not done, or partly done. It and all later calls of any kind
    /// fail with an error that [`is_power_cut`] knows.
    pub fn cut_power_at(&self, n: u64) {
        self.0.machine.lock().cut_at = Some(n);
    }

    /// Limits the bytes that files may take together; past it writes fall
    /// short or fail with `ENOSPC`. Holes take no room, nor do sectors that
    /// are written again.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.machine.lock().capacity = bytes;
    }

    /// Makes opens for direct I/O fail with `EINVAL`, as on a file system
    /// that does not take it; or not any more.
    pub fn refuse_direct(&self, refuse: bool) {
        self.0.machine.lock().refuses_direct = refuse;
    }

    /// Makes every change fail with `EROFS`, as a file system does that was
    /// mounted read-only, or that made itself so after an error; or not any more.
    pub fn set_read_only(&self, read_only: bool) {
        self.0.machine.lock().read_only = read_only;
    }

    /// Lays a plan for calls to fail. Where several plans hit a call, the one
    /// laid first decides.
    pub fn fail(&self, plan: FaultPlan) -> Fault {
        let fault = Fault::new(plan);
        self.0.machine.lock().faults.push(fault.clone());
        fault
    }

    /// Lifts all plans.
    pub fn clear_faults(&self) {
        self.0.machine.lock().faults.clear();
    }

    /// Holds up calls of a kind, before they do anything, until the gate is
    /// opened or dropped.
    pub fn block_on(&self, call: Call) -> Gate {
        self.add_gate(call, None)
    }

    /// As [`SimStorage::block_on`], for paths that contain `part`.
    pub fn block_on_path(&self, call: Call, part: &str) -> Gate {
        self.add_gate(call, Some(part))
    }

    fn add_gate(&self, call: Call, part: Option<&str>) -> Gate {
        let (gate, barrier) = Gate::new(call, part);
        let mut gates = self.0.gates.lock();
        gates.retain(|gate| !gate.is_open());
        gates.push(barrier);
        gate
    }

    /// Calls `observer` at each operation from now on, with the machine's
    /// state while the operation is under way (see
    /// [`SimStorage::snapshot`]) and the operation's number. What a thread
    /// did after an earlier operation returned happened before the call.
    ///
    /// The observer runs inside the operation: it may use the state given to
    /// it, keep it, and crash it, but must not use this machine.
    pub fn on_operation(&self, observer: impl Fn(SimStorage, u64) + Send + Sync + 'static) {
        self.0.machine.lock().observer = Some(Arc::new(observer));
    }

    /// Calls `listener` at each call from now on, failing ones included, with
    /// the paths that it is about, before the call does anything and before
    /// the observer of [`SimStorage::on_operation`] sees it. Like that one it
    /// must not use this machine.
    pub fn on_call(&self, listener: impl Fn(Call, &[&Path]) + Send + Sync + 'static) {
        self.0.machine.lock().listener = Some(Arc::new(listener));
    }

    /// Ends what [`SimStorage::on_operation`] and [`SimStorage::on_call`] began.
    pub fn stop_observing(&self) {
        let mut machine = self.0.machine.lock();
        machine.observer = None;
        machine.listener = None;
    }
}

/// Crashing.
impl SimStorage {
    /// Another machine in this one's state, as if all its processes had been
    /// killed: the page cache is there, locks, plans and limits are gone.
    /// Cheap, also for large disks: the two share what neither changes.
    pub fn snapshot(&self) -> SimStorage {
        SimStorage::with(self.0.machine.lock().still())
    }

    /// What a power failure leaves: another machine, where what had not been
    /// synced is there or not as `choose` says. It is asked for a number
    /// below its argument: 0 means that nothing of a change survived, the
    /// highest that all of it did. The questions and their order don't depend
    /// on the answers.
    pub fn crash(&self, choose: &mut dyn FnMut(usize) -> usize) -> SimStorage {
        let disk = self.0.machine.lock().still();
        SimStorage::with(disk.crash(choose))
    }

    /// A crash that keeps some and loses some, as the seed says. Seeds differ
    /// in how much they keep, too: from hardly anything to nearly everything.
    pub fn crash_random(&self, seed: u64) -> SimStorage {
        let mut rng = SimRng::new(seed);
        let keep = [1, 4, 8, 12, 15][rng.below(5) as usize];
        self.crash(&mut |choices| match rng.chance(keep, 16) {
            false => 0,
            true => 1 + rng.below(choices as u64 - 1) as usize,
        })
    }

    /// A crash that loses all that it may lose.
    pub fn crash_nothing(&self) -> SimStorage {
        self.crash(&mut |_| 0)
    }

    /// A crash that keeps all.
    pub fn crash_everything(&self) -> SimStorage {
        self.crash(&mut |choices| choices - 1)
    }

    /// How many choices a crash has.
    pub fn pending_count(&self) -> usize {
        let mut count = 0;
        self.crash(&mut |_| {
            count += 1;
            0
        });
        count
    }

    /// A crash that keeps a change (its last version) where the bit of its
    /// number is set, and loses it otherwise, as those from 64 up.
    pub fn crash_bits(&self, mask: u64) -> SimStorage {
        let mut bits = mask;
        self.crash(&mut |choices| {
            let keep = bits & 1 == 1;
            bits >>= 1;
            if keep { choices - 1 } else { 0 }
        })
    }

    /// Every crash that is possible now, one by one; the first keeps nothing,
    /// the last everything. There are as many as the product of the choices:
    /// look at [`SimStorage::pending_count`] first, or take only some.
    pub fn crashes(&self) -> Crashes {
        let state = self.snapshot();
        let mut choices = Vec::new();
        state.crash(&mut |n| {
            choices.push(n);
            0
        });
        Crashes {
            next: Some(vec![0; choices.len()]),
            state,
            choices,
        }
    }
}

/// All crashes of a state; see [`SimStorage::crashes`].
#[derive(Debug)]
pub struct Crashes {
    state: SimStorage,
    /// How many answers each question has.
    choices: Vec<usize>,
    /// The next answers.
    next: Option<Vec<usize>>,
}

impl Iterator for Crashes {
    type Item = SimStorage;

    fn next(&mut self) -> Option<SimStorage> {
        let answers = self.next.take()?;
        let mut given = answers.iter();
        let crashed = self
            .state
            .crash(&mut |_| *given.next().expect("as often as counted"));
        // The answers are digits: count up by one.
        let mut after = answers;
        for (digit, base) in after.iter_mut().zip(&self.choices) {
            *digit += 1;
            if *digit < *base {
                self.next = Some(after);
                break;
            }
            *digit = 0;
        }
        Some(crashed)
    }
}

impl Machine {
    /// The disk and page cache at this moment, without what only open files
    /// reach.
    fn still(&self) -> Disk {
        let mut disk = self.disk.clone();
        disk.collect(|_| false);
        disk
    }

    /// How many bytes may still be allocated.
    fn room(&self) -> u64 {
        match self.capacity {
            Some(capacity) => capacity.saturating_sub(self.disk.allocated()),
            None => u64::MAX,
        }
    }

    /// Drops files that nobody can reach any more.
    fn collect(&mut self) {
        let open = &self.open;
        let is_open = |inode| open.values().any(|&i| i == inode);
        self.disk.collect(is_open);
    }
}

impl Ongoing<'_> {
    /// Counts the operation, shows it to the observer, and cuts the power if
    /// it is time. What it writes is in the page cache by now, and pending;
    /// what it syncs is not yet durable.
    fn mutate(&mut self) -> io::Result<()> {
        self.machine.operations += 1;
        let number = self.machine.operations;
        if let Some(observer) = self.machine.observer.clone() {
            observer(SimStorage::with(self.machine.still()), number);
        }
        if self.machine.cut_at.is_some_and(|n| number >= n) {
            self.machine.powerless = true;
            return Err(power_cut());
        }
        Ok(())
    }
}

impl SimStorage {
    /// Passes the gates, and sees whether the call is to fail.
    fn begin(&self, call: Call, paths: &[&Path]) -> io::Result<Ongoing<'_>> {
        let gates = self.0.gates.lock().clone();
        for gate in gates {
            gate.pass(call, paths);
        }
        let mut machine = self.0.machine.lock();
        machine.calls[call as usize] += 1;
        if machine.powerless {
            return Err(power_cut());
        }
        let changes = matches!(
            call,
            Call::Rename | Call::Remove | Call::Write | Call::SetLen
        );
        if machine.read_only && changes {
            return Err(errno(libc::EROFS));
        }
        if let Some(listener) = machine.listener.clone() {
            listener(call, paths);
        }
        let mut faults = machine.faults.iter();
        let effect = faults.find_map(|fault| fault.strike(call, paths));
        Ok(Ongoing { machine, effect })
    }

    /// Whether anything asks for the paths of calls.
    fn is_watched(&self) -> bool {
        let machine = self.0.machine.lock();
        machine.listener.is_some() || !machine.faults.is_empty() || !self.0.gates.lock().is_empty()
    }

    fn name_of(&self, inode: u64) -> Option<PathBuf> {
        let machine = self.0.machine.lock();
        machine.disk.name_of(inode).map(Path::to_owned)
    }

    fn close(&self, owner: u64) {
        let mut machine = self.0.machine.lock();
        machine.locks.forget(owner);
        machine.open.remove(&owner);
        machine.collect();
    }
}

impl Storage for SimStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let path = normalize(path);
        let mut ongoing = self.begin(Call::Open, &[&path])?;
        ongoing.fail()?;
        if ongoing.machine.disk.is_dir(&path) {
            return Err(errno(libc::EISDIR));
        }
        if ongoing.machine.read_only && mode != OpenMode::Read {
            return Err(errno(libc::EROFS));
        }
        let found = ongoing.machine.disk.find(&path);
        if mode == OpenMode::DirectSync && ongoing.machine.refuses_direct && found.is_some() {
            return Err(errno(libc::EINVAL));
        }
        let inode = match (found, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(errno(libc::EEXIST)),
            (Some(inode), _) => inode,
            (None, OpenMode::CreateNew | OpenMode::WriteOrCreate) => {
                let dir = path.parent().unwrap_or(Path::new("/"));
                if !ongoing.machine.disk.is_dir(dir) {
                    return Err(errno(libc::ENOENT));
                }
                let inode = ongoing.machine.disk.create(&path);
                ongoing.mutate()?;
                inode
            }
            (None, _) => return Err(errno(libc::ENOENT)),
        };
        ongoing.machine.last_owner += 1;
        let owner = ongoing.machine.last_owner;
        ongoing.machine.open.insert(owner, inode);
        Ok(Arc::new(SimFile {
            storage: self.clone(),
            inode,
            owner,
            mode,
            path,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (normalize(from), normalize(to));
        let mut ongoing = self.begin(Call::Rename, &[&from, &to])?;
        let Ongoing { machine, .. } = &mut ongoing;
        let file = machine.disk.find(&from).ok_or(errno(libc::ENOENT))?;
        if machine.disk.is_dir(&to) {
            return Err(errno(libc::EISDIR));
        }
        if !to.parent().is_some_and(|dir| machine.disk.is_dir(dir)) {
            return Err(errno(libc::ENOENT));
        }
        let failed = ongoing.fail();
        if failed.is_ok() && from != to {
            ongoing.machine.disk.rename(file, &from, Some(&to));
        }
        ongoing.mutate()?;
        ongoing.machine.collect();
        failed
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let path = normalize(path);
        let mut ongoing = self.begin(Call::Remove, &[&path])?;
        if ongoing.machine.disk.is_dir(&path) {
            return Err(errno(libc::EISDIR));
        }
        let file = ongoing
            .machine
            .disk
            .find(&path)
            .ok_or(errno(libc::ENOENT))?;
        let failed = ongoing.fail();
        if failed.is_ok() {
            ongoing.machine.disk.rename(file, &path, None);
        }
        ongoing.mutate()?;
        failed
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = normalize(dir);
        let mut ongoing = self.begin(Call::SyncDir, &[&dir])?;
        if !ongoing.machine.disk.is_dir(&dir) {
            return Err(errno(libc::ENOENT));
        }
        ongoing.mutate()?;
        match ongoing.fail() {
            Ok(()) => {
                ongoing.machine.disk.sync_dir(&dir);
                ongoing.machine.collect();
                Ok(())
            }
            Err(e) => {
                // Interrupted, or not even opened: the disk was asked nothing.
                let asked = !matches!(
                    e.raw_os_error(),
                    Some(libc::EINTR | libc::EMFILE | libc::ENFILE)
                );
                if asked {
                    ongoing.machine.disk.fail_sync_dir(&dir);
                }
                Err(e)
            }
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let dir = normalize(dir);
        let ongoing = self.begin(Call::List, &[&dir])?;
        ongoing.fail()?;
        if !ongoing.machine.disk.is_dir(&dir) {
            return Err(errno(libc::ENOENT));
        }
        let names = ongoing
            .machine
            .disk
            .children(&dir)
            .filter_map(Path::file_name);
        Ok(names.map(OsString::from).collect())
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        if path.file_name().is_none() {
            return self.resolve(&path.join("db"));
        }
        let path = normalize(path);
        let ongoing = self.begin(Call::Resolve, &[&path])?;
        ongoing.fail()?;
        let dir = path.parent().unwrap_or(Path::new("/"));
        if !ongoing.machine.disk.is_dir(dir) {
            return Err(errno(libc::ENOENT));
        }
        Ok(path)
    }
}

/// The path from the root, without `.` and `..`.
fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::with_capacity(path.as_os_str().len() + 1);
    normal.push("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => _ = normal.pop(),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    normal
}
