//! What every storage owes its callers, asked of both of them.

use epochwal::storage::sim::SimStorage;
use epochwal::storage::{File, LockMode, OpenMode, RealStorage, Storage};
use epochwal::storage::{read_exact_at, read_up_to, write_all_at};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs a check on each storage, in an empty directory of its own.
fn on_each(check: impl Fn(&dyn Storage, &Path)) {
    let dir = tempfile::tempdir().unwrap();
    check(&RealStorage, dir.path());
    let dir = Path::new("/some/dir");
    let sim = SimStorage::new();
    sim.make_dirs(dir);
    check(&sim, dir);
}

fn create(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> Arc<dyn File> {
    let file = storage.open(path, OpenMode::CreateNew).unwrap();
    write_all_at(&*file, bytes, 0, 1).unwrap();
    file
}

fn contents(storage: &dyn Storage, path: &Path) -> Vec<u8> {
    let file = storage.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    read_exact_at(&*file, &mut bytes, 0).unwrap();
    bytes
}

fn kind_of<T>(result: std::io::Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

#[test]
fn what_is_written_is_read_back() {
    on_each(|storage, dir| {
        let path = dir.join("a");
        let file = create(storage, &path, b"hello");
        file.write_at(b"far", 1000).unwrap();
        assert_eq!(file.len().unwrap(), 1003);
        let mut buf = [1; 2000];
        assert_eq!(read_up_to(&*file, &mut buf, 0).unwrap(), 1003);
        assert_eq!(&buf[..5], b"hello");
        assert!(
            buf[5..1000].iter().all(|&b| b == 0),
            "a hole reads as zeros"
        );
        assert_eq!(&buf[1000..1003], b"far");
        assert_eq!(file.read_at(&mut buf, 1003).unwrap(), 0);
        assert_eq!(file.read_at(&mut buf, 1 << 40).unwrap(), 0);
        let end = read_exact_at(&*file, &mut buf[..2], 1002);
        assert_eq!(kind_of(end), ErrorKind::UnexpectedEof);
        file.sync_data().unwrap();
        file.sync_all().unwrap();
        assert_eq!(contents(storage, &path).len(), 1003);
    });
}

#[test]
fn bad_offsets_are_errors() {
    on_each(|storage, dir| {
        let file = create(storage, &dir.join("a"), b"x");
        assert!(file.read_at(&mut [0], u64::MAX).is_err());
        assert!(file.write_at(&[0], u64::MAX).is_err());
        assert!(file.set_len(u64::MAX).is_err());
        assert_eq!(file.len().unwrap(), 1);
    });
}

#[test]
fn cutting_and_extending_leaves_zeros() {
    on_each(|storage, dir| {
        let path = dir.join("a");
        let file = create(storage, &path, &[7; 1000]);
        file.set_len(700).unwrap();
        file.set_len(2000).unwrap();
        let mut expected = vec![7; 700];
        expected.resize(2000, 0);
        assert_eq!(contents(storage, &path), expected);
        file.set_len(0).unwrap();
        assert_eq!(contents(storage, &path), b"");
    });
}

#[test]
fn open_modes() {
    on_each(|storage, dir| {
        let path = dir.join("a");
        for mode in [OpenMode::Read, OpenMode::Write, OpenMode::DirectSync] {
            assert_eq!(kind_of(storage.open(&path, mode)), ErrorKind::NotFound);
        }
        storage.open(&path, OpenMode::WriteOrCreate).unwrap();
        storage
            .open(&path, OpenMode::WriteOrCreate)
            .unwrap()
            .write_at(b"x", 0)
            .unwrap();
        let again = storage.open(&path, OpenMode::CreateNew);
        assert_eq!(kind_of(again), ErrorKind::AlreadyExists);
        let reader = storage.open(&path, OpenMode::Read).unwrap();
        assert!(reader.write_at(b"y", 0).is_err());
        assert!(reader.set_len(0).is_err());
        assert_eq!(contents(storage, &path), b"x");
        let nowhere = storage.open(&dir.join("no/a"), OpenMode::CreateNew);
        assert_eq!(kind_of(nowhere), ErrorKind::NotFound);
        let dir_itself = storage.open(dir, OpenMode::Read);
        assert_eq!(kind_of(dir_itself), ErrorKind::IsADirectory);
    });
}

#[test]
fn names() {
    on_each(|storage, dir| {
        let (a, b) = (dir.join("a"), dir.join("b"));
        let old = create(storage, &a, b"a");
        create(storage, &b, b"b");
        storage.rename(&a, &b).unwrap();
        assert_eq!(storage.list(dir).unwrap(), ["b"]);
        assert_eq!(contents(storage, &b), b"a");
        assert_eq!(kind_of(storage.rename(&a, &b)), ErrorKind::NotFound);
        storage.remove(&b).unwrap();
        assert_eq!(kind_of(storage.remove(&b)), ErrorKind::NotFound);
        assert!(storage.list(dir).unwrap().is_empty());
        let mut byte = [0];
        assert_eq!(
            old.read_at(&mut byte, 0).unwrap(),
            1,
            "open files outlive names"
        );
        storage.sync_dir(dir).unwrap();
        assert_eq!(
            kind_of(storage.sync_dir(&dir.join("no"))),
            ErrorKind::NotFound
        );
        assert_eq!(kind_of(storage.list(&dir.join("no"))), ErrorKind::NotFound);
    });
}

#[test]
fn paths_are_resolved() {
    on_each(|storage, dir| {
        let dir = storage
            .resolve(&dir.join("x"))
            .unwrap()
            .parent()
            .unwrap()
            .to_owned();
        create(storage, &dir.join("there"), b"");
        for name in ["there", "missing"] {
            assert_eq!(storage.resolve(&dir.join(name)).unwrap(), dir.join(name));
            let round = dir.join("..").join(dir.file_name().unwrap()).join(name);
            assert_eq!(storage.resolve(&round).unwrap(), dir.join(name));
        }
        let inner = dir.parent().unwrap();
        assert_eq!(storage.resolve(&dir.join("..")).unwrap(), inner.join("db"));
        assert_eq!(storage.resolve(Path::new("/")).unwrap(), Path::new("/db"));
        let nowhere = storage.resolve(&dir.join("no/x"));
        assert_eq!(kind_of(nowhere), ErrorKind::NotFound);
    });
}

#[test]
fn real_links_and_bare_names_are_resolved() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    std::fs::create_dir(dir.join("d")).unwrap();
    std::fs::write(dir.join("d/file"), "").unwrap();
    std::os::unix::fs::symlink("d", dir.join("l")).unwrap();
    std::os::unix::fs::symlink("d/file", dir.join("f")).unwrap();
    let at = |name: &str| RealStorage.resolve(&dir.join(name)).unwrap();
    assert_eq!(at("l/missing"), dir.join("d/missing"));
    assert_eq!(at("l/file"), dir.join("d/file"));
    assert_eq!(at("f"), dir.join("d/file"));
    let here: PathBuf = std::env::current_dir().unwrap().canonicalize().unwrap();
    let bare = Path::new("no such file");
    assert_eq!(RealStorage.resolve(bare).unwrap(), here.join(bare));
    assert_eq!(RealStorage.resolve(Path::new("")).unwrap(), here.join("db"));
}

#[test]
fn locks_belong_to_the_open_file() {
    on_each(|storage, dir| {
        let path = dir.join("a");
        let one = create(storage, &path, b"");
        let two = storage.open(&path, OpenMode::Write).unwrap();
        assert!(one.try_lock(LockMode::Exclusive, 10, 5).unwrap());
        assert!(
            one.try_lock(LockMode::Exclusive, 10, 5).unwrap(),
            "one's own"
        );
        assert!(!one.is_locked(0, 0).unwrap(), "one's own");
        assert!(!two.try_lock(LockMode::Exclusive, 14, 1).unwrap());
        assert!(!two.try_lock(LockMode::Shared, 0, 0).unwrap());
        assert!(two.try_lock(LockMode::Exclusive, 15, 0).unwrap());
        assert!(two.try_lock(LockMode::Exclusive, 0, 10).unwrap());
        assert!(two.is_locked(14, 1).unwrap());
        assert!(!two.is_locked(15, 1).unwrap());
        // The middle of a range given back is free, its ends are not.
        one.unlock(12, 1).unwrap();
        assert!(two.try_lock(LockMode::Shared, 12, 1).unwrap());
        assert!(!two.try_lock(LockMode::Shared, 11, 1).unwrap());
        assert!(!two.try_lock(LockMode::Shared, 13, 1).unwrap());
        // A clone is the same open file; the last one gives the locks back.
        let clone = one.clone();
        drop(one);
        assert!(two.is_locked(10, 1).unwrap());
        drop(clone);
        assert!(!two.is_locked(0, 0).unwrap());
        assert!(two.try_lock(LockMode::Exclusive, 0, 0).unwrap());
    });
}

#[test]
fn shared_locks() {
    on_each(|storage, dir| {
        let path = dir.join("a");
        let files: Vec<_> = (0..3)
            .map(|_| storage.open(&path, OpenMode::WriteOrCreate).unwrap())
            .collect();
        let reader = storage.open(&path, OpenMode::Read).unwrap();
        assert!(files[0].try_lock(LockMode::Shared, 0, 1).unwrap());
        assert!(reader.try_lock(LockMode::Shared, 0, 1).unwrap());
        assert!(
            !files[2].is_locked(0, 1).unwrap(),
            "only exclusive locks count"
        );
        assert!(!files[2].try_lock(LockMode::Exclusive, 0, 1).unwrap());
        assert!(!files[0].try_lock(LockMode::Exclusive, 0, 1).unwrap());
        drop(reader);
        assert!(
            files[0].try_lock(LockMode::Exclusive, 0, 1).unwrap(),
            "converts"
        );
        assert!(files[2].is_locked(0, 1).unwrap());
        assert!(
            files[0].try_lock(LockMode::Shared, 0, 1).unwrap(),
            "converts back"
        );
        assert!(files[2].try_lock(LockMode::Shared, 0, 1).unwrap());
    });
}

#[test]
fn locks_reach_to_the_end_of_offsets() {
    on_each(|storage, dir| {
        let path = dir.join("a");
        let one = create(storage, &path, b"");
        let two = storage.open(&path, OpenMode::Write).unwrap();
        assert!(one.try_lock(LockMode::Exclusive, u64::MAX, 1).unwrap());
        assert!(two.is_locked(u64::MAX - 5, u64::MAX).unwrap());
        assert!(!two.try_lock(LockMode::Exclusive, 5, u64::MAX).unwrap());
        assert!(two.try_lock(LockMode::Exclusive, 0, 1 << 62).unwrap());
        one.unlock(0, u64::MAX).unwrap();
        assert!(!two.is_locked(0, 0).unwrap());
    });
}

/// Room for `len` bytes that begin at a multiple of 4096.
fn aligned(room: &mut Vec<u8>, len: usize) -> &mut [u8] {
    room.resize(len + 4096, 0);
    let skip = room.as_ptr().align_offset(4096);
    &mut room[skip..skip + len]
}

#[test]
fn direct_writes_are_aligned() {
    on_each(|storage, dir| {
        let path = dir.join("a");
        create(storage, &path, &[1; 3 * 4096]);
        let file = match storage.open(&path, OpenMode::DirectSync) {
            Ok(file) => file,
            // A file system in memory may not take it.
            Err(e) if e.kind() == ErrorKind::InvalidInput => return,
            Err(e) => panic!("{e}"),
        };
        let mut room = Vec::new();
        let odd = &mut aligned(&mut room, 8192)[1..4097];
        assert_eq!(kind_of(file.write_at(odd, 0)), ErrorKind::InvalidInput);
        assert_eq!(kind_of(file.read_at(odd, 0)), ErrorKind::InvalidInput);
        let block = aligned(&mut room, 8192);
        assert_eq!(kind_of(file.write_at(block, 100)), ErrorKind::InvalidInput);
        assert_eq!(
            kind_of(file.write_at(&block[..100], 0)),
            ErrorKind::InvalidInput
        );
        assert_eq!(contents(storage, &path), [1; 3 * 4096]);
        block.fill(2);
        assert_eq!(file.write_at(block, 4096).unwrap(), 8192);
        assert_eq!(file.read_at(&mut block[..4096], 0).unwrap(), 4096);
        assert!(block[..4096].iter().all(|&b| b == 1));
        let bytes = contents(storage, &path);
        assert!(bytes[..4096].iter().all(|&b| b == 1));
        assert!(bytes[4096..].iter().all(|&b| b == 2));
        assert_eq!(bytes.len(), 3 * 4096);
    });
}
