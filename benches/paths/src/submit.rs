//! Submit without waiting, in bursts: a burst fits into a lane, and its flush
//! is outside of the clock.

use crate::log::{batch, frames, options_without_ticker, page};
use crate::sides::{Finding, Plan, side};
use epochwal::{Coordinator, Frame};
use std::hint::black_box;
use std::time::{Duration, Instant};
use turns::{Goal, Spread, text};

/// Bytes of a burst, headers included: half a lane.
const BURST: usize = 2 << 20;
/// More than a batch and a frame have of headers.
const HEADERS: usize = 128;

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

/// Copies into as much memory as a burst fills, burst by burst into one of two
/// such places, as a log does of which one half is filled and the other
/// written.
struct Copier {
    memory: Vec<u8>,
    at: usize,
    sum: u32,
}

impl Copier {
    fn take_in(&mut self, images: &[Vec<u8>]) {
        for image in images {
            if self.at + image.len() > self.memory.len() {
                self.at = 0;
            }
            let place = &mut self.memory[self.at..][..image.len()];
            place.copy_from_slice(image);
            self.sum = crc32c::crc32c_append(self.sum, black_box(image));
            self.at += image.len();
        }
        black_box(&mut self.memory);
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
    let mut copier = Copier {
        memory: vec![1; 2 * BURST],
        at: 0,
        sum: 0,
    };
    let copying = || {
        let copy = || {
            copier.take_in(&images);
            Ok(())
        };
        // The same rest as the other side's, so that both come back to equally
        // cold caches.
        let rest = || log.commit(&batch(&staged), None).map(|_| ()).map_err(text);
        rate(plan.turn, shape, copy, rest)
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
