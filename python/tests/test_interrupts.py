"""Ctrl-C ends every wait, and nothing is lost by it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from support import PATIENCE, child

import epochwal
from epochwal import Spool

#: Interrupts the main thread in a call. The other thread waits until that one
#: sleeps in the kernel, whichever lock it sleeps on: three looks in a row, and
#: between them it may have the interpreter.
INTERRUPT = """
    import os, pathlib, signal, sys, threading, time
    import epochwal

    signal.signal(signal.SIGINT, signal.default_int_handler)
    path = sys.argv[1]

    def asleep():
        stat = pathlib.Path(f"/proc/self/task/{os.getpid()}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "S"

    def interrupt(called):
        called.wait()
        looks = 0
        while looks < 3:
            looks = looks + 1 if asleep() else 0
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    def interrupted(call):
        called = threading.Event()
        other = threading.Thread(target=interrupt, args=(called,))
        other.start()
        try:
            called.set()
            call()
        except KeyboardInterrupt as raised:
            return raised
        finally:
            other.join()
        raise AssertionError("it was not interrupted")
"""

#: A disk that is stuck, and a thread that is stuck in it.
STUCK = """
    gate = pathlib.Path(os.environ["STUCK_DISK"])

    def stuck(call):
        gate.touch()
        thread = threading.Thread(target=call)
        thread.start()
        while not pathlib.Path(f"{gate}.stuck").exists():
            time.sleep(0.001)
        return thread
"""

# What each method is interrupted in. Prepared so that it waits: for a disk that
# does not answer, for room that nobody makes, for a record or a replica that
# never comes.
COORDINATOR = (
    INTERRUPT
    + STUCK
    + """
    options = {"sync_style": "buffered", "sequencing": "coordinator"}
    wal = epochwal.Coordinator(path, **options)
    leader = stuck(lambda: wal.commit([(1, b"leader")], txn_id=1))
    ticket = wal.submit([(1, b"follower")], txn_id=2)
    large = [(n, bytes(65536)) for n in range(1, 81)]
    calls = {
        "wait": lambda: wal.wait(ticket),
        "wait, with a timeout": lambda: wal.wait(ticket, timeout=3600),
        "commit": lambda: wal.commit([(1, b"another")], txn_id=3),
        "flush": lambda: wal.flush(),
        "close": lambda: wal.close(),
        "__exit__": lambda: wal.__exit__(None, None, None),
        # Larger than a lane: it waits for the flush that is under way.
        "submit": lambda: wal.submit(large, txn_id=4),
        "commit, large": lambda: wal.commit(large, txn_id=4),
    }
    for name, call in calls.items():
        raised = interrupted(call)
        # The batch of a commit is staged, and its ticket is not lost.
        told = getattr(raised, "ticket", None)
        assert (told is None) == (name != "commit"), (name, told)
        assert not wal.closed
    gate.unlink()
    leader.join()
    wal.close()
    assert [b.txn_id for b in epochwal.recover(path)] == [1, 2, 3]
    print("waits", *sorted({name.partition(",")[0] for name in calls}))

    # Nobody flushes, so nobody makes room.
    full = {"overflow_policy": "block", "block_timeout": 3600, "epoch_interval": "off"}
    wal = epochwal.Coordinator(path + "2", buffer_capacity=8192, **options, **full)
    wal.submit([(1, bytes(4096))], txn_id=1)
    for call in (wal.submit, wal.commit):
        raised = interrupted(lambda: call([(2, bytes(4096))], txn_id=2))
        assert getattr(raised, "ticket", None) is None
    wal.close()
    assert [b.txn_id for b in epochwal.recover(path + "2")] == [1]
    print("closed", flush=True)
"""
)

SPOOL = (
    INTERRUPT
    + STUCK
    + """
    options = {"sync_style": "buffered", "block_timeout": 3600, "max_memory": 1 << 20}
    spool = epochwal.Spool(path, **options)
    add = lambda lsn, **k: spool.append(term=1, lsn=lsn, payload=b"x", **k)
    add(1)
    leader = stuck(lambda: add(2))
    ticket = spool.submit(term=1, lsn=3, payload=b"follower")
    cursor = spool.cursor(1)
    calls = {
        "wait": lambda: spool.wait(ticket),
        "wait, with a timeout": lambda: spool.wait(ticket, timeout=3600),
        "append": lambda: add(4),
        "append, with a timeout": lambda: add(5, timeout=3600),
        "append_batch": lambda: spool.append_batch([(1, 6, b"x"), (1, 7, b"x")]),
        "flush": lambda: spool.flush(),
        "close": lambda: spool.close(),
        "__exit__": lambda: spool.__exit__(None, None, None),
        "wait_after": lambda: spool.wait_after(1),
        "wait_after, with a timeout": lambda: spool.wait_after(1, 3600),
        "next_batch": lambda: cursor.next_batch(),
        "next_batch, with a timeout": lambda: cursor.next_batch(3600),
        "__next__": lambda: next(cursor),
    }
    for name, call in calls.items():
        raised = interrupted(call)
        told = getattr(raised, "ticket", None)
        assert (told is None) == (not name.startswith("append")), (name, told)
        assert not spool.closed
    # Until there is no room.
    lsn = 8
    while True:
        before = spool.stats()["memory_bytes"]
        if before + (300 << 10) > (1 << 20):
            break
        spool.submit(term=1, lsn=lsn, payload=bytes(200 << 10))
        lsn += 1
    big = bytes(500 << 10)
    room = {
        "submit": lambda: spool.submit(term=1, lsn=lsn, payload=big),
        "submit_batch": lambda: spool.submit_batch([(1, lsn, big)]),
        "append, for room": lambda: spool.append(term=1, lsn=lsn, payload=big),
    }
    for name, call in room.items():
        raised = interrupted(call)
        assert getattr(raised, "ticket", None) is None, name
    gate.unlink()
    leader.join()
    assert [r.lsn for r in cursor.next_batch()][0] == 2
    spool.close()
    print("waits", *sorted({name.partition(",")[0] for name in calls | room}))
    print(lsn - 1, flush=True)
"""
)

PRIMARY = (
    INTERRUPT
    + STUCK
    + """
    primary = epochwal.Primary(path, sync_style="buffered")
    g = primary.register("a").generation
    for lsn in (1, 2):
        primary.spool.append(term=1, lsn=lsn, payload=b"x")
    calls = {
        "wait_acks": lambda: primary.wait_acks(2),
        "wait_acks, applied": lambda: primary.wait_acks(2, "1", "applied", 3600),
        "wait_acks, local": lambda: primary.wait_acks(9, "local"),
        "wait_acks, degrade": lambda: primary.wait_acks(9, timeout=3600, degrade=True),
    }
    for call in calls.values():
        interrupted(call)
        assert primary.stats()["waiting"] == 0
    primary.ack("a", g, durable=2)
    primary.wait_acks(2)
    # Or it is the thread which saves that, and which a close waits for, that is stuck.
    primary.save()
    leader = stuck(lambda: primary.spool.append(term=1, lsn=3, payload=b"x"))
    calls["close"] = primary.close
    calls["__exit__"] = lambda: primary.__exit__(None, None, None)
    for name in ("close", "__exit__"):
        interrupted(calls[name])
        assert not primary.closed and not primary.spool.closed
    gate.unlink()
    leader.join()
    primary.close()
    print("waits", *sorted({name.partition(",")[0] for name in calls}))
    print("closed", flush=True)
"""
)

WAITS = {
    "Coordinator": {"__exit__", "close", "commit", "flush", "submit", "wait"},
    "Spool": {
        "__exit__",
        "append",
        "append_batch",
        "close",
        "flush",
        "submit",
        "submit_batch",
        "wait",
        "wait_after",
    },
    "Cursor": {"__next__", "next_batch"},
    "Primary": {"__exit__", "close", "wait_acks"},
}

# What reads or writes files, at the disk's pace, and sleeps for nobody else; and
# what looks into memory. A lock of the core's may be held over a sync.
OTHERS = {
    "Coordinator": {"checkpoint", "event_fd", "poll", "prometheus", "request_flush", "stats"},
    "Spool": {
        "cursor",
        "event_fd",
        "export_rdlw",
        "in_memory",
        "poll",
        "prune_through",
        "read_since",
        "request_flush",
        "stats",
        "truncate_after",
    },
    "Cursor": {"close"},
    "Primary": {
        "ack",
        "enforce_limits",
        "ensure_registered",
        "event_fd",
        "events_since",
        "export_slots",
        "note_pull",
        "quorum_lsn",
        "plan_resume",
        "progress",
        "prune",
        "register",
        "replicas",
        "save",
        "set_rebootstrapping",
        "slot",
        "slot_create",
        "slot_drop",
        "slot_reset",
        "slots",
        "stats",
        "touch",
        "unregister",
        "watch_acks",
    },
    "Recovery": {"close"},
    "SpoolReader": {"close", "next_batch"},
    "AckWatch": {"close", "decided", "finish"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_no_method_is_forgotten(name: str) -> None:
    cls: type = getattr(epochwal, name)
    methods = {m for m, part in vars(cls).items() if m[0] != "_" and callable(part)}
    waits = {m for m in WAITS.get(name, set()) if m[0] != "_"}
    assert methods == waits | OTHERS[name]


@pytest.mark.parametrize("name", OTHERS)
def test_what_takes_a_timeout_waits(name: str) -> None:
    cls: type = getattr(epochwal, name)
    for method, part in vars(cls).items():
        if callable(part) and method[0] != "_":
            takes = "timeout" in inspect.signature(part).parameters
            # The room that a submit waits for has a time of its own: an option.
            assert not takes or method in WAITS[name]


def run(code: str, db: Path, stuck_disk: Path) -> list[list[str]]:
    """Run a program, and give what it says by lines and words."""
    gate = db.parent / "gate"
    with child(code, db, LD_PRELOAD=str(stuck_disk), STUCK_DISK=str(gate)) as process:
        said = [line.decode().split() for line in process.lines()]
        assert process.process.wait(PATIENCE) == 0
    return said


def test_ctrl_c_ends_every_wait_of_a_coordinator(db: Path, stuck_disk: Path) -> None:
    waits, end = run(COORDINATOR, db, stuck_disk)
    assert set(waits[1:]) == WAITS["Coordinator"]
    assert end == ["closed"]


def test_ctrl_c_ends_every_wait_of_a_spool(db: Path, stuck_disk: Path) -> None:
    waits, (last,) = run(SPOOL, db, stuck_disk)
    assert set(waits[1:]) == WAITS["Spool"] | WAITS["Cursor"]
    # What was staged when its wait ended became durable all the same.
    with Spool(db) as spool:
        found = [r.lsn for r in spool.read_since(0)]
        assert found == list(range(1, int(last) + 1))


def test_ctrl_c_ends_every_wait_of_a_primary(db: Path, stuck_disk: Path) -> None:
    waits, end = run(PRIMARY, db, stuck_disk)
    assert set(waits[1:]) == WAITS["Primary"]
    assert end == ["closed"]
    with epochwal.Primary(db) as primary:
        assert primary.spool.current_lsn == 3
