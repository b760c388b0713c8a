"""The Rust reader and the independent one must say the same of any bytes."""

import random
from collections.abc import Callable
from pathlib import Path

import epochwal
import pytest
from reader import Log, read_log
from writer import BLOCK, Item, LogWriter, V1Record, write_v1

Found = tuple[str, list[int], list[tuple[int, int, list[tuple[int, bytes, int]]]]]


def item(seq: int, frames: int, lane: int) -> Item:
    images = [(n + 1, bytes([seq & 0xFF, n]) * 150, 0) for n in range(frames)]
    images[-1] = (*images[-1][:2], seq + 10)
    return Item(seq, seq, images, lane, metadata=b"m" * (seq % 5))


def build(db: Path, seed: int) -> LogWriter:
    """A log of two or three segments, closed cleanly or not, checkpointed or not."""
    rng = random.Random(seed)
    log = LogWriter(db)
    epoch = seq = 0
    log.watermark = 0
    for _ in range(rng.randint(1, 3)):
        log.segment(epoch + 1, blocks=16)
        for _ in range(rng.randint(1, 4)):
            epoch += rng.randint(1, 3)
            items = []
            for _ in range(rng.randint(1, 3)):
                seq += 1
                items.append(item(seq, rng.randint(1, 4), rng.randrange(4)))
            log.group(epoch, items, blocks=rng.choice([0, 0, 3]))
            log.watermark = epoch
    if rng.random() < 0.5:
        log.mark()
        log.state_watermark = epoch
    if rng.random() < 0.3:
        log.floor = log.segments[0].first_epoch
    return log


def by_rust(db: Path) -> Found:
    """As `by_reader`, from the Rust core."""
    rows = []
    try:
        with epochwal.recover(db, durable_prefix=True) as batches:
            for b in batches:
                frames = [tuple(f) for f in b.frames]
                rows.append((b.epoch, b.commit_seq, frames))
        report = batches.report
    except epochwal.FormatError:
        return "format", [], []
    return report.verdict, list(report.epochs), rows


def by_reader(db: Path) -> Found:
    """Verdict, epochs, batches."""
    log: Log = read_log(db)
    if log.verdict == "format":
        return "format", [], []
    rows = [(b.epoch, b.commit_seq, b.frames) for b in log.batches]
    return log.verdict, log.epochs, rows


def damage(rng: random.Random, log: LogWriter) -> str:
    """Changes one thing in the files on disk; says which."""
    segment = rng.choice(log.segments)
    data = bytearray(segment.path.read_bytes())
    what = rng.choice(["bit", "bit", "bit", "block", "cut", "end", "copy", "gone", "state"])
    if what == "bit":
        at = rng.randrange(segment.end)
        data[at] ^= 1 << rng.randrange(8)
    elif what == "block":
        at = rng.randrange(segment.end // BLOCK) * BLOCK
        data[at : at + BLOCK] = bytes(BLOCK)
    elif what == "cut":
        at = rng.randrange(len(data))
        del data[at:]
    elif what == "end":
        at = rng.randrange(segment.end // BLOCK) * BLOCK
        data[at:] = bytes(len(data) - at)
    elif what == "copy":
        at = rng.randrange(segment.end // BLOCK) * BLOCK
        to = rng.randrange(len(data) // BLOCK) * BLOCK
        data[to : to + BLOCK] = data[at : at + BLOCK]
    elif what == "gone":
        segment.path.unlink()
        return f"{segment.path.name} is gone"
    else:
        state = log.name("-wal-state")
        bytes_ = bytearray(state.read_bytes())
        at = rng.randrange(2 * BLOCK)
        bytes_[at] ^= 1 << rng.randrange(8)
        state.write_bytes(bytes_)
        return f"bit of byte {at} of the state file"
    segment.path.write_bytes(data)
    return f"{what} at {at} of {segment.path.name}"


@pytest.mark.parametrize("seed", range(12))
def test_whole_logs(tmp_path: Path, seed: int) -> None:
    db = tmp_path / "app.db"
    build(db, seed).save()
    ours = by_reader(db)
    assert ours[0] == "clean" and ours[2]
    assert by_rust(db) == ours


@pytest.mark.parametrize("seed", range(200))
def test_damaged_logs(tmp_path: Path, seed: int) -> None:
    db = tmp_path / "app.db"
    log = build(db, seed)
    log.save()
    changed = damage(random.Random(seed * 7 + 1), log)
    assert by_rust(db) == by_reader(db), changed


def swap_names(log: LogWriter) -> None:
    first, second = log.segments[0].path, log.segments[1].path
    parked = first.with_name("parked")
    first.rename(parked)
    second.rename(first)
    parked.rename(second)


def truncate_at_a_group(log: LogWriter) -> None:
    segment = log.segments[0]
    segment.path.write_bytes(bytes(segment.data[:BLOCK]))


def lose_the_state(log: LogWriter) -> None:
    log.name("-wal-state").unlink()


@pytest.mark.parametrize("change", [swap_names, truncate_at_a_group, lose_the_state])
def test_files_as_wholes(tmp_path: Path, change: Callable[[LogWriter], None]) -> None:
    db = tmp_path / "app.db"
    log = build(db, 9)
    if len(log.segments) == 1:
        log.segment(log.previous + 1)
        log.group(log.previous + 1, [item(900, 2, 1)])
    log.save()
    change(log)
    found = by_rust(db)
    assert found == by_reader(db)
    assert found[0] == "corrupt"


def test_version_1_with_every_bit_flipped(tmp_path: Path) -> None:
    """Verdicts agree, also where no checksum covers the bytes."""
    db = tmp_path / "app.db"
    records = [V1Record(1, 4, 10, b"four"), V1Record(1, 5, 10, b""), V1Record(2, 4, 11, b"m")]
    path = write_v1(db, 1, records)
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        assert by_rust(db) == by_reader(db), bit
