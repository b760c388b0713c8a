//! The slot store's frames (`docs/format.md`, "Slot store").

use super::bytes::{get_u16, get_u32, get_u64, put_u16, put_u32, put_u64};
use super::crc::crc32c;

/// Bytes of a frame in front of its entries.
pub const FRAME_HEAD: usize = 80;
/// The longest frame.
pub const FRAME_MAX: usize = 64 << 20;
/// The longest id, and the longest region, in bytes.
pub const NAME_MAX: usize = 255;
/// The most slots: one frame holds all of them twice, however long their names are.
pub const SLOTS_MAX: usize = 50_000;
const ENTRY_HEAD: usize = 48;
const MAGIC: &[u8; 4] = b"EWSL";
const VERSION: u8 = 1;
const ENTRY_SLOT: u8 = 1;
const ENTRY_DROPPED: u8 = 2;
const FLAG_REGISTERED: u8 = 1;
const FLAG_REBOOTSTRAPPING: u8 = 2;

/// Why a slot holds nothing back any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// What it needs is gone.
    WalRemoved,
    /// It held back more than the configured lag.
    Horizon,
    /// Nobody has seen it for the configured time.
    IdleTimeout,
}

impl Cause {
    /// Each once.
    pub const ALL: [Cause; 3] = [Cause::WalRemoved, Cause::Horizon, Cause::IdleTimeout];

    /// As the JSON store and the faces spell it.
    pub fn name(self) -> &'static str {
        match self {
            Cause::WalRemoved => "wal-removed",
            Cause::Horizon => "horizon",
            Cause::IdleTimeout => "idle-timeout",
        }
    }

    /// The cause of that name.
    pub fn of_name(name: &str) -> Option<Cause> {
        Cause::ALL.into_iter().find(|c| c.name() == name)
    }

    fn code(this: Option<Cause>) -> u8 {
        match this {
            None => 0,
            Some(Cause::WalRemoved) => 1,
            Some(Cause::Horizon) => 2,
            Some(Cause::IdleTimeout) => 3,
        }
    }

    fn of_code(code: u8) -> Option<Option<Cause>> {
        match code {
            0 => Some(None),
            n => Cause::ALL.get(usize::from(n) - 1).copied().map(Some),
        }
    }
}

/// Who says where a slot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A registration pinned the end of the log; the replica has said nothing.
    Pinned,
    /// Whoever created or reset the slot.
    Given,
    /// The replica's acknowledgements.
    Acknowledged,
}

/// An invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalidation {
    /// Why.
    pub cause: Cause,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// A replica's durable place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The replica's name.
    pub id: String,
    /// Durable at the replica: nothing above it may be pruned.
    pub restart_lsn: u64,
    /// Applied by the replica.
    pub confirmed_lsn: u64,
    /// When the replica was seen last, in milliseconds since the Unix epoch.
    pub last_seen_ms: u64,
    /// When the slot was made, likewise.
    pub created_ms: u64,
    /// Not stored: gone when the primary closes or the replica unregisters.
    pub temporary: bool,
    /// Where the replica is, for policies that ask for it.
    pub region: Option<String>,
    /// Set where the slot holds nothing back any more.
    pub invalidation: Option<Invalidation>,
    /// Who says where it stands.
    pub origin: Origin,
    /// The replica is a member of the registry.
    pub registered: bool,
    /// The replica is being loaded from a snapshot.
    pub rebootstrapping: bool,
}

impl Slot {
    /// A valid slot with nothing said of its replica.
    pub fn new(id: &str, restart_lsn: u64, origin: Origin, now_ms: u64) -> Slot {
        Slot {
            id: id.to_owned(),
            restart_lsn,
            confirmed_lsn: 0,
            last_seen_ms: now_ms,
            created_ms: now_ms,
            temporary: false,
            region: None,
            invalidation: None,
            origin,
            registered: false,
            rebootstrapping: false,
        }
    }

    /// Whether it still holds records back.
    pub fn is_valid(&self) -> bool {
        self.invalidation.is_none()
    }
}

/// What is wrong with the name of a slot or a region; none: nothing.
pub fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.len() > NAME_MAX {
        return Some("has more than 255 bytes");
    }
    // NUL is a control character.
    if name.chars().any(char::is_control) {
        return Some("has a control character");
    }
    None
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// The first of a file: all slots.
    Base = 1,
    /// What has changed.
    Changes = 2,
    /// Nothing but the word that all frames before it are durable. It is not
    /// synced itself, and the next save is written over it.
    Mark = 3,
}

/// The fields of a frame that are not slots. Each frame has all of them, as
/// they were when it was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The log that the slots belong to.
    pub log_id: [u8; 16],
    /// Length of the file.
    pub file_len: u64,
    /// No topology epoch above it was shown to anyone.
    pub topology_bound: u64,
    /// No session's generation above it was given out.
    pub generation_bound: u64,
    /// The highest LSN that a commit wait called reached.
    pub quorum_lsn: u64,
}

/// Puts a frame together.
#[derive(Debug)]
pub struct FrameWriter {
    out: Vec<u8>,
    entries: u32,
}

impl FrameWriter {
    /// An empty frame of a kind.
    pub fn new(kind: FrameKind) -> FrameWriter {
        let mut out = vec![0; FRAME_HEAD];
        out[..4].copy_from_slice(MAGIC);
        out[12] = kind as u8;
        out[13] = VERSION;
        FrameWriter { out, entries: 0 }
    }

    /// Whether no entry was added.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Adds what a slot is now.
    pub fn put(&mut self, slot: &Slot) {
        let at = self.entry(ENTRY_SLOT, &slot.id, slot.region.as_deref().unwrap_or(""));
        let head = &mut self.out[at..at + ENTRY_HEAD];
        let registered = if slot.registered { FLAG_REGISTERED } else { 0 };
        let loading = if slot.rebootstrapping {
            FLAG_REBOOTSTRAPPING
        } else {
            0
        };
        head[3] = registered | loading;
        head[4] = match slot.origin {
            Origin::Pinned => 0,
            Origin::Given => 1,
            Origin::Acknowledged => 2,
        };
        head[5] = Cause::code(slot.invalidation.map(|i| i.cause));
        for (at, value) in [
            (8, slot.restart_lsn),
            (16, slot.confirmed_lsn),
            (24, slot.last_seen_ms),
            (32, slot.created_ms),
            (40, slot.invalidation.map_or(0, |i| i.at_ms)),
        ] {
            put_u64(head, at, value);
        }
    }

    /// Adds that a slot is gone.
    pub fn drop_slot(&mut self, id: &str) {
        self.entry(ENTRY_DROPPED, id, "");
    }

    fn entry(&mut self, kind: u8, id: &str, region: &str) -> usize {
        let at = self.out.len();
        let len = (ENTRY_HEAD + id.len() + region.len()).next_multiple_of(8);
        self.out.resize(at + ENTRY_HEAD, 0);
        self.out.extend_from_slice(id.as_bytes());
        self.out.extend_from_slice(region.as_bytes());
        self.out.resize(at + len, 0);
        let head = &mut self.out[at..at + ENTRY_HEAD];
        put_u16(head, 0, len as u16);
        head[2] = kind;
        head[6] = id.len() as u8;
        head[7] = region.len() as u8;
        self.entries += 1;
        at
    }

    /// Adds the entries of another frame behind its own.
    pub fn append(&mut self, other: &FrameWriter) {
        self.out.extend_from_slice(&other.out[FRAME_HEAD..]);
        self.entries += other.entries;
    }

    /// The length that the frame will have.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// The frame's bytes.
    pub fn finish(mut self, sequence: u64, meta: &Meta) -> Vec<u8> {
        let out = &mut self.out;
        let len = out.len() as u32;
        put_u32(out, 8, len);
        put_u64(out, 16, sequence);
        out[24..40].copy_from_slice(&meta.log_id);
        put_u64(out, 40, meta.file_len);
        put_u64(out, 48, meta.topology_bound);
        put_u64(out, 56, meta.generation_bound);
        put_u64(out, 64, meta.quorum_lsn);
        put_u32(out, 72, self.entries);
        let crc = crc32c(&out[8..]);
        put_u32(out, 4, crc);
        self.out
    }
}

/// Why bytes are no frame that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// No frame, or a damaged one.
    Invalid,
    /// A right frame of a version that this library does not know.
    Newer(u8),
    /// Right checksums around what can't be.
    Nonsense(&'static str),
}

/// A frame whose checksum is right.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its kind.
    pub kind: FrameKind,
    /// One more than that of the frame before.
    pub sequence: u64,
    /// Its fields.
    pub meta: Meta,
    /// Its length in bytes.
    pub len: usize,
    count: u32,
    entries: &'a [u8],
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A slot is this now.
    Put(Slot),
    /// The slot of this id is gone.
    Dropped(String),
}

/// How long the frame that begins `bytes` says it is; none where it can't be one.
pub fn claimed_len(bytes: &[u8]) -> Option<usize> {
    if bytes.len() < FRAME_HEAD || &bytes[..4] != MAGIC {
        return None;
    }
    let len = get_u32(bytes, 8) as usize;
    let fits = (FRAME_HEAD..=FRAME_MAX).contains(&len) && len.is_multiple_of(8);
    fits.then_some(len)
}

impl<'a> Frame<'a> {
    /// The frame at the beginning of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Frame<'a>, FrameError> {
        let len = claimed_len(bytes).ok_or(FrameError::Invalid)?;
        let bytes = bytes.get(..len).ok_or(FrameError::Invalid)?;
        if crc32c(&bytes[8..]) != get_u32(bytes, 4) {
            return Err(FrameError::Invalid);
        }
        if bytes[13] != VERSION || get_u16(bytes, 14) != 0 {
            return Err(FrameError::Newer(bytes[13]));
        }
        let kind = match bytes[12] {
            1 => FrameKind::Base,
            2 => FrameKind::Changes,
            3 => FrameKind::Mark,
            _ => return Err(FrameError::Nonsense("an unknown kind of frame")),
        };
        Ok(Frame {
            kind,
            sequence: get_u64(bytes, 16),
            meta: Meta {
                log_id: bytes[24..40].try_into().expect("16 bytes"),
                file_len: get_u64(bytes, 40),
                topology_bound: get_u64(bytes, 48),
                generation_bound: get_u64(bytes, 56),
                quorum_lsn: get_u64(bytes, 64),
            },
            len,
            count: get_u32(bytes, 72),
            entries: &bytes[FRAME_HEAD..],
        })
    }

    /// What it says of slots, in order.
    pub fn changes(&self) -> Result<Vec<Change>, FrameError> {
        let mut changes = Vec::new();
        let mut rest = self.entries;
        while !rest.is_empty() {
            let (change, behind) = parse_entry(rest).map_err(FrameError::Nonsense)?;
            changes.push(change);
            rest = behind;
        }
        if changes.len() != self.count as usize {
            return Err(FrameError::Nonsense("a wrong number of entries"));
        }
        Ok(changes)
    }
}

fn parse_entry(bytes: &[u8]) -> Result<(Change, &[u8]), &'static str> {
    if bytes.len() < ENTRY_HEAD {
        return Err("an entry that is cut short");
    }
    let (id_len, region_len) = (usize::from(bytes[6]), usize::from(bytes[7]));
    let len = (ENTRY_HEAD + id_len + region_len).next_multiple_of(8);
    if usize::from(get_u16(bytes, 0)) != len || bytes.len() < len {
        return Err("an entry of a wrong length");
    }
    let name = |at: usize, len: usize| {
        let name = std::str::from_utf8(&bytes[at..at + len]).ok();
        name.filter(|name| name_fault(name).is_none())
    };
    let id = name(ENTRY_HEAD, id_len).ok_or("an id that can't be one")?;
    let rest = &bytes[len..];
    match bytes[2] {
        ENTRY_DROPPED => return Ok((Change::Dropped(id.to_owned()), rest)),
        ENTRY_SLOT => {}
        _ => return Err("an unknown type of entry"),
    }
    let region = match region_len {
        0 => None,
        len => Some(name(ENTRY_HEAD + id_len, len).ok_or("a region that can't be one")?),
    };
    let flags = bytes[3];
    if flags & !(FLAG_REGISTERED | FLAG_REBOOTSTRAPPING) != 0 {
        return Err("an unknown flag of a slot");
    }
    let origin = match bytes[4] {
        0 => Origin::Pinned,
        1 => Origin::Given,
        2 => Origin::Acknowledged,
        _ => return Err("an unknown origin of a slot"),
    };
    let cause = Cause::of_code(bytes[5]).ok_or("an unknown cause of invalidation")?;
    let at_ms = get_u64(bytes, 40);
    let slot = Slot {
        id: id.to_owned(),
        restart_lsn: get_u64(bytes, 8),
        confirmed_lsn: get_u64(bytes, 16),
        last_seen_ms: get_u64(bytes, 24),
        created_ms: get_u64(bytes, 32),
        temporary: false,
        region: region.map(str::to_owned),
        invalidation: cause.map(|cause| Invalidation { cause, at_ms }),
        origin,
        registered: flags & FLAG_REGISTERED != 0,
        rebootstrapping: flags & FLAG_REBOOTSTRAPPING != 0,
    };
    Ok((Change::Put(slot), rest))
}

#[cfg(test)]
mod tests;
