"""Recovery's faces: the stream, the page map, the file, the listing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from support import page

import epochwal
from epochwal import Coordinator, Epochs


def write(db: Path, count: int = 5, **options: int) -> list[epochwal.Ticket]:
    """Commit one batch for each number, each over its own page and page 1."""
    with Coordinator(db, segment_size=options.get("segment_size")) as wal:
        return [
            wal.commit(
                [(1, page("first", n)), (n + 1, page("own", n), n + 1)],
                txn_id=n,
                commit_seq=n,
                txn_epoch=n * 10,
            )
            for n in range(1, count + 1)
        ]


def damage(segment: str, offset: int) -> None:
    with Path(segment).open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0xFF]))


def test_the_stream_gives_batches_in_order(db: Path) -> None:
    tickets = write(db)
    batches = list(epochwal.recover(db))
    assert [(b.epoch, b.commit_seq) for b in batches] == tickets
    assert [(b.txn_id, b.txn_epoch) for b in batches] == [(n, n * 10) for n in range(1, 6)]
    for n, batch in enumerate(batches, 1):
        assert type(batch) is epochwal.Batch
        for frame in batch.frames:
            assert type(frame) is epochwal.Frame
            assert type(frame.data) is bytes
        first, own = batch.frames
        page_number, data, db_size_if_commit = own
        assert first == (1, page("first", n), 0)
        assert (page_number, data, db_size_if_commit) == (n + 1, page("own", n), n + 1)
        assert batch.metadata == b""


def test_a_recovery_is_a_context_manager_with_a_report(db: Path) -> None:
    tickets = write(db)
    with epochwal.recover(db) as recovery:
        next(recovery)
        for batch in recovery:
            assert batch.txn_id > 1
        assert next(recovery, None) is None
        report = recovery.report
    assert recovery.report == report
    assert report.verdict == "clean"
    assert report.suspects == []
    assert (report.batches, report.records) == (5, 10)
    assert report.highest_commit_seq == 5
    assert report.db_size == 6
    assert report.checkpoint_epoch is None
    assert set(report.epochs) == {t.epoch for t in tickets}
    assert report.bytes_read > 5 * 8192
    assert report.segments >= 1
    assert type(report) is epochwal.Report


def test_a_recovery_that_is_left_early_ends(db: Path) -> None:
    write(db)
    recovery = epochwal.recover(db)
    assert next(recovery).txn_id == 1
    recovery.close()
    recovery.close()
    assert list(recovery) == []
    assert recovery.report.batches <= 5


def test_an_exhausted_recovery_lets_go_of_its_segments(db: Path) -> None:
    write(db)
    recovery = epochwal.recover(db)
    for _ in recovery:
        pass
    # Not closed, but done: nothing holds the files.
    assert epochwal.cleanup_segments(db) >= 1
    assert epochwal.list_segments(db) == []


def test_no_log_is_an_empty_one(db: Path) -> None:
    assert list(epochwal.recover(db)) == []
    assert epochwal.max_durable_epoch(db) is None
    assert epochwal.list_segments(db) == []
    assert epochwal.recover_pages(db).pages == {}
    assert epochwal.verify(db).verdict == "clean"


def test_pages_hold_the_last_image(db: Path) -> None:
    write(db)
    found = epochwal.recover_pages(db)
    pages, db_size, report = found
    assert type(found) is epochwal.Pages
    assert pages == {1: page("first", 5)} | {n + 1: page("own", n) for n in range(1, 6)}
    assert db_size == report.db_size == 6
    assert report.batches == 5


def test_a_file_gets_every_page_at_its_place(db: Path) -> None:
    write(db)
    db.write_bytes(page("old") * 9)
    report = epochwal.recover_into_file(db, db, page_size=4096)
    assert report.records == 10
    image = db.read_bytes()
    assert len(image) == 6 * 4096
    assert image[:4096] == page("first", 5)
    for n in range(1, 6):
        assert image[n * 4096 : (n + 1) * 4096] == page("own", n)
    assert epochwal.list_segments(db) != []


def test_segments_may_be_deleted_once_the_file_has_them(db: Path, tmp_path: Path) -> None:
    tickets = write(db)
    epochwal.recover_into_file(db, tmp_path / "copy.db", 4096, delete_segments=True)
    assert list(epochwal.recover(db)) == []
    with Coordinator(db) as wal:
        assert wal.current_epoch > tickets[-1].epoch


@pytest.mark.parametrize("page_size", [0, -1, 1 << 32, "4096"])
def test_a_bad_page_size_is_named(db: Path, tmp_path: Path, page_size: int) -> None:
    write(db)
    with pytest.raises((epochwal.InvalidError, TypeError), match=r"page_size|page size"):
        epochwal.recover_into_file(db, tmp_path / "copy.db", page_size)


def test_verify_reads_all_and_hands_out_nothing(db: Path) -> None:
    write(db)
    report = epochwal.verify(db)
    assert (report.verdict, report.batches, report.records) == ("clean", 5, 10)
    with epochwal.recover(db, verify_only=True) as recovery:
        assert list(recovery) == []
        assert recovery.report == report


def test_damage_is_an_error_with_file_and_offset(db: Path) -> None:
    tickets = write(db)
    segment = epochwal.list_segments(db)[0]
    damage(segment.path, 4096 + 2000)
    with pytest.raises(epochwal.CorruptError) as raised:
        list(epochwal.recover(db))
    assert raised.value.path == segment.path
    assert raised.value.offset is not None
    assert segment.path in str(raised.value)
    with pytest.raises(epochwal.CorruptError):
        Coordinator(db)
    report = epochwal.verify(db)
    assert report.verdict == "corrupt"
    suspect = report.suspects[0]
    assert (suspect.path, suspect.verdict) == (segment.path, "corrupt")
    assert suspect.reason
    with epochwal.recover(db, durable_prefix=True) as recovery:
        prefix = [b.epoch for b in recovery]
        assert prefix == [t.epoch for t in tickets][: len(prefix)]
        assert len(prefix) < 5
        assert recovery.report.verdict == "corrupt"
    with pytest.raises(epochwal.CorruptError):
        epochwal.recover_pages(db)
    assert epochwal.recover_pages(db, durable_prefix=True).report.batches == len(prefix)


def test_a_salvaging_open_moves_damage_aside(db: Path) -> None:
    tickets = write(db)
    damage(epochwal.list_segments(db)[0].path, 4096 + 2000)
    with Coordinator(db, salvage=True) as wal:
        assert wal.salvaged
        assert all(Path(path).exists() for path in wal.salvaged)
        ticket = wal.commit([(1, page("new"))], txn_id=100, commit_seq=100)
        assert ticket.epoch > tickets[-1].epoch
    assert [b.txn_id for b in epochwal.recover(db)][-1] == 100


def test_a_newer_format_is_told_from_damage(db: Path) -> None:
    write(db, 1)
    with pytest.raises(epochwal.FormatError) as raised:
        newer(db)
    assert not isinstance(raised.value, epochwal.CorruptError)


def newer(db: Path) -> None:
    """Recover a log whose only segment has a sound prelude of version 9."""
    (segment,) = epochwal.list_segments(db)
    prelude = bytearray(Path(segment.path).read_bytes()[:20])
    prelude[4:6] = (9).to_bytes(2, "little")
    prelude += crc32c(bytes(prelude)).to_bytes(4, "little")
    for path in db.parent.iterdir():
        path.unlink()
    Path(segment.path).write_bytes(prelude + bytes(65536 - 24))
    list(epochwal.recover(db))


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_segments_are_listed_in_order(db: Path) -> None:
    tickets = write(db, 40, segment_size=65536)
    segments = epochwal.list_segments(db)
    assert len(segments) > 1
    assert [s.first_epoch for s in segments] == sorted(s.first_epoch for s in segments)
    for segment in segments:
        assert type(segment) is epochwal.Segment
        path = Path(segment.path)
        assert path.name == f"{db.name}-wal-seg-{segment.first_epoch:016x}"
        assert path.stat().st_size == segment.bytes
        assert segment.version == 2
        assert not segment.checkpointed
    assert max(s.last_epoch or 0 for s in segments) == tickets[-1].epoch
    assert epochwal.max_durable_epoch(db) == tickets[-1].epoch


def test_cleanup_wants_the_writers_lock(db: Path) -> None:
    with Coordinator(db) as wal:
        wal.commit([(1, b"x")], txn_id=1, commit_seq=1)
        with pytest.raises(epochwal.LockedError):
            epochwal.cleanup_segments(db)
    assert epochwal.cleanup_segments(db) == 1


def test_epochs_are_a_collection() -> None:
    epochs = Epochs([(2, 4), (7, 7)])
    assert list(epochs) == [2, 3, 4, 7]
    assert len(epochs) == 4
    assert (epochs.first, epochs.last) == (2, 7)
    assert [n in epochs for n in (1, 2, 4, 5, 7, 8)] == [False, True, True, False, True, False]
    anything: Any = "2"
    assert anything not in epochs
    assert epochs == Epochs(((2, 4), (7, 7)))
    assert epochs != [2, 3, 4, 7]
    assert hash(epochs) == hash(Epochs(epochs.ranges))
    assert repr(epochs) == "Epochs([(2, 4), (7, 7)])"
    assert (len(Epochs()), Epochs().first, Epochs().last) == (0, None, None)


def test_results_can_be_pickled(db: Path) -> None:
    write(db)
    with epochwal.recover(db) as recovery:
        for result in (*recovery, recovery.report, *epochwal.list_segments(db)):
            assert pickle.loads(pickle.dumps(result)) == result
