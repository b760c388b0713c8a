//! Throughput and p99 over threads: a column of panels for each shape, a line
//! for each arm.

use crate::arms::Kind;
use crate::report::{Cell, Row};
use crate::shape::Shape;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;
use turns::text;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const PANEL: (u32, u32) = (440, 320);
/// An arm's place in the legend.
const LABEL: (u32, u32) = (130, 22);
const FONT: &str = "sans-serif";
/// Told apart by people who see few colours, too (Okabe and Ito's, and grey).
const RIVALS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(150, 130, 0),
    RGBColor(120, 80, 50),
];
const LIMITS: [RGBColor; 3] = [
    RGBColor(190, 190, 190),
    RGBColor(140, 140, 140),
    RGBColor(70, 70, 70),
];
const EPOCHWAL: [RGBColor; 2] = [RGBColor(213, 0, 0), RGBColor(255, 128, 112)];

/// A figure of an arm in a cell.
struct Figure {
    title: &'static str,
    of: fn(&Row) -> f64,
}

const FIGURES: [Figure; 2] = [
    Figure {
        title: "commits/s",
        of: |row| row.rate.median,
    },
    Figure {
        title: "p99, us",
        of: |row| row.p99_us,
    },
];

/// An arm's line.
struct Line {
    arm: &'static str,
    style: ShapeStyle,
}

pub fn draw(file: &Path, cells: &[Cell]) -> Result<(), String> {
    let mut shapes: Vec<Shape> = Vec::new();
    for cell in cells {
        if shapes.iter().all(|shape| shape.name != cell.shape.name) {
            shapes.push(cell.shape);
        }
    }
    let lines = lines(cells);
    let panels = (FIGURES.len(), shapes.len());
    let (width, charts) = (PANEL.0 * panels.1 as u32, PANEL.1 * panels.0 as u32);
    let columns = (width / LABEL.0) as usize;
    let legend = LABEL.1 * lines.len().div_ceil(columns) as u32;
    let size = (width, charts + legend + 20);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    let (charts, below) = root.split_vertically(charts);
    for (index, area) in charts.split_evenly(panels).iter().enumerate() {
        let figure = &FIGURES[index / shapes.len()];
        let shape = shapes[index % shapes.len()];
        let of_shape: Vec<&Cell> = cells
            .iter()
            .filter(|c| c.shape.name == shape.name)
            .collect();
        draw_panel(area, figure, shape, &of_shape, &lines)?;
    }
    draw_legend(&below, &lines, columns)?;
    root.present().map_err(text)
}

/// Every arm of any cell, in the order of their turns.
fn lines(cells: &[Cell]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let (mut own, mut limits) = (EPOCHWAL.iter().cycle(), LIMITS.iter().cycle());
    let mut rivals = RIVALS.iter().cycle();
    for row in cells.iter().flat_map(|cell| &cell.rows) {
        if lines.iter().any(|line| line.arm == row.arm) {
            continue;
        }
        let color = match row.kind {
            Kind::Epochwal => own.next(),
            Kind::Limit => limits.next(),
            Kind::Rival => rivals.next(),
        };
        let width = if row.kind == Kind::Epochwal { 3 } else { 2 };
        lines.push(Line {
            arm: row.arm,
            style: color.unwrap_or(&BLACK).filled().stroke_width(width),
        });
    }
    lines
}

fn draw_panel(
    area: &Area,
    figure: &Figure,
    shape: Shape,
    cells: &[&Cell],
    lines: &[Line],
) -> Result<(), String> {
    let values = cells.iter().flat_map(|c| c.rows.iter().map(figure.of));
    let (least, greatest) = values.fold((f64::MAX, f64::MIN), |(least, greatest), value| {
        (least.min(value), greatest.max(value))
    });
    let last = cells.len().saturating_sub(1).max(1) as i32;
    let title = format!("{}: {} x {} bytes", figure.title, shape.frames, shape.bytes);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 16))
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(0..last, (least * 0.7..greatest * 1.4).log_scale())
        .map_err(text)?;
    let threads = |index: &i32| {
        cells
            .get(*index as usize)
            .map_or(String::new(), |cell| cell.threads.to_string())
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(cells.len())
        .x_label_formatter(&threads)
        .y_label_formatter(&|value| short(*value))
        .x_desc("threads")
        .label_style((FONT, 12))
        .draw()
        .map_err(text)?;
    for line in lines {
        let points: Vec<(i32, f64)> = cells
            .iter()
            .enumerate()
            .filter_map(|(index, cell)| {
                let row = cell.rows.iter().find(|row| row.arm == line.arm)?;
                Some((index as i32, (figure.of)(row)))
            })
            .collect();
        let dots = points.iter().map(|at| Circle::new(*at, 3, line.style));
        chart.draw_series(dots).map_err(text)?;
        chart
            .draw_series(LineSeries::new(points, line.style))
            .map_err(text)?;
    }
    Ok(())
}

/// `1500000` as `1.5M`.
fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e3 => (v / 1e3, "k"),
        v => (v, ""),
    };
    format!("{}{unit}", (scaled * 10.0).round() / 10.0)
}

fn draw_legend(area: &Area, lines: &[Line], columns: usize) -> Result<(), String> {
    for (index, line) in lines.iter().enumerate() {
        let x = 20 + LABEL.0 as i32 * (index % columns) as i32;
        let y = 12 + LABEL.1 as i32 * (index / columns) as i32;
        let stroke = PathElement::new([(x, y), (x + 24, y)], line.style);
        area.draw(&stroke).map_err(text)?;
        area.draw(&Text::new(line.arm, (x + 30, y - 7), (FONT, 14)))
            .map_err(text)?;
    }
    Ok(())
}
