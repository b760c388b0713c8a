//! What is installed beside the tool: manual pages and completions.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const COMMANDS: [&str; 9] = [
    "inspect",
    "verify",
    "recover",
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

#[test]
fn a_folder_that_is_not_there_is_named() {
    let missing = tool(&["man", "/nowhere/at/all"]);
    assert_eq!(missing.status.code(), Some(4));
    assert!(text(&missing.stderr).contains("/nowhere/at/all/epochwal-"));
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
