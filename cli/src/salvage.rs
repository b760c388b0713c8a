//! `salvage`: goes on with what lies before the damage to a page log, in its
//! owner's place. What is damaged, and all beyond it, is moved aside.

use crate::advice;
use crate::args::SalvageArgs;
use crate::exit::{Exit, Failure};
use crate::show;
use crate::verify;
use epochwal::ErrorKind;
use epochwal::coordinator::{Coordinator, Options};
use epochwal::recovery::list_segments;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};

pub fn run(args: &SalvageArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    advice::expect_pages(&args.db)?;
    let before = verify::look(&args.db);
    let (moved, durable) = match before.error {
        Some(error) if error.kind() != ErrorKind::Corrupt => {
            return Err(advice::on_pages(&args.db, error));
        }
        Some(_) => open(&args.db)?,
        // An open that has nothing to salvage would be none of our business.
        None => {
            let last = before.report.epochs.ranges().last().map(|range| range.1);
            (Vec::new(), last.or(before.report.checkpoint_epoch))
        }
    };
    let suspects = &before.report.suspects;
    if args.json {
        let document = json!({
            "database": show::path_text(&args.db),
            "moved": moved.iter().map(|p| show::path_text(p)).collect::<Vec<_>>(),
            "durable_epoch": durable,
            "suspects": show::suspects_json(suspects),
        });
        writeln!(out, "{document:#}")?;
        return Ok(Exit::Clean);
    }
    show::write_suspects(suspects, out)?;
    for path in &moved {
        writeln!(out, "moved aside: {}", show::path(path))?;
    }
    let what = match moved.is_empty() {
        true => "nothing is damaged",
        false => "salvaged",
    };
    let durable = durable.map_or_else(|| "none".to_owned(), |epoch| epoch.to_string());
    writeln!(
        out,
        "{}: {what}, last epoch {durable}",
        show::path(&args.db)
    )?;
    Ok(Exit::Clean)
}

/// What the open moves aside, and the last epoch that is left.
fn open(db: &Path) -> Result<(Vec<PathBuf>, Option<u64>), Failure> {
    let advised = |error| advice::on_pages(db, error);
    // A log that readers of version 1 share stays one.
    let old = |version: u32| version == 1;
    let segments = list_segments(db).unwrap_or_default();
    let all_old = !segments.is_empty() && segments.iter().all(|s| old(s.version));
    let options = Options {
        salvage: true,
        segment_format: if all_old { 1 } else { 2 },
        ..Options::default()
    };
    let wal = Coordinator::open(db, &options).map_err(advised)?;
    let found = (
        wal.salvaged().to_vec(),
        wal.durable_epoch().map_err(advised)?,
    );
    wal.close(None).map_err(advised)?;
    Ok(found)
}
