"""Cuts transactions out of a SQLite `-wal` file, and keeps them in a plain file.

The layout is SQLite's documented one (sqlite.org/fileformat2.html, "The
Write-Ahead Log"): a 32-byte header, then frames of a 24-byte header and a page.
A frame counts when its salts are the header's and its running checksum is
right; the frame that ends a transaction carries the database's size in pages.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Frame(NamedTuple):
    """One page image; `db_size` is 0 but on the frame that commits."""

    page_number: int
    data: bytes
    db_size: int


class BadWal(Exception):
    """The file is not a whole, valid write-ahead log."""


class WalTail:
    """Reads a growing `-wal` file, commit by commit."""

    def __init__(self, file: BinaryIO) -> None:
        header = file.read(32)
        if len(header) != 32:
            raise BadWal("no header")
        magic, version, page_size, _, salts, crc0, crc1 = struct.unpack(">IIII8sII", header)
        if magic not in (0x377F0682, 0x377F0683) or version != 3007000:
            raise BadWal(f"magic {magic:#x}, version {version}")
        self._words = ">" if magic & 1 else "<"
        self._checksum = self._add((0, 0), header[:24])
        if self._checksum != (crc0, crc1):
            raise BadWal("header checksum")
        self.page_size = page_size
        self._salts = salts
        self._file = file
        #: Bytes of the file up to the last commit that was read.
        self.offset = 32

    def _add(self, checksum: tuple[int, int], data: bytes) -> tuple[int, int]:
        s0, s1 = checksum
        for x, y in struct.iter_unpack(self._words + "II", data):
            s0 = (s0 + x + s1) & 0xFFFFFFFF
            s1 = (s1 + y + s0) & 0xFFFFFFFF
        return s0, s1

    def transaction(self) -> list[Frame] | None:
        """The next transaction's frames in write order; none where no whole one is left."""
        frames: list[Frame] = []
        self._file.seek(self.offset)
        checksum = self._checksum
        while True:
            head = self._file.read(24)
            data = self._file.read(self.page_size)
            if len(head) != 24 or len(data) != self.page_size:
                return None
            page_number, db_size, salts, crc0, crc1 = struct.unpack(">II8sII", head)
            if salts != self._salts:
                return None
            checksum = self._add(self._add(checksum, head[:8]), data)
            if checksum != (crc0, crc1):
                return None
            frames.append(Frame(page_number, data, db_size))
            if db_size:
                self._checksum = checksum
                self.offset = self._file.tell()
                return frames


# The file that the committers read, in Python, C and C++: for each transaction
# a u32 count of frames, for each frame u32 page number, u32 database size,
# u32 length, data; little-endian.


def write_transaction(file: BinaryIO, frames: list[Frame]) -> None:
    """Appends one transaction to a frames file."""
    file.write(struct.pack("<I", len(frames)))
    for frame in frames:
        file.write(struct.pack("<III", frame.page_number, frame.db_size, len(frame.data)))
        file.write(frame.data)


def read_transactions(path: Path) -> Iterator[list[Frame]]:
    """The transactions of a frames file, in order."""
    with path.open("rb") as file:
        while count := file.read(4):
            frames = []
            for _ in range(struct.unpack("<I", count)[0]):
                page_number, db_size, length = struct.unpack("<III", file.read(12))
                frames.append(Frame(page_number, file.read(length), db_size))
            yield frames
