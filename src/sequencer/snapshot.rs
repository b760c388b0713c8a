//! The figures at one moment.

use super::core::Sequencer;
use super::stats::Stats;
use crate::sync::{AtomicU64, Ordering};

impl Sequencer {
    /// All figures; never blocks on a flush.
    pub(crate) fn snapshot(&self) -> Stats {
        let c = &self.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (current_epoch, _) = self.staging.current();
        let mut stats = Stats {
            epochs: get(&c.epochs),
            groups: get(&c.groups),
            group_bytes: get(&c.group_bytes),
            syncs: get(&c.syncs),
            oversize: get(&c.oversize),
            blocked: get(&c.blocked),
            refused: get(&c.refused),
            retries: get(&c.retries),
            failures: get(&c.failures),
            checkpoints: get(&c.checkpoints),
            current_epoch,
            durable_epoch: self.durable(),
            checkpoint_epoch: get(&self.floor).checked_sub(1),
            segments_in_use: get(&self.segments),
            segments_free: get(&self.spares),
            log_bytes: get(&self.log_bytes),
            max_log_bytes: self.options.max_log_bytes.unwrap_or(0),
            memory_bytes: self.staging.memory(),
            max_memory: self.options.max_memory,
            sync_style: self.sync_style,
            lanes: self.lanes.count(),
            lanes_in_use: self.lanes.in_use(),
            wait: self.wait_latency.snapshot(),
            flush: self.flush_latency.snapshot(),
            ..Stats::default()
        };
        self.lanes.for_each(|lane| {
            stats.batches += lane.batches_total;
            stats.frames += lane.frames_total;
            stats.bytes += lane.bytes_total;
            stats.spills += lane.spills;
            stats.contended += lane.contended;
            stats.backlog.push(lane.frames_in(current_epoch));
        });
        stats
    }
}
