//! `slots`: the slot store beside a spool, read from outside, or changed in its
//! primary's place.

use crate::advice;
use crate::args::{SlotArgs, SlotResetArgs, SlotsArgs, SlotsCommand, SlotsExportArgs};
use crate::exit::{Exit, Failure};
use crate::paint;
use crate::show::{self, extend};
use anstyle::Style;
use epochwal::primary::{Origin, Primary, PrimaryOptions, Slot, SlotReport, StoreKind};
use epochwal::spool::{SpoolOptions, SpoolReader};
use epochwal::{Error, ErrorKind};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;

pub fn run(command: &SlotsCommand, out: &mut impl Write) -> Result<Exit, Failure> {
    match command {
        SlotsCommand::List(args) => list(args, out),
        SlotsCommand::Show(args) => show_one(args, out),
        SlotsCommand::Drop(args) => drop_one(args, out),
        SlotsCommand::Reset(args) => reset(args, out),
        SlotsCommand::Export(args) => export(args, out),
        SlotsCommand::Salvage(args) => salvage(args, out),
    }
}

/// What lies beside a data file: a path that is spelled wrong has neither
/// spool nor slots.
fn look(db: &Path) -> Result<SlotReport, Failure> {
    let report = SlotReport::read(db).map_err(|e| advice::on_slots(db, e))?;
    match report.spool || report.store.is_some() {
        true => Ok(report),
        false => Err(Failure::missing(
            format!(
                "{0} has no spool and no slots: there is no {0}.logical.wal-state and no \
                 {0}.logical.slots",
                show::path(db)
            ),
            advice::DATA_FILE,
        )),
    }
}

/// The slot of a name.
fn find<'a>(report: &'a SlotReport, id: &str) -> Result<&'a Slot, Failure> {
    let found = report.slots.iter().find(|slot| slot.id == id);
    found.ok_or_else(|| {
        let ids: Vec<_> = report.slots.iter().map(|s| s.id.as_str()).collect();
        let there = match ids.len() {
            0 => "there are none: replicas make them when they register".to_owned(),
            n @ 1..=10 => format!("there are {n}: {}", ids.join(", ")),
            n => format!("there are {n}: {}, ...", ids[..10].join(", ")),
        };
        Failure::missing(format!("no slot {id:?}"), there)
    })
}

/// The valid slots that stand below an LSN, the lowest first.
pub fn below(db: &Path, lsn: u64) -> Result<Vec<Slot>, Failure> {
    let report = SlotReport::read(db).map_err(|e| advice::on_slots(db, e))?;
    let held = report.slots.into_iter();
    let mut held: Vec<_> = held
        .filter(|s| s.is_valid() && s.restart_lsn < lsn)
        .collect();
    held.sort_by(|a, b| (a.restart_lsn, &a.id).cmp(&(b.restart_lsn, &b.id)));
    Ok(held)
}

/// The end of the spool; none where it can't be read. What is read for it
/// begins at the slot that is closest to it.
fn current_lsn(db: &Path, report: &SlotReport) -> Option<u64> {
    let highest = report.slots.iter().map(|s| s.restart_lsn).max()?;
    let since = highest.max(report.pruned_through);
    let mut reader = SpoolReader::open(db, Some(since)).ok()?;
    match reader.read_to_end() {
        Ok(()) => Some(reader.report().current_lsn),
        Err(error) if error.kind() == ErrorKind::Ahead => error.lsn(),
        Err(_) => None,
    }
}

/// The slots and what is needed to judge them.
struct View<'a> {
    report: &'a SlotReport,
    current_lsn: Option<u64>,
}

impl View<'_> {
    /// How many LSNs a slot keeps.
    fn behind(&self, slot: &Slot) -> Option<u64> {
        Some(self.current_lsn?.saturating_sub(slot.restart_lsn))
    }

    /// Valid, why not, or lost: what it needs is pruned, and the next open of
    /// its primary gives it up.
    fn state(&self, slot: &Slot) -> &'static str {
        match slot.invalidation {
            Some(invalidation) => invalidation.cause.name(),
            None if slot.restart_lsn < self.report.pruned_through => "lost",
            None => "valid",
        }
    }

    fn style(&self, slot: &Slot) -> Style {
        match self.state(slot) {
            "valid" => paint::GOOD,
            _ => paint::BAD,
        }
    }

    fn slot_json(&self, slot: &Slot) -> Value {
        json!({
            "id": slot.id,
            "state": self.state(slot),
            "restart_lsn": slot.restart_lsn,
            "confirmed_lsn": slot.confirmed_lsn,
            "behind_lsns": self.behind(slot),
            "origin": origin(slot),
            "region": slot.region,
            "registered": slot.registered,
            "rebootstrapping": slot.rebootstrapping,
            "last_seen_ms": slot.last_seen_ms,
            "created_ms": slot.created_ms,
            "invalidated_at_ms": slot.invalidation.map(|i| i.at_ms),
        })
    }

    fn write_slot(&self, slot: &Slot, out: &mut impl Write) -> io::Result<()> {
        let yes = |yes| if yes { "yes" } else { "no" };
        let behind = self.behind(slot);
        let mut rows = [
            ["slot", &slot.id],
            ["state", self.state(slot)],
            ["restart LSN", &slot.restart_lsn.to_string()],
            ["confirmed LSN", &slot.confirmed_lsn.to_string()],
            ["LSNs behind", &or_unknown(behind)],
            ["place", origin(slot)],
            ["region", slot.region.as_deref().unwrap_or("none")],
            ["registered", yes(slot.registered)],
            ["rebootstrapping", yes(slot.rebootstrapping)],
            ["last seen", &show::utc(slot.last_seen_ms)],
            ["created", &show::utc(slot.created_ms)],
        ]
        .map(|row| row.map(str::to_owned).to_vec())
        .to_vec();
        if let Some(invalidation) = slot.invalidation {
            rows.push(vec!["invalidated".into(), show::utc(invalidation.at_ms)]);
        }
        let style = |row, column| match (row, column) {
            (1, 1) => self.style(slot),
            _ => Style::new(),
        };
        show::write_table(&rows, style, out)
    }
}

/// Who says where a slot stands.
fn origin(slot: &Slot) -> &'static str {
    match slot.origin {
        Origin::Pinned => "pinned",
        Origin::Given => "given",
        Origin::Acknowledged => "acknowledged",
    }
}

fn or_unknown(number: Option<u64>) -> String {
    number.map_or_else(|| "unknown".into(), |n| n.to_string())
}

fn list(args: &SlotsArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let report = look(&args.db)?;
    let view = View {
        current_lsn: current_lsn(&args.db, &report),
        report: &report,
    };
    let failure = failure(&args.db, &report);
    match args.json {
        true => writeln!(out, "{:#}", list_json(&args.db, &view, failure.as_ref()))?,
        false => write_list(&args.db, &view, out)?,
    }
    match failure {
        Some(failure) => Err(failure.told()),
        None => Ok(Exit::Clean),
    }
}

/// What is wrong with a store, of which as much is shown as can be read.
fn failure(db: &Path, report: &SlotReport) -> Option<Failure> {
    let error = report.error.clone();
    error.map(|error| advice::on_slots(db, error))
}

fn write_list(db: &Path, view: &View<'_>, out: &mut impl Write) -> io::Result<()> {
    let report = view.report;
    let place = match (&report.store, report.writer) {
        (Some((path, StoreKind::Json)), _) => format!(", in {}", show::path(path)),
        (_, true) => ", a writer has it open".to_owned(),
        _ => String::new(),
    };
    writeln!(
        out,
        "{}: {}, {}{place}",
        show::path(db),
        show::verdict(report.verdict),
        count(report.slots.len()),
    )?;
    write_floor(report.floor(), out)?;
    if report.quorum_lsn > 0 {
        writeln!(out, "quorum LSN {}", report.quorum_lsn)?;
    }
    if !report.slots.is_empty() {
        let titles = ["slot", "state", "restart", "behind", "last seen", "region"];
        let mut rows = vec![titles.map(str::to_owned).to_vec()];
        rows.extend(report.slots.iter().map(|slot| {
            vec![
                slot.id.clone(),
                view.state(slot).to_owned(),
                slot.restart_lsn.to_string(),
                or_unknown(view.behind(slot)),
                show::utc(slot.last_seen_ms),
                slot.region.clone().unwrap_or_default(),
            ]
        }));
        let style = |row: usize, column| match (row.checked_sub(1), column) {
            (None, _) => paint::TITLE,
            (Some(slot), 1) => view.style(&report.slots[slot]),
            _ => Style::new(),
        };
        show::write_table(&rows, style, out)?;
    }
    show::write_suspects(&report.suspects, out)
}

fn list_json(db: &Path, view: &View<'_>, failure: Option<&Failure>) -> Value {
    let report = view.report;
    let slots = report.slots.iter().map(|s| view.slot_json(s));
    json!({
        "database": show::path_text(db),
        "verdict": show::verdict_name(report.verdict),
        "store": report.store.as_ref().map(|(path, _)| show::path_text(path)),
        "format": report.store.as_ref().map(|(_, kind)| match kind {
            StoreKind::Native => "native",
            StoreKind::Json => "json",
        }),
        "writer": report.writer,
        "confirmed": !report.unconfirmed,
        "floor": report.floor(),
        "pruned_through": report.pruned_through,
        "current_lsn": view.current_lsn,
        "quorum_lsn": report.quorum_lsn,
        "slots": slots.collect::<Vec<_>>(),
        "suspects": show::suspects_json(&report.suspects),
        "error": failure.map(Failure::to_json),
    })
}

fn show_one(args: &SlotArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let report = look(&args.db)?;
    let view = View {
        current_lsn: current_lsn(&args.db, &report),
        report: &report,
    };
    // Of a damaged store more is said than that something is not in it.
    match (find(&report, &args.id), failure(&args.db, &report)) {
        (Ok(slot), failure) => {
            write_one(&args.db, &view, slot, args.json, out)?;
            failure.map_or(Ok(Exit::Clean), |failure| Err(failure.told()))
        }
        (Err(missing), failure) => Err(failure.unwrap_or(missing)),
    }
}

fn write_one(
    db: &Path,
    view: &View<'_>,
    slot: &Slot,
    in_json: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let report = view.report;
    if !in_json {
        view.write_slot(slot, out)?;
        return show::write_suspects(&report.suspects, out);
    }
    let mut document = json!({ "database": show::path_text(db) });
    extend(&mut document, view.slot_json(slot));
    let members = json!({
        "verdict": show::verdict_name(report.verdict),
        "suspects": show::suspects_json(&report.suspects),
        "error": failure(db, report).as_ref().map(Failure::to_json),
    });
    extend(&mut document, members);
    writeln!(out, "{document:#}")
}

fn export(args: &SlotsExportArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let report = look(&args.db)?;
    // Whoever reads an export takes it for all there is.
    if let Some(error) = report.error {
        return Err(advice::on_slots(&args.db, error));
    }
    // The output is the file.
    show::write_suspects(&report.suspects, &mut io::stderr())?;
    out.write_all(&report.export())?;
    Ok(Exit::Clean)
}

/// The slots of a spool whose primary is not running, for whoever is to
/// change them.
fn to_change(db: &Path) -> Result<SlotReport, Failure> {
    let report = look(db)?;
    if report.writer {
        let error = Error::new(ErrorKind::Locked, "a primary has the slots open");
        return Err(advice::on_slots(db, error));
    }
    match &report.store {
        Some((_, StoreKind::Native)) => Ok(report),
        Some((path, StoreKind::Json)) => Err(Failure::missing(
            format!(
                "the slots are in {}, which is other software's until a primary takes it in",
                show::path(path)
            ),
            "open one, or change the file",
        )),
        None => Err(Failure::missing(
            format!(
                "{} has no slots: no primary was ever opened over its spool",
                show::path(db)
            ),
            "open one, and let its replicas register",
        )),
    }
}

/// The primary in whose place slots are changed.
fn open(db: &Path, salvage: bool) -> Result<Primary, Failure> {
    let options = PrimaryOptions {
        salvage_slots: salvage,
        ..PrimaryOptions::default()
    };
    Primary::open(db, &SpoolOptions::default(), &options).map_err(|e| advice::on_slots(db, e))
}

fn drop_one(args: &SlotArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let report = to_change(&args.db)?;
    if let Some(error) = report.error {
        return Err(advice::on_slots(&args.db, error));
    }
    find(&report, &args.id)?;
    let primary = open(&args.db, false)?;
    primary
        .slot_drop(&args.id)
        .map_err(|e| advice::on_slots(&args.db, e))?;
    primary.close()?;
    let floor = look(&args.db)?.floor();
    if args.json {
        let document = json!({
            "database": show::path_text(&args.db),
            "dropped": args.id,
            "floor": floor,
        });
        writeln!(out, "{document:#}")?;
    } else {
        writeln!(out, "{}: dropped slot {}", show::path(&args.db), args.id)?;
        write_floor(floor, out)?;
    }
    Ok(Exit::Clean)
}

fn reset(args: &SlotResetArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let report = to_change(&args.db)?;
    if let Some(error) = report.error {
        return Err(advice::on_slots(&args.db, error));
    }
    find(&report, &args.id)?;
    let primary = open(&args.db, false)?;
    let bounds = primary.spool().map(|spool| spool.bounds());
    let (low, high) = bounds.map_or((0, 0), |b| (b.pruned_through, b.current_lsn));
    primary.slot_reset(&args.id, args.lsn.0).map_err(|error| {
        let (db, id) = (show::quoted(&args.db), show::quoted(Path::new(&args.id)));
        let advice = match error.kind() {
            ErrorKind::WalRemoved | ErrorKind::Ahead => {
                format!("it can be reset to LSN {low} up to {high}")
            }
            ErrorKind::Order => format!(
                "to set it back, drop it (`epochwal slots drop {db} {id}`) and let its replica \
                 register again"
            ),
            _ => return advice::on_slots(&args.db, error),
        };
        Failure::Advised(error, advice)
    })?;
    primary.close()?;
    let report = look(&args.db)?;
    let view = View {
        current_lsn: Some(high),
        report: &report,
    };
    let slot = find(&report, &args.id)?;
    write_one(&args.db, &view, slot, args.json, out)?;
    Ok(Exit::Clean)
}

fn salvage(args: &SlotsArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let before = to_change(&args.db)?;
    let aside = match &before.error {
        Some(_) if before.spool => {
            let primary = open(&args.db, true)?;
            let aside = primary.salvaged();
            primary.close()?;
            aside
        }
        // Slots without a spool are nobody's.
        Some(error) => return Err(advice::on_lone_slots(&args.db, error.clone())),
        None => None,
    };
    let report = look(&args.db)?;
    if args.json {
        let slots = report.slots.iter();
        let document = json!({
            "database": show::path_text(&args.db),
            "damaged": before.error.is_some(),
            "kept_aside": aside.as_deref().map(show::path_text),
            "slots": slots.map(|s| &s.id).collect::<Vec<_>>(),
            "floor": report.floor(),
            "suspects": show::suspects_json(&before.suspects),
        });
        writeln!(out, "{document:#}")?;
        return Ok(Exit::Clean);
    }
    show::write_suspects(&before.suspects, out)?;
    if let Some(path) = aside {
        writeln!(out, "copied aside: {}", show::path(&path))?;
    }
    let what = match before.error {
        Some(_) => "salvaged",
        None => "nothing is damaged",
    };
    let ids: Vec<_> = report.slots.iter().map(|s| s.id.as_str()).collect();
    writeln!(
        out,
        "{}: {what}, {}{}{}",
        show::path(&args.db),
        count(ids.len()),
        if ids.is_empty() { "" } else { ": " },
        ids.join(", "),
    )?;
    write_floor(report.floor(), out)?;
    Ok(Exit::Clean)
}

fn count(slots: usize) -> String {
    match slots {
        1 => "1 slot".to_owned(),
        n => format!("{n} slots"),
    }
}

fn write_floor(floor: Option<u64>, out: &mut impl Write) -> io::Result<()> {
    match floor {
        Some(floor) => writeln!(out, "no prune goes beyond LSN {floor}"),
        None => writeln!(out, "no slot holds a prune back"),
    }
}
