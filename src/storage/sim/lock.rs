//! Open-file-description locks.

use crate::storage::LockMode;

/// A held range; `last` is part of it.
#[derive(Debug)]
struct Held {
    inode: u64,
    owner: u64,
    mode: LockMode,
    first: u64,
    last: u64,
}

/// The locks of a machine. An owner is an open file.
#[derive(Debug, Default)]
pub(super) struct Locks(Vec<Held>);

/// The first and last offset of a range as `fcntl` takes it: length 0, and
/// what ends beyond the largest offset, reach to the end.
fn span(start: u64, len: u64) -> (u64, u64) {
    let end = i64::MAX as u64;
    let first = start.min(end);
    match len {
        0 => (first, end),
        _ => (first, first.saturating_add(len - 1).min(end)),
    }
}

impl Locks {
    /// Whether somebody else's lock, of a mode that `stands_in_the_way`,
    /// overlaps the range.
    fn conflict(
        &self,
        (inode, owner): (u64, u64),
        (first, last): (u64, u64),
        stands_in_the_way: impl Fn(LockMode) -> bool,
    ) -> bool {
        self.0.iter().any(|held| {
            held.inode == inode
                && held.owner != owner
                && held.first <= last
                && first <= held.last
                && stands_in_the_way(held.mode)
        })
    }

    /// Takes or converts a lock; false where somebody else's is in the way.
    pub(super) fn take(&mut self, who: (u64, u64), mode: LockMode, start: u64, len: u64) -> bool {
        let (first, last) = span(start, len);
        let exclusive = mode == LockMode::Exclusive;
        let in_the_way = |theirs| exclusive || theirs == LockMode::Exclusive;
        if self.conflict(who, (first, last), in_the_way) {
            return false;
        }
        self.give_back(who, start, len);
        let (inode, owner) = who;
        self.0.push(Held {
            inode,
            owner,
            mode,
            first,
            last,
        });
        true
    }

    /// Frees a range, which may cut locks at both ends or in two.
    pub(super) fn give_back(&mut self, (inode, owner): (u64, u64), start: u64, len: u64) {
        let (first, last) = span(start, len);
        let mut kept = Vec::new();
        self.0.retain(|held| {
            let hit = held.inode == inode
                && held.owner == owner
                && held.first <= last
                && first <= held.last;
            if hit && held.first < first {
                kept.push(Held {
                    last: first - 1,
                    ..*held
                });
            }
            if hit && last < held.last {
                kept.push(Held {
                    first: last + 1,
                    ..*held
                });
            }
            !hit
        });
        self.0.append(&mut kept);
    }

    /// Frees all that an owner holds.
    pub(super) fn forget(&mut self, owner: u64) {
        self.0.retain(|held| held.owner != owner);
    }

    /// Whether somebody else holds an exclusive lock in the range.
    pub(super) fn is_exclusive(&self, who: (u64, u64), start: u64, len: u64) -> bool {
        self.conflict(who, span(start, len), |theirs| {
            theirs == LockMode::Exclusive
        })
    }
}
