"""The independent reader against spools that the independent writer made."""

import random
import struct
from pathlib import Path

import pytest
from crc32c import crc32c
from reader import Log, read_log
from segments import MAX_TERMS
from writer import ASSIGNED, BLOCK, Item, Logical, LogWriter, V1Record, write_v1

Id = tuple[int, int]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


def record(term: int, lsn: int, lane: int = 0) -> Logical:
    return Logical(term, lsn, b"x%d" % lsn * (lsn % 5), lsn * 7, lane)


def spool(db: Path, groups: list[list[Id]], **fields: object) -> LogWriter:
    """A spool with one group for each list, in one segment."""
    log = LogWriter(db, spool=True)
    for name, value in fields.items():
        setattr(log, name, value)
    log.segment(1, blocks=2 + len(groups))
    for epoch, ids in enumerate(groups, 1):
        log.group(epoch, [record(*i) for i in ids])
        log.watermark = epoch
    log.save()
    return log


def ids(db: Path) -> list[Id]:
    return [(r.term, r.lsn) for r in read_log(db, spool=True).logical]


def verdict(db: Path) -> tuple[str, int, list[Id]]:
    log = read_log(db, spool=True)
    return log.verdict, log.row, [(r.term, r.lsn) for r in log.logical]


def test_whole_spool(db: Path) -> None:
    log = spool(db, [[(1, 5), (1, 6)], [(1, 9), (4, 10)], [(4, 11)]], terms=[(1, 5)])
    log.mark()
    log.save()
    read = read_log(db, spool=True)
    assert (read.verdict, read.row, read.epochs, read.marks) == ("clean", 10, [1, 2, 3], [3])
    assert [(r.term, r.lsn) for r in read.logical] == [(1, 5), (1, 6), (1, 9), (4, 10), (4, 11)]
    assert [r.payload for r in read.logical][:3] == [b"", b"x6", b"x9" * 4]
    assert [r.timestamp for r in read.logical][:2] == [35, 42]
    assert read.terms == [(1, 5), (4, 10)]


def test_voids_and_lanes(db: Path) -> None:
    log = LogWriter(db, spool=True)
    log.segment(1)
    log.group(1, [Item(0, 0, [], lane=2), record(1, 1, 3), record(1, 2, 1), Item(0, 0, [])])
    log.group(2, [Item(0, 0, [])])
    log.save()
    assert verdict(db) == ("clean", 10, [(1, 1), (1, 2)])
    log.group(3, [Item(0, 3, [])])
    log.save()
    assert verdict(db) == ("torn", 4, [(1, 1), (1, 2)])


def test_what_a_branch_cut_off_is_skipped(db: Path) -> None:
    groups = [[(1, 1), (1, 2), (1, 3)], [(1, 4)], [(2, 3)], [(2, 4), (5, 6)]]
    spool(db, groups, terms=[(1, 1), (2, 3)])
    expected = [(1, 1), (1, 2), (2, 3), (2, 4), (5, 6)]
    assert verdict(db) == ("clean", 10, expected)
    assert read_log(db, spool=True).terms == [(1, 1), (2, 3), (5, 6)]
    # A branch of which there is no record yet.
    spool(db, groups, terms=[(1, 1), (2, 3), (9, 4)])
    assert verdict(db) == ("clean", 10, [(1, 1), (1, 2), (2, 3)])


def test_pruned_records_are_not_read(db: Path) -> None:
    groups = [[(1, 1), (1, 2)], [(1, 3)], [(1, 4)]]
    spool(db, groups, pruned_through=2)
    assert verdict(db) == ("clean", 10, [(1, 3), (1, 4)])
    spool(db, groups, pruned_through=9, floor=3)
    assert verdict(db) == ("clean", 10, [])


@pytest.mark.parametrize(
    ("groups", "terms"),
    [
        ([[(3, 5), (3, 5)]], []),
        ([[(3, 5), (3, 4)]], []),
        ([[(3, 5), (2, 6)]], []),
        # Within a group not even at a branch.
        ([[(3, 5), (4, 5)]], [(3, 1), (4, 5)]),
        ([[(3, 5)], [(3, 5)]], []),
        ([[(3, 5)], [(2, 6)]], []),
        ([[(3, 5)], [(4, 5)]], []),
        ([[(3, 5)], [(4, 5)]], [(3, 5)]),
        # A branch of another place, and one of a later term.
        ([[(3, 9)], [(4, 5)]], [(3, 1), (4, 6)]),
        ([[(3, 9)], [(6, 5)]], [(3, 1), (4, 6)]),
        # Before the beginning of its term.
        ([[(3, 5)], [(4, 6)]], [(3, 1), (4, 7)]),
    ],
)
def test_row_18_a_wrong_order(db: Path, groups: list[list[Id]], terms: list[Id]) -> None:
    spool(db, [[(1, 1)], *groups], terms=terms)
    found = verdict(db)
    assert found[:2] == ("corrupt", 18)


@pytest.mark.parametrize(
    ("groups", "terms"),
    [
        ([[(3, 9)], [(4, 6)]], [(3, 1), (4, 6)]),
        ([[(3, 9)], [(4, 8)]], [(3, 1), (4, 6)]),
        # The term that made the branch had no record.
        ([[(3, 9)], [(6, 7)]], [(3, 1), (4, 6)]),
        # It was cut off whole later, or forgotten.
        ([[(3, 9)], [(4, 6)], [(5, 3)]], [(3, 1), (5, 3)]),
        ([[(3, 9)], [(4, 6)]], [(7, 5)]),
        ([[(2, 9)], [(3, 6)]], [(7, 50)]),
    ],
)
def test_a_branch_is_no_disorder(db: Path, groups: list[list[Id]], terms: list[Id]) -> None:
    spool(db, groups, terms=terms)
    assert verdict(db)[:2] == ("clean", 10)


def test_torn_and_corrupt_as_in_a_log_of_pages(db: Path) -> None:
    for state_watermark, expected in ((0, ("torn", 4)), (3, ("corrupt", 3))):
        log = spool(db, [[(1, 1)], [(1, 2)], [(1, 3)]], state_watermark=state_watermark)
        log.segments[0].data[log.last_position + 190] ^= 1
        log.save()
        assert verdict(db) == (*expected, [(1, 1), (1, 2)])


def test_each_kind_refuses_the_other(db: Path) -> None:
    for kind, items in (
        (1, [Item(1, 2, [(1, b"page", 0)])]),
        (2, [Item(1, 2, [(1, b"x", 0)])]),
    ):
        log = spool(db, [[(1, 1)]])
        group = log.encode(kind, 2, items, 0, 0)
        log.segments[0].data[BLOCK : BLOCK + len(group)] = group
        log.save()
        assert verdict(db) == ("torn", 4, [(1, 1)])
    log = spool(db, [[(1, 1)]])
    log.save(kind=1)
    assert verdict(db) == ("corrupt", 15, [])
    # One beside the other, neither is in the other's way.
    spool(db, [[(1, 1)]])
    pages = LogWriter(db)
    pages.segment(1)
    pages.group(1, [Item(1, 2, [(1, b"page", 0)])])
    pages.save()
    assert ids(db) == [(1, 1)]
    assert len(read_log(db).batches) == 1


def test_no_state_and_no_version_1(db: Path) -> None:
    log = spool(db, [[(1, 1)]])
    log.name("-wal-state").unlink()
    assert verdict(db) == ("corrupt", 15, [])
    log = spool(db, [[(1, 1)]])
    log.segment(2)
    log.group(2, [record(1, 2)])
    log.save()
    path = write_v1(db, 2, [V1Record(9, 4, 20, b"old")])
    path.rename(log.segments[1].path)
    assert verdict(db)[0] == "corrupt"


def test_assigned_sequences_are_for_pages(db: Path) -> None:
    log = spool(db, [[(1, 1)]])
    log.group(2, [record(1, 2)], flags=ASSIGNED)
    log.save()
    assert verdict(db) == ("torn", 4, [(1, 1)])


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (24, struct.pack("<Q", 0)),
        (24, struct.pack("<Q", 2**64 - 1)),
        (36, struct.pack("<I", 2)),
        (36, struct.pack("<I", 9)),
        (36, struct.pack("<I", 2**32 - 1)),
        (55, b"x"),
    ],
)
def test_record_fields(db: Path, offset: int, value: bytes) -> None:
    class Wrong(Logical):
        def encode(self) -> bytes:
            body = bytearray(super().encode())
            body[offset : offset + len(value)] = value
            body[:4] = struct.pack("<I", crc32c(bytes(body[4:])))
            return bytes(body)

    log = spool(db, [[(1, 1)]])
    log.group(2, [Wrong(1, 2, b"abc")])
    log.save()
    assert verdict(db) == ("torn", 4, [(1, 1)])


def test_state_of_a_spool(db: Path) -> None:
    log = spool(db, [[(1, 1)], [(300, 400)]], quorum=7)
    log.terms = [(t, 300 - MAX_TERMS + t) for t in range(1, MAX_TERMS + 1)]
    log.save()
    read = read_log(db, spool=True)
    assert read.state and (read.state.quorum, len(read.state.terms)) == (7, MAX_TERMS)
    # Full, and all of it needed: there can't be a term more.
    assert (read.verdict, read.row) == ("corrupt", 18)
    log.pruned_through = 300 - MAX_TERMS + 2
    log.save()
    read = read_log(db, spool=True)
    assert (read.verdict, len(read.terms), read.terms[-1]) == ("clean", MAX_TERMS, (300, 400))
    for terms in ([(2, 5), (2, 6)], [(2, 5), (3, 5)], [(2, 0)], [(2, 2**64 - 1)]):
        log.terms = terms
        log.save()
        assert verdict(db)[:2] == ("corrupt", 15), terms
    log.terms = [(t, t) for t in range(1, MAX_TERMS + 2)]
    log.save()
    assert verdict(db)[:2] == ("corrupt", 15)


def test_no_bytes_make_it_crash(db: Path) -> None:
    """Random damage gives a verdict, and never a record that was not written."""
    rng = random.Random(11)
    groups = [[(1, 1), (1, 2)], [(1, 3)], [(2, 2)], [(2, 3), (4, 4)]]
    pristine = spool(db, groups, terms=[(1, 1), (2, 2)], state_watermark=4)
    pristine.mark()
    pristine.save()
    written = [(r.term, r.lsn, r.payload) for g in groups for r in (record(*i) for i in g)]
    files = [pristine.segments[0].path, pristine.name("-wal-state")]
    whole = {f: f.read_bytes() for f in files}
    for _ in range(300):
        target = rng.choice(files)
        data = bytearray(whole[target])
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(min(len(data), 5 * BLOCK))] = rng.randrange(256)
        target.write_bytes(data)
        read: Log = read_log(db, spool=True)
        found = [(r.term, r.lsn, r.payload) for r in read.logical]
        assert all(r in written for r in found)
        assert len(found) == 4 or read.verdict != "clean"
        target.write_bytes(whole[target])
