//! The caller's functions, and the pointer that goes with them.
//!
//! A registration's user pointer belongs to the library from the call on,
//! whatever comes of it, and its drop function runs exactly once: after the
//! callback; or, where the registration failed, before the call returns.

use super::guard::CallbackMark;
use super::status::{self, EWAL_OK, ewal_status};
use crate::coordinator::DurableFn;
use crate::error::{Error, Result};
use crate::sync::Mutex;
use std::ffi::c_void;
use std::sync::Arc;

/// Called once an epoch is durable (EWAL_OK), or known not to become so (the
/// status that ewal_wait would give). Must return without unwinding: no C++
/// exception, no longjmp.
pub type ewal_durable_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, epoch: u64, status: ewal_status)>;

/// Called exactly once with a user pointer, when the library is done with it.
pub type ewal_drop_fn = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// A user pointer with its drop function, which runs when this is dropped.
pub(super) struct User {
    ptr: *mut c_void,
    drop: ewal_drop_fn,
}

// SAFETY: the header says that callbacks and drop functions run on threads of
// the library; the caller's pointer is made for that.
unsafe impl Send for User {}

impl User {
    pub(super) fn new(ptr: *mut c_void, drop: ewal_drop_fn) -> Self {
        User { ptr, drop }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            let _mark = CallbackMark::new();
            // SAFETY: the caller's function for the caller's pointer, called
            // once, since this is its only owner.
            unsafe { drop(self.ptr) };
        }
    }
}

/// Where the user pointer is while its callback has not run. The engine drops
/// a callback that it does not take wherever it stands, perhaps under a lock;
/// the caller's drop function must not run there.
enum Place {
    /// With the callback, and the call that registers it has not returned.
    Registering,
    /// Left behind by a callback dropped without having run: the call that
    /// registers drops it, once the engine has returned.
    Orphan(User),
    /// With the callback, which drops it wherever it is dropped.
    Registered,
}

/// The registering call's half. Dropped after the engine has returned, or
/// while a panic unwinds.
pub(super) struct Registration(Arc<Mutex<Place>>);

/// The engine's half.
struct Call {
    function: unsafe extern "C" fn(*mut c_void, u64, ewal_status),
    user: Option<User>,
    place: Arc<Mutex<Place>>,
}

/// Hands a callback to the engine, which `add` does.
pub(super) fn register(
    function: ewal_durable_fn,
    user: User,
    add: impl FnOnce(DurableFn) -> Result<()>,
) -> Result<()> {
    let function = function.ok_or_else(|| Error::invalid("function is NULL"))?;
    let (registration, call) = prepare(function, user);
    let outcome = add(call);
    drop(registration);
    outcome
}

/// The callback for the engine, and what the registering call holds until it
/// knows how the registration went.
fn prepare(
    function: unsafe extern "C" fn(*mut c_void, u64, ewal_status),
    user: User,
) -> (Registration, DurableFn) {
    let place = Arc::new(Mutex::new(Place::Registering));
    let call = Call {
        function,
        user: Some(user),
        place: place.clone(),
    };
    (
        Registration(place),
        Box::new(move |epoch, outcome| call.run(epoch, outcome)),
    )
}

impl Drop for Registration {
    fn drop(&mut self) {
        let left = std::mem::replace(&mut *self.0.lock(), Place::Registered);
        if let Place::Orphan(user) = left {
            drop(user);
        }
    }
}

impl Call {
    fn run(mut self, epoch: u64, outcome: Result<()>) {
        let status = match outcome {
            Ok(()) => EWAL_OK,
            Err(e) => status::of(e.kind()),
        };
        if let Some(user) = self.user.take() {
            let _mark = CallbackMark::new();
            // SAFETY: the caller's function, called once with the caller's
            // pointer, which `user` keeps until the call is over.
            unsafe { (self.function)(user.ptr, epoch, status) };
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(user) = self.user.take() else {
            return;
        };
        let mut place = self.place.lock();
        if matches!(*place, Place::Registering) {
            *place = Place::Orphan(user);
        } else {
            drop(place);
            drop(user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use std::sync::atomic::AtomicI64;
    use std::sync::atomic::Ordering::SeqCst;

    /// Low half: drops; high half: calls; a call after a drop poisons it.
    static LOG: AtomicI64 = AtomicI64::new(0);

    unsafe extern "C" fn called(user: *mut c_void, _: u64, status: ewal_status) {
        assert_eq!(user as usize, 0x10);
        LOG.fetch_add(100 + i64::from(status), SeqCst);
    }

    unsafe extern "C" fn dropped(_: *mut c_void) {
        LOG.fetch_add(1, SeqCst);
    }

    fn fresh() -> (Registration, DurableFn) {
        LOG.store(0, SeqCst);
        prepare(called, User::new(0x10 as *mut c_void, Some(dropped)))
    }

    #[test]
    fn the_drop_function_runs_once_whatever_happens() {
        // Called while registering, and after.
        let (registration, call) = fresh();
        call(1, Ok(()));
        assert_eq!(LOG.load(SeqCst), 101);
        drop(registration);
        assert_eq!(LOG.load(SeqCst), 101);

        let (registration, call) = fresh();
        drop(registration);
        assert_eq!(LOG.load(SeqCst), 0);
        call(1, Err(Error::new(ErrorKind::Failed, "x")));
        assert_eq!(LOG.load(SeqCst), 100 - 15 + 1);

        // Refused: the engine drops the callback, nothing runs until it has
        // returned.
        let (registration, call) = fresh();
        drop(call);
        assert_eq!(LOG.load(SeqCst), 0);
        drop(registration);
        assert_eq!(LOG.load(SeqCst), 1);

        // Taken, and then never called.
        let (registration, call) = fresh();
        drop(registration);
        drop(call);
        assert_eq!(LOG.load(SeqCst), 1);
    }
}
