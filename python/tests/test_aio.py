"""The asyncio face: one descriptor for each coordinator, no thread to wait."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from support import PATIENCE, page, python

import epochwal
from epochwal import aio


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's coroutine; a hang fails instead of hanging."""

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE):
            await main()

    asyncio.run(bounded(), debug=True)


def eventfds() -> int:
    """Count this process's event file descriptors."""
    found = 0
    for fd in Path("/proc/self/fd").iterdir():
        # The listing's own is gone by the time it is looked at.
        with contextlib.suppress(FileNotFoundError):
            found += "eventfd" in str(fd.readlink())
    return found


def test_a_commit_is_durable_and_comes_back(db: Path) -> None:
    async def main() -> None:
        async with aio.Coordinator(db, epoch_interval="off") as wal:
            ticket = await wal.commit(
                [(1, page(1), 1)], txn_id=1, commit_seq=1, txn_epoch=2, metadata=b"m"
            )
            assert isinstance(ticket, epochwal.Ticket)
            assert wal.durable_epoch is not None
            assert wal.durable_epoch >= ticket.epoch
            await wal.wait(ticket)
            await wal.wait(ticket.epoch)
        assert wal.closed

    run(main)
    (batch,) = epochwal.recover(db)
    assert batch[1:] == (1, 1, 2, [(1, page(1), 1)], b"m")


def test_it_may_be_used_without_a_block(db: Path) -> None:
    async def main() -> None:
        wal = aio.Coordinator(db)
        await wal.commit([(1, b"x")], txn_id=1, commit_seq=1)
        await wal.close()
        await wal.close()
        assert wal.closed

    run(main)


def test_it_may_be_opened_without_holding_up_the_loop(db: Path) -> None:
    async def main() -> None:
        async with await aio.Coordinator.open(db, slot_count=5) as wal:
            assert wal.stats()["lanes"] == 5
            assert wal.path == str(db)
            assert wal.salvaged == []
        with pytest.raises(epochwal.InvalidError, match="slot_count"):
            await aio.Coordinator.open(db, slot_count=1 << 20)

    run(main)


def test_many_tasks_share_epochs_and_no_threads(db: Path) -> None:
    count = 500

    async def main() -> None:
        async with aio.Coordinator(db, sequencing="coordinator") as wal:
            await wal.commit([(1, b"warm")], txn_id=1 << 40)
            gc.collect()
            threads = threading.active_count()
            descriptors = eventfds()
            tasks = [
                asyncio.create_task(wal.commit([(n, page(n, size=300))], txn_id=n))
                for n in range(1, count + 1)
            ]
            await asyncio.sleep(0)
            assert eventfds() == descriptors > 0
            tickets = await asyncio.gather(*tasks)
            assert threading.active_count() == threads
            assert len({t.commit_seq for t in tickets}) == count
            assert len({t.epoch for t in tickets}) < count
            assert wal._waiters == {}

    run(main)
    assert len(list(epochwal.recover(db))) == count + 1


def test_several_coordinators_share_a_loop(tmp_path: Path) -> None:
    async def main() -> None:
        wals = [
            aio.Coordinator(tmp_path / f"{n}.db", sequencing="coordinator") for n in range(5)
        ]

        async def work(wal: aio.Coordinator) -> None:
            for n in range(1, 51):
                await wal.commit([(1, page(n, size=64))], txn_id=n)

        async with asyncio.TaskGroup() as group:
            for wal in wals:
                for _ in range(2):
                    group.create_task(work(wal))
        for wal in wals:
            await wal.close()

    run(main)
    for n in range(5):
        assert len(list(epochwal.recover(tmp_path / f"{n}.db"))) == 100


def test_submits_are_awaited_later(db: Path) -> None:
    async def main() -> None:
        async with aio.Coordinator(db, epoch_interval="off") as wal:
            tickets = [
                wal.submit([(n, b"x")], txn_id=n, commit_seq=n, metadata=b"") for n in (1, 2, 3)
            ]
            assert wal.durable_epoch is None
            await wal.wait(tickets[-1])
            assert wal.current_epoch > tickets[-1].epoch
            tickets.append(wal.submit([(4, b"x")], txn_id=4, commit_seq=4))
            assert await wal.flush() >= tickets[-1].epoch
            assert await wal.flush() >= tickets[-1].epoch
            wal.request_flush(tickets[-1])
            wal.checkpoint(tickets[-1])
            assert "epochwal_checkpoints_total" in wal.prometheus()

    run(main)
    assert list(epochwal.recover(db)) == []


def test_a_cancelled_task_leaves_its_batch_to_its_epoch(db: Path) -> None:
    async def main() -> None:
        async with aio.Coordinator(db, sequencing="coordinator") as wal:
            for n in range(1, 101):
                task = asyncio.create_task(wal.commit([(1, page(n))], txn_id=n))
                # Cancelled before its first step, while it waits, or never.
                for _ in range(n % 3):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            ticket = await wal.commit([(1, b"last")], txn_id=1000)
            assert wal._waiters == {}
            assert ticket.commit_seq == wal.stats()["batches"]

    run(main)
    found = [b.txn_id for b in epochwal.recover(db)]
    assert found[-1] == 1000
    assert len(found) == len(set(found)) > 50


def test_a_cancelled_wait_does_not_disturb_the_others(db: Path) -> None:
    async def main() -> None:
        async with aio.Coordinator(db, sequencing="coordinator") as wal:
            for n in range(1, 51):
                ticket = wal.submit([(1, page(n))], txn_id=n)
                waits = [asyncio.create_task(wal.wait(ticket)) for _ in range(4)]
                await asyncio.sleep(0)
                waits[0].cancel()
                waits[2].cancel()
                results = await asyncio.gather(*waits, return_exceptions=True)
                assert results[1] is results[3] is None

    run(main)


def test_errors_are_the_other_faces(db: Path) -> None:
    async def main() -> None:
        async with aio.Coordinator(db) as wal:
            with pytest.raises(epochwal.InvalidError, match="epoch"):
                await wal.wait(wal.current_epoch + 1000)
            with pytest.raises(epochwal.InvalidError):
                await wal.commit([(0, b"x")], txn_id=1, commit_seq=1)
            ticket = wal.submit([(1, b"x")], txn_id=1, commit_seq=1)
            for timeout in (-1, float("nan")):
                with pytest.raises(epochwal.InvalidError, match="timeout"):
                    await wal.wait(ticket, timeout)
            await wal.wait(ticket, timeout=PATIENCE)
        for call in (
            lambda: wal.commit([(1, b"x")], txn_id=2, commit_seq=2),
            lambda: wal.wait(ticket.epoch + 1),
            wal.flush,
        ):
            with pytest.raises(epochwal.ClosedError):
                await call()

    run(main)


def test_a_close_that_finds_another_just_done_does_not_hold_up_the_loop(db: Path) -> None:
    # In a process of its own: what hangs here is the loop itself.
    python(
        """
        import asyncio, sys
        from epochwal import aio

        async def main(*, closes):
            wal = aio.Coordinator(sys.argv[1])
            await wal.commit([(1, b"x")], txn_id=1, commit_seq=1)
            loop = asyncio.get_running_loop()
            in_thread = loop.run_in_executor
            first = loop.create_future()
            loop.run_in_executor = lambda *_: first
            closing = asyncio.create_task(wal.close())
            await asyncio.sleep(0)
            loop.run_in_executor = in_thread
            if closes:
                wal._wal.close()
            # Done, and nobody has been told yet.
            first.set_result(None)
            await wal.close()
            await closing
            assert wal.closed and wal._closing is None

        for closes in (True, False):
            asyncio.run(main(closes=closes))
        """,
        db,
    )


def test_closing_answers_everybody(db: Path) -> None:
    async def main() -> None:
        for round_ in range(20):
            wal = aio.Coordinator(db, epoch_interval="off", sequencing="coordinator")
            tasks = [
                asyncio.create_task(wal.commit([(1, page(n))], txn_id=round_ * 100 + n))
                for n in range(1, 33)
            ]
            for _ in range(round_ % 3):
                await asyncio.sleep(0)
            await asyncio.gather(wal.close(), wal.close(timeout=PATIENCE))
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for result in results:
                assert isinstance(result, epochwal.Ticket | epochwal.ClosedError), result
            assert wal._fd == -1

    run(main)


def test_a_coordinator_belongs_to_one_loop(db: Path) -> None:
    wal = aio.Coordinator(db)

    async def commit() -> None:
        await wal.commit([(1, b"x")], txn_id=1, commit_seq=1)

    async def close() -> None:
        await wal.close()

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(commit())
        with pytest.raises(RuntimeError, match="another event loop"):
            asyncio.run(commit())
        loop.run_until_complete(close())
    finally:
        loop.close()


def test_a_forgotten_coordinator_leaves_no_descriptor(db: Path) -> None:
    async def main() -> None:
        gc.collect()
        before = eventfds()
        wal = aio.Coordinator(db)
        await wal.commit([(1, b"x")], txn_id=1, commit_seq=1)
        with pytest.warns(ResourceWarning, match="unclosed"):
            del wal
            gc.collect()
        assert eventfds() == before

    run(main)


def test_the_bodys_exception_is_kept(db: Path) -> None:
    async def main() -> None:
        wal = aio.Coordinator(db, sequencing="coordinator")
        with pytest.raises(ZeroDivisionError):
            async with wal:
                wal.submit([(1, b"x")], txn_id=1)
                _ = 1 / 0
        assert wal.closed

    run(main)
    assert len(list(epochwal.recover(db))) == 1
