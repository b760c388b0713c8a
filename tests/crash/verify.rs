//! A recovery against the model: the guarantees G1, G3, G4 and G7.

use super::common::{Got, Place};
use super::ledger::{Check, Ledger, Moment, Recovered, check_whole, ensure};
use epochwal::recovery::{RecoveryOptions, RecoveryReport, Verdict, max_durable_epoch_on};
use epochwal::storage::sim::SimStorage;
use std::collections::{BTreeMap, BTreeSet};

/// Recovers from the disk and checks what comes out against what was known at
/// `moment`; `ledger` may know more, of what happened later.
pub fn verify(disk: &SimStorage, ledger: &Ledger, moment: &Moment) -> Check<Recovered> {
    let place = Place::sim(disk);
    let before = disk.operations();
    let (got, report) = place
        .recover(&RecoveryOptions::default())
        .map_err(|e| format!("recovery fails after a mere crash: {e:?}"))?;
    ensure!(
        disk.operations() == before,
        "recovery changed something on the disk"
    );
    ensure!(report.verdict != Verdict::Corrupt, "corrupt: {report:?}");
    check_floor(&report, moment)?;
    let by_epoch = check_batches(&got, ledger)?;
    let recovered = Recovered {
        epochs: by_epoch.keys().copied().collect(),
        floor: report.checkpoint_epoch,
    };
    ensure!(
        recovered.last() >= moment.acknowledged,
        "G1: epoch {:?} was acknowledged, the log ends with {:?} ({report:?})",
        moment.acknowledged,
        recovered.last()
    );
    check_prefix(&by_epoch, &recovered, ledger)?;
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
    Ok(recovered)
}

/// The checkpoint is one that was asked for, and not below one that returned.
fn check_floor(report: &RecoveryReport, moment: &Moment) -> Check {
    let floor = report.checkpoint_epoch;
    ensure!(
        floor >= moment.checkpointed,
        "the checkpoint {:?} is forgotten, the log says {floor:?}",
        moment.checkpointed
    );
    ensure!(
        floor.is_none_or(|f| moment.checkpoints.contains(&f)),
        "nobody asked for the checkpoint {floor:?}"
    );
    Ok(())
}

/// Each batch is whole and none comes twice, in replay order.
fn check_batches(got: &[Got], ledger: &Ledger) -> Check<BTreeMap<u64, BTreeSet<u64>>> {
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

/// G3: every epoch above the checkpoint up to the last one, each whole.
fn check_prefix(
    by_epoch: &BTreeMap<u64, BTreeSet<u64>>,
    recovered: &Recovered,
    ledger: &Ledger,
) -> Check {
    let end = recovered.last().unwrap_or(0);
    let wanted = ledger.epochs.iter();
    let wanted: BTreeMap<u64, BTreeSet<u64>> = wanted
        .filter(|(epoch, _)| Some(**epoch) > recovered.floor && **epoch <= end)
        .map(|(epoch, txns)| (*epoch, txns.clone()))
        .collect();
    ensure!(
        *by_epoch == wanted,
        "G3, G4: recovered {by_epoch:?}, handed in were {wanted:?} (checkpoint {:?})",
        recovered.floor
    );
    Ok(())
}
