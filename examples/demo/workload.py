"""A SQLite database at work, with every commit's frames kept as it goes.

Nothing is ever checkpointed, so the database file stays what it was at the
start, and it together with the `-wal` file up to the end of transaction n is
SQLite's own state after transaction n.
"""

import random
import shutil
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from sqlite_frames import WalTail, write_transaction

SCHEMA = [
    "CREATE TABLE journal(n INTEGER PRIMARY KEY, what TEXT NOT NULL)",
    "CREATE TABLE account(id INTEGER PRIMARY KEY, owner TEXT, balance INTEGER, note TEXT)",
    "CREATE INDEX account_owner ON account(owner)",
    "CREATE INDEX account_balance ON account(balance, owner)",
    "CREATE TABLE document(id INTEGER PRIMARY KEY, account INTEGER, title TEXT, body BLOB)",
    "CREATE INDEX document_account ON document(account)",
    "CREATE TABLE tag(name TEXT, document INTEGER, PRIMARY KEY(name, document)) WITHOUT ROWID",
    "CREATE VIEW rich AS SELECT owner, balance FROM account WHERE balance > 500000",
]


@dataclass
class Source:
    """One database and what was taken from it."""

    name: str
    page_size: int
    #: The database file as it was before transaction 1.
    base: Path
    #: The whole `-wal` file.
    wal: Path
    #: Every transaction's frames, for the committers.
    frames: Path
    #: Where in `wal` each transaction ends: `ends[n]` for transaction n.
    ends: list[int] = field(default_factory=list)
    #: The database's size in pages after each transaction, from 1.
    sizes: list[int] = field(default_factory=list)
    frame_count: int = 0

    @property
    def transactions(self) -> int:
        return len(self.sizes)


def capture(directory: Path, name: str, seed: int, transactions: int, page_size: int) -> Source:
    """Runs the workload and keeps its commits; one transaction, one commit in the `-wal`."""
    live = directory / f"{name}-live.db"
    source = Source(
        name=name,
        page_size=page_size,
        base=directory / f"{name}-base.db",
        wal=directory / f"{name}-base.db-wal.whole",
        frames=directory / f"{name}.frames",
    )
    connection = sqlite3.connect(live, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size={page_size}")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise RuntimeError(f"no write-ahead log on this file system: {mode}")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("PRAGMA synchronous=OFF")
        shutil.copyfile(live, source.base)
        _run(connection, source, live, seed, transactions)
        # Before the close: the last connection to go would checkpoint.
        shutil.copyfile(f"{live}-wal", source.wal)
    finally:
        connection.close()
    return source


def _run(
    connection: sqlite3.Connection, source: Source, live: Path, seed: int, transactions: int
) -> None:
    work = Work(connection, random.Random(seed), transactions)
    tail = None
    with source.frames.open("wb") as out:
        for n in range(1, transactions + 1):
            connection.execute("BEGIN IMMEDIATE")
            work.transaction(n)
            connection.execute("COMMIT")
            if tail is None:
                tail = WalTail(open(f"{live}-wal", "rb"))  # noqa: SIM115
                source.ends.append(tail.offset)
            frames = tail.transaction()
            if frames is None or tail.transaction() is not None:
                raise RuntimeError(f"transaction {n} is not one commit in the -wal file")
            write_transaction(out, frames)
            source.frame_count += len(frames)
            source.ends.append(tail.offset)
            source.sizes.append(frames[-1].db_size)


class Work:
    """What the transactions do; the same seed does the same."""

    def __init__(self, connection: sqlite3.Connection, rng: random.Random, total: int) -> None:
        self._db = connection
        self._rng = rng
        self._total = total
        self._accounts = 0
        self._documents = 0

    def transaction(self, n: int) -> None:
        """The statements of transaction `n`, inside its BEGIN and COMMIT."""
        if n <= len(SCHEMA):
            self._db.execute(SCHEMA[n - 1])
            what = "schema"
        else:
            what = self._step(n / self._total, n)
        # So every transaction writes, and names itself.
        self._db.execute("INSERT INTO journal VALUES(?, ?)", (n, what))

    def _step(self, progress: float, n: int) -> str:
        if n % 211 == 0:
            return self._change_schema(n)
        if 0.55 <= progress < 0.70:
            return self._free()
        if n % 97 == 0:
            return self._bulk()
        steps = [self._insert, self._insert, self._document, self._document]
        return self._rng.choice([*steps, self._update, self._update, self._delete, self._tag])()

    def _text(self, low: int, high: int) -> str:
        return self._rng.randbytes(self._rng.randint(low, high) // 2).hex()

    def _insert(self) -> str:
        for _ in range(self._rng.randint(1, 5)):
            self._accounts += 1
            row = (self._accounts, self._text(4, 20), self._rng.randrange(10**6))
            self._db.execute(
                "INSERT INTO account VALUES(?, ?, ?, ?)", (*row, self._text(0, 200))
            )
        return "insert"

    def _document(self) -> str:
        self._documents += 1
        body = self._rng.randbytes(self._rng.choice([10, 300, 3000, 20000]))
        row = (self._documents, self._rng.randint(0, self._accounts), self._text(4, 40), body)
        self._db.execute("INSERT INTO document VALUES(?, ?, ?, ?)", row)
        return "document"

    def _tag(self) -> str:
        self._db.execute(
            "INSERT OR REPLACE INTO tag VALUES(?, ?)",
            (f"tag-{self._rng.randrange(50)}", self._rng.randint(0, self._documents)),
        )
        return "tag"

    def _update(self) -> str:
        low = self._rng.randint(0, self._accounts)
        self._db.execute(
            "UPDATE account SET balance = ?, note = ? WHERE id BETWEEN ? AND ?",
            (self._rng.randrange(10**6), self._text(0, 300), low, low + 4),
        )
        self._db.execute(
            "UPDATE document SET body = ? WHERE id = ?",
            (
                self._rng.randbytes(self._rng.randint(1, 9000)),
                self._rng.randint(0, self._documents),
            ),
        )
        return "update"

    def _delete(self) -> str:
        low = self._rng.randint(0, self._documents)
        self._db.execute("DELETE FROM document WHERE id BETWEEN ? AND ?", (low, low + 2))
        self._db.execute(
            "DELETE FROM account WHERE id = ?", (self._rng.randint(0, self._accounts),)
        )
        return "delete"

    def _bulk(self) -> str:
        self._db.execute("UPDATE account SET balance = balance + 1 WHERE id % 7 = 0")
        return "bulk"

    def _free(self) -> str:
        """Deletes and gives pages back, so that the database shrinks."""
        share = self._rng.randint(20, 40)
        self._db.execute(
            "DELETE FROM document WHERE id IN (SELECT id FROM document ORDER BY id LIMIT "
            "(SELECT count(*) / ? FROM document))",
            (share,),
        )
        if self._rng.random() < 0.5:
            self._db.execute(
                f"PRAGMA incremental_vacuum({self._rng.randint(1, 60)})"
            ).fetchall()
        return "free"

    def _change_schema(self, n: int) -> str:
        if n % 2:
            self._db.execute(f"CREATE INDEX extra_{n} ON document(title, account)")
        else:
            self._db.execute(f"DROP INDEX IF EXISTS extra_{n - 211}")
            self._db.execute(f"CREATE TABLE extra_{n}(a, b, UNIQUE(a, b))")
        return "schema"
