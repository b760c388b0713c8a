//! `inspect --html`: a log on one page that needs nothing else, no script and
//! no network.

use crate::chart::{self, Column, Fault, Timeline, escape, number};
use crate::exit::Failure;
use crate::progress::Log;
use crate::show::{self, hex};
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
        let range = |name, low: Option<u64>, high: Option<u64>| match (low, high) {
            (Some(low), Some(high)) => (name, format!("{low} to {high}")),
            _ => (name, none()),
        };
        let mut tiles = vec![
            ("segments", segments.len().to_string()),
            ("bytes", bytes.to_string()),
            ("in groups", used.to_string()),
            ("groups", data.len().to_string()),
            range(
                "epochs",
                data.first().map(|g| g.epoch),
                data.last().map(|g| g.epoch),
            ),
            (self.items(), items.to_string()),
        ];
        match self.kind {
            Log::Pages => {
                let pages: u64 = data.iter().map(|g| g.pages).sum();
                tiles.push(("frames", pages.to_string()));
            }
            Log::Records => tiles.push(range(
                "LSNs",
                data.iter().map(|g| g.commit_seq_low).min(),
                data.iter().map(|g| g.commit_seq_high).max(),
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
    }

    /// What to do about it.
    fn advice(&self, verdict: Verdict) -> String {
        let db = escape(&show::path_text(self.db));
        match (verdict, self.kind) {
            (Verdict::Clean, _) => String::new(),
            (Verdict::Torn, _) => {
                "What a crash left of something that was never acknowledged. The next open drops it."
                    .to_owned()
            }
            (Verdict::Corrupt, Log::Pages) => format!(
                "Something acknowledged is damaged. <code>epochwal recover --prefix {db} TARGET \
                 --page-size N</code> applies what lies before it; an open with salvage moves the \
                 rest aside."
            ),
            (Verdict::Corrupt, Log::Records) => format!(
                "Something acknowledged is damaged. <code>epochwal spool salvage {db}</code> moves \
                 it and all beyond it aside."
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
            "<p class=\"key\"><i class=\"even\"></i><i class=\"odd\"></i> groups \
             <i class=\"mark\"></i> mark <i class=\"room\"></i> room \
             <i class=\"torn\"></i> torn <i class=\"corrupt\"></i> corrupt \
             <i class=\"unread\"></i> not read; pale: let go by a checkpoint or a prune</p>\n",
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
            let epochs = match info.last_epoch {
                Some(last) => format!("epochs {} to {last}", info.first_epoch),
                None => format!("from epoch {}", info.first_epoch),
            };
            let _ = write!(
                page,
                "<figure><figcaption>{}: version {}, {} bytes, {epochs}, {} groups{}\
                 </figcaption>\n{}</figure>\n",
                escape(&file),
                info.version,
                info.bytes,
                segment.groups.len(),
                if info.checkpointed { ", let go" } else { "" },
                chart::segment(segment, &fault, most)
            );
        }
    }

    fn charts(&self, page: &mut String) {
        let data = self.data();
        let (Some(first), Some(last)) = (data.first(), data.last()) else {
            return;
        };
        let ends = (
            format!("epoch {}", first.epoch),
            format!("epoch {}", last.epoch),
        );
        let mut draw = |title: &str, columns: &[Column], unit: &str, ends: (&str, &str)| {
            let drawing = chart::columns(columns, unit, ends);
            let _ = writeln!(page, "<h2>{title}</h2>\n<figure>{drawing}</figure>");
        };
        let ends = (ends.0.as_str(), ends.1.as_str());
        let columns = chart::columns_of(&data, |g| g.length as f64);
        draw("Bytes of each epoch", &columns, "bytes", ends);
        let columns = chart::columns_of(&data, |g| g.items.into());
        let title = format!("{} of each epoch", capital(self.items()));
        draw(&title, &columns, self.items(), ends);
        if let Some(times) = &self.times
            && let Some((first, last)) = times.ends()
        {
            let ends = (first.as_str(), last.as_str());
            draw("Records over time", &times.columns(), "records", ends);
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
        let top = most.fold(1.0, f64::max);
        let _ = writeln!(
            page,
            "<p>Measured by <code>epochwal bench</code>, {} bytes each; from 1 us to {} us, on a \
             logarithmic scale: p50, p90, p99, p99.9, the longest.</p>",
            figure(&bench["size"]),
            number(top)
        );
        let parts = ["p50", "p90", "p99", "p999", "max"];
        for (name, run) in runs {
            let rate = match run["commits_per_second"].as_f64() {
                Some(rate) => rate,
                None => figure(&run["writes_per_second"]),
            };
            let points = parts.map(|part| (part.to_owned(), figure(&run["latency_us"][part])));
            let listed: Vec<_> = points
                .iter()
                .map(|(part, micros)| format!("{part} {}", number(*micros)))
                .collect();
            let _ = write!(
                page,
                "<figure><figcaption>{}: {} a second, us: {}</figcaption>\n{}</figure>\n",
                escape(&name),
                number(rate),
                listed.join(", "),
                chart::latencies(&points, top)
            );
        }
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
            "<details><summary>Groups{}</summary>\n<table class=\"numbers\">\n<tr><th>epoch</th>\
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
        page.push_str("</table>\n</details>\n");
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + chars.as_str()
    })
}

const STYLE: &str = "\
:root { color-scheme: light dark; --back: #fff; --text: #1b1f24; --faint: #667; --line: #d6dae0;
  --even: #2f6fb4; --odd: #6ea3d8; --mark: #555; --room: #eef0f3; --torn: #c98a00;
  --corrupt: #c8281e; --clean: #23803c; }
@media (prefers-color-scheme: dark) { :root { --back: #16181c; --text: #e4e6ea; --faint: #99a;
  --line: #3a3f47; --even: #4c8fd6; --odd: #2f5f94; --mark: #bbb; --room: #24282e;
  --torn: #e0a52a; --corrupt: #f0564a; --clean: #4fb56a; } }
body { background: var(--back); color: var(--text); font: 15px/1.5 sans-serif;
  margin: 2rem auto; max-width: 1000px; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
code { font-size: .9em; }
.badge { color: var(--back); border-radius: 3px; padding: .1em .5em; }
.badge.clean { background: var(--clean); } .badge.torn { background: var(--torn); }
.badge.corrupt { background: var(--corrupt); }
.tiles { display: flex; flex-wrap: wrap; gap: .5rem; list-style: none; padding: 0; }
.tiles li { border: 1px solid var(--line); border-radius: 4px; padding: .4rem .8rem; }
.tiles b { display: block; font-size: 1.1rem; }
.box { border: 2px solid; border-radius: 4px; margin: 1rem 0; padding: 0 1rem;
  overflow-wrap: anywhere; }
.box.torn { border-color: var(--torn); } .box.corrupt { border-color: var(--corrupt); }
.box.torn b { color: var(--torn); } .box.corrupt b { color: var(--corrupt); }
figure { margin: .6rem 0; } figcaption { color: var(--faint); font-size: .85rem; }
svg { display: block; width: 100%; }
svg.segment { height: 24px; } svg.dots { height: 20px; }
svg text { fill: var(--faint); font-size: 11px; } svg .right { text-anchor: end; }
svg line { stroke: var(--line); }
.even { fill: var(--even); background: var(--even); }
.odd { fill: var(--odd); background: var(--odd); }
.mark { fill: var(--mark); background: var(--mark); }
.room { fill: var(--room); background: var(--room); }
rect.torn, i.torn { fill: var(--torn); background: var(--torn); fill-opacity: .8; }
rect.corrupt, i.corrupt { fill: var(--corrupt); background: var(--corrupt); fill-opacity: .8; }
.unread { fill: var(--corrupt); fill-opacity: .25;
  background: color-mix(in srgb, var(--corrupt) 25%, transparent); }
.passed .group, .passed .mark { opacity: .35; }
.most { fill: var(--odd); opacity: .6; } .mean { fill: var(--even); }
circle { fill: var(--even); } circle.part3, circle.part4 { fill: var(--torn); }
.key { color: var(--faint); font-size: .85rem; }
.key i { border: 1px solid var(--line); display: inline-block; height: .8em; width: .8em; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { border-bottom: 1px solid var(--line); padding: .15rem .8rem .15rem 0; text-align: left; }
.numbers td, .numbers th { text-align: right; }
summary { cursor: pointer; font-size: 1.1rem; margin: 2rem 0 .5rem; }
";
