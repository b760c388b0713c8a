//! A spool in use, as a seed says, and the states of its disk on the way.

use super::common::{PATIENCE, Place};
use super::coverage::{Coverage, Watch};
use super::ledger::{Check, Found, Known, Name};
use super::together::Desk;
use super::tools::{open, payload, small};
use epochwal::coordinator::{Knobs, SyncPolicy, SyncStyle};
use epochwal::spool::{Format, ReadLimit, Record, Spool, SpoolOptions};
use epochwal::storage::sim::{SimRng, SimStorage};
use epochwal::storage::{LockMode, OpenMode};
use std::sync::{Arc, Mutex};

/// How a spool is used.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub rounds: u64,
    pub steps: u64,
    pub style: SyncStyle,
    pub policy: SyncPolicy,
    pub segment_size: u64,
    pub checked_at_open: u64,
    /// Runs that are larger than a lane, which are dear.
    pub large: bool,
    /// Threads that work at once, at times; 0: none do.
    pub threads: u64,
    /// They run freely, with spares made beside them: no two runs are alike.
    pub race: bool,
    pub format: Format,
}

fn pick<T: Copy>(rng: &mut SimRng, of: &[T]) -> T {
    of[rng.below(of.len() as u64) as usize]
}

impl Plan {
    pub fn random(style: SyncStyle, rng: &mut SimRng) -> Plan {
        Plan {
            rounds: 1 + rng.below(2),
            steps: 8 + rng.below(20),
            style,
            policy: pick(
                rng,
                &[SyncPolicy::Full, SyncPolicy::Full, SyncPolicy::Normal],
            ),
            segment_size: pick(rng, &[16, 16, 32]) << 10,
            checked_at_open: pick(rng, &[0, 20 << 10, 128 << 20]),
            large: false,
            threads: 0,
            race: false,
            format: Format::Native,
        }
    }

    /// What goes on after a crash.
    pub fn short(self) -> Plan {
        Plan {
            rounds: 1,
            steps: 4,
            race: false,
            ..self
        }
    }

    pub fn options(&self) -> SpoolOptions {
        SpoolOptions {
            format: self.format,
            sync_style: self.style,
            sync_policy: self.policy,
            segment_size: self.segment_size,
            knobs: Knobs {
                checked_at_open: self.checked_at_open,
                spares_in_line: !self.race,
            },
            ..small()
        }
    }
}

/// The disk while an operation was under way, and what was known then.
pub struct State {
    pub operation: u64,
    pub disk: SimStorage,
    pub known: Known,
    /// The stage of an open, if one was under way.
    pub stage: Option<&'static str>,
}

/// Runs the plan on a disk of which so much is known; gives the states.
pub fn run(
    disk: &SimStorage,
    mut known: Known,
    plan: &Plan,
    rng: &mut SimRng,
    coverage: &Coverage,
) -> Check<Vec<State>> {
    let states: Arc<Mutex<Vec<State>>> = Arc::default();
    let watch = Arc::new(Mutex::new(Watch::new(coverage)));
    known.apart = plan.format == Format::Rdlw;
    known.unsynced |= plan.policy == SyncPolicy::Off;
    let known = Arc::new(Mutex::new(known));
    let (keep, knows, sees) = (states.clone(), known.clone(), watch.clone());
    disk.on_operation(move |disk, operation| {
        keep.lock().unwrap().push(State {
            operation,
            disk,
            known: knows.lock().unwrap().clone(),
            stage: sees.lock().unwrap().stage(),
        });
    });
    let sees = watch.clone();
    disk.on_call(move |call, paths| sees.lock().unwrap().see(call, paths));
    let mut session = Session {
        place: Place::sim(disk),
        known,
        plan,
        rng,
        coverage,
        watch,
    };
    for _ in 0..plan.rounds {
        session.round()?;
    }
    disk.stop_observing();
    let mut states = states.lock().unwrap();
    Ok(std::mem::take(&mut *states))
}

struct Session<'a> {
    place: Place,
    known: Arc<Mutex<Known>>,
    plan: &'a Plan,
    rng: &'a mut SimRng,
    coverage: &'a Coverage,
    watch: Arc<Mutex<Watch>>,
}

impl Session<'_> {
    fn know(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.lock().unwrap());
    }

    fn round(&mut self) -> Check {
        self.watch.lock().unwrap().opening = true;
        let spool = open(&self.place, &self.plan.options()).map_err(|e| format!("open: {e}"))?;
        self.watch.lock().unwrap().opening = false;
        let found = Found::of(&spool)?;
        {
            let mut known = self.known.lock().unwrap();
            known.check(&found)?;
            known.settle(&found);
            known.unsynced = self.plan.policy == SyncPolicy::Off;
        }
        for _ in 0..self.plan.steps {
            if self.plan.threads > 0 && self.rng.chance(1, 4) {
                let desk = Desk::new(&spool, &self.known, self.coverage);
                desk.work(self.plan.threads, self.plan.race, self.rng)?;
            }
            self.step(&spool)?;
        }
        spool.close(PATIENCE).map_err(|e| format!("close: {e}"))?;
        self.know(Known::acknowledge);
        Ok(())
    }

    fn step(&mut self, spool: &Spool) -> Check {
        match self.rng.below(100) {
            0..45 => self.append(spool),
            45..62 => {
                for _ in 0..=self.rng.below(3) {
                    self.submit(spool)?;
                }
                if self.rng.chance(2, 3) {
                    self.coverage.count("several runs in a group");
                    spool.flush(PATIENCE).map_err(|e| format!("flush: {e}"))?;
                    self.know(Known::acknowledge);
                }
                Ok(())
            }
            62..80 => self.prune(spool),
            80..92 => self.cut(spool),
            _ => {
                let lsn = spool
                    .bounds()
                    .current_lsn
                    .saturating_sub(self.rng.below(20));
                spool.keep_quorum(lsn).map_err(|e| format!("quorum: {e}"))
            }
        }
    }

    fn submit(&mut self, spool: &Spool) -> Check {
        let run = self.known.lock().unwrap().next(self.rng);
        self.know(|known| {
            known.staged.push(run.clone());
            known.ever.extend(run.iter().copied());
        });
        let large = self.plan.large && self.rng.chance(1, 3);
        let payloads: Vec<_> = run.iter().map(|r| payload(r.1)).collect();
        let records = run
            .iter()
            .zip(&payloads)
            .map(|((term, lsn), payload)| Record {
                term: *term,
                lsn: *lsn,
                timestamp_ms: 1_700_000_000_000 + lsn % 1000,
                payload,
            });
        let mut records: Vec<_> = records.collect();
        if large {
            records = self.many(&run);
        }
        let taken = spool.submit(&records).map_err(|e| format!("submit: {e}"));
        taken.map(drop)
    }

    /// So many small records that they are more than a lane.
    fn many(&mut self, run: &[Name]) -> Vec<Record<'static>> {
        let (term, first) = run[0];
        let names: Vec<Name> = (first..first + 20_000).map(|lsn| (term, lsn)).collect();
        self.coverage.count("run larger than a lane");
        self.know(|known| {
            known.ever.extend(names.iter().copied());
            *known.staged.last_mut().expect("just staged") = names.clone();
        });
        let record = |(term, lsn): &Name| Record {
            term: *term,
            lsn: *lsn,
            timestamp_ms: 1_700_000_000_000 + lsn % 1000,
            payload: &*payload(*lsn).leak(),
        };
        names.iter().map(record).collect()
    }

    fn append(&mut self, spool: &Spool) -> Check {
        self.submit(spool)?;
        spool.flush(PATIENCE).map_err(|e| format!("append: {e}"))?;
        self.know(Known::acknowledge);
        Ok(())
    }

    /// Prunes, at times under a cursor or a reader of another process.
    fn prune(&mut self, spool: &Spool) -> Check {
        let bounds = spool.bounds();
        let ahead = bounds.current_lsn - bounds.pruned_through;
        let target = bounds.pruned_through + self.rng.below(ahead + 2);
        let target = target.min(bounds.current_lsn);
        self.know(|known| known.pruning = known.pruned.max(target));
        let mut cursor = spool
            .cursor(bounds.pruned_through)
            .map_err(|e| format!("cursor: {e}"))?;
        let some = ReadLimit {
            records: 2,
            bytes: usize::MAX,
        };
        let held = self.rng.chance(1, 3) && bounds.oldest_lsn > 0;
        if held {
            cursor
                .next_batch(some, PATIENCE)
                .map_err(|e| format!("cursor: {e}"))?;
            self.coverage.count("prune under a cursor");
        }
        let mut lock = None;
        if self.rng.chance(1, 4) {
            let path = self.place.db.with_file_name("test.db.logical.wal-lock");
            let file = self.place.disk.open(&path, OpenMode::Read);
            let file = file.map_err(|e| e.to_string())?;
            file.try_lock(LockMode::Shared, 16, 0)
                .map_err(|e| e.to_string())?;
            self.coverage.count("prune under another process");
            lock = Some(file);
        }
        let pruned = spool
            .prune_through(target)
            .map_err(|e| format!("prune: {e}"))?;
        drop(lock);
        self.know(|known| known.prune(pruned));
        if held && self.rng.chance(1, 2) {
            // Whatever else it is, it is no wrong record.
            if let Ok(records) = cursor.next_batch(some, Some(std::time::Duration::ZERO)) {
                records.iter().for_each(|r| _ = super::tools::checked(r));
            }
        }
        Ok(())
    }

    /// Cuts a tail off, at times between two records or twice at one place.
    fn cut(&mut self, spool: &Spool) -> Check {
        let (mut last, mut term) = (spool.bounds().current_lsn, spool.term());
        let known = self.known.lock().unwrap();
        if let Some((_, lsn)) = known.staged.last().and_then(|run| run.last()) {
            last = last.max(*lsn);
        }
        drop(known);
        let kept = spool.bounds().pruned_through;
        let lsn = kept.max(last.saturating_sub(self.rng.below(12)));
        for _ in 0..=self.rng.below(2) {
            term += 1 + self.rng.below(2);
            self.know(|known| known.cutting = Some((lsn, term)));
            match spool.truncate_after(lsn, term) {
                Ok(_) => self.know(|known| {
                    known.acknowledge();
                    known.cut(lsn, term);
                }),
                Err(e) if e.kind() == epochwal::ErrorKind::Order => {
                    self.coverage.count("cut below the quorum refused");
                    // What was staged was written all the same.
                    self.know(|known| {
                        known.cutting = None;
                        known.acknowledge();
                    });
                    return Ok(());
                }
                Err(e) => return Err(format!("cut behind {lsn}: {e}")),
            }
            self.coverage.count("cut");
        }
        Ok(())
    }
}
