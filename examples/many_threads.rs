//! Many threads commit to one log at once, and say what was acknowledged.
//!
//! `many_threads DB THREADS COMMITS`: each thread commits that many batches,
//! with sequences from one counter, and prints `sequence epoch` for each as soon
//! as it is durable. What a batch holds follows from its sequence alone (see
//! [`pages`] and [`image`]), so that any reader can check the contents.

use epochwal::{Batch, Coordinator, Frame, Options, Result};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

/// A thread has a thousand pages of its own: batches that share a page would
/// have to be submitted in the order of their sequences.
const PAGES_PER_THREAD: u32 = 1000;

/// The pages of the batch `sequence` of thread `thread`.
fn pages(thread: u32, sequence: u64) -> Vec<u32> {
    let first = thread * PAGES_PER_THREAD + 1;
    (0..=sequence % 4)
        .map(|i| first + ((sequence + i) % u64::from(PAGES_PER_THREAD)) as u32)
        .collect()
}

/// The image of a page in a batch: sequence and page number, over and over.
fn image(sequence: u64, page: u32) -> Vec<u8> {
    let length = 1 + ((sequence * 37 + u64::from(page)) % 5000) as usize;
    let mut pattern = sequence.to_le_bytes().to_vec();
    pattern.extend(page.to_le_bytes());
    pattern.into_iter().cycle().take(length).collect()
}

fn commit_one(wal: &Coordinator, thread: u32, sequence: u64) -> Result<()> {
    let images: Vec<(u32, Vec<u8>)> = pages(thread, sequence)
        .into_iter()
        .map(|page| (page, image(sequence, page)))
        .collect();
    let frames: Vec<Frame<'_>> = images
        .iter()
        .map(|(page, data)| Frame {
            page_number: *page,
            db_size_if_commit: 0,
            data,
        })
        .collect();
    let batch = Batch {
        txn_id: u64::from(thread) + 1,
        txn_epoch: thread,
        commit_seq: sequence,
        frames: &frames,
        metadata: &sequence.to_be_bytes(),
    };
    let ticket = wal.commit(&batch, None)?;
    // One call, one write: lines of different threads are never mixed.
    let line = format!("{sequence} {}\n", ticket.epoch);
    std::io::stdout()
        .write_all(line.as_bytes())
        .expect("standard output is open");
    Ok(())
}

fn run(db: &Path, threads: u32, commits: u64) -> Result<()> {
    let wal = Coordinator::open(db, &Options::default())?;
    let next = AtomicU64::new(1);
    std::thread::scope(|scope| {
        let committers: Vec<_> = (0..threads)
            .map(|thread| {
                let (wal, next) = (&wal, &next);
                scope.spawn(move || {
                    (0..commits).try_for_each(|_| {
                        let sequence = next.fetch_add(1, Ordering::Relaxed);
                        commit_one(wal, thread, sequence)
                    })
                })
            })
            .collect();
        committers
            .into_iter()
            .try_for_each(|c| c.join().expect("a committer does not panic"))
    })?;
    wal.close(None)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, db, threads, commits] = arguments.as_slice() else {
        eprintln!("usage: many_threads DB THREADS COMMITS");
        return ExitCode::from(2);
    };
    let (Ok(threads), Ok(commits)) = (threads.parse(), commits.parse()) else {
        eprintln!("THREADS and COMMITS are numbers");
        return ExitCode::from(2);
    };
    match run(Path::new(db), threads, commits) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
