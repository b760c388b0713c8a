//! Readers beside a writer: each sees a durable prefix, whatever the writer
//! does meanwhile (G9).

use super::common::{Got, Place};
use super::ledger::{Check, Ledger, ensure};
use super::verify::check_batches;
use epochwal::Recovery;
use epochwal::recovery::RecoveryOptions;
use std::collections::{BTreeMap, BTreeSet};

/// A recovery that is read a little at a time while the writer goes on.
pub struct Reader {
    stream: Recovery,
    /// What it must give at least, having begun when that was durable.
    least: Option<u64>,
    got: Vec<Got>,
    ended: bool,
}

/// What a reader got, to be checked once all is known of the epochs.
pub struct Seen {
    floor: Option<u64>,
    least: Option<u64>,
    got: Vec<Got>,
    ended: bool,
}

impl Reader {
    pub fn open(place: &Place, least: Option<u64>) -> Check<Reader> {
        let stream = Recovery::open_on(place.disk.clone(), &place.db, &RecoveryOptions::default())
            .map_err(|e| format!("a reader beside the writer: {e:?}"))?;
        Ok(Reader {
            stream,
            least,
            got: Vec::new(),
            ended: false,
        })
    }

    /// Reads up to `count` batches; gives the last epoch that it saw.
    pub fn read(&mut self, count: u64) -> Check<Option<u64>> {
        for _ in 0..count {
            let batch = self
                .stream
                .next_batch()
                .map_err(|e| format!("a reader beside the writer: {e:?}"))?;
            match batch {
                Some(batch) => self.got.push(Got::of(&batch)),
                None => {
                    self.ended = true;
                    break;
                }
            }
        }
        Ok(self.got.last().map(|got| got.epoch))
    }

    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Lets the segments go.
    pub fn close(self) -> Seen {
        Seen {
            floor: self.stream.report().checkpoint_epoch,
            least: self.least,
            got: self.got,
            ended: self.ended,
        }
    }
}

impl Seen {
    /// All of it is a prefix of what `ledger` knows: whole batches, and whole
    /// epochs but for the last of a reader that did not come to the end.
    pub fn check(&self, ledger: &Ledger) -> Check {
        let by_epoch = check_batches(&self.got, ledger)?;
        let last = by_epoch.keys().next_back().copied();
        if self.ended {
            ensure!(
                last.max(self.floor) >= self.least,
                "a reader that began when {:?} was durable ended with {last:?}",
                self.least
            );
        }
        let whole = |epoch: &u64| self.ended || Some(*epoch) != last;
        let seen = |epoch: u64| Some(epoch) > self.floor && Some(epoch) <= last;
        let wanted = ledger.epochs.iter();
        let wanted: BTreeMap<u64, BTreeSet<u64>> = wanted
            .filter(|(epoch, _)| seen(**epoch) && whole(epoch))
            .map(|(epoch, txns)| (*epoch, txns.clone()))
            .collect();
        let got: BTreeMap<u64, BTreeSet<u64>> =
            by_epoch.into_iter().filter(|(e, _)| whole(e)).collect();
        ensure!(
            got == wanted,
            "G9: a reader saw {got:?}, handed in were {wanted:?} (checkpoint {:?})",
            self.floor
        );
        Ok(())
    }
}
