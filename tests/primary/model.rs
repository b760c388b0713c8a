//! Random sessions with crashes, beside a model that has no disk.

use crate::site::*;
use epochwal::ErrorKind;
use epochwal::primary::{Ack, Cause, Origin, Primary, Slot};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const HORIZON: u64 = 50;
const IDLE: Duration = Duration::from_secs(100);

#[derive(Clone, Debug)]
enum Op {
    Append(u64),
    Create(usize, u64),
    Drop(usize),
    Reset(usize, u64),
    Register(usize),
    Unregister(usize),
    Load(usize, bool),
    /// How far behind the end: durable and applied; and by the newest session.
    Ack(usize, i64, i64, bool),
    Pass(u64),
    Sweep,
    Prune(Option<u64>),
    Save,
    Restart,
    Crash(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let id = 0..3_usize;
    // As distances below the end.
    let lag = 0..70_u64;
    let about = -3..40_i64;
    prop_oneof![
        4 => (1..30_u64).prop_map(Op::Append),
        3 => (id.clone(), lag.clone()).prop_map(|(i, l)| Op::Create(i, l)),
        1 => id.clone().prop_map(Op::Drop),
        2 => (id.clone(), lag.clone()).prop_map(|(i, l)| Op::Reset(i, l)),
        4 => id.clone().prop_map(Op::Register),
        1 => id.clone().prop_map(Op::Unregister),
        1 => (id.clone(), any::<bool>()).prop_map(|(i, l)| Op::Load(i, l)),
        8 => (id, about.clone(), about, prop::bool::weighted(0.9))
            .prop_map(|(i, d, a, s)| Op::Ack(i, d, a, s)),
        1 => (1..80_u64).prop_map(Op::Pass),
        1 => Just(Op::Sweep),
        2 => proptest::option::of(lag).prop_map(Op::Prune),
        2 => Just(Op::Save),
        1 => Just(Op::Restart),
        1 => any::<u64>().prop_map(Op::Crash),
    ]
}

#[derive(Clone, Debug)]
struct Entry {
    slot: Slot,
    seen: Duration,
    session: u64,
}

/// What must be so.
#[derive(Debug)]
struct Model {
    now: Duration,
    end: u64,
    pruned: u64,
    slots: BTreeMap<String, Entry>,
    /// What a crash leaves at least.
    saved: BTreeMap<String, Slot>,
    last_session: u64,
}

fn name(i: usize) -> String {
    ["a", "b", "c"][i].to_owned()
}

impl Model {
    fn keep(&mut self, id: &str) {
        match self.slots.get(id) {
            Some(entry) => _ = self.saved.insert(id.into(), entry.slot.clone()),
            None => _ = self.saved.remove(id),
        }
    }

    fn keep_all(&mut self) {
        let slots = self.slots.iter();
        self.saved = slots.map(|(id, e)| (id.clone(), e.slot.clone())).collect();
    }

    fn place(&self, lsn: u64) -> Result<(), ErrorKind> {
        match lsn {
            lsn if lsn < self.pruned => Err(ErrorKind::WalRemoved),
            lsn if lsn > self.end => Err(ErrorKind::Ahead),
            _ => Ok(()),
        }
    }

    fn member(&mut self, id: &str) -> Result<&mut Entry, ErrorKind> {
        let member = self.slots.get_mut(id).filter(|e| e.slot.registered);
        member.ok_or(ErrorKind::NotFound)
    }

    fn create(&mut self, id: &str, lsn: u64) -> Result<(), ErrorKind> {
        self.place(lsn)?;
        if self.slots.contains_key(id) {
            return Err(ErrorKind::Exists);
        }
        let mut slot = Slot::new(id, lsn, Origin::Given, 0);
        slot.confirmed_lsn = lsn;
        self.add(id, slot);
        Ok(())
    }

    fn add(&mut self, id: &str, slot: Slot) {
        let entry = Entry {
            slot,
            seen: self.now,
            session: 0,
        };
        self.slots.insert(id.into(), entry);
        self.keep(id);
    }

    fn reset(&mut self, id: &str, lsn: u64) -> Result<(), ErrorKind> {
        let entry = self.slots.get(id).ok_or(ErrorKind::NotFound)?;
        self.place(lsn)?;
        if entry.slot.is_valid() && lsn < entry.slot.restart_lsn {
            return Err(ErrorKind::Order);
        }
        let now = self.now;
        let entry = self.slots.get_mut(id).unwrap();
        (entry.slot.restart_lsn, entry.slot.confirmed_lsn) = (lsn, lsn);
        entry.slot.invalidation = None;
        entry.slot.origin = Origin::Given;
        entry.seen = now;
        self.keep(id);
        Ok(())
    }

    /// Gives the restart LSN that the registration returns.
    fn register(&mut self, id: &str, session: u64) -> u64 {
        assert!(session > self.last_session, "a session's number came twice");
        self.last_session = session;
        if !self.slots.contains_key(id) {
            self.add(id, Slot::new(id, self.end, Origin::Pinned, 0));
        }
        let now = self.now;
        let entry = self.slots.get_mut(id).unwrap();
        entry.seen = now;
        entry.session = session;
        let joins = !entry.slot.registered;
        entry.slot.registered = true;
        let restart_lsn = entry.slot.restart_lsn;
        if joins {
            self.keep(id);
        }
        restart_lsn
    }

    fn ack(&mut self, id: &str, session: u64, durable: u64, applied: u64) -> Result<(), ErrorKind> {
        let (now, end) = (self.now, self.end);
        let entry = self.member(id)?;
        if entry.session == 0 || session != entry.session {
            return Err(ErrorKind::Fenced);
        }
        if !entry.slot.is_valid() {
            return Err(ErrorKind::WalRemoved);
        }
        if durable.max(applied) > end {
            return Err(ErrorKind::Ahead);
        }
        entry.seen = now;
        let slot = &mut entry.slot;
        slot.restart_lsn = slot.restart_lsn.max(durable);
        slot.confirmed_lsn = slot.confirmed_lsn.max(applied);
        if durable > 0 && durable == slot.restart_lsn {
            slot.origin = Origin::Acknowledged;
        }
        Ok(())
    }

    /// Gives the ids that are given up.
    fn sweep(&mut self) -> Vec<(String, Cause)> {
        let mut given_up = Vec::new();
        for (id, entry) in &mut self.slots {
            let slot = &mut entry.slot;
            let cause = if !slot.is_valid() {
                continue;
            } else if slot.restart_lsn < self.pruned {
                Cause::WalRemoved
            } else if self.end - slot.restart_lsn > HORIZON {
                Cause::Horizon
            } else if self.now - entry.seen > IDLE {
                Cause::IdleTimeout
            } else {
                continue;
            };
            slot.invalidation = Some(epochwal::primary::Invalidation { cause, at_ms: 0 });
            given_up.push((id.clone(), cause));
        }
        given_up.iter().for_each(|(id, _)| self.keep(id));
        given_up
    }

    fn prune(&mut self, archived: Option<u64>) -> u64 {
        self.sweep();
        self.keep_all();
        let valid = self.slots.values().filter(|e| e.slot.is_valid());
        let floor = valid.map(|e| e.slot.restart_lsn).min().unwrap_or(self.end);
        let target = floor.min(archived.unwrap_or(u64::MAX)).min(self.end);
        self.pruned = self.pruned.max(target);
        self.pruned
    }

    /// A new life: what is there must be between what was saved and what was.
    fn resume(&mut self, primary: &Primary) {
        let found: BTreeMap<_, _> = plain(primary)
            .into_iter()
            .map(|s| (s.id.clone(), s))
            .collect();
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            self.saved.keys().collect::<Vec<_>>()
        );
        for (id, slot) in &found {
            let (low, high) = (&self.saved[id], &self.slots[id].slot);
            let lsns = |of: fn(&Slot) -> u64| (of(low)..=of(high)).contains(&of(slot));
            assert!(lsns(|s| s.restart_lsn), "{low:?}, {slot:?}, {high:?}");
            assert!(lsns(|s| s.confirmed_lsn), "{low:?}, {slot:?}, {high:?}");
            assert!([low.origin, high.origin].contains(&slot.origin));
            let as_low = Slot {
                restart_lsn: low.restart_lsn,
                confirmed_lsn: low.confirmed_lsn,
                origin: low.origin,
                ..slot.clone()
            };
            assert_eq!(&as_low, low);
        }
        self.now = Duration::ZERO;
        self.saved = found.clone();
        let entry = |slot| Entry {
            slot,
            seen: Duration::ZERO,
            session: 0,
        };
        self.slots = found.into_iter().map(|(id, s)| (id, entry(s))).collect();
    }
}

/// The slots without any time.
fn plain(primary: &Primary) -> Vec<Slot> {
    let mut slots = timeless(primary);
    for slot in &mut slots {
        if let Some(invalidation) = &mut slot.invalidation {
            invalidation.at_ms = 0;
        }
    }
    slots
}

fn check(ops: &[Op]) {
    let options = |o: &mut epochwal::primary::PrimaryOptions| {
        o.horizon_lsns = Some(HORIZON);
        o.idle_timeout = Some(IDLE);
    };
    let mut site = Site::new(100).with(options);
    let mut primary = site.open().unwrap();
    let mut model = Model {
        now: Duration::ZERO,
        end: 100,
        pruned: 0,
        slots: BTreeMap::new(),
        saved: BTreeMap::new(),
        last_session: 0,
    };
    let kinds = |r: epochwal::Result<()>| r.map_err(|e| e.kind());
    for op in ops {
        let below = |lag: u64| model.end.saturating_sub(lag);
        match op {
            Op::Append(n) => {
                model.end += n;
                site.log.append_through(model.end);
            }
            Op::Create(i, lag) => {
                let (id, lsn) = (name(*i), below(*lag));
                let got = kinds(primary.slot_create(&id, Some(lsn), false));
                assert_eq!(got, model.create(&id, lsn), "{op:?}");
            }
            Op::Drop(i) => {
                let id = name(*i);
                let expected = model
                    .slots
                    .remove(&id)
                    .map(|_| ())
                    .ok_or(ErrorKind::NotFound);
                model.keep(&id);
                assert_eq!(kinds(primary.slot_drop(&id)), expected, "{op:?}");
            }
            Op::Reset(i, lag) => {
                let (id, lsn) = (name(*i), below(*lag));
                let got = kinds(primary.slot_reset(&id, Some(lsn)));
                assert_eq!(got, model.reset(&id, lsn), "{op:?}");
            }
            Op::Register(i) => {
                let session = primary.register(&name(*i), None).unwrap();
                let restart_lsn = model.register(&name(*i), session.generation);
                assert_eq!(session.restart_lsn, restart_lsn, "{op:?}");
            }
            Op::Unregister(i) => {
                let id = name(*i);
                let expected = model.member(&id).map(|e| {
                    e.slot.registered = false;
                    e.session = 0;
                });
                if expected.is_ok() {
                    model.keep(&id);
                }
                assert_eq!(kinds(primary.unregister(&id)), expected, "{op:?}");
            }
            Op::Load(i, loading) => {
                let id = name(*i);
                let expected = model.member(&id).map(|e| {
                    let changed = e.slot.rebootstrapping != *loading;
                    e.slot.rebootstrapping = *loading;
                    changed
                });
                if expected == Ok(true) {
                    model.keep(&id);
                }
                let got = kinds(primary.set_rebootstrapping(&id, *loading));
                assert_eq!(got, expected.map(|_| ()), "{op:?}");
            }
            Op::Ack(i, durable, applied, newest) => {
                let id = name(*i);
                let at = |lag: i64| model.end.saturating_add_signed(-lag);
                let (durable, applied) = (at(*durable), at(*applied));
                let current = model.slots.get(&id).map_or(0, |e| e.session);
                let session = if *newest {
                    current
                } else {
                    current.wrapping_sub(1)
                };
                let ack = Ack {
                    durable,
                    applied,
                    ..Ack::default()
                };
                let got = kinds(primary.ack(&id, session, &ack));
                assert_eq!(got, model.ack(&id, session, durable, applied), "{op:?}");
            }
            Op::Pass(seconds) => {
                let time = Duration::from_secs(*seconds);
                model.now += time;
                site.clocks.pass(time);
            }
            Op::Sweep => {
                let got = primary.enforce_limits(0).unwrap().into_iter();
                let mut got: Vec<_> = got
                    .map(|s| (s.slot.id, s.slot.invalidation.unwrap().cause))
                    .collect();
                got.sort_by(|a, b| a.0.cmp(&b.0));
                assert_eq!(got, model.sweep(), "{op:?}");
            }
            Op::Prune(archive) => {
                let archived = archive.map(below);
                let pruned = primary.prune(archived).unwrap();
                assert_eq!(pruned, model.prune(archived), "{op:?}");
            }
            Op::Save => {
                primary.save().unwrap();
                model.keep_all();
            }
            Op::Restart => {
                primary.close().unwrap();
                model.keep_all();
                site = site.after(site.disk.snapshot());
                primary = site.open().unwrap();
                model.resume(&primary);
            }
            Op::Crash(seed) => {
                let crashed = site.after(site.disk.crash_random(*seed));
                drop(primary);
                site = crashed;
                primary = site.open().unwrap();
                model.resume(&primary);
            }
        }
        let expected: Vec<_> = model.slots.values().map(|e| e.slot.clone()).collect();
        assert_eq!(plain(&primary), expected, "after {op:?}");
        // G11, after each step.
        let floor = model.saved.values().filter(|s| s.is_valid());
        let floor = floor.map(|s| s.restart_lsn).min().unwrap_or(u64::MAX);
        assert!(site.log.state().pruned <= floor, "after {op:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn random_sessions_are_as_the_model_says(ops in proptest::collection::vec(op(), 1..120)) {
        check(&ops);
    }
}
