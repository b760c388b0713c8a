"""Other processes: killed ones, second ones, forked ones."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from support import child, python
from writer import frames, metadata

import epochwal

WRITER = Path(__file__).with_name("writer.py")


class Model:
    """What one or more writers had acknowledged, and what may come back."""

    def __init__(self) -> None:
        self.acknowledged: dict[int, int] = {}

    def hear(self, line: bytes) -> None:
        txn_id, epoch = map(int, line.split())
        assert txn_id not in self.acknowledged
        self.acknowledged[txn_id] = epoch

    def check(self, batches: list[epochwal.Batch], known: dict[int, int] | None = None) -> None:
        """Every acknowledged batch is there, whole, and nothing twice."""
        known = self.acknowledged if known is None else known
        found = {b.txn_id: b for b in batches}
        assert len(found) == len(batches), "a batch came back twice"
        assert not known.keys() - found.keys(), "acknowledged batches are lost"
        sequences = [b.commit_seq for b in batches]
        assert sequences == sorted(set(sequences))
        for txn_id, batch in found.items():
            assert batch.frames == frames(txn_id)
            assert batch.metadata == metadata(txn_id)
            assert batch.epoch == known.get(txn_id, batch.epoch)


def test_a_kill_loses_nothing_and_brings_nothing_twice(db: Path) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    model = Model()
    last_epoch, first = 0, 1
    for _ in range(20):
        with child(WRITER, db, first, dice.choice([1, 4])) as writer:
            lines = writer.lines()
            word, epoch = next(lines).split()
            assert word == b"opened"
            assert int(epoch) > last_epoch, "an epoch is used again"
            for _ in range(dice.randrange(60)):
                model.hear(next(lines))
            writer.kill()
            # Acknowledged before the kill, and still in the pipe.
            for line in lines:
                model.hear(line)
        batches = list(epochwal.recover(db))
        model.check(batches)
        report = epochwal.verify(db)
        assert report.verdict in {"clean", "torn"}
        last_epoch = max([0, *(b.epoch for b in batches)])
        assert last_epoch == (epochwal.max_durable_epoch(db) or 0)
        first = max([0, *(b.txn_id for b in batches), *model.acknowledged]) + 1
    assert len(model.acknowledged) > 20
    # A clean open confirms what the last kill left, and adds to it.
    with epochwal.Coordinator(db, sequencing="coordinator") as wal:
        ticket = wal.commit(frames(first), txn_id=first, metadata=metadata(first))
        assert ticket.epoch > last_epoch
    model.check(list(epochwal.recover(db)))
    assert epochwal.verify(db).verdict == "clean"


def test_a_kill_of_a_writer_that_nobody_hears_leaves_whole_batches(db: Path) -> None:
    model = Model()
    with child(WRITER, db, 1, 8) as writer:
        writer.line()
        writer.line()
        writer.kill()
    with epochwal.Coordinator(db, sequencing="coordinator"):
        pass
    model.check(list(epochwal.recover(db)))


def test_a_reader_beside_a_writer_sees_every_acknowledged_batch(db: Path) -> None:
    model = Model()
    with child(WRITER, db, 1, 4) as writer:
        lines = writer.lines()
        assert next(lines).startswith(b"opened")
        for _ in range(15):
            for _ in range(20):
                model.hear(next(lines))
            model.check(list(epochwal.recover(db)), dict(model.acknowledged))
            assert epochwal.verify(db).verdict != "corrupt"
        assert epochwal.max_durable_epoch(db) >= max(model.acknowledged.values())  # type: ignore[operator]
        writer.kill()


def test_a_second_process_is_told_locked(db: Path) -> None:
    with child(WRITER, db, 1, 1) as writer:
        assert writer.line().startswith("opened")
        # Acknowledged: there is something to lose.
        assert writer.line()
        with pytest.raises(epochwal.LockedError) as raised:
            epochwal.Coordinator(db)
        assert str(db) in str(raised.value)
        with pytest.raises(epochwal.LockedError):
            epochwal.cleanup_segments(db)
        with pytest.raises(epochwal.LockedError):
            epochwal.Coordinator(db, shared=True)
        with pytest.raises(epochwal.LockedError):
            epochwal.Coordinator(db, salvage=True)
    epochwal.Coordinator(db).close()


def test_a_second_writer_is_told_by_whatever_path_it_comes(db: Path) -> None:
    link = db.with_name("link.db")
    link.symlink_to(db)
    ways = [db, link, db.parent / "." / ".." / db.parent.name / db.name]
    with child(WRITER, link, 1, 1) as writer:
        assert writer.line().startswith("opened")
        for way in ways:
            with pytest.raises(epochwal.LockedError):
                epochwal.Coordinator(way)
    with epochwal.Coordinator(db):
        for way in ways:
            with pytest.raises(epochwal.LockedError):
                epochwal.Coordinator(way)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing_gives_no_worker_the_handle(db: Path, method: str) -> None:
    python(
        """
        import multiprocessing, pickle, sys, warnings
        import epochwal, workers
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)

        context = multiprocessing.get_context(sys.argv[2])
        with epochwal.Coordinator(sys.argv[1], sequencing="coordinator") as wal:
            workers.wal = wal
            wal.commit([(1, b"parent")], txn_id=1)
            try:
                pickle.dumps(wal)
            except TypeError:
                pass
            else:
                raise AssertionError("a handle was pickled")
            with context.Pool(2) as pool:
                told = pool.map(workers.try_to_commit, [sys.argv[1]] * 4)
            assert set(told) <= {"ForkedError LockedError", "none LockedError"}, told
            assert any(t.startswith("Forked") for t in told) == (sys.argv[2] == "fork")
            wal.commit([(1, b"after")], txn_id=2)
        """,
        db,
        method,
    )
    assert [b.txn_id for b in epochwal.recover(db)] == [1, 2]


def test_without_descriptors_callers_are_told_and_nothing_is_lost(db: Path) -> None:
    python(
        """
        import errno, os, resource, sys
        import epochwal

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

        def with_descriptors(spare, call):
            held = [os.open("/dev/null", os.O_RDONLY) for _ in range(spare + 1)]
            for fd in held:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1], hard))
            try:
                return call()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

        def until_enough(call):
            for spare in range(40):
                try:
                    result = with_descriptors(spare, call)
                except OSError as error:
                    assert error.errno == errno.EMFILE, error
                else:
                    assert spare > 0, "it needs none"
                    return result
            raise AssertionError("never content")

        # No ticker, which might begin without descriptors and end with.
        options = {"sequencing": "coordinator", "segment_size": 16384, "epoch_interval": "off"}
        wal = until_enough(lambda: epochwal.Coordinator(sys.argv[1], **options))
        refused = 0
        for n in range(1, 200):
            staged = wal.submit([(1, bytes([n]) * 1000)], txn_id=n)
            try:
                with_descriptors(n % 4, lambda: wal.wait(staged))
            except OSError as error:
                assert error.errno == errno.EMFILE, error
                refused += 1
                wal.wait(staged)
        assert refused
        found = until_enough(lambda: [b.txn_id for b in epochwal.recover(sys.argv[1])])
        assert found == list(range(1, 200))
        wal.close()
        """,
        db,
    )


def test_a_forked_child_is_told_and_touches_nothing(db: Path) -> None:
    python(
        """
        import asyncio, gc, os, sys, warnings
        import epochwal
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)

        wal = epochwal.Coordinator(sys.argv[1], sequencing="coordinator")
        ticket = wal.commit([(1, b"parent")], txn_id=1)
        staged = wal.submit([(1, b"staged")], txn_id=2)
        reading = epochwal.recover(sys.argv[1])
        next(reading)
        loop = asyncio.new_event_loop()
        async def begin():
            aio = epochwal.aio.Coordinator(sys.argv[1] + "2", sequencing="coordinator")
            await aio.commit([(1, b"x")], txn_id=1)
            return aio
        aio = loop.run_until_complete(begin())
        descriptors = set(os.listdir("/proc/self/fd"))

        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                calls = [
                    lambda: wal.submit([(1, b"child")], txn_id=3),
                    lambda: wal.commit([(1, b"child")], txn_id=3),
                    lambda: wal.wait(ticket.epoch + 1),
                    lambda: wal.wait(staged),
                    lambda: wal.poll(staged),
                    lambda: wal.flush(),
                    lambda: wal.checkpoint(ticket),
                    lambda: wal.event_fd(),
                    lambda: wal.current_epoch,
                    lambda: wal.durable_epoch,
                    lambda: wal.stats(),
                    lambda: wal.close(),
                    lambda: wal.__enter__(),
                    lambda: aio.submit([(1, b"child")], txn_id=3),
                ]
                for n, call in enumerate(calls):
                    try:
                        call()
                    except epochwal.ForkedError:
                        continue
                    raise AssertionError(f"call {n} went through")
                assert len(os.listdir("/proc/self/fd")) < len(descriptors)
                # A database of the child's own works.
                with epochwal.Coordinator(sys.argv[1] + "3", sequencing="coordinator") as own:
                    own.commit([(1, b"own")], txn_id=1)
                del wal, reading, aio, call, calls
                gc.collect()
                status = 0
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        # The parent goes on as if nothing had been.
        wal.wait(staged)
        wal.commit([(1, b"after")], txn_id=3)
        try:
            epochwal.Coordinator(sys.argv[1])
        except epochwal.LockedError:
            pass
        else:
            raise AssertionError("the child has unlocked the parent's database")
        reading.close()
        wal.close()
        async def end():
            await aio.commit([(1, b"y")], txn_id=2)
            await aio.close()
        loop.run_until_complete(end())
        loop.close()
        """,
        db,
    )
    assert [b.txn_id for b in epochwal.recover(db)] == [1, 2, 3]
    assert [b.txn_id for b in epochwal.recover(f"{db}2")] == [1, 2]
    assert [b.txn_id for b in epochwal.recover(f"{db}3")] == [1]


def test_a_child_that_outlives_its_parent_holds_no_lock(db: Path) -> None:
    with child(
        """
        import os, sys
        import epochwal

        wal = epochwal.Coordinator(sys.argv[1], sequencing="coordinator")
        wal.commit([(1, b"x")], txn_id=1)
        if os.fork() == 0:
            os.write(1, b"forked\\n")
            sys.stdin.read()
            os._exit(0)
        os.waitpid(-1, 0)
        """,
        db,
    ) as parent:
        assert parent.line() == "forked"
        with pytest.raises(epochwal.LockedError):
            epochwal.Coordinator(db)
        parent.kill()
        parent.process.wait()
        # The child still waits for its input.
        with epochwal.Coordinator(db, sequencing="coordinator") as wal:
            wal.commit([(1, b"y")], txn_id=2)
    assert [b.txn_id for b in epochwal.recover(db)] == [1, 2]


def test_leaving_the_interpreter_with_a_coordinator_open_is_clean(db: Path) -> None:
    python(
        """
        import sys, threading
        import epochwal

        wal = epochwal.Coordinator(sys.argv[1], epoch_interval=0.001, sequencing="coordinator")
        ticket = wal.commit([(1, b"x")], txn_id=1)
        def work():
            n = 1
            while True:
                n += 1
                wal.commit([(1, b"x" * 100)], txn_id=n)
        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        wal.commit([(1, b"x")], txn_id=1 << 40)
        """,
        db,
    )
    found = [b.txn_id for b in epochwal.recover(db)]
    assert {1, 1 << 40} <= set(found)
