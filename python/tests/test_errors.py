"""The tree of exceptions."""

from __future__ import annotations

import asyncio
import copy
import errno
import inspect
import pickle
from pathlib import Path

import pytest

import epochwal
from epochwal import _errors, aio


def classes() -> list[type[epochwal.Error]]:
    return [
        value
        for _, value in inspect.getmembers(epochwal, inspect.isclass)
        if issubclass(value, epochwal.Error)
    ]


def test_all_are_epochwal_errors_and_some_are_pythons_too() -> None:
    assert len(classes()) == len({c for c in vars(_errors).values() if inspect.isclass(c)})
    assert issubclass(epochwal.InvalidError, ValueError)
    assert issubclass(epochwal.TooLargeError, ValueError)
    assert issubclass(epochwal.IoError, OSError)
    assert issubclass(epochwal.NoSpaceError, OSError)
    assert issubclass(epochwal.Timeout, TimeoutError)
    assert issubclass(epochwal.OutOfMemoryError, MemoryError)
    assert not issubclass(epochwal.FormatError, epochwal.CorruptError)
    assert not issubclass(epochwal.CorruptError, epochwal.FormatError)


@pytest.mark.parametrize("cls", classes())
def test_each_carries_its_place_and_survives_a_copy(cls: type[epochwal.Error]) -> None:
    ticket = epochwal.Ticket(3, 4)
    error = cls("what", path="/a/b", offset=7, ticket=ticket, errno=5, lsn=8)
    for same in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(same) is cls
        assert str(same) == "what"
        assert (same.path, same.offset, same.ticket, same.errno) == ("/a/b", 7, ticket, 5)
        assert (same.lsn, same.epoch) == (8, 3)
    bare = cls("what")
    assert (bare.path, bare.offset, bare.ticket, bare.errno) == (None, None, None, None)
    assert (bare.lsn, bare.epoch) == (None, None)


def test_every_kind_of_the_core_has_its_class() -> None:
    for kind in (1, 3, *range(-22, 0), -99):
        error = _errors.from_core(kind, "m", None, None, None, None)
        expected = _errors._BY_KIND.get(kind, epochwal.Error)
        assert type(error) is expected
    assert {*_errors._BY_KIND.values(), epochwal.Error} == set(classes())
    # -11 is of the C ABI only, -17 of callbacks, which Python has none of.
    assert {*range(-22, 0)} - set(_errors._BY_KIND) == {-11, -17}
    assert _errors.from_core(-10, "m", None, None, None, None).errno == errno.ENOSPC
    assert _errors.from_core(-3, "m", None, None, None, errno.EACCES).errno == errno.EACCES


def test_an_error_says_which_epoch_was_waited_for(db: Path) -> None:
    never = 10**6

    async def main() -> list[epochwal.Error]:
        raised: list[epochwal.Error] = []
        async with aio.Coordinator(db, epoch_interval="off") as wal:
            staged = wal.submit([(1, b"x")], txn_id=1, commit_seq=1)
            for call in (wal.wait(never), wal.wait(staged, 0)):
                try:
                    await call
                except epochwal.Error as error:
                    raised.append(error)
        return raised

    with epochwal.Coordinator(f"{db}2", epoch_interval="off") as wal:
        staged = wal.submit([(1, b"x")], txn_id=1, commit_seq=1)
        with pytest.raises(epochwal.Timeout) as late:
            wal.wait(staged, timeout=0)
        assert (late.value.epoch, late.value.ticket) == (staged.epoch, None)
        for call in (wal.wait, wal.poll):
            with pytest.raises(epochwal.InvalidError) as unknown:
                call(never)
            assert unknown.value.epoch == never
            assert pickle.loads(pickle.dumps(unknown.value)).epoch == never
    with epochwal.Spool(db, flush_interval=3600) as spool:
        ticket = spool.submit(term=1, lsn=1, payload=b"x")
        with pytest.raises(epochwal.Timeout) as late:
            spool.wait(ticket, 0)
        assert late.value.epoch == ticket.epoch
    unknown_epoch, still_pending = asyncio.run(main())
    assert unknown_epoch.epoch == never
    assert isinstance(still_pending, epochwal.Timeout)
    assert still_pending.epoch is not None


def test_an_os_error_has_its_number_and_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(epochwal.IoError) as raised:
        epochwal.Coordinator(tmp_path / "nowhere" / "app.db")
    assert raised.value.errno == errno.ENOENT
    assert "nowhere" in str(raised.value)
    assert raised.value.path is not None
