"""Written in one language, read in another, compared in content."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import epochwal
import pytest
from model import PAGE_SIZE, database_file, thread_frames, transactions, write_frames
from reader import Log, read_log
from sqlite_frames import Frame

Run = Callable[..., str]
Rows = list[tuple[int, int, list[tuple[int, bytes, int]]]]


def plain(frames: Iterable[tuple[int, bytes, int]]) -> list[tuple[int, bytes, int]]:
    return [(page, data, size) for page, data, size in frames]


def wanted(made: list[list[Frame]]) -> Rows:
    return [(n, n, plain(frames)) for n, frames in enumerate(made, start=1)]


def by_module(db: Path) -> Rows:
    with epochwal.recover(db) as batches:
        return [(b.txn_id, b.commit_seq, plain(b.frames)) for b in batches]


def by_reader(db: Path) -> Rows:
    log = read_log(db)
    assert log.verdict == "clean", log.suspects
    return [(b.txn_id, b.commit_seq, b.frames) for b in log.batches]


def commit_in_python(db: Path, made: list[list[Frame]], **options: object) -> list[int]:
    with epochwal.Coordinator(db, **options) as wal:  # type: ignore[arg-type]
        return [
            wal.commit(frames, txn_id=n, commit_seq=n).epoch
            for n, frames in enumerate(made, start=1)
        ]


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_from_c_and_cpp_to_python_and_the_independent_reader(
    tmp_path: Path, run: Run, language: str
) -> None:
    made = transactions(1, 120)
    write_frames(tmp_path / "frames", made)
    run(f"{language}/commit", tmp_path / "app.db", tmp_path / "frames")
    assert by_module(tmp_path / "app.db") == wanted(made)
    assert by_reader(tmp_path / "app.db") == wanted(made)


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_from_python_to_c_and_cpp(tmp_path: Path, run: Run, language: str) -> None:
    made = transactions(2, 120)
    commit_in_python(tmp_path / "app.db", made)
    target = tmp_path / "recovered.db"
    run(f"{language}/recover", tmp_path / "app.db", target, PAGE_SIZE)
    assert target.read_bytes() == database_file(made)
    assert by_reader(tmp_path / "app.db") == wanted(made)


@pytest.mark.parametrize("style", ["direct", "buffered"])
def test_python_in_many_segments_with_a_checkpoint(
    tmp_path: Path, style: Literal["direct", "buffered"]
) -> None:
    made = transactions(3, 200)
    db = tmp_path / "app.db"
    with epochwal.Coordinator(db, segment_size=65536, sync_style=style) as wal:
        for n, frames in enumerate(made, start=1):
            ticket = wal.commit(frames, txn_id=n, commit_seq=n, metadata=str(n).encode())
            if n == 100:
                wal.checkpoint(ticket.epoch)
    log = read_log(db)
    assert log.verdict == "clean" and len(log.segments) > 2
    assert (log.floor is None) is False
    assert [(b.txn_id, b.frames) for b in log.batches] == [
        (n, plain(made[n - 1])) for n in range(101, 201)
    ]
    assert [b.metadata for b in log.batches] == [str(n).encode() for n in range(101, 201)]
    assert by_module(db) == wanted(made)[100:]


def test_python_reopening_goes_on(tmp_path: Path) -> None:
    """A mark ends each session, and the chain goes on behind it."""
    made = transactions(4, 30)
    db = tmp_path / "app.db"
    epochs: list[int] = []
    for start in range(0, 30, 5):
        with epochwal.Coordinator(db) as wal:
            for n in range(start + 1, start + 6):
                epochs.append(wal.commit(made[n - 1], txn_id=n, commit_seq=n).epoch)
    assert epochs == sorted(set(epochs))
    log = read_log(db)
    assert (log.verdict, log.epochs) == ("clean", epochs)
    assert len(log.marks) >= 6
    assert by_reader(db) == by_module(db) == wanted(made)


def test_python_writes_version_1(tmp_path: Path) -> None:
    db = tmp_path / "app.db"
    # Version 1 keeps neither write order nor sizes: one frame a transaction.
    made = [[frames[0]._replace(db_size=0)] for frames in transactions(5, 40)]
    commit_in_python(db, made, segment_format=1)
    assert by_reader(db) == by_module(db) == wanted(made)


def test_assigned_sequences(tmp_path: Path) -> None:
    db = tmp_path / "app.db"
    with epochwal.Coordinator(db, sequencing="coordinator") as wal:
        tickets = [wal.submit([(1, bytes([n]))], txn_id=n) for n in range(1, 50)]
        wal.flush()
    assert [t.commit_seq for t in tickets] == list(range(1, 50))
    assert [b.commit_seq for b in read_log(db).batches] == list(range(1, 50))


def test_from_rust_with_64_threads(tmp_path: Path, run: Run) -> None:
    db = tmp_path / "app.db"
    acks = [tuple(map(int, a.split())) for a in run("many_threads", db, 64, 20).splitlines()]
    assert sorted(a[0] for a in acks) == list(range(1, 64 * 20 + 1))
    log: Log = read_log(db)
    assert log.verdict == "clean"
    assert {(b.commit_seq, b.epoch) for b in log.batches} == set(acks)
    assert len(log.batches) == len(acks)
    for batch in log.batches:
        thread = batch.txn_id - 1
        assert batch.txn_epoch == thread
        assert batch.frames == thread_frames(thread, batch.commit_seq)
        assert batch.metadata == batch.commit_seq.to_bytes(8, "big")
    keys = [b.replay_key() for b in log.batches]
    assert keys == sorted(keys)
    assert [b.commit_seq for b in epochwal.recover(db)] == [b.commit_seq for b in log.batches]
