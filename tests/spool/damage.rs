//! Damage to a small spool of several segments: bits, and whole files. What was
//! acknowledged is never silently absent, and nothing else is ever given.

use super::common::{PATIENCE, Place};
use super::held::ALL;
use super::ledger::Name;
use super::memory::within;
use super::tools::{append_all, checked, open, small};
use epochwal::ErrorKind;
use epochwal::coordinator::Knobs;
use epochwal::spool::{Spool, SpoolOptions};
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{OpenMode, Storage, read_exact_at, write_all_at};
use std::path::{Path, PathBuf};

pub const BLOCK: usize = 4096;

/// `checked_at_open`: bytes from the end that an open follows whatever the
/// watermarks say; what lies before is verified when it is read.
pub fn options(checked_at_open: u64) -> SpoolOptions {
    SpoolOptions {
        segment_size: 16 << 10,
        knobs: Knobs {
            checked_at_open,
            spares_in_line: true,
        },
        ..small()
    }
}

/// What opening and reading a log of five small segments may take.
const MEMORY: usize = 1 << 20;

pub const ALL_AT_OPEN: u64 = 128 << 20;

/// A spool with a history, its records, and how many of them are of the last
/// group, which nothing vouches for before the close.
pub struct Image {
    pub disk: SimStorage,
    pub truth: Vec<Name>,
    in_last: usize,
    pub current: u64,
    pruned: u64,
}

impl Image {
    /// Two terms, one of them cut, records pruned in mid-segment.
    pub fn make(closed: bool, offset: u64) -> Image {
        let disk = SimStorage::new();
        let place = Place::sim(&disk);
        let spool = open(&place, &options(ALL_AT_OPEN)).unwrap();
        let at = |lsn: u64| offset + lsn;
        append_all(&spool, 1, &[at(1)]).unwrap();
        append_all(&spool, 1, &[at(2), at(3)]).unwrap();
        append_all(&spool, 1, &[at(4), at(6)]).unwrap();
        append_all(&spool, 1, &[at(7), at(8)]).unwrap();
        spool.truncate_after(at(6), 3).unwrap();
        for lsn in [8, 9, 11] {
            append_all(&spool, 3, &[at(lsn)]).unwrap();
        }
        spool.prune_through(at(2)).unwrap();
        for lsn in 12..=15 {
            append_all(&spool, 3, &[at(lsn)]).unwrap();
        }
        append_all(&spool, 3, &[at(16), at(17)]).unwrap();
        let truth: Vec<Name> = [3, 4, 6]
            .map(|l| (1, at(l)))
            .into_iter()
            .chain([8, 9, 11, 12, 13, 14, 15, 16, 17].map(|l| (3, at(l))))
            .collect();
        let disk = match closed {
            true => {
                spool.close(PATIENCE).unwrap();
                disk
            }
            false => disk.crash_everything(),
        };
        Image {
            disk,
            truth,
            in_last: 2,
            current: at(17),
            pruned: at(2),
        }
    }

    pub fn files(&self) -> Vec<PathBuf> {
        files(&self.disk)
    }

    /// What an open and reading give of a damaged copy; its verdict. Whatever
    /// lengths the damage claims, they take little memory.
    fn rule(&self, disk: &SimStorage, options: &SpoolOptions, closed: bool) -> Ruling {
        within(MEMORY, || self.rule_of(disk, options, closed))
    }

    fn rule_of(&self, disk: &SimStorage, options: &SpoolOptions, closed: bool) -> Ruling {
        let spool = match open(&Place::sim(disk), options) {
            Ok(spool) => spool,
            Err(error) => {
                let kinds = [ErrorKind::Corrupt, ErrorKind::Format];
                assert!(kinds.contains(&error.kind()), "{error}");
                return Ruling::Refused;
            }
        };
        let bounds = spool.bounds();
        assert_eq!(bounds.pruned_through, self.pruned);
        let (got, whole) = read(&spool, self.pruned);
        assert!(self.truth.starts_with(&got), "{got:?} of {:?}", self.truth);
        if !whole {
            return Ruling::ToldByARead;
        }
        if got.len() == self.truth.len() {
            assert_eq!((bounds.current_lsn, spool.term()), (self.current, 3));
            return Ruling::Whole;
        }
        assert!(!closed, "silently absent: {got:?} of {:?}", self.truth);
        let missing = self.truth.len() - got.len();
        // Nothing can tell such a group from one that was never acknowledged, or
        // never written.
        assert_eq!(missing, self.in_last, "silently absent: {got:?}");
        Ruling::Torn
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ruling {
    Refused,
    ToldByARead,
    Torn,
    Whole,
}

fn files(disk: &SimStorage) -> Vec<PathBuf> {
    let dir = Path::new("/data");
    let mut names: Vec<_> = disk.list(dir).unwrap();
    names.retain(|n| {
        let name = n.to_string_lossy();
        name.contains(".wal-seg-") || name.contains(".wal-state")
    });
    names.sort();
    names.into_iter().map(|n| dir.join(n)).collect()
}

/// All above an LSN, and whether that is the end rather than damage.
pub fn read(spool: &Spool, lsn: u64) -> (Vec<Name>, bool) {
    let (mut got, mut at) = (Vec::new(), lsn);
    loop {
        match spool.read_since(at, ALL) {
            Ok(records) => {
                let Some(last) = records.last() else {
                    return (got, true);
                };
                at = last.lsn;
                got.extend(records.iter().map(|r| (r.term, checked(r))));
            }
            Err(error) => {
                let known = [ErrorKind::Corrupt, ErrorKind::WalRemoved];
                assert!(known.contains(&error.kind()), "{error}");
                return (got, false);
            }
        }
    }
}

pub fn bytes_of(disk: &SimStorage, path: &Path) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    read_exact_at(&*file, &mut bytes, 0).unwrap();
    bytes
}

fn put(disk: &SimStorage, path: &Path, bytes: &[u8]) {
    let _ = disk.remove(path);
    let file = disk.open(path, OpenMode::WriteOrCreate).unwrap();
    write_all_at(&*file, bytes, 0, 1).unwrap();
    file.sync_all().unwrap();
}

/// Says where the damage was when a check panics.
pub struct Telling<F: Fn() -> String>(pub F);

impl<F: Fn() -> String> Drop for Telling<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", (self.0)());
        }
    }
}

/// Flips bits of all files: every one where something is written, one of each
/// eighth byte where nothing is.
fn flip_all(image: &Image, options: &SpoolOptions, closed: bool) -> [u64; 4] {
    let mut rulings = [0; 4];
    for path in image.files() {
        let bytes = bytes_of(&image.disk, &path);
        let state = path.to_string_lossy().contains("state");
        for (number, block) in bytes.chunks(BLOCK).enumerate() {
            let used = block.iter().any(|b| *b != 0);
            for (at, byte) in block.iter().enumerate() {
                // Zeros between other bytes are fields; long stretches fill up.
                let around = at.saturating_sub(16)..(at + 16).min(BLOCK);
                let all = block[around].iter().any(|b| *b != 0);
                for bit in 0..8 {
                    if !all && (at % 8 != 0 || bit != at / 8 % 8) {
                        continue;
                    }
                    let _telling = Telling(|| {
                        let offset = number * BLOCK + at;
                        format!("bit {bit} of byte {offset} of {}", path.display())
                    });
                    let disk = image.disk.snapshot();
                    let file = disk.open(&path, OpenMode::Write).unwrap();
                    let offset = (number * BLOCK + at) as u64;
                    write_all_at(&*file, &[byte ^ 1 << bit], offset, 1).unwrap();
                    let ruling = image.rule(&disk, options, closed);
                    if state || !used {
                        // There is another copy of the one, and nothing in the other.
                        assert_eq!(ruling, Ruling::Whole);
                    }
                    rulings[ruling as usize] += 1;
                }
            }
        }
    }
    rulings
}

#[test]
fn every_bit_of_a_closed_spool() {
    let image = Image::make(true, 0);
    assert!(image.files().len() >= 4, "{:?}", image.files());
    let rulings = flip_all(&image, &options(ALL_AT_OPEN), true);
    println!("refused, told by a read, torn, whole: {rulings:?}");
    assert!(rulings[0] > 10_000, "{rulings:?}");
    assert_eq!((rulings[1], rulings[2]), (0, 0), "an open reads it all");
}

#[test]
fn every_bit_of_a_killed_spool() {
    let image = Image::make(false, 0);
    let rulings = flip_all(&image, &options(ALL_AT_OPEN), false);
    println!("refused, told by a read, torn, whole: {rulings:?}");
    assert!(rulings[0] > 10_000 && rulings[2] > 1_000, "{rulings:?}");
}

/// An open that trusts the watermarks reads old segments only when it is asked
/// for what they hold.
#[test]
fn every_bit_of_a_spool_that_is_read_later() {
    let image = Image::make(true, 1 << 60);
    let rulings = flip_all(&image, &options(0), true);
    println!("refused, told by a read, torn, whole: {rulings:?}");
    assert!(rulings[1] > 3_000, "{rulings:?}");
    assert_eq!(rulings[2], 0);
}

#[test]
fn a_prune_beside_damage_takes_nothing_that_is_above_it() {
    let image = Image::make(true, 0);
    let mut told = 0;
    for path in image.files() {
        let bytes = bytes_of(&image.disk, &path);
        for (at, byte) in bytes.iter().enumerate() {
            // Only where something is written.
            if *byte == 0 {
                continue;
            }
            let _telling = Telling(|| format!("byte {at} of {}", path.display()));
            let disk = image.disk.snapshot();
            let file = disk.open(&path, OpenMode::Write).unwrap();
            write_all_at(&*file, &[byte ^ 1 << (at % 8)], at as u64, 1).unwrap();
            let Ok(spool) = open(&Place::sim(&disk), &options(0)) else {
                continue;
            };
            let mut through = image.pruned;
            for lsn in [3, 8, 12, 14] {
                match spool.prune_through(lsn) {
                    Ok(pruned) => through = pruned,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                        told += 1;
                    }
                }
                let mut left = image.truth.clone();
                left.retain(|r| r.1 > through);
                let (got, whole) = read(&spool, through);
                assert!(left.starts_with(&got), "{got:?} of {left:?}");
                assert!(!whole || got == left, "silently absent: {got:?}");
            }
        }
    }
    assert!(told > 100, "{told}");
}

#[test]
fn files_that_are_cut_missing_swapped_or_another_spools() {
    for closed in [true, false] {
        let image = Image::make(closed, 0);
        let other = Image::make(closed, 100);
        let all = image.files();
        assert_eq!(all, other.files(), "built alike");
        let mut damaged: Vec<(String, SimStorage)> = Vec::new();
        let mut add = |what: String, change: &dyn Fn(&SimStorage)| {
            let disk = image.disk.snapshot();
            change(&disk);
            damaged.push((what, disk));
        };
        for path in &all {
            let bytes = bytes_of(&image.disk, path);
            let name = path.display();
            add(format!("{name} missing"), &|disk| {
                disk.remove(path).unwrap()
            });
            add(format!("{name} empty"), &|disk| put(disk, path, b""));
            for len in (0..bytes.len()).step_by(512).chain([1, bytes.len() - 1]) {
                add(format!("{name} cut to {len}"), &|disk| {
                    put(disk, path, &bytes[..len]);
                });
            }
            for block in 0..bytes.len() / BLOCK {
                add(format!("block {block} of {name} zeros"), &|disk| {
                    let mut bytes = bytes.clone();
                    bytes[block * BLOCK..][..BLOCK].fill(0);
                    put(disk, path, &bytes);
                });
            }
            add(format!("{name} of another spool"), &|disk| {
                put(disk, path, &bytes_of(&other.disk, path));
            });
            for second in all.iter().filter(|second| *second > path) {
                add(
                    format!("{name} and {} swapped", second.display()),
                    &|disk| {
                        let theirs = bytes_of(disk, second);
                        put(disk, second, &bytes);
                        put(disk, path, &theirs);
                    },
                );
            }
        }
        let mut refused = 0;
        for (what, disk) in damaged {
            let _telling = Telling(|| format!("{what} (closed: {closed})"));
            for checked_at_open in [ALL_AT_OPEN, 0] {
                let ruling = image.rule(&disk.snapshot(), &options(checked_at_open), closed);
                refused += u64::from(ruling == Ruling::Refused);
            }
        }
        assert!(refused > 100, "{refused}");
    }
}

/// A salvage of what is damaged gives what lies before it, and goes on.
#[test]
fn a_salvage_gives_what_lies_before_the_damage() {
    let image = Image::make(true, 0);
    let mut salvaged = 0;
    for path in image.files() {
        for block in 0..bytes_of(&image.disk, &path).len() / BLOCK {
            for at in [0, 40, 140, 190] {
                let _telling = Telling(|| format!("{at} of block {block} of {}", path.display()));
                let disk = image.disk.snapshot();
                let file = disk.open(&path, OpenMode::Write).unwrap();
                write_all_at(&*file, &[0xa5; 3], (block * BLOCK + at) as u64, 1).unwrap();
                let place = Place::sim(&disk);
                if open(&place, &options(ALL_AT_OPEN)).is_ok() {
                    continue;
                }
                let salvage = SpoolOptions {
                    salvage: true,
                    ..options(ALL_AT_OPEN)
                };
                let spool = open(&place, &salvage).unwrap();
                assert!(!spool.salvaged().is_empty());
                let (got, whole) = read(&spool, spool.bounds().pruned_through);
                assert!(image.truth.starts_with(&got), "{got:?}");
                // What is not there is told, and its numbers are not given twice.
                assert!(!whole, "nothing tells of what is lost");
                let next = spool.bounds().current_lsn + 1;
                assert!(next > image.current);
                append_all(&spool, 3, &[next]).unwrap();
                spool.close(PATIENCE).unwrap();
                let spool = open(&place, &options(ALL_AT_OPEN)).unwrap();
                let (after, whole) = read(&spool, spool.bounds().pruned_through);
                assert!(!whole && after == got, "{after:?}");
                assert_eq!(read(&spool, next - 1), (vec![(3, next)], true));
                salvaged += 1;
            }
        }
    }
    assert!(salvaged > 20, "{salvaged}");
}
