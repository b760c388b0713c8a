//! A workload: rounds of opening, a few threads that commit, and closing,
//! seen by an observer at every operation of the disk.

use super::common::{PATIENCE, Place};
use super::ledger::{Check, Ledger, Moment, ensure, frames_of, metadata_of, pages_of, txn_epoch};
use epochwal::coordinator::{EpochInterval, Sequencing, SyncStyle};
use epochwal::storage::sim::{SimRng, SimStorage};
use epochwal::{Batch, Coordinator, Options, Ticket};
use std::sync::{Arc, Mutex};

/// How a log is used. A log keeps its plan over reopenings, but for the format.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub threads: u64,
    /// Openings, each with a clean close.
    pub rounds: u64,
    /// What each thread does in a round.
    pub steps: u64,
    pub style: SyncStyle,
    /// 1, 2, or 0 to change with each round.
    pub format: u32,
    pub sequencing: Sequencing,
    pub segment_size: u64,
}

impl Plan {
    /// A plan from a seed.
    pub fn random(rng: &mut SimRng) -> Plan {
        Plan {
            threads: 1 + rng.below(4),
            rounds: 1 + rng.below(3),
            steps: 3 + rng.below(12),
            style: [SyncStyle::Direct, SyncStyle::Buffered][rng.below(2) as usize],
            format: [2, 2, 2, 1, 0][rng.below(5) as usize],
            sequencing: [Sequencing::Caller, Sequencing::Coordinator][rng.below(2) as usize],
            segment_size: [16, 32, 48][rng.below(3) as usize] << 10,
        }
    }

    /// What goes on after a crash: short.
    pub fn short(self) -> Plan {
        Plan {
            threads: 1,
            rounds: 1,
            steps: 3,
            ..self
        }
    }

    pub fn options(&self, format: u32) -> Options {
        Options {
            slot_count: 4,
            epoch_interval: EpochInterval::Off,
            buffer_capacity: 8 << 10,
            segment_size: self.segment_size,
            segment_format: format,
            sync_style: self.style,
            sequencing: self.sequencing,
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

/// The machine while an operation is under way, and what was known by then.
#[derive(Clone, Debug)]
pub struct State {
    pub operation: u64,
    pub disk: SimStorage,
    pub moment: Moment,
}

/// The states of a session and all that was known at its end.
pub struct Session {
    pub states: Vec<State>,
    pub ledger: Ledger,
}

/// A worker's view of the session.
struct Worker<'a> {
    wal: &'a Coordinator,
    ledger: &'a Mutex<Ledger>,
    plan: &'a Plan,
    format: u32,
    /// No ticket may be at or below it: it was handed out before the opening.
    used: u64,
}

/// Runs the plan on the disk, which may hold an older log that `ledger` knows.
pub fn run(disk: &SimStorage, ledger: Ledger, plan: &Plan, rng: &mut SimRng) -> Check<Session> {
    let ledger = Arc::new(Mutex::new(ledger));
    let states = Arc::new(Mutex::new(Vec::new()));
    let (known, seen) = (ledger.clone(), states.clone());
    disk.on_operation(move |disk, operation| {
        let moment = known.lock().unwrap().now.clone();
        seen.lock().unwrap().push(State {
            operation,
            disk,
            moment,
        });
    });
    let ran = rounds(disk, &ledger, plan, rng);
    disk.stop_observing();
    ran?;
    let ledger = ledger.lock().unwrap().clone();
    let mut states = std::mem::take(&mut *states.lock().unwrap());
    states.push(State {
        operation: disk.operations(),
        disk: disk.snapshot(),
        moment: ledger.now.clone(),
    });
    Ok(Session { states, ledger })
}

fn rounds(disk: &SimStorage, ledger: &Mutex<Ledger>, plan: &Plan, rng: &mut SimRng) -> Check {
    let place = Place::sim(disk);
    for round in 0..plan.rounds {
        let format = plan.format_of(round + rng.below(2));
        let wal = place
            .open(&plan.options(format))
            .map_err(|e| format!("open: {e:?}"))?;
        check_opened(&wal, ledger)?;
        let used = ledger.lock().unwrap().now.highest_ticket;
        let worker = Worker {
            wal: &wal,
            ledger,
            plan,
            format,
            used,
        };
        let seeds: Vec<u64> = (0..plan.threads).map(|_| rng.next_u64()).collect();
        work(&worker, &seeds)?;
        wal.close(PATIENCE).map_err(|e| format!("close: {e:?}"))?;
        let mut ledger = ledger.lock().unwrap();
        let all = ledger.epochs.keys().next_back().copied();
        all.into_iter().for_each(|epoch| ledger.acknowledged(epoch));
    }
    Ok(())
}

/// G5: what an open calls durable is told to the caller, so it must stay.
fn check_opened(wal: &Coordinator, ledger: &Mutex<Ledger>) -> Check {
    let durable = wal.durable_epoch().map_err(|e| format!("{e:?}"))?;
    let mut ledger = ledger.lock().unwrap();
    ensure!(
        durable >= ledger.now.acknowledged,
        "G5: {:?} was acknowledged, the open says {durable:?}",
        ledger.now.acknowledged
    );
    if let Some(durable) = durable {
        ledger.acknowledged(durable);
    }
    Ok(())
}

fn work(worker: &Worker<'_>, seeds: &[u64]) -> Check {
    if let [seed] = seeds {
        return worker.steps(&mut SimRng::new(*seed));
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = seeds
            .iter()
            .map(|seed| scope.spawn(|| worker.steps(&mut SimRng::new(*seed))))
            .collect();
        let results = threads.into_iter().map(|t| t.join().expect("no panic"));
        results.collect::<Vec<_>>().into_iter().collect()
    })
}

impl Worker<'_> {
    fn steps(&self, rng: &mut SimRng) -> Check {
        for _ in 0..self.plan.steps {
            match rng.below(20) {
                0..=9 => self.commit(false)?,
                10..=11 => self.commit(true)?,
                12..=14 => drop(self.submit(false)?),
                15 => drop(self.submit(true)?),
                16 => self.flush()?,
                _ => self.checkpoint(rng.below(4))?,
            }
        }
        Ok(())
    }

    fn submit(&self, big: bool) -> Check<Ticket> {
        let txn = self.ledger.lock().unwrap().sending(big, self.format);
        let pages = pages_of(txn, big);
        let assigned = self.plan.sequencing == Sequencing::Coordinator;
        let ticket = self.wal.submit(&Batch {
            txn_id: txn,
            txn_epoch: txn_epoch(txn),
            commit_seq: if assigned { 0 } else { txn },
            frames: &frames_of(&pages),
            metadata: &metadata_of(txn),
        });
        let ticket = ticket.map_err(|e| format!("submit: {e:?}"))?;
        ensure!(
            ticket.epoch > self.used,
            "G5: epoch {} was given out before, up to {}",
            ticket.epoch,
            self.used
        );
        self.ledger.lock().unwrap().ticket(txn, ticket);
        Ok(ticket)
    }

    fn commit(&self, big: bool) -> Check {
        let ticket = self.submit(big)?;
        self.wal
            .wait(ticket.epoch, PATIENCE)
            .map_err(|e| format!("wait: {e:?}"))?;
        self.ledger.lock().unwrap().acknowledged(ticket.epoch);
        Ok(())
    }

    fn flush(&self) -> Check {
        let epoch = self
            .wal
            .flush(PATIENCE)
            .map_err(|e| format!("flush: {e:?}"))?;
        if epoch > 0 {
            self.ledger.lock().unwrap().acknowledged(epoch);
        }
        Ok(())
    }

    fn checkpoint(&self, behind: u64) -> Check {
        let durable = self.wal.durable_epoch().map_err(|e| format!("{e:?}"))?;
        let Some(through) = durable.and_then(|d| d.checked_sub(behind)) else {
            return Ok(());
        };
        self.ledger.lock().unwrap().now.checkpoints.insert(through);
        self.wal
            .checkpoint(through)
            .map_err(|e| format!("checkpoint: {e:?}"))?;
        let now = &mut self.ledger.lock().unwrap().now;
        now.checkpointed = now.checkpointed.max(Some(through));
        Ok(())
    }
}
