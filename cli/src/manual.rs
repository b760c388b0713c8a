//! What a packager installs beside the tool: manual pages and completions, both
//! made from the command line's own description.

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::examples::PAGES;
use crate::exit::{self, Exit, Failure};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// `completions`.
pub fn completions(args: &CompletionsArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    out.write_all(&script)?;
    Ok(Exit::Clean)
}

/// `man`.
pub fn write_pages(args: &ManArgs) -> Result<Exit, Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    pages(&command, &args.dir)?;
    Ok(Exit::Clean)
}

/// The page of a command, and those of the commands in it.
fn pages(command: &Command, dir: &Path) -> Result<(), Failure> {
    for inner in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        pages(inner, dir)?;
    }
    let man = Man::new(command.clone())
        .source(concat!("epochwal ", env!("CARGO_PKG_VERSION")))
        .manual("epochwal");
    let path = dir.join(man.get_filename());
    let page = page(command, &man)?;
    fs::write(&path, page).map_err(|e| Failure::File(path, e))
}

fn page(command: &Command, man: &Man) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let file = man.get_filename();
    rest(file.trim_end_matches(".1")).to_writer(&mut page)?;
    Ok(page)
}

const ENVIRONMENT: [(&str, &str); 2] = [
    ("NO_COLOR", "Where it is set and not empty: no colours."),
    (
        "CLICOLOR_FORCE",
        "Where it is set and not 0: colours also where the output is no terminal.",
    ),
];

/// What clap knows nothing of.
fn rest(name: &str) -> Roff {
    let mut rest = Roff::new();
    rest.control("SH", ["EXIT STATUS"]);
    for (exit, meaning) in exit::MEANINGS {
        rest.control("TP", ["4"]);
        rest.text([bold((exit as u8).to_string())]);
        rest.text([roman(meaning)]);
    }
    rest.control("PP", []);
    rest.text([roman(exit::REMARK)]);
    rest.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in ENVIRONMENT {
        rest.control("TP", []);
        rest.text([bold(name)]);
        rest.text([roman(meaning)]);
    }
    let entry = PAGES.iter().find(|(page, ..)| *page == name);
    let (_, examples, others) = entry.expect("an entry for each page");
    rest.control("SH", ["EXAMPLES"]);
    for (what, line) in *examples {
        rest.control("PP", []);
        rest.text([roman(*what)]);
        rest.control("PP", []);
        rest.control("RS", ["4"]);
        rest.control("EX", []);
        rest.text([roman(*line)]);
        rest.control("EE", []);
        rest.control("RE", []);
    }
    let parent = name.rsplit_once('-').map(|(parent, _)| parent);
    let mut pages: Vec<_> = parent.into_iter().chain(others.iter().copied()).collect();
    pages.sort_unstable();
    if let Some((last, pages)) = pages.split_last() {
        rest.control("SH", ["SEE ALSO"]);
        let mut line = Vec::new();
        for page in pages {
            line.extend([bold(*page), roman("(1), ")]);
        }
        rest.text([line, vec![bold(*last), roman("(1)")]].concat());
    }
    rest
}
