//! `stats`: the figures of both logs of a data file, as they lie on the disk.

use crate::advice;
use crate::args::StatsArgs;
use crate::exit::{Exit, Failure};
use crate::progress::{Log, Progress};
use crate::show::{self, extend};
use epochwal::ErrorKind;
use epochwal::recovery::{self, Inspection};
use epochwal::spool::{SpoolReader, SpoolReport};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;

pub fn run(args: &StatsArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let pages = pages(&args.db)?;
    let records = records(&args.db)?;
    if pages.is_none() && records.is_none() {
        let what = format!(
            "{0} has no log: there is neither {0}-wal-state nor {0}.logical.wal-state",
            show::path(&args.db)
        );
        return Err(Failure::missing(what, advice::DATA_FILE));
    }
    if args.json {
        let document = json!({
            "database": show::path_text(&args.db),
            "pages": pages.as_ref().map(|(log, figures)| log_json(log, figures, Log::Pages)),
            "spool": records.as_ref().map(|found| found.to_json()),
        });
        writeln!(out, "{document:#}")?;
        return Ok(Exit::Clean);
    }
    if let Some((log, figures)) = &pages {
        let title = format!("{}: page log,", show::path(&args.db));
        write_log(&title, log, figures, Log::Pages, out)?;
        writeln!(out, "  frames            {}", figures.pages)?;
    }
    if let Some(found) = &records {
        let title = format!("{}: spool,", show::path(&args.db));
        write_log(&title, &found.log, &found.figures, Log::Records, out)?;
        found.write(out)?;
    }
    Ok(Exit::Clean)
}

/// What a log adds up to.
#[derive(Default)]
struct Figures {
    bytes: u64,
    /// In groups; the rest is room.
    used: u64,
    /// In segments that a checkpoint or a prune has passed.
    passed: u64,
    first_epoch: Option<u64>,
    last_epoch: Option<u64>,
    marks: u64,
    items: u64,
    pages: u64,
    /// Bytes of each group with items, ascending.
    sizes: Vec<u64>,
    /// Items of each, ascending.
    counts: Vec<u64>,
}

impl Figures {
    fn of(log: &Inspection) -> Figures {
        let mut figures = Figures::default();
        for segment in &log.segments {
            figures.bytes += segment.info.bytes;
            if segment.info.checkpointed {
                figures.passed += segment.info.bytes;
            }
            for group in &segment.groups {
                figures.used += group.length;
                if group.kind == "mark" {
                    figures.marks += 1;
                    continue;
                }
                figures.first_epoch.get_or_insert(group.epoch);
                figures.last_epoch = Some(group.epoch);
                figures.items += u64::from(group.items);
                figures.pages += group.pages;
                figures.sizes.push(group.length);
                figures.counts.push(group.items.into());
            }
        }
        figures.sizes.sort_unstable();
        figures.counts.sort_unstable();
        figures
    }
}

/// Mean, percentiles and the highest of ascending numbers.
struct Spread {
    mean: f64,
    median: u64,
    p99: u64,
    max: u64,
}

impl Spread {
    /// None of none.
    fn of(sorted: &[u64]) -> Option<Spread> {
        let max = *sorted.last()?;
        // The lowest number that so much of them is not above.
        let at = |part: f64| {
            let rank = (part * sorted.len() as f64).ceil() as usize;
            sorted[rank.clamp(1, sorted.len()) - 1]
        };
        Some(Spread {
            mean: sorted.iter().sum::<u64>() as f64 / sorted.len() as f64,
            median: at(0.5),
            p99: at(0.99),
            max,
        })
    }

    fn to_json(&self) -> Value {
        json!({
            "mean": self.mean,
            "median": self.median,
            "p99": self.p99,
            "max": self.max,
        })
    }

    fn to_text(&self) -> String {
        format!(
            "mean {:.1} median {} p99 {} max {}",
            self.mean, self.median, self.p99, self.max
        )
    }
}

fn pages(db: &Path) -> Result<Option<(Inspection, Figures)>, Failure> {
    let progress = Progress::reading(Log::Pages, db, 1);
    let log = recovery::inspect_on(progress.disk(), db).map_err(|e| advice::on_pages(db, e))?;
    progress.done();
    let there = log.state.is_some() || !log.segments.is_empty();
    let figures = Figures::of(&log);
    Ok(there.then_some((log, figures)))
}

/// A spool, and what only reading its records tells.
struct Records {
    log: Inspection,
    figures: Figures,
    report: SpoolReport,
}

fn records(db: &Path) -> Result<Option<Records>, Failure> {
    let progress = Progress::reading(Log::Records, db, 2);
    let advised = |error| advice::on_spool(db, error);
    let log = recovery::inspect_spool_on(progress.disk(), db).map_err(advised)?;
    if log.state.is_none() {
        return Ok(None);
    }
    let mut reader = SpoolReader::open_on(progress.disk(), db, None).map_err(advised)?;
    match reader.read_to_end() {
        // The verdict is shown, and what lies before the damage.
        Err(error) if error.kind() != ErrorKind::Corrupt => return Err(advised(error)),
        Ok(()) | Err(_) => {}
    }
    progress.done();
    Ok(Some(Records {
        figures: Figures::of(&log),
        log,
        report: reader.report().clone(),
    }))
}

impl Records {
    /// Records that a later term has cut off.
    fn cut_off(&self) -> u64 {
        self.report.segments.iter().map(|s| s.dead).sum()
    }

    fn mean_payload(&self) -> Option<f64> {
        let records = self.report.records;
        (records > 0).then(|| self.report.payload_bytes as f64 / records as f64)
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let report = &self.report;
        writeln!(
            out,
            "  readable          {} records, LSN {} to {}",
            report.records,
            show::or_none(report.first_lsn),
            show::or_none(report.last_lsn),
        )?;
        writeln!(out, "  payload bytes     {}", report.payload_bytes)?;
        if let Some(mean) = self.mean_payload() {
            writeln!(out, "  mean payload      {mean:.1}")?;
        }
        writeln!(
            out,
            "  pruned through    {}",
            show::or_none(report.pruned_through)
        )?;
        writeln!(out, "  cut off           {} records", self.cut_off())?;
        writeln!(out, "  terms             {}", report.terms.entries().len())
    }

    fn to_json(&self) -> Value {
        let report = &self.report;
        let mut document = log_json(&self.log, &self.figures, Log::Records);
        let members = json!({
            "readable_records": report.records,
            "payload_bytes": report.payload_bytes,
            "mean_payload": self.mean_payload(),
            "first_lsn": report.first_lsn,
            "last_lsn": report.last_lsn,
            "pruned_through": report.pruned_through,
            "cut_off_records": self.cut_off(),
            "terms": report.terms.entries().len(),
        });
        extend(&mut document, members);
        document
    }
}

fn write_log(
    title: &str,
    log: &Inspection,
    figures: &Figures,
    kind: Log,
    out: &mut impl Write,
) -> io::Result<()> {
    let items = match kind {
        Log::Pages => "batches",
        Log::Records => "records",
    };
    let spread = |numbers: &[u64]| {
        Spread::of(numbers).map_or_else(|| "none".to_owned(), |spread| spread.to_text())
    };
    let epoch = |epoch: Option<u64>| epoch.map_or_else(|| "none".to_owned(), |e| e.to_string());
    writeln!(out, "{title} {}", show::verdict(log.verdict))?;
    writeln!(out, "  segments          {}", log.segments.len())?;
    writeln!(
        out,
        "  bytes             {}, {} of them in groups",
        figures.bytes, figures.used
    )?;
    writeln!(out, "  bytes let go      {}", figures.passed)?;
    writeln!(
        out,
        "  epochs            {} to {}",
        epoch(figures.first_epoch),
        epoch(figures.last_epoch)
    )?;
    writeln!(out, "  groups            {}", figures.sizes.len())?;
    writeln!(out, "  marks             {}", figures.marks)?;
    writeln!(out, "  group bytes       {}", spread(&figures.sizes))?;
    let per_group = format!("{items} per group");
    writeln!(out, "  {per_group:<17} {}", spread(&figures.counts))?;
    writeln!(out, "  {items:<17} {}", figures.items)
}

fn log_json(log: &Inspection, figures: &Figures, kind: Log) -> Value {
    let spread = |numbers: &[u64]| Spread::of(numbers).map(|spread| spread.to_json());
    let per_group = spread(&figures.counts);
    let mut document = json!({
        "verdict": show::verdict_name(log.verdict),
        "segments": log.segments.len(),
        "bytes": figures.bytes,
        "bytes_in_groups": figures.used,
        "bytes_let_go": figures.passed,
        "first_epoch": figures.first_epoch,
        "last_epoch": figures.last_epoch,
        "groups": figures.sizes.len(),
        "marks": figures.marks,
        "group_bytes": spread(&figures.sizes),
    });
    let members = match kind {
        Log::Pages => json!({
            "batches": figures.items,
            "batches_per_group": per_group,
            "frames": figures.pages,
        }),
        Log::Records => json!({ "records": figures.items, "records_per_group": per_group }),
    };
    extend(&mut document, members);
    let members = json!({ "suspects": show::suspects_json(&log.suspects) });
    extend(&mut document, members);
    document
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn percentiles_are_numbers_that_are_there() {
        assert!(Spread::of(&[]).is_none());
        let one = Spread::of(&[7]).expect("one");
        assert_eq!((one.median, one.p99, one.max), (7, 7, 7));
        let hundred: Vec<u64> = (1..=100).collect();
        let spread = Spread::of(&hundred).expect("some");
        assert_eq!((spread.median, spread.p99, spread.max), (50, 99, 100));
        assert_eq!(spread.mean, 50.5);
        let two = Spread::of(&[1, 9]).expect("two");
        assert_eq!((two.median, two.p99), (1, 9));
    }
}
