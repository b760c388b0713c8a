"""Commits a second of many databases: one shared log against SQLite's own WALs.

Both sides have the same host, one thread and one connection per database,
synchronous=FULL and locking_mode=EXCLUSIVE. They take turns, so that a slow
minute of the disk meets both; a ratio is that of two neighbours.
"""

import argparse
import statistics
import subprocess
import tempfile
from pathlib import Path


def commits(host: Path, databases: int, ms: int, wal: str, where: str | None) -> float:
    with tempfile.TemporaryDirectory(dir=where) as folder:
        command = [str(host), "bench", folder, str(databases), str(ms), wal]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", type=Path, required=True)
    parser.add_argument("--databases", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--ms", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dir", help="where the databases lie; else the temporary folder")
    args = parser.parse_args()
    print(f"{'databases':>9} {'own WALs':>10} {'shared log':>10}   ratio (lowest, highest)")
    for databases in args.databases:
        own, shared = [], []
        for _ in range(args.rounds):
            own.append(commits(args.host, databases, args.ms, "own", args.dir))
            shared.append(commits(args.host, databases, args.ms, "shared", args.dir))
        ratios = [b / a for a, b in zip(own, shared, strict=True)]
        print(
            f"{databases:9} {statistics.median(own):10.0f} {statistics.median(shared):10.0f}"
            f"   {statistics.median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
