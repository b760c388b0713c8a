//! Each call of a workload, failing once in each way it can (`tests/faults.rs`
//! has the table): what the caller was told holds, readers see what is durable
//! and no more, errors are those that are promised, and it heals or is opened
//! again.

use super::common::{PATIENCE, Place};
use super::ledger::{Check, Found, Known, Name, ensure};
use super::tools::{open, payload, small};
use super::ways::{Covered, Way, ways};
use epochwal::ErrorKind::{self, Failed, Io, NoMemory, NoSpace, OutcomeUnknown, Unsupported};
use epochwal::coordinator::{Knobs, SyncPolicy, SyncStyle};
use epochwal::spool::{Format, Record, Spool, SpoolOptions, SpoolTicket};
use epochwal::storage::sim::{Call, SimStorage};

/// Whoever fails once must not need more tries than this.
const TRIES: u32 = 4;

/// Whether the caller may simply try again.
fn passes(error: &epochwal::Error) -> bool {
    let limit = matches!(
        error.os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)
    );
    error.kind() == NoSpace || (limit && matches!(error.kind(), Io | NoMemory))
}

/// What a caller may be told when `call` fails in this way.
fn allowed(what: &str, call: Call, way: Way) -> Vec<ErrorKind> {
    let syncs = matches!(call, Call::SyncDir | Call::SyncData | Call::SyncAll);
    if way.is_absorbed(call) {
        return vec![];
    }
    let mut kinds = match (way.is_no_space(), syncs) {
        (true, true) => vec![NoSpace, Io, Failed, OutcomeUnknown],
        (true, false) => vec![NoSpace],
        (false, false) if way.is_passing() => vec![Io, NoMemory],
        (false, true) if way.is_passing() => vec![Io],
        (false, _) if matches!(what, "open" | "read") => vec![Io],
        (false, _) => vec![Io, Failed, OutcomeUnknown],
    };
    if what == "open" {
        // The probe for direct writes says what the file system refused.
        kinds.push(Unsupported);
    }
    kinds
}

struct Workload {
    disk: SimStorage,
    options: SpoolOptions,
    known: Known,
    errors: Vec<(&'static str, ErrorKind)>,
    spool: Option<Spool>,
}

impl Workload {
    fn of(options: &SpoolOptions) -> Workload {
        Workload {
            disk: SimStorage::new(),
            options: options.clone(),
            known: Known {
                apart: options.format == Format::Rdlw,
                ..Known::default()
            },
            errors: Vec::new(),
            spool: None,
        }
    }

    /// Everything a spool does, once or more.
    fn run(&mut self) -> Check {
        self.open()?;
        for count in [1, 3, 2, 1] {
            self.append(1, count)?;
        }
        self.prune(4)?;
        self.append(2, 2)?;
        self.append(2, 2)?;
        self.cut(8, 3)?;
        self.append(3, 2)?;
        self.quorum(9)?;
        self.close()?;
        self.open()?;
        self.append(4, 1)?;
        self.prune(6)?;
        self.append(4, 3)?;
        self.cut(u64::MAX, 5)?;
        self.prune(u64::MAX)?;
        self.append(5, 1)?;
        self.close()
    }

    /// One step, again where that is said to help. None: the spool has failed
    /// and is opened again.
    fn attempt<T>(
        &mut self,
        what: &'static str,
        mut step: impl FnMut(&Spool) -> epochwal::Result<T>,
    ) -> Check<Option<T>> {
        for _ in 0..TRIES {
            let spool = self.spool.as_ref().expect("open");
            let error = match step(spool) {
                Ok(done) => return Ok(Some(done)),
                Err(error) => error,
            };
            self.errors.push((what, error.kind()));
            if !passes(&error) && what != "read" {
                self.spool = None;
                self.open()?;
                return Ok(None);
            }
            if what != "read" {
                self.look()?;
            }
        }
        Err(format!("{what} fails again and again"))
    }

    fn open(&mut self) -> Check {
        for _ in 0..TRIES {
            match open(&Place::sim(&self.disk), &self.options) {
                Ok(spool) => {
                    self.spool = Some(spool);
                    let found = self.found()?;
                    self.known.check(&found)?;
                    self.known.settle(&found);
                    return Ok(());
                }
                Err(error) => self.errors.push(("open", error.kind())),
            }
        }
        Err("open fails again and again".into())
    }

    fn found(&mut self) -> Check<Found> {
        for _ in 0..TRIES {
            match Found::read(self.spool.as_ref().expect("open")) {
                Ok(found) => return Ok(found),
                Err(error) => self.errors.push(("read", error.kind())),
            }
        }
        Err("reading fails again and again".into())
    }

    /// Readers see what was acknowledged, and of what is staged (it is written
    /// again when space returns, by the thread that nobody waits for) whole runs.
    fn look(&mut self) -> Check {
        let found = self.found()?;
        let pruned = found.bounds.pruned_through;
        let mut acked = self.known.acked.clone();
        acked.retain(|r| r.1 > pruned);
        let mut allowed = vec![acked.clone()];
        for run in &self.known.staged {
            let more = run.iter().filter(|r| r.1 > pruned);
            acked.extend(more.copied());
            allowed.push(acked.clone());
        }
        ensure!(
            allowed.contains(&found.records),
            "seen {:?}, acknowledged {:?}, staged {:?}",
            found.records,
            allowed[0],
            self.known.staged
        );
        Ok(())
    }

    fn append(&mut self, term: u64, count: u64) -> Check {
        let first = self.known.current + 1;
        let run: Vec<Name> = (first..first + count).map(|lsn| (term, lsn)).collect();
        let payloads: Vec<_> = run.iter().map(|r| payload(r.1)).collect();
        let records: Vec<_> = run
            .iter()
            .zip(&payloads)
            .map(|((term, lsn), payload)| Record {
                term: *term,
                lsn: *lsn,
                timestamp_ms: 1_700_000_000_000 + lsn % 1000,
                payload,
            })
            .collect();
        self.known.staged.push(run.clone());
        let mut kept: Option<SpoolTicket> = None;
        let done = self.attempt("append", |spool| match kept {
            Some(ticket) => spool.wait(ticket, PATIENCE),
            None => match spool.append(&records, PATIENCE) {
                Ok(_) => Ok(()),
                Err(error) => {
                    kept = error.ticket().map(|t| SpoolTicket {
                        epoch: t.epoch,
                        ..SpoolTicket::default()
                    });
                    Err(error)
                }
            },
        })?;
        if done.is_some() {
            self.known.acknowledge();
            self.look()?;
        }
        Ok(())
    }

    fn prune(&mut self, lsn: u64) -> Check {
        let lsn = lsn.min(self.known.current).max(self.known.pruned);
        self.known.pruning = lsn;
        if let Some(pruned) = self.attempt("prune", |spool| spool.prune_through(lsn))? {
            ensure!(pruned == lsn, "pruned through {pruned}, not {lsn}");
            self.known.prune(pruned);
            self.look()?;
        }
        Ok(())
    }

    fn cut(&mut self, lsn: u64, term: u64) -> Check {
        let lsn = lsn.min(self.known.current);
        self.known.cutting = Some((lsn, term));
        if self
            .attempt("cut", |spool| spool.truncate_after(lsn, term))?
            .is_some()
        {
            self.known.cut(lsn, term);
            self.look()?;
        }
        Ok(())
    }

    fn quorum(&mut self, lsn: u64) -> Check {
        let done = self.attempt("quorum", |spool| spool.keep_quorum(lsn))?;
        if done.is_some() && lsn <= self.known.current && lsn > self.known.pruned {
            let spool = self.spool.as_ref().expect("open");
            let refused = spool.truncate_after(lsn - 1, u64::MAX).err();
            // The slots beside it are asked first, and may be what fails.
            match refused.map(|e| e.kind()) {
                Some(ErrorKind::Order) => {}
                Some(kind) => self.errors.push(("read", kind)),
                None => return Err("a cut below the quorum was made".into()),
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Check {
        if let Some(spool) = self.spool.take()
            && let Err(error) = spool.close(PATIENCE)
        {
            self.errors.push(("close", error.kind()));
        }
        Ok(())
    }

    /// Power fails now: what was acknowledged is there.
    fn crash(&self) -> Check {
        let seed = self.disk.operations();
        for disk in [
            self.disk.crash_nothing(),
            self.disk.crash_everything(),
            self.disk.crash_random(seed),
        ] {
            let place = Place::sim(&disk);
            let refused = match open(&place, &self.options) {
                Ok(spool) => {
                    self.known.check(&Found::of(&spool)?)?;
                    continue;
                }
                Err(e) => e,
            };
            // The limit of RDLW, as in the tests of crashes.
            let hole = refused.kind() == ErrorKind::Corrupt && self.known.apart;
            ensure!(
                hole && self.known.staged.iter().flatten().count() > 1,
                "the open after a crash: {refused}"
            );
            let salvage = SpoolOptions {
                salvage: true,
                ..self.options.clone()
            };
            let spool = open(&place, &salvage).map_err(|e| format!("salvage: {e}"))?;
            self.known.check_salvaged(&Found::around_losses(&spool)?)?;
        }
        Ok(())
    }
}

fn configurations() -> [SpoolOptions; 4] {
    let direct = SpoolOptions {
        segment_size: 16 << 10,
        sync_style: SyncStyle::Direct,
        knobs: Knobs {
            spares_in_line: true,
            ..Knobs::default()
        },
        ..small()
    };
    let buffered = SpoolOptions {
        sync_style: SyncStyle::Buffered,
        ..direct.clone()
    };
    let data = SpoolOptions {
        sync_policy: SyncPolicy::Normal,
        ..buffered.clone()
    };
    let single = SpoolOptions {
        format: Format::Rdlw,
        ..buffered.clone()
    };
    [direct, buffered, data, single]
}

#[test]
fn every_call_of_a_workload_fails_in_every_way() {
    let covered = Covered::default();
    let mut runs = 0;
    for options in configurations() {
        let mut whole = Workload::of(&options);
        whole.run().expect("nothing fails");
        whole.crash().expect("nothing failed");
        assert_eq!(whole.errors, []);
        for call in Call::ALL {
            for way in ways(call) {
                for n in 1..=whole.disk.calls(call) {
                    if one(&options, call, *way, n) {
                        covered.note(call, *way);
                    }
                    runs += 1;
                }
            }
        }
    }
    println!("{runs} workloads with a call that fails");
    covered.require_all_but(&[]);
    assert!(runs > 5_000, "{runs}");
}

/// Runs the workload with one failure; whether it was met.
fn one(options: &SpoolOptions, call: Call, way: Way, n: u64) -> bool {
    let mut workload = Workload::of(options);
    let fault = way.lay(&workload.disk, call, n);
    let ran = workload.run();
    let text = format!(
        "{call:?} {n} {way:?}, {:?} {:?} {:?}",
        options.format, options.sync_style, options.sync_policy
    );
    // After a sync of the directory that failed no later one proves anything
    // of the names, and they can't be written again as a file's bytes can.
    let in_doubt = call == Call::SyncDir && !way.is_absorbed(call) && !way.is_passing();
    let ran = ran.and_then(|()| if in_doubt { Ok(()) } else { workload.crash() });
    // A cut of a single file is made by the state file. What is left of it must
    // get its name then.
    let rename = options.format == Format::Rdlw && call == Call::Rename;
    if let Err(why) = ran {
        panic!("{text}: {why} (errors seen: {:?})", workload.errors);
    }
    for (what, kind) in workload.errors {
        let allowed = allowed(what, call, way);
        assert!(
            allowed.contains(&kind) || (rename && (what, kind) == ("cut", Failed)),
            "{text}: {what} says {kind:?}, not one of {allowed:?}"
        );
    }
    fault.hits() > 0
}
