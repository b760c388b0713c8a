//! What several commands show in the same way.

use crate::paint::{self, Painted};
use anstyle::Style;
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

/// The same for people.
pub fn verdict(verdict: Verdict) -> Painted<&'static str> {
    paint::on_stdout(verdict_style(verdict), verdict_name(verdict))
}

fn verdict_style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Clean => paint::GOOD,
        Verdict::Torn => paint::DOUBTFUL,
        Verdict::Corrupt => paint::BAD,
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

/// Text on a line of its own: what would end the line, or be heard by a terminal
/// as a command, is escaped.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// A path for people, on one line.
pub fn path(path: &Path) -> String {
    plain(&path.to_string_lossy())
}

/// A path as a shell takes it, in a command that is to be typed.
pub fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let harmless = |b: &u8| b.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(b);
    match path.to_str() {
        Some(text) if !text.is_empty() && bytes.iter().all(harmless) => text.to_owned(),
        Some(text) if !text.chars().any(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        // Bash, zsh and ksh have this form for all other bytes.
        _ => {
            bytes.iter().fold("$'".to_owned(), |mut text, byte| {
                match byte {
                    b'\'' | b'\\' => text.extend(['\\', char::from(*byte)]),
                    b' '..=b'~' => text.push(char::from(*byte)),
                    byte => text += &format!("\\x{byte:02x}"),
                }
                text
            }) + "'"
        }
    }
}

/// A time in milliseconds since the Unix epoch, as ISO 8601 has it.
pub fn utc(ms: u64) -> String {
    let (days, second) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Days since the 1st of March of the year 0; years begin in March, so that
    // a leap day is the last of its year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = match month {
        0..=9 => (month + 3, 0),
        _ => (month - 9, 1),
    };
    format!(
        "{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        era * 400 + year + later,
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

/// Rows in columns as wide as they need to be. `style` gives a cell's, by its
/// row and column.
pub fn write_table(
    rows: &[Vec<String>],
    style: impl Fn(usize, usize) -> Style,
    out: &mut impl Write,
) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (number, row) in rows.iter().enumerate() {
        let last = row.iter().rposition(|cell| !cell.is_empty());
        let row = &row[..last.map_or(0, |last| last + 1)];
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let painted = paint::on_stdout(style(number, at), cell);
            match at + 1 == row.len() {
                true => write!(out, "{painted}")?,
                false => write!(out, "{painted}{:1$}", "", width + 2 - cell.chars().count())?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
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
            verdict(suspect.verdict),
            path(&suspect.path),
            suspect.offset,
            plain(&suspect.reason),
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

/// An error of the library, for JSON, and what to do about it.
pub fn error_json(error: &Error, advice: Option<&str>) -> Value {
    json!({
        "kind": format!("{:?}", error.kind()),
        "code": error.kind() as i32,
        "message": error.message(),
        "os_error": error.os_error(),
        "file": error.path().map(path_text),
        "offset": error.offset(),
        "lsn": error.lsn(),
        "advice": advice,
    })
}

/// Adds the members of one JSON object to another.
pub fn extend(document: &mut Value, more: Value) {
    if let (Value::Object(members), Value::Object(more)) = (document, more) {
        members.extend(more);
    }
}

/// An LSN; they begin with 1.
pub fn or_none(lsn: u64) -> String {
    match lsn {
        0 => "none".into(),
        lsn => lsn.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{plain, quoted, utc};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for (bytes, word) in [
            (&b"app.db"[..], "app.db"),
            (b"", "''"),
            (b"a b.db", "'a b.db'"),
            (b"it's $HOME", r"'it'\''s $HOME'"),
            ("gr\u{fc}n".as_bytes(), "'gr\u{fc}n'"),
            (b"two\nlines'\\", r"$'two\x0alines\'\\'"),
            (b"\xff.db", r"$'\xff.db'"),
        ] {
            assert_eq!(quoted(Path::new(OsStr::from_bytes(bytes))), word);
        }
    }

    #[test]
    fn nothing_in_a_text_speaks_to_the_terminal() {
        assert_eq!(plain("a\nb\u{1b}[31m\u{9b}"), r"a\nb\u{1b}[31m\u{9b}");
        assert_eq!(plain("gr\u{fc}n"), "gr\u{fc}n");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(seconds * 1000 + 999), text);
        }
        assert_eq!(utc(u64::MAX), "584556019-04-03T14:25:51Z");
    }
}
