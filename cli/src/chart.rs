//! The drawings of a page: SVG that needs no script. What is too much for its
//! width is drawn together, so that a page stays small however long the log is.

use epochwal::recovery::{GroupInfo, SegmentInspection, SuspectFile};
use std::fmt::Write;

/// Units across; a page scales them.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 160.0;
/// Beside a chart, for what its lines stand for.
const GUTTER: f64 = 90.0;
/// The most columns of a chart.
const COLUMNS: usize = 250;

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
        "<svg class=\"segment{passed}\" preserveAspectRatio=\"none\" viewBox=\"0 0 {WIDTH} 24\">\n"
    );
    rect(&mut svg, "room", (0.0, 0.0, WIDTH, 24.0), "room");
    for (number, one) in stretches(&segment.groups, bytes / most as f64)
        .iter()
        .enumerate()
    {
        let class = match (one.first.kind, number % 2) {
            ("mark", _) => "mark",
            (_, 0) => "group even",
            _ => "group odd",
        };
        let x = one.first.offset as f64 * scale;
        let width = (one.end() as f64 * scale - x).max(1.0);
        rect(&mut svg, class, (x, 0.0, width, 24.0), &one.title());
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
        }
    });
    chunks.collect()
}

/// Columns side by side: the mean dark, the most light behind it.
pub fn columns(columns: &[Column], unit: &str, (first, last): (&str, &str)) -> String {
    let top = columns.iter().map(|c| c.max).fold(1.0, f64::max);
    let width = (WIDTH - GUTTER) / columns.len().max(1) as f64;
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 -12 {WIDTH} {}\">\n",
        HEIGHT + 32.0
    );
    for (part, y) in [(1.0, 0.0), (0.5, HEIGHT / 2.0), (0.0, HEIGHT)] {
        let _ = writeln!(
            svg,
            "<line x1=\"{GUTTER}\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/>\
             <text x=\"{}\" y=\"{}\" class=\"right\">{} {}</text>",
            GUTTER - 6.0,
            y + 4.0,
            number(top * part),
            escape(unit),
        );
    }
    for (at, column) in columns.iter().enumerate() {
        let x = GUTTER + at as f64 * width;
        let gap = if width > 8.0 { 1.0 } else { 0.0 };
        let mut bar = |class, value: f64, title: &str| {
            let height = HEIGHT * value / top;
            let place = (x, HEIGHT - height, width - gap, height);
            rect(&mut svg, class, place, title);
        };
        if column.mean == column.max {
            let title = format!("{}: {} {unit}", column.name, number(column.max));
            bar("mean", column.max, &title);
            continue;
        }
        let (mean, max) = (number(column.mean), number(column.max));
        let title = format!("{}: mean {mean} {unit}, most {max}", column.name);
        bar("most", column.max, &title);
        bar("mean", column.mean, &title);
    }
    let below = HEIGHT + 16.0;
    let _ = writeln!(
        svg,
        "<text x=\"{GUTTER}\" y=\"{below}\">{}</text>\
         <text x=\"{WIDTH}\" y=\"{below}\" class=\"right\">{}</text>",
        escape(first),
        escape(last)
    );
    svg + "</svg>\n"
}

/// A line of latencies in microseconds, on a logarithmic scale up to `top`.
pub fn latencies(points: &[(String, f64)], top: f64) -> String {
    let place = |micros: f64| {
        let part = micros.max(1.0).ln() / top.max(std::f64::consts::E).ln();
        4.0 + part.clamp(0.0, 1.0) * (WIDTH - 8.0)
    };
    let mut svg = format!("<svg class=\"dots\" viewBox=\"0 0 {WIDTH} 20\">\n");
    let _ = writeln!(svg, "<line x1=\"0\" x2=\"{WIDTH}\" y1=\"10\" y2=\"10\"/>");
    for (number_of, (name, micros)) in points.iter().enumerate() {
        let title = escape(&format!("{name}: {} us", number(*micros)));
        let _ = writeln!(
            svg,
            "<circle class=\"part{number_of}\" cx=\"{:.1}\" cy=\"10\" r=\"4\">\
             <title>{title}</title></circle>",
            place(*micros)
        );
    }
    svg + "</svg>\n"
}

/// Three digits, or all in front of the point.
pub fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 || v.fract() == 0.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// How much happened when: a bounded number of equal stretches of time, which
/// grow with what they must hold.
pub struct Timeline {
    start: i128,
    width: i128,
    counts: Vec<u64>,
    total: u64,
}

impl Timeline {
    pub fn new() -> Timeline {
        Timeline {
            start: 0,
            width: 1,
            counts: vec![0; COLUMNS],
            total: 0,
        }
    }

    /// Something happened then, in milliseconds.
    pub fn add(&mut self, at: u64) {
        let at = i128::from(at);
        if self.total == 0 {
            self.start = at;
        }
        self.total += 1;
        while at < self.start {
            self.widen(COLUMNS - COLUMNS / 2);
        }
        while at >= self.start + self.width * COLUMNS as i128 {
            self.widen(0);
        }
        self.counts[((at - self.start) / self.width) as usize] += 1;
    }

    /// Twice the time in a column; what there is begins at column `place`.
    fn widen(&mut self, place: usize) {
        let mut counts = vec![0; COLUMNS];
        for (at, pair) in self.counts.chunks(2).enumerate() {
            counts[place + at] = pair.iter().sum();
        }
        self.counts = counts;
        self.width *= 2;
        self.start -= self.width * place as i128;
    }

    /// The first and the last column that something is in.
    fn used(&self) -> Option<(usize, usize)> {
        let used = |count: &u64| *count > 0;
        let first = self.counts.iter().position(used)?;
        Some((first, self.counts.iter().rposition(used)?))
    }

    /// When a column begins.
    fn begin(&self, column: usize) -> String {
        let begin = self.start + self.width * column as i128;
        crate::show::utc(u64::try_from(begin).unwrap_or(0))
    }

    /// When it begins and ends, to a column; none where nothing happened.
    pub fn ends(&self) -> Option<(String, String)> {
        let (first, last) = self.used()?;
        Some((self.begin(first), self.begin(last)))
    }

    /// A column for each stretch between these.
    pub fn columns(&self) -> Vec<Column> {
        let Some((first, last)) = self.used() else {
            return Vec::new();
        };
        let columns = (first..=last).map(|at| Column {
            name: format!("{}, {} ms", self.begin(at), self.width),
            mean: self.counts[at] as f64,
            max: self.counts[at] as f64,
        });
        columns.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, Timeline, escape, number};

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escape("<a b=\"'\">&"), "&lt;a b=&quot;&#39;&quot;&gt;&amp;");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 7.0, 1.234, 12.34, 123.4, 4096.0].map(number);
        assert_eq!(shown, ["0", "7", "1.23", "12.3", "123", "4096"]);
    }

    /// Whatever the order of the times, each is counted in a column that it is in.
    #[test]
    fn a_timeline_counts_all_of_any_times() {
        assert!(Timeline::new().columns().is_empty());
        let far = [0, u64::MAX, 1_700_000_000_000];
        let near: Vec<u64> = (0..1000).map(|n| 1_700_000_000_000 + n * 7).collect();
        let mut falling = near.clone();
        falling.reverse();
        for times in [far.to_vec(), near, falling, vec![5, 3]] {
            let mut line = Timeline::new();
            times.iter().for_each(|at| line.add(*at));
            let columns = line.columns();
            assert!(columns.len() <= COLUMNS);
            let counted: f64 = columns.iter().map(|c| c.max).sum();
            assert_eq!(counted, times.len() as f64);
            for at in &times {
                let place = (i128::from(*at) - line.start) / line.width;
                assert!(line.counts[place as usize] > 0);
            }
        }
    }
}
