"""The primary with asyncio: commits that wait for replicas, and followers."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from support import PATIENCE, child

import epochwal
from epochwal.aio import Primary, Spool


def test_a_commit_waits_for_those_who_follow(db: Path) -> None:
    async def main() -> None:
        async with await Primary.open(db) as primary:
            assert primary.path == str(db)
            spool = primary.spool
            assert spool is primary.spool

            async def replica(id: str, region: str) -> list[int]:
                r = await primary.register(id, region)
                plan = await primary.plan_resume(id, 0, term=1)
                assert plan.kind == "partial"
                assert plan.resume_lsn is not None
                seen: list[int] = []
                async for record in spool.follow(plan.resume_lsn):
                    seen.append(record.lsn)
                    primary.note_pull(id, r.generation, record.lsn)
                    primary.ack(id, r.generation, durable=record.lsn, applied=record.lsn)
                    if record.lsn == 20:
                        break
                return seen

            replicas = [
                asyncio.create_task(replica(id, region))
                for id, region in (("a", "eu"), ("b", "us"))
            ]
            while len(primary.replicas()) < 2:
                await asyncio.sleep(0)
            for lsn in range(1, 21):
                await spool.append(term=1, lsn=lsn, payload=b"x")
                acks = await primary.wait_acks(lsn, "regions 1 (eu, us)", "applied", PATIENCE)
                assert acks == epochwal.AckResult("reached", False, 2, 2)
            assert await asyncio.gather(*replicas) == [list(range(1, 21))] * 2
            assert primary.progress().safe_replay_lsn == 20
            assert primary.quorum_lsn(2) == 20
            assert await primary.prune() == 20
            stats = await primary.stats()
            assert (stats["waits_reached"], stats["waiting"]) == (20, 0)
            assert primary.topology_epoch == 2
        assert primary.closed
        assert spool.closed

    asyncio.run(main())


def test_no_thread_waits(db: Path) -> None:
    async def main() -> None:
        async with Primary(db) as primary:
            r = await primary.register("a")
            await primary.spool.append(term=1, lsn=1, payload=b"x")
            before = threading.active_count()
            waits = [
                asyncio.create_task(primary.wait_acks(1, policy))
                for policy in ("any 1", "1", "any 1 (a)", "first 1 (a)") * 25
            ]
            while (await primary.stats())["waiting"] < 100:
                await asyncio.sleep(0)
            assert threading.active_count() <= before
            primary.ack("a", r.generation, durable=1)
            assert {acks.outcome for acks in await asyncio.gather(*waits)} == {"reached"}

    asyncio.run(main())


def test_an_acknowledgement_of_another_thread_wakes(db: Path) -> None:
    async def main() -> None:
        async with Primary(db) as primary:
            r = await primary.register("a")
            await primary.spool.append(term=1, lsn=1, payload=b"x")
            wait = asyncio.create_task(primary.wait_acks(1))
            while (await primary.stats())["waiting"] < 1:
                await asyncio.sleep(0)
            native = primary._primary
            thread = threading.Thread(target=lambda: native.ack("a", r.generation, durable=1))
            thread.start()
            assert (await wait).outcome == "reached"
            thread.join()

    asyncio.run(main())


def test_time_that_is_up_says_how_far_it_came(db: Path) -> None:
    async def main() -> None:
        async with Primary(db) as primary:
            sessions = [await primary.register(id) for id in ("a", "b")]
            await primary.spool.append(term=1, lsn=1, payload=b"x")
            primary.ack("a", sessions[0].generation, durable=1)
            for timeout in (0, 0.01):
                with pytest.raises(TimeoutError, match="1 of 2") as timed_out:
                    await primary.wait_acks(1, "2", timeout=timeout)
                assert isinstance(timed_out.value, epochwal.Timeout)
                assert (timed_out.value.observed, timed_out.value.required) == (1, 2)
            degraded = await primary.wait_acks(1, "2", timeout=0, degrade=True)
            assert degraded == ("timed-out", True, 1, 2)
            with pytest.raises(epochwal.NotFoundError, match="1 of 3") as unmeetable:
                await primary.wait_acks(1, "3")
            assert (unmeetable.value.observed, unmeetable.value.required) == (1, 3)
            with pytest.raises(epochwal.InvalidError, match="policy"):
                await primary.wait_acks(1, "most")
            with pytest.raises(epochwal.InvalidError, match="timeout"):
                await primary.wait_acks(1, timeout=-1)
            (event,) = primary.events_since()
            assert event.kind == "commit-degraded"
            assert event.details == {"lsn": 1, "observed": 1, "required": 2}
            assert (await primary.stats())["waiting"] == 0

    asyncio.run(main())


def test_the_log_alone_may_be_enough(db: Path) -> None:
    async def main() -> None:
        async with Primary(db, flush_interval=3600) as primary:
            wait = asyncio.create_task(primary.wait_acks(2, "local", timeout=PATIENCE))
            await asyncio.sleep(0)
            primary.spool.submit(term=1, lsn=1, payload=b"x")
            primary.spool.submit(term=1, lsn=2, payload=b"x")
            with pytest.raises(epochwal.Timeout, match="not durable here"):
                await primary.wait_acks(2, "local", timeout=0.01)
            await primary.spool.flush()
            assert (await wait).outcome == "reached"

    asyncio.run(main())


def test_nothing_of_it_needs_files(tmp_path: Path) -> None:
    async def main() -> None:
        async with Primary(None) as primary, Spool.in_memory() as other:
            assert (primary.path, other.path) == (None, None)
            r = await primary.register("a")

            async def replica() -> None:
                async for record in primary.spool.follow(0):
                    await other.append_batch([record])
                    primary.ack("a", r.generation, durable=record.lsn)

            following = asyncio.create_task(replica())
            for lsn in range(1, 11):
                local = asyncio.create_task(primary.wait_acks(lsn, "local"))
                await asyncio.sleep(0)
                await primary.spool.append(term=1, lsn=lsn, payload=b"x")
                assert (await local).outcome == "reached"
                assert (await primary.wait_acks(lsn, timeout=PATIENCE)).outcome == "reached"
            await other.wait_after(9, timeout=PATIENCE)
            assert other.current_lsn == 10
        with pytest.raises(epochwal.ClosedError):
            await following
        assert list(tmp_path.iterdir()) == []

    asyncio.run(main())


def test_a_cancelled_wait_leaves_nothing_behind(db: Path) -> None:
    async def main() -> None:
        async with Primary(db) as primary:
            r = await primary.register("a")
            await primary.spool.append(term=1, lsn=1, payload=b"x")
            wait = asyncio.create_task(primary.wait_acks(1))
            while (await primary.stats())["waiting"] < 1:
                await asyncio.sleep(0)
            wait.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wait
            assert (await primary.stats())["waiting"] == 0
            assert not primary._pending
            primary.ack("a", r.generation, durable=1)
            # Somebody else's time limit is not ours to explain.
            with pytest.raises(TimeoutError) as outer:
                async with asyncio.timeout(0.01):
                    await primary.wait_acks(1, "1", "applied")
            assert not isinstance(outer.value, epochwal.Error)
            assert (await primary.wait_acks(1)).outcome == "reached"

    asyncio.run(main())


def test_everyone_hears_of_the_close(db: Path) -> None:
    async def main() -> None:
        primary = Primary(db)
        await primary.register("a")
        await primary.spool.append(term=1, lsn=1, payload=b"x")
        with pytest.raises(epochwal.InvalidError, match="belongs to a primary"):
            await primary.spool.__aenter__()
        with pytest.raises(epochwal.InvalidError, match="belongs to a primary"):
            await primary.spool.close()
        waits: list[asyncio.Task[Any]] = [
            asyncio.create_task(primary.wait_acks(1)),
            asyncio.create_task(primary.wait_acks(2, "local")),
            asyncio.create_task(primary.spool.wait_after(1)),
        ]
        while (await primary.stats())["waiting"] < 1:
            await asyncio.sleep(0)
        descriptors = len(os.listdir("/proc/self/fd"))
        await asyncio.gather(primary.close(), primary.close())
        await primary.close()
        told: list[Any] = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(error) for error in told] == [epochwal.ClosedError] * 3
        # The loop's two among them.
        assert len(os.listdir("/proc/self/fd")) <= descriptors - 2
        for call in (primary.wait_acks(1), primary.prune(), primary.register("b")):
            with pytest.raises(epochwal.ClosedError):
                await call
        with pytest.raises(epochwal.ClosedError):
            primary.ack("a", 1, durable=1)

    asyncio.run(main())


def test_slots_by_hand(db: Path) -> None:
    async def main() -> None:
        async with Primary(db, horizon_lsns=5) as primary:
            for lsn in range(1, 11):
                await primary.spool.append(term=1, lsn=lsn, payload=b"x")
            await primary.slot_create("late", 3)
            await primary.slot_create("soon", temporary=True)
            await primary.ensure_registered("late")
            await primary.set_rebootstrapping("late", True)
            assert primary.replicas()[0].rebootstrapping
            (late,) = await primary.enforce_limits()
            assert (late.id, late.invalidated) == ("late", "horizon")
            await primary.slot_reset("late", 10)
            assert primary.slot("late").invalidated is None
            await primary.unregister("late")
            await primary.slot_drop("late")
            assert [slot.id for slot in primary.slots()] == ["soon"]
            await primary.save()
            assert b'"soon"' in primary.export_slots()

    asyncio.run(main())


def test_a_fork_takes_nothing_along(db: Path) -> None:
    with child(
        """
        import asyncio, os, sys
        import epochwal

        async def main():
            async with epochwal.aio.Primary(sys.argv[1]) as primary:
                r = await primary.register("a")
                await primary.spool.append(term=1, lsn=1, payload=b"x")
                wait = asyncio.create_task(primary.wait_acks(1))
                while (await primary.stats())["waiting"] < 1:
                    await asyncio.sleep(0)
                pid = os.fork()
                if pid == 0:
                    status = 1
                    try:
                        primary.ack("a", r.generation, durable=1)
                    except epochwal.ForkedError:
                        status = 0
                    finally:
                        os._exit(status)
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
                assert not wait.done()
                primary.ack("a", r.generation, durable=1)
                assert (await wait).outcome == "reached"
                print("done", flush=True)

        asyncio.run(main())
        """,
        db,
    ) as process:
        assert process.line() == "done"


def test_one_that_is_left_open_is_let_go(db: Path) -> None:
    async def main() -> None:
        primary = Primary(db)
        await primary.register("a")
        with pytest.warns(ResourceWarning, match="unclosed <epochwal.Primary"):
            del primary
            gc.collect()

    asyncio.run(main())
    epochwal.Primary(db).close()
