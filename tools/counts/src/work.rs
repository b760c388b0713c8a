//! What is counted: each path often enough that what happens once does not
//! show, and the least of a few tries, because an interrupted lock or a page
//! touched for the first time only adds.

use crate::capi;
use crate::counter::Counter;
use epochwal::coordinator::EpochInterval;
use epochwal::recovery::{Recovery, RecoveryOptions, recover_into_file};
use epochwal::spool::{ReadLimit, Record, Spool, SpoolOptions};
use epochwal::{Batch, Coordinator, Frame, Options};
use std::path::Path;
use std::time::Duration;

const TRIES: usize = 5;
/// Batches counted at a time: they fit in a lane.
const BATCHES: u64 = 100;
/// Frames of 4096 bytes in the log that is recovered: 16 MiB.
const LOGGED: u64 = 4096;
const MIB: u64 = 1 << 20;

pub struct Figure {
    pub name: &'static str,
    pub instructions: u64,
}

pub fn measure(counter: &mut Counter) -> Result<Vec<Figure>, String> {
    // Not in memory: a commit is counted as it is on a disk.
    let exe = std::env::current_exe().map_err(text)?;
    let dir = tempfile::tempdir_in(exe.parent().unwrap_or(Path::new("."))).map_err(text)?;
    let db = dir.path().join("db");
    let mut figures = Vec::new();
    let mut add = |name, instructions| figures.push(Figure { name, instructions });
    let log = open(&db)?;
    for (name, frames, len) in [
        ("submit 1 x 128", 1, 128),
        ("submit 1 x 4096", 1, 4096),
        ("submit 8 x 4096", 8, 4096),
    ] {
        add(name, submits(counter, &log, frames, len)?);
    }
    add("commit 1 x 4096", commits(counter, &log)?);
    log.close(None).map_err(text)?;
    let handle = capi::Handle::open(&dir.path().join("of-c"))?;
    for (name, frames, len) in [("in C, 1 x 128", 1, 128), ("in C, 8 x 4096", 8, 4096)] {
        add(name, submits_of_c(counter, &handle, frames, len)?);
    }
    let spool = Spool::open(&dir.path().join("spool"), &spool_options()).map_err(text)?;
    for (name, records, len) in [
        ("spool, 1 x 128", 1, 128),
        ("spool, 1 x 4096", 1, 4096),
        ("spool, 8 x 4096", 8, 4096),
    ] {
        add(name, submits_of_spool(counter, &spool, records, len)?);
    }
    add("spool append 1 x 128", appends(counter, &spool)?);
    spool.close(None).map_err(text)?;
    add(
        "spool read, per 1000",
        reads(counter, &dir.path().join("spool"))?,
    );
    let db = dir.path().join("recovered");
    fill(&db)?;
    add("stream, per MiB", streamed(counter, &db)?);
    add("into a file, per MiB", into_file(counter, &db)?);
    Ok(figures)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn open(db: &Path) -> Result<Coordinator, String> {
    let options = Options {
        // Nobody flushes but who is counted.
        epoch_interval: EpochInterval::Off,
        ..Options::default()
    };
    Coordinator::open(db, &options).map_err(text)
}

fn least(mut one: impl FnMut() -> Result<u64, String>) -> Result<u64, String> {
    let tries: Result<Vec<u64>, String> = (0..TRIES).map(|_| one()).collect();
    Ok(tries?.into_iter().min().unwrap_or(0))
}

/// Numbers that rise from one batch to the next, over all that is counted.
fn next_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}

fn batch<'a>(number: u64, frames: &'a [Frame<'a>]) -> Batch<'a> {
    Batch {
        txn_id: number,
        txn_epoch: 0,
        commit_seq: number,
        frames,
        metadata: &[],
    }
}

fn frames(pages: &[Vec<u8>]) -> Vec<Frame<'_>> {
    let numbered = pages.iter().zip(1..);
    let frames = numbered.map(|(data, page_number)| Frame {
        page_number,
        db_size_if_commit: 0,
        data,
    });
    frames.collect()
}

fn submits(counter: &mut Counter, log: &Coordinator, n: usize, len: usize) -> Result<u64, String> {
    let pages = vec![vec![7; len]; n];
    let frames = frames(&pages);
    let per = least(|| {
        let count = counter.count(|| {
            for _ in 0..BATCHES {
                log.submit(&batch(next_number(), &frames)).map_err(text)?;
            }
            Ok(())
        });
        log.flush(None).map_err(text)?;
        count
    });
    Ok(per? / BATCHES)
}

fn submits_of_c(
    counter: &mut Counter,
    handle: &capi::Handle,
    n: usize,
    len: usize,
) -> Result<u64, String> {
    let pages = vec![vec![7; len]; n];
    let frames = capi::frames(&pages);
    let per = least(|| {
        let count = counter.count(|| {
            for _ in 0..BATCHES {
                handle.submit(next_number(), &frames)?;
            }
            Ok(())
        });
        handle.flush()?;
        count
    });
    Ok(per? / BATCHES)
}

fn spool_options() -> SpoolOptions {
    SpoolOptions {
        // Nobody flushes but who is counted.
        flush_interval: Duration::from_secs(3600),
        ..SpoolOptions::default()
    }
}

/// Records behind those that there are.
fn records<'a>(spool: &Spool, staged: u64, payloads: &'a [Vec<u8>]) -> Vec<Record<'a>> {
    let first = spool.bounds().current_lsn + staged + 1;
    let record = |(payload, lsn): (&'a Vec<u8>, u64)| Record {
        term: 1,
        lsn,
        timestamp_ms: 1,
        payload,
    };
    payloads.iter().zip(first..).map(record).collect()
}

fn submits_of_spool(
    counter: &mut Counter,
    spool: &Spool,
    n: usize,
    len: usize,
) -> Result<u64, String> {
    let payloads = vec![vec![7; len]; n];
    let per = least(|| {
        let runs = (0..BATCHES).map(|i| records(spool, i * n as u64, &payloads));
        let runs: Vec<_> = runs.collect();
        let count = counter.count(|| {
            for run in &runs {
                spool.submit(run).map_err(text)?;
            }
            Ok(())
        });
        spool.flush(None).map_err(text)?;
        count
    });
    Ok(per? / BATCHES)
}

fn appends(counter: &mut Counter, spool: &Spool) -> Result<u64, String> {
    let payloads = vec![vec![7; 128]];
    let per = least(|| {
        let runs: Vec<_> = (0..BATCHES).map(|i| records(spool, i, &payloads)).collect();
        counter.count(|| {
            for run in &runs {
                spool.append(run, None).map_err(text)?;
            }
            Ok(())
        })
    });
    Ok(per? / BATCHES)
}

/// Of records of 128 bytes, from the file. The first try follows it.
fn reads(counter: &mut Counter, db: &Path) -> Result<u64, String> {
    let spool = Spool::open(db, &spool_options()).map_err(text)?;
    let payloads = vec![vec![7; 128]; 1000];
    let run = records(&spool, 0, &payloads);
    let before = run[0].lsn - 1;
    spool.append(&run, None).map_err(text)?;
    spool.close(None).map_err(text)?;
    let spool = Spool::open(db, &spool_options()).map_err(text)?;
    least(|| {
        counter.count(|| {
            let read = spool.read_since(before, ReadLimit::default());
            let count = read.map_err(text)?.len();
            (count == 1000)
                .then_some(())
                .ok_or(format!("{count} records came back"))
        })
    })
}

fn commits(counter: &mut Counter, log: &Coordinator) -> Result<u64, String> {
    let pages = [vec![7; 4096]];
    let frames = frames(&pages);
    let per = least(|| {
        counter.count(|| {
            for _ in 0..BATCHES {
                let batch = batch(next_number(), &frames);
                log.commit(&batch, None).map_err(text)?;
            }
            Ok(())
        })
    });
    Ok(per? / BATCHES)
}

/// A log of epochs with 16 batches each, as a busy one has.
fn fill(db: &Path) -> Result<(), String> {
    let log = open(db)?;
    let page = vec![7; 4096];
    for i in 0..LOGGED {
        let frame = [Frame {
            page_number: 1 + i as u32,
            db_size_if_commit: 0,
            data: &page,
        }];
        log.submit(&batch(next_number(), &frame)).map_err(text)?;
        if i % 16 == 15 {
            log.flush(None).map_err(text)?;
        }
    }
    log.close(None).map_err(text)
}

fn streamed(counter: &mut Counter, db: &Path) -> Result<u64, String> {
    let total = least(|| {
        counter.count(|| {
            let mut stream = Recovery::open(db, &RecoveryOptions::default()).map_err(text)?;
            let mut frames = 0;
            while let Some(batch) = stream.next_batch().map_err(text)? {
                frames += batch.frames.len() as u64;
            }
            (frames == LOGGED)
                .then_some(())
                .ok_or(format!("{frames} frames came back"))
        })
    });
    Ok(total? / (LOGGED * 4096 / MIB))
}

fn into_file(counter: &mut Counter, db: &Path) -> Result<u64, String> {
    let out = db.with_extension("out");
    let total = least(|| {
        counter.count(|| {
            recover_into_file(db, &out, 4096, &RecoveryOptions::default()).map_err(text)?;
            Ok(())
        })
    });
    Ok(total? / (LOGGED * 4096 / MIB))
}
