//! How a log is used, as a seed says.

use epochwal::Options;
use epochwal::coordinator::{EpochInterval, Knobs, Overflow, Sequencing, SyncPolicy, SyncStyle};
use epochwal::storage::sim::SimRng;
use std::time::Duration;

/// A log keeps its plan over reopenings, but for the format and the policy.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub threads: u64,
    /// Threads run freely, with a ticker, and spares are made beside them: as
    /// in life, and no two runs are alike. Else they take turns.
    pub race: bool,
    /// Openings, each with a clean close.
    pub rounds: u64,
    /// What each thread does in a round.
    pub steps: u64,
    pub style: SyncStyle,
    /// None: a random one for each opening.
    pub policy: Option<SyncPolicy>,
    /// 1, 2, or 0 to change with each round.
    pub format: u32,
    pub sequencing: Sequencing,
    pub overflow: Overflow,
    /// Bytes of a lane.
    pub lane: u64,
    pub segment_size: u64,
    /// See [`Knobs`].
    pub checked_at_open: u64,
}

/// One of these.
fn pick<T: Copy>(rng: &mut SimRng, of: &[T]) -> T {
    of[rng.below(of.len() as u64) as usize]
}

impl Plan {
    /// A plan from a seed, with syncs.
    pub fn random(rng: &mut SimRng) -> Plan {
        Plan {
            threads: 1 + rng.below(4),
            race: rng.chance(1, 3),
            rounds: 1 + rng.below(3),
            steps: 3 + rng.below(12),
            style: pick(rng, &[SyncStyle::Direct, SyncStyle::Buffered]),
            policy: Some(pick(
                rng,
                &[SyncPolicy::Full, SyncPolicy::Full, SyncPolicy::Normal],
            )),
            format: pick(rng, &[2, 2, 2, 1, 0]),
            sequencing: pick(rng, &[Sequencing::Caller, Sequencing::Coordinator]),
            overflow: pick(rng, &[Overflow::Spill, Overflow::Block, Overflow::Refuse]),
            lane: pick(rng, &[4, 8]) << 10,
            segment_size: pick(rng, &[16, 32, 48]) << 10,
            checked_at_open: pick(rng, &[0, 20 << 10, 128 << 20]),
        }
    }

    /// A plan from a seed, without syncs in some openings or all.
    pub fn without_syncs(rng: &mut SimRng) -> Plan {
        Plan {
            policy: pick(rng, &[Some(SyncPolicy::Off), None]),
            format: pick(rng, &[2, 2, 1, 0, 0]),
            ..Plan::random(rng)
        }
    }

    /// A small plan of one thread, for the crash at each of its operations.
    pub fn small(format: u32, style: SyncStyle, sequencing: Sequencing, rng: &mut SimRng) -> Plan {
        Plan {
            threads: 1,
            race: false,
            rounds: 2,
            steps: 10,
            style,
            format,
            sequencing,
            segment_size: 16 << 10,
            ..Plan::random(rng)
        }
    }

    /// What goes on after a crash: short.
    pub fn short(self) -> Plan {
        Plan {
            threads: 1,
            race: false,
            rounds: 1,
            steps: 3,
            ..self
        }
    }

    pub fn options(&self, round: u64, rng: &mut SimRng) -> Options {
        let interval = match self.race && rng.chance(1, 2) {
            true => EpochInterval::After(Duration::from_millis(1)),
            false => EpochInterval::Off,
        };
        let policies = [SyncPolicy::Full, SyncPolicy::Normal, SyncPolicy::Off];
        Options {
            slot_count: 4,
            epoch_interval: interval,
            buffer_capacity: self.lane,
            overflow: self.overflow,
            // Whoever blocks here alone waits for nobody.
            block_timeout: Duration::from_micros(100),
            segment_size: self.segment_size,
            segment_format: self.format_of(round + rng.below(2)),
            sync_policy: self.policy.unwrap_or_else(|| pick(rng, &policies)),
            sync_style: self.style,
            sequencing: self.sequencing,
            knobs: Knobs {
                checked_at_open: self.checked_at_open,
                spares_in_line: !self.race,
            },
            ..Options::default()
        }
    }

    fn format_of(&self, round: u64) -> u32 {
        match self.format {
            0 => 2 - (round % 2) as u32,
            fixed => fixed,
        }
    }
}
