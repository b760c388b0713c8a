//! What several commands show in the same way.

use epochwal::recovery::{SuspectFile, Verdict};
use epochwal::{Error, RecoveryReport};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

/// A verdict as one lower-case word.
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::Torn => "torn",
        Verdict::Corrupt => "corrupt",
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A path as JSON can carry it: what is not UTF-8 is replaced.
pub fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// `1-4, 7`; `none` where there is none.
pub fn ranges_text(ranges: &[(u64, u64)]) -> String {
    let parts: Vec<String> = ranges
        .iter()
        .map(|&(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    if parts.is_empty() {
        "none".into()
    } else {
        parts.join(", ")
    }
}

fn ranges_json(ranges: &[(u64, u64)]) -> Value {
    ranges
        .iter()
        .map(|&(first, last)| json!([first, last]))
        .collect()
}

/// Torn and corrupt files, one line each.
pub fn write_suspects(suspects: &[SuspectFile], out: &mut impl Write) -> io::Result<()> {
    for suspect in suspects {
        writeln!(
            out,
            "{}: {} at offset {}: {}",
            verdict_name(suspect.verdict),
            suspect.path.display(),
            suspect.offset,
            suspect.reason,
        )?;
    }
    Ok(())
}

/// The same for JSON.
pub fn suspects_json(suspects: &[SuspectFile]) -> Value {
    suspects
        .iter()
        .map(|suspect| {
            json!({
                "file": path_text(&suspect.path),
                "offset": suspect.offset,
                "verdict": verdict_name(suspect.verdict),
                "reason": suspect.reason,
            })
        })
        .collect()
}

/// The report of a recovery, one figure a line, without its suspects.
pub fn write_report(report: &RecoveryReport, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "segments            {}", report.segments)?;
    writeln!(out, "batches             {}", report.batches)?;
    writeln!(out, "records             {}", report.records)?;
    writeln!(out, "bytes read          {}", report.bytes_read)?;
    writeln!(
        out,
        "epochs              {}",
        ranges_text(report.epochs.ranges())
    )?;
    writeln!(
        out,
        "unconfirmed epochs  {}",
        ranges_text(report.unconfirmed.ranges())
    )?;
    if let Some(epoch) = report.checkpoint_epoch {
        writeln!(out, "checkpointed        {epoch}")?;
    }
    writeln!(out, "highest commit seq  {}", report.highest_commit_seq)?;
    writeln!(out, "database pages      {}", report.db_size)
}

/// The report of a recovery as the members of a JSON object.
pub fn report_json(report: &RecoveryReport) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("segments".into(), report.segments.into());
    members.insert("batches".into(), report.batches.into());
    members.insert("records".into(), report.records.into());
    members.insert("bytes_read".into(), report.bytes_read.into());
    members.insert("epochs".into(), ranges_json(report.epochs.ranges()));
    members.insert(
        "unconfirmed".into(),
        ranges_json(report.unconfirmed.ranges()),
    );
    members.insert("checkpoint_epoch".into(), report.checkpoint_epoch.into());
    members.insert(
        "highest_commit_seq".into(),
        report.highest_commit_seq.into(),
    );
    members.insert("db_size".into(), report.db_size.into());
    members.insert("suspects".into(), suspects_json(&report.suspects));
    members
}

/// An error of the library, for JSON.
pub fn error_json(error: &Error) -> Value {
    json!({
        "kind": format!("{:?}", error.kind()),
        "code": error.kind() as i32,
        "message": error.message(),
        "os_error": error.os_error(),
        "file": error.path().map(path_text),
        "offset": error.offset(),
    })
}
