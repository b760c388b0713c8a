//! Histograms of latencies.

use hdrhistogram::Histogram;

/// For nanoseconds up to a minute and more, in three digits. Its memory is
/// taken here, before any clock runs.
pub fn latencies() -> Histogram<u64> {
    const MINUTE: u64 = 60_000_000_000;
    Histogram::new_with_max(MINUTE, 3).expect("3 digits are allowed")
}
