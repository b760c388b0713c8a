//! Waiting on a word in memory (futex(2)), process-private; and where a thread
//! runs.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while `word` is `expected`, at most for `timeout`. May return early
/// for no reason: the caller looks at its condition again.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let spec = timeout.map(|t| libc::timespec {
        tv_sec: t.as_secs().min(i64::MAX as u64) as libc::time_t,
        tv_nsec: libc::c_long::from(t.subsec_nanos() as i32),
    });
    let spec_ptr = spec
        .as_ref()
        .map_or(std::ptr::null(), std::ptr::from_ref::<libc::timespec>);
    // SAFETY: the word lives as long as the reference, the kernel only reads
    // it; `spec` outlives the call.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            expected,
            spec_ptr,
        );
    }
}

/// Wakes up to `count` threads that wait on `word`; whether there were any.
pub(crate) fn futex_wake(word: &AtomicU32, count: i32) -> bool {
    // SAFETY: the word lives as long as the reference; waking touches no memory.
    let woken = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            count,
        )
    };
    woken > 0
}

/// The processor that the thread runs on, or ran on a moment ago.
pub(crate) fn processor() -> usize {
    // SAFETY: no argument, no effect. On failure -1, which is as good a number.
    unsafe { libc::sched_getcpu() as usize }
}
