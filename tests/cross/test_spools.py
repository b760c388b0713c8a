"""Spools that the Rust core wrote, whole and damaged: what an open and a reader from
outside make of them, and what the independent reader does."""

import random
import shutil
from pathlib import Path

import epochwal
import pytest
from reader import read_log
from spoil import refit, spoil, spoil_spool_state
from writer import BLOCK

Records = list[tuple[int, int, int, bytes]]

# Offset and size within a structure; by docs/format.md.
GROUP = [(6, 2), (8, 8), (24, 1), (28, 4), (32, 8), (48, 8), (56, 8), (64, 8), (72, 8)]
GROUP += [(80, 8), (88, 8), (96, 8), (104, 8), (112, 8)]
RECORD = [(4, 4), (8, 1), (9, 1), (10, 2), (12, 4), (16, 8), (24, 8), (32, 4), (36, 4), (40, 8)]
CERTIFICATE = [(0, 4), (4, 2), (6, 2), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8), (48, 4)]
CERTIFICATE += [(52, 4), (56, 4), (60, 4), (64, 8), (80, 8)]


def write(home: Path, seed: int) -> Path:
    """A spool in one of the states that its writer leaves; closed, or killed."""
    rng = random.Random(seed)
    home.mkdir()
    at, term = rng.choice([0, 2**53, 2**64 - 1000]), 1
    spool = epochwal.Spool(home / "app.db", segment_size=16384)
    for _ in range(rng.randint(3, 14)):
        act = rng.random()
        if act < 0.8:
            run = []
            for _ in range(rng.randint(1, 5)):
                at += rng.randint(1, 2)
                payload, time = rng.randbytes(rng.randrange(2000)), rng.randrange(1, 2**40)
                run.append((term, at, payload, time))
            term += rng.random() < 0.1
            spool.append_batch(run)
        elif act < 0.9 and at > spool.pruned_through:
            spool.prune_through(rng.randint(spool.pruned_through, at))
        elif spool.current_lsn > spool.pruned_through:
            at = rng.randint(spool.pruned_through, spool.current_lsn)
            term = spool.term + 1
            spool.truncate_after(at, term)
        at = spool.current_lsn or at
    kept = home.with_name("kept")
    if rng.random() < 0.5:
        spool.close()
    # Files that are made ahead come and go beside the copying.
    shutil.copytree(home, kept, ignore=shutil.ignore_patterns("*-tmp-*", "*-spare-*"))
    if not spool.closed:
        spool.close()
    return kept / "app.db"


def read_all(spool: epochwal.Spool) -> Records:
    """All records, over what the state calls lost; after a salvage up to there."""
    at = spool.pruned_through
    got: Records = []
    while True:
        try:
            page = spool.read_since(at, max_records=7)
        except epochwal.WalRemovedError as told:
            if spool.salvaged or not told.lsn or told.lsn > spool.current_lsn:
                return got
            at = told.lsn - 1
            continue
        if not page:
            return got
        got += [(r.term, r.lsn, r.timestamp_ms, bytes(r.payload)) for r in page]
        at = page[-1].lsn


def by_rust(db: Path) -> tuple[str, Records]:
    """The verdict of an open and the records; of a damaged spool, what a salvage keeps."""
    try:
        with epochwal.Spool(db) as spool:
            return "torn" if spool.torn else "clean", read_all(spool)
    except epochwal.FormatError:
        return "format", []
    except epochwal.CorruptError:
        with epochwal.Spool(db, salvage=True) as spool:
            return "corrupt", read_all(spool)


def from_outside(db: Path) -> tuple[str, Records]:
    """The verdict and the records of a reader, which opens nothing."""
    got: Records = []
    try:
        reader = epochwal.SpoolReader(db)
    except epochwal.FormatError:
        return "format", got
    except epochwal.CorruptError:
        return "corrupt", got
    try:
        got.extend((r.term, r.lsn, r.timestamp_ms, bytes(r.payload)) for r in reader)
    except epochwal.FormatError:
        return "format", got
    except epochwal.CorruptError:
        assert reader.report.verdict == "corrupt"
    return reader.report.verdict, got


def same(db: Path) -> bool:
    """Whether all readers say the same; the open last, since it writes."""
    log = read_log(db, spool=True)
    ours = [(r.term, r.lsn, r.timestamp, r.payload) for r in log.logical]
    if from_outside(db) != (log.verdict, ours):
        return False
    verdict, theirs = by_rust(db)
    if verdict == "format" or log.row == 15:
        # Without a state nothing can be told; a salvage makes one up.
        return verdict == log.verdict
    return (verdict, theirs) == (log.verdict, ours)


def segments(db: Path) -> list[Path]:
    return sorted(db.parent.glob("app.db.logical.wal-seg-*"))


def groups(data: bytes) -> list[int]:
    """Where the groups of an undamaged segment begin."""
    places, at = [], 0
    while at < len(data) and data[at : at + 4] == data[:4] and any(data[at : at + BLOCK]):
        places.append(at)
        at += int.from_bytes(data[at + 80 : at + 88], "little")
    return places


def damage(rng: random.Random, db: Path) -> str:
    """Changes one thing in the files; says which."""
    files = [*segments(db), db.with_name("app.db.logical.wal-state")]
    path = rng.choice([f for f in files if f.exists()])
    data = bytearray(path.read_bytes())
    used = len(bytes(data).rstrip(b"\0")) or 1
    what = rng.choice(["bit", "bit", "bit", "block", "cut", "copy", "gone"])
    at = rng.randrange(used // BLOCK + 1) * BLOCK
    if what == "gone":
        path.unlink()
        return f"{path.name} is gone"
    if what == "bit":
        at = rng.randrange(used)
        data[at] ^= 1 << rng.randrange(8)
    elif what == "block":
        data[at : at + BLOCK] = bytes(len(data[at : at + BLOCK]))
    elif what == "cut":
        at = rng.randrange(used)
        del data[at:]
    elif len(data) >= BLOCK:
        to = rng.randrange(len(data) // BLOCK) * BLOCK
        data[to : to + BLOCK] = data[at : at + BLOCK]
    path.write_bytes(data)
    return f"{what} at {at} of {path.name}"


def spoil_record_group(rng: random.Random, data: bytearray, at: int) -> str:
    """Changes a field of the whole group at `at`, all checksums right again."""
    length, payload = (int.from_bytes(data[at + o : at + o + 8], "little") for o in (80, 88))
    spots = [(GROUP, at), (CERTIFICATE, at + length - 96)]
    item = at + 128
    while item < at + 128 + payload:
        spots += [(RECORD, item)] * 2
        item += int.from_bytes(data[item + 4 : item + 8], "little")
    fields, place = rng.choice(spots)
    offset, size = rng.choice(fields)
    done = spoil(rng, data, place + offset, size)
    refit(data, at, payload, length)
    return done


@pytest.mark.parametrize("seed", range(40))
def test_whole_spools(tmp_path: Path, seed: int) -> None:
    db = write(tmp_path / "home", seed)
    assert read_log(db, spool=True).verdict == "clean"
    assert same(db)


@pytest.mark.parametrize("seed", range(150))
def test_damaged_spools(tmp_path: Path, seed: int) -> None:
    db = write(tmp_path / "home", seed)
    rng = random.Random(seed * 7 + 1)
    done = [damage(rng, db) for _ in range(rng.choice([1, 1, 2]))]
    assert same(db), done


@pytest.mark.parametrize("seed", range(150))
def test_spoiled_fields_of_spools(tmp_path: Path, seed: int) -> None:
    """One field under right checksums: each reader must hold it against the rest."""
    db = write(tmp_path / "home", seed)
    rng = random.Random(seed * 11 + 3)
    state = db.with_name("app.db.logical.wal-state")
    paths = [p for p in segments(db) if groups(p.read_bytes())]
    path = rng.choice([*paths, state])
    data = bytearray(path.read_bytes())
    if path == state:
        done = spoil_spool_state(rng, data)
    else:
        done = spoil_record_group(rng, data, rng.choice(groups(bytes(data))))
    path.write_bytes(data)
    assert same(db), f"{path.name}: {done}"
