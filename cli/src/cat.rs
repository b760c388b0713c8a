//! `cat`: the batches that recovery hands out, one after the other.

use crate::advice;
use crate::args::CatArgs;
use crate::exit::{Exit, Failure};
use crate::show::{self, hex};
use epochwal::recovery::RecoveredBatch;
use epochwal::{Recovery, RecoveryOptions};
use serde_json::json;
use std::io::{self, Write};

/// How many bytes of an image the text form shows.
const PREFIX_BYTES: usize = 8;

pub fn run(args: &CatArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    advice::expect_pages(&args.db)?;
    let options = RecoveryOptions {
        durable_prefix: args.prefix,
        ..RecoveryOptions::default()
    };
    let advised = |error| advice::on_pages(&args.db, error);
    let mut recovery = Recovery::open(&args.db, &options).map_err(advised)?;
    let mut found = false;
    while let Some(batch) = recovery.next_batch().map_err(advised)? {
        match args.epoch {
            Some(wanted) if batch.epoch < wanted => continue,
            Some(wanted) if batch.epoch > wanted => break,
            _ => found = true,
        }
        if args.raw {
            write_raw(&batch, out)?;
        } else if args.json {
            write_json(&batch, out)?;
        } else {
            write_text(&batch, out)?;
        }
    }
    match args.epoch {
        Some(wanted) if !found => Err(Failure::missing(
            format!(
                "epoch {wanted} is not in the log of {}, or has no batches",
                show::path(&args.db)
            ),
            format!(
                "`epochwal verify {}` lists those there are",
                show::quoted(&args.db)
            ),
        )),
        _ => Ok(Exit::Clean),
    }
}

fn write_text(batch: &RecoveredBatch<'_>, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "epoch {} seq {} txn {}/{} frames {} metadata {}",
        batch.epoch,
        batch.commit_seq,
        batch.txn_id,
        batch.txn_epoch,
        batch.frames.len(),
        batch.metadata.len(),
    )?;
    for frame in batch.frames.iter() {
        let shown = &frame.data[..frame.data.len().min(PREFIX_BYTES)];
        write!(
            out,
            "  page {} length {} crc32c {:08x} data {}",
            frame.page_number,
            frame.data.len(),
            crc32c::crc32c(frame.data),
            hex(shown),
        )?;
        if shown.len() < frame.data.len() {
            write!(out, "..")?;
        }
        if frame.db_size_if_commit != 0 {
            write!(out, " commits {} pages", frame.db_size_if_commit)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_json(batch: &RecoveredBatch<'_>, out: &mut impl Write) -> io::Result<()> {
    let frames: Vec<_> = batch
        .frames
        .iter()
        .map(|frame| {
            json!({
                "page_number": frame.page_number,
                "db_size_if_commit": frame.db_size_if_commit,
                "length": frame.data.len(),
                "crc32c": crc32c::crc32c(frame.data),
            })
        })
        .collect();
    let line = json!({
        "epoch": batch.epoch,
        "commit_seq": batch.commit_seq,
        "txn_id": batch.txn_id,
        "txn_epoch": batch.txn_epoch,
        "metadata": hex(batch.metadata),
        "frames": frames,
    });
    writeln!(out, "{line}")
}

fn write_raw(batch: &RecoveredBatch<'_>, out: &mut impl Write) -> io::Result<()> {
    out.write_all(&length_u32(batch.frames.len())?)?;
    for frame in batch.frames.iter() {
        out.write_all(&frame.page_number.to_le_bytes())?;
        out.write_all(&frame.db_size_if_commit.to_le_bytes())?;
        out.write_all(&length_u32(frame.data.len())?)?;
        out.write_all(frame.data)?;
    }
    Ok(())
}

/// A count as the dump has it. The formats bound both counts by u32.
fn length_u32(count: usize) -> io::Result<[u8; 4]> {
    u32::try_from(count)
        .map(u32::to_le_bytes)
        .map_err(|_| io::Error::other(format!("{count} does not fit the dump's 32 bits")))
}
