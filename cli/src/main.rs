//! `epochwal`: looks at a log from the outside.
//!
//! Data goes to stdout, everything that went wrong to stderr, and the exit
//! code says which kind of trouble it was (see [`exit`]).

mod advice;
mod args;
mod bench;
mod cat;
mod chart;
mod exit;
mod html;
mod inspect;
mod manual;
mod paint;
mod progress;
mod recover;
mod show;
mod slots;
mod spool;
mod stats;
mod verify;

use args::{Cli, Command};
use clap::Parser;
use exit::{Exit, Failure};
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
    let result = match command {
        Command::Inspect(args) => inspect::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::Recover(args) => recover::run(&args, out),
        Command::Cat(args) => cat::run(&args, out),
        Command::Stats(args) => stats::run(&args, out),
        Command::Bench(args) => bench::run(&args, out),
        Command::Spool(command) => spool::run(&command, out),
        Command::Slots(command) => slots::run(&command, out),
        Command::Completions(args) => manual::completions(&args, out),
        Command::Man(args) => manual::write_pages(&args),
    };
    let result = result.and_then(|code| {
        out.flush()?;
        Ok(code)
    });
    match result {
        Ok(code) => code,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Clean,
        Err(failure) => {
            // What was found before the failure is data all the same.
            let _ = out.flush();
            let who = paint::on_stderr(paint::BAD, "epochwal:");
            let _ = writeln!(io::stderr(), "{who} {failure}");
            failure.exit()
        }
    }
}
