//! The names of the files beside a database.
//!
//! A database's name is bytes, not text: it need not be UTF-8.

use super::group::GroupKind;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Each behind the database's name and a separator.
const SEGMENT: &[u8] = b"wal-seg-";
const TMP: &[u8] = b"wal-tmp-";
const SPARE: &[u8] = b"wal-spare-";
const STATE: &[u8] = b"wal-state";
const LOCK: &[u8] = b"wal-lock";
const SALVAGED: &[u8] = b".salvaged-";
/// Behind the name of a database whose spool it is.
const LOGICAL: &[u8] = b".logical";
/// The name of a database whose path has none.
const NAMELESS: &str = "db";
const HEX_DIGITS: usize = 16;

/// What a file beside a database is, judged by its name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A segment of either version; its first epoch.
    Segment(u64),
    /// The state file.
    State,
    /// The lock file.
    Lock,
    /// A spare file; its number.
    Spare(u64),
    /// A version 1 segment that was being written; its epoch.
    Tmp(u64),
    /// A segment that a salvaging open moved aside; its first epoch and a
    /// number that tells several of one name apart.
    Salvaged(u64, u64),
}

/// Makes and recognizes the names that belong to one log: the page log of a
/// database, or its spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Goes in front of every name; empty for the current directory.
    parent: PathBuf,
    database: OsString,
    kind: GroupKind,
    /// What all the names begin with: the database's, and what tells its
    /// logs apart.
    stem: Vec<u8>,
}

impl Names {
    /// For the database at `db_path`, which is used as given: whoever wants
    /// links followed resolves the path first.
    ///
    /// A path without a file name (`/`, `.`, `..` and what ends in `..`)
    /// names the directory that the files are in, and the database is `db`.
    /// As everywhere in `std::path`, a trailing slash or `/.` changes nothing.
    pub fn new(db_path: &Path) -> Self {
        Self::of_kind(GroupKind::Pages, db_path)
    }

    /// For the spool of the database at `db_path`; the rest as [`Names::new`].
    pub fn spool(db_path: &Path) -> Self {
        Self::of_kind(GroupKind::Records, db_path)
    }

    fn of_kind(kind: GroupKind, db_path: &Path) -> Self {
        let (parent, database) = match db_path.file_name() {
            Some(name) => (
                db_path.parent().unwrap_or(Path::new("")).to_path_buf(),
                name.to_os_string(),
            ),
            None => (db_path.to_path_buf(), NAMELESS.into()),
        };
        let mut stem = database.as_bytes().to_vec();
        if kind == GroupKind::Records {
            stem.extend_from_slice(LOGICAL);
            stem.push(b'.');
        } else {
            stem.push(b'-');
        }
        Names {
            parent,
            database,
            kind,
            stem,
        }
    }

    /// What the groups of the log hold.
    pub fn kind(&self) -> GroupKind {
        self.kind
    }

    /// The directory of all the files, never empty: `.` for the current one.
    pub fn dir(&self) -> &Path {
        if self.parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &self.parent
        }
    }

    /// The database's file name.
    pub fn database(&self) -> &OsStr {
        &self.database
    }

    /// The segment whose first epoch is `first_epoch`.
    pub fn segment(&self, first_epoch: u64) -> PathBuf {
        self.with(SEGMENT, &hex(first_epoch))
    }

    /// The state file.
    pub fn state(&self) -> PathBuf {
        self.with(STATE, "")
    }

    /// A file of another kind beside the log, by what its name ends in.
    pub(crate) fn beside(&self, ending: &str) -> PathBuf {
        self.with(b"", ending)
    }

    /// The lock file.
    pub fn lock(&self) -> PathBuf {
        self.with(LOCK, "")
    }

    /// Spare file number `n`.
    pub fn spare(&self, n: u64) -> PathBuf {
        self.with(SPARE, &n.to_string())
    }

    /// Where the version 1 segment of `epoch` is written before it is whole.
    pub fn tmp(&self, epoch: u64) -> PathBuf {
        self.with(TMP, &hex(epoch))
    }

    /// Where a salvaging open moves the file `segment`.
    pub fn salvaged(&self, segment: &Path, n: u64) -> PathBuf {
        let mut name = segment.as_os_str().to_os_string().into_vec();
        name.extend_from_slice(SALVAGED);
        name.extend_from_slice(n.to_string().as_bytes());
        OsString::from_vec(name).into()
    }

    /// What the file `name` in [`Names::dir`] is to this log; none where
    /// it is nothing to it. Exact: epochs are 16 lower-case hex digits,
    /// numbers are decimal as written here, and nothing may follow.
    pub fn classify(&self, name: &OsStr) -> Option<Kind> {
        let rest = name.as_bytes().strip_prefix(&self.stem[..])?;
        match rest {
            STATE => return Some(Kind::State),
            LOCK => return Some(Kind::Lock),
            _ => {}
        }
        if let Some(digits) = rest.strip_prefix(TMP) {
            return parse_hex(digits).map(Kind::Tmp);
        }
        if let Some(digits) = rest.strip_prefix(SPARE) {
            return parse_decimal(digits).map(Kind::Spare);
        }
        let (digits, behind) = rest.strip_prefix(SEGMENT)?.split_at_checked(HEX_DIGITS)?;
        let epoch = parse_hex(digits)?;
        if behind.is_empty() {
            return Some(Kind::Segment(epoch));
        }
        let number = parse_decimal(behind.strip_prefix(SALVAGED)?)?;
        Some(Kind::Salvaged(epoch, number))
    }

    fn with(&self, infix: &[u8], tail: &str) -> PathBuf {
        let mut name = self.stem.clone();
        name.extend_from_slice(infix);
        name.extend_from_slice(tail.as_bytes());
        self.parent.join(OsString::from_vec(name))
    }
}

/// The epoch that a file name gives, where it is a segment's of the page log of
/// whatever database.
pub fn segment_epoch(path: &Path) -> Option<u64> {
    let name = path.file_name()?.as_bytes();
    let (front, digits) = name.split_at_checked(name.len().checked_sub(HEX_DIGITS)?)?;
    let database = front.strip_suffix(SEGMENT)?.strip_suffix(b"-")?;
    if database.is_empty() {
        return None;
    }
    parse_hex(digits)
}

fn hex(epoch: u64) -> String {
    format!("{epoch:016x}")
}

fn parse_hex(digits: &[u8]) -> Option<u64> {
    if digits.len() != HEX_DIGITS {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

/// One spelling for each number, so that no two names mean the same file.
fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Names {
        Names::new(Path::new(path))
    }

    fn kind(names: &Names, path: &Path) -> Option<Kind> {
        names.classify(path.file_name().unwrap())
    }

    #[test]
    fn names_stand_beside_the_database() {
        let n = names("/data/mydb.sqlite");
        assert_eq!(n.dir(), Path::new("/data"));
        assert_eq!(
            n.segment(0x1234_5678_9abc_def0),
            Path::new("/data/mydb.sqlite-wal-seg-123456789abcdef0")
        );
        assert_eq!(n.state(), Path::new("/data/mydb.sqlite-wal-state"));
        assert_eq!(n.lock(), Path::new("/data/mydb.sqlite-wal-lock"));
        assert_eq!(n.spare(12), Path::new("/data/mydb.sqlite-wal-spare-12"));
        assert_eq!(
            n.tmp(10),
            Path::new("/data/mydb.sqlite-wal-tmp-000000000000000a")
        );
        assert_eq!(
            n.salvaged(&n.segment(1), 3),
            Path::new("/data/mydb.sqlite-wal-seg-0000000000000001.salvaged-3")
        );
    }

    #[test]
    fn a_spool_has_names_of_its_own() {
        let n = Names::spool(Path::new("/data/app.db"));
        assert_eq!(
            (n.kind(), n.dir()),
            (GroupKind::Records, Path::new("/data"))
        );
        assert_eq!(n.database(), OsStr::new("app.db"));
        for (path, name) in [
            (n.segment(10), "app.db.logical.wal-seg-000000000000000a"),
            (n.state(), "app.db.logical.wal-state"),
            (n.lock(), "app.db.logical.wal-lock"),
            (n.spare(12), "app.db.logical.wal-spare-12"),
            (n.tmp(10), "app.db.logical.wal-tmp-000000000000000a"),
        ] {
            assert_eq!(path, Path::new("/data").join(name));
            assert!(kind(&n, &path).is_some(), "{name}");
            // To the page log of no database with a like name is it anything.
            for other in ["app.db", "app.db.logical", "app.db.logical.wal"] {
                assert_eq!(kind(&names(other), &path), None, "{name} of {other}");
            }
        }
        for other in ["app.db.logical.wal", "app.db.logical.slots.json", "app.db"] {
            assert_eq!(n.classify(OsStr::new(other)), None, "{other}");
        }
        let pages = names("app.db");
        assert_eq!(pages.kind(), GroupKind::Pages);
        assert_eq!(kind(&n, &pages.segment(1)), None);
        assert_eq!(kind(&n, &names("app.db.logical").segment(1)), None);
        assert_eq!(segment_epoch(&n.segment(1)), None);
        let nameless = Names::spool(Path::new("/"));
        assert_eq!(nameless.state(), Path::new("/db.logical.wal-state"));
    }

    #[test]
    fn every_name_made_is_recognized() {
        for database in [
            "db",
            "a.db-wal-seg-0000000000000001",
            "x-wal-state",
            "-wal-lock",
        ] {
            let n = names(database);
            for number in [0, 1, 9, 10, 0xabcdef, u64::MAX] {
                assert_eq!(kind(&n, &n.segment(number)), Some(Kind::Segment(number)));
                assert_eq!(kind(&n, &n.tmp(number)), Some(Kind::Tmp(number)));
                assert_eq!(kind(&n, &n.spare(number)), Some(Kind::Spare(number)));
                let aside = n.salvaged(&n.segment(number), 7);
                assert_eq!(kind(&n, &aside), Some(Kind::Salvaged(number, 7)));
                assert_eq!(segment_epoch(&n.segment(number)), Some(number));
                assert_eq!(segment_epoch(&aside), None);
                assert_eq!(segment_epoch(&n.tmp(number)), None);
            }
            assert_eq!(kind(&n, &n.state()), Some(Kind::State));
            assert_eq!(kind(&n, &n.lock()), Some(Kind::Lock));
        }
    }

    #[test]
    fn nothing_else_counts() {
        let n = names("db");
        for other in [
            "",
            "d",
            "db",
            "db-wal",
            "db-wal-seg-",
            "db-wal-seg-000000000000001",
            "db-wal-seg-00000000000000001",
            "db-wal-seg-000000000000000A",
            "db-wal-seg-000000000000000g",
            "db-wal-seg-+000000000000001",
            "db-wal-seg-0000000000000001 ",
            "db-wal-seg-0000000000000001.bak",
            "db-wal-seg-0000000000000001.salvaged-",
            "db-wal-seg-0000000000000001.salvaged-01",
            "db-wal-seg-0000000000000001.salvaged-1x",
            "db-wal-tmp-1",
            "db-wal-tmp-0000000000000001.salvaged-1",
            "db-wal-spare-",
            "db-wal-spare-00",
            "db-wal-spare--1",
            "db-wal-spare-18446744073709551616",
            "db-wal-state2",
            "db-wal-locks",
            "db2-wal-seg-0000000000000001",
            "xdb-wal-seg-0000000000000001",
        ] {
            assert_eq!(n.classify(OsStr::new(other)), None, "{other:?}");
        }
    }

    #[test]
    fn databases_whose_names_contain_each_other_stay_apart() {
        let outer = names("db");
        let inner = names("db-wal-seg-0000000000000001");
        assert_eq!(kind(&outer, &inner.segment(2)), None);
        assert_eq!(kind(&outer, &inner.state()), None);
        assert_eq!(kind(&outer, &inner.lock()), None);
        assert_eq!(kind(&inner, &outer.segment(1)), None);
    }

    #[test]
    fn a_name_need_not_be_utf8() {
        let raw = OsStr::from_bytes(b"/tmp/\xff\xfe.db");
        let n = Names::new(Path::new(raw));
        let segment = n.segment(1);
        assert_eq!(
            segment.as_os_str().as_bytes(),
            b"/tmp/\xff\xfe.db-wal-seg-0000000000000001"
        );
        assert_eq!(kind(&n, &segment), Some(Kind::Segment(1)));
        assert_eq!(segment_epoch(&segment), Some(1));
        let lossy = names("/tmp/\u{fffd}\u{fffd}.db");
        assert_eq!(kind(&lossy, &segment), None);
    }

    #[test]
    fn a_path_without_a_file_name_is_a_directory_with_db_in_it() {
        for (path, dir, segment) in [
            ("/", "/", "/db-wal-seg-0000000000000000"),
            (".", ".", "./db-wal-seg-0000000000000000"),
            ("..", "..", "../db-wal-seg-0000000000000000"),
            ("a/..", "a/..", "a/../db-wal-seg-0000000000000000"),
            ("", ".", "db-wal-seg-0000000000000000"),
        ] {
            let n = names(path);
            assert_eq!(n.dir(), Path::new(dir), "{path:?}");
            assert_eq!(n.segment(0), Path::new(segment), "{path:?}");
            assert_eq!(n.classify(OsStr::new("db-wal-lock")), Some(Kind::Lock));
        }
    }

    #[test]
    fn a_bare_name_is_in_the_current_directory() {
        let n = names("mydb");
        assert_eq!(n.dir(), Path::new("."));
        assert_eq!(n.lock(), Path::new("mydb-wal-lock"));
    }

    #[test]
    fn a_segment_needs_a_database_in_its_name() {
        assert_eq!(segment_epoch(Path::new("-wal-seg-0000000000000001")), None);
        assert_eq!(segment_epoch(Path::new("x/0000000000000001")), None);
        assert_eq!(segment_epoch(Path::new("x/short")), None);
        assert_eq!(segment_epoch(Path::new("/")), None);
    }
}
