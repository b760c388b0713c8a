"""The independent reader of RDLW files and slot stores against files made elsewhere."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from rdlw import BadStore, read, read_slots

GOLDEN = Path(__file__).parents[1] / "golden" / "rdlw"
MANIFEST: dict[str, Any] = json.loads((GOLDEN / "manifest.json").read_bytes())


@pytest.mark.parametrize("name", MANIFEST)
def test_golden(name: str) -> None:
    got = read((GOLDEN / f"{name}.rdb.logical.wal").read_bytes())
    assert got.verdict == MANIFEST[name]["verdict"]
    found = [
        {
            "lsn": r.lsn,
            "term": r.term,
            "timestamp": r.timestamp,
            "len": len(r.payload),
            "payload_crc32": zlib.crc32(r.payload),
            "offset": r.offset,
            "layout": r.layout,
        }
        for r in got.records
    ]
    assert found == MANIFEST[name]["records"]


def record(lsn: int, payload: bytes, term: int = 1) -> bytes:
    body = struct.pack("<BQQQI", 3, term, lsn, 1_700_000_000_000, len(payload)) + payload
    return b"RDLW" + body + struct.pack("<I", zlib.crc32(body))


def test_every_bit_and_every_length() -> None:
    records = [record(lsn, b"payload .") for lsn in (1, 2, 3)]
    good = b"".join(records)
    size = len(records[0])
    for bit in range(len(good) * 8):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        got = read(bytes(data))
        hit = bit // 8 // size
        assert len(got.records) == hit
        # In the last record's length the bits above the limit are no crash: the
        # other layout has its length in the payload, and that is too long, too.
        long = hit == 2 and bit // 8 % size == 32 and bit % 8 >= 4
        expected = "torn" if hit == 2 and not long else "corrupt"
        assert got.verdict == expected, bit
    for length in range(len(good)):
        got = read(good[:length])
        assert len(got.records) == length // size
        assert got.verdict == ("torn" if length % size else "clean")


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (record(2, b"a") + record(2, b"b"), "corrupt"),
        (record(2, b"a", 2) + record(3, b"b", 1), "corrupt"),
        (record((1 << 64) - 1, b""), "corrupt"),
        (record(1, b"a") + bytes(100), "torn"),
        (bytes(100), "torn"),
        (b"SQLite format 3\0", "format"),
        (b"RDLW\x04" + bytes(40), "format"),
        (b"RDLW\x02" + b"\xff" * 40, "corrupt"),
    ],
)
def test_rows(data: bytes, verdict: str) -> None:
    assert read(data).verdict == verdict


def test_slots() -> None:
    slots = read_slots((GOLDEN / "slots-as-doubles.rdb.logical.slots.json").read_bytes())
    assert [slot["restart_lsn"] for slot in slots] == [5, 6, 7, 8, 1]
    assert slots[4]["invalidation_reason"] == "horizon"
    with pytest.raises(BadStore):
        read_slots((GOLDEN / "slots-damaged.rdb.logical.slots.json").read_bytes())


@pytest.mark.parametrize("number", ["-1", "1.5", "18446744073709551616", "1e20", '"1"', "null"])
def test_numbers_that_are_none(number: str) -> None:
    rest = '"id": "a", "confirmed_lsn": 1, "last_seen_at_unix_ms": 1'
    slot = f'{{"restart_lsn": {number}, {rest}}}'
    with pytest.raises(BadStore):
        read_slots(f'{{"slots": [{slot}]}}'.encode())
    read_slots(f'{{"slots": [{slot.replace(number, "18446744073709551615", 1)}]}}'.encode())
