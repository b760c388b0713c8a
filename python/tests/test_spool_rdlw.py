"""RDLW: a spool's records to files of other software, and from them."""

from __future__ import annotations

import asyncio
from pathlib import Path

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
        kept = [r.lsn for r in spool.read_since(0)]
        assert set(range(1, 10)) - set(kept) == {3}


def test_the_loop_goes_on_while_a_task_exports(db: Path) -> None:
    async def main() -> None:
        async with aio.Spool(db) as spool:
            await spool.append(term=1, lsn=1, payload=b"a")
            file = db.with_name("out")
            assert await spool.export_rdlw(file) == 1
            assert file.stat().st_size == 38

    asyncio.run(main())
