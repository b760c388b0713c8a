//! Colours, for whoever looks at a terminal and has not asked for none.

use anstream::{AutoStream, ColorChoice, stream::RawStream};
use anstyle::{AnsiColor, Style};
use std::fmt;
use std::io;
use std::sync::LazyLock;

/// As it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Harmless, but to be known.
pub const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
/// Wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// The names of columns.
pub const TITLE: Style = Style::new().bold();

static STDOUT: LazyLock<bool> = LazyLock::new(|| is_coloured(&io::stdout()));
static STDERR: LazyLock<bool> = LazyLock::new(|| is_coloured(&io::stderr()));

/// Whether a stream gets colours: NO_COLOR, CLICOLOR_FORCE, CLICOLOR and TERM are
/// asked, and whether it is a terminal.
fn is_coloured(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// Text in a style, where that is wanted.
pub struct Painted<T> {
    style: Option<Style>,
    text: T,
}

/// Text for standard output.
pub fn on_stdout<T>(style: Style, text: T) -> Painted<T> {
    let style = STDOUT.then_some(style);
    Painted { style, text }
}

/// Text for standard error.
pub fn on_stderr<T>(style: Style, text: T) -> Painted<T> {
    let style = STDERR.then_some(style);
    Painted { style, text }
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.style {
            Some(style) => write!(f, "{style}{}{style:#}", self.text),
            None => self.text.fmt(f),
        }
    }
}
