"""Kills a host of many SQLite databases in mid-flight, recovers, and compares.

Each database must be whole, hold exactly what commits 1 to n put there, and n
must not be below the last commit that the host has told of. SQLite's own
library looks, without the VFS.
"""

import argparse
import contextlib
import random
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path


class Mismatch(Exception):
    """A database isn't what the commits have made of it."""


Content = dict[str, list[tuple[int, object]]]


def expected(n: int) -> Content:
    """What a database holds after commit n; host.c says the same in SQL."""
    accounts = [0] * 50
    for i in range(1, n + 1):
        accounts[i % 50] += i
        accounts[i * 7 % 50] -= i
    journal = [(i, f"{i:0{1 + i * 37 % 2000}d}") for i in range(max(1, n - 99), n + 1)]
    filled = n - n % 10
    bulk = [] if filled % 30 == 0 else [(i, f"{filled + i:0800d}") for i in range(1, 201)]
    return {
        "account": [*enumerate(accounts)],
        "journal": [*journal],
        "bulk": [*bulk],
    }


def check(path: Path, acknowledged: int) -> int:
    """Gives the commit that the database stands at."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            raise Mismatch(f"{path}: integrity: {verdict}")
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        (page_size,) = db.execute("PRAGMA page_size").fetchone()
        (mode,) = db.execute("PRAGMA journal_mode").fetchone()
        # With a rollback journal SQLite cuts the file once the commit is done: a
        # kill in between leaves it longer.
        if mode == "wal" and path.stat().st_size != pages * page_size:
            raise Mismatch(f"{path}: {path.stat().st_size} bytes, {pages} pages")
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'bulk'").fetchone():
            if acknowledged:
                raise Mismatch(f"{path}: no tables, {acknowledged} commits acknowledged")
            return 0
        n = int(db.execute("SELECT n FROM state").fetchone()[0])
        if n < acknowledged:
            raise Mismatch(f"{path}: at commit {n}, {acknowledged} were acknowledged")
        for table, rows in expected(n).items():
            if db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() != rows:
                raise Mismatch(f"{path}: {table} differs at commit {n}")
    return n


def kill_recoveries(host: Path, folder: Path, rng: random.Random) -> None:
    """Begins to recover, and kills that too, as often as not."""
    while rng.random() < 0.5:
        command = [str(host), "recover", str(folder)]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                command, capture_output=True, timeout=rng.uniform(0, 0.05), check=False
            )


def recover(host: Path, folder: Path) -> str:
    command = [str(host), "recover", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Mismatch(f"recovery: {done.stderr}")
    return done.stdout.strip()


def crash(
    host: Path, folder: Path, databases: int, commits: int, stop_at: int | None = None
) -> dict[int, int]:
    """Kills the host after so many acknowledged commits; the last of each database."""
    last: dict[int, int] = {}
    command = [str(host), "work", str(folder), str(databases)]
    command += [] if stop_at is None else [str(stop_at)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()  # what was recovered
            for _ in range(commits):
                line = process.stdout.readline()
                if not line:
                    raise Mismatch("the host ended by itself")
                database, n = map(int, line.split())
                last[database] = n
        finally:
            process.kill()
        # What was on its way in the pipe was acknowledged too.
        for line in process.stdout:
            if line.endswith("\n"):
                database, n = map(int, line.split())
                last[database] = n
    return last


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", type=Path, required=True)
    parser.add_argument("--databases", type=int, default=8)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--commits", type=int, default=2000, help="at most, per kill")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    rng = random.Random(args.seed)
    print(f"seed {args.seed}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        total = 0
        for _ in range(args.kills):
            last = crash(args.host, folder, args.databases, rng.randint(0, args.commits))
            kill_recoveries(args.host, folder, rng)
            report = recover(args.host, folder)
            at = [
                check(path, last.get(int(path.stem), 0)) for path in sorted(folder.glob("*.db"))
            ]
            if sum(at) < total:
                raise Mismatch(f"{sum(at)} commits, there were {total} before")
            total = sum(at)
            print(f"killed at commits {at}: {report}, every row as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
