"""Cursors, waits, and the threads beside them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Thread, page, until

import epochwal
from epochwal import Spool


def append(spool: Spool, lsn: int, term: int = 1) -> None:
    spool.append(term=term, lsn=lsn, payload=page(lsn, size=lsn % 90 + 1))


def check(records: list[epochwal.SpoolRecord]) -> list[int]:
    for record in records:
        assert record.payload == page(record.lsn, size=record.lsn % 90 + 1)
    return [r.lsn for r in records]


def test_a_cursor_goes_on_where_it_was(db: Path) -> None:
    with Spool(db) as spool, spool.cursor(0) as cursor:
        for lsn in range(1, 21):
            append(spool, lsn)
        assert check(cursor.next_batch(max_records=3)) == [1, 2, 3]
        assert cursor.lsn == 3
        assert next(cursor).lsn == 4
        assert iter(cursor) is cursor
        # The iteration reads ahead; a batch goes on behind what was given.
        assert cursor.lsn == 4
        assert check(cursor.next_batch(max_records=2)) == [5, 6]
        assert check(cursor.next_batch(max_bytes=0)) == [7]
        assert check(cursor.next_batch()) == list(range(8, 21))
        with pytest.raises(epochwal.Timeout):
            cursor.next_batch(0)
        with pytest.raises(epochwal.Timeout):
            cursor.next_batch(timeout=0.01)
        append(spool, 21)
        assert check(cursor.next_batch(0)) == [21]
        assert repr(cursor) == "<epochwal.Cursor at 21>"
    with pytest.raises(epochwal.ClosedError):
        next(cursor)


def test_a_cursor_says_where_it_cannot_read(db: Path) -> None:
    with Spool(db) as spool:
        for lsn in range(1, 11):
            append(spool, lsn)
        with pytest.raises(epochwal.AheadError):
            spool.cursor(11).next_batch(0)
        late = spool.cursor(2)
        spool.prune_through(5)
        for _ in range(2):
            with pytest.raises(epochwal.WalRemovedError) as removed:
                late.next_batch()
            assert removed.value.lsn == 6
        assert late.lsn == 2


def test_threads_follow_a_writer(db: Path) -> None:
    last = 400
    with Spool(db, segment_size=32768) as spool:

        def follow() -> list[int]:
            seen: list[int] = []
            for record in spool.cursor(0):
                check([record])
                seen.append(record.lsn)
                if record.lsn == last:
                    break
            return seen

        followers = [Thread(follow) for _ in range(3)]
        for lsn in range(1, last + 1):
            spool.submit(term=1, lsn=lsn, payload=page(lsn, size=lsn % 90 + 1))
        for follower in followers:
            assert follower.get() == list(range(1, last + 1))


def test_a_prune_leaves_a_cursor_its_segment(db: Path) -> None:
    # Without a ring, so that it reads from the file.
    with Spool(db, segment_size=32768, ring_bytes=0) as spool:
        for lsn in range(1, 7):
            append(spool, lsn)
        cursor = spool.cursor(0)
        assert check(cursor.next_batch(max_records=1)) == [1]
        assert spool.prune_through(6) == 6
        assert check(cursor.next_batch()) == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("who", "what"),
    [
        ("spool", "next"),
        ("spool", "next_batch"),
        ("spool", "wait_after"),
        ("cursor", "next"),
        ("cursor", "next_batch"),
    ],
)
def test_closing_wakes_whoever_waits(db: Path, who: str, what: str) -> None:
    spool = Spool(db)
    append(spool, 1)
    cursor = spool.cursor(1)
    calls: dict[str, Callable[[], object]] = {
        "next": lambda: next(cursor),
        "next_batch": cursor.next_batch,
        "wait_after": lambda: spool.wait_after(1),
    }
    started = threading.Event()

    def wait() -> object:
        started.set()
        return calls[what]()

    waiting = Thread(wait)
    started.wait()
    (spool if who == "spool" else cursor).close()
    with pytest.raises(epochwal.ClosedError):
        waiting.get()
    spool.close()


def test_a_cursor_is_used_by_one_thread_at_a_time(db: Path) -> None:
    with Spool(db) as spool:
        cursor = spool.cursor(0)

        def wait() -> list[int]:
            while True:
                # A look of the other thread's may come first.
                with contextlib.suppress(epochwal.BusyError):
                    return check(cursor.next_batch())

        waiting = Thread(wait)

        def told() -> bool:
            try:
                cursor.next_batch(0)
            except epochwal.Timeout:
                return False
            except epochwal.BusyError:
                return True
            return False

        until(told)
        append(spool, 1)
        assert waiting.get() == [1]
        append(spool, 2)
        assert check(cursor.next_batch()) == [2]


def test_closing_beside_appends_loses_nothing_acknowledged(db: Path) -> None:
    acknowledged: list[int] = []
    for round_ in range(5):
        spool = Spool(db)
        first = spool.current_lsn + 1
        lock = threading.Lock()
        numbers = iter(range(first, first + 1000))

        def work(spool: Spool = spool, lock: threading.Lock = lock) -> None:
            while True:
                # The ticket is taken under the lock, so that LSNs rise.
                try:
                    with lock:
                        lsn = next(numbers)  # noqa: B023
                        ticket = spool.submit(term=1, lsn=lsn, payload=page(lsn, size=9))
                    spool.wait(ticket)
                except epochwal.ClosedError:
                    return
                acknowledged.append(lsn)

        workers = [Thread(work) for _ in range(4)]
        until(lambda: len(acknowledged) > 20 * (round_ + 1))  # noqa: B023
        spool.close()
        for worker in workers:
            worker.get()
    with Spool(db) as spool:
        found = [r.lsn for r in spool.read_since(0, max_records=10_000)]
        assert set(acknowledged) <= set(found)
        assert found == sorted(set(found))
