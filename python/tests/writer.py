"""A process that commits until it is killed, and says what was acknowledged.

Arguments: the database, the first transaction id, committer threads. Its
output: "opened <epoch>", then "<txn id> <epoch>" once a commit has returned.
A batch's content follows from its transaction id (see `frames`).
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import threading

from support import page

import epochwal


def frames(txn_id: int) -> list[tuple[int, bytes, int]]:
    """Make the frames of a transaction: one to five pages of all sizes."""
    dice = random.Random(txn_id)
    return [
        (dice.randrange(1, 500), page(txn_id, n, size=dice.choice([1, 100, 512, 4096])), n)
        for n in range(dice.randrange(1, 6))
    ]


def metadata(txn_id: int) -> bytes:
    return b"txn %d" % txn_id if txn_id % 3 == 0 else b""


def say(*words: object) -> None:
    """Write one line in one piece: lines of threads never mix."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def main(path: str, first: int, threads: int) -> None:
    wal = epochwal.Coordinator(path, sequencing="coordinator", segment_size=1 << 20)
    say("opened", wal.current_epoch)
    ids = itertools.count(first)

    def commit() -> None:
        for txn_id in ids:
            batch = frames(txn_id)
            ticket = wal.commit(batch, txn_id=txn_id, metadata=metadata(txn_id))
            say(txn_id, ticket.epoch)

    for _ in range(threads):
        threading.Thread(target=commit).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
