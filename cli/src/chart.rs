//! The drawings of a page: SVG that needs no script. What is too much for its
//! width is drawn together, so that a page stays small however long the log is.

use epochwal::recovery::{GroupInfo, SegmentInspection, SuspectFile};
use std::fmt::Write;

/// Units across; a page scales them.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 160.0;
/// The widest a column is.
const WIDEST: f64 = 48.0;
/// The most columns of a chart.
pub const COLUMNS: usize = 250;

/// Text as HTML has it.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            c => safe.push(c),
        }
    }
    safe
}

fn rect(svg: &mut String, class: &str, (x, y, width, height): (f64, f64, f64, f64), title: &str) {
    let title = escape(title);
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" \
         height=\"{height:.2}\"><title>{title}</title></rect>"
    );
}

/// Neighbouring groups of one kind that are drawn as one.
struct Stretch<'a> {
    first: &'a GroupInfo,
    last: &'a GroupInfo,
    groups: u64,
}

impl Stretch<'_> {
    fn end(&self) -> u64 {
        self.last.offset + self.last.length
    }

    fn title(&self) -> String {
        let GroupInfo { epoch, offset, .. } = self.first;
        let bytes = self.end() - offset;
        match (self.first.kind, self.groups) {
            ("mark", _) => format!("mark at offset {offset}, epoch {epoch}"),
            (_, 1) => format!(
                "epoch {epoch} at offset {offset}: {bytes} bytes, {} items",
                self.first.items
            ),
            (_, groups) => format!(
                "epochs {epoch} to {} from offset {offset}: {groups} groups, {bytes} bytes",
                self.last.epoch
            ),
        }
    }
}

/// Groups as they can be told apart: a stretch grows till it has so many bytes.
fn stretches(groups: &[GroupInfo], unit: f64) -> Vec<Stretch<'_>> {
    let mut all: Vec<Stretch<'_>> = Vec::new();
    for group in groups {
        match all.last_mut() {
            Some(before)
                if before.first.kind == group.kind
                    && ((before.end() - before.first.offset) as f64) < unit =>
            {
                before.last = group;
                before.groups += 1;
            }
            _ => all.push(Stretch {
                first: group,
                last: group,
                groups: 1,
            }),
        }
    }
    all
}

/// What is wrong with a segment.
pub enum Fault<'a> {
    Nothing,
    /// From a place in it on.
    From(&'a SuspectFile),
    /// It lies behind damage, and was not read.
    Unread,
}

/// A segment from its first byte to its last: groups, room, and what is damaged;
/// of groups so many at most.
pub fn segment(segment: &SegmentInspection, fault: &Fault<'_>, most: usize) -> String {
    let bytes = segment.info.bytes.max(1) as f64;
    let scale = WIDTH / bytes;
    let passed = if segment.info.checkpointed {
        " passed"
    } else {
        ""
    };
    let mut svg = format!(
        "<svg class=\"segment{passed}\" preserveAspectRatio=\"none\" viewBox=\"0 0 {WIDTH} 24\" \
         role=\"img\" aria-label=\"{} groups\">\n",
        segment.groups.len()
    );
    rect(&mut svg, "room", (0.0, 0.0, WIDTH, 24.0), "room");
    let stretches = stretches(&segment.groups, bytes / most as f64);
    // Where they can't be told apart, two colours would only flicker.
    let together = stretches.iter().any(|one| one.groups > 1);
    for (number, one) in stretches.iter().enumerate() {
        let class = match (one.first.kind, number % 2) {
            ("mark", _) => "mark",
            (_, 1) if !together => "group odd",
            _ => "group even",
        };
        let x = one.first.offset as f64 * scale;
        // A little over the next, or the room behind them shines through.
        let width = (one.end() as f64 * scale - x + 0.2).clamp(1.0, WIDTH);
        // At the very end it is moved, so that all of its width is seen.
        let place = (x.min(WIDTH - width), 0.0, width, 24.0);
        rect(&mut svg, class, place, &one.title());
    }
    match fault {
        Fault::Nothing => {}
        Fault::From(suspect) => {
            let name = crate::show::verdict_name(suspect.verdict);
            let x = (suspect.offset as f64 * scale).min(WIDTH - 4.0);
            let title = format!("{name} at offset {}: {}", suspect.offset, suspect.reason);
            rect(&mut svg, name, (x, 0.0, WIDTH - x, 24.0), &title);
        }
        Fault::Unread => {
            let all = (0.0, 0.0, WIDTH, 24.0);
            rect(
                &mut svg,
                "unread",
                all,
                "not read: it lies behind the damage",
            );
        }
    }
    svg + "</svg>\n"
}

/// A column: its name, the mean of what it stands for, and the most.
pub struct Column {
    pub name: String,
    pub mean: f64,
    pub max: f64,
    /// How many epochs it stands for; 0 where they are not what it counts along.
    pub epochs: u64,
}

/// A figure of each group, in the order of the log.
pub fn columns_of(groups: &[&GroupInfo], figure: impl Fn(&GroupInfo) -> f64) -> Vec<Column> {
    let each = groups.len().div_ceil(COLUMNS).max(1);
    let chunks = groups.chunks(each).map(|chunk| {
        let figures = chunk.iter().map(|group| figure(group));
        let (first, last) = (chunk[0].epoch, chunk[chunk.len() - 1].epoch);
        Column {
            name: match first == last {
                true => format!("epoch {first}"),
                false => format!("epochs {first} to {last}"),
            },
            mean: figures.clone().sum::<f64>() / chunk.len() as f64,
            max: figures.fold(0.0, f64::max),
            epochs: chunk.len() as u64,
        }
    });
    chunks.collect()
}

/// What a figure counts.
#[derive(Clone, Copy)]
pub enum Unit {
    Bytes,
    /// One, and many.
    Of(&'static str, &'static str),
}

impl Unit {
    /// For an axis or a tile.
    pub fn short(self, value: f64) -> String {
        match self {
            Unit::Bytes => size(value),
            Unit::Of(..) => number(value),
        }
    }

    /// With its name, exact.
    pub fn exact(self, value: f64) -> String {
        match self {
            Unit::Bytes if value == 1.0 => "1 byte".to_owned(),
            Unit::Bytes => format!("{} bytes", number(value)),
            Unit::Of(one, _) if value == 1.0 => format!("1 {one}"),
            Unit::Of(_, many) => format!("{} {many}", number(value)),
        }
    }

    /// The top of an axis: a number to be seen at a glance, as is its half.
    fn top(self, most: f64) -> f64 {
        let unit = match self {
            Unit::Bytes => power(1024.0, most),
            Unit::Of(..) => 1.0,
        };
        let most = (most / unit).max(2.0);
        let tens = power(10.0, most);
        let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
        let round = steps.map(|step| step * tens).into_iter();
        round.filter(|top| *top >= most).fold(10.0 * tens, f64::min) * unit
    }
}

/// The highest power of a base that is not above a number, or 1.
fn power(base: f64, number: f64) -> f64 {
    let mut power = 1.0;
    while power * base <= number {
        power *= base;
    }
    power
}

/// What lies beyond the last column: what was durable and can't be read.
pub struct Lost {
    pub epochs: u64,
    /// The last of them.
    pub last: u64,
}

impl Lost {
    fn text(&self) -> String {
        let [first, last] = [self.last + 1 - self.epochs, self.last].map(|n| number(n as f64));
        match self.epochs {
            1 => format!("epoch {last} can't be read"),
            _ => format!("epochs {first} to {last} can't be read"),
        }
    }
}

/// Columns side by side: the mean dark, the most light behind it. What is lost is
/// red, as wide as it is long, up to half of all. The words stand beside the
/// drawing, so that they keep their size when it is scaled.
pub fn columns(
    columns: &[Column],
    unit: Unit,
    (first, last): (&str, &str),
    lost: Option<&Lost>,
) -> String {
    let top = unit.top(columns.iter().map(|c| c.max).fold(0.0, f64::max));
    let shown: u64 = columns.iter().map(|c| c.epochs).sum();
    let lost_width = lost.map_or(0.0, |lost| {
        let part = lost.epochs as f64 / (shown + lost.epochs) as f64;
        part.clamp(0.01, 0.5) * WIDTH
    });
    let share = (WIDTH - lost_width) / columns.len().max(1) as f64;
    let width = match share {
        s if s > 8.0 => (s * 0.85).min(WIDEST),
        s => s,
    };
    let mut svg = format!(
        "<svg class=\"chart\" preserveAspectRatio=\"none\" viewBox=\"0 0 {WIDTH} {HEIGHT}\">\n"
    );
    for y in [0.0, HEIGHT / 2.0, HEIGHT] {
        let _ = writeln!(svg, "<line x1=\"0\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/>");
    }
    for (at, column) in columns.iter().enumerate() {
        let x = at as f64 * share + (share - width) / 2.0;
        let mut bar = |class, value: f64, title: &str| {
            let height = HEIGHT * value / top;
            rect(&mut svg, class, (x, HEIGHT - height, width, height), title);
        };
        if column.mean == column.max {
            let title = format!("{}: {}", column.name, unit.exact(column.max));
            bar("mean", column.max, &title);
            continue;
        }
        let (mean, max) = (unit.exact(column.mean), number(column.max));
        let title = format!("{}: mean {mean}, most {max}", column.name);
        bar("most", column.max, &title);
        bar("mean", column.mean, &title);
    }
    if let Some(lost) = lost {
        let place = (WIDTH - lost_width, 0.0, lost_width, HEIGHT);
        rect(&mut svg, "unread", place, &lost.text());
    }
    let lost = lost.map_or_else(String::new, |lost| {
        format!(
            "<figcaption class=\"lost\">{}</figcaption>\n",
            escape(&lost.text())
        )
    });
    let [high, half, low] = [top, top / 2.0, 0.0].map(|value| unit.short(value));
    format!(
        "<div class=\"axes\"><div class=\"up\"><span>{high}</span><span>{half}</span>\
         <span>{low}</span></div>\n{svg}</svg>\n<div class=\"along\"><span>{}</span>\
         <span>{}</span></div></div>\n{lost}",
        escape(first),
        escape(last)
    )
}

/// Powers of ten from 1 us, up to the first that is not below `top`.
pub fn decades(top: f64) -> Vec<f64> {
    let mut all = vec![1.0];
    while all[all.len() - 1] < top {
        all.push(all[all.len() - 1] * 10.0);
    }
    all
}

/// A microsecond and more, as one reads it.
pub fn duration(micros: f64) -> String {
    match micros {
        us if us >= 1e6 => format!("{} s", number(us / 1e6)),
        us if us >= 1e3 => format!("{} ms", number(us / 1e3)),
        us => format!("{} us", number(us)),
    }
}

/// A line of latencies in microseconds, ascending, on a logarithmic scale over
/// decades: a mark for each, a bar from the first to the last but two.
pub fn latencies(points: &[(&str, f64)], decades: &[f64]) -> String {
    let top = decades[decades.len() - 1].max(10.0);
    let place = |micros: f64| (micros.max(1.0).ln() / top.ln()).clamp(0.0, 1.0) * WIDTH;
    let mut svg =
        format!("<svg class=\"marks\" preserveAspectRatio=\"none\" viewBox=\"0 0 {WIDTH} 20\">\n");
    for decade in decades {
        let x = place(*decade);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"20\"/>"
        );
    }
    let at = |number: usize| points.get(number).map_or(0.0, |point| place(point.1));
    let (first, most, last) = (at(0), at(2), at(points.len() - 1));
    let title = format!(
        "up to the longest, {}",
        duration(points[points.len() - 1].1)
    );
    rect(&mut svg, "most", (first, 8.0, last - first, 4.0), &title);
    rect(
        &mut svg,
        "mean",
        (first, 5.0, most - first, 10.0),
        "p50 to p99",
    );
    for (name, micros) in points {
        let title = escape(&format!("{name}: {}", duration(*micros)));
        let x = place(*micros);
        let _ = writeln!(
            svg,
            "<path class=\"mark-at\" d=\"M{x:.1} 2V18\"><title>{title}</title></path>"
        );
    }
    svg + "</svg>"
}

/// Three digits, or all in front of the point, those by thousands.
pub fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 || v.fract() == 0.0 => grouped(&format!("{v:.0}")),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// A whole number by thousands.
fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as one reads them.
pub fn size(bytes: f64) -> String {
    match bytes {
        b if b >= 1024.0 * 1024.0 * 1024.0 => {
            format!("{} GiB", number(b / 1024.0 / 1024.0 / 1024.0))
        }
        b if b >= 1024.0 * 1024.0 => format!("{} MiB", number(b / 1024.0 / 1024.0)),
        b if b >= 1024.0 => format!("{} KiB", number(b / 1024.0)),
        b => format!("{} B", number(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Unit, decades, duration, escape, number, segment, size};
    use epochwal::recovery::{GroupInfo, SegmentInfo, SegmentInspection};

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escape("<a b=\"'\">&"), "&lt;a b=&quot;&#39;&quot;&gt;&amp;");
    }

    /// A group of a block, at the end of a segment of so many.
    fn full(blocks: u64) -> SegmentInspection {
        let group = GroupInfo {
            epoch: 1,
            offset: (blocks - 1) * 4096,
            length: 4096,
            kind: "pages",
            items: 1,
            watermark: 0,
            previous_epoch: 0,
            generation: 1,
            commit_seq_low: 1,
            commit_seq_high: 1,
            pages: 1,
            db_size: 1,
            lanes: Vec::new(),
            lane_count: 1,
            fallback: false,
            assigned: false,
            checksum: 0,
        };
        let info = SegmentInfo {
            path: "seg".into(),
            first_epoch: 1,
            last_epoch: Some(1),
            bytes: blocks * 4096,
            version: 2,
            checkpointed: false,
        };
        SegmentInspection {
            info,
            groups: vec![group],
        }
    }

    #[test]
    fn what_ends_a_segment_is_seen_and_does_not_stand_out() {
        for blocks in [2, 999, 1000, 1001, 16384, 1 << 30] {
            let svg = segment(&full(blocks), &Fault::Nothing, 250);
            let drawn = svg.split("<rect class=\"group even\"").nth(1).unwrap();
            let number = |name: &str| -> f64 {
                let after = drawn.split(&format!("{name}=\"")).nth(1).unwrap();
                after.split('"').next().unwrap().parse().unwrap()
            };
            let (x, width) = (number(" x"), number("width"));
            assert!(width >= 1.0 && x + width <= 1000.0, "{blocks}: {x} {width}");
        }
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 7.0, 1.234, 12.34, 123.4, 4096.0, 1_234_567.0].map(number);
        assert_eq!(
            shown,
            ["0", "7", "1.23", "12.3", "123", "4,096", "1,234,567"]
        );
        let shown = [0.0, 512.0, 4096.0, 6.5 * 1024.0, 64.0 * 1024.0 * 1024.0].map(size);
        assert_eq!(shown, ["0 B", "512 B", "4 KiB", "6.50 KiB", "64 MiB"]);
        let shown = [1.0, 18.4, 4000.0, 2_500_000.0].map(duration);
        assert_eq!(shown, ["1 us", "18.4 us", "4 ms", "2.50 s"]);
    }

    #[test]
    fn an_axis_ends_at_a_number_to_be_seen_at_a_glance() {
        let of = Unit::Of("batch", "batches");
        for (most, top) in [
            (0.0, 2.0),
            (1.0, 2.0),
            (3.0, 4.0),
            (10.0, 10.0),
            (11.0, 20.0),
        ] {
            assert_eq!(of.top(most), top, "{most}");
        }
        assert_eq!(Unit::Bytes.short(Unit::Bytes.top(86_016.0)), "100 KiB");
        assert_eq!(Unit::Bytes.short(Unit::Bytes.top(1_100_000.0)), "2 MiB");
        assert_eq!(decades(0.5), [1.0]);
        assert_eq!(decades(1000.0), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(decades(1001.0).len(), 5);
    }
}
