//! How groups reach the disk: what the probe at open chooses, what can be
//! forced, and that a log is the same log either way, on each file system that
//! is at hand and on a simulated one that refuses direct writes.

mod common;

use common::{PATIENCE, Place, commit, small};
use epochwal::coordinator::SyncStyle;
use epochwal::storage::sim::SimStorage;
use epochwal::{ErrorKind, Options};
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

#[repr(align(4096))]
struct Block([u8; 4096]);

/// Whether the file system takes an aligned direct write, tried without the
/// library's help.
fn takes_direct(dir: &Path) -> bool {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT | libc::O_DSYNC)
        .open(dir.join("tried"));
    file.is_ok_and(|file| file.write_all_at(&Block([0; 4096]).0, 0).is_ok())
}

/// Opens with each style in turn over one log, commits, and recovers it all.
fn each_style(place: &Place, direct: bool) {
    let mut txn = 0;
    for style in [SyncStyle::Probe, SyncStyle::Direct, SyncStyle::Buffered] {
        let options = Options {
            sync_style: style,
            ..small()
        };
        if style == SyncStyle::Direct && !direct {
            let error = place.open(&options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{}", place.name);
            continue;
        }
        let wal = place.open(&options).unwrap();
        let expected = match style {
            SyncStyle::Probe if direct => SyncStyle::Direct,
            SyncStyle::Probe => SyncStyle::Buffered,
            forced => forced,
        };
        let stats = wal.stats().unwrap();
        assert_eq!(stats.sync_style, expected, "{}, {style:?}", place.name);
        let shown = format!("}} {}\n", u8::from(expected == SyncStyle::Direct));
        let text = stats.prometheus("db");
        let at = text.find("epochwal_sync_direct{").unwrap();
        assert!(text[at..].lines().next().unwrap().ends_with(shown.trim()));
        for _ in 0..20 {
            txn += 1;
            commit(&wal, txn).unwrap();
        }
        wal.close(PATIENCE).unwrap();
    }
    let came_back: Vec<u64> = place.recover_all().iter().map(|got| got.txn).collect();
    assert_eq!(came_back, (1..=txn).collect::<Vec<_>>(), "{}", place.name);
}

#[test]
fn on_the_build_directory_s_file_system() {
    let place = Place::real_in(Path::new(env!("CARGO_TARGET_TMPDIR")), "build directory");
    each_style(&place, takes_direct(place.db.parent().unwrap()));
}

/// Some kernels' memory file systems refuse direct writes, others take them.
#[test]
fn in_memory() {
    let shm = Path::new("/dev/shm");
    assert!(shm.is_dir(), "no memory file system at {}", shm.display());
    let place = Place::real_in(shm, "memory");
    each_style(&place, takes_direct(place.db.parent().unwrap()));
}

#[test]
fn where_direct_writes_are_refused() {
    let disk = SimStorage::new();
    disk.refuse_direct(true);
    each_style(&Place::sim(&disk), false);
}

#[test]
fn where_direct_writes_are_taken() {
    each_style(&Place::sim(&SimStorage::new()), true);
}

/// Version 1 has a file per epoch, which is written through the page cache.
#[test]
fn version_one_is_buffered() {
    let place = Place::sim(&SimStorage::new());
    let options = Options {
        segment_format: 1,
        ..small()
    };
    let wal = place.open(&options).unwrap();
    assert_eq!(wal.stats().unwrap().sync_style, SyncStyle::Buffered);
}
