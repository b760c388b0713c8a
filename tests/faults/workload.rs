//! A workload of one thread that stands failures as its caller should: it
//! waits again where there is no space, and opens again after a failure that
//! is final.

use super::common::{PATIENCE, Place, small};
use super::ledger::{Check, Ledger, ensure, frames_of, metadata_of, pages_of, txn_epoch};
use super::verify::verify;
use epochwal::coordinator::{Knobs, SyncStyle};
use epochwal::storage::sim::{Call, Fault, FaultPlan, SimStorage};
use epochwal::{Batch, Coordinator, ErrorKind, Options, Ticket};

/// Whoever fails once must not need more tries than this.
const TRIES: u32 = 4;

/// The machine, what is known, and what went wrong.
pub struct Workload {
    pub disk: SimStorage,
    pub ledger: Ledger,
    pub options: Options,
    /// Errors that the caller saw: the call, and the error's kind.
    pub errors: Vec<(&'static str, ErrorKind)>,
    /// Epochs of which was said that they will never be durable.
    dead: Vec<u64>,
    /// A sync of the directory failed and the log was opened again. No sync
    /// that succeeds later proves anything of the names, and unlike a file's
    /// bytes they can't be written again.
    names_in_doubt: bool,
    /// The plan for syncs of the directory, where there is one.
    directory: Option<Fault>,
    wal: Option<Coordinator>,
}

/// How the workload uses its log. Spares are made in line, so that the calls
/// come in one order.
pub fn options(style: SyncStyle, format: u32) -> Options {
    Options {
        sync_style: style,
        segment_format: format,
        segment_size: 16 << 10,
        buffer_capacity: 8 << 10,
        knobs: Knobs {
            spares_in_line: true,
            ..Knobs::default()
        },
        ..small()
    }
}

/// Whether the caller may simply try again: there was no space, or a limit of
/// the machine that passes.
fn passes(error: &epochwal::Error) -> bool {
    let limit = matches!(
        error.os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)
    );
    match error.kind() {
        ErrorKind::NoSpace => true,
        ErrorKind::Io | ErrorKind::NoMemory => limit,
        _ => false,
    }
}

impl Workload {
    pub fn new(style: SyncStyle, format: u32) -> Self {
        Workload::of(options(style, format))
    }

    pub fn of(options: Options) -> Self {
        Workload {
            disk: SimStorage::new(),
            ledger: Ledger::default(),
            options,
            errors: Vec::new(),
            dead: Vec::new(),
            names_in_doubt: false,
            directory: None,
            wal: None,
        }
    }

    /// Lays a plan for a kind of call.
    pub fn fail(&mut self, call: Call, plan: FaultPlan) {
        let fault = self.disk.fail(plan);
        self.watch(call, fault);
    }

    /// Heeds a plan that was laid.
    pub fn watch(&mut self, call: Call, fault: Fault) {
        if call == Call::SyncDir {
            self.directory = Some(fault);
        }
    }

    /// Everything a log does, once or more.
    pub fn run(&mut self) -> Check {
        self.open()?;
        (0..3).try_for_each(|_| self.commit(false))?;
        self.stage()?;
        self.stage()?;
        self.commit(true)?;
        (0..4).try_for_each(|_| self.commit(false))?;
        self.checkpoint(2)?;
        (0..4).try_for_each(|_| self.commit(false))?;
        self.close()?;
        self.open()?;
        self.commit(true)?;
        self.stage()?;
        self.checkpoint(0)?;
        (0..3).try_for_each(|_| self.commit(false))?;
        self.checkpoint(1)?;
        self.close()
    }

    /// Power fails now: what was acknowledged is there, what was called lost
    /// is not.
    pub fn crash(&self) -> Check {
        let crashes = [
            self.disk.crash_nothing(),
            self.disk.crash_everything(),
            self.disk.crash_random(self.disk.operations()),
        ];
        for (i, disk) in crashes.into_iter().enumerate() {
            if self.names_in_doubt && i != 1 {
                continue;
            }
            let found = verify(&disk, &self.ledger, &self.ledger.now)?;
            for epoch in &self.dead {
                ensure!(
                    !found.epochs.contains(epoch),
                    "epoch {epoch} was called lost and came back"
                );
            }
        }
        Ok(())
    }

    fn place(&self) -> Place {
        Place::sim(&self.disk)
    }

    fn saw(&mut self, call: &'static str, error: &epochwal::Error) {
        self.errors.push((call, error.kind()));
    }

    fn open(&mut self) -> Check {
        for _ in 0..TRIES {
            match self.place().open(&self.options) {
                Ok(wal) => {
                    let durable = wal.durable_epoch().map_err(|e| format!("{e:?}"))?;
                    ensure!(
                        durable >= self.ledger.now.acknowledged,
                        "the open says {durable:?}, acknowledged was {:?}",
                        self.ledger.now.acknowledged
                    );
                    durable
                        .into_iter()
                        .for_each(|d| self.ledger.acknowledged(d));
                    self.wal = Some(wal);
                    return Ok(());
                }
                Err(error) => self.saw("open", &error),
            }
            self.crash()
                .map_err(|why| format!("after an open: {why}"))?;
            self.names_in_doubt |= self.directory.as_ref().is_some_and(|f| f.hits() > 0);
        }
        Err(format!("no open succeeds: {:?}", self.errors))
    }

    /// After a final failure: what the cache shows is what goes on.
    fn reopen(&mut self) -> Check {
        self.wal = None;
        self.crash()
            .map_err(|why| format!("after failing: {why}"))?;
        self.names_in_doubt |= self.directory.as_ref().is_some_and(|f| f.hits() > 0);
        let moment = self.ledger.now.clone();
        let kept = verify(&self.disk.snapshot(), &self.ledger, &moment)
            .map_err(|why| format!("after failing: {why}"))?;
        self.ledger = self.ledger.after_crash(&moment, &kept);
        self.open()
    }

    fn wal(&self) -> &Coordinator {
        self.wal.as_ref().expect("open")
    }

    /// Hands a batch in; none where that found the log failed, and reopened it.
    fn submit(&mut self, big: bool) -> Check<Option<Ticket>> {
        for _ in 0..TRIES {
            let txn = self.ledger.sending(big, self.options.segment_format);
            let pages = pages_of(txn, big);
            let ticket = self.wal().submit(&Batch {
                txn_id: txn,
                txn_epoch: txn_epoch(txn),
                commit_seq: txn,
                frames: &frames_of(&pages),
                metadata: &metadata_of(txn),
            });
            match ticket {
                Ok(ticket) => {
                    let highest = self.ledger.now.highest_ticket;
                    ensure!(ticket.epoch >= highest, "epochs fall to {}", ticket.epoch);
                    self.ledger.ticket(txn, ticket);
                    return Ok(Some(ticket));
                }
                Err(error) => {
                    self.saw("submit", &error);
                    match error.kind() {
                        _ if passes(&error) => {}
                        ErrorKind::Failed => {
                            self.reopen()?;
                            return Ok(None);
                        }
                        _ => return Err(format!("submit: {error:?}")),
                    }
                }
            }
        }
        Err("no submit succeeds".into())
    }

    fn stage(&mut self) -> Check {
        self.submit(false).map(drop)
    }

    fn commit(&mut self, big: bool) -> Check {
        let Some(ticket) = self.submit(big)? else {
            return Ok(());
        };
        for _ in 0..TRIES {
            let Err(error) = self.wal().wait(ticket.epoch, PATIENCE) else {
                self.ledger.acknowledged(ticket.epoch);
                return Ok(());
            };
            self.saw("wait", &error);
            self.crash().map_err(|why| format!("after a wait: {why}"))?;
            match error.kind() {
                _ if passes(&error) => {}
                ErrorKind::OutcomeUnknown => {
                    self.check_failed(ticket.epoch)?;
                    return self.reopen();
                }
                ErrorKind::Failed => {
                    self.dead.push(ticket.epoch);
                    self.check_failed(ticket.epoch)?;
                    return self.reopen();
                }
                _ => return Err(format!("wait: {error:?}")),
            }
        }
        Err("no wait succeeds".into())
    }

    /// A failed coordinator takes and acknowledges nothing any more, but
    /// still says of older epochs what it said.
    fn check_failed(&self, epoch: u64) -> Check {
        let wal = self.wal();
        ensure!(wal.wait(epoch, PATIENCE).is_err(), "acknowledged after all");
        ensure!(wal.flush(PATIENCE).is_err(), "a flush succeeds");
        let pages = pages_of(1, false);
        let batch = Batch {
            txn_id: u64::MAX,
            txn_epoch: 0,
            commit_seq: u64::MAX,
            frames: &frames_of(&pages),
            metadata: &[],
        };
        let refused = wal.submit(&batch).err().map(|e| e.kind());
        ensure!(refused == Some(ErrorKind::Failed), "submit: {refused:?}");
        if let Some(durable) = self.ledger.now.acknowledged {
            let again = wal.wait(durable, PATIENCE);
            ensure!(again.is_ok(), "durable stays durable: {again:?}");
        }
        Ok(())
    }

    fn checkpoint(&mut self, behind: u64) -> Check {
        for _ in 0..TRIES {
            let durable = self.wal().durable_epoch().map_err(|e| format!("{e:?}"))?;
            let Some(through) = durable.and_then(|d| d.checked_sub(behind)) else {
                return Ok(());
            };
            self.ledger.now.checkpoints.insert(through);
            let Err(error) = self.wal().checkpoint(through) else {
                let now = &mut self.ledger.now;
                now.checkpointed = now.checkpointed.max(Some(through));
                return Ok(());
            };
            self.saw("checkpoint", &error);
            self.crash()
                .map_err(|why| format!("after a checkpoint: {why}"))?;
            if !passes(&error) {
                self.reopen()?;
            }
        }
        Err("no checkpoint succeeds".into())
    }

    fn close(&mut self) -> Check {
        match self.wal().close(PATIENCE) {
            Ok(()) => {
                let last = self.ledger.epochs.keys().next_back().copied();
                last.into_iter()
                    .for_each(|epoch| self.ledger.acknowledged(epoch));
                self.wal = None;
                Ok(())
            }
            Err(error) => {
                self.saw("close", &error);
                self.reopen()?;
                self.wal().close(PATIENCE).map_err(|e| format!("{e:?}"))
            }
        }
    }
}
