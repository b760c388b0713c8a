//! A file's bytes and size: what is durable, and what a crash may leave
//! instead.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// The unit that a crash keeps or loses as a whole, in bytes.
pub const SECTOR: usize = 512;

/// Sectors per chunk, the unit that clones of a disk share.
const CHUNK: u64 = 128;

type Sector = [u8; SECTOR];

/// A sector's content; none for a hole, which reads as zeros.
type Content = Option<Arc<Sector>>;

/// All zeros; one copy serves the zeros of all files.
static ZEROS: LazyLock<Arc<Sector>> = LazyLock::new(|| Arc::new([0; SECTOR]));

/// A value with a history: the durable state, and all later ones that may or
/// may not have reached the disk.
#[derive(Clone, Debug, Default)]
struct Versioned<T> {
    durable: T,
    /// In the order of their making; the last is what the cache holds.
    since: Vec<T>,
    /// Whether the next sync writes the cached value. After a failed sync it
    /// does not, although nobody knows what is on the disk.
    dirty: bool,
}

impl<T: Clone + PartialEq> Versioned<T> {
    fn cached(&self) -> &T {
        self.since.last().unwrap_or(&self.durable)
    }

    fn set(&mut self, value: T) {
        if *self.cached() != value {
            self.since.push(value);
        }
        self.dirty = self.is_open();
    }

    /// Whether a crash has a choice.
    fn is_open(&self) -> bool {
        !self.since.is_empty()
    }

    /// Makes the cached value the durable one.
    fn settle(&mut self) {
        if let Some(last) = self.since.pop() {
            self.durable = last;
        }
        self.since.clear();
        self.dirty = false;
    }

    fn sync(&mut self) {
        if self.dirty {
            self.settle();
        }
    }

    /// Lets a crash choose; the first choice is the durable value.
    fn crash(&mut self, choose: &mut dyn FnMut(usize) -> usize) {
        if self.is_open() {
            let choices = self.since.len() + 1;
            let choice = choose(choices);
            assert!(choice < choices, "choice {choice} of {choices}");
            self.since.truncate(choice);
            self.settle();
        }
    }
}

#[derive(Clone, Debug)]
struct Chunk(Vec<Versioned<Content>>);

/// A file without a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    chunks: BTreeMap<u64, Arc<Chunk>>,
    /// The sectors in which a crash has a choice.
    open: BTreeSet<u64>,
    size: Versioned<u64>,
}

impl Inode {
    pub(super) fn size(&self) -> u64 {
        *self.size.cached()
    }

    fn content(&self, sector: u64) -> Option<&Arc<Sector>> {
        let chunk = self.chunks.get(&(sector / CHUNK))?;
        chunk.0[(sector % CHUNK) as usize].cached().as_ref()
    }

    fn slot(&mut self, sector: u64) -> &mut Versioned<Content> {
        let chunk = self
            .chunks
            .entry(sector / CHUNK)
            .or_insert_with(|| Arc::new(Chunk(vec![Versioned::default(); CHUNK as usize])));
        &mut Arc::make_mut(chunk).0[(sector % CHUNK) as usize]
    }

    /// Changes a slot, and keeps `open` true to it.
    fn change(&mut self, sector: u64, change: impl FnOnce(&mut Versioned<Content>)) {
        let slot = self.slot(sector);
        change(slot);
        if slot.is_open() {
            self.open.insert(sector);
        } else {
            self.open.remove(&sector);
        }
    }

    /// Bytes that take room on the disk.
    pub(super) fn allocated(&self) -> u64 {
        let slots = self.chunks.values().flat_map(|chunk| &chunk.0);
        slots.filter(|slot| slot.cached().is_some()).count() as u64 * SECTOR as u64
    }

    /// How many of `len` bytes at `offset` can be written if no more than
    /// `room` bytes may be allocated for them.
    pub(super) fn fits(&self, offset: u64, len: usize, mut room: u64) -> usize {
        for (sector, range) in pieces(offset, len) {
            if self.content(sector).is_none() {
                if room < SECTOR as u64 {
                    return range.start;
                }
                room -= SECTOR as u64;
            }
        }
        len
    }

    /// Reads from the cache; fewer bytes at the end of the file.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let len = (buf.len() as u64).min(self.size().saturating_sub(offset)) as usize;
        for (sector, range) in pieces(offset, len) {
            let skip = ((offset + range.start as u64) % SECTOR as u64) as usize;
            let target = &mut buf[range];
            match self.content(sector) {
                Some(data) => target.copy_from_slice(&data[skip..skip + target.len()]),
                None => target.fill(0),
            }
        }
        len
    }

    /// Writes to the cache.
    pub(super) fn write(&mut self, buf: &[u8], offset: u64) {
        for (sector, range) in pieces(offset, buf.len()) {
            let skip = ((offset + range.start as u64) % SECTOR as u64) as usize;
            let source = &buf[range];
            let mut data = self.content(sector).map_or([0; SECTOR], |old| **old);
            data[skip..skip + source.len()].copy_from_slice(source);
            self.change(sector, |slot| slot.set(Some(share(data))));
        }
        self.size.set(self.size().max(offset + buf.len() as u64));
    }

    /// Makes a range's bytes durable, the size not.
    pub(super) fn settle(&mut self, offset: u64, len: usize) {
        for (sector, _) in pieces(offset, len) {
            self.change(sector, Versioned::settle);
        }
    }

    /// Takes a range's bytes for written although nobody knows if they are.
    pub(super) fn forsake(&mut self, offset: u64, len: usize) {
        for (sector, _) in pieces(offset, len) {
            self.change(sector, |slot| slot.dirty = false);
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        let cut = len.div_ceil(SECTOR as u64);
        if len < self.size() {
            let inside = (len % SECTOR as u64) as usize;
            if inside != 0
                && let Some(data) = self.content(cut - 1)
            {
                let mut data = **data;
                data[inside..].fill(0);
                self.change(cut - 1, |slot| slot.set(Some(share(data))));
            }
            let beyond: Vec<u64> = self.allocated_from(cut).collect();
            for sector in beyond {
                self.change(sector, |slot| slot.set(None));
            }
        }
        self.size.set(len);
    }

    /// The sectors at or above `first` that the cache holds.
    fn allocated_from(&self, first: u64) -> impl Iterator<Item = u64> + '_ {
        self.chunks
            .range(first / CHUNK..)
            .flat_map(move |(chunk, slots)| {
                let sectors = (chunk * CHUNK..).zip(&slots.0);
                sectors.filter_map(move |(sector, slot)| {
                    (sector >= first && slot.cached().is_some()).then_some(sector)
                })
            })
    }

    /// A sync that succeeds.
    pub(super) fn sync(&mut self) {
        for sector in self.open.clone() {
            self.change(sector, Versioned::sync);
        }
        self.size.sync();
    }

    /// A sync that fails: the cache is called clean, and a crash decides.
    pub(super) fn fail_sync(&mut self) {
        for sector in self.open.clone() {
            self.change(sector, |slot| slot.dirty = false);
        }
        self.size.dirty = false;
    }

    /// Leaves what a crash leaves, all of it durable. Asks `choose` about the
    /// size first, then about each sector, ascending.
    pub(super) fn crash(&mut self, choose: &mut dyn FnMut(usize) -> usize) {
        self.size.crash(choose);
        for sector in std::mem::take(&mut self.open) {
            self.slot(sector).crash(choose);
        }
        // Bytes beyond the size that survived are not part of the file.
        let size = self.size();
        self.size.set(u64::MAX);
        self.set_len(size);
        self.sync();
    }
}

/// The sectors of a range, each with the part of the range in it.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, Range<usize>)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let at = offset + start as u64;
        let end = len.min(start + SECTOR - (at % SECTOR as u64) as usize);
        let piece = (start < len).then(|| (at / SECTOR as u64, start..end));
        start = end;
        piece
    })
}

fn share(data: Sector) -> Arc<Sector> {
    if data == **ZEROS {
        ZEROS.clone()
    } else {
        Arc::new(data)
    }
}
