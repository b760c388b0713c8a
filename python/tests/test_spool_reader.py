"""A spool read from outside: beside its writer, after it, and from a fork."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from support import page, python

import epochwal
from epochwal import Spool, SpoolReader, SpoolRecord


def fill(spool: Spool, first: int, last: int, term: int = 1) -> None:
    spool.append_batch(
        [(term, lsn, page(lsn, size=lsn % 50)) for lsn in range(first, last + 1)]
    )


def checked(records: list[SpoolRecord]) -> list[int]:
    assert all(r.payload == page(r.lsn, size=r.lsn % 50) for r in records)
    return [r.lsn for r in records]


def spoil(db: Path, at: int) -> None:
    """Overwrite four bytes of the newest segment."""
    segment = sorted(db.parent.glob(db.name + ".logical.wal-seg-*"))[-1]
    with segment.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * 4)


def test_beside_its_writer_what_is_durable_is_read(db: Path) -> None:
    with Spool(db, flush_interval=3600.0) as spool:
        fill(spool, 1, 5)
        fill(spool, 6, 10, term=2)
        reader = SpoolReader(db)
        spool.submit(term=2, lsn=11, payload=b"")
        assert checked(list(reader)) == list(range(1, 11))
        report = reader.report
        assert isinstance(report, epochwal.SpoolReport)
        assert (report.exists, report.writer, report.clean) == (True, True, False)
        assert (report.records, report.first_lsn, report.last_lsn) == (10, 1, 10)
        assert report.payload_bytes == sum(range(1, 11))
        assert (report.pruned_through, report.current_lsn, report.durable_lsn) == (0, 10, 10)
        assert report.terms == spool.terms == [(1, 1), (2, 6)]
        assert (report.lost, report.suspects, report.verdict) == ([], [], "clean")
        assert report.bytes_read > 0
        assert report.quorum_lsn == 0
        # On behind the last record.
        spool.flush()
        with SpoolReader(db, since=10) as more:
            assert [r.lsn for r in more] == [11]
        with pytest.raises(epochwal.ClosedError):
            next(more)
        assert more.report.records == 1
        more.close()
    with SpoolReader(str(db), since=0) as all_of_it:
        assert len(list(all_of_it)) == 11
        assert all_of_it.report.clean
        assert not all_of_it.report.writer


def test_another_process_reads(db: Path) -> None:
    with Spool(db) as spool:
        fill(spool, 1, 9)
        code = "import sys, epochwal; print([r.lsn for r in epochwal.SpoolReader(sys.argv[1])])"
        said = subprocess.run(
            [sys.executable, "-c", code, db], check=True, capture_output=True, text=True
        )
        assert said.stdout.strip() == str(list(range(1, 10)))
        fill(spool, 10, 10)


def test_batches_are_bounded_and_go_with_the_iteration(db: Path) -> None:
    with Spool(db) as spool:
        fill(spool, 1, 30)
    reader = SpoolReader(db)
    assert checked(reader.next_batch(max_records=3)) == [1, 2, 3]
    assert checked([next(reader)]) == [4]
    # The iteration has read ahead: of that a batch takes as much as it may.
    assert checked(reader.next_batch(max_records=2)) == [5, 6]
    assert checked(reader.next_batch(max_bytes=7 + 8)) == [7, 8]
    assert checked(reader.next_batch(max_bytes=1)) == [9]
    assert checked(reader.next_batch()) == list(range(10, 31))
    assert reader.next_batch() == []
    assert reader.next_batch() == []
    assert list(reader) == []
    with pytest.raises(epochwal.InvalidError, match="max_records"):
        SpoolReader(db).next_batch(max_records=0)


def test_the_iteration_holds_little(db: Path) -> None:
    with Spool(db, segment_size=1 << 20) as spool:
        for lsn in range(1, 33):
            spool.append(term=1, lsn=lsn, payload=bytes(1 << 20))
    tracemalloc.start()
    try:
        assert sum(len(r.payload) for r in SpoolReader(db)) == 32 << 20
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_what_can_not_be_read_says_where_to_go_on(db: Path) -> None:
    with Spool(db) as spool:
        fill(spool, 1, 9)
        spool.prune_through(4)
        with pytest.raises(epochwal.WalRemovedError) as gone:
            SpoolReader(db, since=3)
        assert gone.value.lsn == 5
        reader = SpoolReader(db)
        assert checked(list(reader)) == [5, 6, 7, 8, 9]
        assert reader.report.pruned_through == 4
        ahead = SpoolReader(db, since=10)
        with pytest.raises(epochwal.AheadError) as beyond:
            next(ahead)
        assert beyond.value.lsn == 9
        assert list(ahead) == []


def test_where_there_is_none_nothing_is_given_and_nothing_made(db: Path) -> None:
    reader = SpoolReader(db)
    assert list(reader) == []
    assert not reader.report.exists
    assert list(db.parent.iterdir()) == []
    with pytest.raises(epochwal.IoError):
        SpoolReader(db / "no" / "such")
    with pytest.raises(TypeError, match="since"):
        SpoolReader(db, since="1")  # type: ignore[arg-type]
    with pytest.raises(epochwal.InvalidError, match="since"):
        SpoolReader(db, since=-1)


def test_damage_ends_it_and_what_a_salvage_lost_is_told(db: Path) -> None:
    with Spool(db) as spool:
        for lsn in range(1, 10):
            fill(spool, lsn, lsn)
        assert spool.lost == []
    spoil(db, 4 * 4096 + 300)
    reader = SpoolReader(db)
    good: list[int] = []
    with pytest.raises(epochwal.CorruptError) as wrong:
        for record in reader:
            good += checked([record])
    assert "logical.wal-seg-" in str(wrong.value.path)
    report = reader.report
    assert good == list(range(1, report.last_lsn + 1))
    assert report.verdict == "corrupt"
    assert [s.verdict for s in report.suspects] == ["corrupt"]
    assert list(reader) == []
    salvage = epochwal.spool_salvage(db)
    with Spool(db) as spool:
        assert spool.lost == salvage.lost == [(report.last_lsn, 9)]
        fill(spool, 10, 10)
        after = SpoolReader(db, since=report.last_lsn - 1)
        assert checked([next(after)]) == [report.last_lsn]
        with pytest.raises(epochwal.WalRemovedError) as lost:
            next(after)
        assert lost.value.lsn == 10
        assert after.report.lost == spool.lost


def test_a_reader_is_neither_pickled_nor_copied(db: Path) -> None:
    with pytest.raises(TypeError, match="a SpoolReader cannot be pickled"):
        pickle.dumps(SpoolReader(db))


def test_a_forked_child_is_told_and_may_open_its_own(db: Path) -> None:
    with Spool(db) as spool:
        fill(spool, 1, 3)
    python(
        """
        import os, sys, warnings
        import epochwal
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)

        reader = epochwal.SpoolReader(sys.argv[1])
        assert next(reader).lsn == 1
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                for call in (
                    lambda: next(reader), lambda: reader.next_batch(), lambda: reader.report
                ):
                    try:
                        call()
                    except epochwal.ForkedError:
                        continue
                    break
                else:
                    reader.close()
                    own = epochwal.SpoolReader(sys.argv[1])
                    status = [r.lsn for r in own] != [1, 2, 3]
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        assert [r.lsn for r in reader] == [2, 3]
        """,
        db,
    )
