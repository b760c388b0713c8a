"""The primary: slots, replicas, resume plans, commits that wait, and refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import PATIENCE, Thread, page, python

import epochwal
from epochwal import Primary


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
        assert (replica.flushed_lsn, replica.applied_lsn) == (5, 4)
        assert replica.healthy
        assert replica.counts
        progress = primary.progress()
        assert (progress.lag, progress.safe_replay_lsn, progress.retention_floor) == (1, 5, 5)
        assert (progress.replicas, progress.quorum_lsn) == (1, 5)
        assert primary.topology_epoch == 1
        assert primary.prune(archived_lsn=3) == 3
        assert primary.prune() == 5
        assert primary.nth_highest(1, "applied") == 4
        assert primary.nth_highest(2) == 0
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
