"""Kills SQLite's own shell in mid-flight, on databases whose commits are in one
epochwal log, and asks SQLite's own shell what came back.

The shell loads the VFS as an extension, which recovers first. What is checked is
checked by a shell without it.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

DATABASES = ("main", "second")
# Spills from so small a cache: the pages are in the -wal before the commit is.
PRAGMAS = "PRAGMA {0}.journal_mode=WAL; PRAGMA {0}.synchronous=FULL; PRAGMA {0}.cache_size=5;"
TABLES = (
    "CREATE TABLE IF NOT EXISTS {0}.journal(n INTEGER PRIMARY KEY, payload TEXT);"
    "CREATE TABLE IF NOT EXISTS {0}.total(sum INTEGER);"
    "INSERT INTO {0}.total SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM {0}.total);"
)
# No ROLLBACK TO: SQLite 3.40 may lose commits behind one, see ../README.md.
COMMIT = (
    "BEGIN; DELETE FROM {0}.journal; ROLLBACK;"
    "BEGIN;"
    "UPDATE {0}.total SET sum = sum + {1};"
    "INSERT INTO {0}.journal VALUES({1}, printf('%0*d', 1 + {1} * 37 % 20000, {1}));"
    "COMMIT;"
)
# What holds after any number of commits: the last one, their sum, each payload.
QUESTION = (
    "PRAGMA integrity_check;"
    "SELECT coalesce(max(n), 0), count(*), (SELECT sum FROM total),"
    " sum(payload = printf('%0*d', 1 + n * 37 % 20000, n)) FROM journal;"
)


class Mismatch(Exception):
    """A database isn't what the commits have made of it."""


def ask(sqlite3: str, path: Path) -> int:
    """The last commit of a database in which all is as it should be."""
    done = subprocess.run(
        [sqlite3, path, QUESTION], capture_output=True, text=True, check=False
    )
    if "no such table" in done.stderr:
        return 0
    verdict, _, row = done.stdout.strip().partition("\n")
    numbers = [int(number or 0) for number in row.split("|")] if row else []
    last = numbers[0] if numbers else -1
    if verdict != "ok" or numbers != [last, last, last * (last + 1) // 2, last]:
        raise Mismatch(f"{path}: {done.stdout} {done.stderr}")
    return last


def opening(extension: Path, folder: Path) -> list[str]:
    lines = [f".load {extension}", f".open file:{folder}/main.db?vfs=epochwal"]
    lines += ["PRAGMA locking_mode=EXCLUSIVE;"]
    lines += [f"ATTACH 'file:{folder}/second.db?vfs=epochwal' AS second;"]
    lines += [PRAGMAS.format(name) + TABLES.format(name) for name in DATABASES]
    return lines


def crash(
    command: list[str], folder: Path, extension: Path, at: dict[str, int], rng: random.Random
) -> dict[str, int]:
    """Feeds a shell commits and kills it; the last that each database has told of."""
    told = dict(at)
    next_of = dict(at)
    lines = opening(extension, folder)
    for _ in range(rng.randint(1, 300)):
        name = rng.choice(DATABASES)
        next_of[name] += 1
        lines += [COMMIT.format(name, next_of[name]), f".print told {name} {next_of[name]}"]
        if rng.random() < 0.05:
            lines.append(
                f"PRAGMA {name}.wal_checkpoint({rng.choice(['PASSIVE', 'TRUNCATE'])});"
            )
    environment = {**os.environ, "EPOCHWAL_FOLDER": str(folder)}
    with tempfile.TemporaryFile("w+") as script:
        script.write("\n".join([".bail on", *lines, ".shell kill -9 $PPID\n"]))
        script.seek(0)
        shell = subprocess.Popen(
            command, stdin=script, stdout=subprocess.PIPE, text=True, env=environment
        )
    with shell:
        assert shell.stdout is not None
        left = rng.randint(0, len(lines))
        for line in shell.stdout:
            word, *rest = line.split()
            if word != "told":
                continue
            told[rest[0]] = int(rest[1])
            left -= 1
            if left <= 0:
                shell.kill()
    if shell.returncode != -signal.SIGKILL:
        raise Mismatch("the shell ended by itself")
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extension", type=Path, required=True)
    parser.add_argument("--sqlite3", default="sqlite3")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    rng = random.Random(args.seed)
    print(f"seed {args.seed}")
    # Each line as it is printed, also into a pipe.
    command = ["stdbuf", "-oL", args.sqlite3]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        extension = args.extension.resolve()
        at = dict.fromkeys(DATABASES, 0)
        for _ in range(args.kills):
            told = crash(command, folder, extension, at, rng)
            recovery = "\n".join([".bail on", f".load {extension}"])
            subprocess.run(
                [args.sqlite3],
                input=recovery,
                text=True,
                check=True,
                env={**os.environ, "EPOCHWAL_FOLDER": str(folder)},
            )
            at = {name: ask(args.sqlite3, folder / f"{name}.db") for name in DATABASES}
            if any(at[name] < told[name] for name in DATABASES):
                raise Mismatch(f"told of {told}, there is {at}")
            print(
                f"killed at commits {[*at.values()]}: integrity ok, every row as it should be"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
