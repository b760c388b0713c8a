//! An open file of a simulated machine.

use super::fault::{Call, Effect};
use super::{Ongoing, SimStorage, errno, leaves_doubt};
use crate::storage::{File, LockMode, OpenMode};
use std::io;
use std::path::PathBuf;

/// What direct I/O must be a multiple of, in bytes.
const ALIGNMENT: usize = 4096;

#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) storage: SimStorage,
    pub(super) inode: u64,
    /// Names this open file among the owners of locks.
    pub(super) owner: u64,
    pub(super) mode: OpenMode,
    /// The path at the time of the opening.
    pub(super) path: PathBuf,
}

impl SimFile {
    fn begin(&self, call: Call) -> io::Result<Ongoing<'_>> {
        // Most calls are nobody's business, and a name is looked for among all.
        let name = match self.storage.is_watched() {
            true => self.storage.name_of(self.inode),
            false => None,
        };
        self.storage
            .begin(call, &[name.as_deref().unwrap_or(&self.path)])
    }

    /// Whether the call was made as the file's mode wants it.
    fn check(&self, address: usize, len: usize, offset: u64) -> io::Result<()> {
        let aligned = address.is_multiple_of(ALIGNMENT)
            && len.is_multiple_of(ALIGNMENT)
            && offset.is_multiple_of(ALIGNMENT as u64);
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > i64::MAX as u64)
            || (self.mode == OpenMode::DirectSync && !aligned)
        {
            return Err(errno(libc::EINVAL));
        }
        Ok(())
    }

    fn sync(&self, call: Call) -> io::Result<()> {
        let mut ongoing = self.begin(call)?;
        ongoing.mutate()?;
        match ongoing.fail() {
            Err(e) => {
                if e.raw_os_error() != Some(libc::EINTR) {
                    ongoing.machine.disk.inode_mut(self.inode).fail_sync();
                }
                Err(e)
            }
            Ok(()) => {
                ongoing.machine.disk.inode_mut(self.inode).sync();
                Ok(())
            }
        }
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.storage.close(self.owner);
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.check(buf.as_ptr().addr(), buf.len(), offset)?;
        let ongoing = self.begin(Call::Read)?;
        ongoing.fail()?;
        let len = ongoing.limit(buf.len());
        Ok(ongoing
            .machine
            .disk
            .inode(self.inode)
            .read(&mut buf[..len], offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        if self.mode == OpenMode::Read {
            return Err(errno(libc::EBADF));
        }
        self.check(buf.as_ptr().addr(), buf.len(), offset)?;
        let mut ongoing = self.begin(Call::Write)?;
        let direct = self.mode == OpenMode::DirectSync;
        let failed = ongoing.fail();
        if failed.as_ref().is_err_and(|e| !direct || !leaves_doubt(e)) {
            ongoing.mutate()?;
            return failed.map(|()| 0);
        }
        let room = ongoing.machine.room();
        let inode = ongoing.machine.disk.inode(self.inode);
        let wanted = ongoing.limit(buf.len());
        let len = inode.fits(offset, wanted, room);
        if len == 0 && wanted > 0 {
            ongoing.mutate()?;
            return Err(errno(libc::ENOSPC));
        }
        let file = ongoing.machine.disk.inode_mut(self.inode);
        file.write(&buf[..len], offset);
        ongoing.mutate()?;
        let inode = ongoing.machine.disk.inode_mut(self.inode);
        if direct && failed.is_ok() {
            inode.settle(offset, len);
        } else if direct {
            inode.forsake(offset, len);
        }
        failed.map(|()| len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(Call::SyncData)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(Call::SyncAll)
    }

    fn len(&self) -> io::Result<u64> {
        let ongoing = self.begin(Call::Len)?;
        ongoing.fail()?;
        Ok(ongoing.machine.disk.inode(self.inode).size())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.mode == OpenMode::Read || i64::try_from(len).is_err() {
            return Err(errno(libc::EINVAL));
        }
        let mut ongoing = self.begin(Call::SetLen)?;
        let failed = ongoing.fail();
        if failed.is_ok() {
            ongoing.machine.disk.inode_mut(self.inode).set_len(len);
        }
        ongoing.mutate()?;
        failed
    }

    fn try_lock(&self, mode: LockMode, start: u64, len: u64) -> io::Result<bool> {
        if self.mode == OpenMode::Read && mode == LockMode::Exclusive {
            return Err(errno(libc::EBADF));
        }
        let mut ongoing = self.begin(Call::Lock)?;
        ongoing.fail()?;
        let who = (self.inode, self.owner);
        Ok(ongoing.machine.locks.take(who, mode, start, len))
    }

    fn unlock(&self, start: u64, len: u64) -> io::Result<()> {
        let mut ongoing = self.begin(Call::Lock)?;
        ongoing.fail()?;
        ongoing
            .machine
            .locks
            .give_back((self.inode, self.owner), start, len);
        Ok(())
    }

    fn is_locked(&self, start: u64, len: u64) -> io::Result<bool> {
        let ongoing = self.begin(Call::Lock)?;
        ongoing.fail()?;
        let who = (self.inode, self.owner);
        Ok(ongoing.machine.locks.is_exclusive(who, start, len))
    }
}

impl Ongoing<'_> {
    /// The error that the call is to give.
    pub(super) fn fail(&self) -> io::Result<()> {
        match self.effect {
            Some(Effect::Error(number)) => Err(errno(number)),
            _ => Ok(()),
        }
    }

    /// How many of `len` bytes the call is to move.
    fn limit(&self, len: usize) -> usize {
        match self.effect {
            Some(Effect::Short(bytes)) => len.min(bytes),
            _ => len,
        }
    }
}
