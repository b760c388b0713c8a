//! RDLW files: the single-file logs of other software, read, judged and
//! written. `docs/format.md` has the layout and the verdicts.
//!
//! A [`Scanner`] reads a file record by record and tells at its end whether
//! it is clean, torn or corrupt. It changes nothing. An [`Exporter`] makes a
//! new file, and an [`Appender`] adds to one.

mod append;
mod export;
mod new_file;
mod rebuild;
mod report;
mod resync;
mod scan;
mod source;
mod sums;

pub use append::{Appender, MAX_RUN, Prepared};
pub use export::{Exported, Exporter};
pub(super) use rebuild::rebuild;
pub use report::{Beyond, Cause, Report, Skipped, Verdict};
pub use scan::{ScanOptions, Scanned, Scanner, TermOf};
