"""The Rust reader and the independent one must say the same of any bytes."""

import random
from collections.abc import Callable
from pathlib import Path

import epochwal
import pytest
from reader import Log, read_log
from spoil import spoil_group, spoil_state
from writer import BLOCK, Item, LogWriter, V1Record, write_v1

Rows = list[tuple[int, int, list[tuple[int, bytes, int]]]]
Found = tuple[str, list[int], Rows]


FIELDS = ["version", "header_flags", "link", "generation", "first_epoch", "segment_size"]
FIELDS += ["position", "length", "payload", "watermark", "previous"]


def item(seq: int, frames: int, lane: int) -> Item:
    images = [(n + 1, bytes([seq & 0xFF, n]) * 150, 0) for n in range(frames)]
    images[-1] = (*images[-1][:2], seq + 10)
    return Item(seq, seq, images, lane, metadata=b"m" * (seq % 5))


class Builder:
    """Makes a log of a few segments, in one of the many states a log can be in."""

    def __init__(self, db: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.log = LogWriter(db)
        self.epoch = self.seq = 0

    def build(self) -> LogWriter:
        log, rng = self.log, self.rng
        if rng.random() < 0.1:
            self.epoch = log.previous = rng.randint(1, 3)
            write_v1(log.db, self.epoch, [V1Record(1, 2, 1, b"one"), V1Record(2, 2, 2, b"two")])
        for _ in range(rng.randint(1, 3)):
            self.segment()
        if rng.random() < 0.4:
            self.retire()
        if rng.random() < 0.2:
            self.torn_tail_then_roll()
        if rng.random() < 0.5:
            log.mark()
            log.state_watermark = self.epoch
        if rng.random() < 0.3:
            self.odd_group()
        if rng.random() < 0.1:
            self.log.segment(self.epoch + 5, blocks=rng.randint(1, 4))
        return log

    def items(self) -> list[Item]:
        made = []
        for _ in range(self.rng.randint(1, 3)):
            self.seq += 1
            made.append(item(self.seq, self.rng.randint(1, 4), self.rng.randrange(4)))
        return made

    def group(self, step: int = 0, **change: int) -> None:
        self.epoch += step or self.rng.randint(1, 3)
        self.log.group(self.epoch, self.items(), blocks=self.rng.choice([0, 0, 3]), **change)
        if self.rng.random() < 0.8:
            self.log.watermark = self.epoch

    def segment(self, old: bytes | None = None) -> None:
        step = self.rng.randint(1, 3)
        self.log.segment(self.epoch + step, blocks=32, old=old)
        self.group(step)
        for _ in range(self.rng.randint(0, 3)):
            self.group()
            if self.rng.random() < 0.1:
                self.log.mark()

    def retire(self) -> None:
        """The oldest segment is checkpointed, leaves the log, and comes back as the newest."""
        log = self.log
        gone = log.segments.pop(0)
        log.retired_generation = gone.generation
        log.retired_first = gone.first_epoch + 1
        log.floor = log.segments[0].first_epoch - 1 if log.segments else self.epoch
        self.segment(old=bytes(gone.data))
        if self.rng.random() < 0.3:
            # The file of that name is still there: a crash came before the unlink.
            gone.path.write_bytes(gone.data)

    def torn_tail_then_roll(self) -> None:
        log = self.log
        torn = bytearray(log.encode(1, self.epoch + 1, self.items(), 0, 0))
        torn[self.rng.randrange(len(torn))] ^= 1
        segment = log.segments[-1]
        segment.data[segment.end : segment.end + len(torn)] = torn
        self.epoch += 1
        self.segment()

    def odd_group(self) -> None:
        """A last group with one field of its header changed, and its checksum right."""
        field = self.rng.choice(FIELDS)
        value = self.rng.choice([0, 1, 3, 4096, self.epoch, self.epoch + 1, 2**32 - 1])
        if field == "version":
            value = self.rng.choice([0, 1, 3, 9, 0xFFFF])
        elif field == "header_flags":
            value &= 0xFFFF
        self.group(**{field: value})


def build(db: Path, seed: int) -> LogWriter:
    """A log for this seed; `save` writes it."""
    return Builder(db, seed).build()


def whole(db: Path, seed: int) -> LogWriter:
    """A log without anything odd, in two segments or more."""
    builder = Builder(db, seed)
    for _ in range(builder.rng.randint(2, 4)):
        builder.segment()
    return builder.log


def by_rust(db: Path) -> Found:
    """As `by_reader`, from the Rust core: strictly for the verdict, then the prefix."""
    try:
        with epochwal.recover(db) as batches:
            for _ in batches:
                pass
        verdict: str = batches.report.verdict
    except epochwal.FormatError:
        return "format", [], []
    except epochwal.CorruptError:
        verdict = "corrupt"
    rows: Rows = []
    try:
        with epochwal.recover(db, durable_prefix=True) as batches:
            for b in batches:
                rows.append((b.epoch, b.commit_seq, [(f[0], f[1], f[2]) for f in b.frames]))
        epochs = list(batches.report.epochs)
        assert batches.report.verdict == verdict
    except epochwal.CorruptError:
        # Not even a prefix can be told; nothing was handed out.
        assert verdict == "corrupt" and not rows
        epochs = []
    return verdict, epochs, rows


def by_reader(db: Path) -> Found:
    """Verdict, epochs, batches."""
    log: Log = read_log(db)
    if log.verdict == "format":
        return "format", [], []
    rows = [(b.epoch, b.commit_seq, b.frames) for b in log.batches]
    return log.verdict, log.epochs, rows


def damage(rng: random.Random, log: LogWriter) -> str:
    """Changes one thing in the files on disk; says which."""
    state = log.name("-wal-state")
    paths = [s.path for s in log.segments if s.path.exists()]
    if not paths or rng.random() < 0.1:
        flip_bit(rng, state, 2 * BLOCK)
        return "a bit of the state file"
    path = rng.choice(paths)
    what = rng.choice(["bit", "bit", "bit", "block", "cut", "end", "copy", "gone"])
    if what == "gone":
        path.unlink()
        return f"{path.name} is gone"
    data = bytearray(path.read_bytes())
    used = max((s.end for s in log.segments if s.path == path), default=0) or BLOCK
    at = rng.randrange(used // BLOCK) * BLOCK
    if what == "bit":
        flip_bit(rng, path, used)
        return f"a bit of {path.name}"
    if what == "block":
        data[at : at + BLOCK] = bytes(len(data[at : at + BLOCK]))
    elif what == "cut":
        at = rng.randrange(len(data) + 1)
        del data[at:]
    elif what == "end":
        data[at:] = bytes(len(data[at:]))
    else:
        to = rng.randrange(len(data) // BLOCK + 1) * BLOCK
        data[to : to + BLOCK] = data[at : at + BLOCK]
    path.write_bytes(data)
    return f"{what} at {at} of {path.name}"


def flip_bit(rng: random.Random, path: Path, below: int) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[rng.randrange(min(below, len(data)))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)


@pytest.mark.parametrize("seed", range(12))
def test_whole_logs(tmp_path: Path, seed: int) -> None:
    db = tmp_path / "app.db"
    whole(db, seed).save()
    ours = by_reader(db)
    assert ours[0] == "clean" and ours[2]
    assert by_rust(db) == ours


@pytest.mark.parametrize("seed", range(100))
def test_logs_in_many_states(tmp_path: Path, seed: int) -> None:
    db = tmp_path / "app.db"
    build(db, seed).save()
    assert by_rust(db) == by_reader(db)


@pytest.mark.parametrize("seed", range(400))
def test_damaged_logs(tmp_path: Path, seed: int) -> None:
    db = tmp_path / "app.db"
    log = build(db, seed)
    log.save()
    rng = random.Random(seed * 7 + 1)
    changed = [damage(rng, log) for _ in range(rng.choice([1, 1, 2, 3]))]
    assert by_rust(db) == by_reader(db), changed


@pytest.mark.parametrize("seed", range(400))
def test_spoiled_fields(tmp_path: Path, seed: int) -> None:
    """One field, or two, under right checksums: each reader must hold it against the rest."""
    db = tmp_path / "app.db"
    rng = random.Random(seed * 11 + 3)
    log = whole(db, seed)
    if rng.random() < 0.5:
        log.mark()
        log.state_watermark = log.previous
    log.save()
    done = []
    for segment in rng.sample([None, *log.segments], rng.choice([1, 1, 1, 2])):
        path = segment.path if segment else log.name("-wal-state")
        data = bytearray(path.read_bytes())
        if segment is None:
            done.append(spoil_state(rng, data))
        else:
            places = group_places(bytes(segment.data), segment.end)
            done.append(f"{path.name}: {spoil_group(rng, data, rng.choice(places))}")
        path.write_bytes(data)
    assert by_rust(db) == by_reader(db), done


def group_places(data: bytes, end: int) -> list[int]:
    """Where the groups of an undamaged segment begin."""
    places, at = [], 0
    while at < end:
        places.append(at)
        at += int.from_bytes(data[at + 80 : at + 88], "little")
    return places


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
    log = whole(db, 9)
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
