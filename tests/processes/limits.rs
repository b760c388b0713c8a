//! At the limits of a process and of a disk: no descriptor left, no file may
//! grow, the disk is full. Callers are told, nothing is lost, and it heals.

use super::child::{Part, argument, database, say};
use super::common::{PATIENCE, Place, assert_whole, commit, small, submit};
use epochwal::coordinator::SyncStyle;
use epochwal::recovery::{self, RecoveryOptions};
use epochwal::{Coordinator, Error, ErrorKind, Options, Recovery, segment};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

fn options() -> Options {
    Options {
        sync_style: [SyncStyle::Probe, SyncStyle::Buffered][argument() as usize],
        segment_size: 16 << 10,
        ..small()
    }
}

/// All transactions from 1 to `last` are there, whole, and nothing else.
fn assert_holds(db: &Path, last: u64) {
    let got = Place::at(db).recover_all();
    got.iter().for_each(assert_whole);
    let all = got.iter().map(|b| b.txn);
    assert!(all.eq(1..=last), "{} of {last}", got.len());
}

/// Sets the soft limit of a resource, and gives what it was.
fn limit(resource: libc::__rlimit_resource_t, soft: u64) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is read and written as the calls say.
    unsafe {
        assert_eq!(libc::getrlimit(resource, &mut limit), 0);
        let before = limit.rlim_cur;
        limit.rlim_cur = soft;
        assert_eq!(libc::setrlimit(resource, &limit), 0);
        before
    }
}

/// Runs `body` while just `spare` descriptors can be opened.
fn with_descriptors<T>(spare: u64, body: impl FnOnce() -> T) -> T {
    // The lowest free numbers are given out, so that holes count as well.
    let held: Vec<_> = (0..spare)
        .map(|_| std::fs::File::open("/dev/null").unwrap())
        .collect();
    let next = std::fs::File::open("/dev/null").unwrap();
    let first_refused = std::os::fd::AsRawFd::as_raw_fd(&next) as u64;
    drop((held, next));
    let before = limit(libc::RLIMIT_NOFILE, first_refused);
    let result = body();
    limit(libc::RLIMIT_NOFILE, before);
    result
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Tries `call` with 0, 1, 2 ... descriptors until it succeeds: each failure
/// says what is missing, and keeps no descriptor.
fn until_enough<T>(what: &str, mut call: impl FnMut() -> Result<T, Error>) -> T {
    for spare in 0..40 {
        let before = open_descriptors();
        match with_descriptors(spare, &mut call) {
            Ok(value) => {
                assert!(spare > 0, "{what} needs none");
                return value;
            }
            Err(error) => {
                assert_eq!(error.os_error(), Some(libc::EMFILE), "{what}: {error:?}");
                assert_ne!(error.kind(), ErrorKind::Corrupt, "{what}: {error:?}");
                assert!(error.to_string().contains("open files"), "{what}: {error}");
            }
        }
        assert_eq!(open_descriptors(), before, "{what} with {spare} keeps some");
    }
    panic!("{what} is never content");
}

pub fn descriptors() {
    let db = database();
    // Opening, and opening again what is there.
    let wal = until_enough("create", || Coordinator::open(&db, &options()));
    let mut last = 0;
    for _ in 0..40 {
        last += 1;
        commit(&wal, last).unwrap();
    }
    wal.close(PATIENCE).unwrap();
    let wal = until_enough("open", || Coordinator::open(&db, &options()));
    until_enough("event_fd", || wal.event_fd());

    // Rolling: what is acknowledged is there, and what is not waits.
    let mut refused = 0;
    for spare in (0..4).cycle().take(24) {
        let pending = with_descriptors(spare, || {
            for _ in 0..30 {
                last += 1;
                let ticket = submit(&wal, last).unwrap();
                if let Err(error) = wal.wait(ticket.epoch, PATIENCE) {
                    assert_eq!(error.os_error(), Some(libc::EMFILE), "{error:?}");
                    return Some(ticket.epoch);
                }
            }
            None
        });
        if let Some(epoch) = pending {
            refused += 1;
            assert!(wal.durable_epoch().unwrap() < Some(epoch));
            wal.wait(epoch, PATIENCE)
                .expect("there are descriptors again");
        }
        assert_holds(&db, last);
    }
    assert!(refused > 0, "a roll needs a descriptor");

    // Reading: never a part passed off as the whole.
    until_enough("recover", || {
        let mut stream = Recovery::open(&db, &RecoveryOptions::default())?;
        let mut count = 0;
        while stream.next_batch()?.is_some() {
            count += 1;
        }
        assert_eq!(count, last);
        Ok(())
    });
    let durable = wal.durable_epoch().unwrap();
    let told = until_enough("durable epoch", || recovery::max_durable_epoch(&db));
    assert_eq!(told, durable);
    let listed = until_enough("list", || recovery::list_segments(&db));
    assert!(listed.len() > 10);
    until_enough("list plainly", || segment::list(&db));
    until_enough("inspect", || recovery::inspect(&db));

    // A checkpoint retires by name.
    let before = recovery::list_segments(&db).unwrap().len();
    let through = durable.unwrap();
    match with_descriptors(0, || wal.checkpoint(through)) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.os_error(), Some(libc::EMFILE), "{error:?}"),
    }
    wal.checkpoint(through).unwrap();
    assert!(recovery::list_segments(&db).unwrap().len() < before);
    match with_descriptors(0, || wal.close(PATIENCE)) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.os_error(), Some(libc::EMFILE), "{error:?}"),
    }
    drop(wal);
    Coordinator::open(&db, &options()).unwrap();
}

/// Commits from behind `last` on until there is no room; gives the last
/// transaction, which is staged with the epoch.
fn fill(wal: &Coordinator, mut last: u64) -> (u64, u64) {
    let epoch = loop {
        last += 1;
        assert!(last < 100_000, "the limit has no effect");
        let ticket = submit(wal, last).unwrap();
        if let Err(error) = wal.wait(ticket.epoch, PATIENCE) {
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
            break ticket.epoch;
        }
    };
    // Waiting again is told again, and nothing is called durable.
    let error = wal.wait(epoch, PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
    assert!(wal.durable_epoch().unwrap() < Some(epoch));
    (last, epoch)
}

pub fn file_size() {
    let db = database();
    // SAFETY: ignoring a signal. Else the limit kills instead of failing.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let options = options();
    // Too small even to begin.
    let before = limit(libc::RLIMIT_FSIZE, 4096);
    let error = Coordinator::open(&db, &options)
        .and_then(|wal| commit(&wal, 1))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
    limit(libc::RLIMIT_FSIZE, before);

    // Where that was enough to open, the one batch was told to be pending.
    let done = Place::at(&db).recover_all().len() as u64;
    assert!(done <= 1);
    let wal = Coordinator::open(&db, &options).unwrap();
    // A larger limit only makes segments smaller.
    limit(libc::RLIMIT_FSIZE, 4096);
    let (last, epoch) = fill(&wal, done);
    assert_holds(&db, last - 1);
    limit(libc::RLIMIT_FSIZE, before);
    wal.wait(epoch, PATIENCE).expect("there is room again");
    wal.close(PATIENCE).unwrap();
    assert_holds(&db, last);
}

/// A small file system of this process alone, at `dir`; false where that is
/// not allowed.
fn mount_small(dir: &Path) -> bool {
    let at = CString::new(dir.as_os_str().as_bytes()).unwrap();
    let (fs, none) = (c"tmpfs".as_ptr(), std::ptr::null());
    // SAFETY: all texts live through the calls.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                none,
                c"/".as_ptr(),
                none,
                libc::MS_REC | libc::MS_PRIVATE,
                none.cast(),
            ) == 0
            && libc::mount(fs, at.as_ptr(), fs, 0, c"size=1m".as_ptr().cast()) == 0
    }
}

pub fn full_disk() {
    let db = database();
    let dir = db.parent().unwrap();
    if !mount_small(dir) {
        say("may not mount");
        return;
    }
    let ballast = dir.join("ballast");
    std::fs::write(&ballast, vec![1; 400 << 10]).unwrap();
    let wal = Coordinator::open(&db, &options()).unwrap();
    let (last, epoch) = fill(&wal, 0);
    // Recovery needs no room.
    assert_holds(&db, last - 1);
    std::fs::remove_file(&ballast).unwrap();
    wal.wait(epoch, PATIENCE).expect("there is room again");
    assert_holds(&db, last);
    let (last, epoch) = fill(&wal, last);
    wal.checkpoint(wal.durable_epoch().unwrap().unwrap())
        .unwrap();
    wal.wait(epoch, PATIENCE).expect("a checkpoint makes room");
    let left = Place::at(&db).recover_all();
    assert_eq!(left.last().map(|b| b.txn), Some(last));
    wal.close(PATIENCE).unwrap();
    Coordinator::open(&db, &options()).unwrap();
    say("done");
}

fn run(part: &str) -> Vec<Vec<String>> {
    (0..2)
        .map(|style| {
            let dir = tempfile::tempdir().unwrap();
            Part::start(part, &dir.path().join("test.db"), style).finish()
        })
        .collect()
}

#[test]
fn without_descriptors_callers_are_told_and_nothing_is_lost() {
    run("descriptors");
}

#[test]
fn a_limit_on_file_sizes_is_no_space_and_heals() {
    run("file size");
}

#[test]
fn a_full_file_system_is_no_space_and_heals() {
    for said in run("full disk") {
        if said == ["may not mount"] {
            println!("skipped: this user may not mount a small file system");
        } else {
            assert_eq!(said, ["done"]);
        }
    }
}
