//! Figures: what the coordinator counts, and how it shows them.

use super::options::SyncStyle;
use crate::sync::processor;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Percentiles of a latency, in nanoseconds; 0 where nothing was measured.
/// Values are the upper bound of a bucket that is at most 12.5% wide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// All of them together.
    pub sum: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// The largest, exact.
    pub max: u64,
}

/// A snapshot of the coordinator's figures. Counters count since open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches staged.
    pub batches: u64,
    /// Frames staged.
    pub frames: u64,
    /// Page bytes staged.
    pub bytes: u64,
    /// Epochs made durable.
    pub epochs: u64,
    /// Groups written.
    pub groups: u64,
    /// Bytes written as groups, padding and certificates included.
    pub group_bytes: u64,
    /// Syncs of groups (a write-through write counts as one).
    pub syncs: u64,
    /// Batches that went past their lane's capacity.
    pub spills: u64,
    /// Batches that took the ordered path.
    pub oversize: u64,
    /// Submits that found their lane taken by another thread.
    pub contended: u64,
    /// Submits that had to wait for room.
    pub blocked: u64,
    /// Submits refused for want of room.
    pub refused: u64,
    /// Writes taken up again after an interruption, a short write or no space.
    pub retries: u64,
    /// Flushes that failed.
    pub failures: u64,
    /// Checkpoints done.
    pub checkpoints: u64,
    /// The epoch that a batch staged now would get.
    pub current_epoch: u64,
    /// The highest durable epoch; none before the first.
    pub durable_epoch: Option<u64>,
    /// The highest epoch that the caller has checkpointed; none before the first.
    pub checkpoint_epoch: Option<u64>,
    /// Segment files that hold live epochs.
    pub segments_in_use: u64,
    /// Prepared files that wait for use.
    pub segments_free: u64,
    /// Bytes of groups in live segments.
    pub log_bytes: u64,
    /// The configured limit of `log_bytes`; 0: none.
    pub max_log_bytes: u64,
    /// Bytes staged or in flight.
    pub memory_bytes: u64,
    /// The configured limit of `memory_bytes`.
    pub max_memory: u64,
    /// How groups reach the disk: direct or buffered, as the probe at open found.
    pub sync_style: SyncStyle,
    /// Lanes configured.
    pub lanes: u32,
    /// Lanes that a living thread holds.
    pub lanes_in_use: u32,
    /// Frames staged and not yet sealed, per lane (indexed by lane).
    pub backlog: Vec<u32>,
    /// From the call of a wait that had to wait, to its return.
    pub wait: Latency,
    /// From the start of a group's write to its durability.
    pub flush: Latency,
}

impl Stats {
    /// The single numbers with their names, for faces that show them all.
    pub fn fields(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("batches", self.batches),
            ("frames", self.frames),
            ("bytes", self.bytes),
            ("epochs", self.epochs),
            ("groups", self.groups),
            ("group_bytes", self.group_bytes),
            ("syncs", self.syncs),
            ("spills", self.spills),
            ("oversize", self.oversize),
            ("contended", self.contended),
            ("blocked", self.blocked),
            ("refused", self.refused),
            ("retries", self.retries),
            ("failures", self.failures),
            ("checkpoints", self.checkpoints),
            ("current_epoch", self.current_epoch),
            ("segments_in_use", self.segments_in_use),
            ("segments_free", self.segments_free),
            ("log_bytes", self.log_bytes),
            ("max_log_bytes", self.max_log_bytes),
            ("memory_bytes", self.memory_bytes),
            ("max_memory", self.max_memory),
            ("lanes", u64::from(self.lanes)),
            ("lanes_in_use", u64::from(self.lanes_in_use)),
        ]
    }

    /// Prometheus text exposition: every figure as `epochwal_<name>`, with
    /// the database's path as label.
    pub fn prometheus(&self, database: &str) -> String {
        const GAUGES: &[&str] = &[
            "current_epoch",
            "segments_in_use",
            "segments_free",
            "log_bytes",
            "max_log_bytes",
            "memory_bytes",
            "max_memory",
            "lanes",
            "lanes_in_use",
        ];
        let label = escape_label(database);
        let mut out = String::new();
        for (name, value) in self.fields() {
            let (suffix, kind) = if GAUGES.contains(&name) {
                ("", "gauge")
            } else {
                ("_total", "counter")
            };
            let _ = writeln!(out, "# TYPE epochwal_{name}{suffix} {kind}");
            let _ = writeln!(out, "epochwal_{name}{suffix}{{db=\"{label}\"}} {value}");
        }
        for (name, value) in [
            ("durable_epoch", self.durable_epoch),
            ("checkpoint_epoch", self.checkpoint_epoch),
        ] {
            if let Some(value) = value {
                let _ = writeln!(out, "# TYPE epochwal_{name} gauge");
                let _ = writeln!(out, "epochwal_{name}{{db=\"{label}\"}} {value}");
            }
        }
        let _ = writeln!(out, "# TYPE epochwal_sync_direct gauge");
        let direct = u8::from(self.sync_style == SyncStyle::Direct);
        let _ = writeln!(out, "epochwal_sync_direct{{db=\"{label}\"}} {direct}");
        let _ = writeln!(out, "# TYPE epochwal_backlog_frames gauge");
        for (lane, frames) in self.backlog.iter().enumerate() {
            let _ = writeln!(
                out,
                "epochwal_backlog_frames{{db=\"{label}\",lane=\"{lane}\"}} {frames}"
            );
        }
        for (name, latency) in [("wait", self.wait), ("flush", self.flush)] {
            let name = format!("epochwal_{name}_seconds");
            let _ = writeln!(out, "# TYPE {name} summary");
            for (quantile, nanos) in [
                ("0.5", latency.p50),
                ("0.9", latency.p90),
                ("0.99", latency.p99),
                ("0.999", latency.p999),
                ("1", latency.max),
            ] {
                let seconds = nanos as f64 / 1e9;
                let _ = writeln!(
                    out,
                    "{name}{{db=\"{label}\",quantile=\"{quantile}\"}} {seconds}"
                );
            }
            let sum = latency.sum as f64 / 1e9;
            let _ = writeln!(out, "{name}_sum{{db=\"{label}\"}} {sum}");
            let _ = writeln!(out, "{name}_count{{db=\"{label}\"}} {}", latency.count);
        }
        out
    }
}

/// Backslash, quote and line feed are the three that the exposition format escapes.
fn escape_label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

const SUB_BITS: u32 = 3;
const BUCKETS: usize = ((64 - SUB_BITS as usize) << SUB_BITS) + (1 << SUB_BITS);

/// A histogram that any thread may add to: eight buckets per power of two.
/// (A library's histogram wants exclusive access for each value, and this is
/// on the commit path.)
///
/// It has parts for processors, so that threads which add at once do not
/// pass cache lines between them.
pub(crate) struct Histogram(Box<[Part]>);

/// Its length keeps it apart from the next but for one line.
#[repr(align(128))]
struct Part {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    max: AtomicU64,
}

/// As many processors add without meeting each other; more share.
const PARTS: usize = 16;

impl Histogram {
    /// For one thread at a time.
    pub(crate) fn single() -> Self {
        Self::with_parts(1)
    }

    /// For threads on all processors.
    pub(crate) fn shared() -> Self {
        Self::with_parts(PARTS)
    }

    fn with_parts(count: usize) -> Self {
        let part = |_| Part {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        };
        Histogram((0..count).map(part).collect())
    }

    pub(crate) fn record(&self, value: u64) {
        let part = match &*self.0 {
            [single] => single,
            parts => &parts[processor() % parts.len()],
        };
        part.buckets[bucket_of(value)].fetch_add(1, Relaxed);
        part.sum.fetch_add(value, Relaxed);
        // A new maximum is rare, a plain load cheap.
        if value > part.max.load(Relaxed) {
            part.max.fetch_max(value, Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> Latency {
        let total = |of: &dyn Fn(&Part) -> u64| self.0.iter().map(of).sum::<u64>();
        let counts: Vec<u64> = (0..BUCKETS)
            .map(|bucket| total(&|part| part.buckets[bucket].load(Relaxed)))
            .collect();
        let count: u64 = counts.iter().sum();
        let maxima = self.0.iter().map(|part| part.max.load(Relaxed));
        let max = maxima.max().unwrap_or(0);
        let at = |per_mille: u64| {
            let rank = (count * per_mille).div_ceil(1000);
            let mut seen = 0;
            for (bucket, n) in counts.iter().enumerate() {
                seen += n;
                if *n > 0 && seen >= rank {
                    return upper_bound(bucket).min(max);
                }
            }
            0
        };
        Latency {
            count,
            sum: total(&|part| part.sum.load(Relaxed)),
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p999: at(999),
            max,
        }
    }
}

fn bucket_of(value: u64) -> usize {
    if value < 1 << SUB_BITS {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - SUB_BITS;
    ((shift as usize + 1) << SUB_BITS) + ((value >> shift) as usize & ((1 << SUB_BITS) - 1))
}

fn upper_bound(bucket: usize) -> u64 {
    if bucket < 1 << SUB_BITS {
        return bucket as u64;
    }
    let shift = (bucket >> SUB_BITS) - 1;
    let mantissa = (1 << SUB_BITS) + (bucket & ((1 << SUB_BITS) - 1)) as u128;
    ((((mantissa + 1) << shift) - 1).min(u128::from(u64::MAX))) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_bounds_and_the_next_begins_after_them() {
        for bucket in 0..BUCKETS {
            let high = upper_bound(bucket);
            assert_eq!(bucket_of(high), bucket);
            if let Some(next) = high.checked_add(1) {
                assert_eq!(bucket_of(next), bucket + 1);
            }
        }
    }

    #[test]
    fn percentiles_of_a_known_set() {
        for h in [Histogram::single(), Histogram::shared()] {
            std::thread::scope(|scope| {
                let threads = [1..=300, 301..=1000]
                    .map(|values| scope.spawn(|| values.for_each(|v| h.record(v))));
                for thread in threads {
                    thread.join().unwrap();
                }
            });
            let s = h.snapshot();
            assert_eq!((s.count, s.sum, s.max), (1000, 500_500, 1000));
            assert!((500..=575).contains(&s.p50), "{s:?}");
            assert!((990..=1000).contains(&s.p99), "{s:?}");
        }
    }

    #[test]
    fn prometheus_text_escapes_its_label() {
        let text = Stats::default().prometheus("a\"b\\c");
        assert!(text.contains("epochwal_batches_total{db=\"a\\\"b\\\\c\"} 0"));
    }
}
