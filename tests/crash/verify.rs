//! A recovery against the model: the guarantees G1, G3, G4 and G7.
#![allow(dead_code)] // each suite uses its part

use super::common::{Got, Place};
use super::ledger::{Check, Ledger, Moment, Recovered, Stop, check_whole, ensure};
use epochwal::ErrorKind;
use epochwal::recovery::{RecoveryOptions, RecoveryReport, Verdict, max_durable_epoch_on};
use epochwal::storage::sim::SimStorage;
use std::collections::{BTreeMap, BTreeSet};

/// What is found after a stop.
#[derive(Debug)]
pub enum Found {
    Log(Recovered),
    /// Called corrupt, which only a power failure may lead to, and only where
    /// syncs were off.
    Refused,
}

/// As [`after`], where syncs were on.
pub fn verify(disk: &SimStorage, ledger: &Ledger, moment: &Moment) -> Check<Recovered> {
    match after(Stop::Power, disk, ledger, moment)? {
        Found::Log(recovered) => Ok(recovered),
        Found::Refused => Err("recovery fails after a mere crash".into()),
    }
}

/// Recovers from the disk and checks what comes out against what was known at
/// `moment`; `ledger` may know more, of what happened later.
pub fn after(stop: Stop, disk: &SimStorage, ledger: &Ledger, moment: &Moment) -> Check<Found> {
    let place = Place::sim(disk);
    let before = disk.operations();
    let (got, report) = match place.recover(&RecoveryOptions::default()) {
        Ok(recovered) => recovered,
        Err(e) if e.kind() == ErrorKind::Corrupt && stop == Stop::Power && moment.unsynced => {
            check_refused(&place, ledger, moment)?;
            return Ok(Found::Refused);
        }
        Err(e) => return Err(format!("recovery fails after a mere crash: {e:?}")),
    };
    ensure!(
        disk.operations() == before,
        "recovery changed something on the disk"
    );
    ensure!(report.verdict != Verdict::Corrupt, "corrupt: {report:?}");
    check_floor(&report, moment, stop)?;
    let by_epoch = check_batches(&got, ledger)?;
    let recovered = Recovered {
        epochs: by_epoch.keys().copied().collect(),
        floor: report.checkpoint_epoch,
    };
    let least = moment.least_epoch(stop);
    ensure!(
        recovered.last() >= least,
        "G1: epoch {least:?} was acknowledged, the log ends with {:?} ({report:?})",
        recovered.last()
    );
    check_prefix(&by_epoch, &recovered, ledger, lenient(stop, ledger, moment))?;
    let listed: BTreeSet<u64> = report.epochs.iter().collect();
    ensure!(
        listed == recovered.epochs,
        "the report lists other epochs: {listed:?}"
    );
    let durable = max_durable_epoch_on(place.disk.clone(), &place.db)
        .map_err(|e| format!("max_durable_epoch: {e:?}"))?;
    ensure!(
        durable == recovered.last(),
        "max_durable_epoch says {durable:?}, recovery {:?}",
        recovered.last()
    );
    Ok(Found::Log(recovered))
}

/// Of a log that is refused the durable prefix is a prefix all the same, if
/// anything is given of it.
fn check_refused(place: &Place, ledger: &Ledger, moment: &Moment) -> Check {
    let prefix = RecoveryOptions {
        durable_prefix: true,
        ..RecoveryOptions::default()
    };
    let (got, report) = match place.recover(&prefix) {
        Ok(recovered) => recovered,
        Err(e) if e.kind() == ErrorKind::Corrupt => return Ok(()),
        Err(e) => return Err(format!("the durable prefix: {e:?}")),
    };
    let by_epoch = check_batches(&got, ledger)?;
    let recovered = Recovered {
        epochs: by_epoch.keys().copied().collect(),
        floor: report.checkpoint_epoch,
    };
    let lenient = lenient(Stop::Power, ledger, moment);
    check_prefix(&by_epoch, &recovered, ledger, lenient)
        .map_err(|why| format!("the durable prefix: {why}"))
}

/// The checkpoint is one that was asked for, and not below one that returned.
fn check_floor(report: &RecoveryReport, moment: &Moment, stop: Stop) -> Check {
    let floor = report.checkpoint_epoch;
    let least = moment.least_checkpoint(stop);
    ensure!(
        floor >= least,
        "the checkpoint {least:?} is forgotten, the log says {floor:?}"
    );
    ensure!(
        floor.is_none_or(|f| moment.checkpoints.contains(&f)),
        "nobody asked for the checkpoint {floor:?}"
    );
    Ok(())
}

/// Each batch is whole and none comes twice, in replay order.
pub fn check_batches(got: &[Got], ledger: &Ledger) -> Check<BTreeMap<u64, BTreeSet<u64>>> {
    let mut by_epoch: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    let mut last = (0, 0, 0);
    for batch in got {
        let Some(sent) = ledger.sent.get(&batch.txn) else {
            return Err(format!("transaction {} was never handed in", batch.txn));
        };
        check_whole(batch, sent).map_err(|why| format!("G4: {why} (epoch {})", batch.epoch))?;
        let key = (batch.epoch, batch.seq, batch.txn);
        ensure!(last < key, "replay order: {key:?} comes after {last:?}");
        last = key;
        by_epoch.entry(batch.epoch).or_default().insert(batch.txn);
    }
    Ok(by_epoch)
}

/// Whether epochs may be missing: without syncs, where there are files of
/// version 1. Nothing tells of one that is not there.
fn lenient(stop: Stop, ledger: &Ledger, moment: &Moment) -> bool {
    let one = ledger.sent.values().any(|sent| sent.format == 1);
    stop == Stop::Power && moment.unsynced && one
}

/// G3: every epoch above the checkpoint up to the last one, each whole.
fn check_prefix(
    by_epoch: &BTreeMap<u64, BTreeSet<u64>>,
    recovered: &Recovered,
    ledger: &Ledger,
    lenient: bool,
) -> Check {
    let end = recovered.last().unwrap_or(0);
    let wanted = ledger.epochs.iter();
    let wanted: BTreeMap<u64, BTreeSet<u64>> = wanted
        .filter(|(epoch, _)| Some(**epoch) > recovered.floor && **epoch <= end)
        .filter(|(epoch, _)| !lenient || by_epoch.contains_key(epoch))
        .map(|(epoch, txns)| (*epoch, txns.clone()))
        .collect();
    ensure!(
        *by_epoch == wanted,
        "G3, G4: recovered {by_epoch:?}, handed in were {wanted:?} (checkpoint {:?})",
        recovered.floor
    );
    Ok(())
}
