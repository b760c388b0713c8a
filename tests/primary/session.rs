//! A session that does everything once, and the book that is kept of what was
//! promised in it.

use crate::site::*;
use epochwal::primary::{AckPolicy, Level, Outcome, Primary, Quorum};
use epochwal::{ErrorKind, Result};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug)]
pub enum Step {
    Append(u64),
    Create(String, u64),
    Register(String, Option<&'static str>),
    Unregister(String),
    Load(String, bool),
    /// All sessions acknowledge it.
    Acks(u64),
    Reached(u64),
    Save,
    Reset(String, u64),
    Drop(String),
    Sweep,
    Prune,
}

/// Ids so long that a file is soon full.
fn long(n: usize) -> String {
    format!("{n}{}", "x".repeat(254))
}

pub fn script() -> Vec<Step> {
    use Step::*;
    let mut steps = vec![
        Append(1000),
        Create("far".into(), 900),
        Register("a".into(), Some("eu")),
        Register("b".into(), None),
        Append(1200),
        Acks(1100),
        Reached(1050),
        Prune,
        Save,
        Register("a".into(), Some("us")),
        Load("b".into(), true),
        Acks(1150),
        Load("b".into(), false),
        // "far" is beyond the horizon now.
        Append(1450),
        Acks(1400),
        Sweep,
        Prune,
        Reset("far".into(), 1420),
        Unregister("b".into()),
        Drop("b".into()),
        Create("b".into(), 1410),
        Append(2000),
    ];
    steps.extend((0..8).map(|n| Register(long(n), Some("eu"))));
    // The file is full once in the middle of these.
    for lsn in 2001..2028 {
        steps.extend([Append(lsn), Acks(lsn), Save]);
    }
    steps.extend([
        Reached(2027),
        Drop(long(1)),
        Drop("far".into()),
        Sweep,
        Prune,
        Register("c".into(), None),
    ]);
    steps
}

/// What is known of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// A crash leaves no less, and no more, than this.
    low: u64,
    high: u64,
    valid: bool,
    registered: bool,
    loading: bool,
    region: Option<String>,
}

/// What was promised.
#[derive(Clone, Debug, Default)]
pub struct Book {
    slots: BTreeMap<String, Known>,
    /// The slot, or all of them, that a step which has not ended is about.
    doubt: Option<String>,
    any_in_doubt: bool,
    topology: u64,
    generation: u64,
    quorum: u64,
}

/// A primary, and its book.
#[derive(Debug)]
pub struct Session<'a> {
    pub site: &'a Site,
    pub primary: Primary,
    pub book: Book,
    sessions: BTreeMap<String, u64>,
}

impl<'a> Session<'a> {
    pub fn open(site: &'a Site) -> Result<Session<'a>> {
        Ok(Session {
            site,
            primary: site.open()?,
            book: Book::default(),
            sessions: BTreeMap::new(),
        })
    }

    /// Notes what a step is about, before it.
    pub fn announce(&mut self, step: &Step) {
        self.book.any_in_doubt = matches!(step, Step::Sweep | Step::Prune);
        self.book.doubt = match step {
            Step::Create(id, _)
            | Step::Register(id, _)
            | Step::Unregister(id)
            | Step::Load(id, _)
            | Step::Reset(id, _)
            | Step::Drop(id) => Some(id.clone()),
            _ => None,
        };
    }

    pub fn run(&mut self, step: &Step) -> Result<()> {
        self.announce(step);
        let primary = &self.primary;
        match step {
            Step::Append(lsn) => self.site.log.append_through(*lsn),
            Step::Create(id, lsn) => primary.slot_create(id, Some(*lsn), false)?,
            Step::Register(id, region) => {
                let session = primary.register(id, *region)?;
                self.book.generation = self.book.generation.max(session.generation);
                self.sessions.insert(id.clone(), session.generation);
            }
            Step::Unregister(id) => {
                primary.unregister(id)?;
                self.sessions.remove(id);
            }
            Step::Load(id, loading) => primary.set_rebootstrapping(id, *loading)?,
            Step::Acks(lsn) => {
                for (id, generation) in &self.sessions {
                    primary.ack(id, *generation, &applied(*lsn))?;
                }
            }
            Step::Reached(lsn) => {
                let one = AckPolicy::new(Quorum::Replicas(1), Level::Durable);
                let result = primary.wait_acks(*lsn, &one, Some(Duration::ZERO))?;
                assert_eq!(result.outcome, Outcome::Reached);
                self.book.quorum = self.book.quorum.max(*lsn);
            }
            Step::Save => primary.save()?,
            Step::Reset(id, lsn) => primary.slot_reset(id, Some(*lsn))?,
            Step::Drop(id) => {
                primary.slot_drop(id)?;
                self.sessions.remove(id);
            }
            Step::Sweep => _ = primary.enforce_limits(0)?,
            Step::Prune => _ = primary.prune(None)?,
        }
        self.note();
        Ok(())
    }

    /// Notes what holds now that a step has ended.
    fn note(&mut self) {
        self.book.doubt = None;
        self.book.any_in_doubt = false;
        self.book.topology = self.primary.topology_epoch();
        self.book.slots = BTreeMap::new();
        for info in self.primary.slots() {
            let known = Known {
                low: info.saved_lsn,
                high: info.slot.restart_lsn,
                valid: info.slot.is_valid(),
                registered: info.slot.registered,
                loading: info.slot.rebootstrapping,
                region: info.slot.region,
            };
            self.book.slots.insert(info.slot.id, known);
        }
    }
}

pub fn site() -> Site {
    Site::new(0).with(|o| o.horizon_lsns = Some(500))
}

impl Book {
    /// Looks at what a crash left. `tell` says where it was.
    pub fn check(&self, crashed: &Site, tell: &dyn Fn() -> String) {
        let primary = match crashed.open() {
            Ok(primary) => primary,
            Err(e) => panic!("{}: the store does not open: {e:?}", tell()),
        };
        let stats = primary.stats();
        assert_eq!(
            stats.invalidated_wal_removed,
            0,
            "{}: pruned too far",
            tell()
        );
        let mut found: BTreeMap<_, _> = primary
            .slots()
            .into_iter()
            .map(|info| (info.slot.id.clone(), info.slot))
            .collect();
        for (id, known) in &self.slots {
            let slot = found.remove(id);
            if self.doubt.as_ref() == Some(id) {
                continue;
            }
            let Some(slot) = slot else {
                panic!("{}: slot {id} is gone", tell());
            };
            let lsn = slot.restart_lsn;
            assert!(
                (known.low..=known.high).contains(&lsn),
                "{}: slot {id} is at {lsn}, not within {known:?}",
                tell()
            );
            let now = Known {
                valid: if self.any_in_doubt {
                    known.valid
                } else {
                    slot.is_valid()
                },
                registered: slot.registered,
                loading: slot.rebootstrapping,
                region: slot.region,
                ..known.clone()
            };
            assert_eq!(&now, known, "{}: slot {id}", tell());
        }
        found.retain(|id, _| self.doubt.as_ref() != Some(id));
        assert!(found.is_empty(), "{}: out of nowhere: {found:?}", tell());
        assert!(primary.topology_epoch() >= self.topology, "{}", tell());
        assert!(primary.progress().quorum_lsn >= self.quorum, "{}", tell());
        let session = primary.register("probe", None).unwrap();
        assert!(session.generation > self.generation, "{}", tell());
    }
}

/// Whether a call that failed so may be made again.
pub fn heals(error: &epochwal::Error) -> bool {
    error.kind() == ErrorKind::NoSpace
        || matches!(error.os_error(), Some(libc::EMFILE | libc::ENOMEM))
}
