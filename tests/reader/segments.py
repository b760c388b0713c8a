"""The bytes of one segment or state file, parsed by docs/format.md alone."""

import itertools
import struct
from dataclasses import dataclass, field

from crc32c import crc32c

BLOCK = 4096
MAGIC = 0x5057414C
CERTIFICATE_MAGIC = 0x54524543
STATE_MAGIC = b"EWALSTAT"
MAX_IMAGE = 65536
HEADER_BYTES = 128
ITEM_BYTES = 48
CERTIFICATE_BYTES = 96
PAGES, LOGICAL, MARK = 1, 2, 3
VOID = 0
MAX_PAYLOAD = 256 << 20
MAX_LSN = (1 << 64) - 2
MAX_TERMS = 240
MAX_LOST = 6
#: Certificate flag: the coordinator assigned the sequences.
ASSIGNED = 2


class Damage(Exception):
    """Bytes that do not say what the document allows; `offset` is in the file."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset


class Disorder(Damage):
    """Right bytes that may not stand behind those before (row 18)."""


class Newer(Damage):
    """A version or a flag that the document does not know."""


@dataclass
class Batch:
    """One transaction's frames in write order."""

    epoch: int
    commit_seq: int
    txn_id: int
    txn_epoch: int
    frames: list[tuple[int, bytes, int]]
    metadata: bytes = b""

    def replay_key(self) -> tuple[int, int, int, int]:
        return (self.epoch, self.commit_seq, self.txn_id, self.frames[0][0])


@dataclass
class Prelude:
    version: int
    flags: int
    epoch: int
    count: int


def parse_prelude(data: memoryview, offset: int = 0) -> Prelude | None:
    """The 24 bytes that every version shares; none where they do not check."""
    if len(data) - offset < 24:
        return None
    magic, version, flags, epoch, count, crc = struct.unpack_from("<IHHQII", data, offset)
    if magic != MAGIC or crc != crc32c(data[offset : offset + 20]):
        return None
    return Prelude(version, flags, epoch, count)


# Version 1


@dataclass
class Record:
    """A record of version 1; without an end sequence it is an aborted write."""

    txn_id: int
    txn_epoch: int
    page: int
    begin: int
    end: int | None
    before: bytes
    after: bytes


def parse_v1(data: memoryview, name_epoch: int) -> list[Record]:
    """Every record of a version 1 segment; Damage where its structure is wrong."""
    if len(data) < 24:
        raise Damage("short header", 0)
    prelude = parse_prelude(data)
    if prelude is None:
        raise Damage("no right prelude", 0)
    if prelude.version > 2 or prelude.flags:
        raise Newer(f"version {prelude.version}, flags {prelude.flags:#x}", 4)
    if prelude.version != 1:
        raise Damage(f"version {prelude.version}", 4)
    if prelude.epoch != name_epoch:
        raise Damage(f"epoch {prelude.epoch} in a file named for {name_epoch}", 8)
    if prelude.count * (4 + 41) > len(data) - 24:
        raise Damage(f"no room for {prelude.count} records", 16)
    records = []
    at = 24
    for _ in range(prelude.count):
        if len(data) - at < 4:
            raise Damage("record length cut off", at)
        (length,) = struct.unpack_from("<I", data, at)
        if length > len(data) - at - 4:
            raise Damage("record cut off", at)
        records.append(_parse_record(data[at + 4 : at + 4 + length], at + 4, name_epoch))
        at += 4 + length
    if at != len(data):
        raise Damage("bytes after the last record", at)
    return records


def _parse_record(data: memoryview, at: int, epoch: int) -> Record:
    if len(data) < 41:
        raise Damage("record shorter than its fields", at)
    txn_id, txn_epoch, own_epoch, page, begin, flag = struct.unpack_from("<QIQIQB", data, 0)
    if txn_id == 0:
        raise Damage("transaction id 0", at)
    if own_epoch != epoch:
        raise Damage(f"record of epoch {own_epoch}", at)
    if page == 0:
        raise Damage("page number 0", at)
    if flag > 1:
        raise Damage(f"end-sequence flag {flag}", at)
    rest = data[33:]
    end = None
    if flag:
        if len(rest) < 8:
            raise Damage("end sequence cut off", at)
        (end,) = struct.unpack_from("<Q", rest, 0)
        rest = rest[8:]
    images = []
    for what in ("before-image", "after-image"):
        if len(rest) < 4:
            raise Damage(f"{what} cut off", at)
        (length,) = struct.unpack_from("<I", rest, 0)
        if length > MAX_IMAGE or length > len(rest) - 4:
            raise Damage(f"{what} of {length} bytes", at)
        images.append(bytes(rest[4 : 4 + length]))
        rest = rest[4 + length :]
    if len(rest):
        raise Damage("bytes after the images", at)
    return Record(txn_id, txn_epoch, page, begin, end, images[0], images[1])


def v1_batches(records: list[Record], epoch: int) -> list[Batch]:
    """Committed records by (transaction id, transaction epoch, begin sequence)."""
    batches: dict[tuple[int, int, int], Batch] = {}
    for record in records:
        if record.end is None or not record.after:
            continue
        key = (record.txn_id, record.txn_epoch, record.begin)
        batch = batches.setdefault(
            key, Batch(epoch, record.begin, record.txn_id, record.txn_epoch, [])
        )
        batch.frames.append((record.page, record.after, 0))
    return sorted(batches.values(), key=Batch.replay_key)


# Version 2


@dataclass
class Header:
    """A group header whose two checksums are right."""

    epoch: int
    items: int
    kind: int
    link: int
    identity: bytes
    generation: int
    first_epoch: int
    segment_size: int
    position: int
    length: int
    payload: int
    watermark: int
    previous: int
    checksum: int

    def possible(self) -> bool:
        """Whether fields that only the header speaks of could have been written."""
        room = self.length - HEADER_BYTES - CERTIFICATE_BYTES
        if self.kind == MARK and (self.items or self.payload or self.length != BLOCK):
            return False
        return (
            (self.kind == MARK or self.items > 0)
            and self.length >= BLOCK
            and self.length % BLOCK == 0
            and self.payload % 8 == 0
            and self.position % BLOCK == 0
            and self.payload <= room
            and self.position + self.length <= self.segment_size
        )


_HEADER = struct.Struct("<B3sI16sQQQQQQQQ12sI")


def parse_header(data: memoryview, offset: int) -> Header | None:
    """The header at `offset`, if both checksums are right and its fields possible."""
    if len(data) - offset < HEADER_BYTES:
        return None
    if bytes(data[offset : offset + 4]) != b"LAWP":
        return None
    prelude = parse_prelude(data, offset)
    if prelude is None or prelude.version != 2 or prelude.flags:
        return None
    fields = _HEADER.unpack_from(data, offset + 24)
    kind, _, link, identity, generation, first, size, position = fields[:8]
    length, payload, watermark, previous, _, crc = fields[8:]
    if crc != crc32c(data[offset : offset + 124]):
        return None
    if kind not in (PAGES, LOGICAL, MARK):
        return None
    header = Header(
        epoch=prelude.epoch,
        items=prelude.count,
        kind=kind,
        link=link,
        identity=identity,
        generation=generation,
        first_epoch=first,
        segment_size=size,
        position=position,
        length=length,
        payload=payload,
        watermark=watermark,
        previous=previous,
        checksum=crc,
    )
    return header if header.possible() else None


def checksums_right(data: memoryview, offset: int) -> bool:
    """Whether the two checksums of a group header at `offset` are right."""
    if len(data) - offset < HEADER_BYTES or parse_prelude(data, offset) is None:
        return False
    (crc,) = struct.unpack_from("<I", data, offset + 124)
    return bool(crc == crc32c(data[offset : offset + 124]))


@dataclass
class Logical:
    """A record of a spool."""

    term: int
    lsn: int
    timestamp: int
    payload: bytes


@dataclass
class Item:
    crc: int
    kind: int
    lane: int
    commit_seq: int
    db_size: int
    batch: Batch | None
    logical: Logical | None = None


@dataclass
class Certificate:
    flags: int
    low: int
    high: int
    lanes_configured: int
    db_size: int
    checksum: int


@dataclass
class Group:
    header: Header
    certificate: Certificate
    batches: list[Batch] = field(default_factory=list)
    logical: list[Logical] = field(default_factory=list)


def parse_group(data: memoryview, header: Header, kind: int) -> Group:
    """The group of a header that stands at its position and fits the file."""
    at = header.position
    if header.kind not in (kind, MARK):
        raise Damage(f"a group of kind {header.kind} in a log of kind {kind}", at + 24)
    items = _parse_items(data, header)
    certificate = _parse_certificate(data, header, items)
    group = Group(header, certificate)
    group.batches = sorted((i.batch for i in items if i.batch), key=Batch.replay_key)
    group.logical = [i.logical for i in items if i.logical]
    for before, after in itertools.pairwise(group.logical):
        if after.lsn <= before.lsn or after.term < before.term:
            raise Disorder(f"LSN {after.lsn} behind LSN {before.lsn}", at)
    return group


def _parse_items(data: memoryview, header: Header) -> list[Item]:
    at = header.position + HEADER_BYTES
    end = at + header.payload
    items = []
    while at < end:
        if end - at < ITEM_BYTES:
            raise Damage("item cut off", at)
        (crc, length) = struct.unpack_from("<II", data, at)
        if length < ITEM_BYTES or length % 8 or length > end - at:
            raise Damage(f"item of {length} bytes", at)
        if crc != crc32c(data[at + 4 : at + length]):
            raise Damage("item checksum", at)
        items.append(_parse_item(data[at : at + length], at, header))
        at += length
    if len(items) != header.items:
        raise Damage(f"{len(items)} items, not {header.items}", header.position + 16)
    return items


def _parse_item(data: memoryview, at: int, header: Header) -> Item:
    (crc, length, kind, _, lane, txn_epoch, txn_id, seq, frames, meta, db_size, _) = (
        struct.unpack_from("<IIBBHIQQIIII", data, 0)
    )
    if kind not in (VOID, header.kind):
        raise Damage(f"item of type {kind}", at + 8)
    if kind == VOID:
        if seq and header.kind == LOGICAL:
            raise Damage("a void with an LSN", at + 24)
        return Item(crc, kind, lane, seq, 0, None)
    if kind == LOGICAL:
        return Item(crc, kind, lane, seq, 0, None, _parse_logical(data, at))
    if txn_id == 0 or frames == 0 or meta > MAX_IMAGE or meta > length - ITEM_BYTES:
        raise Damage("item fields", at)
    metadata = bytes(data[ITEM_BYTES : ITEM_BYTES + meta])
    batch = Batch(header.epoch, seq, txn_id, txn_epoch, [], metadata)
    pos = ITEM_BYTES + meta
    last_size = 0
    for _ in range(frames):
        if length - pos < 12:
            raise Damage("frame cut off", at + pos)
        page, size, count = struct.unpack_from("<III", data, pos)
        pos += 12
        if page == 0 or not 1 <= count <= MAX_IMAGE or count > length - pos:
            raise Damage("frame fields", at + pos - 12)
        batch.frames.append((page, bytes(data[pos : pos + count]), size))
        last_size = size or last_size
        pos += count
    if length - pos > 7 or any(data[pos:length]):
        raise Damage("item padding", at + pos)
    if last_size != db_size:
        raise Damage("database size of the item", at + 40)
    return Item(crc, kind, lane, seq, db_size, batch)


def _parse_logical(data: memoryview, at: int) -> Logical:
    term, lsn, _, length, timestamp = struct.unpack_from("<QQIIQ", data, 16)
    end = ITEM_BYTES + length
    if length > MAX_PAYLOAD or end > len(data) or len(data) - end > 7 or any(data[end:]):
        raise Damage(f"payload of {length} bytes in an item of {len(data)}", at + 36)
    if not 1 <= lsn <= MAX_LSN:
        raise Damage(f"LSN {lsn}", at + 24)
    return Logical(term, lsn, timestamp, bytes(data[ITEM_BYTES:end]))


_CERTIFICATE = struct.Struct("<IHHQQQQQIIIIQII12sI")


def _parse_certificate(data: memoryview, header: Header, items: list[Item]) -> Certificate:
    at = header.position + header.length - CERTIFICATE_BYTES
    fields = _CERTIFICATE.unpack_from(data, at)
    (magic, version, flags, epoch, low, high, first, pages, count, lanes, entries) = fields[:11]
    (db_size, payload, payload_crc, header_crc, _, crc) = fields[11:]
    payload_end = header.position + HEADER_BYTES + header.payload
    if magic != CERTIFICATE_MAGIC or version != 1 or flags & ~3:
        raise Damage("certificate magic, version or flags", at)
    if flags & ASSIGNED and header.kind == LOGICAL:
        raise Damage("sequences assigned to records", at + 6)
    if crc != crc32c(data[payload_end : at + 92]):
        raise Damage("certificate checksum", at + 92)
    if header_crc != header.checksum:
        raise Damage("certificate of another header", at + 76)
    if payload_crc != crc32c(b"".join(struct.pack("<I", i.crc) for i in items)):
        raise Damage("payload checksum", at + 72)
    expected = (header.epoch, header.first_epoch, header.items, header.payload)
    if (epoch, first, count, payload) != expected:
        raise Damage("certificate fields differ from the header's", at)
    _check_lanes(data, payload_end, at, entries, lanes, items)
    _check_summary(at, items, flags, low, high, pages, db_size)
    return Certificate(flags, low, high, lanes, db_size, crc)


def _check_lanes(
    data: memoryview, payload_end: int, at: int, entries: int, lanes: int, items: list[Item]
) -> None:
    table = at - 8 * entries
    if table < payload_end:
        raise Damage(f"lane table of {entries} entries", at + 56)
    if any(data[payload_end:table]):
        raise Damage("bytes in the padding", payload_end)
    counts: dict[int, int] = {}
    for item in items:
        counts[item.lane] = counts.get(item.lane, 0) + 1
    found = list(struct.iter_unpack("<II", data[table:at]))
    if found != sorted(counts.items()):
        raise Damage("lane table does not match the items", table)
    if any(lane >= lanes for lane in counts):
        raise Damage("a lane above those configured", at + 52)


def _check_summary(
    at: int, items: list[Item], flags: int, low: int, high: int, pages: int, db_size: int
) -> None:
    real = [i for i in items if i.batch]
    if pages != sum(len(i.batch.frames) for i in real if i.batch):
        raise Damage("certificate: number of pages", at + 40)
    sequences = sorted(i.commit_seq for i in items if i.commit_seq)
    if (low, high) != ((sequences[0], sequences[-1]) if sequences else (0, 0)):
        raise Damage("certificate: range of sequences", at + 16)
    if flags & ASSIGNED and items and sequences != list(range(low, low + len(items))):
        raise Disorder("assigned sequences with gaps", at + 16)
    # Stable: of two items with equal keys the later one is the last in replay order.
    sizes = sorted(
        ((i.batch.replay_key(), i.db_size) for i in real if i.batch and i.db_size),
        key=lambda pair: pair[0],
    )
    if db_size != (sizes[-1][1] if sizes else 0):
        raise Damage("certificate: database size", at + 60)


# State file


@dataclass
class State:
    update: int
    identity: bytes
    database_id: bytes
    next_epoch: int
    floor: int | None
    retired_first_epoch: int
    retired_generation: int
    newest_generation: int
    newest_first_epoch: int
    highest_seq: int
    watermark: int
    kind: int
    #: Of a spool: what is no longer read, what is never cut off, and each term
    #: with its first LSN.
    pruned_through: int = 0
    quorum: int = 0
    terms: list[tuple[int, int]] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)


def lost_ranges(data: memoryview, at: int) -> list[tuple[int, int]] | None:
    """The lost ranges of a copy; none where they can't be."""
    entries = [struct.unpack_from("<QQ", data, at + 3992 + 16 * i) for i in range(MAX_LOST)]
    count = entries.index((0, 0)) if (0, 0) in entries else MAX_LOST
    lost, rest = entries[:count], entries[count:]
    ascending = all(a[1] < b[0] for a, b in itertools.pairwise(lost))
    if not ascending or any(through <= after for after, through in lost) or any(map(any, rest)):
        return None
    return [(after, through) for after, through in lost]


_STATE = struct.Struct("<8sIIQ16s16sQQQQQQQQB")


def parse_state(data: memoryview) -> State | None:
    """The valid copy with the higher update number; none where neither is."""
    copies = [c for c in (_parse_copy(data, 0), _parse_copy(data, BLOCK)) if c]
    return max(copies, key=lambda c: c.update, default=None)


def _parse_copy(data: memoryview, at: int) -> State | None:
    if len(data) < at + BLOCK:
        return None
    (crc,) = struct.unpack_from("<I", data, at + BLOCK - 4)
    if bytes(data[at : at + 8]) != STATE_MAGIC or crc != crc32c(data[at : at + BLOCK - 4]):
        return None
    fields = _STATE.unpack_from(data, at)
    (_, version, flags, update, identity, database_id, next_epoch, floor) = fields[:8]
    (retired_first, retired_gen, newest_gen, newest_first, seq, watermark, kind) = fields[8:]
    if max(update, retired_gen, newest_gen) >= 1 << 63:
        return None
    if version != 2 or flags & ~(7 if kind == LOGICAL else 3):
        raise Newer(f"state file version {version}, flags {flags:#x}", at + 8)
    if kind not in (PAGES, LOGICAL):
        return None
    pruned, quorum, terms = 0, 0, []
    lost: list[tuple[int, int]] = []
    if kind == LOGICAL:
        pruned, quorum, count = struct.unpack_from("<QQI", data, at + 128)
        if count > MAX_TERMS or max(seq, pruned, quorum) > MAX_LSN:
            return None
        terms = [struct.unpack_from("<QQ", data, at + 152 + 16 * i) for i in range(count)]
        rising = all(t < u and a < b for (t, a), (u, b) in itertools.pairwise(terms))
        if not rising or any(not 1 <= first <= MAX_LSN for _, first in terms):
            return None
        ranges = lost_ranges(data, at)
        if ranges is None:
            return None
        lost = ranges
    return State(
        update=update,
        identity=identity,
        database_id=database_id,
        next_epoch=next_epoch,
        floor=floor if flags & 1 else None,
        retired_first_epoch=retired_first,
        retired_generation=retired_gen,
        newest_generation=newest_gen,
        newest_first_epoch=newest_first,
        highest_seq=seq,
        watermark=watermark,
        kind=kind,
        pruned_through=pruned,
        quorum=quorum,
        terms=terms,
        lost=lost,
    )
