//! Several threads on one spool: they append, prune and cut, in turns that a
//! seed gives, or freely.

use super::common::PATIENCE;
use super::coverage::Coverage;
use super::ledger::{Check, Known, Name};
use super::tools::payload;
use super::turns::Turns;
use epochwal::ErrorKind;
use epochwal::spool::{Record, Spool, SpoolTicket};
use epochwal::storage::sim::SimRng;
use std::sync::{Mutex, MutexGuard};

/// What the threads share.
pub struct Desk<'a> {
    pub spool: &'a Spool,
    pub known: &'a Mutex<Known>,
    pub coverage: &'a Coverage,
    /// Who hands in next: LSNs rise.
    order: Mutex<()>,
    /// Who prunes or cuts: the bounds that it goes by stay.
    bounds: Mutex<()>,
}

impl<'a> Desk<'a> {
    pub fn new(spool: &'a Spool, known: &'a Mutex<Known>, coverage: &'a Coverage) -> Desk<'a> {
        Desk {
            spool,
            known,
            coverage,
            order: Mutex::default(),
            bounds: Mutex::default(),
        }
    }

    /// Lets so many threads work, freely or in turns.
    pub fn work(&self, threads: u64, race: bool, rng: &mut SimRng) -> Check {
        let seeds: Vec<u64> = (0..threads).map(|_| rng.next_u64()).collect();
        let turns = Turns::new(seeds.len(), SimRng::new(rng.next_u64()));
        let one = |thread: usize, seed: u64| {
            let mut worker = Worker {
                desk: self,
                rng: SimRng::new(seed),
                waits: None,
            };
            let step = |worker: &mut Worker<'_>| match race {
                true => worker.step(),
                false => turns.take(thread, || worker.step()),
            };
            let done = (0..6).try_for_each(|_| step(&mut worker));
            let mut last = Ok(());
            match race {
                true => last = worker.wait(),
                false => turns.leave(thread, || last = worker.wait()),
            }
            done.and(last)
        };
        std::thread::scope(|scope| {
            let one = &one;
            let each = seeds.iter().enumerate();
            let threads: Vec<_> = each
                .map(|(thread, seed)| scope.spawn(move || one(thread, *seed)))
                .collect();
            let results = threads.into_iter().map(|t| t.join().expect("no panic"));
            results.collect::<Vec<_>>().into_iter().collect()
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }
}

struct Worker<'a> {
    desk: &'a Desk<'a>,
    rng: SimRng,
    /// What it has handed in and not waited for.
    waits: Option<(SpoolTicket, Name)>,
}

impl Worker<'_> {
    fn step(&mut self) -> Check {
        match self.rng.below(20) {
            _ if self.waits.is_some() => self.wait(),
            0..16 => self.submit(),
            16..19 => self.prune(),
            _ => self.cut(),
        }
    }

    fn submit(&mut self) -> Check {
        let desk = self.desk;
        let _turn = desk.order.lock().unwrap();
        let run = {
            let mut known = desk.known();
            let run = known.next(&mut self.rng);
            known.staged.push(run.clone());
            known.ever.extend(run.iter().copied());
            run
        };
        let payloads: Vec<_> = run.iter().map(|r| payload(r.1)).collect();
        let record = |((term, lsn), payload)| Record {
            term,
            lsn,
            timestamp_ms: 1_700_000_000_000 + lsn % 1000,
            payload,
        };
        let records = run.iter().copied().zip(payloads.iter().map(|p| &p[..]));
        let records: Vec<_> = records.map(record).collect();
        let ticket = desk.spool.submit(&records);
        let ticket = ticket.map_err(|e| format!("submit: {e}"))?;
        self.waits = Some((ticket, run[run.len() - 1]));
        Ok(())
    }

    fn wait(&mut self) -> Check {
        let Some((ticket, last)) = self.waits.take() else {
            return Ok(());
        };
        let desk = self.desk;
        if desk
            .known()
            .staged
            .iter()
            .all(|run| !run.ends_with(&[last]))
        {
            desk.coverage.count("durable by another thread");
        }
        let waited = desk.spool.wait(ticket, PATIENCE);
        waited.map_err(|e| format!("wait: {e}"))?;
        desk.known().acknowledge_through(last);
        Ok(())
    }

    fn prune(&mut self) -> Check {
        let desk = self.desk;
        let _turn = desk.bounds.lock().unwrap();
        let bounds = desk.spool.bounds();
        let ahead = bounds.current_lsn - bounds.pruned_through;
        let target = bounds.pruned_through + self.rng.below(ahead + 1);
        {
            let mut known = desk.known();
            known.durable_through(bounds.current_lsn);
            known.pruning = known.pruned.max(target);
        }
        let pruned = desk.spool.prune_through(target);
        let pruned = pruned.map_err(|e| format!("prune: {e}"))?;
        desk.known().prune(pruned);
        desk.coverage.count("prune among threads");
        Ok(())
    }

    fn cut(&mut self) -> Check {
        let desk = self.desk;
        let _turn = (desk.order.lock().unwrap(), desk.bounds.lock().unwrap());
        let bounds = desk.spool.bounds();
        let term = desk.spool.term().max(desk.known().term) + 1;
        let back = bounds.current_lsn.saturating_sub(self.rng.below(8));
        let lsn = back.max(bounds.pruned_through);
        desk.known().cutting = Some((lsn, term));
        let cut = desk.spool.truncate_after(lsn, term);
        let mut known = desk.known();
        // What was handed in before is written first, cut off or not.
        known.acknowledge();
        known.cutting = None;
        match cut {
            Ok(_) => known.cut(lsn, term),
            Err(e) if e.kind() == ErrorKind::Order => return Ok(()),
            Err(e) => return Err(format!("cut behind {lsn}: {e}")),
        }
        desk.coverage.count("cut among threads");
        Ok(())
    }
}
