"""RDLW: a spool's records to files of other software, and from them."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Literal

import pytest

import epochwal
from epochwal import Spool, aio


def fill(spool: Spool, first: int, last: int, term: int = 1) -> None:
    spool.append_batch(
        [(term, lsn, b"record %d" % lsn, 1000 + lsn) for lsn in range(first, last + 1)]
    )


def test_an_export_is_taken_in_by_the_open_that_finds_it(db: Path) -> None:
    file = db.with_name("copy.db.logical.wal")
    with Spool(db) as spool:
        fill(spool, 1, 50)
        fill(spool, 60, 90, term=3)
        spool.prune_through(10)
        assert spool.imported is None
        assert spool.export_rdlw(file) == 71
        image = file.read_bytes()
        with pytest.raises(epochwal.ExistsError):
            spool.export_rdlw(str(file))
        assert file.read_bytes() == image
        with pytest.raises(epochwal.NotFoundError):
            spool.export_rdlw(db.with_name("no") / "such")
        with pytest.raises(TypeError):
            spool.export_rdlw(7)  # type: ignore[arg-type]
        with Spool(db.with_name("copy.db")) as copy:
            aside = file.with_name(file.name + ".imported-1")
            assert copy.imported == str(aside)
            assert (aside.read_bytes(), file.exists()) == (image, False)
            assert copy.read_since(0) == spool.read_since(10)
    with pytest.raises(epochwal.ClosedError):
        spool.export_rdlw(db.with_name("late"))


def test_one_file_keeps_the_records_where_that_is_asked_for(db: Path) -> None:
    file = db.with_name(db.name + ".logical.wal")
    with Spool(db, format="rdlw") as spool:
        fill(spool, 1, 20)
        assert file.stat().st_size > 20 * 37
        spool.prune_through(15)
        spool.truncate_after(18, 4)
    with Spool(db, format="rdlw") as spool:
        assert [r.lsn for r in spool.read_since(15)] == [16, 17, 18]
        assert (spool.term, spool.bounds) == (4, (16, 18, 15))
        fill(spool, 19, 19, term=4)
    with Spool(db, format="native") as spool:
        assert spool.imported == str(file) + ".imported-1"
        assert [r.lsn for r in spool.read_since(15)] == [16, 17, 18, 19]
    with pytest.raises(epochwal.UnsupportedError, match="format"):
        Spool(db, format="rdlw")
    with pytest.raises(epochwal.InvalidError, match="format"):
        Spool(db, format="json")  # type: ignore[arg-type]


def old(lsn: int, payload: bytes) -> bytes:
    """Give a record of version 1."""
    return struct.pack("<4sBQQ", b"RDLW", 1, lsn, len(payload)) + payload


@pytest.mark.parametrize("format", ["native", "rdlw"])
def test_terms_of_old_versions_are_asked_for(
    db: Path, format: Literal["native", "rdlw"]
) -> None:
    file = db.with_name(db.name + ".logical.wal")
    image = old(1, b"7 a") + old(2, b"") + old(3, b"9 b")
    file.write_bytes(image)
    asked: list[bytes] = []

    def term_of(payload: bytes) -> int | None:
        asked.append(payload)
        return int(payload[:1]) if payload else 7

    def fails(payload: bytes) -> int | None:
        raise LookupError(payload)

    with pytest.raises(LookupError, match="7 a"):
        Spool(db, format=format, term_of=fails)
    with pytest.raises(TypeError, match="term_of"):
        Spool(db, format=format, term_of=lambda _: "seven")  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="term_of"):
        Spool(db, term_of=7)  # type: ignore[arg-type]
    assert file.read_bytes() == image
    # An empty payload has no term of its own: 1, which falls.
    with pytest.raises(epochwal.CorruptError):
        Spool(db, format=format, term_of=lambda p: int(p[:1]) if p else None)
    with Spool(db, format=format, term_of=term_of) as spool:
        assert [(r.lsn, r.term) for r in spool.read_since(0)] == [(1, 7), (2, 7), (3, 9)]
        assert Path(spool.imported or "").read_bytes() == image
    assert set(asked) == {b"7 a", b"", b"9 b"}
    asked.clear()
    with Spool(db, format=format, term_of=term_of) as spool:
        assert spool.terms == [(7, 1), (9, 3)]
    assert asked == []


def test_a_cut_says_where_it_has_saved_the_tail(db: Path) -> None:
    with Spool(db) as spool:
        fill(spool, 1, 9)
        assert spool.saved_tail is None
        saved = spool.truncate_after(5, 2)
        assert saved is not None
        assert spool.saved_tail == saved
        # What a file of a tail holds is what an open takes in.
        Path(saved).rename(db.with_name("tail.db.logical.wal"))
        with Spool(db.with_name("tail.db")) as tail:
            assert [r.lsn for r in tail.read_since(0)] == [6, 7, 8, 9]
        assert spool.truncate_after(5, 3) is None
        assert spool.saved_tail is None


def test_a_damaged_file_is_salvaged(db: Path) -> None:
    file = db.with_name(db.name + ".logical.wal")
    with Spool.in_memory() as spool:
        fill(spool, 1, 9)
        spool.export_rdlw(file)
    image = bytearray(file.read_bytes())
    image[100] ^= 1
    file.write_bytes(image)
    with pytest.raises(epochwal.CorruptError) as corrupt:
        Spool(db)
    assert corrupt.value.path == str(file)
    salvage = epochwal.spool_salvage(db)
    assert [Path(path).read_bytes() for path in salvage.moved] == [image]
    with Spool(db) as spool:
        assert spool.bounds == salvage.bounds
        assert [r.lsn for r in spool.read_since(0)] == [1, 2]
        with pytest.raises(epochwal.WalRemovedError) as lost:
            spool.read_since(2)
        assert lost.value.lsn == 4
        assert [r.lsn for r in spool.read_since(3)] == [4, 5, 6, 7, 8, 9]


def test_the_loop_goes_on_while_a_task_exports(db: Path) -> None:
    async def main() -> None:
        async with aio.Spool(db) as spool:
            await spool.append(term=1, lsn=1, payload=b"a")
            file = db.with_name("out")
            assert await spool.export_rdlw(file) == 1
            assert file.stat().st_size == 38

    asyncio.run(main())
