"""Version 1 segments by themselves."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from support import page

import epochwal
from epochwal import SegmentRecord


def records() -> list[SegmentRecord]:
    return [
        SegmentRecord(7, 1, 3, 9, 1, 1, b"", page("a")),
        SegmentRecord(7, 1, 3, 10, 1, None, page("b"), b""),
        SegmentRecord(8, 0, 3, 9, 2, 5, page("a", size=7), page("c", size=65536)),
    ]


def test_what_is_written_is_read(db: Path) -> None:
    path = epochwal.segment_write(db, 3, records())
    assert path == epochwal.segment_path(db, 3) == f"{db}-wal-seg-0000000000000003"
    found = epochwal.segment_read(db, 3)
    assert found == records()
    assert type(found[0]) is SegmentRecord
    # The aborted write and its image are shown here, and not recovered.
    assert [b.txn_id for b in epochwal.recover(db)] == [7, 8]
    (segment,) = epochwal.list_segments(db)
    assert (segment.path, segment.version) == (path, 1)
    epochwal.segment_delete(db, 3)
    assert epochwal.list_segments(db) == []


def test_records_are_sorted_and_images_any_bytes_like(db: Path) -> None:
    mixed = [r._replace(after=bytearray(r.after)) for r in reversed(records())]
    epochwal.segment_write(db, 3, iter(mixed))
    assert epochwal.segment_read(db, 3) == records()


def test_a_segment_is_never_replaced(db: Path) -> None:
    epochwal.segment_write(db, 3, records())
    with pytest.raises(epochwal.ExistsError):
        epochwal.segment_write(db, 3, records()[:1])
    assert epochwal.segment_read(db, 3) == records()


def test_what_is_missing_damaged_or_of_another_version_is_told_apart(db: Path) -> None:
    with pytest.raises(epochwal.NotFoundError):
        epochwal.segment_read(db, 3)
    with pytest.raises(epochwal.NotFoundError):
        epochwal.segment_delete(db, 3)
    path = Path(epochwal.segment_write(db, 3, records()))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(epochwal.CorruptError) as raised:
        epochwal.segment_read(db, 3)
    assert raised.value.path == str(path)
    assert raised.value.offset is not None


def test_a_native_segment_is_not_deleted(db: Path) -> None:
    with epochwal.Coordinator(db) as wal:
        wal.commit([(1, b"x")], txn_id=1, commit_seq=1)
    (segment,) = epochwal.list_segments(db)
    for call in (epochwal.segment_read, epochwal.segment_delete):
        with pytest.raises(epochwal.FormatError):
            call(db, segment.first_epoch)
    assert epochwal.list_segments(db) == [segment]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"txn_id": 0}, epochwal.InvalidError, "transaction|txn_id"),
        ({"page_number": 0}, epochwal.InvalidError, "page"),
        ({"epoch": 4}, epochwal.InvalidError, "epoch"),
        ({"after": bytes(65537)}, ValueError, "65536"),
        ({"txn_id": -1}, epochwal.InvalidError, r"records\[1\].txn_id: -1"),
        ({"txn_epoch": 1 << 32}, epochwal.InvalidError, r"records\[1\].txn_epoch"),
        ({"end_seq": "1"}, TypeError, r"records\[1\].end_seq"),
        ({"before": None}, TypeError, r"records\[1\].before"),
        ({"after": memoryview(b"abcd")[::2]}, epochwal.InvalidError, r"records\[1\].after"),
    ],
)
def test_a_bad_record_is_named(
    db: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    bad = records()[1]._replace(**change)
    with pytest.raises(error, match=message):
        epochwal.segment_write(db, 3, [records()[0], bad])
    with pytest.raises(TypeError, match=r"records\[0\]"):
        epochwal.segment_write(db, 3, [(1, b"x")])  # type: ignore[list-item]
    assert list(db.parent.iterdir()) == []


GOLDEN = Path(__file__).parents[2] / "tests/golden/pwal-v1"


def manifest(kind: str) -> dict[str, Any]:
    listed: dict[str, Any] = json.loads((GOLDEN / kind / "manifest.json").read_text())
    assert len(listed) > 3
    return listed


def test_files_of_another_implementation_are_read() -> None:
    for file, expected in manifest("good").items():
        name, _, epoch = file.partition("-wal-seg-")
        found = epochwal.segment_read(GOLDEN / "good" / name, int(epoch, 16))
        assert [described(record) for record in found] == expected["records"]


def described(record: SegmentRecord) -> dict[str, int | None]:
    numbers = record._asdict()
    for name in ("before", "after"):
        image = numbers.pop(name)
        numbers |= {f"{name}_len": len(image), f"{name}_crc32": zlib.crc32(image)}
    return numbers


def test_damaged_files_of_another_implementation_are_refused() -> None:
    classes = {"corrupt": epochwal.CorruptError, "format": epochwal.FormatError}
    for name, expected in manifest("damaged").items():
        with pytest.raises(classes[expected["verdict"]]):
            epochwal.segment_read(GOLDEN / "damaged" / f"{name}.db", 1)
    with pytest.raises(epochwal.CorruptError):
        epochwal.segment_read(GOLDEN / "damaged" / "renamed.db", 3)
