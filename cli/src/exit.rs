//! Exit codes, and the failures that lead to them.

use crate::paint::{self, Painted};
use crate::show;
use epochwal::ErrorKind;
use serde_json::Value;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// What the process says to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, and nothing is wrong.
    Clean = 0,
    /// `verify`: a torn tail, which the next open drops.
    Torn = 1,
    /// Damage to something acknowledged.
    Corrupt = 2,
    /// A newer format, or a log of another database.
    Format = 3,
    /// The file system failed, a lock is held, or anything else.
    Error = 4,
    /// The command line is wrong (`EX_USAGE` of sysexits).
    Usage = 64,
}

/// What each code means, for the help and the manual.
pub const MEANINGS: [(Exit, &str); 6] = [
    (Exit::Clean, "done; for `verify`: the log is clean"),
    (
        Exit::Torn,
        "`verify`: the log ends in a torn tail, which the next open drops",
    ),
    (Exit::Corrupt, "corrupt: something acknowledged is damaged"),
    (Exit::Format, "a newer format, or a log of another database"),
    (
        Exit::Error,
        "an I/O error, no log there, a lock that another process holds, or any other failure",
    ),
    (Exit::Usage, "the command line is wrong"),
];

/// What they leave open.
pub const REMARK: &str = "\
Only `verify` exits 1 on a torn tail: it holds nothing that was ever
acknowledged. `inspect` and `stats` exit 0 on a corrupt log too; their output
carries the verdict.";

/// The same as the end of a help text.
pub fn help() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for (exit, meaning) in MEANINGS {
        text += &format!("  {:<2}  {meaning}\n", exit as u8);
    }
    text + "\n" + REMARK
}

impl Exit {
    /// The code for an error of the library.
    pub fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Corrupt => Exit::Corrupt,
            ErrorKind::Format => Exit::Format,
            _ => Exit::Error,
        }
    }

    /// The verdict that `verify` shows with it.
    pub fn verdict(self) -> &'static str {
        match self {
            Exit::Clean => "clean",
            Exit::Torn => "torn",
            Exit::Corrupt => "corrupt",
            Exit::Format => "format",
            Exit::Error | Exit::Usage => "error",
        }
    }
}

impl Exit {
    /// [`Exit::verdict`] for people.
    pub fn painted(self) -> Painted<&'static str> {
        let style = match self {
            Exit::Clean => paint::GOOD,
            Exit::Torn => paint::DOUBTFUL,
            _ => paint::BAD,
        };
        paint::on_stdout(style, self.verdict())
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command could not do what it was asked for.
#[derive(Debug)]
pub enum Failure {
    /// The library's answer.
    Engine(epochwal::Error),
    /// Writing to stdout failed.
    Output(io::Error),
    /// Writing a file failed.
    File(PathBuf, io::Error),
    /// The library's answer, and what to do about it.
    Advised(epochwal::Error, String),
    /// Arguments that do not go together, and what to give instead.
    Usage(String, String),
    /// One that the JSON document of the command has told already.
    Told(Box<Failure>),
}

impl Failure {
    /// There is no such thing, and what to do about it.
    pub fn missing(what: String, advice: impl Into<String>) -> Failure {
        let error = epochwal::Error::new(ErrorKind::NotFound, what);
        Failure::Advised(error, advice.into())
    }

    /// The same, which the command's document carries.
    pub fn told(self) -> Failure {
        Failure::Told(Box::new(self))
    }

    /// The exit code that says so.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Engine(error) | Failure::Advised(error, _) => Exit::of(error.kind()),
            Failure::Usage(..) => Exit::Usage,
            Failure::Output(_) | Failure::File(..) => Exit::Error,
            Failure::Told(failure) => failure.exit(),
        }
    }

    /// For JSON: the names are those of the library's own errors.
    pub fn to_json(&self) -> Value {
        let plain = |kind, message: &str, advice| {
            show::error_json(&epochwal::Error::new(kind, message), advice)
        };
        match self {
            Failure::Engine(error) => show::error_json(error, None),
            Failure::Advised(error, advice) => show::error_json(error, Some(advice)),
            Failure::Output(error) => plain(ErrorKind::Io, &error.to_string(), None),
            Failure::File(path, error) => {
                let mut found = plain(ErrorKind::Io, &error.to_string(), Some(ELSEWHERE));
                found["os_error"] = error.raw_os_error().into();
                found["file"] = show::path_text(path).into();
                found
            }
            Failure::Usage(what, advice) => plain(ErrorKind::Invalid, what, Some(advice)),
            Failure::Told(failure) => failure.to_json(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Engine(error) => error.fmt(f),
            Failure::Output(error) => write!(f, "writing the output: {error}"),
            Failure::File(path, error) => {
                write!(f, "writing {}: {error}; {ELSEWHERE}", path.display())
            }
            Failure::Advised(error, advice) => write!(f, "{error}; {advice}"),
            Failure::Usage(what, advice) => write!(f, "{what}; {advice}"),
            Failure::Told(failure) => failure.fmt(f),
        }
    }
}

/// Of a file that can't be written.
pub const ELSEWHERE: &str = "give a place that is there, can be written and has room";

impl From<epochwal::Error> for Failure {
    fn from(error: epochwal::Error) -> Self {
        Failure::Engine(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}
