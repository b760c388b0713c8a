"""Who runs while somebody waits, and what ends a wait."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import sysconfig
import threading
from pathlib import Path

import pytest
from support import PATIENCE, Thread, child, page, python, until

import epochwal
from epochwal import Coordinator


def test_threads_commit_side_by_side(db: Path) -> None:
    threads, each = 16, 25

    with Coordinator(db, sequencing="coordinator") as wal:

        def committer(thread: int) -> list[epochwal.Ticket]:
            return [
                wal.commit([(thread + 1, page(thread, n))], txn_id=thread * each + n)
                for n in range(1, each + 1)
            ]

        running = [Thread(functools.partial(committer, n)) for n in range(threads)]
        for committing in running:
            committing.get()
    batches = list(epochwal.recover(db))
    assert [b.commit_seq for b in batches] == list(range(1, threads * each + 1))
    assert sorted(b.txn_id for b in batches) == list(range(1, threads * each + 1))
    for batch in batches:
        thread, n = divmod(batch.txn_id - 1, each)
        assert batch.frames == [(thread + 1, page(thread, n + 1), 0)]


@pytest.mark.parametrize("size", [2000, 40_000], ids=["small", "large"])
def test_others_run_while_a_submit_waits_for_room(db: Path, size: int) -> None:
    with Coordinator(
        db,
        epoch_interval="off",
        overflow_policy="block",
        buffer_capacity=65536,
        block_timeout=3600,
    ) as wal:

        def fill() -> int:
            for n in range(1, 101):
                wal.submit([(1, page(n, size=size))], txn_id=n, commit_seq=n)
            return 100

        filler = Thread(fill)
        # Were the interpreter held by the blocked submit, this would not run.
        until(lambda: wal.stats()["blocked"] > 0)
        while filler.is_alive():
            wal.flush()
        assert filler.get() == 100
    assert len(list(epochwal.recover(db))) == 100


def test_close_wakes_whoever_waits_for_room(db: Path) -> None:
    wal = Coordinator(
        db,
        epoch_interval="off",
        overflow_policy="block",
        buffer_capacity=8192,
        block_timeout=3600,
    )

    def fill() -> None:
        for n in range(1, 1000):
            wal.submit([(1, page(n))], txn_id=n, commit_seq=n)

    filler = Thread(fill)
    until(lambda: wal.stats()["blocked"] > 0)
    wal.close()
    with pytest.raises(epochwal.ClosedError):
        filler.get()


def test_an_image_that_changes_meanwhile_harms_nothing_else(db: Path) -> None:
    image = bytearray(65536)
    done = threading.Event()

    def scribble() -> None:
        value = 0
        while not done.is_set():
            value = (value + 1) % 256
            image[:] = bytes([value]) * len(image)

    with Coordinator(db) as wal:
        scribbler = Thread(scribble)
        for n in range(1, 51):
            wal.commit([(1, image), (2, image), (3, page(n))], txn_id=n, commit_seq=n)
        done.set()
        scribbler.get()
    batches = list(epochwal.recover(db))
    assert [b.frames[2].data for b in batches] == [page(n) for n in range(1, 51)]
    assert all(len(f.data) == 65536 for b in batches for f in b.frames[:2])


def test_a_recovery_is_read_by_one_thread_at_a_time(db: Path) -> None:
    with Coordinator(db) as wal:
        for n in range(1, 201):
            wal.submit([(1, page(n))], txn_id=n, commit_seq=n)
    recovery = epochwal.recover(db)
    seen: list[int] = []

    def read() -> None:
        while True:
            try:
                seen.append(next(recovery).txn_id)
            except epochwal.BusyError:
                continue
            except StopIteration:
                return

    for thread in [Thread(read) for _ in range(4)]:
        thread.get()
    assert sorted(seen) == list(range(1, 201))


def test_many_threads_share_one_of_each(db: Path) -> None:
    """What comes of it is in the logs; no step of it raises what it may not."""
    threads, each = 8, 40
    wal = Coordinator(db, sequencing="coordinator", segment_size=1 << 16)
    primary = epochwal.Primary(db, segment_size=1 << 16, save_interval=0.001)
    spool = primary.spool
    wal.commit([(1, page("first"))], txn_id=1 << 40)
    cursor, order, seen = spool.cursor(0), threading.Lock(), set[int]()
    recovery = epochwal.recover(db)
    recovered: list[int] = []
    session = primary.register("a").generation
    shared = bytearray(page("shared"))
    start, lsns = threading.Barrier(threads), iter(range(1, threads * each + 1))

    def step(thread: int, n: int) -> None:
        txn_id = thread * each + n + 1
        ticket = wal.submit([(1, shared), (2, page(txn_id))], txn_id=txn_id)
        with order:
            lsn = next(lsns)
            appended = spool.submit(term=1, lsn=lsn, payload=page(lsn, size=99))
        wal.poll(ticket)
        spool.wait(appended)
        primary.ack("a", session, durable=lsn)
        with primary.spool.cursor(lsn - 1) as own:
            assert own.next_batch(0, max_records=1)[0].lsn == lsn
        watch = primary.watch_acks(lsn)
        watch.decided()
        watch.finish() if n % 2 else watch.close()
        for look in (wal.stats, spool.stats, primary.stats, primary.slots, primary.progress):
            look()
        # One thread at a time; the others are told so, and no record is lost.
        with contextlib.suppress(epochwal.BusyError, epochwal.Timeout):
            seen.update(r.lsn for r in cursor.next_batch(0, max_records=3))
        with contextlib.suppress(epochwal.BusyError):
            recovered.extend(batch.txn_id for batch in [next(recovery, None)] if batch)
        if n % 10 == 0:
            wal.checkpoint(wal.durable_epoch or 0)
            assert primary.wait_acks(lsn).outcome == "reached"
        wal.wait(ticket)

    def work(thread: int) -> None:
        start.wait()
        for n in range(each):
            step(thread, n)

    running = [Thread(functools.partial(work, n)) for n in range(threads)]
    for thread in running:
        thread.get()
    last = threads * each
    while cursor.lsn < last:
        seen.update(r.lsn for r in cursor.next_batch(0))
    assert seen == set(range(1, last + 1))
    assert recovered == [1 << 40]
    assert wal.stats()["batches"] == last + 1
    assert primary.slot("a").restart_lsn == last
    # Everybody closes: the first does it, and all find it closed.
    for it in (wal, primary):
        for closing in [Thread(it.close) for _ in range(threads)]:
            closing.get()
        assert it.closed
    assert primary.spool.closed


def test_the_interpreter_keeps_its_lock_only_where_it_always_does() -> None:
    # A free-threaded one takes it up again for a module that asks for it.
    free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert enabled != free


def test_no_thread_of_the_library_ever_has_the_interpreter(db: Path) -> None:
    python(
        """
        import asyncio, ctypes, sys, threading
        import epochwal

        number = ctypes.pythonapi.PyThreadState_GetID
        number.restype, number.argtypes = ctypes.c_uint64, [ctypes.c_void_p]
        current = ctypes.pythonapi.PyThreadState_Get
        current.restype = ctypes.c_void_p

        def states():
            # How many threads the interpreter has known: a thread that is not
            # Python's gets the next number, too, each time that it comes in.
            made = []
            thread = threading.Thread(target=lambda: made.append(number(current())))
            thread.start()
            thread.join()
            return made[0]

        def native():
            with open("/proc/self/status") as status:
                count = int(status.read().split("Threads:")[1].split()[0])
            return count - threading.active_count()

        async def work():
            # The ticker flushes the one half, its commits; acknowledgements are
            # saved by a thread of the primary's.
            often = {"save_interval": 0.001, "flush_interval": 0.001}
            primary = epochwal.aio.Primary(sys.argv[1], **often)
            r = await primary.register("a")
            wal = epochwal.aio.Coordinator(sys.argv[1], epoch_interval=0.001)
            before, workers = states(), threading.active_count()
            assert native() >= 3
            for n in range(1, 51):
                ticket = wal.submit([(1, b"x")], txn_id=n, commit_seq=n)
                primary.spool.submit(term=1, lsn=n, payload=b"x")
                await wal.wait(ticket)
                await primary.spool.wait_after(n - 1)
                primary.ack("a", r.generation, durable=n)
            while primary.slot("a").saved_lsn < 50:
                await asyncio.sleep(0.001)
            # Python's own workers aside.
            started = threading.active_count() - workers
            assert states() == before + 1 + started, (before, states(), started)
            await wal.close()
            await primary.close()

        asyncio.run(work())
        # Nor does one that goes without a word.
        wal = epochwal.Coordinator(sys.argv[1])
        wal.submit([(1, b"x")], txn_id=51, commit_seq=51)
        wal.close()
        before = states()
        wal = epochwal.Coordinator(sys.argv[1], epoch_interval=0.001)
        ticket = wal.submit([(1, b"x")], txn_id=52, commit_seq=52)
        while not wal.poll(ticket):
            pass
        wal.close()
        assert states() == before + 1
        """,
        db,
    )
    assert len(list(epochwal.recover(db))) == 52


STUCK = """
    import os, pathlib, sys, threading
    import epochwal

    path, gate = sys.argv[1], pathlib.Path(os.environ["STUCK_DISK"])
    wal = epochwal.Coordinator(path, sync_style="buffered", sequencing="coordinator")
    wal.commit([(1, b"first")], txn_id=1)
    gate.touch()
    # This one leads the flush, and is stuck in its sync.
    leader = threading.Thread(target=lambda: wal.commit([(1, b"leader")], txn_id=2))
    leader.start()
    while not pathlib.Path(f"{gate}.stuck").exists():
        pass
    ticket = wal.submit([(1, b"follower")], txn_id=3)
    {body}
    gate.unlink()
    leader.join()
    wal.close()
    print("closed", flush=True)
"""


def stuck(body: str) -> str:
    return STUCK.replace("{body}", body.replace("\n", "\n    "))


def test_others_run_while_a_commit_waits_for_the_disk(db: Path, stuck_disk: Path) -> None:
    gate = db.parent / "gate"
    code = stuck("""
assert leader.is_alive() and not wal.poll(ticket)
for call in (lambda: wal.wait(ticket, 0.05), lambda: wal.flush(0), lambda: wal.close(0)):
    try:
        call()
    except epochwal.Timeout:
        continue
    raise AssertionError("it was not stuck")
assert not wal.closed
print("still running", flush=True)
""")
    with child(code, db, LD_PRELOAD=str(stuck_disk), STUCK_DISK=str(gate)) as process:
        assert process.line() == "still running"
        assert process.line() == "closed"
        assert process.process.wait(PATIENCE) == 0
    assert [b.txn_id for b in epochwal.recover(db)] == [1, 2, 3]


def test_a_handler_that_returns_does_not_end_a_wait(db: Path, stuck_disk: Path) -> None:
    gate = db.parent / "gate"
    code = stuck("""
import signal
def handler(*_):
    print("handled", flush=True)
    gate.unlink()
signal.signal(signal.SIGUSR1, handler)
print("waiting", flush=True)
wal.wait(ticket)
assert wal.poll(ticket)
gate.touch()
""")
    with child(code, db, LD_PRELOAD=str(stuck_disk), STUCK_DISK=str(gate)) as process:
        assert process.line() == "waiting"
        os.kill(process.pid, signal.SIGUSR1)
        assert process.line() == "handled"
        assert process.line() == "closed"
        assert process.process.wait(PATIENCE) == 0
