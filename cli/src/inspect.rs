//! `inspect`: segments, groups, certificates, the state file.

use crate::advice;
use crate::args::InspectArgs;
use crate::exit::{Exit, Failure};
use crate::html::{self, Page};
use crate::progress::{Log, Progress};
use crate::show::{self, hex};
use epochwal::recovery::{self, GroupInfo, Inspection, SegmentInspection, StateInfo};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;

pub fn run(args: &InspectArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    advice::expect_pages(&args.db)?;
    if let Some(file) = &args.page.html {
        html::check_name(file)?;
    }
    let bench = args.page.bench.as_deref().map(html::read_bench);
    let bench = bench.transpose()?;
    let progress = Progress::reading(Log::Pages, &args.db, 1);
    let log = recovery::inspect_on(progress.disk(), &args.db)
        .map_err(|e| advice::on_pages(&args.db, e))?;
    progress.done();
    if let Some(file) = &args.page.html {
        let page = Page {
            db: &args.db,
            kind: Log::Pages,
            log: &log,
            times: None,
            readable: None,
            salvaged: Vec::new(),
            bench,
        };
        page.write(file)?;
    }
    match (args.json, &args.page.html) {
        (true, _) => writeln!(out, "{:#}", to_json(&args.db, &log))?,
        (false, Some(file)) => writeln!(out, "{}: written", show::path(file))?,
        (false, None) => write_text(&args.db, &log, out)?,
    }
    Ok(Exit::Clean)
}

fn write_text(db: &Path, log: &Inspection, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{}: {}, {} segments, last epoch {}",
        show::path(db),
        show::verdict(log.verdict),
        log.segments.len(),
        or_none(log.last_epoch)
    )?;
    if let Some(state) = &log.state {
        write_state(state, out)?;
    }
    for segment in &log.segments {
        write_segment(segment, out)?;
    }
    show::write_suspects(&log.suspects, out)
}

fn write_state(state: &StateInfo, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "state: log {}, {}",
        hex(&state.log_id),
        if state.clean {
            "closed cleanly"
        } else {
            "not closed"
        }
    )?;
    if let Some(id) = &state.database_id {
        writeln!(out, "  database id {}", hex(id))?;
    }
    writeln!(
        out,
        "  next epoch {} checkpointed {} watermark {} highest seq {}",
        state.next_epoch,
        or_none(state.floor),
        state.watermark,
        state.highest_commit_seq
    )?;
    writeln!(
        out,
        "  retired generation {} newest generation {}",
        state.retired_generation, state.newest_generation
    )
}

fn write_segment(segment: &SegmentInspection, out: &mut impl Write) -> io::Result<()> {
    let info = &segment.info;
    writeln!(
        out,
        "segment {} version {} bytes {} epochs {} to {}{}",
        show::path(&info.path),
        info.version,
        info.bytes,
        info.first_epoch,
        or_none(info.last_epoch),
        if info.checkpointed {
            " checkpointed"
        } else {
            ""
        }
    )?;
    for group in &segment.groups {
        write_group(group, out)?;
    }
    Ok(())
}

fn write_group(group: &GroupInfo, out: &mut impl Write) -> io::Result<()> {
    write!(
        out,
        "  {:>10} +{:<8} epoch {} {} after {} watermark {}",
        group.offset, group.length, group.epoch, group.kind, group.previous_epoch, group.watermark
    )?;
    if group.items > 0 {
        let lanes: Vec<String> = group
            .lanes
            .iter()
            .map(|(lane, items)| format!("{lane}:{items}"))
            .collect();
        write!(
            out,
            " items {} seq {}-{} pages {} db size {} lanes {}",
            group.items,
            group.commit_seq_low,
            group.commit_seq_high,
            group.pages,
            group.db_size,
            lanes.join(",")
        )?;
    }
    if group.assigned {
        write!(out, " assigned")?;
    }
    if group.fallback {
        write!(out, " fallback")?;
    }
    writeln!(out, " certificate {:08x}", group.checksum)
}

fn or_none(epoch: Option<u64>) -> String {
    epoch.map_or_else(|| "none".into(), |e| e.to_string())
}

fn to_json(db: &Path, log: &Inspection) -> Value {
    json!({
        "database": show::path_text(db),
        "verdict": show::verdict_name(log.verdict),
        "last_epoch": log.last_epoch,
        "state": log.state.as_ref().map(state_json),
        "segments": log.segments.iter().map(segment_json).collect::<Vec<_>>(),
        "suspects": show::suspects_json(&log.suspects),
    })
}

fn state_json(state: &StateInfo) -> Value {
    json!({
        "log_id": hex(&state.log_id),
        "database_id": state.database_id.as_ref().map(|id| hex(id)),
        "clean": state.clean,
        "next_epoch": state.next_epoch,
        "checkpoint_epoch": state.floor,
        "watermark": state.watermark,
        "highest_commit_seq": state.highest_commit_seq,
        "retired_generation": state.retired_generation,
        "newest_generation": state.newest_generation,
    })
}

fn segment_json(segment: &SegmentInspection) -> Value {
    let info = &segment.info;
    json!({
        "file": show::path_text(&info.path),
        "version": info.version,
        "bytes": info.bytes,
        "first_epoch": info.first_epoch,
        "last_epoch": info.last_epoch,
        "checkpointed": info.checkpointed,
        "groups": segment.groups.iter().map(group_json).collect::<Vec<_>>(),
    })
}

fn group_json(group: &GroupInfo) -> Value {
    json!({
        "epoch": group.epoch,
        "offset": group.offset,
        "length": group.length,
        "kind": group.kind,
        "items": group.items,
        "watermark": group.watermark,
        "previous_epoch": group.previous_epoch,
        "generation": group.generation,
        "certificate": {
            "commit_seq_low": group.commit_seq_low,
            "commit_seq_high": group.commit_seq_high,
            "pages": group.pages,
            "db_size": group.db_size,
            "lanes": group
                .lanes
                .iter()
                .map(|&(lane, items)| json!({"lane": lane, "items": items}))
                .collect::<Vec<_>>(),
            "lane_count": group.lane_count,
            "assigned": group.assigned,
            "fallback": group.fallback,
            "checksum": group.checksum,
        },
    })
}
