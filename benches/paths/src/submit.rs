//! Submit without waiting, in bursts: a burst fits into a lane, and its flush
//! is outside of the clock.

use crate::log::{batch, frames, options_without_ticker, page};
use crate::sides::{Finding, Plan, side};
use epochwal::{Coordinator, Frame};
use std::cell::RefCell;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};
use turns::{Goal, Spread, text};

/// Bytes of a burst, headers included: half a lane. Two of them are more than
/// a second-level cache of 1 or 2 MiB holds and far less than a third-level
/// one does.
const BURST: usize = 2 << 20;
/// More than a batch and a frame have of headers.
const HEADERS: usize = 128;
const HUGE_PAGE: usize = 2 << 20;

/// Frames of the batches that are staged.
#[derive(Clone, Copy)]
pub struct Shape {
    pub frames: usize,
    pub bytes: usize,
}

impl Shape {
    /// What a batch carries.
    pub fn payload(self) -> usize {
        self.frames * self.bytes
    }

    pub fn images(self) -> Vec<Vec<u8>> {
        (0..self.frames as u64)
            .map(|seed| page(seed, self.bytes))
            .collect()
    }

    fn batches(self) -> usize {
        BURST / (self.payload() + HEADERS * self.frames)
    }
}

/// Megabytes a second in the median burst; between bursts comes `rest`. A
/// burst is short enough that most are not interrupted.
pub fn rate(
    turn: Duration,
    shape: Shape,
    mut submit: impl FnMut() -> Result<(), String>,
    mut rest: impl FnMut() -> Result<(), String>,
) -> Result<f64, String> {
    let megabytes = (shape.batches() * shape.payload()) as f64 / 1e6;
    let began = Instant::now();
    let mut rates = Vec::new();
    while rates.is_empty() || began.elapsed() < turn {
        let burst = Instant::now();
        for _ in 0..shape.batches() {
            submit()?;
        }
        rates.push(megabytes / burst.elapsed().as_secs_f64());
        rest()?;
    }
    Ok(Spread::of(rates).median)
}

/// Submits through the Rust API.
pub fn rust_rate(
    turn: Duration,
    shape: Shape,
    log: &Coordinator,
    frames: &[Frame],
) -> Result<f64, String> {
    let submit = || log.submit(&batch(frames)).map(|_| ()).map_err(text);
    let rest = || log.flush(None).map(|_| ()).map_err(text);
    let rate = rate(turn, shape, submit, rest)?;
    crate::log::checkpoint(log)?;
    Ok(rate)
}

/// The least that a log does which fills one buffer while the other is on its
/// way: copies and sums into two places in turns, each of which goes to the
/// disk after its burst. Memory that only the copy touches would stay in the
/// cache of its processor, and a log's does not: what serves the device reads
/// it, and others run meanwhile.
struct Copier {
    memory: Vec<u8>,
    start: usize,
    /// The place in use, 0 or 1, and how much of it is filled.
    place: usize,
    filled: usize,
    sum: u32,
    file: File,
}

impl Copier {
    fn new(dir: &Path) -> Result<Copier, String> {
        // Huge pages, as the library has for bursts of this size.
        let mut memory: Vec<u8> = Vec::with_capacity(2 * BURST + HUGE_PAGE);
        let start = memory.as_ptr().align_offset(HUGE_PAGE);
        let base = memory.as_mut_ptr().wrapping_add(start).cast();
        // SAFETY: advice on memory of our own, which may be refused.
        unsafe { libc::madvise(base, 2 * BURST, libc::MADV_HUGEPAGE) };
        memory.resize(2 * BURST + HUGE_PAGE, 1);
        let path = dir.join("copied");
        std::fs::write(&path, &memory[start..][..2 * BURST]).map_err(text)?;
        let open = |flags| {
            let mut options = File::options();
            options.write(true).custom_flags(flags).open(&path)
        };
        let direct = open(libc::O_DIRECT | libc::O_DSYNC);
        let file = direct.or_else(|_| open(libc::O_DSYNC)).map_err(text)?;
        file.sync_all().map_err(text)?;
        Ok(Copier {
            memory,
            start,
            place: 0,
            filled: 0,
            sum: 0,
            file,
        })
    }

    fn take_in(&mut self, images: &[Vec<u8>]) {
        let from = self.start + self.place * BURST;
        for image in images {
            let to = &mut self.memory[from..][..BURST][self.filled..][..image.len()];
            to.copy_from_slice(image);
            self.sum = crc32c::crc32c_append(self.sum, black_box(image));
            self.filled += image.len();
        }
        black_box(&mut self.memory);
    }

    /// Writes what the place has, and goes on with the other.
    fn write(&mut self) -> Result<(), String> {
        let from = self.start + self.place * BURST;
        let filled = &self.memory[from..][..self.filled];
        let at = (self.place * BURST) as u64;
        self.file.write_all_at(filled, at).map_err(text)?;
        self.place = 1 - self.place;
        self.filled = 0;
        Ok(())
    }
}

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let dir = plan.scratch.subdir()?;
    let log = Coordinator::open(&dir.path().join("db"), &options_without_ticker()).map_err(text)?;
    let shape = Shape {
        frames: 8,
        bytes: 4096,
    };
    let images = shape.images();
    let staged = frames(&images);
    let copier = RefCell::new(Copier::new(dir.path())?);
    let copying = || {
        let copy = || {
            copier.borrow_mut().take_in(&images);
            Ok(())
        };
        rate(plan.turn, shape, copy, || copier.borrow_mut().write())
    };
    let finding = Finding::in_turns(
        plan,
        "submit, 8 x 4096 bytes, 1 thread",
        "MB/s",
        Some(Goal::AtLeast(0.8)),
        side("submit", || rust_rate(plan.turn, shape, &log, &staged)),
        side("memcpy + crc32c", copying),
    )?;
    Ok(vec![finding])
}
