//! The order of records: LSNs strictly rise, terms never fall.

use crate::error::{Error, ErrorKind, Result};
use crate::format::record::{MAX_LSN, Record};
use crate::format::terms::Terms;

/// Where the next record must go on.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// The highest LSN ever taken; 0: none.
    pub(super) last: u64,
    /// The term of now.
    pub(super) term: u64,
    /// The history, with terms whose records are staged only.
    pub(super) terms: Terms,
    /// Gaps between LSNs are refused.
    pub(super) dense: bool,
}

impl Order {
    /// Whether a run of records may follow; the error names the first that
    /// may not.
    pub(super) fn check(&self, records: &[Record<'_>], pruned_through: u64) -> Result<()> {
        let (mut last, mut term) = (self.last, self.term);
        let mut newest = self.terms.last().map(|t| t.term);
        let mut begun = 0;
        for record in records {
            if record.term < term {
                return Err(Error::new(
                    ErrorKind::Fenced,
                    format!(
                        "term: {} of LSN {} is below {term}, which has begun",
                        record.term, record.lsn
                    ),
                )
                .with_lsn(last));
            }
            if record.lsn <= last {
                return Err(Error::new(
                    ErrorKind::Order,
                    format!("lsn: {} does not follow {last}", record.lsn),
                )
                .with_lsn(last));
            }
            if self.dense && last != 0 && record.lsn != last + 1 {
                return Err(Error::new(
                    ErrorKind::Order,
                    format!("lsn: {} leaves a gap behind {last}", record.lsn),
                )
                .with_lsn(last));
            }
            if newest.is_none_or(|newest| record.term > newest) {
                newest = Some(record.term);
                begun += 1;
            }
            (last, term) = (record.lsn, record.term);
        }
        if begun > 0 && begun > self.terms.room(pruned_through) {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("term: {term} is one too many for the history; a prune makes room"),
            ));
        }
        Ok(())
    }

    /// The run has its place.
    pub(super) fn advance(&mut self, records: &[Record<'_>], pruned_through: u64) {
        for record in records {
            if self.terms.last().is_none_or(|last| record.term > last.term) {
                let pushed = self.terms.push(record.term, record.lsn, pruned_through);
                debug_assert!(pushed.is_ok(), "checked before");
            }
        }
        if let Some(record) = records.last() {
            self.last = record.lsn;
            self.term = record.term;
        }
    }
}

/// Checks what a record may be, wherever it goes.
pub(super) fn check_record(record: &Record<'_>, max_payload: u64) -> Result<()> {
    if !(1..=MAX_LSN).contains(&record.lsn) {
        return Err(Error::invalid(format!(
            "lsn: {} is not within 1 and {MAX_LSN}",
            record.lsn
        )));
    }
    if record.payload.len() as u64 > max_payload {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "payload: {} bytes of LSN {} are above max_payload ({max_payload})",
                record.payload.len(),
                record.lsn
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(term: u64, lsn: u64) -> Record<'static> {
        Record {
            term,
            lsn,
            timestamp_ms: 0,
            payload: b"x",
        }
    }

    fn kind(order: &Order, records: &[Record<'_>]) -> Option<ErrorKind> {
        order.check(records, 0).err().map(|e| e.kind())
    }

    #[test]
    fn lsns_rise_and_terms_do_not_fall() {
        let order = Order {
            last: 5,
            term: 2,
            terms: Terms::default(),
            dense: false,
        };
        assert_eq!(kind(&order, &[record(2, 6)]), None);
        assert_eq!(kind(&order, &[record(3, 9), record(3, 10)]), None);
        assert_eq!(kind(&order, &[record(2, 5)]), Some(ErrorKind::Order));
        assert_eq!(kind(&order, &[record(2, 4)]), Some(ErrorKind::Order));
        assert_eq!(kind(&order, &[record(1, 6)]), Some(ErrorKind::Fenced));
        assert_eq!(
            kind(&order, &[record(2, 6), record(2, 6)]),
            Some(ErrorKind::Order)
        );
        assert_eq!(
            kind(&order, &[record(3, 6), record(2, 7)]),
            Some(ErrorKind::Fenced)
        );
        let dense = Order {
            dense: true,
            ..order.clone()
        };
        assert_eq!(kind(&dense, &[record(2, 6), record(2, 7)]), None);
        assert_eq!(kind(&dense, &[record(2, 7)]), Some(ErrorKind::Order));
        assert_eq!(
            kind(&dense, &[record(2, 6), record(2, 8)]),
            Some(ErrorKind::Order)
        );
    }

    #[test]
    fn the_first_record_may_have_any_lsn() {
        let order = Order {
            last: 0,
            term: 0,
            terms: Terms::default(),
            dense: true,
        };
        assert_eq!(kind(&order, &[record(1, 1000)]), None);
        assert_eq!(
            check_record(&record(1, MAX_LSN), 1).map_err(|e| e.kind()),
            Ok(())
        );
        for (lsn, max, why) in [
            (0, 1, ErrorKind::Invalid),
            (u64::MAX, 1, ErrorKind::Invalid),
            (1, 0, ErrorKind::TooLarge),
        ] {
            let got = check_record(&record(1, lsn), max).map_err(|e| e.kind());
            assert_eq!(got, Err(why));
        }
    }
}
