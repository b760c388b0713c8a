//! Who waits for replicas, and what they have counted.
//!
//! A waiter counts the acknowledgements of its members once, when it comes;
//! each acknowledgement that passes its LSN adds one. So an acknowledgement
//! costs what it decides, not what there is. Whatever changes who counts at
//! all has everyone count anew.

use super::policy::{Level, Quorum};
use super::state::{Entry, State};
use crate::sequencer::Events;
use crate::sync::Condvar;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Members of a group.
#[derive(Debug)]
enum Members {
    All,
    /// Indices of entries.
    List(Vec<u32>),
    Region(String),
}

impl Members {
    fn has(&self, index: u32, entry: &Entry) -> bool {
        match self {
            Members::All => true,
            Members::List(list) => list.contains(&index),
            Members::Region(region) => entry.slot.region.as_ref() == Some(region),
        }
    }
}

/// So many of these.
#[derive(Debug)]
struct Group {
    required: u32,
    reached: u32,
    members: Members,
}

/// How a wait stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Pending,
    Reached,
    Unmeetable,
}

/// A policy counted over the replicas of a moment.
#[derive(Debug)]
pub(super) struct Count {
    groups: Vec<Group>,
    meetable: bool,
}

impl Count {
    /// Counts who has `lsn` at `level`.
    pub(super) fn of(quorum: &Quorum, level: Level, lsn: u64, state: &State) -> Count {
        let present = || state.entries().filter(|(_, entry)| entry.counts());
        let mut groups = match quorum {
            Quorum::Local => Vec::new(),
            Quorum::Replicas(n) => vec![Group::new(*n, Members::All)],
            Quorum::Any(n, names) => vec![Group::new(*n, Members::List(listed(names, state)))],
            Quorum::First(n, names) => {
                let mut list = listed(names, state);
                // Stable: by priority among the healthy, then among the others.
                list.sort_by_key(|i| !state.entry(*i).is_healthy());
                list.truncate(*n as usize);
                vec![Group::new(*n, Members::List(list))]
            }
            Quorum::Regions(k, names) => {
                let group = |name: &String| Group::new(*k, Members::Region(name.clone()));
                names.iter().map(group).collect()
            }
        };
        let mut meetable = true;
        for group in &mut groups {
            let mut there = 0;
            let mut count = |entry: &Entry| {
                there += 1;
                group.reached += u32::from(entry.position(level) >= lsn);
            };
            match &group.members {
                Members::List(list) => list.iter().for_each(|i| count(state.entry(*i))),
                Members::All | Members::Region(_) => present()
                    .filter(|(index, entry)| group.members.has(*index, entry))
                    .for_each(|(_, entry)| count(entry)),
            }
            meetable &= there >= group.required;
        }
        Count { groups, meetable }
    }

    pub(super) fn fate(&self) -> Fate {
        if self.groups.iter().all(|g| g.reached >= g.required) {
            Fate::Reached
        } else if self.meetable {
            Fate::Pending
        } else {
            Fate::Unmeetable
        }
    }

    /// Acknowledgements that count, and those that are asked for.
    pub(super) fn figures(&self) -> (u32, u32) {
        let sum = |of: fn(&Group) -> u32| {
            let all = self.groups.iter().map(of);
            all.fold(0, u32::saturating_add)
        };
        (sum(|g| g.reached.min(g.required)), sum(|g| g.required))
    }
}

impl Group {
    fn new(required: u32, members: Members) -> Group {
        Group {
            required,
            reached: 0,
            members,
        }
    }
}

/// The entries of a list that count now, in its order.
fn listed(names: &[String], state: &State) -> Vec<u32> {
    let found = names.iter().filter_map(|name| state.find(name));
    found.filter(|i| state.entry(*i).counts()).collect()
}

#[derive(Debug)]
struct Waiting {
    quorum: Quorum,
    count: Count,
    /// Who sleeps until it is decided; none: an event loop looks.
    sleeper: Option<Arc<Condvar>>,
}

impl Waiting {
    /// Wakes the one who sleeps; true: it is the loops that are to look.
    fn ring(&self) -> bool {
        self.sleeper.as_ref().map(|s| s.notify_all()).is_none()
    }
}

/// Where a waiter stands among the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    level: Level,
    key: (u64, u64),
}

/// All who wait, by level and LSN.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    last: u64,
    levels: [BTreeMap<(u64, u64), Waiting>; 3],
    /// The descriptors that event loops watch.
    pub(super) events: Events,
}

impl Waiters {
    /// Adds a waiter, who is told when its fate is no longer pending: woken
    /// where it sleeps, by the descriptors where it does not.
    pub(super) fn add(
        &mut self,
        quorum: &Quorum,
        level: Level,
        lsn: u64,
        count: Count,
        sleeper: Option<Arc<Condvar>>,
    ) -> Place {
        self.last += 1;
        let key = (lsn, self.last);
        let waiting = Waiting {
            quorum: quorum.clone(),
            count,
            sleeper,
        };
        self.levels[level as usize].insert(key, waiting);
        Place { level, key }
    }

    pub(super) fn get(&self, place: Place) -> &Count {
        &self.levels[place.level as usize][&place.key].count
    }

    pub(super) fn remove(&mut self, place: Place) {
        self.levels[place.level as usize].remove(&place.key);
    }

    /// The highest LSN that was reached for one who has not woken yet; 0: none.
    pub(super) fn highest_reached(&self) -> u64 {
        let all = self.levels.iter().flatten();
        let reached = all.filter(|(_, waiting)| waiting.count.fate() == Fate::Reached);
        reached.map(|((lsn, _), _)| *lsn).max().unwrap_or(0)
    }

    pub(super) fn len(&self) -> u64 {
        self.levels.iter().map(|l| l.len() as u64).sum()
    }

    /// An entry that counts has come from one position of a level to another.
    pub(super) fn advance(&mut self, index: u32, entry: &Entry, level: Level, from: u64, to: u64) {
        let passed = (from.saturating_add(1), 0)..=(to, u64::MAX);
        let mut watched = false;
        for waiting in self.levels[level as usize]
            .range_mut(passed)
            .map(|(_, w)| w)
        {
            if waiting.count.fate() != Fate::Pending {
                continue;
            }
            for group in &mut waiting.count.groups {
                group.reached += u32::from(group.members.has(index, entry));
            }
            if waiting.count.fate() != Fate::Pending {
                watched |= waiting.ring();
            }
        }
        self.tell(watched);
    }

    /// Everyone counts anew, or those whose policy asks who is healthy.
    pub(super) fn recount(&mut self, state: &State, by_health: bool) {
        let mut watched = false;
        for (level, waiters) in Level::ALL.into_iter().zip(&mut self.levels) {
            for (&(lsn, _), waiting) in waiters {
                let concerned = !by_health || matches!(waiting.quorum, Quorum::First(..));
                // What was reached once has been reached.
                if !concerned || waiting.count.fate() == Fate::Reached {
                    continue;
                }
                waiting.count = Count::of(&waiting.quorum, level, lsn, state);
                if waiting.count.fate() != Fate::Pending {
                    watched |= waiting.ring();
                }
            }
        }
        self.tell(watched);
    }

    /// Wakes everyone, to see what else has happened.
    pub(super) fn wake_all(&self) {
        let all = self.levels.iter().flat_map(|l| l.values());
        all.for_each(|waiting| _ = waiting.ring());
        self.events.signal();
    }

    /// Once for all that one call has decided.
    fn tell(&self, watched: bool) {
        if watched {
            self.events.signal();
        }
    }
}
