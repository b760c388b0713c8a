"""The primary beside others: crashes, damage, cursors, forks, threads."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support import PATIENCE, Child, Thread, child, page, python, until

import epochwal
from epochwal import Primary

#: Appends, acknowledges for one replica and prunes, until it is killed. What it
#: says has happened; a line's end is the end of a call.
WRITER = """
    import os, sys
    import epochwal
    from support import page

    def say(*words):
        os.write(1, (" ".join(map(str, words)) + "\\n").encode())

    primary = epochwal.Primary(sys.argv[1], segment_size=16384, horizon_lsns="off")
    session = primary.ensure_registered("a").generation
    lsn = primary.spool.current_lsn
    say("opened", lsn)
    while True:
        lsn += 1
        primary.spool.append(term=1, lsn=lsn, payload=page(lsn, size=lsn * 97 % 900))
        say("appended", lsn)
        primary.ack("a", session, durable=lsn, applied=lsn - 1)
        say("acknowledged", lsn)
        if lsn % 7 == 0:
            say("pruned", primary.prune())
        if lsn % 5 == 0:
            primary.wait_acks(lsn)
            say("reached", lsn)
"""


def test_a_crash_leaves_what_the_slots_need(db: Path) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    told: dict[str, int] = {}
    for _ in range(5):
        with child(WRITER, db) as process:
            listen(process, dice.randrange(1, 120), told)
        with Primary(db, horizon_lsns="off") as primary:
            slot = primary.slot("a")
            spool = primary.spool
            # A slot never stands above what was acknowledged, nor the log's floor
            # above a slot: what it had saved is what a prune went by.
            assert slot.restart_lsn <= told.get("acknowledged", 0) + 1
            assert spool.pruned_through <= slot.restart_lsn
            assert spool.pruned_through >= told.get("pruned", 0)
            assert spool.current_lsn >= told.get("appended", 0)
            assert primary.progress().quorum_lsn >= told.get("reached", 0)
            plan = primary.plan_resume("a", slot.restart_lsn, term=1)
            assert (plan.kind, plan.resume_lsn) == ("partial", slot.restart_lsn)
            for record in spool.read_since(slot.restart_lsn, max_records=10_000):
                assert record.payload == page(record.lsn, size=record.lsn * 97 % 900)
            rest = spool.read_since(slot.restart_lsn, max_records=10_000)
            assert [r.lsn for r in rest] == list(
                range(slot.restart_lsn + 1, spool.current_lsn + 1)
            )
            # A prune now goes by what is there now.
            assert primary.prune() == slot.restart_lsn


def listen(process: Child, lines: int, told: dict[str, int]) -> None:
    """Take what a writer says, and kill it after so many lines."""
    said = process.lines()
    for _ in range(lines):
        what, number = next(said).decode().split()
        told[what] = int(number)
    process.kill()
    for line in said:
        what, number = line.decode().split()
        told[what] = int(number)


def remove(file: Path) -> None:
    file.unlink()


def empty(file: Path) -> None:
    file.write_bytes(b"")


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])


def flip(file: Path) -> None:
    image = bytearray(file.read_bytes())
    image[image.index(b"replica-1")] ^= 1
    file.write_bytes(image)


def replace(file: Path) -> None:
    file.write_bytes(b"not a slot store" * 300)


@pytest.mark.parametrize(
    ("spoil", "kept"),
    [(remove, []), (empty, []), (truncate, ["replica-1"]), (flip, []), (replace, [])],
)
def test_slots_that_cannot_be_read_stop_pruning(
    db: Path, spoil: Callable[[Path], object], kept: list[str]
) -> None:
    with Primary(db) as primary:
        primary.spool.append_batch([(1, lsn, b"x") for lsn in range(1, 21)])
        primary.slot_create("replica-1", 5)
    file = db.with_name("app.db.logical.slots")
    spoil(file)
    with pytest.raises((epochwal.CorruptError, epochwal.FormatError), match="slot"):
        Primary(db)
    # The spool alone still reads, and still keeps what somebody may need.
    with epochwal.Spool(db) as spool:
        for prune in (lambda: spool.prune_through(20), lambda: spool.truncate_after(9, 2)):
            with pytest.raises((epochwal.CorruptError, epochwal.FormatError), match="slot"):
                prune()
        assert spool.bounds == (1, 20, 0)
        assert len(spool.read_since(0)) == 20
    with Primary(db, salvage_slots=True) as primary:
        assert primary.salvaged is None or Path(primary.salvaged).exists()
        kinds = [event.kind for event in primary.events_since()]
        assert kinds == ["store-salvaged"]
        # What can be read of them goes on holding back.
        assert [slot.id for slot in primary.slots()] == kept
        assert primary.prune() == (5 if kept else 20)


def test_a_cursor_is_open_across_a_prune(db: Path) -> None:
    # Without a ring, so that it reads from files.
    with Primary(db, segment_size=16384, ring_bytes=0) as primary:
        spool = primary.spool
        r = primary.register("a")
        for lsn in range(1, 61):
            spool.append(term=1, lsn=lsn, payload=page(lsn, size=1500))
        cursor = spool.cursor(20)
        late = spool.cursor(0)
        assert [r.lsn for r in cursor.next_batch(max_records=2)] == [21, 22]
        before = len(list(db.parent.glob("*.wal-seg-*")))
        primary.ack("a", r.generation, durable=60)
        assert primary.prune() == 60
        assert spool.bounds == (0, 60, 60)
        with pytest.raises(epochwal.WalRemovedError) as removed:
            late.next_batch()
        assert removed.value.lsn == 61
        # It reads to the end of its segment, and is told of the gap behind it.
        seen: list[int] = []
        with pytest.raises(epochwal.WalRemovedError) as removed:
            for record in cursor:
                assert record.payload == page(record.lsn, size=1500)
                seen.append(record.lsn)
        assert removed.value.lsn == 61
        assert 0 < len(seen) < 38
        assert seen == list(range(23, 23 + len(seen)))
        spool.append(term=1, lsn=61, payload=b"x")
        with spool.cursor(60) as new:
            assert [r.lsn for r in new.next_batch()] == [61]
        assert len(list(db.parent.glob("*.wal-seg-*"))) <= before


def test_a_term_that_falls_is_fenced(db: Path) -> None:
    with Primary(db) as primary:
        spool = primary.spool
        r = primary.register("a")
        spool.append_batch([(3, lsn, b"x") for lsn in range(1, 11)])
        primary.ack("a", r.generation, durable=10, applied=10)
        primary.wait_acks(5)
        with pytest.raises(epochwal.FencedError) as fenced:
            spool.append(term=2, lsn=11, payload=b"x")
        assert fenced.value.lsn == 10
        # What a quorum has is never cut off; what it has not is, with its slots.
        with pytest.raises(epochwal.OrderError) as order:
            spool.truncate_after(4, 4)
        assert order.value.lsn == 5
        assert spool.truncate_after(7, 4) is not None
        assert spool.current_lsn == 7
        assert primary.slot("a").invalidated == "wal-removed"
        assert primary.replicas()[0].durable_lsn == 7
        diverged = primary.plan_resume("a", 10, term=3)
        assert (diverged.kind, diverged.common_lsn) == ("diverged", 7)
        assert primary.plan_resume("a", 7, term=3).cause == "wal-removed"
        primary.slot_reset("a", 7)
        assert primary.plan_resume("a", 7, term=3).resume_lsn == 7


def test_a_forked_child_is_told_and_touches_nothing(db: Path) -> None:
    python(
        """
        import gc, os, sys, warnings
        import epochwal
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)

        primary = epochwal.Primary(sys.argv[1])
        memory = epochwal.Primary(None)
        spool = primary.spool
        spool.append(term=1, lsn=1, payload=b"parent")
        g = primary.register("a").generation
        watch = primary.watch_acks(1)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                calls = [
                    lambda: spool.append(term=1, lsn=2, payload=b"child"),
                    lambda: primary.spool.read_since(0),
                    lambda: primary.spool.bounds,
                    lambda: primary.register("b"),
                    lambda: primary.ensure_registered("a"),
                    lambda: primary.unregister("a"),
                    lambda: primary.note_pull("a", g, 1),
                    lambda: primary.touch("a", g),
                    lambda: primary.ack("a", g, durable=1),
                    lambda: primary.plan_resume("a", 0),
                    lambda: primary.set_rebootstrapping("a", True),
                    lambda: primary.replicas(),
                    lambda: primary.progress(),
                    lambda: primary.topology_epoch,
                    lambda: primary.wait_acks(0),
                    lambda: primary.wait_acks(0, "local"),
                    lambda: primary.watch_acks(0),
                    lambda: watch.decided(),
                    lambda: watch.finish(),
                    lambda: watch.close(),
                    lambda: primary.event_fd(),
                    lambda: primary.quorum_lsn(1),
                    lambda: primary.slots(),
                    lambda: primary.slot("a"),
                    lambda: primary.slot_create("b"),
                    lambda: primary.slot_drop("a"),
                    lambda: primary.slot_reset("a", 1),
                    lambda: primary.export_slots(),
                    lambda: primary.enforce_limits(),
                    lambda: primary.prune(),
                    lambda: primary.save(),
                    lambda: primary.stats(),
                    lambda: primary.events_since(),
                    lambda: primary.close(),
                    lambda: primary.__enter__(),
                    lambda: memory.register("b"),
                    lambda: memory.slots(),
                ]
                for n, call in enumerate(calls):
                    try:
                        call()
                    except epochwal.ForkedError:
                        continue
                    raise AssertionError(f"call {n} went through")
                with epochwal.Primary(sys.argv[1] + "3") as own:
                    own.register("a")
                del primary, memory, spool, watch, call, calls
                gc.collect()
                status = 0
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert not watch.decided()
        primary.ack("a", g, durable=1)
        assert watch.decided() and watch.finish().outcome == "reached"
        spool.append(term=1, lsn=2, payload=b"after")
        memory.close()
        primary.close()
        """,
        db,
    )
    with Primary(db) as primary:
        assert [r.payload for r in primary.spool.read_since(0)] == [b"parent", b"after"]
        assert [s.id for s in primary.slots()] == ["a"]


def test_threads_append_acknowledge_commit_and_prune(db: Path) -> None:
    last, replicas = 200, ("a", "b", "c")
    with Primary(db, segment_size=16384, horizon_lsns="off") as primary:
        spool = primary.spool
        sessions = {id: primary.register(id).generation for id in replicas}

        def follow(id: str) -> list[int]:
            seen: list[int] = []
            with spool.cursor(0) as cursor:
                for record in cursor:
                    assert record.payload == page(record.lsn, size=500)
                    seen.append(record.lsn)
                    primary.note_pull(id, sessions[id], record.lsn)
                    primary.ack(id, sessions[id], durable=record.lsn, applied=record.lsn)
                    if record.lsn == last:
                        return seen
            raise AssertionError("the cursor ended")

        done = threading.Event()

        def prune() -> int:
            pruned = 0
            while not done.is_set():
                before = pruned
                pruned = primary.prune()
                assert before <= pruned <= primary.progress().safe_replay_lsn
            return primary.prune()

        followers = [Thread(partial(follow, id)) for id in replicas]
        pruner = Thread(prune)
        for lsn in range(1, last + 1):
            spool.append(term=1, lsn=lsn, payload=page(lsn, size=500))
            if lsn % 10 == 0:
                acks = primary.wait_acks(lsn, "3", "applied", PATIENCE)
                assert acks.observed == 3
        assert [f.get() for f in followers] == [list(range(1, last + 1))] * 3
        done.set()
        assert pruner.get() == last
        assert primary.stats()["waiting"] == 0
        # Nobody who keeps up is given up.
        assert primary.events_since() == []


def test_others_run_while_a_commit_waits(db: Path) -> None:
    with Primary(db) as primary:
        r = primary.register("a")
        primary.spool.append(term=1, lsn=1, payload=b"x")
        waiters = [Thread(lambda: primary.wait_acks(1)) for _ in range(8)]
        until(lambda: primary.stats()["waiting"] == 8)
        primary.ack("a", r.generation, durable=1)
        assert {w.get() for w in waiters} == {epochwal.AckResult("reached", False, 1, 1)}
        leaving = Thread(lambda: primary.wait_acks(1, "1", "applied"))
        until(lambda: primary.stats()["waiting"] == 1)
        primary.slot_drop("a")
        with pytest.raises(epochwal.NotFoundError, match="0 of 1"):
            leaving.get()


#: A registration is stuck in its sync.
STUCK = """
    import os, pathlib, signal, sys, threading
    import epochwal

    path, gate = sys.argv[1], pathlib.Path(os.environ["STUCK_DISK"])
    primary = epochwal.Primary(path, sync_style="buffered")
    g = primary.register("a").generation
    for lsn in (1, 2):
        primary.spool.append(term=1, lsn=lsn, payload=b"x")
    gate.touch()
    stuck = threading.Thread(target=primary.register, args=("b",))
    stuck.start()
    while not pathlib.Path(f"{gate}.stuck").exists():
        pass
    # What never waits for the disk goes on.
    primary.ack("a", g, durable=2)
    primary.note_pull("a", g, 2)
    primary.touch("a", g)
    assert primary.slot("a").restart_lsn == 2
    assert [r.id for r in primary.replicas()] == ["a"]
    assert primary.progress().safe_replay_lsn == 2
    assert primary.watch_acks(2).decided()
    primary.spool.submit(term=1, lsn=3, payload=b"x")
    try:
        primary.close(timeout=0.01)
    except epochwal.Timeout:
        pass
    else:
        raise AssertionError("it closed")
    called = threading.Event()
    def interrupt():
        # Runs once the main thread lets go of the interpreter: in the call.
        called.wait()
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        called.set()
        primary.close()
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("it was not interrupted")
    assert not primary.closed and not primary.spool.closed
    gate.unlink()
    stuck.join()
    primary.wait_acks(2)
    primary.close()
    print("closed", flush=True)
"""


def test_a_stuck_disk_holds_up_only_who_needs_it(db: Path, stuck_disk: Path) -> None:
    gate = db.parent / "gate"
    with child(STUCK, db, LD_PRELOAD=str(stuck_disk), STUCK_DISK=str(gate)) as process:
        assert process.line() == "closed"
        assert process.process.wait(PATIENCE) == 0
    with Primary(db) as primary:
        assert [slot.id for slot in primary.slots()] == ["a", "b"]
        assert primary.spool.current_lsn == 3
        assert primary.progress().quorum_lsn >= 2
