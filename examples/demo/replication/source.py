"""The database of the primary: its transactions, and the changes that they make.

Triggers write each change of a row as JSON to the table `outbox`, inside the
transaction that makes it. So whatever a crash leaves of the one it leaves of the
other, and what the spool does not have yet is still to be found here.
"""

import itertools
import json
import random
import sqlite3
from pathlib import Path

import epochwal

#: LSN and term of the last transaction; a replica keeps them in the same table.
POSITION = "CREATE TABLE position(lsn INTEGER NOT NULL, term INTEGER NOT NULL)"
OUTBOX = (
    "CREATE TABLE outbox(n INTEGER PRIMARY KEY, lsn INTEGER NOT NULL, term INTEGER NOT NULL,"
    " change TEXT NOT NULL)"
)
SCHEMA = [
    "CREATE TABLE journal(lsn INTEGER PRIMARY KEY, what TEXT NOT NULL)",
    "CREATE TABLE account(id INTEGER PRIMARY KEY, owner TEXT, balance INTEGER, rate REAL,"
    " note, photo BLOB)",
    "CREATE UNIQUE INDEX account_owner ON account(owner)",
    "CREATE TABLE entry(account INTEGER REFERENCES account(id) ON UPDATE CASCADE ON DELETE"
    " CASCADE, at INTEGER, amount NUMERIC, memo TEXT, PRIMARY KEY(account, at)) WITHOUT ROWID",
]
TABLES = ["journal", "account", "entry"]

WORDS = [
    "Zoë",
    "naïve",
    "日本語",
    "🦉",
    "e\u0301",
    "it's",
    '"quoted"',
    "two\nlines",
    "",
    "Ωmega",
]
INTEGERS = [0, -1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
REALS = [0.1, -2.5, 3.0, 1e308, 5e-324, 1 / 3, 1e15 + 0.3]


def to_json(value: int | float | str | bytes | None) -> str:
    """A value as the changes have it."""
    if isinstance(value, bytes):
        return json.dumps({"blob": value.hex()})
    if isinstance(value, float):
        return json.dumps({"real": value.hex()})
    return json.dumps(value, ensure_ascii=False)


class Source:
    """The database at `path`; makes it where there is none."""

    def __init__(self, path: Path | str, seed: int) -> None:
        self._seed = seed
        self.db = db = sqlite3.connect(path, isolation_level=None)
        db.create_function("to_json", 1, to_json, deterministic=True)
        db.execute("PRAGMA journal_mode=WAL")
        # A transaction must not be in the spool and lost here.
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA foreign_keys=ON")
        # Else what REPLACE deletes fires no trigger.
        db.execute("PRAGMA recursive_triggers=ON")
        if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            db.execute("BEGIN")
            db.execute(POSITION)
            db.execute("INSERT INTO position VALUES(0, 0)")
            db.execute(OUTBOX)
            db.execute("COMMIT")
        self.lsn, self.term = db.execute("SELECT lsn, term FROM position").fetchone()

    def close(self) -> None:
        """Closes the database."""
        self.db.close()

    def transaction(self, term: int, shipped: int) -> None:
        """Commits the next transaction, and forgets changes that the spool has."""
        lsn = self.lsn + 1
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM outbox WHERE lsn <= ?", (shipped,))
        db.execute("UPDATE position SET lsn = ?, term = ?", (lsn, term))
        what = self._make_schema() if lsn == 1 else Work(db, self._seed, lsn).step()
        # So every transaction has a change, and names itself.
        db.execute("INSERT INTO journal VALUES(?, ?)", (lsn, what))
        db.execute("COMMIT")
        self.lsn = lsn

    def not_shipped(self, lsn: int) -> list[epochwal.SpoolRecord]:
        """The transactions above `lsn`, each a record."""
        rows = self.db.execute(
            "SELECT lsn, term, change FROM outbox WHERE lsn > ? ORDER BY n", (lsn,)
        )
        records = []
        for (of, term), changes in itertools.groupby(rows, key=lambda row: row[:2]):
            payload = "[" + ",".join(change for _, _, change in changes) + "]"
            records.append(epochwal.SpoolRecord(term, of, payload.encode()))
        return records

    def _make_schema(self) -> str:
        for statement in SCHEMA:
            self.db.execute(statement)
            # No trigger sees this one.
            self.db.execute(
                "INSERT INTO outbox(lsn, term, change)"
                " SELECT lsn, term, json_object('schema', ?) FROM position",
                (statement,),
            )
        for table in TABLES:
            self._make_triggers(table)
        return "schema"

    def _make_triggers(self, table: str) -> None:
        columns = self.db.execute(f"PRAGMA table_info({table})").fetchall()
        key = [name for pk, name in sorted((c[5], c[1]) for c in columns if c[5])]
        row = [c[1] for c in columns]

        def array(what: str, of: str, names: list[str]) -> str:
            values = ", ".join(f"json(to_json({of}.{name}))" for name in names)
            return f", '{what}', json_array({values})"

        gone, come = array("delete", "old", key), array("insert", "new", row)
        for event, parts in (("insert", come), ("update", gone + come), ("delete", gone)):
            self.db.execute(
                f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table} BEGIN"
                " INSERT INTO outbox(lsn, term, change)"
                f" SELECT lsn, term, json_object('table', '{table}'{parts}) FROM position; END"
            )


def snapshot(source: Path, target: Path) -> int:
    """Copies a database that is in use, as replicas have it; the LSN that it stands at."""
    db = sqlite3.connect(source, isolation_level=None)
    try:
        db.execute("VACUUM INTO ?", (str(target),))
    finally:
        db.close()
    copy = sqlite3.connect(target, isolation_level=None)
    try:
        triggers = copy.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall()
        for (trigger,) in triggers:
            copy.execute(f"DROP TRIGGER {trigger}")
        copy.execute("DROP TABLE outbox")
        (lsn,) = copy.execute("SELECT lsn FROM position").fetchone()
    finally:
        copy.close()
    return int(lsn)


class Work:
    """What one transaction does: the same for the same seed, LSN and database."""

    def __init__(self, db: sqlite3.Connection, seed: int, lsn: int) -> None:
        self._db = db
        self._rng = random.Random(f"{seed}/{lsn}")
        self._lsn = lsn

    def step(self) -> str:
        """Does it, and says what it was."""
        steps = [self._open, self._open, self._book, self._book, self._book, self._change]
        return self._rng.choice(
            [*steps, self._change, self._replace, self._renumber, self._end]
        )()

    def _account(self) -> int:
        """Some account; or a number that is none's."""
        found = self._db.execute("SELECT id FROM account ORDER BY id").fetchall()
        return int(self._rng.choice(found)[0]) if found else -1

    def _value(self) -> int | float | str | bytes | None:
        rng = self._rng
        return rng.choice(
            [
                None,
                rng.choice(INTEGERS),
                rng.getrandbits(64) - 2**63,
                rng.choice(REALS),
                rng.uniform(-1e6, 1e6),
                self._text(),
                rng.randbytes(rng.choice([0, 1, 40, 3000])),
            ]
        )

    def _text(self) -> str:
        return " ".join(self._rng.choices(WORDS, k=self._rng.randint(1, 12)))

    def _open(self) -> str:
        rng = self._rng
        for n in range(rng.randint(1, 4)):
            owner = f"{rng.choice(WORDS)} {self._lsn}.{n}"
            values = (owner, rng.choice(INTEGERS), rng.choice(REALS), self._value())
            self._db.execute(
                "INSERT INTO account(owner, balance, rate, note, photo) VALUES(?, ?, ?, ?, ?)",
                (*values, rng.choice([None, rng.randbytes(rng.randint(0, 2000))])),
            )
        return "open"

    def _book(self) -> str:
        account = self._account()
        if account >= 0:
            for n in range(self._rng.randint(1, 8)):
                amount = self._rng.choice([self._rng.uniform(-100, 100), *INTEGERS])
                self._db.execute(
                    "INSERT INTO entry VALUES(?, ?, ?, ?)",
                    (account, self._lsn * 10 + n, amount, self._text()),
                )
        return "book"

    def _change(self) -> str:
        low = self._account()
        self._db.execute(
            "UPDATE account SET note = ?, rate = rate * 1.1 WHERE id BETWEEN ? AND ?",
            (self._value(), low, low + self._rng.randint(0, 6)),
        )
        self._db.execute(
            "UPDATE entry SET amount = -amount, at = -at WHERE account = ?", (low,)
        )
        return "change"

    def _replace(self) -> str:
        """Takes another account's place by its unique owner: two rows are deleted."""
        found = self._db.execute(
            "SELECT owner FROM account WHERE id = ?", (self._account(),)
        ).fetchone()
        self._db.execute(
            "INSERT OR REPLACE INTO account(id, owner, note) VALUES(?, ?, ?)",
            (self._account(), found[0] if found else None, self._value()),
        )
        return "replace"

    def _renumber(self) -> str:
        """Changes a primary key, which its entries follow."""
        self._db.execute(
            "UPDATE account SET id = (SELECT max(id) FROM account) + 1 WHERE id = ?",
            (self._account(),),
        )
        return "renumber"

    def _end(self) -> str:
        """Deletes accounts and, by the foreign key, their entries."""
        low = self._account()
        self._db.execute("DELETE FROM account WHERE id BETWEEN ? AND ?", (low, low + 2))
        return "end"
