"""The spool: what may be given, what comes back, and how the rest is refused."""

from __future__ import annotations

import array
import os
import pickle
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import PATIENCE, Thread, page, python

import epochwal
from epochwal import Spool, SpoolRecord, SpoolTicket

LAST = 2**64 - 2


def fill(spool: Spool, first: int, last: int, term: int = 1) -> None:
    spool.append_batch(
        [(term, lsn, page(lsn, size=lsn % 50)) for lsn in range(first, last + 1)]
    )


def lsns(records: list[SpoolRecord]) -> list[int]:
    return [r.lsn for r in records]


def test_records_come_back_as_they_were_given(db: Path) -> None:
    with Spool(db) as spool:
        assert spool.bounds == (0, 0, 0)
        assert (spool.term, spool.terms) == (0, [])
        before = time.time_ns() // 1_000_000
        ticket = spool.append(term=3, lsn=5, payload=b"now")
        after = time.time_ns() // 1_000_000
        assert isinstance(ticket, SpoolTicket)
        assert ticket[1:] == (5, 5)
        spool.append(term=3, lsn=6, payload=b"", timestamp_ms=2**64 - 1)
        many = [(3, 7, b"a"), [3, 9, b"b", None], (4, 10, b"c", 77)]
        assert spool.append_batch(iter(many))[1:] == (7, 10)  # type: ignore[arg-type]
        first, *rest = spool.read_since(0)
        assert isinstance(first, SpoolRecord)
        assert (first.term, first.lsn, first.payload) == (3, 5, b"now")
        assert before <= first.timestamp_ms <= after
        assert rest[0] == (3, 6, b"", 2**64 - 1)
        assert [r[:3] for r in rest[1:]] == [(3, 7, b"a"), (3, 9, b"b"), (4, 10, b"c")]
        assert rest[-1].timestamp_ms == 77
        assert all(type(r.payload) is bytes for r in rest)
        assert spool.bounds == epochwal.Bounds(5, 10, 0)
        assert (spool.oldest_lsn, spool.current_lsn, spool.pruned_through) == (5, 10, 0)
        assert spool.terms == [epochwal.TermStart(3, 5), (4, 10)]
        assert (spool.term, spool.path) == (4, str(db))
        assert (spool.torn, spool.salvaged, spool.closed) == (None, [], False)
        # What one spool gives another one takes.
        with Spool(db.with_name("other.db")) as other:
            other.append_batch(spool.read_since(0))
            assert other.read_since(0) == spool.read_since(0)
    assert spool.closed
    with Spool(db) as again:
        assert again.read_since(0)[0] == first
        assert again.current_lsn == 10


def test_numbers_are_exact_to_the_last(db: Path) -> None:
    with Spool(db) as spool:
        spool.append(term=2**64 - 1, lsn=LAST, payload=b"x", timestamp_ms=2**53 + 1)
        assert spool.read_since(LAST - 1) == [(2**64 - 1, LAST, b"x", 2**53 + 1)]
        assert spool.current_lsn == LAST
        assert spool.terms == [(2**64 - 1, LAST)]
        assert spool.prune_through(LAST) == LAST
        with pytest.raises(epochwal.WalRemovedError) as removed:
            spool.read_since(LAST - 1)
        assert removed.value.lsn == 2**64 - 1
    with Spool(db) as spool, pytest.raises(epochwal.OrderError) as order:
        assert spool.current_lsn == LAST
        spool.append(term=2**64 - 1, lsn=LAST, payload=b"x")
    assert order.value.lsn == LAST


@pytest.mark.parametrize(
    "payload",
    [
        page("p"),
        bytearray(page("p")),
        memoryview(b"head" + page("p") + b"tail")[4:-4],
        memoryview(page("p")).cast("I"),
        array.array("d", page("p")),
    ],
    ids=lambda p: type(p).__name__,
)
def test_every_bytes_like_object_is_a_payload(db: Path, payload: Any) -> None:
    with Spool(db) as spool:
        spool.append(term=1, lsn=1, payload=payload)
        spool.append_batch([(1, 2, payload)])
        assert [r.payload for r in spool.read_since(0)] == [page("p")] * 2


def test_a_large_payload_comes_back_whole(db: Path) -> None:
    large = page("large", size=9 << 20)
    with Spool(db) as spool:
        spool.append(term=1, lsn=1, payload=large)
        assert spool.read_since(0)[0].payload == large
        with pytest.raises(epochwal.TooLargeError, match="payload"):
            spool.append(term=1, lsn=2, payload=bytes((64 << 20) + 1))
        assert spool.current_lsn == 1


@pytest.mark.parametrize(
    ("given", "error", "named"),
    [
        ({"lsn": 0}, ValueError, "lsn"),
        ({"lsn": -1}, ValueError, "lsn: -1"),
        ({"lsn": 2**64 - 1}, ValueError, "lsn"),
        ({"lsn": 2**64}, ValueError, "lsn: 18446744073709551616"),
        ({"lsn": 10**1000}, ValueError, "lsn"),
        ({"lsn": 1.0}, TypeError, "lsn: an int is required, not 'float'"),
        ({"lsn": "1"}, TypeError, "lsn"),
        ({"lsn": None}, TypeError, "lsn"),
        ({"term": -1}, ValueError, "term"),
        ({"term": 2**64}, ValueError, "term"),
        ({"term": 1.5}, TypeError, "term"),
        ({"timestamp_ms": -5}, ValueError, "timestamp_ms"),
        ({"timestamp_ms": 2**64}, ValueError, "timestamp_ms"),
        ({"timestamp_ms": 1.5}, TypeError, "timestamp_ms"),
        ({"payload": "text"}, TypeError, "payload"),
        ({"payload": None}, TypeError, "payload"),
        ({"payload": 5}, TypeError, "payload"),
        ({"payload": [1, 2]}, TypeError, "payload"),
        ({"payload": memoryview(b"abcdef")[::2]}, ValueError, "payload: not contiguous"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "1"}, TypeError, "timeout"),
    ],
    ids=repr,
)
def test_what_is_no_record_is_refused_by_name(
    db: Path, given: dict[str, Any], error: type[Exception], named: str
) -> None:
    with Spool(db) as spool:
        good: dict[str, Any] = {"term": 1, "lsn": 1, "payload": b"x"}
        with pytest.raises(error, match=named):
            spool.append(**(good | given))
        assert spool.bounds == (0, 0, 0)
        spool.append(**good)


@pytest.mark.parametrize(
    ("given", "error", "named"),
    [
        (None, TypeError, "records"),
        (5, TypeError, "records"),
        ("abc", TypeError, "records"),
        ({1: 2}, TypeError, "records"),
        (SpoolRecord(1, 1, b"x"), TypeError, "records"),
        ((1, 1, b"x"), TypeError, r"records\[0\]"),
        ([], ValueError, "records: none"),
        ([b"abc"], TypeError, r"records\[0\]"),
        ([(1, 2)], TypeError, "2 parts"),
        ([(1, 2, b"", 3, 4)], TypeError, "5 parts"),
        ([(1, 1, b"x"), (1, "2", b"x")], TypeError, r"records\[1\].lsn"),
        ([(1, 1, b"x"), (-1, 2, b"x")], ValueError, r"records\[1\].term"),
        ([(1, 1, b"x"), (1, 2, None)], TypeError, r"records\[1\].payload"),
        ([(1, 1, b"x"), (1, 2, b"", -1)], ValueError, r"records\[1\].timestamp_ms"),
        ([(1, 1, b"x"), (1, 1, b"x")], epochwal.OrderError, "lsn: 1"),
        ([(2, 1, b"x"), (1, 2, b"x")], epochwal.FencedError, "term: 1"),
    ],
    ids=repr,
)
def test_a_batch_is_kept_whole_or_not_at_all(
    db: Path, given: Any, error: type[Exception], named: str
) -> None:
    with Spool(db) as spool:
        for call in (spool.append_batch, spool.submit_batch):
            with pytest.raises(error, match=named):
                call(given)
        assert spool.bounds == (0, 0, 0)

        def broken() -> Any:
            yield (1, 1, b"x")
            raise KeyError("broken")

        with pytest.raises(KeyError):
            spool.append_batch(broken())
        spool.append(term=0, lsn=1, payload=b"x")
        assert lsns(spool.read_since(0)) == [1]


def test_order_and_terms_are_kept(db: Path) -> None:
    with Spool(db, dense=True) as spool:
        fill(spool, 1, 5, term=2)
        with pytest.raises(epochwal.OrderError) as order:
            spool.append(term=2, lsn=5, payload=b"x")
        assert order.value.lsn == 5
        with pytest.raises(epochwal.OrderError, match="gap"):
            spool.append(term=2, lsn=7, payload=b"x")
        with pytest.raises(epochwal.FencedError, match="term: 1") as fenced:
            spool.submit(term=1, lsn=6, payload=b"x")
        assert fenced.value.lsn == 5
        for error in (order.value, fenced.value):
            copied = pickle.loads(pickle.dumps(error))
            assert (copied.lsn, str(copied)) == (5, str(error))


def test_reading_says_what_a_replica_must_do(db: Path) -> None:
    with Spool(db) as spool:
        fill(spool, 1, 50, term=1)
        fill(spool, 51, 100, term=4)
        assert lsns(spool.read_since(0, max_records=3)) == [1, 2, 3]
        assert lsns(spool.read_since(40, max_bytes=0)) == [41]
        assert lsns(spool.read_since(97)) == [98, 99, 100]
        assert spool.read_since(100) == []
        for since in (101, 2**64 - 1):
            with pytest.raises(epochwal.AheadError) as ahead:
                spool.read_since(since)
            assert ahead.value.lsn == 100
        assert lsns(spool.read_since(98, term=4)) == [99, 100]
        with pytest.raises(epochwal.DivergedError) as diverged:
            spool.read_since(80, term=2)
        assert diverged.value.lsn == 50
        # Ahead, but with a history of its own: that is what it must hear first.
        with pytest.raises(epochwal.DivergedError):
            spool.read_since(150, term=3)
        assert spool.prune_through(30) == 30
        assert spool.bounds == (31, 100, 30)
        with pytest.raises(epochwal.WalRemovedError) as removed:
            spool.read_since(29)
        assert removed.value.lsn == 31
        saved = spool.truncate_after(70, 9)
        assert saved is not None
        assert spool.bounds == (31, 70, 30)
        assert (spool.term, spool.terms[-1]) == (9, (9, 71))
        assert spool.truncate_after(70, 10) is None
        with pytest.raises(epochwal.FencedError):
            spool.truncate_after(60, 10)
        with pytest.raises(epochwal.AheadError):
            spool.truncate_after(71, 11)
        with pytest.raises(epochwal.WalRemovedError):
            spool.truncate_after(29, 11)
        fill(spool, 71, 72, term=10)
        assert [r.term for r in spool.read_since(69)] == [4, 10, 10]
        assert spool.prune_through(2**64 - 1) == 72
        assert spool.bounds == (0, 72, 72)


@pytest.mark.parametrize("value", [-1, 2**64, 1.5, None, "1"], ids=repr)
def test_positions_are_ints_in_range(db: Path, value: Any) -> None:
    with Spool(db) as spool:
        calls: list[Callable[[], object]] = [
            lambda: spool.read_since(value),
            lambda: spool.cursor(value),
            lambda: spool.wait_after(value, 0),
            lambda: spool.prune_through(value),
            lambda: spool.truncate_after(value, 1),
            lambda: spool.truncate_after(1, value),
            lambda: spool.wait(value),
            lambda: spool.poll(value),
        ]
        if value is not None:
            calls.append(lambda: spool.read_since(0, term=value))
            calls.append(lambda: spool.read_since(0, max_records=value))
            calls.append(lambda: spool.read_since(0, max_bytes=value))
        for call in calls:
            with pytest.raises((TypeError, ValueError)):
                call()
        with pytest.raises(ValueError, match="max_records: 0"):
            spool.read_since(0, max_records=0)
        with pytest.raises(ValueError, match="max_records: 0"):
            spool.cursor(0).next_batch(max_records=0)


def test_options_are_checked_by_name(db: Path) -> None:
    bad: list[dict[str, Any]] = [
        {"max_payload": 1 << 40},
        {"ring_bytes": 2 << 30},
        {"flush_interval": 1e9},
        {"block_timeout": -1},
        {"max_memory": 1},
        {"segment_size": 5000},
        {"max_log_bytes": 1},
        {"sync_policy": "never"},
        {"sync_style": "odd"},
    ]
    for option in bad:
        (name,) = option
        with pytest.raises(epochwal.InvalidError, match=name):
            Spool(db, **option)
        with pytest.raises(epochwal.InvalidError, match=name):
            Spool.in_memory(**option)
    with pytest.raises(epochwal.InvalidError, match="ring_bytes"):
        Spool.in_memory(ring_bytes=0)
    with pytest.raises(TypeError):
        Spool(db, slot_count=5)  # type: ignore[call-arg]
    for path in ("", "a\0b"):
        with pytest.raises(epochwal.InvalidError, match="path"):
            Spool(path)
    with Spool(db, ring_bytes=0, max_payload=3) as spool:
        spool.read_since(0)
        spool.append(term=1, lsn=1, payload=b"abc")
        with pytest.raises(epochwal.TooLargeError):
            spool.append(term=1, lsn=2, payload=b"abcd")
        assert spool.read_since(0)[0].payload == b"abc"


def test_submits_become_durable_later(db: Path) -> None:
    with Spool(db, flush_interval=3600) as spool:
        one = spool.submit(term=1, lsn=1, payload=b"x")
        two = spool.submit_batch([(1, 2, b"y"), (1, 3, b"z")])
        assert two[1:] == (2, 3)
        assert not spool.poll(one)
        assert spool.current_lsn == 0
        assert spool.read_since(0) == []
        with pytest.raises(epochwal.Timeout) as timed_out:
            spool.wait_after(0, 0.01)
        assert isinstance(timed_out.value, TimeoutError)
        spool.request_flush(two)
        spool.wait(two, timeout=PATIENCE)
        assert spool.poll(one)
        assert lsns(spool.read_since(0)) == [1, 2, 3]
        spool.submit(term=1, lsn=4, payload=b"x")
        spool.flush()
        assert spool.current_lsn == 4
        with pytest.raises(epochwal.InvalidError, match="epoch"):
            spool.wait(SpoolTicket(two.epoch + 1000, 1, 1))
        with pytest.raises(TypeError, match="SpoolTicket"):
            spool.wait(epochwal.Ticket(1, 1))  # type: ignore[arg-type]
        stats = spool.stats()
        assert stats is not None
        assert (stats["batches"], stats["frames"]) == (3, 4)


def test_a_spool_in_memory_has_no_files(tmp_path: Path) -> None:
    with Spool.in_memory(ring_records=10) as spool:
        for lsn in range(1, 31):
            fill(spool, lsn, lsn)
        assert spool.bounds == (21, 30, 20)
        assert lsns(spool.read_since(25)) == [26, 27, 28, 29, 30]
        with pytest.raises(epochwal.WalRemovedError):
            spool.read_since(0)
        spool.wait(spool.submit(term=1, lsn=31, payload=b""))
        assert (spool.path, spool.stats()) == (None, None)
        fd = spool.event_fd()
        spool.append(term=1, lsn=32, payload=b"")
        assert os.read(fd, 8)
        os.close(fd)
        with pytest.raises(epochwal.UnsupportedError):
            spool.truncate_after(30, 5)
        assert "in memory" in repr(spool)
        cursor = spool.cursor(29)
        assert lsns(cursor.next_batch()) == [30, 31, 32]
        waiter = Thread(lambda: spool.wait_after(32))
    with pytest.raises(epochwal.ClosedError):
        waiter.get()
    with pytest.raises(epochwal.ClosedError):
        spool.append(term=1, lsn=50, payload=b"")
    with pytest.raises(epochwal.ClosedError):
        cursor.next_batch()
    assert list(tmp_path.iterdir()) == []


def test_a_closed_spool_says_so(db: Path) -> None:
    spool = Spool(db)
    cursor = spool.cursor(0)
    spool.close()
    spool.close()
    calls: list[Callable[[], object]] = [
        lambda: spool.append(term=1, lsn=1, payload=b"x"),
        lambda: spool.submit(term=1, lsn=1, payload=b"x"),
        lambda: spool.wait(SpoolTicket(1, 1, 1)),
        spool.flush,
        lambda: spool.read_since(0),
        lambda: spool.cursor(0),
        lambda: spool.wait_after(0),
        lambda: spool.prune_through(1),
        lambda: spool.truncate_after(0, 1),
        spool.event_fd,
        spool.stats,
        spool.__enter__,
        lambda: next(cursor),
    ]
    for call in calls:
        with pytest.raises(epochwal.ClosedError):
            call()
    assert repr(spool) == f'<epochwal.Spool "{db}", closed>'
    forgotten = Spool(db)
    with pytest.warns(ResourceWarning, match="unclosed <epochwal.Spool"):
        del forgotten


def test_it_belongs_to_its_process(db: Path) -> None:
    with Spool(db) as spool:
        for thing in (spool, spool.cursor(0)):
            with pytest.raises(TypeError, match="pickled"):
                pickle.dumps(thing)
        with pytest.raises(epochwal.LockedError):
            Spool(db)
        # The page log beside it is another one.
        with epochwal.Coordinator(db) as wal:
            wal.commit([(1, b"x")], txn_id=1, commit_seq=1)


def test_an_event_descriptor_tells_of_records_and_the_end(db: Path) -> None:
    with Spool(db) as spool:
        fd = spool.event_fd()
        try:
            assert select.select([fd], [], [], 0)[0] == []
            spool.append(term=1, lsn=1, payload=b"x")
            assert select.select([fd], [], [], PATIENCE)[0] == [fd]
            os.read(fd, 8)
            assert select.select([fd], [], [], 0)[0] == []
            spool.close()
            assert select.select([fd], [], [], PATIENCE)[0] == [fd]
        finally:
            os.close(fd)


def test_damage_is_named_and_salvaged(db: Path) -> None:
    with pytest.raises(epochwal.NotFoundError):
        epochwal.spool_salvage(db)
    assert list(db.parent.iterdir()) == []
    with Spool(db, segment_size=16384) as spool:
        for lsn in range(1, 21):
            spool.append(term=1, lsn=lsn, payload=page(lsn, size=1500))
    whole = epochwal.spool_salvage(db)
    assert whole == epochwal.SpoolSalvage([], None, epochwal.Bounds(1, 20, 0), [])
    victim = sorted(db.parent.glob("*.logical.wal-seg-*"))[1]
    image = bytearray(victim.read_bytes())
    image[5000] ^= 1
    victim.write_bytes(image)
    with pytest.raises(epochwal.CorruptError) as corrupt:
        Spool(db)
    assert corrupt.value.path is not None
    salvage = epochwal.spool_salvage(db)
    assert salvage.moved
    assert all(os.path.exists(path) for path in salvage.moved)
    assert salvage.torn is None
    # No LSN that was ever acknowledged is given again.
    assert salvage.bounds == (1, 20, 0)
    with Spool(db) as spool:
        kept = lsns(spool.read_since(0))
        assert kept == list(range(1, len(kept) + 1))
        assert 0 < len(kept) < 20
        assert salvage.lost == [(len(kept), 20)]
        spool.append(term=1, lsn=21, payload=b"x")
        # Nobody reads across what is lost unawares.
        with pytest.raises(epochwal.WalRemovedError) as removed:
            spool.read_since(len(kept))
        assert removed.value.lsn == 21
        assert lsns(spool.read_since(20)) == [21]


def test_a_forked_child_is_told_and_touches_nothing(db: Path) -> None:
    python(
        """
        import gc, os, sys, warnings
        import epochwal
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)

        spool = epochwal.Spool(sys.argv[1])
        memory = epochwal.Spool.in_memory()
        ticket = spool.append(term=1, lsn=1, payload=b"parent")
        staged = spool.submit(term=1, lsn=2, payload=b"staged")
        cursor = spool.cursor(0)
        next(cursor)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                calls = [
                    lambda: spool.append(term=1, lsn=3, payload=b"child"),
                    lambda: spool.submit(term=1, lsn=3, payload=b"child"),
                    lambda: spool.wait(staged),
                    lambda: spool.poll(staged),
                    lambda: spool.flush(),
                    lambda: spool.read_since(0),
                    lambda: spool.cursor(0),
                    lambda: spool.wait_after(0),
                    lambda: spool.bounds,
                    lambda: spool.current_lsn,
                    lambda: spool.term,
                    lambda: spool.terms,
                    lambda: spool.prune_through(1),
                    lambda: spool.truncate_after(1, 5),
                    lambda: spool.event_fd(),
                    lambda: spool.stats(),
                    lambda: spool.close(),
                    lambda: spool.__enter__(),
                    lambda: next(cursor),
                    lambda: cursor.next_batch(0),
                    lambda: memory.append(term=1, lsn=1, payload=b"child"),
                    lambda: memory.bounds,
                ]
                for n, call in enumerate(calls):
                    try:
                        call()
                    except epochwal.ForkedError:
                        continue
                    raise AssertionError(f"call {n} went through")
                with epochwal.Spool(sys.argv[1] + "3") as own:
                    own.append(term=1, lsn=1, payload=b"own")
                del spool, cursor, memory, call, calls
                gc.collect()
                status = 0
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        spool.wait(staged)
        spool.append(term=1, lsn=3, payload=b"after")
        assert [r.lsn for r in cursor.next_batch()] == [2, 3]
        spool.close()
        """,
        db,
    )
    with Spool(db) as spool:
        assert [r.payload for r in spool.read_since(0)] == [b"parent", b"staged", b"after"]
