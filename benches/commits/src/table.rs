//! Tables for people.

use crate::report::{Cell, Row};

pub fn print_head(device: &str, against: &str, missing: &[String]) {
    println!("device: {device}");
    println!("ratios: to {against}, median of the rounds' ratios (least..greatest)");
    for arm in missing {
        println!("missing: {arm}");
    }
}

/// `a: 1 x 4096 bytes, 16 threads`
fn title(cell: &Cell) -> String {
    let shape = cell.shape;
    format!(
        "{}: {} x {} bytes, {} thread{}",
        shape.name,
        shape.frames,
        shape.bytes,
        cell.threads,
        if cell.threads == 1 { "" } else { "s" }
    )
}

pub fn print_cell(cell: &Cell) {
    println!("\n{}", title(cell));
    println!(
        "{:<14} {:>9} {:>18} {:>8} {:>8} {:>18} {:>7} {:>13} {:>13}",
        "arm",
        "commits/s",
        "ratio",
        "p50 us",
        "p99 us",
        "p99 ratio",
        "cpu us",
        "commits/group",
        "commits/flush"
    );
    for row in &cell.rows {
        print_row(row);
    }
}

fn print_row(row: &Row) {
    let optional = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.2}"));
    let ratio = |value: Option<turns::Spread>| value.map_or("-".into(), |r| r.to_string());
    println!(
        "{:<14} {:>9.0} {:>18} {:>8.1} {:>8.1} {:>18} {:>7.2} {:>13} {:>13}{}",
        row.arm,
        row.rate.median,
        ratio(row.ratio),
        row.p50_us,
        row.p99_us,
        ratio(row.p99_ratio),
        row.cpu_us,
        optional(row.commits_per_group),
        optional(row.flushes_per_commit.map(|f| 1.0 / f)),
        if row.unflushed { "  NOT FLUSHED" } else { "" }
    );
}

/// epochwal's ratios beside their goals, all cells together.
pub fn print_goals(cells: &[Cell]) {
    if cells.iter().all(|cell| cell.goals.is_empty()) {
        return;
    }
    println!("\nepochwal beside its goals");
    println!(
        "{:<32} {:<14} {:<24} {:>18}  {:<8} verdict",
        "cell", "arm", "against", "ratio", "goal"
    );
    for cell in cells {
        for judged in &cell.goals {
            println!(
                "{:<32} {:<14} {:<24} {:>18}  {:<8} {}",
                title(cell),
                judged.arm,
                format!("{}, {}", judged.against, judged.what),
                judged.ratio.to_string(),
                judged.goal.to_string(),
                judged.goal.judge(judged.ratio)
            );
        }
    }
}
