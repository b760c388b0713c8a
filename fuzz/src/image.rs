//! A log's directory as an input, and back.
//!
//! A mode byte, then files: what kind (u8), the number in its name (u64), its
//! length (u32), how many stretches are not zeros (u8), and those: offset
//! (u32), length (u16), bytes. So a log of a few commits is a few hundred
//! bytes, and a byte changed anywhere is one that matters.

use super::fix::{self, BLOCK};
use super::input::Input;
use epochwal::format::names::{Kind, Names};
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{OpenMode, Storage, read_exact_at, write_all_at};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

pub const DIR: &str = "/data";
const MAX_FILES: usize = 12;
const MAX_LEN: usize = 128 << 10;
/// A run of zeros this long ends a stretch.
const GAP: usize = 16;

/// Mode: all checksums are made right.
pub const FIX: u8 = 1;
/// Mode: so are the certificates' counts.
pub const RESEAL: u8 = 2;
/// Mode: so are the links from group to group.
pub const LINK: u8 = 4;

/// Files by name. The lock file is left out, it has no lasting content.
pub type Files = BTreeMap<OsString, Vec<u8>>;

pub fn database() -> PathBuf {
    Path::new(DIR).join("test.db")
}

fn names() -> Names {
    Names::new(&database())
}

fn name_of(kind: u8, number: u64) -> OsString {
    let names = names();
    let path = match kind % 7 {
        0 => names.segment(number),
        1 => names.state(),
        2 => names.spare(number),
        3 => names.tmp(number),
        4 => names.salvaged(&names.segment(number >> 8), number & 0xff),
        5 => names.lock(),
        _ => database(),
    };
    path.file_name().expect("a name").to_owned()
}

fn code_of(name: &OsStr) -> (u8, u64) {
    match names().classify(name) {
        Some(Kind::Segment(epoch)) => (0, epoch),
        Some(Kind::State) => (1, 0),
        Some(Kind::Spare(number)) => (2, number),
        Some(Kind::Tmp(epoch)) => (3, epoch),
        Some(Kind::Salvaged(epoch, number)) => (4, epoch << 8 | number),
        Some(Kind::Lock) => (5, 0),
        None => (6, 0),
    }
}

/// The files that an input stands for, and its mode.
pub fn unpack(data: &[u8]) -> (u8, Files) {
    let mut input = Input(data);
    let mode = input.u8();
    let mut files = Files::new();
    for _ in 0..MAX_FILES {
        if input.is_empty() {
            break;
        }
        let (kind, number) = (input.u8(), input.u64());
        let mut bytes = vec![0; input.u32() as usize % (MAX_LEN + 1)];
        for _ in 0..input.u8() {
            let at = input.u32() as usize % (bytes.len() + 1);
            let len = input.u16() as usize;
            let stretch = input.take(len.min(bytes.len() - at));
            bytes[at..at + stretch.len()].copy_from_slice(stretch);
        }
        files.insert(name_of(kind, number), bytes);
    }
    fix_all(mode, &mut files);
    (mode, files)
}

/// The input that stands for these files.
pub fn pack(mode: u8, files: &Files) -> Vec<u8> {
    let mut out = vec![mode];
    for (name, bytes) in files {
        let (kind, number) = code_of(name);
        out.push(kind);
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        let stretches = stretches(bytes);
        out.push(u8::try_from(stretches.len()).expect("a small file"));
        for (at, stretch) in stretches {
            out.extend_from_slice(&(at as u32).to_le_bytes());
            out.extend_from_slice(&(stretch.len() as u16).to_le_bytes());
            out.extend_from_slice(stretch);
        }
    }
    out
}

fn stretches(bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(skip) = bytes[at..].iter().position(|b| *b != 0) {
        let start = at + skip;
        let mut end = start;
        let mut zeros = 0;
        for (i, byte) in bytes[start..].iter().enumerate().take(u16::MAX as usize) {
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            if zeros == 0 {
                end = start + i + 1;
            }
            if zeros >= GAP {
                break;
            }
        }
        found.push((start, &bytes[start..end]));
        at = end;
    }
    found
}

fn fix_all(mode: u8, files: &mut Files) {
    let mut last = None;
    for (name, bytes) in files.iter_mut().filter(|_| mode & FIX != 0) {
        match names().classify(name) {
            Some(Kind::Segment(_) | Kind::Spare(_)) => fix_segment(mode, bytes, &mut last),
            Some(Kind::State) => bytes.chunks_mut(BLOCK).take(2).for_each(fix::state),
            _ => {}
        }
    }
}

/// Every block that begins like a group; the groups that stand one behind the
/// other are linked.
fn fix_segment(mode: u8, bytes: &mut [u8], last: &mut Option<(u64, u32)>) {
    let mut next = 0;
    for at in (0..bytes.len()).step_by(BLOCK) {
        let group = &mut bytes[at..];
        if !fix::has_magic(group) {
            continue;
        }
        if let (true, true, Some((epoch, crc))) = (mode & LINK != 0, at == next, *last) {
            fix::link(group, epoch, crc);
        }
        match mode & RESEAL {
            0 => fix::group(group),
            _ => fix::reseal(group),
        }
        if let (true, Some((length, _))) = (at == next, fix::extent(group)) {
            *last = Some((fix::u64_at(group, 8), fix::u32_at(group, length - 4)));
            next += length;
        }
    }
}

/// A machine whose disk holds these files.
pub fn disk_of(files: &Files) -> SimStorage {
    let disk = SimStorage::new();
    disk.make_dirs(Path::new(DIR));
    for (name, bytes) in files {
        let path = Path::new(DIR).join(name);
        let file = disk.open(&path, OpenMode::CreateNew).unwrap();
        write_all_at(&*file, bytes, 0, 1).unwrap();
        file.sync_all().unwrap();
    }
    disk.sync_dir(Path::new(DIR)).unwrap();
    disk
}

/// The files on a disk.
pub fn files_of(disk: &SimStorage) -> Files {
    let mut files = Files::new();
    for name in disk.list(Path::new(DIR)).unwrap() {
        if names().classify(&name) == Some(Kind::Lock) {
            continue;
        }
        let file = disk
            .open(&Path::new(DIR).join(&name), OpenMode::Read)
            .unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        read_exact_at(&*file, &mut bytes, 0).unwrap();
        files.insert(name, bytes);
    }
    files
}
