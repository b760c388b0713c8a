//! Opening a spool: the log as it is found, its bounds, where its records are.

use super::follow::{Followed, Part, first_lsn, follow};
use super::guard::slots_beside;
use super::import::{check_old, file_is_gone, move_aside};
use super::index::Segment;
use super::order::Order;
use super::view::{Bounds, View};
use super::{
    Format, Guard, Memory, NAME, Shared, Spool, SpoolOptions, Store, TornTail, single_file,
};
use crate::error::{Error, Result};
use crate::format::group::GroupKind;
use crate::format::names::Names;
use crate::format::state::State;
use crate::format::terms::Terms;
use crate::log::{Disk, LogOptions, OpenedLog, RecordsFound, open_log};
use crate::sequencer::{Handle, Sequencer};
use crate::storage::{RealStorage, Storage};
use crate::sync::Mutex;
use crate::wrong::{self, Wrong};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

impl Spool {
    /// Opens the spool of the data file at `path`, making it where there is
    /// none. The data file itself is never opened.
    ///
    /// Fails with [`ErrorKind::Locked`](crate::ErrorKind::Locked) where another
    /// writer has it, [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) where
    /// acknowledged records are damaged,
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) for a newer format,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming an option out of
    /// range. A torn tail is dropped. A single-file spool of other software at
    /// `<data file name>.logical.wal` is taken in first, and moved aside. Blocks on reads, and on writes and syncs of
    /// the log's tail.
    pub fn open(path: &Path, options: &SpoolOptions) -> Result<Spool> {
        Spool::open_on(Arc::new(RealStorage), path, options)
    }

    /// [`Spool::open`] on a given storage.
    pub fn open_on(
        storage: Arc<dyn Storage>,
        path: &Path,
        options: &SpoolOptions,
    ) -> Result<Spool> {
        options.validate()?;
        let names = spool_names(&storage, path)?;
        match options.format {
            Format::Native => Spool::open_native(&storage, &names, options),
            Format::Rdlw => Spool::open_single_file(&storage, &names, options),
        }
    }

    fn open_native(disk: &Disk, names: &Names, options: &SpoolOptions) -> Result<Spool> {
        let old = check_old(disk, names, options)?;
        let mut followed = Followed::default();
        let sequencing = options.sequencer();
        let opened = Sequencer::open_log(disk, names, &sequencing, &mut |walker, group| {
            followed.group(walker, group)
        })?;
        let found = opened.records.clone().unwrap_or_default();
        // What was pruned and had to be left may go any time.
        let live = opened.writer.live_segments();
        let left = live.partition_point(|s| Some(s.last_epoch) <= opened.writer.floor());
        let live = &live[left..];
        let state = opened.writer.state();
        let mut segments = VecDeque::new();
        for (at, segment) in live.iter().enumerate() {
            // The newest always was.
            if let Some(followed) = followed.take(segment.first_epoch) {
                segments.push_back(followed);
                continue;
            }
            let first = first_lsn(disk, names, segment.first_epoch, &found.terms)?;
            let part = Part {
                first_epoch: segment.first_epoch,
                generation: segment.generation,
                next: live.get(at + 1).map(|s| s.first_epoch),
            };
            segments.push_back(match first {
                Some(first) => Segment::unread(
                    (part.first_epoch, part.generation),
                    names.segment(part.first_epoch),
                    first,
                    segment.size,
                ),
                None => follow(disk, names, state, part, &found.terms)?,
            });
        }
        let state = &opened.writer.state().records;
        let (own, pruned) = (state.single_file, state.pruned_through);
        if !old && own > Some(pruned) && !options.salvage {
            return Err(file_is_gone(names));
        }
        let mut spool = Spool::start(disk, names, options, opened, segments)?;
        if own.is_some() {
            spool.begin_own_import()?;
        }
        let left_out = match old {
            true => spool.import_old(options)?,
            false => None,
        };
        if own.is_some() {
            spool.end_own_import(options.salvage)?;
        }
        if old {
            let path = move_aside(disk, names, options)?;
            spool.left_out = left_out.map(|(offset, reason)| TornTail {
                path: path.clone(),
                offset,
                reason,
            });
            spool.imported = Some(path);
        }
        Ok(spool)
    }

    fn open_single_file(disk: &Disk, names: &Names, options: &SpoolOptions) -> Result<Spool> {
        let log = LogOptions {
            single_file: true,
            ..options.sequencer().log()
        };
        let mut opened = open_log(disk, names, log, &mut |_, _| Ok(()))?;
        let file = single_file::open(disk, names, options, opened.writer.state())?;
        let writer = &mut opened.writer;
        writer.put_into(Box::new(file.file), file.last_lsn, file.terms.clone())?;
        opened.records = Some(RecordsFound {
            highest_lsn: writer.highest_seq(),
            term: file.terms.last().map_or(0, |last| last.term),
            terms: file.terms,
            pruned_through: writer.state().records.pruned_through,
            lost: writer.state().records.lost.clone(),
        });
        opened.torn = file.torn;
        opened.salvaged.extend(file.aside);
        let mut spool = Spool::start(disk, names, options, opened, [file.segment].into())?;
        spool.imported = file.imported;
        spool.note_lost(file.lost.ranges())?;
        Ok(spool)
    }

    /// A spool over an open log whose records are in these segments.
    fn start(
        disk: &Disk,
        names: &Names,
        options: &SpoolOptions,
        opened: OpenedLog,
        segments: VecDeque<Segment>,
    ) -> Result<Spool> {
        let found = opened.records.clone().unwrap_or_default();
        let view = View::new(
            Some(names.clone()),
            options.ring_bytes,
            options.ring_records,
        );
        {
            let mut inside = view.inside.lock();
            inside.terms = found.terms.clone();
            inside.segments = segments;
        }
        view.lose(found.lost.ranges());
        view.open_at(Bounds {
            oldest_lsn: 0,
            current_lsn: found.highest_lsn,
            pruned_through: found.pruned_through,
        });
        let view = Arc::new(view);
        let guard: Option<Arc<dyn Guard>> = Some(Arc::new(slots_beside(
            disk,
            names,
            opened.writer.state().records.slots,
        )));
        let shared = Arc::new(Shared {
            view: view.clone(),
            order: Mutex::new(Order {
                last: found.highest_lsn,
                term: match wrong::is(Wrong::TermForgotten) {
                    true => 0,
                    false => found.term,
                },
                terms: found.terms.clone(),
                dense: options.dense,
            }),
            options: SpoolOptions {
                // Its own things may not outlive the open.
                term_of: None,
                ..options.clone()
            },
            disk: Some((disk.clone(), names.clone())),
            opened: opened.writer.state().clone(),
            torn: opened.torn.clone(),
            saved_tail: Mutex::new(None),
            guard: Mutex::new(guard),
        });
        let last = shared.last_through(found.highest_lsn)?;
        view.set_records(0, last);
        view.set_records(shared.first_above(found.pruned_through)?, last);
        let core = Sequencer::start(NAME, opened, names, &options.sequencer(), Some(view))?;
        let core = Arc::new(core);
        core.start_ticker()?;
        Ok(Spool {
            store: Store::Log(Handle::new(core)),
            shared,
            imported: None,
            left_out: None,
        })
    }

    /// A spool without files: its records are kept in memory, as many and as
    /// large as `ring_records` and `ring_bytes` say; older ones are pruned.
    /// Nothing of it is durable.
    pub fn in_memory(options: &SpoolOptions) -> Result<Spool> {
        options.validate()?;
        if options.ring_bytes < 4096 {
            return Err(Error::invalid(format!(
                "ring_bytes: {} is below 4096, and a spool in memory has nothing else",
                options.ring_bytes
            )));
        }
        let view = View::new(None, options.ring_bytes, options.ring_records);
        Ok(Spool {
            imported: None,
            left_out: None,
            store: Store::Memory(Memory::new()),
            shared: Arc::new(Shared {
                view: Arc::new(view),
                order: Mutex::new(Order {
                    last: 0,
                    term: 0,
                    terms: Terms::default(),
                    dense: options.dense,
                }),
                options: options.clone(),
                disk: None,
                opened: State::new(GroupKind::Records, [0; 16], [0; 16]),
                torn: None,
                saved_tail: Mutex::new(None),
                guard: Mutex::new(None),
            }),
        })
    }
}

/// The names of a spool's files; the path is resolved first.
pub(crate) fn spool_names(disk: &Disk, path: &Path) -> Result<Names> {
    let resolved = disk
        .resolve(path)
        .map_err(|e| Error::io("resolve the path", path, &e))?;
    Ok(Names::spool(&resolved))
}
