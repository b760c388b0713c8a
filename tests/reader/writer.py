"""An independent writer of epochwal's files, by docs/format.md alone.

It makes logs for tests: valid ones, and ones that are wrong in a chosen way.
Nothing here syncs or locks.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crc32c import crc32c

BLOCK = 4096
PAGES, LOGICAL, MARK = 1, 2, 3
ASSIGNED = 2

Frame = tuple[int, bytes, int]


@dataclass
class Item:
    """A page batch, or with no frames a void."""

    txn_id: int
    seq: int
    frames: list[Frame]
    lane: int = 0
    txn_epoch: int = 0
    metadata: bytes = b""

    def encode(self) -> bytes:
        """The item's bytes, checksum first."""
        body = self.metadata
        size = 0
        for page, data, db_size in self.frames:
            body += struct.pack("<III", page, db_size, len(data)) + data
            size = db_size or size
        body += bytes(-len(body) % 8)
        rest = struct.pack(
            "<IBBHIQQIIII",
            48 + len(body),
            1 if self.frames else 0,
            0,
            self.lane,
            self.txn_epoch,
            self.txn_id,
            self.seq,
            len(self.frames),
            len(self.metadata),
            size,
            0,
        )
        return struct.pack("<I", crc32c(rest + body)) + rest + body


def prelude(
    version: int, epoch: int, count: int, flags: int = 0, magic: int = 0x5057414C
) -> bytes:
    head = struct.pack("<IHHQI", magic, version, flags, epoch, count)
    return head + struct.pack("<I", crc32c(head))


@dataclass
class Logical:
    """A record of a spool."""

    term: int
    lsn: int
    payload: bytes = b""
    timestamp: int = 0
    lane: int = 0

    @property
    def seq(self) -> int:
        return self.lsn

    @property
    def frames(self) -> list[Frame]:
        return []

    def encode(self) -> bytes:
        """The item's bytes, checksum first."""
        body = self.payload + bytes(-len(self.payload) % 8)
        rest = struct.pack("<IBBHI", 48 + len(body), LOGICAL, 0, self.lane, 0)
        rest += struct.pack("<QQ", self.term, self.lsn)
        rest += struct.pack("<IIQ", 0, len(self.payload), self.timestamp)
        return struct.pack("<I", crc32c(rest + body)) + rest + body


@dataclass
class SegmentFile:
    """A segment being filled; `data` may be changed freely before `save`."""

    path: Path
    first_epoch: int
    generation: int
    data: bytearray
    end: int = 0


@dataclass
class LogWriter:
    """Builds one log, group by group."""

    db: Path
    spool: bool = False
    identity: bytes = b"0123456789abcdef"
    database_id: bytes = bytes(16)
    lanes: int = 4
    segments: list[SegmentFile] = field(default_factory=list)
    previous: int = 0
    link: int = 0
    watermark: int = 0
    generation: int = 0
    floor: int | None = None
    retired_first: int = 0
    retired_generation: int = 0
    state_watermark: int = 0
    highest_seq: int = 0
    pruned_through: int = 0
    quorum: int = 0
    terms: list[tuple[int, int]] = field(default_factory=list)
    #: Offsets of the last group, for tests that damage it.
    last_position: int = 0
    last_length: int = 0

    def name(self, suffix: str) -> Path:
        if self.spool:
            suffix = ".logical." + suffix.removeprefix("-")
        return self.db.with_name((self.db.name or "db") + suffix)

    @property
    def kind(self) -> int:
        return LOGICAL if self.spool else PAGES

    def segment(
        self, first_epoch: int, blocks: int = 16, old: bytes | None = None
    ) -> SegmentFile:
        """Rolls to a new segment: zeros, or the bytes of a retired one."""
        self.generation += 1
        data = bytearray(old) if old is not None else bytearray(blocks * BLOCK)
        path = self.name(f"-wal-seg-{first_epoch:016x}")
        made = SegmentFile(path, first_epoch, self.generation, data)
        self.segments.append(made)
        return made

    def group(
        self,
        epoch: int,
        items: Sequence[Item | Logical],
        blocks: int = 0,
        flags: int = 0,
        **header: int,
    ) -> bytes:
        """Appends a group of the log's kind to the newest segment."""
        group = self.encode(self.kind, epoch, items, blocks, flags, **header)
        self._append(group)
        self.previous = epoch
        self.highest_seq = max([self.highest_seq, *(i.seq for i in items)])
        return group

    def mark(self, watermark: int | None = None) -> bytes:
        """Appends a mark: the epoch before, and a watermark that covers it."""
        self.watermark = self.previous if watermark is None else watermark
        group = self.encode(MARK, self.previous, [], 1, 0)
        self._append(group)
        return group

    def _append(self, group: bytes) -> None:
        segment = self.segments[-1]
        assert segment.end + len(group) <= len(segment.data), "the group does not fit"
        segment.data[segment.end : segment.end + len(group)] = group
        self.last_position, self.last_length = segment.end, len(group)
        segment.end += len(group)
        self.link = struct.unpack_from("<I", group, len(group) - 4)[0]

    def encode(
        self,
        kind: int,
        epoch: int,
        items: Sequence[Item | Logical],
        blocks: int,
        flags: int,
        **change: int,
    ) -> bytes:
        """A group's bytes at the end of the newest segment; `change` sets header fields."""
        encoded = [i.encode() for i in items]
        payload = b"".join(encoded)
        table = self._lane_table(items)
        bare = 128 + len(payload) + len(table) + 96
        length = max(-(-bare // BLOCK), blocks) * BLOCK
        header = self._header(kind, epoch, len(items), len(payload), length, change)
        tail = bytes(length - bare) + table
        segment = self.segments[-1]
        low, high = self._range(items)
        certificate = struct.pack(
            "<IHHQQQQQIIIIQII12s",
            0x54524543,
            1,
            flags,
            epoch,
            low,
            high,
            segment.first_epoch,
            sum(len(i.frames) for i in items),
            len(items),
            self.lanes,
            len(table) // 8,
            self._db_size(items),
            len(payload),
            crc32c(b"".join(e[:4] for e in encoded)),
            struct.unpack_from("<I", header, 124)[0],
            bytes(12),
        )
        crc = struct.pack("<I", crc32c(tail + certificate))
        return header + payload + tail + certificate + crc

    def _header(
        self,
        kind: int,
        epoch: int,
        items: int,
        payload: int,
        length: int,
        change: dict[str, int],
    ) -> bytes:
        segment = self.segments[-1]
        values: dict[str, int] = {
            "version": 2,
            "header_flags": 0,
            "link": self.link,
            "generation": segment.generation,
            "first_epoch": segment.first_epoch,
            "segment_size": len(segment.data),
            "position": segment.end,
            "length": length,
            "payload": payload,
            "watermark": self.watermark,
            "previous": self.previous,
        }
        unknown = change.keys() - values.keys()
        assert not unknown, unknown
        values |= change
        head = prelude(values["version"], epoch, items, values["header_flags"])
        head += struct.pack("<B3sI16s", kind, bytes(3), values["link"], self.identity)
        head += struct.pack(
            "<QQQQQQQQ12s",
            values["generation"],
            values["first_epoch"],
            values["segment_size"],
            values["position"],
            values["length"],
            values["payload"],
            values["watermark"],
            values["previous"],
            bytes(12),
        )
        return head + struct.pack("<I", crc32c(head))

    @staticmethod
    def _lane_table(items: Sequence[Item | Logical]) -> bytes:
        counts: dict[int, int] = {}
        for item in items:
            counts[item.lane] = counts.get(item.lane, 0) + 1
        return b"".join(struct.pack("<II", *pair) for pair in sorted(counts.items()))

    @staticmethod
    def _range(items: Sequence[Item | Logical]) -> tuple[int, int]:
        seqs = [i.seq for i in items if i.seq]
        return (min(seqs), max(seqs)) if seqs else (0, 0)

    @staticmethod
    def _db_size(items: Sequence[Item | Logical]) -> int:
        real = [i for i in items if isinstance(i, Item) and i.frames]
        size = 0
        for item in sorted(real, key=lambda i: (i.seq, i.txn_id, i.frames[0][0])):
            for _, _, db_size in item.frames:
                size = db_size or size
        return size

    def state_block(self, update: int, **change: int) -> bytes:
        """One copy of the state; `change` sets fields."""
        newest = self.segments[-1] if self.segments else None
        values: dict[str, int] = {
            "version": 2,
            "flags": 0 if self.floor is None else 1,
            "next_epoch": self.previous + 1,
            "floor": self.floor or 0,
            "retired_first": self.retired_first,
            "retired_generation": self.retired_generation,
            "newest_generation": self.generation,
            "newest_first": newest.first_epoch if newest else 0,
            "highest_seq": self.highest_seq,
            "watermark": self.state_watermark,
            "kind": self.kind,
        }
        unknown = change.keys() - values.keys()
        assert not unknown, unknown
        values |= change
        body = b"EWALSTAT" + struct.pack("<IIQ", values["version"], values["flags"], update)
        body += self.identity + self.database_id
        for name in (
            "next_epoch",
            "floor",
            "retired_first",
            "retired_generation",
            "newest_generation",
            "newest_first",
            "highest_seq",
            "watermark",
        ):
            body += struct.pack("<Q", values[name])
        body += struct.pack("<B", values["kind"])
        if self.spool:
            body += bytes(7) + struct.pack("<QQ", self.pruned_through, self.quorum)
            body += struct.pack("<II", len(self.terms), 0)
            body += b"".join(struct.pack("<QQ", *term) for term in self.terms)
        body += bytes(4092 - len(body))
        return body + struct.pack("<I", crc32c(body))

    def save(self, **state: int) -> None:
        """Writes every segment and the state file."""
        for segment in self.segments:
            segment.path.write_bytes(segment.data)
        old = self.state_block(1, **state)
        self.name("-wal-state").write_bytes(old + self.state_block(2, **state) + bytes(BLOCK))


@dataclass
class V1Record:
    txn_id: int
    page: int
    seq: int
    after: bytes
    txn_epoch: int = 0
    end: int | None = -1
    before: bytes = b""

    def encode(self, epoch: int) -> bytes:
        """The record with its length; an `end` of -1 repeats the begin sequence."""
        end = self.seq if self.end == -1 else self.end
        body = struct.pack("<QIQIQ", self.txn_id, self.txn_epoch, epoch, self.page, self.seq)
        body += b"\0" if end is None else struct.pack("<BQ", 1, end)
        for image in (self.before, self.after):
            body += struct.pack("<I", len(image)) + image
        return struct.pack("<I", len(body)) + body


def write_v1(db: Path, epoch: int, records: list[V1Record]) -> Path:
    """A version 1 segment beside `db`."""
    path = db.with_name(f"{db.name}-wal-seg-{epoch:016x}")
    body = b"".join(r.encode(epoch) for r in records)
    path.write_bytes(prelude(1, epoch, len(records)) + body)
    return path
