//! A workload: rounds of opening, a few threads that commit, and closing,
//! seen by an observer at every operation of the disk.

use super::common::{PATIENCE, Place};
use super::coverage::{self, Coverage, Watch};
use super::ledger::{Check, Ledger, Moment, ensure, frames_of, metadata_of, pages_of, txn_epoch};
use super::plan::Plan;
use super::reader::{Reader, Seen};
use super::turns::Turns;
use epochwal::coordinator::{Sequencing, SyncPolicy};
use epochwal::recovery::{inspect_on, list_segments_on, max_durable_epoch_on};
use epochwal::storage::sim::{SimRng, SimStorage};
use epochwal::storage::{OpenMode, Storage, read_up_to};
use epochwal::{Batch, Coordinator, ErrorKind, Options, Ticket};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The machine while an operation is under way, and what was known by then.
#[derive(Clone, Debug)]
pub struct State {
    pub operation: u64,
    pub disk: SimStorage,
    pub moment: Moment,
    /// Where in an open it is, if in one.
    pub stage: Option<&'static str>,
}

/// The states of a session and all that was known at its end.
pub struct Session {
    pub states: Vec<State>,
    pub ledger: Ledger,
}

/// What the threads of a session share.
struct Desk<'a> {
    place: Place,
    plan: &'a Plan,
    ledger: &'a Mutex<Ledger>,
    watch: &'a Mutex<Watch>,
    coverage: &'a Coverage,
    /// What readers got, to be looked at when all threads have ended.
    seen: Mutex<Vec<Seen>>,
}

/// Runs the plan on the disk, which may hold an older log that `ledger` knows.
pub fn run(
    disk: &SimStorage,
    ledger: Ledger,
    plan: &Plan,
    rng: &mut SimRng,
    coverage: &Coverage,
) -> Check<Session> {
    let ledger = Arc::new(Mutex::new(ledger));
    let states = Arc::new(Mutex::new(Vec::new()));
    let watch = Arc::new(Mutex::new(Watch::new(coverage)));
    let caller = watch.clone();
    disk.on_call(move |call, paths| caller.lock().unwrap().see(call, paths));
    let (known, kept, stage) = (ledger.clone(), states.clone(), watch.clone());
    disk.on_operation(move |disk, operation| {
        let (opening, stage) = {
            let watch = stage.lock().unwrap();
            (watch.opening, watch.stage())
        };
        let mut known = known.lock().unwrap();
        if !opening {
            // A reader that looked now would give all up to there.
            let published = published(&disk);
            published.into_iter().for_each(|e| known.acknowledged(e));
        }
        let moment = known.now.clone();
        kept.lock().unwrap().push(State {
            operation,
            disk,
            moment,
            stage,
        });
    });
    let desk = Desk {
        place: Place::sim(disk),
        plan,
        ledger: &ledger,
        watch: &watch,
        coverage,
        seen: Mutex::default(),
    };
    let ran = (0..plan.rounds).try_for_each(|round| desk.round(round, rng));
    disk.stop_observing();
    ran?;
    let ledger = ledger.lock().unwrap().clone();
    let mut states = std::mem::take(&mut *states.lock().unwrap());
    states.push(State {
        operation: disk.operations(),
        disk: disk.snapshot(),
        moment: ledger.now.clone(),
        stage: None,
    });
    Ok(Session { states, ledger })
}

/// How far the writer tells readers that it is durable (`docs/format.md`,
/// "Lock file").
fn published(disk: &SimStorage) -> Option<u64> {
    let lock = Path::new("/data/test.db-wal-lock");
    let file = disk.open(lock, OpenMode::Read).ok()?;
    let mut word = [0; 8];
    read_up_to(&*file, &mut word, 0).ok()?;
    u64::from_le_bytes(word).checked_sub(1).filter(|d| *d > 0)
}

impl Desk<'_> {
    fn round(&self, round: u64, rng: &mut SimRng) -> Check {
        let options = self.plan.options(round, rng);
        let wal = self.open(&options)?;
        let worker = Worker {
            wal: &wal,
            desk: self,
            format: options.segment_format,
            used: self.ledger.lock().unwrap().now.highest_ticket,
        };
        worker.work(rng)?;
        coverage::close(&wal, self.coverage).map_err(|e| format!("close: {e:?}"))?;
        let mut ledger = self.ledger.lock().unwrap();
        ledger.all_acknowledged();
        let shared = ledger.epochs.values().filter(|txns| txns.len() > 1).count();
        self.coverage.add("epoch of several batches", shared as u64);
        for seen in self.seen.lock().unwrap().drain(..) {
            seen.check(&ledger)?;
        }
        Ok(())
    }

    /// G5: what an open calls durable is told to the caller, so it must stay.
    fn open(&self, options: &Options) -> Check<Coordinator> {
        match coverage::is_clean(&self.place) {
            Some(true) => self.coverage.count("open after a clean close"),
            Some(false) => self.coverage.count("open after an unclean end"),
            None => {}
        }
        let syncs = options.sync_policy != SyncPolicy::Off;
        self.ledger.lock().unwrap().now.unsynced |= !syncs;
        self.watch.lock().unwrap().opening = true;
        let wal = self.place.open(options);
        self.watch.lock().unwrap().opening = false;
        let wal = wal.map_err(|e| format!("open: {e:?}"))?;
        let durable = wal.durable_epoch().map_err(|e| format!("{e:?}"))?;
        let mut ledger = self.ledger.lock().unwrap();
        let least = ledger.now.acknowledged.max(ledger.now.written);
        ensure!(
            durable >= least,
            "G5: {least:?} was acknowledged, the open says {durable:?}"
        );
        ledger.now.unsynced = !syncs;
        if let Some(durable) = durable {
            ledger.acknowledged(durable);
        }
        if syncs {
            // So the floor, too, is on the disk.
            let noted = ledger.now.noted.take();
            ledger.now.checkpointed = ledger.now.checkpointed.max(noted);
            ledger.now.written = None;
        }
        Ok(wal)
    }
}

/// One who commits.
struct Worker<'a> {
    wal: &'a Coordinator,
    desk: &'a Desk<'a>,
    format: u32,
    /// No ticket may be at or below it: it was handed out before the opening.
    used: u64,
}

impl Worker<'_> {
    fn work(&self, rng: &mut SimRng) -> Check {
        let plan = self.desk.plan;
        let seeds: Vec<u64> = (0..plan.threads).map(|_| rng.next_u64()).collect();
        let turns = Turns::new(seeds.len(), SimRng::new(rng.next_u64()));
        let run = |thread: usize, seed: u64| {
            let mut rng = SimRng::new(seed);
            let mut reader = None;
            let ran = (0..plan.steps).try_for_each(|_| match plan.race {
                true => self.step(&mut rng, &mut reader),
                false => turns.take(thread, || self.step(&mut rng, &mut reader)),
            });
            // Before others are let on, so that they find the same locks each time.
            match plan.race {
                true => self.let_go(reader),
                false => turns.leave(thread, || self.let_go(reader)),
            }
            ran
        };
        if let [seed] = seeds[..] {
            return run(0, seed);
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..seeds.len())
                .map(|i| {
                    scope.spawn({
                        let (run, seed) = (&run, seeds[i]);
                        move || run(i, seed)
                    })
                })
                .collect();
            let results = threads.into_iter().map(|t| t.join().expect("no panic"));
            results.collect::<Vec<_>>().into_iter().collect()
        })
    }

    fn step(&self, rng: &mut SimRng, reader: &mut Option<Reader>) -> Check {
        match rng.below(24) {
            0..=9 => self.commit(false),
            10..=11 => self.commit(true),
            12..=14 => self.submit(false).map(drop),
            15 => self.submit(true).map(drop),
            16 => self.flush(),
            17..=19 => self.checkpoint(rng.below(4), reader.is_some()),
            20 => self.look(),
            _ => self.read(rng, reader),
        }
    }

    /// Hands a batch in; where there is no room for it, after a flush.
    fn submit(&self, big: bool) -> Check<Ticket> {
        loop {
            match self.submit_once(big) {
                Err(e) if e.kind() == ErrorKind::Busy => self.flush()?,
                Err(e) => return Err(format!("submit: {e:?}")),
                Ok(ticket) => {
                    ensure!(
                        ticket.epoch > self.used,
                        "G5: epoch {} was given out before, up to {}",
                        ticket.epoch,
                        self.used
                    );
                    return Ok(ticket);
                }
            }
        }
    }

    fn submit_once(&self, big: bool) -> epochwal::Result<Ticket> {
        let txn = self.desk.ledger.lock().unwrap().sending(big, self.format);
        let pages = pages_of(txn, big);
        let assigned = self.desk.plan.sequencing == Sequencing::Coordinator;
        let ticket = self.wal.submit(&Batch {
            txn_id: txn,
            txn_epoch: txn_epoch(txn),
            commit_seq: if assigned { 0 } else { txn },
            frames: &frames_of(&pages),
            metadata: &metadata_of(txn),
        })?;
        self.desk.ledger.lock().unwrap().ticket(txn, ticket);
        Ok(ticket)
    }

    fn commit(&self, big: bool) -> Check {
        let ticket = self.submit(big)?;
        self.wal
            .wait(ticket.epoch, PATIENCE)
            .map_err(|e| format!("wait: {e:?}"))?;
        self.desk.ledger.lock().unwrap().acknowledged(ticket.epoch);
        Ok(())
    }

    fn flush(&self) -> Check {
        let epoch = self
            .wal
            .flush(PATIENCE)
            .map_err(|e| format!("flush: {e:?}"))?;
        if epoch > 0 {
            self.desk.ledger.lock().unwrap().acknowledged(epoch);
        }
        Ok(())
    }

    fn checkpoint(&self, behind: u64, reading: bool) -> Check {
        let durable = self.wal.durable_epoch().map_err(|e| format!("{e:?}"))?;
        let Some(through) = durable.and_then(|d| d.checked_sub(behind)) else {
            return Ok(());
        };
        let ledger = self.desk.ledger;
        ledger.lock().unwrap().now.checkpoints.insert(through);
        self.wal
            .checkpoint(through)
            .map_err(|e| format!("checkpoint: {e:?}"))?;
        ledger.lock().unwrap().checkpointed(through);
        if reading {
            self.desk.coverage.count("checkpoint under a reader");
        }
        Ok(())
    }

    /// What looks at a log beside its writer.
    fn look(&self) -> Check {
        let Desk { place, ledger, .. } = self.desk;
        let least = self.least();
        let disk = || place.disk.clone();
        list_segments_on(disk(), &place.db).map_err(|e| format!("list_segments: {e:?}"))?;
        inspect_on(disk(), &place.db).map_err(|e| format!("inspect: {e:?}"))?;
        let durable = max_durable_epoch_on(disk(), &place.db)
            .map_err(|e| format!("max_durable_epoch: {e:?}"))?;
        ensure!(durable >= least, "{least:?} was durable, now {durable:?}");
        // Who asks has been told, as one who waits.
        durable
            .into_iter()
            .for_each(|d| ledger.lock().unwrap().acknowledged(d));
        Ok(())
    }

    fn least(&self) -> Option<u64> {
        let ledger = self.desk.ledger.lock().unwrap();
        ledger.now.acknowledged.max(ledger.now.written)
    }

    /// Begins to read, reads on, or lets go.
    fn read(&self, rng: &mut SimRng, reader: &mut Option<Reader>) -> Check {
        let open = match reader {
            Some(open) => open,
            None => {
                self.desk.coverage.count("reader");
                reader.insert(Reader::open(&self.desk.place, self.least())?)
            }
        };
        let last = open.read(1 + rng.below(6))?;
        // What it was given is durable, so it must stay.
        last.into_iter()
            .for_each(|e| self.desk.ledger.lock().unwrap().acknowledged(e));
        if open.ended() || rng.chance(1, 4) {
            self.let_go(reader.take());
        }
        Ok(())
    }

    fn let_go(&self, reader: Option<Reader>) {
        if let Some(reader) = reader {
            self.desk.seen.lock().unwrap().push(reader.close());
        }
    }
}
