"""What the demo's second part ships, and that its comparisons can fail."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import epochwal
import pytest
from check import Mismatch
from replication import wire
from replication.compare import same_rows
from replication.replica import Tables
from replication.source import TABLES, Source

TRANSACTIONS = 150
#: Of a change: whether it takes a row away, and whether it brings one.
KINDS = [(False, True), (True, True), (True, False)]


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    source = Source(":memory:", 5)
    while source.lsn < TRANSACTIONS:
        source.transaction(term=1 + source.lsn // 100, shipped=0)
    yield source
    source.close()


@pytest.fixture(scope="module")
def changes(source: Source) -> list[dict[str, Any]]:
    records = source.not_shipped(0)
    assert [(r.lsn, r.term) for r in records] == [
        (n, 1 + (n - 1) // 100) for n in range(1, TRANSACTIONS + 1)
    ]
    return [change for record in records for change in json.loads(record.payload)]


@pytest.fixture
def replica(changes: list[dict[str, Any]]) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    tables = Tables(db)
    for change in changes:
        tables.apply(change)
    yield db
    db.close()


def test_all_kinds_of_changes_and_values_are_shipped(changes: list[dict[str, Any]]) -> None:
    rows = [change for change in changes if "table" in change]
    kinds = {(c["table"], "delete" in c, "insert" in c) for c in rows}
    assert kinds >= {(t, d, i) for t in ("account", "entry") for d, i in KINDS}
    values = [value for c in rows for value in c.get("insert", [])]
    texts = [value for value in values if isinstance(value, str)]
    assert any(value is None for value in values)
    assert any(isinstance(value, int) and abs(value) == 2**53 + 1 for value in values)
    assert any(isinstance(value, dict) and "real" in value for value in values)
    assert any(isinstance(value, dict) and value.get("blob") for value in values)
    assert any(not text.isascii() for text in texts)


def test_changes_make_the_same_rows(source: Source, replica: sqlite3.Connection) -> None:
    assert same_rows(source.db, replica, TABLES, "replica") > TRANSACTIONS


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entry WHERE at = (SELECT max(at) FROM entry)",
        "INSERT INTO journal VALUES(1000, 'one more')",
        "UPDATE account SET note = CAST(id AS TEXT) WHERE id = (SELECT min(id) FROM account)",
        "UPDATE account SET photo = x'00' WHERE id = (SELECT max(id) FROM account)",
        "DROP INDEX account_owner",
    ],
)
def test_the_comparison_sees(
    source: Source, replica: sqlite3.Connection, statement: str
) -> None:
    replica.execute(statement)
    with pytest.raises(Mismatch):
        same_rows(source.db, replica, TABLES, "replica")


def test_the_comparison_tells_an_integer_from_a_real() -> None:
    integer, real = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    for db, value in ((integer, 1), (real, 1.0)):
        db.execute("CREATE TABLE t(a)")
        db.execute("INSERT INTO t VALUES(?)", (value,))
    with pytest.raises(Mismatch):
        same_rows(integer, real, ["t"], "another type")
    integer.close()
    real.close()


def test_a_change_of_a_row_that_is_not_there_is_refused(replica: sqlite3.Connection) -> None:
    with pytest.raises(RuntimeError):
        Tables(replica).apply({"table": "journal", "delete": [TRANSACTIONS + 1]})


def test_records_come_through_the_wire_as_they_are() -> None:
    records = [
        epochwal.SpoolRecord(1, 2**64 - 2, b"", 0),
        epochwal.SpoolRecord(2**63, 1, bytes(range(256)), 2**64 - 1),
    ]
    assert list(wire.unpack_records(wire.pack_records(records))) == records
