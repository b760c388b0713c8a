//! The ways in which each call can fail.

use epochwal::storage::sim::{Call, Fault, FaultPlan, SimStorage};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// How a call fails, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// With this `errno`.
    Error(i32),
    /// Interrupted so often, then it succeeds.
    Interrupted(u64),
    /// It moves so many bytes; the next call goes on.
    Short(usize),
    /// It moves so many bytes, and the next call finds no space.
    ShortThenFull(usize),
}

use Way::{Error, Interrupted, Short, ShortThenFull};
use libc::{EACCES, EDQUOT, EFBIG, EINTR, EIO, EMFILE, ENFILE, ENOLCK, ENOMEM, ENOSPC, EROFS};

/// The ways of a call: those of its manual page that are not the caller's fault.
pub fn ways(call: Call) -> &'static [Way] {
    match call {
        Call::Open => &[
            Error(EIO),
            Error(ENOSPC),
            Error(EDQUOT),
            Error(EROFS),
            Error(EACCES),
            Error(EMFILE),
            Error(ENFILE),
            Error(ENOMEM),
            Interrupted(1),
        ],
        Call::Rename => &[
            Error(EIO),
            Error(ENOSPC),
            Error(EDQUOT),
            Error(EROFS),
            Error(ENOMEM),
        ],
        Call::Remove => &[Error(EIO), Error(EROFS), Error(EACCES), Error(ENOMEM)],
        Call::SyncDir => &[
            Error(EIO),
            Error(ENOSPC),
            Error(EDQUOT),
            Error(EMFILE),
            Error(ENFILE),
            Interrupted(1),
            Interrupted(5),
        ],
        Call::SyncData | Call::SyncAll => &[
            Error(EIO),
            Error(ENOSPC),
            Error(EDQUOT),
            Error(EROFS),
            Interrupted(1),
            Interrupted(5),
        ],
        Call::List => &[Error(EIO), Error(EACCES), Error(EMFILE), Error(ENOMEM)],
        Call::Resolve => &[Error(EIO), Error(EACCES), Error(ENOMEM)],
        Call::Read => &[
            Error(EIO),
            Error(ENOMEM),
            Interrupted(1),
            Interrupted(5),
            Short(1),
            Short(4095),
        ],
        Call::Write => &[
            Error(EIO),
            Error(ENOSPC),
            Error(EDQUOT),
            Error(EFBIG),
            Error(EROFS),
            Interrupted(1),
            Interrupted(5),
            Short(0),
            Short(511),
            Short(4096),
            ShortThenFull(512),
            ShortThenFull(4096),
        ],
        Call::Len => &[Error(EIO), Error(ENOMEM)],
        Call::SetLen => &[Error(EIO), Error(ENOSPC), Error(EFBIG), Error(EROFS)],
        Call::Lock => &[Error(EIO), Error(ENOLCK), Error(ENOMEM)],
    }
}

impl Way {
    /// Makes the `n`th call of the kind, from now on, fail in this way.
    pub fn lay(self, disk: &SimStorage, call: Call, n: u64) -> Fault {
        match self {
            Error(errno) => disk.fail(FaultPlan::error(call, errno).nth(n)),
            Interrupted(times) => disk.fail(FaultPlan::error(call, EINTR).nth(n).times(times)),
            Short(len) => disk.fail(FaultPlan::short(call, len).nth(n)),
            ShortThenFull(len) => {
                let fault = disk.fail(FaultPlan::short(call, len).nth(n));
                disk.fail(FaultPlan::error(call, ENOSPC).nth(n + 1));
                fault
            }
        }
    }

    /// Whether nobody may notice it.
    pub fn is_absorbed(self, call: Call) -> bool {
        let retried = !matches!(call, Call::Open);
        match self {
            Interrupted(_) => retried,
            Short(_) => true,
            Error(_) | ShortThenFull(_) => false,
        }
    }

    /// Whether it is told as "no space" and heals, unless a sync says it.
    pub fn is_no_space(self) -> bool {
        matches!(self, Error(ENOSPC | EDQUOT | EFBIG) | ShortThenFull(_))
    }

    /// Whether it is a limit of the machine that passes.
    pub fn is_passing(self) -> bool {
        matches!(self, Error(EMFILE | ENFILE | ENOMEM))
    }
}

/// Which calls have failed in which ways.
#[derive(Debug, Default)]
pub struct Covered(Mutex<BTreeSet<(Call, Way)>>);

impl Covered {
    pub fn note(&self, call: Call, way: Way) {
        self.0.lock().unwrap().insert((call, way));
    }

    /// Panics where a way of a call was never tried, but for these calls.
    pub fn require_all_but(&self, exempt: &[Call]) {
        let covered = self.0.lock().unwrap();
        let mut missing = Vec::new();
        for call in Call::ALL.into_iter().filter(|call| !exempt.contains(call)) {
            let ways = ways(call).iter().map(|way| (call, *way));
            missing.extend(ways.filter(|pair| !covered.contains(pair)));
        }
        assert!(missing.is_empty(), "never tried: {missing:?}");
        println!("{} ways of calls to fail", covered.len());
    }
}
