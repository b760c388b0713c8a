//! Calls that go wrong, and calls that take their time.

use parking_lot::{Condvar, Mutex};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The calls that can be made to fail, fall short or block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// `Storage::open`, in any mode.
    Open,
    /// `Storage::rename`.
    Rename,
    /// `Storage::remove`.
    Remove,
    /// `Storage::sync_dir`.
    SyncDir,
    /// `Storage::list`.
    List,
    /// `Storage::resolve`.
    Resolve,
    /// `File::read_at`.
    Read,
    /// `File::write_at`.
    Write,
    /// `File::sync_data`.
    SyncData,
    /// `File::sync_all`.
    SyncAll,
    /// `File::len`.
    Len,
    /// `File::set_len`.
    SetLen,
    /// `File::try_lock`, `File::unlock` and `File::is_locked`.
    Lock,
}

impl Call {
    /// All of them: what a storage can be asked for.
    pub const ALL: [Call; 13] = [
        Call::Open,
        Call::Rename,
        Call::Remove,
        Call::SyncDir,
        Call::List,
        Call::Resolve,
        Call::Read,
        Call::Write,
        Call::SyncData,
        Call::SyncAll,
        Call::Len,
        Call::SetLen,
        Call::Lock,
    ];
}

/// What happens to a call that a plan hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It fails with this `errno`.
    Error(i32),
    /// It reads or writes at most so many bytes.
    Short(usize),
}

/// Which calls are to fail, and how. Without more said: the next one, once.
///
/// A call that fails changes nothing, with these exceptions. A sync that
/// fails, other than by `EINTR`, leaves what it covered readable but marked
/// clean: later syncs succeed and prove nothing about it, and a crash keeps
/// or loses it. A write through a [`DirectSync`] file that fails, other than
/// by `EINTR` or `ENOSPC`, leaves its bytes in the same state.
///
/// [`DirectSync`]: crate::storage::OpenMode::DirectSync
#[derive(Clone, Debug)]
pub struct FaultPlan {
    call: Call,
    name: Option<String>,
    effect: Effect,
    /// Calls to let pass first.
    skip: u64,
    /// Calls to hit then.
    hits: u64,
}

impl FaultPlan {
    /// The call fails with an `errno` such as `libc::EIO`.
    pub fn error(call: Call, errno: i32) -> Self {
        FaultPlan {
            call,
            name: None,
            effect: Effect::Error(errno),
            skip: 0,
            hits: 1,
        }
    }

    /// The call, a read or a write, moves at most `bytes` bytes.
    pub fn short(call: Call, bytes: usize) -> Self {
        FaultPlan {
            effect: Effect::Short(bytes),
            ..FaultPlan::error(call, 0)
        }
    }

    /// Only calls on paths that contain `part` count.
    pub fn on(mut self, part: &str) -> Self {
        self.name = Some(part.to_owned());
        self
    }

    /// The first call hit is the `n`th from when the plan was laid; 1 is the
    /// next one.
    pub fn nth(mut self, n: u64) -> Self {
        self.skip = n.saturating_sub(1);
        self
    }

    /// So many calls in a row are hit.
    pub fn times(mut self, hits: u64) -> Self {
        self.hits = hits;
        self
    }

    /// All calls from the first one hit are.
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }
}

/// Whether a call on one of these paths is meant.
fn matches(name: Option<&str>, paths: &[&Path]) -> bool {
    name.is_none_or(|part| paths.iter().any(|p| p.to_string_lossy().contains(part)))
}

/// A plan that has been laid.
#[derive(Clone, Debug)]
pub struct Fault(Arc<Mutex<(FaultPlan, u64)>>);

impl Fault {
    pub(super) fn new(plan: FaultPlan) -> Self {
        Fault(Arc::new(Mutex::new((plan, 0))))
    }

    /// How many calls it has hit.
    pub fn hits(&self) -> u64 {
        self.0.lock().1
    }

    /// Hits no more calls.
    pub fn lift(&self) {
        self.0.lock().0.hits = 0;
    }

    /// What the plan does to a call.
    pub(super) fn strike(&self, call: Call, paths: &[&Path]) -> Option<Effect> {
        let (plan, count) = &mut *self.0.lock();
        if plan.hits == 0 || plan.call != call || !matches(plan.name.as_deref(), paths) {
            return None;
        }
        if plan.skip > 0 {
            plan.skip -= 1;
            return None;
        }
        plan.hits = plan.hits.saturating_sub(1);
        *count += 1;
        Some(plan.effect)
    }
}

/// Holds calls up until it is opened, which its drop does too.
#[derive(Debug)]
pub struct Gate(Arc<Barrier>);

#[derive(Debug)]
pub(super) struct Barrier {
    call: Call,
    name: Option<String>,
    /// Whether it is open, and how many calls wait.
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    pub(super) fn new(call: Call, name: Option<&str>) -> (Gate, Arc<Barrier>) {
        let barrier = Arc::new(Barrier {
            call,
            name: name.map(str::to_owned),
            state: Mutex::new((false, 0)),
            changed: Condvar::new(),
        });
        (Gate(barrier.clone()), barrier)
    }

    /// Blocks until a call waits at the gate.
    pub fn wait_blocked(&self) {
        let mut state = self.0.state.lock();
        while state.1 == 0 {
            self.0.changed.wait(&mut state);
        }
    }

    /// How many calls wait at the gate now.
    pub fn blocked(&self) -> usize {
        self.0.state.lock().1
    }

    /// Lets all calls pass, those that wait and all later ones.
    pub fn open(&self) {
        self.0.state.lock().0 = true;
        self.0.changed.notify_all();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

impl Barrier {
    pub(super) fn is_open(&self) -> bool {
        self.state.lock().0
    }

    /// Waits where the call is one of those held up.
    pub(super) fn pass(&self, call: Call, paths: &[&Path]) {
        if self.call != call || !matches(self.name.as_deref(), paths) {
            return;
        }
        let mut state = self.state.lock();
        state.1 += 1;
        self.changed.notify_all();
        while !state.0 {
            self.changed.wait(&mut state);
        }
        state.1 -= 1;
    }
}

/// What every call says once the power is cut.
#[derive(Debug)]
struct PowerCut;

impl std::fmt::Display for PowerCut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("simulated power cut")
    }
}

impl std::error::Error for PowerCut {}

pub(super) fn power_cut() -> io::Error {
    io::Error::other(PowerCut)
}

/// Whether an error is that of a machine without power.
pub fn is_power_cut(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<PowerCut>())
}
