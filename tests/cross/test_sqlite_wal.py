"""What the SQLite host takes of a -wal for committed: what SQLite's recovery would."""

import ctypes
import os
import struct
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

PAGE = 512
SALT = b"saltSALT"


def chain(data: bytes, start: tuple[int, int]) -> tuple[int, int]:
    """The checksum of the WAL format, over big-endian words."""
    first, second = start
    for a, b in struct.iter_unpack(">II", data):
        first = (first + a + second) & 0xFFFFFFFF
        second = (second + b + first) & 0xFFFFFFFF
    return first, second


class Wal:
    """wal.c, and the frames that SQLite would write."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        # Larger than the structures are.
        self.wal = ctypes.create_string_buffer(512)
        self.mark = ctypes.create_string_buffer(64)
        header = struct.pack(">6I", 0x377F0683, 3007000, PAGE, 0, 0, 0)[:16] + SALT
        self.sum = chain(header, (0, 0))
        self.write(header + struct.pack(">II", *self.sum), 0)
        self.end = 32

    def write(self, data: bytes, at: int) -> None:
        assert self.library.wal_write(
            self.wal, data, ctypes.c_size_t(len(data)), ctypes.c_size_t(at)
        )

    def frame(self, page: int, pages: int = 0, salt: bytes = SALT, wrong: int = 0) -> None:
        """Appends one; `pages` is the commit mark."""
        data = bytes([page]) * PAGE
        head = struct.pack(">II", page, pages)
        self.sum = chain(head + data, self.sum)
        head += salt + struct.pack(">II", self.sum[0] ^ wrong, self.sum[1])
        self.write(head, self.end)
        self.write(data, self.end + len(head))
        self.end += len(head) + PAGE

    def next(self) -> int:
        """Hands over the next transaction; how many frames it has."""
        count = int(self.library.wal_next(self.wal, self.mark))
        if count > 0:
            self.library.wal_done(self.wal, self.mark)
        return count

    def mark_is_left(self) -> bool:
        return bool(self.library.wal_mark_is_left(self.wal))


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("wal") / "wal.so"
    source = ROOT / "examples" / "sqlite" / "wal.c"
    compiler = os.environ.get("CC", "cc").split()
    include = f"-I{ROOT / 'include'}"
    subprocess.run(
        [*compiler, "-std=c11", "-shared", "-fPIC", include, source, "-o", path], check=True
    )
    loaded = ctypes.CDLL(str(Path(path)))
    loaded.wal_next.restype = ctypes.c_long
    return loaded


@pytest.fixture
def wal(library: ctypes.CDLL) -> Wal:
    return Wal(library)


def test_transactions_come_one_by_one_and_only_whole(wal: Wal) -> None:
    assert wal.next() == 0
    wal.frame(1)
    wal.frame(2)
    assert wal.next() == 0
    assert not wal.mark_is_left()
    wal.frame(3, pages=3)
    wal.frame(1, pages=3)
    assert [wal.next(), wal.next(), wal.next()] == [3, 1, 0]
    assert not wal.mark_is_left()


@pytest.mark.parametrize(("salt", "wrong"), [(bytes(8), 0), (SALT, 1)])
def test_a_commit_that_recovery_would_not_take_is_noticed(
    wal: Wal, salt: bytes, wrong: int
) -> None:
    wal.frame(1, pages=3)
    assert wal.next() == 1
    wal.frame(2, salt=salt, wrong=wrong)
    wal.frame(3, pages=3)
    assert wal.next() == 0
    assert wal.mark_is_left()


def test_frames_that_were_given_up_are_no_commit(wal: Wal) -> None:
    wal.frame(1, pages=3)
    assert wal.next() == 1
    end, total = wal.end, wal.sum
    # A commit that failed; then others are written there.
    wal.frame(2, pages=3, wrong=1)
    wal.end, wal.sum = end, total
    wal.frame(3)
    assert wal.next() == 0
    assert not wal.mark_is_left()
    wal.frame(4, pages=4)
    assert wal.next() == 2


def test_a_round_begins_anew(wal: Wal, library: ctypes.CDLL) -> None:
    wal.frame(1, pages=3)
    wal.frame(2, pages=3)
    assert [wal.next(), wal.next()] == [1, 1]
    again = Wal(library)
    again.wal = wal.wal
    header = struct.pack(">6I", 0x377F0683, 3007000, PAGE, 0, 0, 0)[:16] + b"othersal"
    again.sum = chain(header, (0, 0))
    again.write(header + struct.pack(">II", *again.sum), 0)
    assert again.next() == 0
    assert not again.mark_is_left()
    again.frame(5, pages=3, salt=b"othersal")
    assert [again.next(), again.next()] == [1, 0]
