//! What is installed beside the tool: manual pages and completions.

use epochwal::primary::{Primary, PrimaryOptions};
use epochwal::spool::{Record, SpoolOptions};
use epochwal::{Batch, Coordinator, Frame, Options};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output};

const COMMANDS: [&str; 10] = [
    "inspect",
    "verify",
    "recover",
    "salvage",
    "cat",
    "stats",
    "bench",
    "spool",
    "slots",
    "completions",
];

fn tool(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_epochwal"))
        .args(args)
        .output()
        .expect("the tool starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What the help lists under "Commands".
fn listed(help: &str) -> Vec<String> {
    let commands = help.lines().skip_while(|l| *l != "Commands:").skip(1);
    let names = commands.take_while(|l| !l.is_empty()).filter_map(|line| {
        let name = line.split_whitespace().next()?;
        (line.starts_with("  ") && !line.starts_with("   ") && name != "help").then_some(name)
    });
    names.map(str::to_owned).collect()
}

#[test]
fn the_help_lists_what_these_tests_look_for() {
    assert_eq!(listed(&text(&tool(&["-h"]).stdout)), COMMANDS);
}

#[test]
fn each_command_has_a_page_with_its_options_and_all_exit_codes() {
    let dir = tempfile::tempdir().expect("tempdir");
    let written = tool(&["man", &dir.path().to_string_lossy()]);
    assert!(written.status.success(), "{}", text(&written.stderr));
    let page = |name: &str| {
        let path = dir.path().join(format!("{name}.1"));
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let main = page("epochwal");
    let mut pages = vec!["epochwal".to_owned()];
    for command in COMMANDS {
        assert!(main.contains(&format!("epochwal\\-{command}")), "{command}");
        pages.push(format!("epochwal-{command}"));
        for inner in listed(&text(&tool(&[command, "-h"]).stdout)) {
            pages.push(format!("epochwal-{command}-{inner}"));
        }
    }
    assert_eq!(
        fs::read_dir(dir.path()).expect("list").count(),
        pages.len(),
        "{pages:?}"
    );
    for name in &pages {
        let page = page(name);
        let codes = page.split(".SH \"EXIT STATUS\"").nth(1).expect("a section");
        for code in ["0", "1", "2", "3", "4", "64"] {
            assert!(
                codes.contains(&format!("\\fB{code}\\fR\n")),
                "{name} {code}"
            );
        }
    }
    for option in ["\\-\\-since", "\\-\\-limit", "\\-\\-payload", "\\-\\-json"] {
        assert!(page("epochwal-spool-cat").contains(option), "{option}");
    }
}

/// What a shell is to be given: the page's own text without its markup.
fn examples(page: &str) -> Vec<String> {
    let blocks = page.split(".EX\n").skip(1);
    let lines = blocks.map(|block| block.split("\n.EE").next().expect("an end"));
    lines
        .map(|line| line.replace("\\-", "-").replace("\\&", ""))
        .collect()
}

/// A page log of three batches, a spool of ten records, a slot.
fn some_logs(dir: &Path) {
    let db = dir.join("app.db");
    let small = Options {
        segment_size: 64 << 10,
        ..Options::default()
    };
    let wal = Coordinator::open(&db, &small).expect("open");
    for number in 1..=3 {
        let frames = [Frame {
            page_number: 1,
            db_size_if_commit: 1,
            data: &[7; 4096],
        }];
        let batch = Batch {
            txn_id: number,
            txn_epoch: 0,
            commit_seq: number,
            frames: &frames,
            metadata: b"",
        };
        wal.commit(&batch, None).expect("commit");
    }
    wal.close(None).expect("close");
    let small = SpoolOptions {
        segment_size: 64 << 10,
        ..SpoolOptions::default()
    };
    let primary = Primary::open(&db, &small, &PrimaryOptions::default());
    let primary = primary.expect("a primary");
    let records: Vec<_> = (1..=10)
        .map(|lsn| Record {
            term: 1,
            lsn,
            timestamp_ms: lsn,
            payload: b"payload",
        })
        .collect();
    let spool = primary.spool().expect("over a spool");
    spool.append(&records, None).expect("append");
    primary
        .slot_create("replica-1", Some(5), false)
        .expect("slot");
    primary.close().expect("close");
}

#[test]
fn each_page_has_examples_that_work_and_says_what_to_read_next() {
    let manual = tempfile::tempdir().expect("tempdir");
    assert!(
        tool(&["man", &manual.path().to_string_lossy()])
            .status
            .success()
    );
    let logs = tempfile::tempdir().expect("tempdir");
    some_logs(logs.path());
    let programs = Path::new(env!("CARGO_BIN_EXE_epochwal"))
        .parent()
        .expect("a folder");
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display());
    for entry in fs::read_dir(manual.path()).expect("list") {
        let name = entry
            .expect("entry")
            .file_name()
            .to_string_lossy()
            .into_owned();
        let page = fs::read_to_string(manual.path().join(&name)).expect("a page");
        let lines = examples(&page);
        assert!(!lines.is_empty(), "{name}");
        for line in lines {
            let dir = tempfile::tempdir().expect("tempdir");
            for entry in fs::read_dir(logs.path()).expect("list") {
                let entry = entry.expect("entry");
                fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("copy");
            }
            let shell = Command::new("/bin/sh")
                .args(["-c", &line])
                .current_dir(dir.path())
                .env("PATH", &path)
                .output()
                .expect("a shell");
            assert!(
                shell.status.success(),
                "{name}: {line}: {}",
                text(&shell.stderr)
            );
        }
        let others = page.split(".SH \"SEE ALSO\"").nth(1).expect("a section");
        let others = others.replace("\\-", "-");
        for other in others.split("\\fB").skip(1) {
            let other = other.split("\\fR").next().expect("an end");
            assert!(
                manual.path().join(format!("{other}.1")).exists(),
                "{name}: {other}"
            );
        }
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let missing = tool(&["man", "/nowhere/at/all"]);
    assert_eq!(missing.status.code(), Some(4));
    assert!(text(&missing.stderr).contains("/nowhere/at/all/epochwal-"));
}

/// The shell itself takes it, where that is installed.
fn check_syntax(shell: &str, script: &str) {
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join("script");
    fs::write(&file, script).expect("write");
    match Command::new(shell).arg("-n").arg(&file).output() {
        Ok(read) => assert!(read.status.success(), "{shell}: {}", text(&read.stderr)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{shell}"),
    }
}

#[test]
fn each_shell_gets_completions_with_all_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = tool(&["completions", shell]);
        assert!(script.status.success() && script.stderr.is_empty());
        let script = text(&script.stdout);
        for word in COMMANDS
            .iter()
            .chain(&["json", "since", "salvage", "export"])
        {
            assert!(script.contains(word), "{shell}: {word}");
        }
        check_syntax(shell, &script);
    }
    assert_eq!(tool(&["completions", "csh"]).status.code(), Some(64));
}

#[test]
fn bash_completes_commands_and_options() {
    if !Path::new("/bin/bash").exists() {
        return;
    }
    let complete = |words: &[&str]| {
        let current = words[words.len() - 1];
        let previous = words[words.len() - 2];
        let script = format!(
            "source <(\"$TOOL\" completions bash); COMP_WORDS=({}); COMP_CWORD={}; \
             _epochwal epochwal '{current}' '{previous}'; echo \"${{COMPREPLY[*]}}\"",
            words.join(" "),
            words.len() - 1,
        );
        let output = Command::new("/bin/bash")
            .args(["-c", &script])
            .env("TOOL", env!("CARGO_BIN_EXE_epochwal"))
            .output()
            .expect("bash starts");
        assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    };
    assert_eq!(complete(&["epochwal", "sp"]), "spool");
    assert_eq!(complete(&["epochwal", "slots", "dr"]), "drop");
    assert_eq!(complete(&["epochwal", "spool", "cat", "--si"]), "--since");
    assert_eq!(
        complete(&["epochwal", "spool", "cat", "--payload", "h"]),
        "hex"
    );
}
