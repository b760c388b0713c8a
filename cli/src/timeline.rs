//! How much happened when, in a bounded number of columns.

use crate::chart::{COLUMNS, Column};

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
            epochs: 0,
        });
        columns.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, Timeline};

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
