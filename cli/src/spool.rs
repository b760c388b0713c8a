//! `spool`: the log of records, read beside its writer or without one, and
//! salvaged or pruned in the writer's place.

use crate::advice;
use crate::args::{
    PayloadForm, SpoolArgs, SpoolCatArgs, SpoolCommand, SpoolExportArgs, SpoolInspectArgs,
    SpoolPruneArgs,
};
use crate::exit::{ELSEWHERE, Exit, Failure};
use crate::html::{self, Page};
use crate::progress::{Log, Progress};
use crate::show::{self, extend, hex, or_none};
use crate::slots;
use crate::timeline::Timeline;
use crate::verify::ended;
use epochwal::recovery::{self, Verdict};
use epochwal::spool::{
    Bounds, LostRange, Record, Spool, SpoolOptions, SpoolReader, SpoolReport, SpoolSegment,
};
use epochwal::storage::{RealStorage, Storage};
use epochwal::{Error, ErrorKind};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

pub fn run(command: &SpoolCommand, out: &mut impl Write) -> Result<Exit, Failure> {
    match command {
        SpoolCommand::Inspect(args) => inspect(args, out),
        SpoolCommand::Cat(args) => cat(args, out),
        SpoolCommand::Verify(args) => verify(args, out),
        SpoolCommand::Salvage(args) => salvage(args, out),
        SpoolCommand::Prune(args) => prune(args, out),
        SpoolCommand::Export(args) => export(args, out),
    }
}

/// A reader of a spool that is there: a path that is spelled wrong has none.
fn open(db: &Path, since: Option<u64>) -> Result<SpoolReader, Failure> {
    open_on(Arc::new(RealStorage), db, since)
}

fn open_on(disk: Arc<dyn Storage>, db: &Path, since: Option<u64>) -> Result<SpoolReader, Failure> {
    let reader = SpoolReader::open_on(disk, db, since).map_err(|e| advice::on_spool(db, e))?;
    match reader.report().exists {
        true => Ok(reader),
        false => Err(missing(db)),
    }
}

fn missing(db: &Path) -> Failure {
    let what = format!(
        "{0} has no spool: there is no {0}.logical.wal-state",
        show::path(db)
    );
    Failure::missing(what, advice::DATA_FILE)
}

/// What the whole log says, and the error that ended it.
fn read_all(db: &Path) -> Result<(SpoolReport, Option<Error>), Failure> {
    let progress = Progress::reading(Log::Records, db, 1);
    let mut reader = open_on(progress.disk(), db, None)?;
    let error = reader.read_to_end().err();
    progress.done();
    Ok((reader.report().clone(), error))
}

fn inspect(args: &SpoolInspectArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let page = &args.page;
    let args = &args.spool;
    if let Some(file) = &page.html {
        draw(&args.db, file, page.bench.as_deref())?;
        if !args.json {
            writeln!(out, "{}: written", show::path(file))?;
            return Ok(Exit::Clean);
        }
    }
    let (report, error) = read_all(&args.db)?;
    // A corrupt log is shown as far as it goes; its output has the verdict.
    if let Some(error) = error.filter(|e| e.kind() != ErrorKind::Corrupt) {
        return Err(advice::on_spool(&args.db, error));
    }
    if args.json {
        let mut document = json!({ "database": show::path_text(&args.db) });
        extend(&mut document, report_json(&report));
        writeln!(out, "{document:#}")?;
    } else {
        let verdict = show::verdict(report.verdict);
        writeln!(out, "{}: {verdict}", show::path(&args.db))?;
        write_report(&report, out)?;
        write_segments(&report.segments, out)?;
        show::write_suspects(&report.suspects, out)?;
    }
    Ok(Exit::Clean)
}

/// The spool on a page.
fn draw(db: &Path, file: &Path, bench: Option<&Path>) -> Result<(), Failure> {
    html::check_name(file)?;
    let bench = bench.map(html::read_bench).transpose()?;
    let progress = Progress::reading(Log::Records, db, 2);
    let mut times = Timeline::new();
    let mut reader = open_on(progress.disk(), db, None)?;
    loop {
        match reader.next_record() {
            Ok(Some(record)) => times.add(record.timestamp_ms),
            Ok(None) => break,
            // The page shows the damage.
            Err(error) if error.kind() == ErrorKind::Corrupt => break,
            Err(error) => return Err(advice::on_spool(db, error)),
        }
    }
    let log =
        recovery::inspect_spool_on(progress.disk(), db).map_err(|e| advice::on_spool(db, e))?;
    progress.done();
    let report = reader.report();
    let salvaged = (report.lost.ranges().iter())
        .map(|r| (r.after.saturating_add(1), r.through))
        .collect();
    let page = Page {
        db,
        kind: Log::Records,
        log: &log,
        times: Some(times),
        readable: (report.records > 0).then_some((report.first_lsn, report.last_lsn)),
        salvaged,
        bench,
    };
    page.write(file)
}

fn verify(args: &SpoolArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let (report, error) = match read_all(&args.db) {
        // What can't even be opened has a verdict all the same.
        Err(Failure::Engine(e) | Failure::Advised(e, _)) => (SpoolReport::default(), Some(e)),
        read => read?,
    };
    let exit = match (&error, report.verdict) {
        (Some(error), _) => Exit::of(error.kind()),
        (None, Verdict::Torn) => Exit::Torn,
        (None, _) => Exit::Clean,
    };
    let failure = error.map(|error| advice::on_spool(&args.db, error));
    let shown = match args.json {
        true => {
            let document = verdict_json(&args.db, exit, &report, failure.as_ref());
            writeln!(out, "{document:#}")
        }
        false => write_verdict(&args.db, exit, &report, out),
    };
    ended(shown, exit, failure)
}

fn write_verdict(
    db: &Path,
    exit: Exit,
    report: &SpoolReport,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "{}: {}", show::path(db), exit.painted())?;
    if report.exists {
        write_report(report, out)?;
    }
    show::write_suspects(&report.suspects, out)
}

fn verdict_json(db: &Path, exit: Exit, report: &SpoolReport, failure: Option<&Failure>) -> Value {
    let mut document = json!({
        "database": show::path_text(db),
        "verdict": exit.verdict(),
        "exit_code": exit as u8,
    });
    let mut members = report_json(report);
    if let Some(members) = members.as_object_mut() {
        members.remove("verdict");
    }
    extend(&mut document, members);
    let error = json!({ "error": failure.map(Failure::to_json) });
    extend(&mut document, error);
    document
}

fn cat(args: &SpoolCatArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    if args.json && args.payload == Some(PayloadForm::Raw) {
        return Err(Failure::Usage(
            "--json can't carry --payload raw".to_owned(),
            "give --payload hex, which is exact".to_owned(),
        ));
    }
    let mut reader = open(&args.db, args.since)?;
    let limit = args.limit.unwrap_or(u64::MAX);
    let mut given = 0;
    while given < limit {
        let record = reader
            .next_record()
            .map_err(|e| advice::on_spool(&args.db, e))?;
        let Some(record) = record else { break };
        given += 1;
        match (args.json, args.payload) {
            (true, form) => write_json(&record, form, out)?,
            (false, Some(PayloadForm::Raw)) => out.write_all(record.payload)?,
            (false, form) => write_text(&record, form, out)?,
        }
    }
    Ok(Exit::Clean)
}

fn write_text(
    record: &Record<'_>,
    form: Option<PayloadForm>,
    out: &mut impl Write,
) -> io::Result<()> {
    let payload = match form {
        Some(PayloadForm::Hex) => hex(record.payload),
        _ => record.payload.escape_ascii().to_string(),
    };
    writeln!(
        out,
        "lsn {} term {} time {} length {} payload {payload}",
        record.lsn,
        record.term,
        record.timestamp_ms,
        record.payload.len(),
    )
}

fn write_json(
    record: &Record<'_>,
    form: Option<PayloadForm>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut line = json!({
        "lsn": record.lsn,
        "term": record.term,
        "timestamp_ms": record.timestamp_ms,
        "length": record.payload.len(),
    });
    let payload = match form {
        Some(PayloadForm::Escaped) => {
            json!({ "payload_escaped": record.payload.escape_ascii().to_string() })
        }
        _ => json!({ "payload_hex": hex(record.payload) }),
    };
    extend(&mut line, payload);
    writeln!(out, "{line}")
}

fn salvage(args: &SpoolArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    // Before it, so that it can be said what was wrong.
    let before = read_all(&args.db).map(|(report, _)| report.suspects);
    let done = Spool::salvage(&args.db).map_err(|error| match error.kind() {
        ErrorKind::NotFound => missing(&args.db),
        _ => advice::on_spool(&args.db, error),
    })?;
    let suspects = before.unwrap_or_default();
    if args.json {
        let document = json!({
            "database": show::path_text(&args.db),
            "moved": done.moved.iter().map(|p| show::path_text(p)).collect::<Vec<_>>(),
            "bounds": bounds_json(&done.bounds),
            "lost": lost_json(&done.lost),
            "suspects": show::suspects_json(&suspects),
        });
        writeln!(out, "{document:#}")?;
        return Ok(Exit::Clean);
    }
    show::write_suspects(&suspects, out)?;
    for path in &done.moved {
        writeln!(out, "moved aside: {}", show::path(path))?;
    }
    write_lost(&done.lost, out)?;
    let what = match done.moved.is_empty() {
        true => "nothing is damaged",
        false => "salvaged",
    };
    write!(out, "{}: {what}, ", show::path(&args.db))?;
    write_bounds(&done.bounds, out)?;
    Ok(Exit::Clean)
}

/// What nobody reads across without being told.
fn write_lost(lost: &[LostRange], out: &mut impl Write) -> io::Result<()> {
    for range in lost {
        let (first, last) = (range.after.saturating_add(1), range.through);
        writeln!(out, "lost in a salvage   LSNs {first} to {last}")?;
    }
    Ok(())
}

fn lost_json(lost: &[LostRange]) -> Vec<Value> {
    let one = |range: &LostRange| json!({"after": range.after, "through": range.through});
    lost.iter().map(one).collect()
}

fn prune(args: &SpoolPruneArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    // Says that there is none, and makes none.
    let writer = open(&args.db, None)?.report().writer;
    if writer {
        let error = Error::new(ErrorKind::Locked, "a writer has the spool open");
        return Err(advice::on_spool(&args.db, error));
    }
    let advised = |error| advice::on_slots(&args.db, error);
    let spool = Spool::open(&args.db, &SpoolOptions::default()).map_err(advised)?;
    let reached = spool.prune_through(args.lsn).map_err(advised)?;
    let bounds = spool.bounds();
    let wanted = args.lsn.min(bounds.current_lsn);
    let held_by = match reached < wanted {
        true => slots::below(&args.db, wanted)?,
        false => Vec::new(),
    };
    spool.close(None)?;
    if args.json {
        let held_by = held_by.iter();
        let document = json!({
            "database": show::path_text(&args.db),
            "bounds": bounds_json(&bounds),
            "held_by": held_by
                .map(|s| json!({ "id": s.id, "restart_lsn": s.restart_lsn }))
                .collect::<Vec<_>>(),
        });
        writeln!(out, "{document:#}")?;
    } else {
        write!(out, "{}: pruned, ", show::path(&args.db))?;
        write_bounds(&bounds, out)?;
        for slot in held_by.iter().take(HOLDERS_SHOWN) {
            writeln!(
                out,
                "held back by slot {}, which has LSN {}",
                slot.id, slot.restart_lsn
            )?;
        }
        if let Some(more @ 1..) = held_by.len().checked_sub(HOLDERS_SHOWN) {
            writeln!(out, "and by {more} more")?;
        }
    }
    Ok(Exit::Clean)
}

fn export(args: &SpoolExportArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let mut reader = open(&args.db, args.since)?;
    let done = reader.export_rdlw(&args.file).map_err(|e| match e.kind() {
        // Of the file to write, not of the log.
        ErrorKind::Exists | ErrorKind::Locked => {
            Failure::Advised(e, "give the name of a file that is not there".to_owned())
        }
        _ if advice::is_about(&e, &args.file) => Failure::Advised(e, ELSEWHERE.to_owned()),
        _ => advice::on_spool(&args.db, e),
    })?;
    let report = reader.report();
    if args.json {
        let document = json!({
            "database": show::path_text(&args.db),
            "file": show::path_text(&args.file),
            "records": done.records,
            "bytes": done.bytes,
            "first_lsn": report.first_lsn,
            "last_lsn": report.last_lsn,
        });
        writeln!(out, "{document:#}")?;
        return Ok(Exit::Clean);
    }
    writeln!(
        out,
        "{}: records {} LSN {} to {} bytes {}",
        show::path(&args.file),
        done.records,
        or_none(report.first_lsn),
        or_none(report.last_lsn),
        done.bytes,
    )?;
    Ok(Exit::Clean)
}

/// How many slots are named that hold a prune back.
const HOLDERS_SHOWN: usize = 10;

fn write_bounds(bounds: &Bounds, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "oldest LSN {} current LSN {} pruned through {}",
        or_none(bounds.oldest_lsn),
        or_none(bounds.current_lsn),
        or_none(bounds.pruned_through),
    )
}

fn bounds_json(bounds: &Bounds) -> Value {
    json!({
        "oldest_lsn": bounds.oldest_lsn,
        "current_lsn": bounds.current_lsn,
        "pruned_through": bounds.pruned_through,
    })
}

fn write_report(report: &SpoolReport, out: &mut impl Write) -> io::Result<()> {
    let state = match (report.writer, report.clean) {
        (true, _) => "a writer has it open",
        (_, true) => "closed cleanly",
        _ => "not closed",
    };
    writeln!(out, "state               {state}")?;
    writeln!(out, "oldest LSN          {}", or_none(report.first_lsn))?;
    writeln!(out, "current LSN         {}", or_none(report.current_lsn))?;
    writeln!(out, "durable LSN         {}", or_none(report.durable_lsn))?;
    writeln!(
        out,
        "pruned through      {}",
        or_none(report.pruned_through)
    )?;
    writeln!(out, "quorum LSN          {}", or_none(report.quorum_lsn))?;
    write_lost(report.lost.ranges(), out)?;
    writeln!(out, "records             {}", report.records)?;
    writeln!(out, "payload bytes       {}", report.payload_bytes)?;
    writeln!(out, "segments            {}", report.segments.len())?;
    writeln!(out, "bytes read          {}", report.bytes_read)?;
    for start in report.terms.entries() {
        writeln!(out, "term {:<14} from LSN {}", start.term, start.first_lsn)?;
    }
    Ok(())
}

fn write_segments(segments: &[SpoolSegment], out: &mut impl Write) -> io::Result<()> {
    for segment in segments {
        write!(
            out,
            "segment {} bytes {} groups {} records {} LSN {} to {}",
            show::path(&segment.path),
            segment.bytes,
            segment.groups,
            segment.records,
            or_none(segment.first_lsn),
            or_none(segment.last_lsn),
        )?;
        match segment.dead {
            0 => writeln!(out)?,
            dead => writeln!(out, " cut off {dead}")?,
        }
    }
    Ok(())
}

fn report_json(report: &SpoolReport) -> Value {
    let terms = report.terms.entries().iter();
    let segments = report.segments.iter();
    json!({
        "verdict": show::verdict_name(report.verdict),
        "writer": report.writer,
        "clean": report.clean,
        "oldest_lsn": report.first_lsn,
        "current_lsn": report.current_lsn,
        "durable_lsn": report.durable_lsn,
        "pruned_through": report.pruned_through,
        "quorum_lsn": report.quorum_lsn,
        "lost": lost_json(report.lost.ranges()),
        "records": report.records,
        "payload_bytes": report.payload_bytes,
        "bytes_read": report.bytes_read,
        "terms": terms
            .map(|t| json!({ "term": t.term, "first_lsn": t.first_lsn }))
            .collect::<Vec<_>>(),
        "segments": segments.map(segment_json).collect::<Vec<_>>(),
        "suspects": show::suspects_json(&report.suspects),
    })
}

fn segment_json(segment: &SpoolSegment) -> Value {
    json!({
        "file": show::path_text(&segment.path),
        "bytes": segment.bytes,
        "groups": segment.groups,
        "records": segment.records,
        "cut_off": segment.dead,
        "first_lsn": segment.first_lsn,
        "last_lsn": segment.last_lsn,
    })
}
