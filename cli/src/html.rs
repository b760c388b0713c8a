//! `inspect --html`: a log on one page that needs nothing else, no script and
//! no network.

use crate::chart::{self, Column, Fault, Lost, Unit, escape, number};
use crate::exit::Failure;
use crate::progress::Log;
use crate::show::{self, hex};
use crate::timeline::Timeline;
use epochwal::recovery::{GroupInfo, Inspection, Verdict};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// The most segments in the drawing, and groups in all of them.
const SEGMENTS_DRAWN: usize = 100;
const GROUPS_DRAWN: usize = 4000;
/// The most groups in the table; the newest are.
const GROUPS_LISTED: usize = 200;

/// What a page shows.
pub struct Page<'a> {
    pub db: &'a Path,
    pub kind: Log,
    pub log: &'a Inspection,
    /// When the records of a spool were made.
    pub times: Option<Timeline>,
    /// First and last LSN of a spool that can be read: what is pruned lies in its
    /// segments until they go.
    pub readable: Option<(u64, u64)>,
    /// First and last LSN of what salvages of a spool have lost.
    pub salvaged: Vec<(u64, u64)>,
    /// What `bench --json` has measured.
    pub bench: Option<Value>,
}

/// Refuses a file that could be one of a log.
pub fn check_name(file: &Path) -> Result<(), Failure> {
    match file.extension().and_then(|e| e.to_str()) {
        Some("html" | "htm") => Ok(()),
        _ => Err(Failure::Usage(
            format!("--html {}: is no name of a page", show::path(file)),
            "give one that ends in .html, so that nothing else is written over".to_owned(),
        )),
    }
}

/// What was measured, from a file that `bench --json` wrote.
pub fn read_bench(file: &Path) -> Result<Value, Failure> {
    let unusable = |why: String| {
        Failure::Usage(
            format!("--bench {}: {why}", show::path(file)),
            "give a file that `epochwal bench --json` wrote".to_owned(),
        )
    };
    let text = fs::read(file).map_err(|e| unusable(e.to_string()))?;
    let bench: Value = serde_json::from_slice(&text).map_err(|e| unusable(e.to_string()))?;
    match bench["disk"].is_object() && bench["commits"].is_array() {
        true => Ok(bench),
        false => Err(unusable("has no figures".to_owned())),
    }
}

impl Page<'_> {
    /// Writes it.
    pub fn write(&self, file: &Path) -> Result<(), Failure> {
        fs::write(file, self.text()).map_err(|e| Failure::File(file.to_path_buf(), e))
    }

    fn text(&self) -> String {
        let name = escape(&show::path_text(self.db));
        let (kind, verdict) = (self.name(), show::verdict_name(self.log.verdict));
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>{name}: {kind}, {verdict}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <h1>{name}</h1>\n<p>{kind} <span class=\"badge {verdict}\">{verdict}</span></p>\n"
        );
        self.tiles(&mut page);
        self.damage(&mut page);
        self.segments(&mut page);
        self.charts(&mut page);
        self.latencies(&mut page);
        self.state(&mut page);
        self.groups(&mut page);
        let version = env!("CARGO_PKG_VERSION");
        let _ = writeln!(page, "<footer>epochwal {version}</footer>");
        page + "</body>\n</html>\n"
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Log::Pages => "Page log",
            Log::Records => "Spool",
        }
    }

    fn items(&self) -> &'static str {
        match self.kind {
            Log::Pages => "batches",
            Log::Records => "records",
        }
    }

    fn item(&self) -> Unit {
        match self.kind {
            Log::Pages => Unit::Of("batch", "batches"),
            Log::Records => Unit::Of("record", "records"),
        }
    }

    /// The epochs behind the last that can be read, of a log that is corrupt.
    fn lost(&self) -> Option<Lost> {
        let next = self.log.state.as_ref()?.next_epoch;
        let last = self.log.last_epoch.unwrap_or(0);
        let epochs = next.checked_sub(last + 1).filter(|n| *n > 0)?;
        (self.log.verdict == Verdict::Corrupt).then(|| Lost {
            epochs,
            last: next - 1,
        })
    }

    /// Groups with items.
    fn data(&self) -> Vec<&GroupInfo> {
        let groups = self.log.segments.iter().flat_map(|s| &s.groups);
        groups.filter(|g| g.kind != "mark").collect()
    }

    fn tiles(&self, page: &mut String) {
        let segments = &self.log.segments;
        let bytes: u64 = segments.iter().map(|s| s.info.bytes).sum();
        let used: u64 = segments
            .iter()
            .flat_map(|s| &s.groups)
            .map(|g| g.length)
            .sum();
        let data = self.data();
        let items: u64 = data.iter().map(|g| u64::from(g.items)).sum();
        let none = || "none".to_owned();
        let count = |n: u64| number(n as f64);
        let range = |name, low: Option<u64>, high: Option<u64>| match (low, high) {
            (Some(low), Some(high)) => (name, format!("{} to {}", count(low), count(high))),
            _ => (name, none()),
        };
        let mut tiles = vec![
            ("segments", count(segments.len() as u64)),
            ("on the disk", chart::size(bytes as f64)),
            ("in groups", chart::size(used as f64)),
            ("groups", count(data.len() as u64)),
            range(
                "epochs",
                data.first().map(|g| g.epoch),
                data.last().map(|g| g.epoch),
            ),
            (self.items(), count(items)),
        ];
        match self.kind {
            Log::Pages => {
                let pages: u64 = data.iter().map(|g| g.pages).sum();
                tiles.push(("frames", count(pages)));
            }
            Log::Records => tiles.push(range(
                "readable LSNs",
                self.readable.map(|(first, _)| first),
                self.readable.map(|(_, last)| last),
            )),
        }
        page.push_str("<ul class=\"tiles\">\n");
        for (name, value) in tiles {
            let _ = writeln!(page, "<li><b>{value}</b> {name}</li>");
        }
        page.push_str("</ul>\n");
    }

    fn damage(&self, page: &mut String) {
        for suspect in &self.log.suspects {
            let name = show::verdict_name(suspect.verdict);
            let _ = writeln!(
                page,
                "<div class=\"box {name}\"><p><b>{name}</b> in {} at offset {}: {}</p>",
                escape(&show::path_text(&suspect.path)),
                suspect.offset,
                escape(&suspect.reason)
            );
            let _ = writeln!(page, "<p>{}</p></div>", self.advice(suspect.verdict));
        }
        for (first, last) in &self.salvaged {
            let [first, last] = [first, last].map(|lsn| number(*lsn as f64));
            let _ = writeln!(
                page,
                "<div class=\"box torn\"><p><b>lost in a salvage</b>: LSNs {first} to {last}. \
                 Whoever reads across them is told so.</p></div>"
            );
        }
    }

    /// What to do about it.
    fn advice(&self, verdict: Verdict) -> String {
        let db = escape(&show::quoted(self.db));
        match (verdict, self.kind) {
            (Verdict::Clean, _) => String::new(),
            (Verdict::Torn, _) => {
                "What a crash left of something that was never acknowledged. The next open drops it."
                    .to_owned()
            }
            (Verdict::Corrupt, Log::Pages) => format!(
                "Something acknowledged is damaged. <code>epochwal recover --prefix {db} TARGET \
                 --page-size N</code> applies what lies before it, <code>epochwal salvage \
                 {db}</code> moves the rest aside. Copy all of the log's files first."
            ),
            (Verdict::Corrupt, Log::Records) => format!(
                "Something acknowledged is damaged. <code>epochwal spool salvage {db}</code> moves \
                 it and all beyond it aside. Copy all of the log's files first."
            ),
        }
    }

    /// The segments to draw: the newest, or those around the damage.
    fn drawn(&self) -> Range<usize> {
        let segments = &self.log.segments;
        let is_suspect = |path: &Path| self.log.suspects.iter().any(|s| s.path == path);
        let suspect = segments.iter().position(|s| is_suspect(&s.info.path));
        let newest = segments.len().saturating_sub(SEGMENTS_DRAWN);
        let around = suspect.map_or(newest, |at| at.saturating_sub(SEGMENTS_DRAWN / 2));
        let start = newest.min(around);
        start..(start + SEGMENTS_DRAWN).min(segments.len())
    }

    fn segments(&self, page: &mut String) {
        page.push_str("<h2>Segments</h2>\n");
        if self.log.segments.is_empty() {
            page.push_str("<p>There are none.</p>\n");
            return;
        }
        page.push_str(
            "<p class=\"key\"><span><i class=\"even\"></i><i class=\"odd\"></i> groups</span> \
             <span><i class=\"mark\"></i> mark</span> <span><i class=\"room\"></i> room</span> \
             <span><i class=\"torn\"></i> torn</span> \
             <span><i class=\"corrupt\"></i> corrupt</span> \
             <span><i class=\"unread\"></i> not read</span> \
             <span>pale: let go by a checkpoint or a prune</span></p>\n",
        );
        let drawn = self.drawn();
        let left_out = self.log.segments.len() - drawn.len();
        if left_out > 0 {
            let _ = writeln!(
                page,
                "<p>{} of them are drawn, {left_out} are not.</p>",
                drawn.len()
            );
        }
        page.push_str("<div class=\"rows\">\n");
        let most = (GROUPS_DRAWN / drawn.len()).min(1000);
        let mut behind = false;
        for segment in &self.log.segments[drawn] {
            let info = &segment.info;
            let suspect = self.log.suspects.iter().find(|s| s.path == info.path);
            let fault = match suspect {
                Some(suspect) => Fault::From(suspect),
                None if behind => Fault::Unread,
                None => Fault::Nothing,
            };
            behind |= suspect.is_some_and(|s| s.verdict == Verdict::Corrupt);
            let file = info.path.file_name().unwrap_or_default().to_string_lossy();
            let epoch = |epoch: u64| number(epoch as f64);
            let first = epoch(info.first_epoch);
            let epochs = match info.last_epoch {
                Some(last) if last == info.first_epoch => format!("epoch {first}"),
                Some(last) => format!("epochs {first} to {}", epoch(last)),
                None => format!("from epoch {first}"),
            };
            let groups = Unit::Of("group", "groups").exact(segment.groups.len() as f64);
            let old = if info.version == 1 { ", version 1" } else { "" };
            let _ = write!(
                page,
                "<figure><figcaption title=\"{}\"><b>{epochs}</b>{old}, {}, {}{}\
                 </figcaption>\n{}</figure>\n",
                escape(&file),
                match fault {
                    Fault::Unread => "not read",
                    _ => &groups,
                },
                chart::size(info.bytes as f64),
                if info.checkpointed { ", let go" } else { "" },
                chart::segment(segment, &fault, most)
            );
        }
        page.push_str("</div>\n");
    }

    fn charts(&self, page: &mut String) {
        let data = self.data();
        let (Some(first), Some(last)) = (data.first(), data.last()) else {
            return;
        };
        let ends = (
            format!("epoch {}", number(first.epoch as f64)),
            format!("epoch {}", number(last.epoch as f64)),
        );
        let lost = self.lost();
        let ends = match &lost {
            Some(lost) => (ends.0, format!("epoch {}", number(lost.last as f64))),
            None => ends,
        };
        let mut draw = |title: &str, columns: &[Column], unit: Unit, ends, lost: Option<&Lost>| {
            let _ = writeln!(page, "<h2>{title}</h2>");
            let drawing = match same(columns) {
                Some(value) if columns.len() > 1 && lost.is_none() => {
                    format!("<p>{} in each of them.</p>", capital(&unit.exact(value)))
                }
                _ => format!(
                    "<figure>{}</figure>",
                    chart::columns(columns, unit, ends, lost)
                ),
            };
            let _ = writeln!(page, "{drawing}");
        };
        let ends = (ends.0.as_str(), ends.1.as_str());
        let columns = chart::columns_of(&data, |g| g.length as f64);
        draw(
            "Bytes of each epoch",
            &columns,
            Unit::Bytes,
            ends,
            lost.as_ref(),
        );
        let columns = chart::columns_of(&data, |g| g.items.into());
        let title = format!("{} of each epoch", capital(self.items()));
        draw(&title, &columns, self.item(), ends, lost.as_ref());
        if let Some(times) = &self.times
            && let Some((first, last)) = times.ends()
        {
            let ends = (first.as_str(), last.as_str());
            draw(
                "Records over time",
                &times.columns(),
                self.item(),
                ends,
                None,
            );
        }
    }

    fn latencies(&self, page: &mut String) {
        page.push_str("<h2>Latencies</h2>\n");
        let Some(bench) = &self.bench else {
            page.push_str(
                "<p>A log does not say how long its commits took. What <code>epochwal bench --json \
                 DIR</code> measures on its disk is shown here with <code>--bench FILE</code>.</p>\n",
            );
            return;
        };
        let figure = |value: &Value| value.as_f64().unwrap_or(0.0);
        let mut runs = vec![("write and sync".to_owned(), &bench["disk"])];
        for run in bench["commits"].as_array().into_iter().flatten() {
            let name = match run["threads"].as_u64() {
                Some(1) => "commit, 1 thread".to_owned(),
                threads => format!("commit, {} threads", threads.unwrap_or(0)),
            };
            runs.push((name, run));
        }
        let most = runs
            .iter()
            .map(|(_, run)| figure(&run["latency_us"]["max"]));
        let decades = chart::decades(most.fold(1.0, f64::max));
        let _ = write!(
            page,
            "<p>Measured by <code>epochwal bench</code>, {} each; the scale is logarithmic.</p>\n\
             <div class=\"wide\"><table class=\"numbers\">\n<tr><th></th><th>a second</th><th>p50</th>\
             <th>p90</th><th>p99</th><th>p99.9</th><th>longest</th>\
             <th class=\"scale\"><div>",
            chart::size(figure(&bench["size"]))
        );
        for (at, decade) in decades.iter().enumerate() {
            let part = 100 * at / (decades.len() - 1);
            let text = chart::duration(*decade);
            let _ = write!(page, "<span style=\"left:{part}%\">{text}</span>");
        }
        page.push_str("</div></th></tr>\n");
        let parts = ["p50", "p90", "p99", "p999", "max"];
        for (name, run) in runs {
            let rate = match run["commits_per_second"].as_f64() {
                Some(rate) => rate,
                None => figure(&run["writes_per_second"]),
            };
            let points = parts.map(|part| (part, figure(&run["latency_us"][part])));
            let cells = points.map(|(_, us)| format!("<td>{}</td>", chart::duration(us)));
            let _ = writeln!(
                page,
                "<tr><th>{name}</th><td>{}</td>{}<td class=\"scale\">{}</td></tr>",
                number(rate),
                cells.concat(),
                chart::latencies(&points, &decades)
            );
        }
        page.push_str("</table></div>\n");
    }

    fn state(&self, page: &mut String) {
        let Some(state) = &self.log.state else { return };
        let or_none = |n: Option<u64>| n.map_or_else(|| "none".into(), |n| n.to_string());
        let sequence = match self.kind {
            Log::Pages => "highest commit sequence",
            Log::Records => "highest LSN",
        };
        page.push_str("<h2>State file</h2>\n<table>\n");
        for (name, value) in [
            ("log identity", hex(&state.log_id)),
            (
                "closed",
                if state.clean { "cleanly" } else { "no" }.to_owned(),
            ),
            ("next epoch", state.next_epoch.to_string()),
            ("let go through epoch", or_none(state.floor)),
            ("watermark", state.watermark.to_string()),
            (sequence, state.highest_commit_seq.to_string()),
            ("newest generation", state.newest_generation.to_string()),
        ] {
            let _ = writeln!(page, "<tr><th>{name}</th><td>{value}</td></tr>");
        }
        page.push_str("</table>\n");
    }

    fn groups(&self, page: &mut String) {
        let groups: Vec<_> = self.log.segments.iter().flat_map(|s| &s.groups).collect();
        let left_out = groups.len().saturating_sub(GROUPS_LISTED);
        let _ = writeln!(
            page,
            "<details><summary>Groups{}</summary>\n<div class=\"wide\"><table class=\"numbers\">\n<tr><th>epoch</th>\
             <th>kind</th><th>offset</th><th>bytes</th><th>{}</th><th>sequences</th>\
             <th>watermark</th></tr>",
            match left_out {
                0 => String::new(),
                n => format!(", the newest {GROUPS_LISTED}; {n} older ones are not listed"),
            },
            self.items()
        );
        for group in &groups[left_out..] {
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{} to {}</td>\
                 <td>{}</td></tr>",
                group.epoch,
                group.kind,
                group.offset,
                group.length,
                group.items,
                group.commit_seq_low,
                group.commit_seq_high,
                group.watermark
            );
        }
        page.push_str("</table></div>\n</details>\n");
    }
}

/// The figure of all columns, where it is the same.
fn same(columns: &[Column]) -> Option<f64> {
    let first = columns.first()?.max;
    let is_first = |column: &Column| column.mean == first && column.max == first;
    columns.iter().all(is_first).then_some(first)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + chars.as_str()
    })
}

const STYLE: &str = include_str!("page.css");
