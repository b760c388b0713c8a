//! Which replicas must have a record, and how surely, before a commit counts.

use crate::error::{Error, Quoted, Result};
use crate::format::slot_journal::name_fault;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Whose acknowledgements are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// Nobody's: durable here is enough.
    Local,
    /// So many replicas', whichever.
    Replicas(u32),
    /// The first so many of a list by priority, of those that are there:
    /// healthy ones before others.
    First(u32, Vec<String>),
    /// So many of a list.
    Any(u32, Vec<String>),
    /// So many in each of the named regions.
    Regions(u32, Vec<String>),
}

/// What a replica must have done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Received it.
    Written,
    /// Made it durable.
    Durable,
    /// Applied it.
    Applied,
}

impl Level {
    /// Each once.
    pub const ALL: [Level; 3] = [Level::Written, Level::Durable, Level::Applied];
}

impl FromStr for Level {
    type Err = Error;

    fn from_str(text: &str) -> Result<Level> {
        match text {
            "written" => Ok(Level::Written),
            "durable" | "flushed" => Ok(Level::Durable),
            "applied" => Ok(Level::Applied),
            _ => Err(Error::invalid(format!(
                "level: {} is none of written, durable (flushed), applied",
                Quoted(text)
            ))),
        }
    }
}

/// A commit's condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckPolicy {
    /// See [`Quorum`].
    pub quorum: Quorum,
    /// See [`Level`].
    pub level: Level,
    /// Where the quorum is not reached in time, or can't be, the commit counts
    /// all the same, as degraded: counted and traced.
    pub degrade: bool,
}

impl AckPolicy {
    /// A policy that does not degrade.
    pub fn new(quorum: Quorum, level: Level) -> AckPolicy {
        AckPolicy {
            quorum,
            level,
            degrade: false,
        }
    }
}

impl Quorum {
    /// Whether it can be a policy at all.
    pub fn validate(&self) -> Result<()> {
        let fail = |what: &str| {
            let policy = self.to_string();
            Err(Error::invalid(format!(
                "policy {}: {what}",
                Quoted(&policy)
            )))
        };
        let (count, names) = match self {
            Quorum::Local => return Ok(()),
            Quorum::Replicas(0) => return fail("asks for no replica; that is local"),
            Quorum::Replicas(_) => return Ok(()),
            Quorum::First(n, names) | Quorum::Any(n, names) => {
                if *n as usize > names.len() {
                    return fail("asks for more than its list has");
                }
                (*n, names)
            }
            Quorum::Regions(k, names) => (*k, names),
        };
        if count == 0 {
            return fail("asks for no replica; that is local");
        }
        if names.is_empty() {
            return fail("has an empty list");
        }
        let mut seen = BTreeSet::new();
        for name in names {
            if let Some(fault) = name_fault(name) {
                return fail(&format!("the name {} {fault}", Quoted(name)));
            }
            if !seen.insert(name) {
                return fail(&format!("{name:?} stands in it twice"));
            }
        }
        Ok(())
    }
}

/// `local`, `2`, `any 1`, `any 2 (a, b, c)`, `first 2 (a, b)`,
/// `regions 1 (eu, us)`. A name with a comma, a parenthesis, a quote or spaces
/// at its ends stands in double quotes, those in it doubled.
impl FromStr for Quorum {
    type Err = Error;

    fn from_str(text: &str) -> Result<Quorum> {
        let quorum = parse(text).ok_or_else(|| {
            Error::invalid(format!(
                "policy: {} is none of \"local\", \"2\", \"any 1\", \"any 2 (a, b, c)\", \
                 \"first 2 (a, b)\", \"regions 1 (eu, us)\"",
                Quoted(text)
            ))
        })?;
        quorum.validate()?;
        Ok(quorum)
    }
}

fn parse(text: &str) -> Option<Quorum> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("local") {
        return Some(Quorum::Local);
    }
    if let Some(count) = number(text) {
        return Some(Quorum::Replicas(count));
    }
    let (head, list) = match text.split_once('(') {
        None => (text, None),
        Some((head, list)) => (head, Some(names(list)?)),
    };
    let (word, count) = head.trim_end().split_once(char::is_whitespace)?;
    let count = number(count.trim_start())?;
    match (word.to_ascii_lowercase().as_str(), list) {
        ("any", None) => Some(Quorum::Replicas(count)),
        ("any", Some(list)) => Some(Quorum::Any(count, list)),
        ("first", Some(list)) => Some(Quorum::First(count, list)),
        ("regions", Some(list)) => Some(Quorum::Regions(count, list)),
        _ => None,
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// The names behind an opening parenthesis, to the closing one and the end.
fn names(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let (name, behind) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find([',', ')', '"', '('])?;
                (rest[..end].trim_end().to_owned(), &rest[end..])
            }
        };
        names.push(name);
        let behind = behind.trim_start();
        if let Some(more) = behind.strip_prefix(',') {
            rest = more;
        } else {
            return (behind == ")").then_some(names);
        }
    }
}

/// A name whose opening quote was taken, and what is behind its closing one.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, behind) = rest.split_once('"')?;
        name.push_str(part);
        match behind.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, behind)),
        }
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, count, names) = match self {
            Quorum::Local => return f.write_str("local"),
            Quorum::Replicas(n) => return write!(f, "{n}"),
            Quorum::First(n, names) => ("first", n, names),
            Quorum::Any(n, names) => ("any", n, names),
            Quorum::Regions(n, names) => ("regions", n, names),
        };
        write!(f, "{word} {count} (")?;
        for (i, name) in names.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let plain = name.trim() == name && !name.contains([',', '(', ')', '"']);
            match plain {
                true => write!(f, "{comma}{name}")?,
                false => write!(f, "{comma}\"{}\"", name.replace('"', "\"\""))?,
            }
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Result<Quorum> {
        text.parse()
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn texts_are_read() {
        for (text, quorum) in [
            ("local", Quorum::Local),
            (" LOCAL ", Quorum::Local),
            ("2", Quorum::Replicas(2)),
            ("any 1", Quorum::Replicas(1)),
            ("ANY  3 (a,b , c)", Quorum::Any(3, list(&["a", "b", "c"]))),
            ("first 2 (a, b)", Quorum::First(2, list(&["a", "b"]))),
            ("First 1(a b)", Quorum::First(1, list(&["a b"]))),
            ("any 1 (local)", Quorum::Any(1, list(&["local"]))),
            (
                "regions 1 (eu, us)",
                Quorum::Regions(1, list(&["eu", "us"])),
            ),
            (
                r#"any 1 ("a, (b)", "say ""hi""", " ")"#,
                Quorum::Any(1, list(&["a, (b)", "say \"hi\"", " "])),
            ),
        ] {
            assert_eq!(of(text).unwrap(), quorum, "{text}");
        }
    }

    /// What is not known is never "local".
    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            " ",
            "loca",
            "local 1",
            "none",
            "all",
            "0",
            "any",
            "any 0",
            "-1",
            "+1",
            "1.0",
            "any one",
            "4294967296",
            "first 1",
            "first 1 ()",
            "first 1 (a",
            "first 1 a)",
            "first 1 (a))",
            "first 1 (a) b",
            "first 2 (a)",
            "any 2 (a, a)",
            "any 1 (a,)",
            "any 1 (,a)",
            "any 1 (a (b))",
            "any 1 (\"a)",
            "any 1 (\"a\" b)",
            "any 1 (a\"b)",
            "regions 1",
            "regions 0 (eu)",
            "regions 1 (eu, eu)",
            "region 1 (eu)",
            "quorum 1 (a)",
            "1 (a)",
            "any1",
            "any 1 (a\u{1})",
        ] {
            let error = of(text).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Invalid, "{text}");
            assert!(error.message().contains("policy"), "{text}: {error}");
        }
        assert!("durable".parse::<Level>().is_ok());
        for text in ["", "Written", "local", "flush"] {
            assert!(text.parse::<Level>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(
            names in proptest::collection::btree_set("[a-c ,()\"ä]{1,4}", 1..4),
            kind in 0..3,
        ) {
            let names: Vec<String> = names.into_iter().collect();
            let quorum = match kind {
                0 => Quorum::Any(1, names),
                1 => Quorum::First(1, names),
                _ => Quorum::Regions(2, names),
            };
            prop_assert_eq!(of(&quorum.to_string()).unwrap(), quorum);
        }

        #[test]
        fn no_text_does_harm(text in "[a-z0-9 ,()\"]{0,24}") {
            let _ = of(&text);
        }
    }
}
