"""A recovered database against SQLite's own state."""

import itertools
import shutil
import sqlite3
from pathlib import Path

from workload import Source


class Mismatch(Exception):
    """The recovered database is not what SQLite had."""


def sqlite_state(source: Source, number: int, target: Path) -> None:
    """SQLite's own database after transaction `number`, made by SQLite alone.

    It gets the database as it was at the start and its `-wal` file cut behind
    the transaction's last frame, recovers from them, and checkpoints.
    """
    shutil.copyfile(source.base, target)
    with source.wal.open("rb") as whole, Path(f"{target}-wal").open("wb") as cut:
        left = source.ends[number]
        while left:
            piece = whole.read(min(left, 1 << 20))
            if not piece:
                raise Mismatch(f"{source.wal} is shorter than transaction {number}")
            cut.write(piece)
            left -= len(piece)
    connection = sqlite3.connect(target)
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise Mismatch(f"SQLite could not checkpoint {target}")
    finally:
        connection.close()


def same_content(source: Source, number: int, recovered: Path) -> str:
    """Compares with SQLite's state after `number`; says what was compared."""
    expected = recovered.with_name(f"{recovered.name}.expected")
    sqlite_state(source, number, expected)
    size = recovered.stat().st_size
    if size != source.sizes[number - 1] * source.page_size or size != expected.stat().st_size:
        raise Mismatch(f"{size} bytes, SQLite had {expected.stat().st_size}")
    ours, theirs = sqlite3.connect(recovered), sqlite3.connect(expected)
    try:
        (integrity,) = ours.execute("PRAGMA integrity_check").fetchone()
        if integrity != "ok":
            raise Mismatch(f"integrity_check: {integrity}")
        (last,) = ours.execute("SELECT max(n) FROM journal").fetchone()
        if last != number:
            raise Mismatch(f"the last transaction in the database is {last}, not {number}")
        lines = 0
        for a, b in itertools.zip_longest(ours.iterdump(), theirs.iterdump()):
            if a != b:
                raise Mismatch(f"dumps differ in line {lines + 1}: {a!r:.80} and {b!r:.80}")
            lines += 1
    finally:
        ours.close()
        theirs.close()
    return f"integrity ok, {lines} dump lines equal, {source.sizes[number - 1]} pages"
