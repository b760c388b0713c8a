#!/usr/bin/env python3
"""Real SQLite commits, a SIGKILL, and what comes back.

SQLite databases run a workload in WAL mode; the frames of every commit are cut
out of their `-wal` files and committed to epochwal by a process with a thread
for each database. That process is killed at a random moment. Each database is
then recovered into a fresh file and compared with SQLite's own state after the
last recovered transaction. Then the same frames go through the programs of
examples/c and examples/cpp.

The second part, in replication/, ships the logical changes of a SQLite database
to three replicas, in Python, C and C++, of which one is killed, one stays away for
too long, and none is spared the death of the primary.

Exit status 0 only if every check held.
"""

import argparse
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import epochwal
from check import Mismatch, same_content
from replication.story import Story
from workload import Source, capture

PAGE_SIZES = [4096, 1024, 8192, 4096]
HERE = Path(__file__).resolve().parent


@dataclass
class Database:
    """One database under test: where its frames come from, and its log's path."""

    source: Source
    path: Path
    acknowledged: int = 0


def capture_all(
    directory: Path, seed: int, databases: int, transactions: int
) -> list[Database]:
    """Runs the SQLite workloads."""
    made = []
    for index in range(databases):
        page_size = PAGE_SIZES[index % len(PAGE_SIZES)]
        source = capture(directory, f"db{index}", seed + index, transactions, page_size)
        shrank = sum(b < a for a, b in zip(source.sizes, source.sizes[1:], strict=False))
        print(
            f"  db{index}: {source.transactions} SQLite commits, {source.frame_count} frames "
            f"of {page_size} bytes, {max(source.sizes)} pages at most, shrank {shrank} times"
        )
        made.append(Database(source, directory / f"wal{index}.db"))
    return made


def commit_and_kill(databases: list[Database], rng: random.Random) -> str:
    """Runs the committers and kills them; notes what they had acknowledged."""
    total = sum(d.source.transactions for d in databases)
    kill_after = rng.randint(total // 10, total * 9 // 10)
    read_end, write_end = os.pipe()
    command = [sys.executable, str(HERE / "committer.py"), str(write_end)]
    for database in databases:
        command += [str(database.path), str(database.source.frames)]
    started = time.monotonic()
    with subprocess.Popen(command, pass_fds=[write_end]) as process:
        os.close(write_end)
        acknowledged = 0
        killed = False
        with os.fdopen(read_end, "rb") as acks:
            # After the kill the pipe is read to its end: all that was told counts.
            while ack := acks.read(8):
                index, number = struct.unpack("<II", ack)
                if number != databases[index].acknowledged + 1:
                    raise Mismatch(f"db{index} acknowledged {number} out of turn")
                databases[index].acknowledged = number
                acknowledged += 1
                if acknowledged >= kill_after and not killed:
                    process.kill()
                    killed = True
        status = process.wait()
    if status != -signal.SIGKILL:
        raise Mismatch(f"the committers ended by themselves with {status}")
    seconds = time.monotonic() - started
    return f"killed after {acknowledged} of {total} commits were acknowledged ({seconds:.1f} s)"


def recover(database: Database, name: str) -> None:
    """Recovers one database and checks all that was promised of it."""
    source = database.source
    target = database.path.with_name(f"{database.path.name}.recovered")
    report = epochwal.recover_into_file(database.path, target, page_size=source.page_size)
    last = report.highest_commit_seq
    if last < database.acknowledged:
        raise Mismatch(f"{name}: {database.acknowledged} was acknowledged, {last} recovered")
    sequences = [batch.commit_seq for batch in epochwal.recover(database.path)]
    if sequences != list(range(1, last + 1)):
        raise Mismatch(f"{name}: transactions are missing, doubled or out of order")
    if last == 0:
        print(f"  {name}: nothing acknowledged, nothing recovered")
        return
    compared = same_content(source, last, target)
    print(
        f"  {name}: acknowledged {database.acknowledged}, recovered {last} "
        f"in {report.segments} segments ({report.verdict}); {compared}"
    )


def run_example(program: Path, *arguments: object) -> None:
    """Runs one of the C or C++ programs; its output only matters if it fails."""
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Mismatch(f"{program} ended with {done.returncode}: {done.stdout}{done.stderr}")


def other_languages(databases: list[Database], examples: Path, directory: Path) -> None:
    """C commits what C++ recovers, and the other way round."""
    for index, (writer, reader) in enumerate((("c", "cpp"), ("cpp", "c"))):
        source = databases[index % len(databases)].source
        path = directory / f"{writer}.db"
        target = directory / f"{writer}.db.recovered"
        run_example(examples / writer / "commit", path, source.frames)
        run_example(examples / reader / "recover", path, target, source.page_size)
        compared = same_content(source, source.transactions, target)
        print(
            f"  committed by examples/{writer}, recovered by examples/{reader}: "
            f"{source.transactions} transactions, {compared}"
        )


def demo(arguments: argparse.Namespace, directory: Path) -> None:
    """The whole story, told as it goes."""
    seed = arguments.seed
    print(f"seed {seed}; SQLite at work:")
    databases = capture_all(directory, seed, arguments.databases, arguments.transactions)
    print("committing through epochwal, one thread a database:")
    print(f"  {commit_and_kill(databases, random.Random(seed))}")
    print("recovering into fresh files:")
    for index, database in enumerate(databases):
        recover(database, f"db{index}")
    if arguments.examples:
        print("the same frames from C and C++:")
        other_languages(databases, arguments.examples, directory)
    if arguments.examples and arguments.replicated:
        replicate(arguments, directory / "replication")


def replicate(arguments: argparse.Namespace, directory: Path) -> None:
    """The second part."""
    print("logical changes of a SQLite database, followed by three replicas:")
    directory.mkdir()
    programs = arguments.examples.resolve() / "replication"
    Story(directory, programs, arguments.seed, arguments.replicated).run()


def main() -> int:
    """Parses the command line and runs the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transactions", type=int, default=2400, help="of each database")
    parser.add_argument(
        "--replicated",
        type=int,
        default=1000,
        help="transactions of the second part, 50 or more; 0 leaves it out",
    )
    parser.add_argument("--databases", type=int, default=4)
    parser.add_argument("--seed", type=int, help="default: a random one, printed")
    parser.add_argument("--examples", type=Path, help="folder of the built C and C++ programs")
    parser.add_argument(
        "--dir", type=Path, help="where to work; kept. Default: a temporary one"
    )
    arguments = parser.parse_args()
    if 0 < arguments.replicated < 50:
        parser.error("--replicated: not enough for all that is to happen")
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randrange(10**6)
    directory = arguments.dir or Path(tempfile.mkdtemp(prefix="epochwal-demo-"))
    directory.mkdir(parents=True, exist_ok=True)
    try:
        demo(arguments, directory)
    except Mismatch as mismatch:
        print(f"FAILED: {mismatch}\n  seed {arguments.seed}; files left in {directory}")
        return 1
    if not arguments.dir:
        shutil.rmtree(directory)
    print("every check held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
