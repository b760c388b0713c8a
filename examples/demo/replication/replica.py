"""A replica in Python.

    python -m replication.replica NAME ADDRESS

Its database is NAME.sqlite, its spool lies beside NAME. It asks the primary that
listens at ADDRESS for what follows, makes that durable in its own spool, applies
it to its database, and says so. Where the primary dies it asks again; it ends when
a primary says that this was all.
"""

import json
import os
import socket
import sqlite3
import struct
import sys
from pathlib import Path
from typing import Any

import epochwal

from replication import wire
from replication.source import POSITION

PULL_AT_MOST = 200


def of_json(value: Any) -> Any:
    """A value of a change."""
    if not isinstance(value, dict):
        return value
    return float.fromhex(value["real"]) if "real" in value else bytes.fromhex(value["blob"])


class Tables:
    """Applies changes to the tables of a database."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._statements: dict[str, tuple[str, str]] = {}

    def apply(self, change: dict[str, Any]) -> None:
        """Does what one change says."""
        if "schema" in change:
            self._db.execute(change["schema"])
            return
        delete, insert = self._statements_for(change["table"])
        if "delete" in change:
            done = self._db.execute(delete, [of_json(v) for v in change["delete"]])
            if done.rowcount != 1:
                raise RuntimeError(f"the row is not there: {change}")
        if "insert" in change:
            self._db.execute(insert, [of_json(v) for v in change["insert"]])

    def _statements_for(self, table: str) -> tuple[str, str]:
        if table not in self._statements:
            columns = self._db.execute(f'PRAGMA table_info("{table}")').fetchall()
            key = [name for pk, name in sorted((c[5], c[1]) for c in columns if c[5])]
            where = " AND ".join(f'"{name}" = ?' for name in key)
            self._statements[table] = (
                f'DELETE FROM "{table}" WHERE {where}',
                f'INSERT INTO "{table}" VALUES({", ".join("?" for _ in columns)})',
            )
        return self._statements[table]


class Replica:
    """A spool, and a database that follows it."""

    def __init__(self, name: str) -> None:
        self._path = Path(f"{name}.sqlite")
        self._spool = epochwal.Spool(name)
        self._open()

    def close(self) -> None:
        """Closes both."""
        self._db.close()
        self._spool.close()

    def catch_up(self) -> None:
        """Applies what is durable and was not applied when it, or its primary, died."""
        while self.applied < self._spool.current_lsn:
            self._apply(self._spool.read_since(self.applied))

    @property
    def last(self) -> tuple[int, int]:
        """LSN and term of the last record that it has, all of them applied."""
        return self.applied, self._term

    def take(self, records: list[epochwal.SpoolRecord], primary: socket.socket) -> None:
        """Makes records durable, then applies them; acknowledges each step."""
        self._spool.append_batch(records)
        self.acknowledge(primary, written=records[-1].lsn, durable=records[-1].lsn)
        self._apply(records)
        self.acknowledge(primary, written=self.applied, durable=self.applied)

    def acknowledge(self, primary: socket.socket, *, written: int, durable: int) -> None:
        """Says how far it is."""
        wire.send(primary, wire.ACK, struct.pack("<QQQ", written, durable, self.applied))

    def load(self, snapshot: bytes) -> None:
        """Begins anew from a copy of the primary's database."""
        copy = self._path.with_suffix(".new")
        with copy.open("wb") as file:
            file.write(snapshot)
            file.flush()
            os.fsync(file.fileno())
        self._db.close()  # takes its -wal file along
        copy.replace(self._path)
        self._open()
        self._spool.prune_through(self._spool.current_lsn)

    def _open(self) -> None:
        self._db = db = sqlite3.connect(self._path, isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        # What it loses in a crash is still in the spool.
        db.execute("PRAGMA synchronous=NORMAL")
        if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            db.execute("BEGIN")
            db.execute(POSITION)
            db.execute("INSERT INTO position VALUES(0, 0)")
            db.execute("COMMIT")
        self.applied, self._term = db.execute("SELECT lsn, term FROM position").fetchone()
        self._tables = Tables(db)

    def _apply(self, records: list[epochwal.SpoolRecord]) -> None:
        """Applies records and notes the last one, in one transaction."""
        self._db.execute("BEGIN")
        for record in records:
            for change in json.loads(record.payload):
                self._tables.apply(change)
        last = records[-1]
        self._db.execute("UPDATE position SET lsn = ?, term = ?", (last.lsn, last.term))
        self._db.execute("COMMIT")
        self.applied, self._term = last.lsn, last.term


def follow(replica: Replica, name: str, address: str) -> None:
    """Takes what one primary has, to its end."""
    replica.catch_up()
    with socket.socket(socket.AF_UNIX) as primary:
        primary.connect(address)
        wire.send(primary, wire.HELLO, struct.pack("<QQ", *replica.last) + name.encode())
        kind, body = wire.receive(primary)
        if kind == wire.SNAPSHOT:
            replica.load(body[8:])
        if struct.unpack_from("<Q", body) != (replica.applied,):
            raise RuntimeError("the primary goes on from elsewhere")
        replica.acknowledge(primary, written=replica.applied, durable=replica.applied)
        while True:
            wire.send(primary, wire.PULL, struct.pack("<I", PULL_AT_MOST))
            kind, body = wire.receive(primary)
            if kind == wire.END:
                return
            replica.take(list(wire.unpack_records(body)), primary)


def main() -> int:
    """Follows one primary after the other."""
    name, address = sys.argv[1:]
    replica = Replica(name)
    while True:
        try:
            follow(replica, name, address)
            replica.close()
            return 0
        except ConnectionError:
            pass  # the primary died: ask the next one


if __name__ == "__main__":
    sys.exit(main())
