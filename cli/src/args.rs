//! The command line.

use crate::exit;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::num::ParseIntError;
use std::path::PathBuf;
use std::str::FromStr;

/// Looks at the log of a database: what is in it, whether it is whole, and
/// what recovery makes of it.
///
/// DB is the database's path; the log lies beside it as DB-wal-*. The
/// database file itself is not opened, but by `recover` where it is the target.
#[derive(Debug, Parser)]
#[command(name = "epochwal", version, after_help = exit::help())]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show segments, their groups and certificates, and the state file
    #[command(after_help = exit::help())]
    Inspect(InspectArgs),
    /// Read and check everything; the exit code is the verdict
    #[command(after_help = exit::help())]
    Verify(VerifyArgs),
    /// Apply the log to a database file, and sync it
    #[command(after_help = exit::help())]
    Recover(RecoverArgs),
    /// Move what is damaged, and all beyond it, aside; needs the writer's lock
    #[command(after_help = exit::help())]
    Salvage(SalvageArgs),
    /// Print the recovered batches in replay order
    #[command(after_help = exit::help())]
    Cat(CatArgs),
    /// Show the figures of the page log and of the spool as they lie on the disk
    #[command(after_help = exit::help())]
    Stats(StatsArgs),
    /// Measure durable commits on a disk, beside what it gives without a log
    #[command(after_help = exit::help())]
    Bench(BenchArgs),
    /// The log of records beside the page log: DB.logical.wal-*
    #[command(subcommand, after_help = exit::help())]
    Spool(SpoolCommand),
    /// The slots of a primary beside its spool: DB.logical.slots
    #[command(subcommand, after_help = exit::help())]
    Slots(SlotsCommand),
    /// Print a shell's completion script
    #[command(after_help = exit::help())]
    Completions(CompletionsArgs),
    /// Write the manual, a page for each command, into a folder
    #[command(hide = true, after_help = exit::help())]
    Man(ManArgs),
}

/// How a command's output is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    /// As text, or it is data.
    No,
    /// One document.
    Document,
    /// One object a line.
    Lines,
}

impl Command {
    /// Which it was asked for.
    pub fn json(&self) -> Json {
        use {SlotsCommand as Slots, SpoolCommand as Spool};
        let (asked, form) = match self {
            Command::Inspect(args) => (args.json, Json::Document),
            Command::Verify(args) => (args.json, Json::Document),
            Command::Recover(args) => (args.json, Json::Document),
            Command::Salvage(args) => (args.json, Json::Document),
            Command::Cat(args) => (args.json, Json::Lines),
            Command::Stats(args) => (args.json, Json::Document),
            Command::Bench(args) => (args.json, Json::Document),
            Command::Spool(Spool::Inspect(args)) => (args.spool.json, Json::Document),
            Command::Spool(Spool::Cat(args)) => (args.json, Json::Lines),
            Command::Spool(Spool::Verify(args) | Spool::Salvage(args)) => {
                (args.json, Json::Document)
            }
            Command::Spool(Spool::Prune(args)) => (args.json, Json::Document),
            Command::Spool(Spool::Export(args)) => (args.json, Json::Document),
            Command::Slots(Slots::List(args) | Slots::Salvage(args)) => (args.json, Json::Document),
            Command::Slots(Slots::Show(args) | Slots::Drop(args)) => (args.json, Json::Document),
            Command::Slots(Slots::Reset(args)) => (args.json, Json::Document),
            // Its output is a file of other software, which must not take
            // anything else for it.
            Command::Slots(Slots::Export(_)) => (false, Json::No),
            Command::Completions(_) | Command::Man(_) => (false, Json::No),
        };
        if asked { form } else { Json::No }
    }
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// For which shell
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder, which must be there
    pub dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum SpoolCommand {
    /// Show bounds, terms and segments
    #[command(after_help = exit::help())]
    Inspect(SpoolInspectArgs),
    /// Print the records, oldest first
    #[command(after_help = exit::help())]
    Cat(SpoolCatArgs),
    /// Read and check everything; the exit code is the verdict
    #[command(after_help = exit::help())]
    Verify(SpoolArgs),
    /// Move what is damaged, and all beyond it, aside; needs the writer's lock
    #[command(after_help = exit::help())]
    Salvage(SpoolArgs),
    /// Let records go; needs the writer's lock
    #[command(after_help = exit::help())]
    Prune(SpoolPruneArgs),
    /// Write records to a new RDLW file, for software that reads those
    #[command(after_help = exit::help())]
    Export(SpoolExportArgs),
}

#[derive(Debug, Subcommand)]
pub enum SlotsCommand {
    /// Show all slots, and how far they let a prune go
    #[command(after_help = exit::help())]
    List(SlotsArgs),
    /// Show one slot
    #[command(after_help = exit::help())]
    Show(SlotArgs),
    /// Drop a slot: it holds nothing back any more; needs the writer's lock
    #[command(after_help = exit::help())]
    Drop(SlotArgs),
    /// Revive a slot whose replica was loaded anew; needs the writer's lock
    #[command(after_help = exit::help())]
    Reset(SlotResetArgs),
    /// Print the slots as the JSON file that other software reads
    #[command(after_help = exit::help())]
    Export(SlotsExportArgs),
    /// Go on with what can be read of a damaged store, which is kept aside;
    /// needs the writer's lock
    #[command(after_help = exit::help())]
    Salvage(SlotsArgs),
}

#[derive(Debug, Args)]
pub struct SlotsArgs {
    /// Path of the data file that the spool belongs to
    pub db: PathBuf,
    /// One JSON document; numbers are exact integers
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SlotArgs {
    /// Path of the data file that the spool belongs to
    pub db: PathBuf,
    /// The slot's name
    pub id: String,
    /// One JSON document; numbers are exact integers
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SlotResetArgs {
    /// Path of the data file that the spool belongs to
    pub db: PathBuf,
    /// The slot's name
    pub id: String,
    /// What its replica has now: records above it are kept for it. "end": all
    /// there are
    pub lsn: Place,
    /// One JSON document; numbers are exact integers
    #[arg(long)]
    pub json: bool,
}

/// An LSN, or the end of the log.
#[derive(Clone, Copy, Debug)]
pub struct Place(pub Option<u64>);

impl FromStr for Place {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Place, ParseIntError> {
        match text {
            "end" => Ok(Place(None)),
            number => number.parse().map(|lsn| Place(Some(lsn))),
        }
    }
}

#[derive(Debug, Args)]
pub struct SlotsExportArgs {
    /// Path of the data file that the spool belongs to
    pub db: PathBuf,
    /// Changes nothing: it is JSON either way
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SpoolArgs {
    /// Path of the data file that the spool belongs to
    pub db: PathBuf,
    /// One JSON document; numbers are exact integers
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SpoolCatArgs {
    /// Path of the data file that the spool belongs to
    pub db: PathBuf,
    /// Only records above this LSN
    #[arg(long, value_name = "LSN")]
    pub since: Option<u64>,
    /// At most so many records; the log is not read beyond them
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// How payloads are shown; raw: the payloads alone, one behind the other.
    /// Without it: escaped, and hex in JSON
    #[arg(long, value_name = "FORM")]
    pub payload: Option<PayloadForm>,
    /// One JSON object per record and line
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PayloadForm {
    Hex,
    Escaped,
    Raw,
}

#[derive(Debug, Args)]
pub struct SpoolPruneArgs {
    /// Path of the data file that the spool belongs to
    pub db: PathBuf,
    /// Records at or below it go
    pub lsn: u64,
    /// One JSON document; numbers are exact integers
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SpoolExportArgs {
    /// Path of the data file that the spool belongs to
    pub db: PathBuf,
    /// The file to write; one that is there is never replaced
    pub file: PathBuf,
    /// Only records above this LSN
    #[arg(long, value_name = "LSN")]
    pub since: Option<u64>,
    /// One JSON document; numbers are exact integers
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Path of the database
    pub db: PathBuf,
    /// One JSON document; numbers are exact integers
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub page: PageArgs,
}

#[derive(Debug, Args)]
pub struct PageArgs {
    /// Draw the log on one page that needs nothing else, for a browser
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// On it also the latencies that `bench --json` has measured and this file has
    #[arg(long, value_name = "FILE", requires = "html")]
    pub bench: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SpoolInspectArgs {
    #[command(flatten)]
    pub spool: SpoolArgs,
    #[command(flatten)]
    pub page: PageArgs,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Path of the database
    pub db: PathBuf,
    /// One JSON document; numbers are exact integers
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Path of the data file
    pub db: PathBuf,
    /// One JSON document; numbers are exact integers, but for means
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// A folder on the disk; what is written goes to a folder in it, and is
    /// removed
    pub dir: PathBuf,
    /// How many threads commit, one run each
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,16",
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Vec<u32>,
    /// Bytes of the page that each commit writes
    #[arg(long, value_name = "BYTES", default_value_t = 4096,
          value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub size: u32,
    /// How long each run takes
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = seconds)]
    pub seconds: f64,
    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "is no number".to_owned())?;
    match (0.01..=3600.0).contains(&seconds) {
        true => Ok(seconds),
        false => Err("is not within 0.01 and 3600".to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// Path of the database whose log is read
    pub db: PathBuf,
    /// The file to apply it to, which may be DB. Where it is missing it is made,
    /// unless the log has no pages: then nothing is touched
    pub target: PathBuf,
    /// Bytes per page: page n is at offset (n-1) x N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub page_size: u32,
    /// On a corrupt log, apply what lies before the damage instead of failing;
    /// deletes nothing
    #[arg(long, conflicts_with = "delete_segments")]
    pub prefix: bool,
    /// Delete the log's segments once the target is synced; needs the
    /// writer's lock
    #[arg(long)]
    pub delete_segments: bool,
    /// One JSON document; numbers are exact integers
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SalvageArgs {
    /// Path of the database
    pub db: PathBuf,
    /// One JSON document; numbers are exact integers
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct CatArgs {
    /// Path of the database
    pub db: PathBuf,
    /// Only this epoch; the log is not read beyond it
    #[arg(long, value_name = "N")]
    pub epoch: Option<u64>,
    /// On a corrupt log, print what lies before the damage and exit 0
    #[arg(long)]
    pub prefix: bool,
    /// One JSON object per batch and line; page images by length and CRC-32C
    #[arg(long, conflicts_with = "raw")]
    pub json: bool,
    /// The frames as a binary dump, integers u32 little-endian: per batch the
    /// number of frames, per frame page number, database size after the
    /// commit (0 where the frame commits nothing), length, bytes
    #[arg(long)]
    pub raw: bool,
}
