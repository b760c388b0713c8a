//! How far everyone is.

use super::Primary;
use super::policy::Level;
use super::state::Entry;

/// A member of the registry as it is seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaInfo {
    /// Its name.
    pub id: String,
    /// Where it is, if it said so.
    pub region: Option<String>,
    /// Of its session; 0 where it has had none since the primary was opened.
    pub generation: u64,
    /// When its session began, in milliseconds since the Unix epoch; 0 where it
    /// has none.
    pub connected_at_ms: u64,
    /// When it was seen last, likewise.
    pub last_seen_ms: u64,
    /// It was seen within `healthy_for`, as of the last look at the limits.
    pub healthy: bool,
    /// It is being loaded from a snapshot.
    pub rebootstrapping: bool,
    /// Commits may count on it: its slot is valid, and it is not being
    /// rebootstrapped.
    pub counts: bool,
    /// The LSN through which it was sent records.
    pub sent_lsn: u64,
    /// The LSN through which it has received.
    pub written_lsn: u64,
    /// The LSN through which it has on stable storage.
    pub durable_lsn: u64,
    /// The LSN through which it has applied.
    pub applied_lsn: u64,
    /// Records that it could not apply, in all.
    pub apply_errors: u64,
    /// Differences that it has found, in all.
    pub divergences: u64,
}

/// How far the replicas are together. Those whose slot is invalid, or who are
/// being rebootstrapped, are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Replicas that are counted here.
    pub replicas: u64,
    /// The highest LSN that was sent to one.
    pub highest_sent: u64,
    /// The lowest that one has applied; 0 where there is none.
    pub lowest_applied: u64,
    /// The distance of the two.
    pub lag: u64,
    /// The lowest LSN that one has durable: all of them can replay to it; 0
    /// where there is none.
    pub safe_replay_lsn: u64,
    /// The lowest restart LSN of the valid slots; none where there is none.
    pub retention_floor: Option<u64>,
    /// The highest LSN that a commit wait called reached.
    pub quorum_lsn: u64,
}

impl Primary {
    /// The members of the registry, by id, as they were at one moment. Never
    /// blocks.
    pub fn replicas(&self) -> Vec<ReplicaInfo> {
        let state = self.0.state.lock();
        let mut replicas: Vec<_> = state.entries().filter_map(|(_, e)| info(e)).collect();
        drop(state);
        replicas.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        replicas
    }

    /// How far the replicas are together.
    pub fn progress(&self) -> Progress {
        let state = self.0.state.lock();
        let mut progress = Progress {
            quorum_lsn: state.quorum_lsn,
            ..Progress::default()
        };
        let (mut durable, mut applied) = (None::<u64>, None::<u64>);
        for (_, entry) in state.entries() {
            if entry.slot.is_valid() {
                let restart_lsn = entry.slot.restart_lsn;
                let floor = progress.retention_floor.unwrap_or(restart_lsn);
                progress.retention_floor = Some(floor.min(restart_lsn));
            }
            let Some(replica) = entry.replica.as_ref().filter(|_| entry.counts()) else {
                continue;
            };
            progress.replicas += 1;
            progress.highest_sent = progress.highest_sent.max(replica.sent);
            let lowest = |so_far: Option<u64>, level| {
                let position = entry.position(level);
                Some(so_far.map_or(position, |l| l.min(position)))
            };
            durable = lowest(durable, Level::Durable);
            applied = lowest(applied, Level::Applied);
        }
        progress.lowest_applied = applied.unwrap_or(0);
        progress.safe_replay_lsn = durable.unwrap_or(0);
        progress.lag = progress
            .highest_sent
            .saturating_sub(progress.lowest_applied);
        progress
    }

    /// The LSN that at least `n` replicas have at a level, without waiting; 0
    /// where there are fewer.
    pub fn quorum_lsn(&self, n: usize, level: Level) -> u64 {
        let state = self.0.state.lock();
        let those = state.entries().filter(|(_, e)| e.counts());
        let mut positions: Vec<u64> = those.map(|(_, e)| e.position(level)).collect();
        drop(state);
        match n.checked_sub(1) {
            Some(at) if at < positions.len() => {
                let (_, nth, _) = positions.select_nth_unstable_by(at, |a, b| b.cmp(a));
                *nth
            }
            _ => 0,
        }
    }
}

fn info(entry: &Entry) -> Option<ReplicaInfo> {
    let replica = entry.replica.as_ref()?;
    let slot = &entry.slot;
    let [written_lsn, durable_lsn, applied_lsn] = replica.positions;
    Some(ReplicaInfo {
        id: slot.id.clone(),
        region: slot.region.clone(),
        generation: replica.generation,
        connected_at_ms: replica.connected_ms,
        last_seen_ms: slot.last_seen_ms,
        healthy: replica.healthy,
        rebootstrapping: slot.rebootstrapping,
        counts: entry.counts(),
        sent_lsn: replica.sent,
        written_lsn,
        durable_lsn,
        applied_lsn,
        apply_errors: replica.apply_errors,
        divergences: replica.divergences,
    })
}
