//! `recover`: applies the log to a database file.

use crate::advice;
use crate::args::RecoverArgs;
use crate::exit::{self, Exit, Failure};
use crate::progress::{Log, Progress};
use crate::show;
use epochwal::recovery::recover_into_file_on;
use epochwal::{Error, ErrorKind, Recovery, RecoveryOptions};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

pub fn run(args: &RecoverArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    advice::expect_pages(&args.db)?;
    let options = RecoveryOptions {
        durable_prefix: args.prefix,
        delete_segments: args.delete_segments,
        ..RecoveryOptions::default()
    };
    // The log is checked as a whole first.
    let progress = Progress::reading(Log::Pages, &args.db, 2);
    let (disk, target) = (progress.disk(), &args.target);
    let report = recover_into_file_on(disk, &args.db, target, args.page_size, &options)
        .map_err(|e| failure(args, e))?;
    progress.done();
    if args.json {
        let mut document = json!({
            "database": show::path_text(&args.db),
            "target": show::path_text(&args.target),
            "page_size": args.page_size,
            "verdict": show::verdict_name(report.verdict),
            "applied": report.records > 0,
        });
        if let Value::Object(members) = &mut document {
            members.extend(show::report_json(&report));
        }
        writeln!(out, "{document:#}")?;
    } else {
        let verdict = show::verdict(report.verdict);
        let target = show::path(target);
        let done = match report.records {
            0 => format!("nothing to apply, {target} is left as it was"),
            _ => format!("applied to {target}"),
        };
        writeln!(out, "{}: {verdict}, {done}", show::path(&args.db))?;
        show::write_report(&report, out)?;
        show::write_suspects(&report.suspects, out)?;
    }
    Ok(Exit::Clean)
}

/// With what to type instead, where an argument does not fit the log.
fn failure(args: &RecoverArgs, error: Error) -> Failure {
    let about_target = advice::is_about(&error, &args.target);
    let advice = match (error.kind(), page_size(&args.db)) {
        (ErrorKind::Invalid, _) if about_target => "give another target".to_owned(),
        (ErrorKind::Invalid, Some(size)) => format!("give --page-size {size}"),
        (ErrorKind::Io, _) if about_target => exit::ELSEWHERE.to_owned(),
        _ => return advice::on_pages(&args.db, error),
    };
    Failure::Advised(error, advice)
}

/// That of the first page in the log.
fn page_size(db: &Path) -> Option<usize> {
    let mut recovery = Recovery::open(db, &RecoveryOptions::default()).ok()?;
    let batch = recovery.next_batch().ok()??;
    batch.frames.first().map(|frame| frame.data.len())
}
