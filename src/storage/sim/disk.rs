//! The disk: files by number, and the names that lead to them.

use super::inode::Inode;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names of files, by normalized absolute path.
type Map = BTreeMap<PathBuf, u64>;

/// A change of names: the file `inode` gets the name `to`, or loses its name.
#[derive(Clone, Debug)]
struct Change {
    inode: u64,
    from: Option<PathBuf>,
    to: Option<PathBuf>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next sync of a directory that it touches makes it durable.
    Pending,
    /// A sync failed: a crash decides, and no later sync counts.
    Unknown,
    /// It waits only for older ones, since changes apply in order.
    Durable,
}

impl Change {
    /// Applies the change. Older ones may have been lost, so the file's name
    /// is not looked for where it should be; a file has one name.
    fn apply(&self, names: &mut Map) {
        names.retain(|_, inode| *inode != self.inode);
        if let Some(to) = &self.to {
            names.insert(to.clone(), self.inode);
        }
    }

    fn touches(&self, dir: &Path) -> bool {
        let mut paths = self.from.iter().chain(&self.to);
        paths.any(|path| path.parent() == Some(dir))
    }
}

#[derive(Clone, Debug, Default)]
struct Names {
    dirs: BTreeSet<PathBuf>,
    current: Map,
    durable: Map,
    changes: Vec<Change>,
}

/// What a machine's disk and page cache hold. Cheap to clone: clones share
/// what neither changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    inodes: BTreeMap<u64, Arc<Inode>>,
    names: Arc<Names>,
    last_inode: u64,
}

impl Disk {
    /// Makes a directory and those above it, at once durable.
    pub(super) fn make_dirs(&mut self, dir: &Path) {
        let dirs = dir.ancestors().map(Path::to_owned);
        Arc::make_mut(&mut self.names).dirs.extend(dirs);
    }

    pub(super) fn is_dir(&self, path: &Path) -> bool {
        self.names.dirs.contains(path)
    }

    pub(super) fn find(&self, path: &Path) -> Option<u64> {
        self.names.current.get(path).copied()
    }

    /// The name of a file, where it has one.
    pub(super) fn name_of(&self, inode: u64) -> Option<&Path> {
        let mut names = self.names.current.iter();
        names.find_map(|(path, &i)| (i == inode).then_some(path.as_path()))
    }

    /// The paths of what is in a directory.
    pub(super) fn children(&self, dir: &Path) -> impl Iterator<Item = &Path> {
        let paths = self.names.current.keys().chain(&self.names.dirs);
        paths
            .map(PathBuf::as_path)
            .filter(move |path| path.parent() == Some(dir))
    }

    pub(super) fn inode(&self, inode: u64) -> &Inode {
        &self.inodes[&inode]
    }

    pub(super) fn inode_mut(&mut self, inode: u64) -> &mut Inode {
        Arc::make_mut(
            self.inodes
                .get_mut(&inode)
                .expect("an open file's inode stays"),
        )
    }

    /// Bytes that files take.
    pub(super) fn allocated(&self) -> u64 {
        self.inodes.values().map(|inode| inode.allocated()).sum()
    }

    /// Makes an empty file.
    pub(super) fn create(&mut self, path: &Path) -> u64 {
        self.last_inode += 1;
        self.inodes.insert(self.last_inode, Arc::default());
        self.change(self.last_inode, None, Some(path));
        self.last_inode
    }

    /// Gives the file `inode` at `from` another name, or none.
    pub(super) fn rename(&mut self, inode: u64, from: &Path, to: Option<&Path>) {
        self.change(inode, Some(from), to);
    }

    fn change(&mut self, inode: u64, from: Option<&Path>, to: Option<&Path>) {
        let change = Change {
            inode,
            from: from.map(Path::to_owned),
            to: to.map(Path::to_owned),
            state: State::Pending,
        };
        let names = Arc::make_mut(&mut self.names);
        change.apply(&mut names.current);
        names.changes.push(change);
    }

    /// A sync of a directory that succeeds.
    pub(super) fn sync_dir(&mut self, dir: &Path) {
        self.end_sync(dir, State::Durable);
        let names = Arc::make_mut(&mut self.names);
        let ripe = names
            .changes
            .iter()
            .take_while(|change| change.state == State::Durable);
        let ripe = ripe.count();
        for change in names.changes.drain(..ripe) {
            change.apply(&mut names.durable);
        }
    }

    /// A sync of a directory that fails.
    pub(super) fn fail_sync_dir(&mut self, dir: &Path) {
        self.end_sync(dir, State::Unknown);
    }

    fn end_sync(&mut self, dir: &Path, state: State) {
        for change in &mut Arc::make_mut(&mut self.names).changes {
            if change.state == State::Pending && change.touches(dir) {
                change.state = state;
            }
        }
    }

    /// Drops files that no name leads to, now or after a crash, but those
    /// that `keep` names.
    pub(super) fn collect(&mut self, keep: impl Fn(u64) -> bool) {
        let named = self.reachable();
        self.inodes
            .retain(|inode, _| named.contains(inode) || keep(*inode));
    }

    fn reachable(&self) -> BTreeSet<u64> {
        let names = self
            .names
            .current
            .values()
            .chain(self.names.durable.values());
        let changes = self.names.changes.iter().map(|change| change.inode);
        names.copied().chain(changes).collect()
    }

    /// The disk that a crash leaves. Asks `choose` about each change of names,
    /// oldest first, then about each file, in the order of their making. What
    /// is asked never depends on the answers.
    pub(super) fn crash(&self, choose: &mut dyn FnMut(usize) -> usize) -> Disk {
        let mut left = self.names.durable.clone();
        for change in &self.names.changes {
            let settled = change.state == State::Durable;
            if settled || yes(choose) {
                change.apply(&mut left);
            }
        }
        let mut disk = Disk {
            inodes: BTreeMap::new(),
            names: Arc::default(),
            last_inode: self.last_inode,
        };
        let named = self.reachable();
        for (&number, inode) in self.inodes.iter().filter(|(n, _)| named.contains(n)) {
            let mut inode = inode.clone();
            Arc::make_mut(&mut inode).crash(choose);
            disk.inodes.insert(number, inode);
        }
        let names = Arc::make_mut(&mut disk.names);
        names.dirs = self.names.dirs.clone();
        names.durable = left.clone();
        names.current = left;
        disk.collect(|_| false);
        disk
    }
}

/// A choice between no and yes.
fn yes(choose: &mut dyn FnMut(usize) -> usize) -> bool {
    let choice = choose(2);
    assert!(choice < 2, "choice {choice} of 2");
    choice == 1
}
