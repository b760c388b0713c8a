//! Writes `include/epochwal.h` from `src/ffi`, or compares it.
//!
//! cbindgen turns each file of the C ABI into declarations; this tool puts
//! them in the order of use, with prose before each section. It is run by
//! hand, `cargo run -p header`, and never by a build; `--check` writes nothing
//! and ends with 1 where the committed header is another.

mod sections;

use cbindgen::{Builder, Config, DocumentationStyle, Language, Style};
use sections::{BEGIN, END, SECTIONS, Section};
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let check = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => {
            eprintln!("usage: header [--check]");
            return ExitCode::from(2);
        }
    };
    match run(check) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("header: {e}");
            ExitCode::from(2)
        }
    }
}

/// False where the committed header differs.
fn run(check: bool) -> Result<bool, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("include/epochwal.h");
    let header = header(&root.join("src/ffi"))?.replace("@VERSION@", &version(&root)?);
    if !check {
        std::fs::create_dir_all(root.join("include"))?;
        std::fs::write(&path, header)?;
        return Ok(true);
    }
    let committed = std::fs::read_to_string(&path)?;
    if committed == header {
        return Ok(true);
    }
    let same = committed
        .lines()
        .zip(header.lines())
        .take_while(|(a, b)| a == b)
        .count();
    eprintln!(
        "include/epochwal.h is not what src/ffi says, from line {}:",
        same + 1
    );
    eprintln!("-{}", committed.lines().nth(same).unwrap_or(""));
    eprintln!("+{}", header.lines().nth(same).unwrap_or(""));
    eprintln!("write it anew with: cargo run -p header");
    Ok(false)
}

fn header(ffi: &Path) -> Result<String, Box<dyn Error>> {
    let mut out = String::from(BEGIN);
    for section in SECTIONS {
        out.push_str(&banner(section));
        for file in section.files {
            let text = declarations(&ffi.join(file)).map_err(|e| format!("{file}: {e}"))?;
            writeln!(out, "\n{}", tidy(&text, section).trim())?;
        }
    }
    out.push_str(END);
    Ok(out)
}

/// The crate's, from its manifest.
fn version(root: &Path) -> Result<String, Box<dyn Error>> {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml"))?;
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    Ok(version.ok_or("Cargo.toml names no version")?.to_owned())
}

fn banner(section: &Section) -> String {
    let rule = "=".repeat(74);
    let mut out = format!("\n/* {rule}\n * {}\n", section.title);
    if !section.prose.is_empty() {
        out.push_str(" *\n");
    }
    for line in section.prose.trim().lines() {
        out.push_str(format!(" * {line}").trim_end());
        out.push('\n');
    }
    let _ = writeln!(out, " * {rule} */");
    out
}

/// What one file of the ABI declares: constants, types, functions.
fn declarations(file: &PathBuf) -> Result<String, Box<dyn Error>> {
    let mut config = Config {
        language: Language::C,
        style: Style::Type,
        documentation_style: DocumentationStyle::C99,
        usize_is_size_t: true,
        no_includes: true,
        line_length: 80,
        ..Config::default()
    };
    // Types are shown where they stand, also those that no function of
    // their own file takes.
    config.export.include = types_in(&std::fs::read_to_string(file)?);
    let bindings = Builder::new()
        .with_config(config)
        .with_src(file)
        .generate()?;
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    Ok(String::from_utf8(bytes)?)
}

fn types_in(source: &str) -> Vec<String> {
    source
        .lines()
        .filter_map(|line| {
            let rest = line
                .strip_prefix("pub struct ")
                .or_else(|| line.strip_prefix("pub type "))?;
            let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric())?;
            rest.starts_with("ewal_").then(|| rest[..end].to_string())
        })
        .collect()
}

/// Negative constants in parentheses, and each struct followed by its
/// initialiser.
fn tidy(text: &str, section: &Section) -> String {
    let mut out = String::new();
    for line in text.lines() {
        match line
            .strip_prefix("#define ")
            .and_then(|d| d.split_once(" -"))
        {
            Some((name, digits)) => {
                let _ = writeln!(out, "#define {name} (-{digits})");
            }
            None => {
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
        for (name, define) in section.macros {
            if line == format!("}} {name};") {
                let _ = writeln!(out, "\n{define}");
            }
        }
    }
    out
}
