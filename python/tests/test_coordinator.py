"""The coordinator's own calls, one after the other."""

from __future__ import annotations

import gc
import os
import pickle
import select
from pathlib import Path

import pytest
from support import PATIENCE, page

import epochwal
from epochwal import Coordinator


def test_a_commit_is_durable_and_comes_back(db: Path) -> None:
    with Coordinator(db) as wal:
        ticket = wal.commit(
            [(1, page(1)), (2, page(2), 2)],
            txn_id=7,
            commit_seq=1,
            txn_epoch=3,
            metadata=b"lsn 9",
        )
        assert wal.durable_epoch is not None
        assert wal.durable_epoch >= ticket.epoch
        assert ticket.commit_seq == 1
    (batch,) = epochwal.recover(db)
    assert batch == epochwal.Batch(
        ticket.epoch,
        1,
        7,
        3,
        [epochwal.Frame(1, page(1), 0), epochwal.Frame(2, page(2), 2)],
        b"lsn 9",
    )


def test_a_ticket_is_a_named_tuple(wal: Coordinator) -> None:
    ticket = wal.submit([(1, b"x")], txn_id=1, commit_seq=5)
    epoch, commit_seq = ticket
    assert type(ticket) is epochwal.Ticket
    assert (ticket.epoch, ticket.commit_seq) == (epoch, commit_seq)
    assert commit_seq == 5
    assert pickle.loads(pickle.dumps(ticket)) == ticket


def test_wait_takes_a_ticket_or_an_epoch(wal: Coordinator) -> None:
    ticket = wal.submit([(1, b"x")], txn_id=1, commit_seq=1)
    wal.wait(ticket, timeout=PATIENCE)
    wal.wait(ticket.epoch)
    assert wal.poll(ticket)
    assert wal.poll(ticket.epoch)


def test_a_wait_for_an_epoch_never_handed_out_is_an_error(wal: Coordinator) -> None:
    for wait in (wal.wait, wal.poll, wal.request_flush):
        with pytest.raises(epochwal.InvalidError, match="epoch"):
            wait(wal.current_epoch + 1000)
    with pytest.raises(epochwal.InvalidError):
        wal.wait(0)


def test_before_the_first_commit_nothing_is_durable(wal: Coordinator) -> None:
    assert wal.durable_epoch is None
    assert wal.current_epoch >= 1
    assert wal.flush() == 0


def test_flush_makes_all_durable_that_is_staged(db: Path) -> None:
    with Coordinator(db, epoch_interval="off") as wal:
        tickets = [wal.submit([(n, page(n))], txn_id=n, commit_seq=n) for n in range(1, 20)]
        assert wal.durable_epoch is None
        assert wal.flush(timeout=PATIENCE) >= max(t.epoch for t in tickets)
        assert all(wal.poll(t) for t in tickets)


def test_a_request_for_a_flush_needs_nobody_to_wait(db: Path) -> None:
    with Coordinator(db, epoch_interval="off") as wal:
        fd = wal.event_fd()
        try:
            ticket = wal.submit([(1, b"x")], txn_id=1, commit_seq=1)
            wal.request_flush(ticket)
            while not wal.poll(ticket):
                assert select.select([fd], [], [], PATIENCE)[0]
                os.read(fd, 8)
        finally:
            os.close(fd)


def test_an_event_fd_is_its_callers(wal: Coordinator) -> None:
    first, second = wal.event_fd(), wal.event_fd()
    try:
        assert first != second
        assert not os.get_inheritable(first)
        assert not os.get_blocking(first)
        wal.commit([(1, b"x")], txn_id=1, commit_seq=1)
        for fd in (first, second):
            assert select.select([fd], [], [], PATIENCE)[0]
    finally:
        os.close(first)
        os.close(second)


def test_an_event_fd_tells_of_the_close(db: Path) -> None:
    wal = Coordinator(db)
    fd = wal.event_fd()
    try:
        wal.close()
        assert select.select([fd], [], [], PATIENCE)[0]
    finally:
        os.close(fd)


def test_assigned_sequences_are_dense(db: Path) -> None:
    with Coordinator(db, sequencing="coordinator") as wal:
        given = [wal.submit([(1, b"x")], txn_id=n).commit_seq for n in range(1, 6)]
        assert given == [1, 2, 3, 4, 5]
        with pytest.raises(epochwal.InvalidError, match=r"commit_seq|sequence"):
            wal.submit([(1, b"x")], txn_id=9, commit_seq=9)


def test_a_full_lane_that_refuses_is_busy(db: Path) -> None:
    with Coordinator(
        db, epoch_interval="off", overflow_policy="refuse", buffer_capacity=8192, slot_count=1
    ) as wal:
        with pytest.raises(epochwal.BusyError):
            for n in range(1, 100):
                wal.submit([(1, page(n, size=2000))], txn_id=n, commit_seq=n)
        assert wal.stats()["refused"] >= 1
        wal.flush()
        wal.submit([(1, b"room again")], txn_id=1000, commit_seq=1000)


def test_a_batch_larger_than_a_lane_is_taken(db: Path) -> None:
    frames = [(n, page(n)) for n in range(1, 65)]
    with Coordinator(db, buffer_capacity=8192) as wal:
        wal.commit(frames, txn_id=1, commit_seq=1)
        assert wal.stats()["oversize"] == 1
    (batch,) = epochwal.recover(db)
    assert [(f.page_number, f.data) for f in batch.frames] == frames


def test_a_batch_above_the_limit_is_refused(db: Path) -> None:
    with (
        Coordinator(db, max_batch_bytes=8192) as wal,
        pytest.raises(epochwal.TooLargeError, match="8192"),
    ):
        wal.submit([(n, page(n)) for n in range(1, 4)], txn_id=1, commit_seq=1)


def test_checkpoint_lets_go_of_epochs(db: Path) -> None:
    with Coordinator(db) as wal:
        first = wal.commit([(1, page(1))], txn_id=1, commit_seq=1)
        second = wal.commit([(2, page(2))], txn_id=2, commit_seq=2)
        wal.checkpoint(first.epoch)
        assert [b.txn_id for b in epochwal.recover(db)] == [2]
        wal.checkpoint(second)
        assert wal.stats()["checkpoint_epoch"] == second.epoch
        with pytest.raises(epochwal.InvalidError):
            wal.checkpoint(second.epoch + 1)
    assert list(epochwal.recover(db)) == []
    assert epochwal.verify(db).checkpoint_epoch == second.epoch


def test_a_log_at_its_limit_heals_by_a_checkpoint(db: Path) -> None:
    with Coordinator(db, max_log_bytes=65536) as wal:
        ticket = None
        with pytest.raises(epochwal.NoSpaceError) as raised:
            for n in range(1, 100):
                ticket = wal.commit([(1, page(n))], txn_id=n, commit_seq=n)
        assert isinstance(raised.value, OSError)
        assert raised.value.errno is not None
        assert ticket is not None
        wal.checkpoint(ticket)
        wal.commit([(1, b"x")], txn_id=1000, commit_seq=1000)


def test_stats_name_every_figure(wal: Coordinator) -> None:
    wal.commit([(1, page(1)), (2, page(2))], txn_id=1, commit_seq=1)
    stats = wal.stats()
    assert set(stats) == set(epochwal.Stats.__annotations__)
    assert (stats["batches"], stats["frames"], stats["bytes"]) == (1, 2, 8192)
    assert stats["durable_epoch"] == wal.durable_epoch
    assert stats["checkpoint_epoch"] is None
    assert len(stats["backlog"]) == stats["lanes"] == 128
    for name in ("wait", "flush"):
        assert set(stats[name]) == set(epochwal.Latency.__annotations__)
    assert stats["sync_style"] in ("direct", "buffered")
    assert stats["flush"]["count"] >= 1
    assert stats["flush"]["max"] > 0


def test_prometheus_text_has_the_path_as_label(wal: Coordinator) -> None:
    text = wal.prometheus()
    assert f'epochwal_batches_total{{db="{wal.path}"}} 0' in text.splitlines()


def test_a_shared_coordinator_is_closed_by_its_last_handle(db: Path) -> None:
    first = Coordinator(db, shared=True)
    second = Coordinator(db.parent / "." / db.name, shared=True)
    assert second.path == first.path
    ticket = first.submit([(1, b"x")], txn_id=1, commit_seq=1)
    first.close()
    second.wait(ticket)
    second.commit([(1, b"y")], txn_id=2, commit_seq=2)
    with pytest.raises(epochwal.Error, match="option"):
        Coordinator(db, shared=True, slot_count=7)
    with pytest.raises(epochwal.ClosedError):
        first.submit([(1, b"z")], txn_id=3, commit_seq=3)
    second.close()
    Coordinator(db).close()


def test_a_second_writer_in_the_process_is_told_locked(db: Path, wal: Coordinator) -> None:
    with pytest.raises(epochwal.LockedError) as raised:
        Coordinator(db)
    assert raised.value.path is not None
    assert raised.value.path.startswith(str(db))
    assert not wal.closed


def test_a_closed_coordinator_says_so(db: Path) -> None:
    wal = Coordinator(db)
    assert not wal.closed
    wal.close()
    wal.close(timeout=0)
    assert wal.closed
    assert wal.path == str(db)
    assert "closed" in repr(wal)
    frames = [(1, b"x")]
    for call in (
        lambda: wal.submit(frames, txn_id=1, commit_seq=1),
        lambda: wal.commit(frames, txn_id=1, commit_seq=1),
        lambda: wal.wait(1),
        wal.flush,
        wal.event_fd,
        lambda: wal.checkpoint(1),
        wal.__enter__,
    ):
        with pytest.raises(epochwal.ClosedError):
            call()


def test_leaving_the_block_makes_durable_what_is_staged(db: Path) -> None:
    with Coordinator(db, epoch_interval="off") as wal:
        wal.submit([(1, page(1))], txn_id=1, commit_seq=1)
    assert wal.closed
    assert [b.txn_id for b in epochwal.recover(db)] == [1]


def test_leaving_the_block_keeps_the_bodys_exception(db: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        Coordinator(db, epoch_interval="off") as wal,
    ):
        wal.submit([(1, page(1))], txn_id=1, commit_seq=1)
        _ = 1 / 0
    assert wal.closed
    assert [b.txn_id for b in epochwal.recover(db)] == [1]


def test_a_forgotten_coordinator_warns_and_lets_go(db: Path) -> None:
    wal = Coordinator(db)
    with pytest.warns(ResourceWarning, match="unclosed"):
        del wal
        gc.collect()
    Coordinator(db).close()


def test_reopening_goes_on_with_higher_epochs(db: Path) -> None:
    last = 0
    for n in range(1, 6):
        with Coordinator(db) as wal:
            if last:
                assert wal.durable_epoch == last
            epoch = wal.commit([(n, page(n))], txn_id=n, commit_seq=n).epoch
            assert epoch > last
            last = epoch
    assert [b.txn_id for b in epochwal.recover(db)] == [1, 2, 3, 4, 5]
    assert epochwal.max_durable_epoch(db) == last


def test_input_that_changes_after_submit_does_not_matter(db: Path) -> None:
    image = bytearray(page("before"))
    metadata = bytearray(b"before")
    with Coordinator(db, epoch_interval="off") as wal:
        wal.submit([(1, image)], txn_id=1, commit_seq=1, metadata=metadata)
        image[:] = page("after")
        metadata[:] = b"after!"
        # Nothing holds on to them either: a held one could not be resized.
        image.clear()
        metadata.clear()
        wal.flush()
    (batch,) = epochwal.recover(db)
    assert (batch.frames[0].data, batch.metadata) == (page("before"), b"before")


def test_version_1_segments_are_written_on_request(db: Path) -> None:
    with Coordinator(db, segment_format=1) as wal:
        ticket = wal.commit([(2, page(2)), (1, page(1))], txn_id=1, commit_seq=1)
    assert {s.version for s in epochwal.list_segments(db)} == {1}
    (batch,) = epochwal.recover(db)
    assert (batch.epoch, batch.txn_id) == (ticket.epoch, 1)
    assert {f.page_number: f.data for f in batch.frames} == {1: page(1), 2: page(2)}


def test_a_foreign_database_is_told_by_its_identity(db: Path) -> None:
    ours, theirs = bytes(range(16)), bytes(range(1, 17))
    with Coordinator(db, database_id=ours) as wal:
        wal.commit([(1, b"x")], txn_id=1, commit_seq=1)
    with pytest.raises(epochwal.Error, match=r"identity|database_id"):
        Coordinator(db, database_id=theirs)
    with pytest.raises(epochwal.Error, match=r"identity|database_id"):
        list(epochwal.recover(db, database_id=theirs))
    Coordinator(db, database_id=bytearray(ours)).close()
    assert len(list(epochwal.recover(db, database_id=ours))) == 1
