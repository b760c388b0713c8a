"""The spool's asyncio face: appends and followers share one descriptor."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path

import pytest
from support import PATIENCE, page
from test_aio import eventfds, run

import epochwal
from epochwal import aio


def payload(lsn: int) -> bytes:
    return page(lsn, size=lsn % 90 + 1)


async def append(spool: aio.Spool, lsn: int, term: int = 1) -> None:
    await spool.append(term=term, lsn=lsn, payload=payload(lsn))


def test_appends_are_durable_and_come_back(db: Path) -> None:
    async def main() -> None:
        # Nobody but the awaiting task starts a flush.
        async with aio.Spool(db, flush_interval=3600) as spool:
            ticket = await spool.append(term=2, lsn=1, payload=b"a", timestamp_ms=5)
            assert ticket[1:] == (1, 1)
            await spool.append_batch([(2, 2, b"b", 6), (3, 3, b"c", 7)])
            staged = spool.submit(term=3, lsn=4, payload=b"d", timestamp_ms=8)
            assert spool.current_lsn == 3
            await spool.wait(staged)
            spool.submit_batch([(3, 5, b"e", 9)])
            await spool.flush()
            expected = [(2, 1, b"a", 5), (2, 2, b"b", 6), (3, 3, b"c", 7)]
            assert await spool.read_since(0, max_records=3) == expected
            assert spool.bounds == (1, 5, 0)
            assert (spool.oldest_lsn, spool.pruned_through, spool.term) == (1, 0, 3)
            assert spool.terms == [(2, 1), (3, 3)]
            assert spool.path == str(db)
            assert (spool.torn, spool.salvaged, spool.lost) == (None, [], [])
            assert (spool.imported, spool.saved_tail) == (None, None)
            assert await spool.prune_through(2) == 2
            with pytest.raises(epochwal.WalRemovedError):
                await spool.read_since(0)
            tail = await spool.truncate_after(4, 7)
            assert tail is not None
            assert tail == spool.saved_tail
            stats = spool.stats()
            assert stats is not None
            assert stats["frames"] == 5
        assert spool.closed

    run(main)


def test_many_tasks_share_epochs_and_no_threads(db: Path) -> None:
    count = 300

    async def main() -> None:
        async with await aio.Spool.open(db) as spool:
            await append(spool, 1)
            gc.collect()
            threads, descriptors = threading.active_count(), eventfds()
            # Tasks begin in order, and each stages at its first step.
            tasks = [asyncio.create_task(append(spool, n)) for n in range(2, count + 1)]
            await asyncio.gather(*tasks)
            assert threading.active_count() == threads
            assert eventfds() == descriptors > 0
            stats = spool.stats()
            assert stats is not None
            assert stats["epochs"] < count
            assert spool._waiters == {}

    run(main)


def test_followers_see_every_record_once(db: Path) -> None:
    last = 300

    async def main() -> None:
        async with aio.Spool(db, segment_size=32768) as spool:
            await append(spool, 1)

            async def follow(first: int) -> list[int]:
                seen: list[int] = []
                async for record in spool.follow(first):
                    assert record.payload == payload(record.lsn)
                    seen.append(record.lsn)
                    if record.lsn == last:
                        break
                return seen

            tasks = [asyncio.create_task(follow(first)) for first in (0, 0, 1)]
            for lsn in range(2, last + 1):
                if lsn % 3:
                    spool.submit(term=1, lsn=lsn, payload=payload(lsn))
                else:
                    await append(spool, lsn)
            await spool.flush()
            for first, task in zip((0, 0, 1), tasks, strict=True):
                assert await task == list(range(first + 1, last + 1))
            assert spool._arrivals == set()

    run(main)


def test_a_follower_reads_ahead_no_further_than_it_was_told(db: Path) -> None:
    async def main() -> None:
        async with aio.Spool(db) as spool:
            await spool.append_batch([(1, lsn, b"x" * 10) for lsn in range(1, 8)])
            async with spool.follow(0, max_records=3) as follower:
                assert [r.lsn for r in await follower.next_batch()] == [1, 2, 3]
                assert (await anext(follower)).lsn == 4
                assert [r.lsn for r in await follower.next_batch()] == [5, 6]
            with pytest.raises(epochwal.ClosedError):
                await anext(follower)
            by_bytes = spool.follow(0, max_bytes=25)
            assert [r.lsn for r in await by_bytes.next_batch()] == [1, 2]
            with pytest.raises(epochwal.InvalidError, match="max_records"):
                await anext(spool.follow(0, max_records=0))

    run(main)


def test_a_cancelled_step_loses_nothing(db: Path) -> None:
    async def main() -> None:
        async with aio.Spool(db, ring_bytes=0) as spool:
            follower = spool.follow(0)
            seen: list[int] = []
            for lsn in range(1, 101):
                spool.submit(term=1, lsn=lsn, payload=payload(lsn))
                if lsn % 10 == 0:
                    await spool.flush()
                step = asyncio.create_task(anext(follower))
                # Before its first step, while it waits or reads, or not at all.
                for _ in range(lsn % 5):
                    await asyncio.sleep(0)
                step.cancel()
                await asyncio.wait([step])
                if not step.cancelled():
                    seen.append(step.result().lsn)
                assert follower.lsn == (seen[-1] if seen else 0)
            await spool.flush()
            while len(seen) < 100:
                seen += [r.lsn for r in await follower.next_batch()]
            assert seen == list(range(1, 101))
            assert spool._arrivals == set()

    run(main)


def test_a_follower_that_waits_is_cancelled_alone(db: Path) -> None:
    async def main() -> None:
        async with aio.Spool(db) as spool:
            followers = [spool.follow(0) for _ in range(3)]
            steps = [asyncio.create_task(anext(f)) for f in followers]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            steps[1].cancel()
            await append(spool, 1)
            results = await asyncio.gather(*steps, return_exceptions=True)
            assert isinstance(results[1], asyncio.CancelledError)
            assert [r.lsn for r in (results[0], results[2])] == [1, 1]  # type: ignore[union-attr]
            assert (await anext(followers[1])).lsn == 1

    run(main)


def test_closing_ends_followers_and_waits(db: Path) -> None:
    async def main() -> None:
        for round_ in range(10):
            spool = aio.Spool(db)
            first = spool.current_lsn
            waits: list[asyncio.Task[object]] = [
                asyncio.create_task(anext(spool.follow(first))),
                asyncio.create_task(spool.wait_after(first)),
            ]
            for _ in range(round_ % 4):
                await asyncio.sleep(0)
            await asyncio.gather(spool.close(), spool.close(timeout=PATIENCE))
            for result in await asyncio.gather(*waits, return_exceptions=True):
                assert isinstance(result, epochwal.ClosedError)
            assert spool._fd == -1
            for call in (lambda: append(spool, 1), spool.flush, lambda: spool.read_since(0)):  # noqa: B023
                with pytest.raises(epochwal.ClosedError):
                    await call()

    run(main)


def test_a_follower_that_fell_behind_is_told(db: Path) -> None:
    async def main() -> None:
        async with aio.Spool(db, segment_size=16384, ring_bytes=0) as spool:
            late = spool.follow(0)
            await append(spool, 1)
            assert (await anext(late)).lsn == 1
            for lsn in range(2, 101):
                await append(spool, lsn)
            await spool.prune_through(90)
            # What it has read, and its segment, it may still give.
            with pytest.raises(epochwal.WalRemovedError) as removed:
                async for record in late:
                    assert record.lsn < 90
            assert removed.value.lsn == 91
            with pytest.raises(epochwal.AheadError):
                await anext(spool.follow(101))
            await late.aclose()
            with pytest.raises(epochwal.ClosedError):
                await anext(late)

    run(main)


def test_a_follower_beyond_a_cut_is_told(db: Path) -> None:
    async def main() -> None:
        async with aio.Spool(db) as spool:
            await spool.append_batch([(1, lsn, payload(lsn)) for lsn in range(1, 11)])
            follower = spool.follow(0)
            assert len(await follower.next_batch()) == 10
            step = asyncio.create_task(anext(follower))
            await asyncio.sleep(0)
            await spool.truncate_after(5, 2)
            await spool.append_batch([(2, lsn, payload(lsn)) for lsn in range(6, 13)])
            with pytest.raises((epochwal.DivergedError, epochwal.AheadError)) as told:
                await step
            assert told.value.lsn is not None

    run(main)


def test_waits_end_in_time(db: Path) -> None:
    async def main() -> None:
        async with aio.Spool(db) as spool:
            with pytest.raises(epochwal.Timeout):
                await spool.wait_after(0, timeout=0.01)
            with pytest.raises(epochwal.Timeout):
                await spool.wait_after(0, timeout=0)
            for timeout in (-1, float("nan")):
                with pytest.raises(epochwal.InvalidError, match="timeout"):
                    await spool.wait_after(0, timeout)
                with pytest.raises(epochwal.InvalidError, match="timeout"):
                    await spool.append(term=1, lsn=1, payload=b"", timeout=timeout)
            with pytest.raises(TypeError, match="SpoolTicket"):
                await spool.wait(5)  # type: ignore[arg-type]
            # Refused before anything was staged.
            waiting = asyncio.create_task(spool.wait_after(0, timeout=PATIENCE))
            await append(spool, 1)
            await waiting
            await spool.wait_after(0)

    run(main)


def test_a_forgotten_spool_leaves_no_descriptor(db: Path) -> None:
    async def main() -> None:
        gc.collect()
        before = eventfds()
        spool = aio.Spool(db)
        await append(spool, 1)
        with pytest.warns(ResourceWarning, match="unclosed"):
            del spool
            gc.collect()
        assert eventfds() == before

    run(main)
