"""The process that gets killed: a committer thread for each database.

    committer.py ACK_FD (DB FRAMES)...

Each acknowledged transaction is told at once through the pipe ACK_FD: the
database's index and the transaction's number, two u32. A write of 8 bytes to
a pipe is never torn, so what the parent reads is exactly what was acknowledged.
"""

import os
import struct
import sys
import threading
from pathlib import Path

import epochwal
from sqlite_frames import read_transactions


def commit_all(index: int, db: Path, frames: Path, acks: int) -> None:
    """Commits a frames file, one transaction after the other."""
    with epochwal.Coordinator(db) as wal:
        for number, transaction in enumerate(read_transactions(frames), start=1):
            wal.commit(transaction, txn_id=number, commit_seq=number)
            os.write(acks, struct.pack("<II", index, number))


def main() -> int:
    """Runs the committers to their end, if nobody kills them first."""
    acks = int(sys.argv[1])
    paths = [Path(p) for p in sys.argv[2:]]
    failures: list[BaseException] = []

    def run(index: int) -> None:
        try:
            commit_all(index, paths[2 * index], paths[2 * index + 1], acks)
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(paths) // 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
