//! `epochwal`: looks at a log from the outside.
//!
//! Data goes to stdout, everything that went wrong to stderr, and the exit
//! code says which kind of trouble it was (see [`exit`]).

mod advice;
mod args;
mod bench;
mod cat;
mod chart;
mod examples;
mod exit;
mod html;
mod inspect;
mod manual;
mod paint;
mod progress;
mod recover;
mod salvage;
mod show;
mod slots;
mod spool;
mod stats;
mod timeline;
mod verify;

use args::{Cli, Command, Json};
use clap::Parser;
use exit::{Exit, Failure};
use serde_json::json;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            // Asking for help or the version is no mistake; clap knows which
            // of the two streams its text belongs to.
            let code = if answer.use_stderr() {
                Exit::Usage
            } else {
                Exit::Clean
            };
            let _ = answer.print();
            return code.into();
        }
    };
    run(cli.command, &mut BufWriter::new(io::stdout().lock())).into()
}

/// Runs one command and flushes what it wrote. A reader that has gone away
/// (`epochwal cat db | head`) ends the command quietly.
fn run(command: Command, out: &mut impl Write) -> Exit {
    let form = command.json();
    let result = match command {
        Command::Inspect(args) => inspect::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::Recover(args) => recover::run(&args, out),
        Command::Salvage(args) => salvage::run(&args, out),
        Command::Cat(args) => cat::run(&args, out),
        Command::Stats(args) => stats::run(&args, out),
        Command::Bench(args) => bench::run(&args, out),
        Command::Spool(command) => spool::run(&command, out),
        Command::Slots(command) => slots::run(&command, out),
        Command::Completions(args) => manual::completions(&args, out),
        Command::Man(args) => manual::write_pages(&args),
    };
    // What the command has found out stands, whoever still listens.
    let (code, failure) = match result {
        Ok(code) => (code, None),
        Err(Failure::Output(error)) if is_gone(&error) => return Exit::Clean,
        Err(failure) => (failure.exit(), Some(failure)),
    };
    let written = match &failure {
        // What was found before the failure is data all the same.
        Some(failure) => tell(failure, form, code, out).and_then(|()| out.flush()),
        None => out.flush(),
    };
    match (written, failure) {
        (Err(error), None) if !is_gone(&error) => complain(&Failure::Output(error)),
        (_, Some(failure)) => complain(&failure),
        (_, None) => code,
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// A failure for whoever reads JSON, unless the document has it already.
fn tell(failure: &Failure, form: Json, code: Exit, out: &mut impl Write) -> io::Result<()> {
    if matches!(failure, Failure::Told(_) | Failure::Output(_)) {
        return Ok(());
    }
    let document = json!({ "exit_code": code as u8, "error": failure.to_json() });
    match form {
        Json::No => Ok(()),
        Json::Document => writeln!(out, "{document:#}"),
        Json::Lines => writeln!(out, "{document}"),
    }
}

/// The same for people, on one line of standard error.
fn complain(failure: &Failure) -> Exit {
    let who = paint::on_stderr(paint::BAD, "epochwal:");
    let _ = writeln!(io::stderr(), "{who} {}", show::plain(&failure.to_string()));
    failure.exit()
}
