//! What a file may cost: memory, reads, and what a failing read says.

use super::common::{disk_with, encode, lsns, path, scan, scan_bytes, word};
use epochwal::format::rdlw::Layout;
use epochwal::spool::rdlw::{ScanOptions, Scanner, TermOf};
use epochwal::storage::sim::{Call, FaultPlan};
use epochwal::storage::{RealStorage, Storage};
use epochwal::{Error, ErrorKind};
use std::alloc::{GlobalAlloc, Layout as Block, System};
use std::cell::Cell;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

/// The system's allocator, noting what each thread holds at most.
struct Watched;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn note(bytes: isize) {
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: every call is handed on to `System` unchanged. The notes are
// constant-initialized cells without destructors: they never allocate.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Block) -> *mut u8 {
        note(layout.size() as isize);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Block) {
        note(-(layout.size() as isize));
        // SAFETY: as above; `ptr` came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// The most memory that this thread holds while `f` runs, beyond what it held.
fn memory<T>(f: impl FnOnce() -> T) -> (T, isize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = f();
    (result, PEAK.get() - before)
}

const MEBI: usize = 1 << 20;

fn header(lsn: u64, len: u32) -> Vec<u8> {
    let mut record = encode(Layout::Three33, 1, lsn, 1, b"");
    record.truncate(29);
    record.extend(len.to_le_bytes());
    record
}

/// A file of `len` bytes, all holes but its front; what its scan says and takes.
fn scan_sparse(front: &[u8], len: u64, salvage: bool) -> (Vec<u64>, &'static str, isize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.logical.wal");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(front).unwrap();
    file.set_len(len).unwrap();
    let options = ScanOptions {
        salvage,
        term_of: None,
    };
    let disk: Arc<dyn Storage> = Arc::new(RealStorage);
    let (result, taken) = memory(|| scan(disk, &path, options));
    (lsns(&result.0), word(&result.1.verdict), taken)
}

#[test]
fn a_claimed_length_takes_no_memory() {
    let first = encode(Layout::Three33, 1, 1, 1, b"first");
    for claim in [u32::MAX, (256 << 20) + 1, 256 << 20, 200 << 20] {
        for len in [1000, 300 << 20] {
            let front = [&first[..], &header(2, claim)].concat();
            let (got, verdict, taken) = scan_sparse(&front, len, false);
            assert_eq!((got, verdict), (vec![1], "torn"), "{claim} in {len}");
            assert!(taken < 5 * MEBI as isize, "{claim} in {len}: {taken} bytes");
        }
    }
    let one = [
        &b"RDLW\x01"[..],
        &1u64.to_le_bytes(),
        &u64::MAX.to_le_bytes(),
    ]
    .concat();
    let (got, verdict, taken) = scan_sparse(&one, 100 << 20, false);
    assert_eq!((got, verdict), (vec![], "corrupt"));
    assert!(taken < 5 * MEBI as isize, "{taken} bytes");
}

/// A payload takes memory once its checksum is right, and not before.
#[test]
fn the_longest_payload_is_read_and_one_more_byte_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.logical.wal");
    for (len, verdict) in [(256 << 20, "clean"), ((256 << 20) + 1, "corrupt")] {
        let mut front = header(1, len);
        let zeros = crc32fast::Hasher::new_with_initial_len(zeros_crc(len), u64::from(len));
        let mut sum = crc32fast::Hasher::new();
        sum.update(&front[4..]);
        sum.combine(&zeros);
        let end = front.len() as u64 + u64::from(len);
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(&front).unwrap();
        file.seek(SeekFrom::Start(end)).unwrap();
        file.write_all(&sum.finalize().to_le_bytes()).unwrap();
        front = encode(Layout::Three33, 1, 2, 1, b"behind");
        file.write_all(&front).unwrap();
        let disk: Arc<dyn Storage> = Arc::new(RealStorage);
        let mut scanner = Scanner::open(&disk, &path, ScanOptions::default()).unwrap();
        let (given, taken) = memory(|| {
            let first = scanner.next_record().unwrap();
            first.map(|r| (r.record.lsn, r.record.payload.len()))
        });
        if verdict == "clean" {
            assert_eq!(given, Some((1, len as usize)));
            assert!(taken < (256 + 5) * MEBI as isize, "{taken} bytes");
            let next = scanner.next_record().unwrap().unwrap();
            assert_eq!(next.record.payload, b"behind");
        } else {
            assert_eq!(given, None);
            assert!(taken < 5 * MEBI as isize, "{taken} bytes");
        }
        assert!(scanner.next_record().unwrap().is_none());
        assert_eq!(word(&scanner.report().verdict), verdict);
    }
}

/// The checksum of so many zeros.
fn zeros_crc(len: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let zeros = vec![0; MEBI];
    for at in (0..len as usize).step_by(MEBI) {
        hasher.update(&zeros[..MEBI.min(len as usize - at)]);
    }
    hasher.finalize()
}

/// Headers everywhere, each claiming most of the file, some of them sound so
/// that the scan stops often: what is read stays in proportion.
#[test]
fn claims_over_the_same_bytes_do_not_add_up() {
    let len = 2 * MEBI;
    for every in [usize::MAX, 20, 3] {
        let mut bytes = Vec::new();
        let mut lsn = 0;
        while bytes.len() < len {
            if (bytes.len() / 33) % every == every - 1 {
                lsn += 1;
                bytes.extend(encode(Layout::Three33, 1, lsn, 1, b"sound"));
            }
            bytes.extend(header(1 << 40, (len / 2) as u32));
        }
        let disk = disk_with(&bytes);
        let reads = disk.calls(Call::Read);
        let options = ScanOptions {
            salvage: true,
            term_of: None,
        };
        let (got, report) = scan(Arc::new(disk.clone()), &path(), options);
        assert_eq!(got.len() as u64, lsn);
        assert_eq!(
            word(&report.verdict),
            if lsn == 0 { "torn" } else { "corrupt" }
        );
        // No read is larger than what is read ahead, and few are as large.
        let reads = disk.calls(Call::Read) - reads;
        let candidates = (len / 33) as u64;
        assert!(
            reads < 12 * candidates + 100,
            "{reads} reads of {candidates} headers"
        );
    }
}

/// A read that fails is no verdict, and the same record may be asked for again.
#[test]
fn a_read_that_fails_says_nothing_about_the_file() {
    let good: Vec<u8> = (1..=40)
        .flat_map(|lsn| encode(Layout::Three41, 1, lsn, 9, &[lsn as u8; 90_000]))
        .collect();
    let mut damaged = good.clone();
    damaged[90_100 * 20] ^= 1;
    let mut torn = good.clone();
    torn.truncate(90_100 * 30);
    for bytes in [good, damaged, torn] {
        for salvage in [false, true] {
            let expected = scan_bytes(&bytes, salvage);
            let disk = disk_with(&bytes);
            let mut failed = 0;
            for n in 1.. {
                let fault = disk.fail(FaultPlan::error(Call::Read, libc::EIO).nth(n));
                let options = ScanOptions {
                    salvage,
                    term_of: None,
                };
                let shared: Arc<dyn Storage> = Arc::new(disk.clone());
                let mut scanner = Scanner::open(&shared, &path(), options).unwrap();
                let mut got = Vec::new();
                loop {
                    match scanner.next_record() {
                        Ok(Some(r)) => got.push(r.record.lsn),
                        Ok(None) => break,
                        Err(e) => {
                            assert_io(&e);
                            failed += 1;
                        }
                    }
                }
                assert_eq!(got, lsns(&expected.0), "read {n} failing");
                assert_eq!(scanner.report(), &expected.1, "read {n} failing");
                fault.lift();
                if fault.hits() == 0 {
                    break;
                }
            }
            assert!(failed > 10, "{failed} reads failed");
        }
    }
}

fn assert_io(e: &Error) {
    assert_eq!(
        (e.kind(), e.os_error()),
        (ErrorKind::Io, Some(libc::EIO)),
        "{e}"
    );
    assert_eq!(e.path(), Some(path().as_path()));
}

#[test]
fn other_calls_that_fail_and_a_file_that_is_not_there() {
    let disk = disk_with(b"");
    let shared: Arc<dyn Storage> = Arc::new(disk.clone());
    let open =
        |path: &std::path::Path| Scanner::open(&shared, path, ScanOptions::default()).map(|_| ());
    for call in [Call::Open, Call::Len] {
        disk.fail(FaultPlan::error(call, libc::EIO));
        assert_io(&open(&path()).unwrap_err());
    }
    open(&path()).unwrap();
    let e = open(std::path::Path::new("/data/none")).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
}

/// The file is cut by someone else while it is read: an error, no torn tail.
#[test]
fn a_file_that_shrinks_is_an_error() {
    let bytes: Vec<u8> = (1..=40)
        .flat_map(|lsn| encode(Layout::Three33, 1, lsn, 9, &[3; 90_000]))
        .collect();
    let disk = disk_with(&bytes);
    let shared: Arc<dyn Storage> = Arc::new(disk.clone());
    let mut scanner = Scanner::open(&shared, &path(), ScanOptions::default()).unwrap();
    scanner.next_record().unwrap().unwrap();
    let file = disk
        .open(&path(), epochwal::storage::OpenMode::Write)
        .unwrap();
    file.set_len(2_000_000).unwrap();
    let e = loop {
        match scanner.next_record() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a verdict: {:?}", scanner.report().verdict),
            Err(e) => break e,
        }
    };
    assert_eq!(e.kind(), ErrorKind::Io, "{e}");
}

#[test]
fn terms_of_old_versions_come_from_the_caller() {
    let payload = |term: u8| vec![term; 3];
    let records = [
        encode(Layout::One, 0, 1, 0, &payload(4)),
        encode(Layout::Two, 0, 2, 5, &payload(4)),
        encode(Layout::Two, 0, 3, 5, &payload(6)),
        encode(Layout::Three33, 6, 4, 5, &payload(9)),
        encode(Layout::Two, 0, 5, 5, b""),
    ];
    let disk: Arc<dyn Storage> = Arc::new(disk_with(&records.concat()));
    let options = |salvage| ScanOptions {
        salvage,
        term_of: Some(TermOf::new(|payload| {
            Ok(payload.first().map(|b| u64::from(*b)))
        })),
    };
    let (got, report) = scan(disk.clone(), &path(), options(false));
    let terms: Vec<u64> = got.iter().map(|r| r.term).collect();
    assert_eq!(terms, [4, 4, 6, 6]);
    // None found: 1, which falls.
    assert_eq!(word(&report.verdict), "corrupt");
    assert_eq!(scan(disk, &path(), options(true)).0.len(), 4);
}
