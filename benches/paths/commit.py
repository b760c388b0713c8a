"""Commit pages for as long as each line of standard input says.

Usage: commit.py DATABASE threads|asyncio COUNT

Each line is a number of seconds, answered by commits per second: threads (or
tasks of one loop) that each wait for one commit before the next.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from time import perf_counter

import epochwal
import epochwal.aio

PAGE = 4096


def main() -> None:
    database, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    pages = [random.Random(n).randbytes(PAGE) for n in range(count)]
    if who == "asyncio":
        asyncio.run(serve_with_tasks(database, pages))
    else:
        serve_with_threads(database, pages)


def serve_with_threads(database: str, pages: list[bytes]) -> None:
    with epochwal.Coordinator(database, sequencing="coordinator") as wal:
        for line in sys.stdin:
            print(turn_of_threads(wal, pages, float(line)), flush=True)
            wal.checkpoint(wal.durable_epoch or 0)


async def serve_with_tasks(database: str, pages: list[bytes]) -> None:
    async with epochwal.aio.Coordinator(database, sequencing="coordinator") as wal:
        # Nothing else is to run between two turns, so reading may block.
        for line in sys.stdin:
            print(await turn_of_tasks(wal, pages, float(line)), flush=True)
            wal.checkpoint(wal.durable_epoch or 0)


def turn_of_threads(wal: epochwal.Coordinator, pages: list[bytes], seconds: float) -> float:
    """Commit each page in a thread of its own; give commits per second."""
    start = threading.Barrier(len(pages))
    done = [0] * len(pages)
    took = [0.0] * len(pages)

    def commit(thread: int) -> None:
        frames = [(thread + 1, pages[thread])]
        count = 0
        start.wait()
        began = now = perf_counter()
        while now - began < seconds:
            wal.commit(frames, txn_id=thread + 1)
            count += 1
            now = perf_counter()
        done[thread], took[thread] = count, now - began

    threads = [threading.Thread(target=commit, args=(n,)) for n in range(len(pages))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / max(took)


async def turn_of_tasks(
    wal: epochwal.aio.Coordinator, pages: list[bytes], seconds: float
) -> float:
    """Commit each page in a task of its own; give commits per second."""
    began = perf_counter()

    async def commit(task: int) -> int:
        frames = [(task + 1, pages[task])]
        count = 0
        while perf_counter() - began < seconds:
            await wal.commit(frames, txn_id=task + 1)
            count += 1
        return count

    done = await asyncio.gather(*(commit(n) for n in range(len(pages))))
    return sum(done) / (perf_counter() - began)


if __name__ == "__main__":
    main()
