"""Databases row by row, and spools record by record."""

import itertools
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import epochwal
from check import Mismatch

from replication.replica import Tables
from replication.source import TABLES, Source


def rows(db: sqlite3.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    """A table's rows in the order of its key; a value with its type, 1 is not 1.0."""
    columns = db.execute(f"PRAGMA table_info({table})").fetchall()
    key = [name for pk, name in sorted((c[5], c[1]) for c in columns if c[5])]
    order = ", ".join(key) if key else "rowid"
    for row in db.execute(f"SELECT * FROM {table} ORDER BY {order}"):
        yield tuple((type(value).__name__, value) for value in row)


def definition(db: sqlite3.Connection, table: str) -> list[Any]:
    """The statements that made a table and its indexes."""
    return db.execute(
        "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type <> 'trigger' ORDER BY name",
        (table,),
    ).fetchall()


def same_rows(
    a: sqlite3.Connection, b: sqlite3.Connection, tables: list[str], what: str
) -> int:
    """Compares tables and their definitions; the number of rows."""
    count = 0
    for table in tables:
        definition = "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type <> 'trigger'"
        if (
            a.execute(definition, (table,)).fetchall()
            != b.execute(definition, (table,)).fetchall()
        ):
            raise Mismatch(f"{what}: table {table} is defined otherwise")
        for one, other in itertools.zip_longest(rows(a, table), rows(b, table)):
            if one != other:
                raise Mismatch(f"{what}: {table} has {other!r:.200}, not {one!r:.200}")
            count += 1
    return count


def same_databases(source: Path, other: Path) -> int:
    """Compares a replica's database with the source; the number of rows."""
    a, b = sqlite3.connect(source), sqlite3.connect(other)
    try:
        (integrity,) = b.execute("PRAGMA integrity_check").fetchone()
        if integrity != "ok":
            raise Mismatch(f"{other.name}: {integrity}")
        return same_rows(a, b, [*TABLES, "position"], other.name)
    finally:
        a.close()
        b.close()


def records_of(name: Path) -> list[epochwal.SpoolRecord]:
    """All records that a spool still has."""
    with epochwal.Spool(name) as spool:
        records: list[epochwal.SpoolRecord] = []
        lsn = spool.pruned_through
        while lsn < spool.current_lsn:
            records += spool.read_since(lsn)
            lsn = records[-1].lsn
        return records


def same_replay(source: Path, records: list[epochwal.SpoolRecord]) -> None:
    """Compares a replay of records, from nothing, with the source."""
    a, b = sqlite3.connect(source), sqlite3.connect(":memory:")
    try:
        tables = Tables(b)
        for record in records:
            for change in json.loads(record.payload):
                tables.apply(change)
        same_rows(a, b, TABLES, "a replay of the spool")
    finally:
        a.close()
        b.close()


def same_as_undisturbed(source: Path, seed: int, lsn: int) -> None:
    """Compares the source with the same work where nobody was killed."""
    work, a = Source(":memory:", seed), sqlite3.connect(source)
    try:
        while work.lsn < lsn:
            work.transaction(term=1, shipped=work.lsn)
        same_rows(work.db, a, TABLES, "the source")
    finally:
        a.close()
        work.close()
