//! What the benchmarks share.
//!
//! The machines that they run on are small, shared and noisy, so nothing is
//! measured alone: what is compared takes turns, round after round, and what
//! counts is the median of the rounds' ratios.

mod cpu;
mod disk;
mod goal;
mod latency;
mod scratch;
mod spread;

pub use cpu::cpu_time;
pub use disk::Disk;
pub use goal::{Goal, Verdict};
pub use latency::latencies;
pub use scratch::Scratch;
pub use spread::{Spread, ratios};

/// An error as the programs show it.
pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Writes the figures to a file; "-" is standard output.
pub fn write_json(file: &std::path::Path, figures: &serde_json::Value) -> Result<(), String> {
    if file.as_os_str() == "-" {
        println!("{figures:#}");
        return Ok(());
    }
    std::fs::write(file, format!("{figures:#}\n")).map_err(|e| format!("{}: {e}", file.display()))
}
