//! Whether a wrong design is caught: the test binary runs itself again with
//! the design put in and one test alone, which must fail, and say why.

use epochwal::wrong::Wrong;
use std::io::{self, Read};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

/// A table of designs, each with the test that catches it and what that says.
/// Each row is a test of the design's name.
#[allow(unused_macros)] // of tests without a table
macro_rules! caught {
    ($($design:ident: $test:literal => $saying:literal,)+) => {$(
        #[test]
        #[allow(non_snake_case)]
        fn $design() {
            let design = epochwal::wrong::Wrong::$design;
            runner::assert_caught(design, $test, $saying);
        }
    )+};
}
#[allow(unused_imports)] // as above
pub(crate) use caught;

/// Longer than any of the tests takes. A hang is not caught by it: the test
/// should have found it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs `test` with the design; it must fail, and its message hold `saying`.
pub fn assert_caught(design: Wrong, test: &str, saying: &str) {
    let output = run(&format!("{design:?}"), test);
    let failed = output.contains("test result: FAILED. 0 passed; 1 failed;");
    let message = output.split_once("panicked at").map_or("", |(_, m)| m);
    assert!(
        failed && message.contains(saying),
        "{test} does not catch {design:?} saying {saying:?}:\n{output}"
    );
}

/// What the test binary says when it runs `test` with the design.
pub fn run(design: &str, test: &str) -> String {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env("EPOCHWAL_WRONG", design)
        .env("RUST_BACKTRACE", "0")
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .spawn()
        .unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        let _ = tell.send(bytes);
    });
    let output = told.recv_timeout(PATIENCE);
    // It has ended, unless it hangs.
    let _ = child.kill();
    child.wait().unwrap();
    let output = output.unwrap_or_else(|_| panic!("{test} hangs with {design}"));
    String::from_utf8_lossy(&output).into_owned()
}
