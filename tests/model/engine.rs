//! Arbitrary sessions on the simulated disk against a list in memory.

use super::common::{Got, PATIENCE, Place, commit, page, pages_of, small, submit};
use epochwal::coordinator::SyncStyle;
use epochwal::recovery::{RecoveryOptions, Verdict, inspect_on, max_durable_epoch_on};
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{OpenMode, read_exact_at, write_all_at};
use epochwal::{Batch, Coordinator, ErrorKind, Frame, Options, Recovery};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

#[derive(Clone, Copy, Debug)]
enum Step {
    Submit,
    /// Larger than a lane.
    SubmitLarge,
    Commit,
    Flush,
    /// Through one of the durable epochs.
    Checkpoint(Index),
    /// The same while a reader holds the segments.
    HeldCheckpoint(Index),
    /// Ends the session and begins another one.
    Reopen {
        how: Ending,
        version_one: bool,
        direct: bool,
    },
    /// Closes, damages one of the epochs, salvages.
    Damage(Index),
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Close,
    Kill,
    /// What was not synced is lost, as the seed says.
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let ending = prop_oneof![
        Just(Ending::Close),
        Just(Ending::Kill),
        any::<u64>().prop_map(Ending::Crash),
    ];
    let reopen = (ending, proptest::bool::weighted(0.3), any::<bool>()).prop_map(
        |(how, version_one, direct)| Step::Reopen {
            how,
            version_one,
            direct,
        },
    );
    prop_oneof![
        6 => Just(Step::Submit),
        1 => Just(Step::SubmitLarge),
        5 => Just(Step::Commit),
        3 => Just(Step::Flush),
        2 => any::<Index>().prop_map(Step::Checkpoint),
        1 => any::<Index>().prop_map(Step::HeldCheckpoint),
        3 => reopen,
        1 => any::<Index>().prop_map(Step::Damage),
    ]
}

struct Model {
    disk: SimStorage,
    options: Options,
    wal: Option<Coordinator>,
    /// Batches above the checkpoint in replay order, staged ones last.
    batches: Vec<Got>,
    floor: Option<u64>,
    last_txn: u64,
    highest_epoch: u64,
}

impl Model {
    fn new() -> Self {
        let options = Options {
            segment_size: 16 << 10,
            sync_style: SyncStyle::Buffered,
            buffer_capacity: 16 << 10,
            ..small()
        };
        let disk = SimStorage::new();
        let mut model = Model {
            wal: Some(Place::sim(&disk).open(&options).unwrap()),
            disk,
            options,
            batches: Vec::new(),
            floor: None,
            last_txn: 0,
            highest_epoch: 0,
        };
        model.check();
        model
    }

    fn wal(&self) -> &Coordinator {
        self.wal.as_ref().expect("a session")
    }

    fn place(&self) -> Place {
        Place::sim(&self.disk)
    }

    fn durable(&self) -> Option<u64> {
        self.wal().durable_epoch().unwrap()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Submit => self.submit(false),
            Step::SubmitLarge => self.submit(true),
            Step::Commit => self.commit(),
            Step::Flush => {
                self.wal().flush(PATIENCE).unwrap();
                self.all_durable();
            }
            Step::Checkpoint(which) => self.checkpoint(which),
            Step::HeldCheckpoint(which) => {
                let place = self.place();
                let options = RecoveryOptions::default();
                let reader = Recovery::open_on(place.disk.clone(), &place.db, &options).unwrap();
                self.checkpoint(which);
                drop(reader);
            }
            Step::Reopen {
                how,
                version_one,
                direct,
            } => {
                self.end(how);
                self.options.segment_format = if version_one { 1 } else { 2 };
                self.options.sync_style = match direct {
                    true => SyncStyle::Direct,
                    false => SyncStyle::Buffered,
                };
                self.begin(false);
            }
            Step::Damage(which) => self.damage(which),
        }
        self.check();
    }

    fn submit(&mut self, large: bool) {
        self.last_txn += 1;
        let txn = self.last_txn;
        let ticket = match large {
            false => submit(self.wal(), txn).unwrap(),
            true => {
                let data = page(txn, 1, 20_000);
                let frame = Frame {
                    page_number: 1,
                    db_size_if_commit: 0,
                    data: &data,
                };
                let batch = Batch {
                    txn_id: txn,
                    txn_epoch: txn as u32 % 5,
                    commit_seq: txn,
                    frames: &[frame],
                    metadata: &[],
                };
                self.wal().submit(&batch).unwrap()
            }
        };
        self.note(ticket.epoch, large);
    }

    fn commit(&mut self) {
        self.last_txn += 1;
        let ticket = commit(self.wal(), self.last_txn).unwrap();
        self.note(ticket.epoch, false);
        self.all_durable();
    }

    fn note(&mut self, epoch: u64, large: bool) {
        let txn = self.last_txn;
        assert!(epoch >= self.highest_epoch && Some(epoch) > self.floor);
        self.highest_epoch = epoch;
        let mut frames: Vec<(u32, u32, Vec<u8>)> = match large {
            true => vec![(1, 0, page(txn, 1, 20_000))],
            false => {
                let pages = pages_of(txn);
                let frames = super::common::frames_of(&pages, txn);
                let owned = frames.iter();
                owned
                    .map(|f| (f.page_number, f.db_size_if_commit, f.data.to_vec()))
                    .collect()
            }
        };
        let mut metadata = txn.to_le_bytes()[..(txn % 9) as usize].to_vec();
        if large || self.options.segment_format == 1 {
            metadata.clear();
        }
        if self.options.segment_format == 1 {
            frames.sort_by_key(|frame| frame.0);
            frames.iter_mut().for_each(|frame| frame.1 = 0);
        }
        self.batches.push(Got {
            epoch,
            seq: txn,
            txn,
            txn_epoch: txn as u32 % 5,
            frames,
            metadata,
        });
    }

    fn all_durable(&self) {
        let last = self.batches.last().map(|b| b.epoch).max(self.floor);
        assert_eq!(self.durable(), last);
    }

    fn checkpoint(&mut self, which: Index) {
        let durable = self.durable();
        let epochs = self.batches.iter().map(|b| b.epoch);
        let epochs: Vec<u64> = epochs.filter(|e| Some(*e) <= durable).collect();
        if epochs.is_empty() {
            let refused = self.wal().checkpoint(self.highest_epoch + 1).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            return;
        }
        let through = *which.get(&epochs);
        self.wal().checkpoint(through).unwrap();
        self.floor = Some(through);
        self.batches.retain(|b| b.epoch > through);
    }

    /// What is staged is lost with a kill and saved by a close.
    fn end(&mut self, how: Ending) {
        let durable = self.durable();
        let disk = match how {
            Ending::Close => {
                self.wal().close(PATIENCE).unwrap();
                self.disk.crash_nothing()
            }
            Ending::Kill => self.disk.snapshot(),
            Ending::Crash(seed) => self.disk.crash_random(seed),
        };
        if !matches!(how, Ending::Close) {
            self.batches.retain(|b| Some(b.epoch) <= durable);
        }
        // The old machine runs on without us, and out.
        self.wal = None;
        self.disk = disk;
    }

    fn begin(&mut self, salvage: bool) {
        let options = Options {
            salvage,
            ..self.options.clone()
        };
        let wal = self.place().open(&options).unwrap();
        assert_eq!(salvage, !wal.salvaged().is_empty());
        assert!(
            wal.current_epoch().unwrap() > self.highest_epoch,
            "an epoch again"
        );
        self.wal = Some(wal);
        let last = self.batches.last().map(|b| b.epoch).max(self.floor);
        assert_eq!(self.durable(), last);
    }

    /// A byte of an item, or of a header of version 1, is flipped.
    fn damage(&mut self, which: Index) {
        self.end(Ending::Close);
        let epochs: Vec<u64> = self.batches.iter().map(|b| b.epoch).collect();
        if !epochs.is_empty() {
            let epoch = *which.get(&epochs);
            self.flip_in(epoch);
            let refused = self.place().open(&self.options).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
            self.batches.retain(|b| b.epoch < epoch);
        }
        self.begin(!epochs.is_empty());
    }

    fn flip_in(&self, epoch: u64) {
        let place = self.place();
        let seen = inspect_on(place.disk.clone(), &place.db).unwrap();
        let mut found = None;
        for segment in seen.segments {
            let path = segment.info.path;
            if segment.info.version == 1 && segment.info.first_epoch == epoch {
                found = Some((path, 17));
                continue;
            }
            let groups = segment.groups.iter();
            let mut groups = groups.filter(|g| g.epoch == epoch && g.kind == "pages");
            if let Some(group) = groups.next() {
                found = Some((path, group.offset + 140));
            }
        }
        let (path, offset) = found.expect("the epoch on the disk");
        let file = place.disk.open(&path, OpenMode::Write).unwrap();
        let mut byte = [0];
        read_exact_at(&*file, &mut byte, offset).unwrap();
        write_all_at(&*file, &[byte[0] ^ 0x10], offset, 1).unwrap();
    }

    /// Readers, beside the writer too, get the list up to the durable epoch.
    fn check(&mut self) {
        let durable = self.durable();
        let want: Vec<&Got> = self
            .batches
            .iter()
            .filter(|b| Some(b.epoch) <= durable)
            .collect();
        let place = self.place();
        let (got, report) = place.recover(&RecoveryOptions::default()).unwrap();
        assert_eq!(got.iter().collect::<Vec<_>>(), want);
        assert_eq!(report.checkpoint_epoch, self.floor);
        assert_eq!(report.verdict, Verdict::Clean, "{report:?}");
        let max = max_durable_epoch_on(place.disk.clone(), &place.db).unwrap();
        assert_eq!(max, durable);
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn recovery_gives_what_the_model_holds(steps in vec(step(), 1..60)) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
        }
        model.end(Ending::Close);
        model.begin(false);
        model.check();
    }
}
