"""The primary: slots, replicas, resume plans, commits that wait, and refusals."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import select
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import PATIENCE, Thread, page, python, until

import epochwal
from epochwal import Primary

LAST = 2**64 - 2


@pytest.fixture
def primary(db: Path) -> Iterator[Primary]:
    """Give a primary over records 1 to 10 of term 1."""
    with Primary(db) as primary:
        fill(primary, 1, 10)
        yield primary


def fill(primary: Primary, first: int, last: int, term: int = 1) -> None:
    primary.spool.append_batch(
        [(term, lsn, page(lsn, size=lsn % 50)) for lsn in range(first, last + 1)]
    )


def test_a_replica_from_registration_to_prune(db: Path) -> None:
    with Primary(db) as primary:
        fill(primary, 1, 5)
        r = primary.register("replica-1", region="eu")
        assert isinstance(r, epochwal.Registration)
        assert (r.restart_lsn, r.created) == (5, True)
        plan = primary.plan_resume("replica-1", since_lsn=0)
        assert plan == epochwal.ResumePlan("partial", 0, None, None)
        assert (plan.kind, plan.resume_lsn, plan.cause) == ("partial", 0, None)
        primary.note_pull("replica-1", r.generation, 5)
        primary.ack("replica-1", r.generation, written=5, durable=5, applied=4)
        acks = primary.wait_acks(5, policy="any 1", level="durable", timeout=1.0)
        assert acks == epochwal.AckResult("reached", False, 1, 1)
        (slot,) = primary.slots()
        assert slot == primary.slot("replica-1")
        assert (slot.id, slot.region, slot.restart_lsn, slot.confirmed_lsn) == (
            "replica-1",
            "eu",
            5,
            4,
        )
        assert (slot.origin, slot.invalidated, slot.wal_status) == (
            "acknowledged",
            None,
            "reserved",
        )
        assert slot.safe_wal_size is not None
        (replica,) = primary.replicas()
        assert (replica.id, replica.region, replica.generation) == (
            "replica-1",
            "eu",
            r.generation,
        )
        assert (replica.sent_lsn, replica.written_lsn) == (5, 5)
        assert (replica.durable_lsn, replica.applied_lsn) == (5, 4)
        assert replica.healthy
        assert replica.counts
        progress = primary.progress()
        assert (progress.lag, progress.safe_replay_lsn, progress.retention_floor) == (1, 5, 5)
        assert (progress.replicas, progress.quorum_lsn) == (1, 5)
        assert primary.topology_epoch == 1
        assert primary.prune(archived_lsn=3) == 3
        assert primary.prune() == 5
        assert primary.quorum_lsn(1, "applied") == 4
        assert primary.quorum_lsn(2) == 0
        stats = primary.stats()
        assert (stats["slots"], stats["acks"], stats["prunes"]) == (1, 1, 2)
        assert primary.path == str(db)
        assert primary.salvaged is None
    # All of it is there again, but for the session.
    with Primary(db) as primary:
        (slot,) = primary.slots()
        assert (slot.restart_lsn, slot.confirmed_lsn, slot.region) == (5, 4, "eu")
        assert primary.topology_epoch == 1
        again = primary.register("replica-1")
        assert again.restart_lsn == 5
        assert again.generation > r.generation
        assert not again.created


def test_the_spool_is_the_primarys(db: Path) -> None:
    primary = Primary(db)
    spool = primary.spool
    fill(primary, 1, 3)
    assert spool.current_lsn == 3
    assert "of a primary" in repr(spool)
    for call in (spool.close, spool.__enter__):
        with pytest.raises(epochwal.InvalidError, match="belongs to a primary"):
            call()
    assert not spool.closed
    # The spool alone, or a second primary, is refused meanwhile.
    for kind in (Primary, epochwal.Spool):
        with pytest.raises(epochwal.LockedError):
            kind(db)
    cursor = spool.cursor(3)
    waiting = Thread(lambda: cursor.next_batch(PATIENCE))
    committing = Thread(lambda: primary.wait_acks(4, "local", timeout=PATIENCE))
    primary.close()
    primary.close()
    for waiter in (waiting, committing):
        with pytest.raises(epochwal.ClosedError):
            waiter.get()
    assert spool.closed
    assert primary.closed
    for use in (
        lambda: spool.append(term=1, lsn=4, payload=b""),
        lambda: spool.read_since(0),
        lambda: primary.register("a"),
        primary.prune,
        primary.__enter__,
    ):
        with pytest.raises(epochwal.ClosedError):
            use()
    assert primary.spool.closed
    with epochwal.Spool(db) as alone:
        assert alone.current_lsn == 3


def test_a_spool_keeps_its_primary(db: Path) -> None:
    python(
        """
        import gc, sys, warnings
        import epochwal

        spool = epochwal.Primary(sys.argv[1]).spool
        gc.collect()
        spool.append(term=1, lsn=1, payload=b"x")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            del spool
            gc.collect()
        assert [str(w.message) for w in told] == [
            f'unclosed <epochwal.Primary "{sys.argv[1]}">'
        ], told
        epochwal.Primary(sys.argv[1]).close()
        """,
        db,
    )


def test_acknowledgements_are_refused_whole(primary: Primary) -> None:
    r = primary.register("a")
    assert not primary.register("b").created or r.created
    # Beyond the end: in any of the three, and where one alone would do.
    for ack in ({"written": 11}, {"durable": 11}, {"applied": 11, "durable": 10}):
        with pytest.raises(epochwal.AheadError, match="11 is beyond") as ahead:
            primary.ack("a", r.generation, **ack)
        assert ahead.value.lsn == 10
    with pytest.raises(epochwal.AheadError):
        primary.note_pull("a", r.generation, 11)
    # From nobody who is known: nothing is made by it.
    with pytest.raises(epochwal.NotFoundError, match="nobody"):
        primary.ack("nobody", 1, durable=5)
    with pytest.raises(epochwal.NotFoundError):
        primary.touch("nobody", 1)
    assert [slot.id for slot in primary.slots()] == ["a", "b"]
    # From an older session, and from one that never was.
    again = primary.register("a")
    assert not again.created
    for generation in (r.generation, again.generation + 1, 0):
        with pytest.raises(epochwal.FencedError, match=f"session {again.generation}"):
            primary.ack("a", generation, durable=5)
        with pytest.raises(epochwal.FencedError):
            primary.touch("a", generation)
    # Nothing of all that was taken.
    a = primary.replicas()[0]
    assert (a.written_lsn, a.durable_lsn, a.applied_lsn, a.sent_lsn) == (0, 0, 0, 0)
    stats = primary.stats()
    assert (stats["acks"], stats["acks_ahead"], stats["acks_unknown"]) == (0, 3, 1)
    assert stats["acks_fenced"] == 3
    # All of it only rises.
    primary.ack("a", again.generation, written=10, durable=10, applied=7, apply_errors=2)
    primary.ack("a", again.generation, durable=3, divergences=1)
    a = primary.replicas()[0]
    assert (a.written_lsn, a.durable_lsn, a.applied_lsn) == (10, 10, 7)
    assert (a.apply_errors, a.divergences) == (2, 1)
    assert primary.slot("a").restart_lsn == 10
    # One session that goes on.
    assert primary.ensure_registered("a").generation == again.generation


def test_numbers_are_exact_to_the_last(db: Path) -> None:
    places = [2**53 - 1, 2**53, 2**53 + 1, 2**63, LAST]
    with Primary(db, horizon_lsns="off") as primary:
        r = primary.register("a")
        for lsn in places:
            primary.spool.append(term=2**64 - 1, lsn=lsn, payload=b"x")
            primary.ack("a", r.generation, durable=lsn)
            assert primary.slot("a").restart_lsn == lsn
            assert primary.wait_acks(lsn).outcome == "reached"
            assert primary.progress().quorum_lsn == lsn
            assert primary.quorum_lsn(1) == lsn
            (slot,) = json.loads(primary.export_slots())["slots"]
            assert slot["restart_lsn"] == lsn
            plan = primary.plan_resume("a", lsn, term=2**64 - 1)
            assert (plan.kind, plan.resume_lsn) == ("partial", lsn)
        with pytest.raises(epochwal.AheadError):
            primary.ack("a", r.generation, durable=2**64 - 1)
        with pytest.raises(epochwal.Timeout):
            primary.wait_acks(2**64 - 1, timeout=0)
        assert primary.prune(archived_lsn=2**53) == 2**53
        assert primary.prune() == LAST
    with Primary(db, horizon_lsns="off") as primary:
        assert primary.slot("a").restart_lsn == LAST


def test_resume_plans(db: Path) -> None:
    with Primary(db) as primary:
        primary.spool.append_batch([(1, lsn, b"x") for lsn in range(1, 51)])
        primary.spool.append_batch([(4, lsn, b"x") for lsn in range(51, 101)])
        stranger = primary.plan_resume("x", 90)
        assert stranger == epochwal.ResumePlan("rebootstrap", None, "unknown", None)
        r = primary.register("a")
        # A pin says nothing of what it has; an acknowledgement does.
        assert primary.plan_resume("a", 60, term=4).resume_lsn == 60
        primary.ack("a", r.generation, durable=80)
        assert primary.plan_resume("a", 60).resume_lsn == 60
        primary.ack("a", r.generation, durable=100)
        assert primary.plan_resume("a", since_lsn=60, term=4).resume_lsn == 100
        # On another branch, and beyond the end: what both have.
        diverged = primary.plan_resume("a", 70, term=2)
        assert diverged == epochwal.ResumePlan("diverged", None, None, 50)
        ahead = primary.plan_resume("a", 150)
        assert (ahead.kind, ahead.common_lsn) == ("diverged", 100)
        assert primary.plan_resume("a", 150, term=3).common_lsn == 50
        # What it needs is gone.
        primary.register("pinned")
        assert primary.prune(archived_lsn=40) == 40
        gone = primary.plan_resume("pinned", 39)
        assert gone == epochwal.ResumePlan("rebootstrap", None, "wal-removed", None)
        assert primary.plan_resume("pinned", 40).kind == "partial"
        with pytest.raises(epochwal.WalRemovedError) as removed:
            primary.slot_create("c", 39)
        assert removed.value.lsn == 41
        with pytest.raises(epochwal.AheadError):
            primary.slot_create("c", 101)
        with pytest.raises(epochwal.ExistsError):
            primary.slot_create("pinned")
        stats = primary.stats()
        assert stats["resumes_diverged"] == 3
        assert stats["rebootstraps_unknown"] == 1


def test_who_holds_back_too_much_must_begin_anew(db: Path) -> None:
    with Primary(db, horizon_lsns=20, idle_timeout="off") as primary:
        r = primary.register("a", region="eu")
        kept = primary.register("b")
        fill(primary, 1, 15)
        assert primary.slot("a").wal_status == "extended"
        assert primary.enforce_limits() == []
        fill(primary, 16, 30)
        primary.ack("b", kept.generation, durable=30)
        assert primary.slot("a").wal_status == "unreserved"
        (given_up,) = primary.enforce_limits(now_unix_ms=12345)
        assert (given_up.id, given_up.invalidated) == ("a", "horizon")
        assert (given_up.invalidated_ms, given_up.wal_status) == (12345, "lost")
        (event,) = primary.events_since()
        assert (event.number, event.at_ms, event.kind) == (1, 12345, "slot-invalidated")
        assert event.details == {"id": "a", "cause": "horizon", "restart_lsn": 0}
        assert primary.events_since(event.number) == []
        with pytest.raises(epochwal.WalRemovedError, match="horizon"):
            primary.ack("a", r.generation, durable=30)
        assert primary.plan_resume("a", 0).cause == "horizon"
        # It holds nothing back any more, and counts for nobody.
        assert primary.prune() == 30
        with pytest.raises(epochwal.NotFoundError, match="not there"):
            primary.wait_acks(30, "any 1 (a)", timeout=PATIENCE)
        primary.set_rebootstrapping("a", True)
        primary.slot_reset("a", 30)
        assert not primary.replicas()[0].counts
        primary.set_rebootstrapping("a", False)
        assert primary.slot("a").invalidated is None
        primary.slot_reset("a", None)
        assert primary.slot("a").restart_lsn == 30
        primary.ack("a", r.generation, durable=30)
        assert primary.wait_acks(30, "2").observed == 2
        with pytest.raises(epochwal.OrderError):
            fill(primary, 31, 32)
            primary.ack("a", r.generation, durable=32)
            primary.slot_reset("a", 31)
        with pytest.raises(epochwal.NotFoundError):
            primary.slot("c")
        for call in (primary.slot_drop, primary.unregister):
            with pytest.raises(epochwal.NotFoundError):
                call("c")


def test_members_come_and_go(primary: Primary) -> None:
    epochs = [primary.topology_epoch]

    def changed() -> bool:
        epochs.append(primary.topology_epoch)
        return epochs[-1] > epochs[-2]

    primary.register("a")
    assert changed()
    primary.register("a")
    assert not changed()
    primary.register("a", region="eu")
    assert changed()
    primary.set_rebootstrapping("a", True)
    assert changed()
    primary.unregister("a")
    assert changed()
    assert primary.replicas() == []
    # Its slot stays, and keeps what it kept; a temporary one goes with it.
    assert primary.slot("a").region == "eu"
    primary.slot_create("t", 4, temporary=True)
    assert primary.slot("t").temporary
    assert primary.progress().retention_floor == 4
    primary.ensure_registered("t")
    primary.unregister("t")
    assert [slot.id for slot in primary.slots()] == ["a"]


def test_policies_count_whom_they_name(primary: Primary) -> None:
    sessions = {
        id: primary.register(id, region).generation
        for id, region in (("a", "eu"), ("b", "eu"), ("c", "us"))
    }
    primary.ack("a", sessions["a"], written=10, durable=8, applied=5)
    primary.ack("b", sessions["b"], written=10, durable=10)

    def observed(lsn: int, policy: str, level: Any = "durable") -> tuple[Any, Any]:
        try:
            acks = primary.wait_acks(lsn, policy, level, 0)
        except (epochwal.Timeout, epochwal.NotFoundError) as error:
            return error.observed, error.required
        assert acks.outcome == "reached"
        return acks.observed, acks.required

    assert observed(10, "local") == (0, 0)
    assert observed(10, "any 1") == (1, 1)
    assert observed(8, "2") == (2, 2)
    assert observed(10, "2") == (1, 2)
    assert observed(10, "2", "written") == (2, 2)
    assert observed(5, "any 1 (a, c)", "applied") == (1, 1)
    assert observed(6, "any 1 (a, c)", "applied") == (0, 1)
    assert observed(9, "first 1 (a, b)") == (0, 1)
    assert observed(9, "first 1 (b, a)", "flushed") == (1, 1)
    assert observed(1, "regions 1 (eu, us)") == (1, 2)
    assert observed(1, "4") == (2, 4)
    assert observed(1, "regions 1 (eu, asia)") == (1, 2)
    for bad in ("", "most", "0", "any", "locals", "any 3 (a, b)", "first 1", "any 1 (a, a)"):
        with pytest.raises(epochwal.InvalidError, match="policy"):
            primary.wait_acks(1, bad)
    with pytest.raises(epochwal.InvalidError, match="level"):
        primary.wait_acks(1, "1", "safe")  # type: ignore[arg-type]
    with pytest.raises(epochwal.InvalidError, match="level"):
        primary.quorum_lsn(1, "safe")  # type: ignore[arg-type]


def test_a_timeout_says_how_far_it_came(primary: Primary) -> None:
    primary.register("a")
    with pytest.raises(TimeoutError, match="0 of 1") as timed_out:
        primary.wait_acks(5, timeout=0.01)
    error = timed_out.value
    assert isinstance(error, epochwal.Timeout)
    assert (error.observed, error.required) == (0, 1)
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (copied.observed, copied.required, str(copied)) == (0, 1, str(error))
    degraded = primary.wait_acks(5, timeout=0.01, degrade=True)
    assert degraded == epochwal.AckResult("timed-out", True, 0, 1)
    # No policy makes a commit of what is not durable here.
    with pytest.raises(epochwal.Timeout):
        primary.wait_acks(11, timeout=0, degrade=True)
    with pytest.raises(epochwal.Timeout, match="not durable here"):
        primary.wait_acks(11, "local", timeout=0)
    assert primary.stats()["waits_degraded"] == 1
    # What no wait has to do with has neither.
    with pytest.raises(epochwal.NotFoundError) as other:
        primary.slot("x")
    assert (other.value.observed, other.value.required) == (None, None)


def test_a_watch_is_looked_at(primary: Primary) -> None:
    r = primary.register("a")
    fd = primary.event_fd()
    watch = primary.watch_acks(5)
    forgotten = primary.watch_acks(6)
    assert not watch.decided()
    assert not watch.local
    assert primary.stats()["waiting"] == 2
    primary.ack("a", r.generation, durable=4)
    assert select.select([fd], [], [], 0)[0] == []
    primary.ack("a", r.generation, durable=5)
    assert select.select([fd], [], [], PATIENCE)[0] == [fd]
    assert watch.decided()
    assert watch.finish() == ("reached", False, 1, 1)
    for call in (watch.decided, watch.finish):
        with pytest.raises(epochwal.ClosedError, match="the wait has ended"):
            call()
    watch.close()
    forgotten.close()
    forgotten.close()
    assert primary.stats()["waiting"] == 0
    with pytest.raises(epochwal.Timeout) as timed_out:
        primary.watch_acks(9).finish()
    assert (timed_out.value.observed, timed_out.value.required) == (0, 1)
    local = primary.watch_acks(10, "local")
    assert local.local
    assert local.decided()
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(local)


def test_a_primary_in_memory_keeps_nothing(tmp_path: Path) -> None:
    with Primary(None, ring_records=10) as primary:
        assert primary.path is None
        assert "in memory" in repr(primary)
        r = primary.register("a")
        fill(primary, 1, 5)
        primary.ack("a", r.generation, durable=5)
        assert primary.wait_acks(5).outcome == "reached"
        assert primary.prune() == 5
        for lsn in range(6, 31):
            fill(primary, lsn, lsn)
        # The ring has no room for whom it has left behind.
        assert primary.spool.pruned_through == 20
        assert primary.slot("a").wal_status == "lost"
        assert primary.plan_resume("a", 5).cause == "wal-removed"
        waiter = Thread(lambda: primary.wait_acks(30))
        until(lambda: primary.stats()["waiting"] == 1)
    with pytest.raises(epochwal.ClosedError):
        waiter.get()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "option",
    [
        {"healthy_for": 1e9},
        {"horizon_lsns": -1},
        {"horizon_lsns": "never"},
        {"horizon_bytes": 2**64},
        {"idle_timeout": 1e12},
        {"idle_timeout": "none"},
        {"max_slots": 50_001},
        {"save_interval": 5},
        {"trace_capacity": 10**9},
        {"max_payload": 1 << 40},
        {"sync_policy": "never"},
    ],
    ids=repr,
)
def test_options_are_checked_by_name(db: Path, option: dict[str, Any]) -> None:
    (name,) = option
    for path in (db, None):
        with pytest.raises(epochwal.InvalidError, match=name):
            Primary(path, **option)
    assert list(db.parent.iterdir()) == []


def test_options_take_effect(db: Path) -> None:
    options: dict[str, Any] = {
        "max_payload": 5,
        "max_slots": 2,
        "horizon_lsns": "off",
        "horizon_bytes": "off",
        "idle_timeout": "off",
        "healthy_for": 1.0,
        "save_interval": 0.001,
        "trace_capacity": 1,
    }
    with Primary(db, **options) as primary:
        with pytest.raises(epochwal.TooLargeError):
            primary.spool.append(term=1, lsn=1, payload=b"123456")
        primary.register("a")
        primary.register("b")
        with pytest.raises(epochwal.TooLargeError, match="max_slots"):
            primary.register("c")
        assert primary.slot("a").safe_wal_size is None
        for _ in range(3):
            primary.wait_acks(0, "3", degrade=True)
        assert [event.number for event in primary.events_since()] == [3]
    with pytest.raises(TypeError):
        Primary(db, epoch_interval=5)  # type: ignore[call-arg]
    for path in ("", "a\0b"):
        with pytest.raises(epochwal.InvalidError, match="path"):
            Primary(path)


@pytest.mark.parametrize("value", [-1, 2**64, 1.5, "1", None], ids=repr)
def test_positions_are_ints_in_range(primary: Primary, value: Any) -> None:
    g = primary.register("a").generation
    calls: list[Callable[[], object]] = [
        lambda: primary.note_pull("a", value, 1),
        lambda: primary.note_pull("a", g, value),
        lambda: primary.touch("a", value),
        lambda: primary.ack("a", value, durable=1),
        lambda: primary.ack("a", g, written=value),
        lambda: primary.ack("a", g, durable=value),
        lambda: primary.ack("a", g, applied=value),
        lambda: primary.ack("a", g, apply_errors=value),
        lambda: primary.ack("a", g, divergences=value),
        lambda: primary.plan_resume("a", value),
        lambda: primary.wait_acks(value, timeout=0),
        lambda: primary.watch_acks(value),
        lambda: primary.quorum_lsn(value),
        lambda: primary.events_since(value),
    ]
    if value is not None:
        calls += [
            lambda: primary.plan_resume("a", 1, term=value),
            lambda: primary.slot_create("b", value),
            lambda: primary.slot_reset("a", value),
            lambda: primary.prune(value),
            lambda: primary.enforce_limits(value),
        ]
    for call in calls:
        with pytest.raises((TypeError, ValueError)):
            call()
    assert primary.stats()["acks"] == 0


@pytest.mark.parametrize("name", [5, None, b"a", "", "a\0", "x" * 10_000], ids=str)
def test_names_are_texts(primary: Primary, name: Any) -> None:
    error = ValueError if isinstance(name, str) else TypeError
    with pytest.raises(error, match="id"):
        primary.register(name)
    with pytest.raises(error, match="id"):
        primary.slot_create(name)
    if name is not None:
        with pytest.raises(error, match="region"):
            primary.register("a", name)
    assert primary.slots() == []


def test_names_of_all_scripts_come_back(primary: Primary) -> None:
    for name in ("réplique", "レプリカ", 'say "hi"', "a, (b)"):
        primary.register(name, region=name)
        assert primary.slot(name).region == name
    policy = 'any 1 ("a, (b)", "say ""hi""", レプリカ)'
    assert primary.wait_acks(0, policy).outcome == "reached"
    exported = {slot["id"] for slot in json.loads(primary.export_slots())["slots"]}
    assert exported == {slot.id for slot in primary.slots()}


def test_slots_of_the_older_store_are_taken_in_once(db: Path) -> None:
    with Primary(db.with_name("other.db")) as other:
        fill(other, 1, 10)
        other.slot_create("a", 4)
        other.slot_create("b")
        exported = other.export_slots()
    with epochwal.Spool(db) as spool:
        spool.append_batch([(1, lsn, b"x") for lsn in range(1, 11)])
    older = db.with_name("app.db.logical.slots.json")
    older.write_bytes(exported)
    with Primary(db) as primary:
        assert [(s.id, s.restart_lsn) for s in primary.slots()] == [("a", 4), ("b", 10)]
        (event,) = primary.events_since()
        assert (event.kind, event.details) == ("slots-imported", {"slots": 2})
        primary.slot_drop("a")
        primary.slot_drop("b")
    with Primary(db) as primary:
        assert primary.slots() == []


def test_types_name_what_there_is(primary: Primary) -> None:
    stats, options = epochwal.PrimaryStats, epochwal.PrimaryOptions
    assert set(primary.stats()) == stats.__required_keys__
    assert set(inspect.signature(Primary).parameters) - {"path"} == options.__optional_keys__
