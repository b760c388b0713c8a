//! `verify`: reads and checks the whole log.

use crate::advice;
use crate::args::VerifyArgs;
use crate::exit::{Exit, Failure};
use crate::progress::{Log, Progress};
use crate::show;
use epochwal::recovery::{RecoveryReport, SuspectFile, Verdict};
use epochwal::{Error, ErrorKind, Recovery, RecoveryOptions};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;

pub fn run(args: &VerifyArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    advice::expect_pages(&args.db)?;
    let finding = look(&args.db);
    let failure = finding
        .error
        .clone()
        .map(|error| advice::on_pages(&args.db, error));
    let shown = match args.json {
        true => writeln!(out, "{:#}", finding.to_json(&args.db, failure.as_ref())),
        false => finding.write_text(&args.db, out),
    };
    ended(shown, finding.exit, failure)
}

/// Strict reading gives the verdict. On damage a second, forgiving pass lists
/// every file from there on.
pub fn look(db: &Path) -> Finding {
    match check(db, false) {
        Ok(report) => Finding::of(report),
        Err(error) => Finding::failed(db, error),
    }
}

/// The exit code is the verdict, also where nobody reads the text.
pub fn ended(shown: io::Result<()>, exit: Exit, failure: Option<Failure>) -> Result<Exit, Failure> {
    match (failure, shown) {
        (Some(failure), _) => Err(failure.told()),
        (None, Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        (None, _) => Ok(exit),
    }
}

fn check(db: &Path, durable_prefix: bool) -> epochwal::Result<RecoveryReport> {
    let options = RecoveryOptions {
        durable_prefix,
        verify_only: true,
        ..RecoveryOptions::default()
    };
    let progress = Progress::reading(Log::Pages, db, 1);
    let mut recovery = Recovery::open_on(progress.disk(), db, &options)?;
    while recovery.next_batch()?.is_some() {}
    Ok(recovery.report().clone())
}

/// The outcome: an exit code, what was read, and the error that ended it.
pub struct Finding {
    pub exit: Exit,
    pub report: RecoveryReport,
    pub error: Option<Error>,
}

impl Finding {
    fn of(report: RecoveryReport) -> Self {
        let exit = match report.verdict {
            Verdict::Clean => Exit::Clean,
            Verdict::Torn => Exit::Torn,
            Verdict::Corrupt => Exit::Corrupt,
        };
        Finding {
            exit,
            report,
            error: None,
        }
    }

    fn failed(db: &Path, error: Error) -> Self {
        let exit = Exit::of(error.kind());
        let mut report = RecoveryReport::default();
        if error.kind() == ErrorKind::Corrupt {
            // The second pass may fail for a reason of its own (a log in
            // motion); the first one's error stands either way.
            report = check(db, true).unwrap_or_default();
            report.verdict = Verdict::Corrupt;
            if !report
                .suspects
                .iter()
                .any(|s| s.verdict == Verdict::Corrupt)
            {
                report.suspects.push(SuspectFile {
                    path: error.path().unwrap_or(db).to_path_buf(),
                    offset: error.offset().unwrap_or(0),
                    verdict: Verdict::Corrupt,
                    reason: error.message().to_owned(),
                });
            }
        }
        Finding {
            exit,
            report,
            error: Some(error),
        }
    }

    fn write_text(&self, db: &Path, out: &mut impl Write) -> io::Result<()> {
        let nothing = self.exit == Exit::Clean && self.report.bytes_read == 0;
        let note = if nothing {
            ", no segments beside it"
        } else {
            ""
        };
        writeln!(out, "{}: {}{note}", show::path(db), self.exit.painted())?;
        // After anything but damage there are no figures to show.
        if matches!(self.exit, Exit::Clean | Exit::Torn | Exit::Corrupt) {
            show::write_report(&self.report, out)?;
        }
        show::write_suspects(&self.report.suspects, out)
    }

    fn to_json(&self, db: &Path, failure: Option<&Failure>) -> Value {
        let mut document = json!({
            "database": show::path_text(db),
            "verdict": self.exit.verdict(),
            "exit_code": self.exit as u8,
        });
        if let Value::Object(members) = &mut document {
            members.extend(show::report_json(&self.report));
            members.insert("error".into(), failure.map(Failure::to_json).into());
        }
        document
    }
}
