//! Another process of this program, in a part of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const PART: &str = "EPOCHWAL_TEST_PART";
const DATABASE: &str = "EPOCHWAL_TEST_DATABASE";
const ARGUMENT: &str = "EPOCHWAL_TEST_ARGUMENT";
/// What a part says begins with this; the test harness says more.
const MARK: &str = "> ";

/// The part this process has, if it is such a child.
pub fn part() -> Option<String> {
    let part = std::env::var(PART).ok()?;
    // SAFETY: a plain call. A part that hangs ends by itself.
    unsafe { libc::alarm(120) };
    Some(part)
}

pub fn database() -> PathBuf {
    std::env::var_os(DATABASE)
        .expect("set for each part")
        .into()
}

pub fn argument() -> u64 {
    std::env::var(ARGUMENT).unwrap().parse().unwrap()
}

/// Says a line to the parent in one piece.
pub fn say(line: &str) {
    let line = format!("{MARK}{line}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

/// The next line from the parent; none at its end.
pub fn hear() -> Option<String> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).unwrap();
    (read > 0).then(|| line.trim_end().to_owned())
}

/// A running part; killed where it is dropped.
pub struct Part {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Part {
    pub fn start(part: &str, db: &Path, argument: u64) -> Part {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "part", "--nocapture", "--test-threads=1"])
            .env(PART, part)
            .env(DATABASE, db)
            .env(ARGUMENT, argument.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Part {
            to: process.stdin.take().unwrap(),
            from: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.to, "{line}").unwrap();
    }

    /// The next whole line that it says; none once it has ended.
    pub fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        loop {
            line.clear();
            self.from.read_line(&mut line).unwrap();
            // A killed part's last line may be cut.
            let whole = line.strip_suffix('\n')?;
            // The harness's own words may stand before it on the same line.
            if let Some((_, said)) = whole.split_once(MARK) {
                return Some(said.to_owned());
            }
        }
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// Waits for an end of its own, and gives what it said until then.
    pub fn finish(mut self) -> Vec<String> {
        let said = std::iter::from_fn(|| self.next()).collect();
        assert!(self.process.wait().unwrap().success(), "after {said:?}");
        said
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
