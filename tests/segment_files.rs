//! Version 1 segments as files: what a write leaves behind, however it ends.

#[path = "segment_files/wrong.rs"]
mod wrong;

use epochwal::format::v1::Record;
use epochwal::segment::{self, SegmentRecord};
use epochwal::storage::{File, LockMode, OpenMode, RealStorage, Storage};
use epochwal::{ErrorKind, Result};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, Mutex};

/// The real storage, keeping a list of the calls that change something and
/// failing the one whose name it is told.
#[derive(Debug, Default)]
struct Watched(Arc<Watch>);

#[derive(Debug, Default)]
struct Watch {
    calls: Mutex<Vec<String>>,
    fail: Mutex<Option<(&'static str, i32)>>,
}

impl Watch {
    fn call(&self, call: &str, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or(OsStr::new("")).to_string_lossy();
        self.calls.lock().unwrap().push(format!("{call} {name}"));
        match *self.fail.lock().unwrap() {
            Some((failing, code)) if failing == call => Err(io::Error::from_raw_os_error(code)),
            _ => Ok(()),
        }
    }
}

impl Watched {
    fn failing(call: &'static str, code: i32) -> Self {
        let watched = Watched::default();
        *watched.0.fail.lock().unwrap() = Some((call, code));
        watched
    }

    fn calls(&self) -> Vec<String> {
        self.0.calls.lock().unwrap().clone()
    }
}

impl Storage for Watched {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        if mode != OpenMode::Read {
            self.0.call("create", path)?;
        }
        let file = RealStorage.open(path, mode)?;
        Ok(Arc::new(WatchedFile {
            file,
            path: path.into(),
            watch: self.0.clone(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.call("rename", to)?;
        RealStorage.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.call("remove", path)?;
        RealStorage.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.call("sync_dir", Path::new(""))?;
        RealStorage.sync_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        RealStorage.list(dir)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        RealStorage.resolve(path)
    }
}

#[derive(Debug)]
struct WatchedFile {
    file: Arc<dyn File>,
    path: PathBuf,
    watch: Arc<Watch>,
}

impl File for WatchedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.watch.call("read", &self.path)?;
        // Short, so that callers must go on.
        let some = buf.len().min(1000);
        self.file.read_at(&mut buf[..some], offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        if offset == 0 {
            let _ = self.watch.call("write", &self.path);
        } else {
            self.watch.call("write", &self.path)?;
        }
        self.file.write_at(&buf[..buf.len().min(100)], offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.watch.call("sync", &self.path)?;
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.watch.call("sync", &self.path)?;
        self.file.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn try_lock(&self, mode: LockMode, start: u64, len: u64) -> io::Result<bool> {
        self.file.try_lock(mode, start, len)
    }

    fn unlock(&self, start: u64, len: u64) -> io::Result<()> {
        self.file.unlock(start, len)
    }

    fn is_locked(&self, start: u64, len: u64) -> io::Result<bool> {
        self.file.is_locked(start, len)
    }
}

fn record(epoch: u64, image: &[u8]) -> Record<'_> {
    Record {
        txn_id: 5,
        txn_epoch: 1,
        epoch,
        page_number: 2,
        begin_seq: 8,
        end_seq: Some(8),
        before: b"before",
        after: image,
    }
}

fn names_in(dir: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    names
}

const SEGMENT: &str = "x.db-wal-seg-0000000000000007";

#[test]
fn what_is_written_is_read_listed_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("x.db");
    let records = [
        record(7, b"image"),
        Record {
            end_seq: None,
            page_number: 1,
            ..record(7, b"aborted")
        },
    ];
    let path = segment::write_segment(&db, 7, &records).unwrap();
    assert_eq!(path.file_name(), Some(OsStr::new(SEGMENT)));
    segment::write_segment(&db, 0, &[record(0, b"")]).unwrap();
    let read = segment::read_segment(&db, 7).unwrap();
    let expected = [
        SegmentRecord::from(&records[1]),
        SegmentRecord::from(&records[0]),
    ];
    assert_eq!((read.epoch, read.records), (7, expected.to_vec()));
    let epochs = |db| {
        segment::list(db)
            .unwrap()
            .iter()
            .map(|s| s.epoch)
            .collect::<Vec<_>>()
    };
    assert_eq!(epochs(&db), [0, 7]);
    segment::delete_segment(&db, 7).unwrap();
    assert_eq!(epochs(&db), [0]);
    for e in [
        segment::delete_segment(&db, 7).unwrap_err(),
        segment::read_segment(&db, 7).unwrap_err(),
    ] {
        assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
        assert_eq!(
            e.path().and_then(Path::file_name),
            Some(OsStr::new(SEGMENT))
        );
    }
}

#[test]
fn the_name_comes_after_the_bytes_and_is_made_durable() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Watched::default();
    let image = vec![1; 200];
    segment::write_segment_on(&storage, &dir.path().join("x.db"), 7, &[record(7, &image)]).unwrap();
    let tmp = "x.db-wal-tmp-0000000000000007";
    let mut calls = storage.calls();
    calls.dedup();
    let expected = [
        format!("create {tmp}"),
        format!("write {tmp}"),
        format!("sync {tmp}"),
        format!("rename {SEGMENT}"),
        "sync_dir ".to_string(),
    ];
    assert_eq!(calls, expected);
    let storage = Watched::default();
    segment::delete_segment_on(&storage, &dir.path().join("x.db"), 7).unwrap();
    let calls = storage.calls();
    assert_eq!(
        calls[calls.len() - 2..],
        [format!("remove {SEGMENT}"), "sync_dir ".into()]
    );
}

#[test]
fn a_failed_write_leaves_nothing_and_can_be_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("x.db");
    for (call, code, kind) in [
        ("create", libc::EIO, ErrorKind::Io),
        ("write", libc::EIO, ErrorKind::Io),
        ("write", libc::ENOSPC, ErrorKind::NoSpace),
        ("sync", libc::EIO, ErrorKind::Io),
        ("rename", libc::EIO, ErrorKind::Io),
    ] {
        let storage = Watched::failing(call, code);
        let image = vec![1; 200];
        let e = segment::write_segment_on(&storage, &db, 7, &[record(7, &image)]).unwrap_err();
        assert_eq!(e.kind(), kind, "{call}: {e}");
        assert_eq!(e.os_error(), Some(code), "{call}: {e}");
        assert!(
            names_in(dir.path()).is_empty(),
            "{call} left {:?}",
            names_in(dir.path())
        );
    }
    segment::write_segment(&db, 7, &[record(7, b"")]).unwrap();
}

#[test]
fn a_failed_last_sync_has_an_unknown_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("x.db");
    let storage = Watched::failing("sync_dir", libc::ENOSPC);
    let e = segment::write_segment_on(&storage, &db, 7, &[record(7, b"")]).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::OutcomeUnknown, "{e}");
    assert_eq!(segment::read_segment(&db, 7).unwrap().records.len(), 1);
    let e = segment::delete_segment_on(&storage, &db, 7).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::OutcomeUnknown, "{e}");
    assert!(names_in(dir.path()).is_empty());
}

#[test]
fn an_error_while_reading_is_no_corruption() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("x.db");
    let image = vec![3; 5000];
    segment::write_segment(&db, 7, &[record(7, &image)]).unwrap();
    let storage = Watched::failing("read", libc::EIO);
    let e = segment::read_segment_on(&storage, &db, 7).unwrap_err();
    assert_eq!(
        (e.kind(), e.os_error()),
        (ErrorKind::Io, Some(libc::EIO)),
        "{e}"
    );
    let read = segment::read_segment_on(&Watched::default(), &db, 7).unwrap();
    assert_eq!(read.records[0].after, image);
}

#[test]
fn a_segment_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("x.db");
    let path = segment::write_segment(&db, 7, &[record(7, b"first")]).unwrap();
    let before = fs::read(&path).unwrap();
    let e = segment::write_segment(&db, 7, &[record(7, b"second")]).unwrap_err();
    assert_eq!(
        (e.kind(), e.path()),
        (ErrorKind::Exists, Some(path.as_path())),
        "{e}"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names_in(dir.path()), [SEGMENT]);
}

#[test]
fn leftovers_of_a_crash_are_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("x.db");
    fs::write(
        dir.path().join("x.db-wal-tmp-0000000000000007"),
        vec![9; 10_000],
    )
    .unwrap();
    assert!(segment::list(&db).unwrap().is_empty());
    segment::write_segment(&db, 7, &[record(7, b"image")]).unwrap();
    assert_eq!(
        segment::read_segment(&db, 7).unwrap().records[0].after,
        b"image"
    );
    assert_eq!(names_in(dir.path()), [SEGMENT]);
}

#[test]
fn one_of_many_writers_of_an_epoch_wins_whole() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("x.db");
    for epoch in 0..50 {
        let start = Barrier::new(4);
        let results: Vec<Result<PathBuf>> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0u8..4)
                .map(|writer| {
                    let (start, db) = (&start, &db);
                    scope.spawn(move || {
                        let image = vec![writer; 3000];
                        start.wait();
                        segment::write_segment(db, epoch, &[record(epoch, &image)])
                    })
                })
                .collect();
            writers.into_iter().map(|w| w.join().unwrap()).collect()
        });
        let winners: Vec<usize> = (0..4).filter(|&i| results[i].is_ok()).collect();
        assert_eq!(winners.len(), 1, "epoch {epoch}: {results:?}");
        for e in results.iter().filter_map(|r| r.as_ref().err()) {
            let refused = [ErrorKind::Exists, ErrorKind::Locked];
            assert!(refused.contains(&e.kind()), "epoch {epoch}: {e}");
        }
        let read = segment::read_segment(&db, epoch).unwrap();
        assert_eq!(read.records[0].after, vec![winners[0] as u8; 3000]);
    }
}

#[test]
fn a_native_segment_is_neither_read_nor_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("x.db");
    let mut head = [0; 24];
    let native = epochwal::format::prelude::Prelude {
        version: 2,
        flags: 0,
        epoch: 7,
        count: 0,
    };
    epochwal::format::prelude::write(&mut head, &native);
    let path = dir.path().join(SEGMENT);
    fs::write(&path, head).unwrap();
    for e in [
        segment::read_segment(&db, 7).unwrap_err(),
        segment::delete_segment(&db, 7).unwrap_err(),
    ] {
        assert_eq!((e.kind(), e.offset()), (ErrorKind::Format, Some(4)), "{e}");
    }
    assert!(path.exists());
    fs::write(&path, b"damaged").unwrap();
    segment::delete_segment(&db, 7).unwrap();
    assert!(!path.exists());
}

#[test]
fn paths_may_be_links_and_not_utf8_and_directories_may_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join(OsStr::from_bytes(b"\xff.db"));
    fs::write(&db, b"").unwrap();
    let link = dir.path().join("link.db");
    std::os::unix::fs::symlink(&db, &link).unwrap();
    segment::write_segment(&link, 1, &[record(1, b"through the link")]).unwrap();
    assert_eq!(segment::read_segment(&db, 1).unwrap().records.len(), 1);
    assert!(segment::segment_path(&db, 1).exists());
    let nowhere = dir.path().join("none/x.db");
    for e in [
        segment::write_segment(&nowhere, 1, &[record(1, b"")]).unwrap_err(),
        segment::read_segment(&nowhere, 1).unwrap_err(),
        segment::delete_segment(&nowhere, 1).unwrap_err(),
        segment::list(&nowhere).unwrap_err(),
    ] {
        assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
    }
}

#[test]
fn the_path_of_a_segment_is_the_documented_one() {
    let path = segment::segment_path(Path::new("mydb.sqlite"), 0x1234_5678_9abc_def0);
    assert_eq!(path, Path::new("mydb.sqlite-wal-seg-123456789abcdef0"));
}
