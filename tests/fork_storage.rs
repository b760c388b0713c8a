//! Files and forks, with real processes. One test at a time forks: a child
//! has only the thread that forked, and must leave by `_exit`.

use epochwal::ErrorKind;
use epochwal::spool::{ReadLimit, Record, Spool, SpoolOptions};
use epochwal::storage::sim::{Call, SimStorage};
use epochwal::storage::{File, LockMode, OpenMode, RealStorage, Storage, fork_generation};
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Forks, runs `body` in the child, and gives the child's id. The child exits
/// with 0 if `body` gives true; an alarm ends one that hangs.
fn child(body: impl FnOnce() -> bool) -> libc::pid_t {
    // SAFETY: the child calls what is safe after a fork of a process with
    // threads, and the allocator, which glibc keeps usable.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: no memory is involved.
        unsafe { libc::alarm(60) };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        let code = match result {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(_) => 2,
        };
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(code) };
    }
    pid
}

/// As [`child`], but by a call of which no handler hears: a child as another
/// thread's spawn has it until it executes. It waits for the end of a pipe.
fn unheard_child(gate: RawFd, other_end: RawFd) -> libc::pid_t {
    // SAFETY: as `fork`, without the handlers; all other arguments are 0.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    assert!(pid >= 0, "clone: {}", std::io::Error::last_os_error());
    if pid == 0 {
        close(other_end);
        await_byte(gate);
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(0) };
    }
    pid as libc::pid_t
}

/// Waits for a child; whether it exited with 0.
fn succeeded(pid: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: `status` is a place for the answer.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

/// A pipe: what is read from `.0` was written to `.1`.
fn pipe() -> (RawFd, RawFd) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    let result = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(result, 0);
    (ends[0], ends[1])
}

/// Reads a byte; false at the end of the pipe.
fn await_byte(fd: RawFd) -> bool {
    let mut byte = 0u8;
    // SAFETY: room for one byte.
    unsafe { libc::read(fd, (&raw mut byte).cast(), 1) == 1 }
}

fn send_byte(fd: RawFd) -> bool {
    // SAFETY: one byte of a static.
    unsafe { libc::write(fd, b"x".as_ptr().cast(), 1) == 1 }
}

fn close(fd: RawFd) {
    // SAFETY: the caller's descriptor, not used again.
    unsafe { libc::close(fd) };
}

fn is_open(fd: RawFd) -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// This process's descriptors of a file.
fn descriptors(path: &Path) -> Vec<RawFd> {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let target = std::fs::read_link(entry.path()).ok()?;
            (target == path).then(|| entry.file_name().to_str()?.parse().ok())?
        })
        .collect()
}

fn is_dead(result: std::io::Result<impl Sized>) -> bool {
    result.err().and_then(|e| e.raw_os_error()) == Some(libc::EBADF)
}

fn open(path: &Path) -> Arc<dyn File> {
    RealStorage.open(path, OpenMode::WriteOrCreate).unwrap()
}

#[test]
fn a_child_loses_the_files_and_the_parent_keeps_its_lock() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("a");
    let file = open(&path);
    file.write_at(&[7; 64], 0).unwrap();
    assert!(file.try_lock(LockMode::Exclusive, 0, 0).unwrap());
    // More readers than fit the first chunk of the table.
    let readers: Vec<_> = (0..200)
        .map(|_| RealStorage.open(&path, OpenMode::Read).unwrap())
        .collect();
    let fds = descriptors(&path);
    assert_eq!(fds.len(), 201);
    let generation = fork_generation();
    let mut held = Some((file, readers));

    let pid = child(|| {
        let (file, readers) = held.as_ref().unwrap();
        let closed = fds.iter().all(|&fd| !is_open(fd));
        let newer = fork_generation() == generation + 1;
        let dead = is_dead(file.read_at(&mut [0], 0))
            && is_dead(file.write_at(&[0], 0))
            && is_dead(file.sync_data())
            && is_dead(file.sync_all())
            && is_dead(file.len())
            && is_dead(file.set_len(0))
            && is_dead(file.try_lock(LockMode::Shared, 0, 1))
            && is_dead(file.unlock(0, 1))
            && is_dead(file.is_locked(0, 1))
            && is_dead(readers[0].len());
        // The numbers go to new files, which the old ones' drops must spare.
        let mine = open(&path);
        let reused = fds.contains(&descriptors(&path)[0]);
        drop(held.take());
        let lives = mine.len().is_ok();
        let locked = mine.is_locked(0, 1).unwrap();
        drop(mine);
        closed && newer && dead && reused && lives && locked
    });
    assert!(succeeded(pid));

    let (file, _readers) = held.unwrap();
    assert!(fds.iter().all(|&fd| is_open(fd)));
    assert_eq!(fork_generation(), generation);
    let other = open(&path);
    assert!(
        other.is_locked(0, 1).unwrap(),
        "the child's end took the lock"
    );
    drop(file);
    assert!(!other.is_locked(0, 1).unwrap());
}

#[test]
fn a_dead_owner_holds_no_lock_through_its_child() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let (ready, say_ready) = pipe();
    let (stay, let_go) = pipe();
    let (ended, hold_end) = pipe();

    let owner = child(|| {
        let file = open(&path);
        file.write_at(&[0; 8], 0).unwrap();
        assert!(file.try_lock(LockMode::Exclusive, 0, 0).unwrap());
        child(|| {
            // Lives on, holding `hold_end`, until the test lets go.
            close(let_go);
            send_byte(say_ready) && !await_byte(stay)
        });
        close(let_go);
        // Holds the lock until it is killed.
        loop {
            // SAFETY: no memory is involved.
            unsafe { libc::pause() };
        }
    });
    close(hold_end);
    assert!(await_byte(ready), "the grandchild runs");

    let mine = open(&path);
    assert!(mine.is_locked(0, 1).unwrap());
    assert!(!mine.try_lock(LockMode::Exclusive, 0, 0).unwrap());
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::kill(owner, libc::SIGKILL) }, 0);
    assert!(!succeeded(owner));
    assert!(mine.try_lock(LockMode::Exclusive, 0, 0).unwrap());

    // The grandchild was alive all the while: its end of the pipe is open.
    let mut poll = libc::pollfd {
        fd: ended,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one valid entry.
    assert_eq!(unsafe { libc::poll(&mut poll, 1, 0) }, 0);
    close(let_go);
    assert!(!await_byte(ended), "the grandchild ends");
    for fd in [ready, say_ready, stay, ended] {
        close(fd);
    }
}

#[test]
fn no_descriptor_slips_into_a_child() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let path = dir.join(thread.to_string());
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let file = open(&path);
                    file.set_len(8).unwrap();
                    RealStorage.sync_dir(path.parent().unwrap()).unwrap();
                }
            });
        }
        for _ in 0..200 {
            // Fails in the child while a file of the directory is open or
            // mapped there, or the directory itself.
            let clean = succeeded(child(|| !holds(&dir)));
            if !clean {
                stop.store(true, Ordering::Relaxed);
            }
            assert!(clean, "a descriptor or a mapping was inherited");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Whether this process has anything below `dir` open or mapped.
fn holds(dir: &Path) -> bool {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().any(|entry| {
        std::fs::read_link(entry.unwrap().path()).is_ok_and(|target| target.starts_with(dir))
    });
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    open || maps.contains(dir.to_str().unwrap())
}

#[test]
fn a_spool_of_the_parent_answers_whatever_it_was_doing() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let disk = SimStorage::new();
    disk.make_dirs(Path::new("/data"));
    let db = Path::new("/data/test.db");
    let options = SpoolOptions::default();
    let spool = Spool::open_on(Arc::new(disk.clone()), db, &options).unwrap();
    let record = |lsn| Record {
        term: 1,
        lsn,
        timestamp_ms: 1,
        payload: b"x",
    };
    spool.append(&[record(1), record(2)], None).unwrap();
    // A cut holds the locks of those who write, and those of who reads now
    // and then.
    let gate = disk.block_on_path(Call::Write, ".wal-state");
    std::thread::scope(|scope| {
        let gate = gate;
        let cut = scope.spawn(|| spool.truncate_after(1, 2).map(drop));
        gate.wait_blocked();
        let pid = child(|| {
            let forked = |kind| kind == ErrorKind::Forked;
            spool.term() == 0
                && spool.terms().last().is_none()
                && spool.bounds().current_lsn == 2
                && spool
                    .read_since(0, ReadLimit::default())
                    .is_err_and(|e| forked(e.kind()))
                && spool
                    .append(&[record(3)], None)
                    .is_err_and(|e| forked(e.kind()))
                && spool.close(None).is_err_and(|e| forked(e.kind()))
        });
        assert!(
            succeeded(pid),
            "the child hangs, or was told something else"
        );
        gate.open();
        cut.join().unwrap().unwrap();
    });
    assert_eq!(spool.term(), 2);
}

/// Nor does a child that no handler emptied, for as long as it is there.
#[test]
fn what_is_closed_is_free_whoever_else_has_its_descriptors() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("app.db");
    let open = || Spool::open(&db, &SpoolOptions::default());
    let spool = open().unwrap();
    let (gate, other_end) = pipe();
    let child = unheard_child(gate, other_end);
    assert_eq!(open().unwrap_err().kind(), ErrorKind::Locked);
    spool.close(None).unwrap();
    drop(spool);
    let again = open();
    close(other_end);
    assert!(succeeded(child));
    again.expect("its lock was given back").close(None).unwrap();
}
