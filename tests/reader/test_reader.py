"""The independent reader against logs that the independent writer made.

Each row of docs/format.md's decision table has its test, and so has every
field that a reader must check.
"""

import random
import struct
from pathlib import Path

import pytest
from crc32c import crc32c
from reader import Log, as_json, read_log
from writer import ASSIGNED, BLOCK, Item, LogWriter, V1Record, write_v1


def page(number: int, fill: int, size: int = 512) -> bytes:
    return bytes([fill & 0xFF, number & 0xFF]) * (size // 2)


def item(seq: int, pages: int = 1, lane: int = 0, db_size: int = 9) -> Item:
    frames = [(n, page(n, seq), 0) for n in range(1, pages)] + [
        (pages, page(pages, seq), db_size)
    ]
    return Item(seq + 100, seq, frames, lane)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


def three(db: Path) -> LogWriter:
    """Epochs 1, 2, 4 in one segment; each watermark is the epoch before."""
    log = LogWriter(db)
    log.segment(1)
    for epoch in (1, 2, 4):
        log.group(epoch, [item(epoch * 10), item(epoch * 10 + 1, 3, lane=2)])
        log.watermark = epoch
    return log


def verdict(db: Path) -> tuple[str, int, list[int]]:
    log = read_log(db)
    return log.verdict, log.row, log.epochs


def test_checksum() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    data = random.Random(1).randbytes(1000)
    for cut in range(30):
        assert crc32c(data[cut:], crc32c(data[:cut])) == crc32c(data)


def test_nothing_there(db: Path) -> None:
    assert verdict(db) == ("clean", 10, [])


def test_whole_log(db: Path) -> None:
    log = three(db)
    log.mark()
    log.state_watermark = 4
    log.save()
    read = read_log(db)
    assert (read.verdict, read.row, read.epochs, read.marks) == ("clean", 10, [1, 2, 4], [4])
    assert [b.commit_seq for b in read.batches] == [10, 11, 20, 21, 40, 41]
    assert read.batches[5].frames == [
        (1, page(1, 41), 0),
        (2, page(2, 41), 0),
        (3, page(3, 41), 9),
    ]


def test_replay_order_is_by_sequence_then_transaction_then_page(db: Path) -> None:
    log = LogWriter(db)
    log.segment(1)
    items = [
        Item(7, 5, [(3, b"a", 0)], lane=1),
        Item(7, 5, [(2, b"b", 0), (1, b"c", 4)], lane=0),
        Item(6, 5, [(9, b"d", 0)], lane=3),
        Item(9, 1, [(9, b"e", 0)], lane=3, metadata=b"meta", txn_epoch=8),
    ]
    log.group(1, items)
    log.save()
    read = read_log(db)
    assert [(b.txn_id, b.frames[0][1]) for b in read.batches] == [
        (9, b"e"),
        (6, b"d"),
        (7, b"b"),
        (7, b"a"),
    ]
    assert (read.batches[0].metadata, read.batches[0].txn_epoch) == (b"meta", 8)


def test_voids_are_skipped(db: Path) -> None:
    log = LogWriter(db)
    log.segment(1)
    log.group(1, [item(1), Item(0, 2, []), item(3)], flags=ASSIGNED)
    log.group(2, [Item(0, 0, [])])
    log.save()
    read = read_log(db)
    assert (read.verdict, [b.commit_seq for b in read.batches]) == ("clean", [1, 3])


@pytest.mark.parametrize("size", [1, 65536])
def test_image_sizes(db: Path, size: int) -> None:
    log = LogWriter(db)
    log.segment(1, blocks=40)
    log.group(
        1, [Item(1, 1, [(2**32 - 1, bytes([7]) * size, 2**32 - 1)], metadata=b"m" * size)]
    )
    log.save()
    (batch,) = read_log(db).batches
    assert batch.frames == [(2**32 - 1, bytes([7]) * size, 2**32 - 1)]


# The decision table.


def test_row_2_goes_on_in_the_next_segment(db: Path) -> None:
    log = three(db)
    log.segment(5)
    log.group(5, [item(50)])
    log.save()
    assert verdict(db) == ("clean", 10, [1, 2, 4, 5])


def test_row_2_a_torn_tail_was_dropped_before_the_roll(db: Path) -> None:
    log = three(db)
    torn = bytearray(log.encode(1, 5, [item(50)], 0, 0))
    torn[200] ^= 1
    first = log.segments[0]
    first.data[first.end : first.end + len(torn)] = torn
    log.segment(8)
    log.group(8, [item(80)])
    log.watermark = 8
    log.mark()
    log.save()
    assert verdict(db) == ("clean", 10, [1, 2, 4, 8])


def test_row_3_a_durable_group_is_damaged(db: Path) -> None:
    log = three(db)
    log.segments[0].data[log.last_position - BLOCK + 300] ^= 1
    log.save()
    read = read_log(db)
    assert (read.verdict, read.row, read.epochs) == ("corrupt", 3, [1])
    assert "checksum" in read.suspects[0].reason


def test_row_3_by_a_mark_or_the_state_file(db: Path) -> None:
    log = three(db)
    log.segments[0].data[log.last_position + 300] ^= 1
    log.save()
    assert verdict(db) == ("torn", 4, [1, 2])
    log.mark()
    log.save()
    assert verdict(db) == ("corrupt", 3, [1, 2])
    log = three(db)
    log.segments[0].data[log.last_position + 300] ^= 1
    log.state_watermark = 4
    log.save()
    assert verdict(db) == ("corrupt", 3, [1, 2])


def test_row_4_any_byte_of_the_last_group(db: Path) -> None:
    pristine = three(db)
    start, length = pristine.last_position, pristine.last_length
    for at in range(start, start + length, 37):
        log = three(db)
        log.segments[0].data[at] ^= 0x10
        log.save()
        found, row, epochs = verdict(db)
        assert found in ("torn", "clean") and epochs == [1, 2], at
        assert (found == "clean") == (at < start + 4), at
        assert row == (10 if at < start + 4 else 9 if at < start + 128 else 4), at


def test_row_4_the_very_first_group(db: Path) -> None:
    """No epoch was read and no watermark claims one: 0 claims nothing."""
    log = LogWriter(db)
    log.segment(1)
    log.group(1, [item(1)])
    log.segments[0].data[300] ^= 1
    log.save()
    assert verdict(db) == ("torn", 4, [])
    log.segments[0].data[:BLOCK] = bytes(BLOCK)
    log.save()
    assert verdict(db) == ("clean", 10, [])


def test_rows_5_and_6_a_header_that_does_not_continue(db: Path) -> None:
    for watermark, expected in ((4, ("torn", 6)), (5, ("corrupt", 5))):
        log = three(db)
        log.group(6, [item(60)], previous=5, watermark=watermark)
        log.save()
        assert verdict(db)[:2] == expected
        log = three(db)
        log.group(6, [item(60)], link=12345, watermark=watermark)
        log.save()
        assert verdict(db)[:2] == expected


def test_row_7_a_durable_group_is_gone(db: Path) -> None:
    log = three(db)
    start = log.last_position
    log.segments[0].data[start:] = bytes(len(log.segments[0].data) - start)
    log.state_watermark = 4
    log.save()
    assert verdict(db) == ("corrupt", 7, [1, 2])


def test_row_7_cut_at_a_group_boundary_and_put_together(db: Path) -> None:
    log = three(db)
    log.group(7, [item(70)])
    data = log.segments[0].data
    data[BLOCK : 2 * BLOCK] = bytes(BLOCK)
    log.save()
    assert verdict(db) == ("corrupt", 7, [1])


def test_row_8_a_later_group_alone_is_torn(db: Path) -> None:
    log = three(db)
    start = log.last_position
    log.group(5, [item(50)], watermark=2)
    log.segments[0].data[start : start + BLOCK] = bytes(BLOCK)
    log.save()
    assert verdict(db) == ("torn", 8, [1, 2])


def test_row_9_only_in_a_file_never_reused(db: Path) -> None:
    for retired, expected in ((0, ("torn", 9)), (1, ("clean", 10))):
        log = LogWriter(db, generation=retired, retired_generation=retired)
        log.segment(1)
        log.group(1, [item(1)])
        log.segments[0].data[BLOCK : BLOCK + 4] = b"LAWP"
        log.save()
        assert verdict(db)[:2] == expected


def test_row_10_stale_groups_of_a_reused_file(db: Path) -> None:
    old = three(db)
    old.mark()
    log = LogWriter(db, generation=1, retired_generation=1, retired_first=5)
    log.floor, log.previous, log.watermark = 4, 4, 4
    log.segment(5, old=bytes(old.segments[0].data))
    log.save()
    assert verdict(db) == ("clean", 10, [])
    log.group(5, [item(50)])
    log.save()
    assert verdict(db) == ("clean", 10, [5])


def test_row_11_newer_version_and_flags(db: Path) -> None:
    for change in ({"version": 3}, {"header_flags": 1}):
        log = three(db)
        log.group(6, [item(60)], **change)
        log.save()
        assert verdict(db)[:2] == ("format", 11)
        # The state file may be newer too, and contradicts nothing.
        log.state_watermark = 5
        log.save()
        assert verdict(db)[:2] == ("format", 11)


def test_row_11_in_front_of_good_groups_is_no_newer_format(db: Path) -> None:
    log = three(db)
    log.group(6, [item(60)], version=3)
    log.group(7, [item(70)], watermark=4)
    log.save()
    assert verdict(db)[0] == "torn"
    log.group(8, [item(80)], watermark=7)
    log.save()
    assert verdict(db)[0] == "corrupt"


@pytest.mark.parametrize("length", [24, 5000, 16 * BLOCK])
@pytest.mark.parametrize("change", [{"version": 3}, {"header_flags": 1}])
def test_row_11_a_segment_of_a_newer_format(
    db: Path, length: int, change: dict[str, int]
) -> None:
    log = three(db)
    log.segment(5)
    log.group(5, [item(50)], **change)
    log.segments[1].data = (log.segments[1].data + bytes(BLOCK))[:length]
    log.save()
    assert verdict(db) == ("format", 11, [1, 2, 4])
    log.state_watermark = 5
    log.save()
    assert verdict(db) == ("format", 11, [1, 2, 4])
    # What is before it is not cut; only where it is known to be covered is it damage.
    log.segments[0].data[2 * BLOCK + 200] ^= 1
    log.save()
    assert verdict(db)[0] == "corrupt"
    log.state_watermark = 0
    log.save()
    assert verdict(db)[:2] == ("format", 11)


@pytest.mark.parametrize("length", [0, 100, BLOCK - 1, BLOCK, BLOCK + 1, 15 * BLOCK])
def test_row_12_cut_files(db: Path, length: int) -> None:
    log = three(db)
    log.segments[0].data = log.segments[0].data[:length]
    log.save()
    read = read_log(db)
    assert (read.verdict, read.row, read.batches) == ("corrupt", 12, [])


def test_row_12_a_later_header_says_that_the_file_was_longer(db: Path) -> None:
    log = three(db)
    log.group(5, [item(50)], segment_size=17 * BLOCK)
    log.save()
    assert verdict(db) == ("corrupt", 12, [1, 2, 4])


def test_row_12_one_block_longer_is_no_damage(db: Path) -> None:
    log = three(db)
    log.segments[0].data += bytes(BLOCK)
    log.save()
    assert verdict(db)[0] == "clean"


def test_row_13_another_log_another_name_another_generation(db: Path) -> None:
    log = three(db)
    log.identity = b"fedcba9876543210"
    log.save()
    assert verdict(db)[:2] == ("corrupt", 13)
    log.segments[0].path.unlink()
    log = three(db)
    log.segments[0].path = db.with_name("app.db-wal-seg-0000000000000002")
    log.save()
    assert verdict(db)[:2] == ("corrupt", 13)


def test_row_13_position(db: Path) -> None:
    log = three(db)
    data = log.segments[0].data
    data[:BLOCK] = data[BLOCK : 2 * BLOCK]
    log.save()
    assert verdict(db) == ("corrupt", 13, [])


def test_versions_below_2_are_damage_and_not_newer(db: Path) -> None:
    for version in (0, 1):
        log = three(db)
        log.group(6, [item(60)], version=version)
        log.save()
        assert verdict(db) == ("clean", 10, [1, 2, 4])
        log.state_watermark = 6
        log.save()
        assert verdict(db) == ("corrupt", 7, [1, 2, 4])


def test_row_13_generation(db: Path) -> None:
    log = three(db)
    log.generation = 2
    log.segment(5)
    log.group(5, [item(50)])
    log.save(newest_generation=2)
    assert verdict(db) == ("corrupt", 13, [1, 2, 4])


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_row_14_a_missing_segment(db: Path, missing: int) -> None:
    log = three(db)
    for epoch in (5, 6):
        log.segment(epoch)
        log.group(epoch, [item(epoch * 10)])
    log.save()
    assert verdict(db) == ("clean", 10, [1, 2, 4, 5, 6])
    log.segments[missing].path.unlink()
    found, row, epochs = verdict(db)
    assert found == "corrupt" and row in (13, 14)
    assert epochs == [[], [1, 2, 4], [1, 2, 4, 5]][missing]


def test_a_segment_without_a_group_may_be_the_last(db: Path) -> None:
    log = three(db)
    log.save()
    log.name("-wal-seg-0000000000000008").write_bytes(bytes(4 * BLOCK))
    assert verdict(db) == ("clean", 10, [1, 2, 4])


def test_row_15_no_state(db: Path) -> None:
    log = three(db)
    log.save()
    state = log.name("-wal-state")
    for blank in (bytes(3 * BLOCK), b"", b"damaged"):
        state.write_bytes(blank)
        assert verdict(db)[:2] == ("corrupt", 15)
    state.unlink()
    assert verdict(db)[:2] == ("corrupt", 15)


def test_row_16_an_error_is_no_verdict(db: Path) -> None:
    log = three(db)
    log.save()
    log.segments[0].path.unlink()
    log.segments[0].path.mkdir()
    with pytest.raises(OSError):
        read_log(db)


# The state file and the checkpoint.


def test_state_copies(db: Path) -> None:
    log = three(db)
    log.save()
    state = log.name("-wal-state")
    good, better = log.state_block(7, floor=1, flags=1), log.state_block(8, floor=2, flags=1)
    bad = bytearray(better)
    bad[60] ^= 1
    for copies, floor in (
        (good + better, 2),
        (better + good, 2),
        (good + bad, 1),
        (bad + good, 1),
    ):
        state.write_bytes(copies + bytes(BLOCK))
        assert read_log(db).floor == floor


def test_floor_hides_epochs_but_not_damage(db: Path) -> None:
    log = three(db)
    log.floor = 2
    log.save()
    assert verdict(db) == ("clean", 10, [4])
    log.segments[0].data[BLOCK + 300] ^= 1
    log.state_watermark = 4
    log.save()
    assert verdict(db)[0] == "corrupt"


def test_all_checkpointed_and_cleaned(db: Path) -> None:
    log = LogWriter(db, generation=5, retired_generation=5, retired_first=90)
    log.floor = log.previous = log.state_watermark = 80
    log.save()
    assert verdict(db) == ("clean", 10, [])
    log.state_watermark = 81
    log.save()
    assert verdict(db)[0] == "corrupt"


def test_segments_below_the_retired_epoch_are_skipped(db: Path) -> None:
    log = three(db)
    log.segment(5)
    log.group(5, [item(50)])
    log.floor, log.retired_first, log.retired_generation = 4, 5, 1
    log.save()
    assert verdict(db) == ("clean", 10, [5])
    log.segments[0].path.unlink()
    assert verdict(db) == ("clean", 10, [5])


def test_state_alone(db: Path) -> None:
    """A file whose second copy is blank was just begun; else no valid copy is damage."""
    state = db.with_name("app.db-wal-state")
    begun = [b"", b"x", bytes(3 * BLOCK), b"x" * BLOCK + bytes(2 * BLOCK)]
    for content, expected in [(c, "clean") for c in begun] + [(b"x" * 2 * BLOCK, "corrupt")]:
        state.write_bytes(content)
        assert verdict(db)[0] == expected


def test_newer_state_file(db: Path) -> None:
    log = three(db)
    log.save(version=3)
    assert verdict(db)[0] == "format"


# Every field that the reader checks.


def reseal(log: LogWriter, offset: int, value: bytes) -> None:
    """Changes bytes of the last group's certificate and makes its checksum right."""
    data = log.segments[0].data
    end = log.last_position + log.last_length
    at = end - 96
    data[at + offset : at + offset + len(value)] = value
    payload = struct.unpack_from("<Q", data, log.last_position + 88)[0]
    covered = bytes(data[log.last_position + 128 + payload : end - 4])
    data[end - 4 : end] = struct.pack("<I", crc32c(covered))


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0, b"XXXX"),
        (4, b"\2\0"),
        (6, b"\4\0"),
        (8, struct.pack("<Q", 5)),
        (16, struct.pack("<Q", 39)),
        (24, struct.pack("<Q", 42)),
        (32, struct.pack("<Q", 2)),
        (40, struct.pack("<Q", 5)),
        (48, struct.pack("<I", 1)),
        (52, struct.pack("<I", 2)),
        (56, struct.pack("<I", 1)),
        (56, struct.pack("<I", 2**32 - 1)),
        (60, struct.pack("<I", 8)),
        (64, struct.pack("<Q", 8)),
        (72, struct.pack("<I", 1)),
        (76, struct.pack("<I", 1)),
        (-8, struct.pack("<II", 3, 1)),
    ],
)
def test_certificate_fields(db: Path, offset: int, value: bytes) -> None:
    log = three(db)
    reseal(log, 92, b"")
    log.save()
    assert verdict(db) == ("clean", 10, [1, 2, 4])
    reseal(log, offset, value)
    log.save()
    assert verdict(db) == ("torn", 4, [1, 2])


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 2},
        {"first_epoch": 2},
        {"segment_size": BLOCK},
        {"position": 0},
        {"length": 2**63},
        {"length": 0},
        {"length": BLOCK + 8},
        {"previous": 1},
        {"link": 0},
    ],
)
def test_header_fields(db: Path, change: dict[str, int]) -> None:
    log = three(db)
    log.group(5, [item(50)], **change)
    log.save()
    found, _, epochs = verdict(db)
    assert found != "corrupt" and epochs == [1, 2, 4]
    log.state_watermark = 5
    log.save()
    assert verdict(db)[0] == "corrupt"


def test_item_fields(db: Path) -> None:
    wrong = [
        Item(0, 5, [(1, b"x", 0)]),
        Item(1, 5, [(0, b"x", 0)]),
        Item(1, 5, [(1, b"", 0)]),
        Item(1, 5, [(1, bytes(65537), 0)]),
        Item(1, 5, [(1, b"x", 0)], metadata=bytes(65537)),
        Item(1, 5, [(1, b"x", 0)], lane=9),
    ]
    for bad in wrong:
        log = LogWriter(db)
        log.segment(1, blocks=64)
        log.group(1, [item(1)])
        log.group(2, [bad])
        log.save()
        assert verdict(db) == ("torn", 4, [1])


# Version 1.


def test_v1(db: Path) -> None:
    write_v1(
        db,
        0,
        [
            V1Record(1, 4, 10, b"four"),
            V1Record(1, 5, 10, b"five", end=12),
            V1Record(2, 6, 11, b"gone", end=None),
            V1Record(3, 7, 12, b"", before=b"old"),
        ],
    )
    write_v1(db, 3, [V1Record(9, 4, 20, b"new", txn_epoch=2)])
    read = read_log(db)
    assert (read.verdict, read.epochs, len(read.records)) == ("clean", [0, 3], 5)
    assert [(b.txn_id, b.commit_seq, b.frames) for b in read.batches] == [
        (1, 10, [(4, b"four", 0), (5, b"five", 0)]),
        (9, 20, [(4, b"new", 0)]),
    ]


def test_v1_every_cut_is_corrupt(db: Path) -> None:
    path = write_v1(db, 1, [V1Record(1, 4, 10, b"four"), V1Record(2, 4, 11, b"more")])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert verdict(db)[0] == "corrupt", length
    path.write_bytes(whole + b"\0")
    assert verdict(db)[0] == "corrupt"


def test_v1_followed_by_v2(db: Path) -> None:
    write_v1(db, 3, [V1Record(9, 4, 20, b"old")])
    log = LogWriter(db, previous=3)
    log.segment(4)
    log.group(4, [item(40)])
    log.save()
    assert verdict(db) == ("clean", 10, [3, 4])


def test_v1_between_v2(db: Path) -> None:
    log = three(db)
    write_v1(db, 6, [V1Record(9, 4, 60, b"old")])
    log.previous, log.link = 6, 0
    log.segment(7)
    log.group(7, [item(70)])
    log.save()
    assert verdict(db) == ("clean", 10, [1, 2, 4, 6, 7])
    log.segments[1].path.unlink()
    log.segments.pop()
    log.generation = 1
    log.save()
    assert verdict(db) == ("clean", 10, [1, 2, 4, 6])


def test_row_17_v1_damage(db: Path) -> None:
    for epoch in (1, 2, 3):
        write_v1(db, epoch, [V1Record(9, 4, epoch, b"old")])
    path = db.with_name("app.db-wal-seg-0000000000000002")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert verdict(db) == ("corrupt", 17, [1])
    newer = bytearray(whole)
    newer[4] = 9
    newer[20:24] = struct.pack("<I", crc32c(newer[:20]))
    path.write_bytes(newer)
    assert verdict(db)[::2] == ("corrupt", [1])
    db.with_name("app.db-wal-seg-0000000000000003").unlink()
    assert verdict(db)[::2] == ("format", [1])


def test_assigned_sequences(db: Path) -> None:
    def two(second: list[Item], flags: int = ASSIGNED) -> str:
        log = LogWriter(db)
        log.segment(1)
        log.group(1, [item(1), item(2)], flags=ASSIGNED)
        log.group(2, second, flags=flags)
        log.save()
        return verdict(db)[0]

    assert two([item(3), Item(0, 4, [])]) == "clean"
    assert two([Item(0, 3, [])]) == "clean"
    assert two([item(9)], flags=0) == "clean"
    # Right in all else: nothing but a wrong writer does that (row 18).
    assert two([item(4)]) == "corrupt"
    assert two([item(3), item(5)]) == "corrupt"
    assert two([item(3), Item(0, 0, [])]) == "corrupt"


def test_other_databases_are_not_mixed_in(db: Path) -> None:
    three(db).save()
    three(db.with_name("app.db2")).save()
    write_v1(db.with_name("1-app.db"), 9, [V1Record(9, 4, 20, b"old")])
    db.with_name("app.db-wal-seg-0000000000000A00").write_bytes(b"upper case")
    db.with_name("app.db-wal-seg-5").write_bytes(b"short")
    db.with_name("app.db-wal-spare-1").write_bytes(b"spare")
    assert verdict(db) == ("clean", 10, [1, 2, 4])


def test_no_bytes_make_it_crash(db: Path) -> None:
    """Random damage gives a verdict, and never a batch that was not written."""
    rng = random.Random(7)
    pristine = three(db)
    pristine.mark()
    pristine.state_watermark = 4
    pristine.save()
    written = as_json(read_log(db))["batches"]
    assert isinstance(written, list) and len(written) == 6
    files = [pristine.segments[0].path, pristine.name("-wal-state")]
    whole = {f: f.read_bytes() for f in files}
    for _ in range(300):
        target = rng.choice(files)
        data = bytearray(whole[target])
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(min(len(data), 5 * BLOCK))] = rng.randrange(256)
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        target.write_bytes(data)
        read: Log = read_log(db)
        batches = as_json(read)["batches"]
        assert isinstance(batches, list)
        assert batches == written[: len(batches)]
        assert len(batches) == 6 or read.verdict != "clean"
        target.write_bytes(whole[target])
