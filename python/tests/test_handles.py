"""What belongs to its process: it is neither copied nor taken along by a fork."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from support import python

import epochwal
from epochwal import aio

CLASSES = ["AckWatch", "Coordinator", "Cursor", "Primary", "Recovery", "Spool", "SpoolReader"]


def handles(db: Path) -> list[object]:
    """Make one of each class that has something open."""
    wal, spool, primary = epochwal.Coordinator(db), epochwal.Spool(db), epochwal.Primary(None)
    watch, cursor, recovery = primary.watch_acks(1), spool.cursor(0), epochwal.recover(db)
    reader = epochwal.SpoolReader(db)
    return [watch, wal, cursor, primary, recovery, reader, spool, primary.spool]


def test_every_class_is_in_the_table() -> None:
    public = {name: getattr(epochwal, name) for name in epochwal.__all__}
    kinds = {
        name for name, it in public.items() if isinstance(it, type) and hasattr(it, "close")
    }
    assert kinds == set(CLASSES)


def refuse(it: object, why: str) -> None:
    calls: list[Callable[[object], object]] = [pickle.dumps, copy.copy, copy.deepcopy]
    for call in calls:
        with pytest.raises(TypeError, match=f"cannot be pickled or copied: {why}"):
            call(it)


def test_none_is_pickled_or_copied(db: Path) -> None:
    made = handles(db)
    assert {type(it).__name__ for it in made} == set(CLASSES)
    for it in made:
        refuse(it, "it belongs to its process")
    for name in ("Coordinator", "Spool", "Primary"):
        for it in made:
            if type(it).__name__ == name and "of a primary" not in repr(it):
                it.close()  # type: ignore[attr-defined]


def test_none_of_asyncio_is_pickled_or_copied(db: Path) -> None:
    async def main() -> None:
        async with aio.Coordinator(db) as wal, aio.Primary(db) as primary:
            for it in (wal, primary, primary.spool, primary.spool.follow(0)):
                refuse(it, "it belongs to its loop")

    asyncio.run(main())


def test_a_childs_copy_answers_nothing(db: Path) -> None:
    said = python(
        """
        import inspect, json, os, pathlib, sys, warnings
        import epochwal
        from support import GOOD, parameters
        from test_handles import handles
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)

        db = pathlib.Path(sys.argv[1])
        made = handles(db)
        pid = os.fork()
        if pid == 0:
            through = set()
            for it in made[:-1]:
                kind = type(it).__name__
                for name in dir(it):
                    if name.startswith("_") and name not in {"__enter__", "__next__"}:
                        continue
                    ticket = epochwal.SpoolTicket(1, 1, 1) if kind == "Spool" else 1
                    good = GOOD | {"path": db, "target": db, "ticket": ticket}
                    good["records"] = [(1, 1, b"x")]
                    try:
                        part = getattr(it, name)
                        if callable(part) and part is not getattr(it, "spool", None):
                            part(**{p: good[p] for p in parameters(part) if p in good})
                    except epochwal.ForkedError:
                        continue
                    except BaseException as error:
                        through.add(f"{kind}.{name}: {error!r}")
                    else:
                        through.add(f"{kind}.{name}")
            print(json.dumps(sorted(through)), flush=True)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        # The parent's go on.
        watch, wal, cursor, primary, recovery, reader, spool, _ = made
        assert list(recovery) == list(reader) == []
        wal.commit([(1, b"x")], txn_id=1, commit_seq=1)
        spool.append(term=1, lsn=1, payload=b"x")
        assert next(cursor).lsn == 1
        assert watch.decided()
        for it in (wal, spool, primary):
            it.close()
        """,
        db,
    ).stdout
    assert json.loads(said) == sorted(THROUGH)


#: What says nothing but what was known when it was opened, or does nothing.
THROUGH = [
    *("AckWatch.local", "Cursor.lsn", "Primary.spool", "Spool.in_memory"),
    *(f"{name}.closed" for name in ("Coordinator", "Spool", "Primary")),
    *(f"{name}.path" for name in ("Coordinator", "Spool", "Primary")),
    *(f"{name}.salvaged" for name in ("Coordinator", "Spool", "Primary")),
    *("Spool.imported", "Spool.saved_tail", "Spool.torn"),
    *("Cursor.__enter__", "Cursor.close", "Recovery.__enter__"),
    *("SpoolReader.__enter__", "SpoolReader.close"),
]
