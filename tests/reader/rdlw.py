#!/usr/bin/env python3
"""An independent reader of RDLW files and of the slot store in JSON.

Written from docs/format.md alone, with the standard library alone, and without
a thought of speed: behind damage every byte is looked at.

    python3 rdlw.py FILE

prints the records and the verdict. Exit status: 0 clean, 1 torn, 2 corrupt,
3 newer format or something else, 4 I/O error.
"""

import json
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAGIC = b"RDLW"
LIMIT = 256 << 20
EXIT = {"clean": 0, "torn": 1, "corrupt": 2, "format": 3}

#: Layout: version, fields behind the version byte, bytes of checksum.
LAYOUTS = {
    "1": (1, "<QQ", 0),
    "2": (2, "<QQI", 4),
    "3": (3, "<QQQI", 4),
    "3b": (3, "<QQQQI", 4),
}


@dataclass(frozen=True)
class Record:
    """A record, where it begins and where it ends."""

    offset: int
    end: int
    layout: str
    term: int
    lsn: int
    timestamp: int
    payload: bytes


class TooLong(Exception):
    """A payload length above the limit."""


@dataclass
class Read:
    """What a file holds up to its verdict, and where that is given."""

    records: list[Record] = field(default_factory=list)
    verdict: str = "clean"
    offset: int = 0
    reason: str = ""


def _fields(data: bytes, at: int, layout: str) -> Record | None:
    """The record at `at` in this layout, whatever its first five bytes are."""
    _, form, checksum = LAYOUTS[layout]
    start = at + 5 + struct.calcsize(form)
    if start > len(data):
        return None
    *numbers, length = struct.unpack_from(form, data, at + 5)
    if length > LIMIT:
        raise TooLong
    end = start + length + checksum
    if end > len(data):
        return None
    term = numbers[0] if layout in ("3", "3b") else 1
    lsn, timestamp = (numbers[0], 0) if layout == "1" else numbers[-2:]
    payload = data[start : start + length]
    return Record(at, end, layout, term, lsn, timestamp, payload)


def _summed(data: bytes, record: Record, version: int) -> bool:
    """Whether the checksum is right with this version byte."""
    crc = zlib.crc32(data[record.offset + 5 : record.end - 4], zlib.crc32(bytes([version])))
    return data[record.end - 4 : record.end] == struct.pack("<I", crc)


def _begins(data: bytes, at: int) -> bool:
    """Whether the file ends at `at`, or something like a record begins."""
    front = data[at : at + 5]
    return MAGIC.startswith(front[:4]) and (len(front) < 5 or front[4] in (1, 2, 3))


def _prefix_damaged(data: bytes, at: int, last: int) -> bool:
    """Whether only the first five bytes of the record at `at` are damaged."""
    magic = data[at : at + 4] == MAGIC
    for layout, (version, _, _) in LAYOUTS.items():
        named = data[at + 4 : at + 5] == bytes([version])
        if magic and named:
            continue
        try:
            record = _fields(data, at, layout)
        except TooLong:
            continue
        if record is None:
            continue
        if layout == "1":
            if (magic or named) and record.lsn > last and _begins(data, record.end):
                return True
        elif _summed(data, record, version):
            return True
    return False


def _sound(data: bytes, at: int, last: int) -> Record | None:
    """The sound record at `at`."""
    for layout, (version, _, _) in LAYOUTS.items():
        if data[at : at + 5] != MAGIC + bytes([version]):
            continue
        try:
            record = _fields(data, at, layout)
        except TooLong:
            continue
        if record is None:
            continue
        if layout != "1":
            if _summed(data, record, version):
                return record
        elif _begins(data, record.end) or not _prefix_damaged(data, at, last):
            return record
    return None


def _sound_behind(data: bytes, at: int, last: int) -> Iterator[Record]:
    """Sound records above `last`, looked for at every byte behind `at`."""
    while (at := data.find(MAGIC, at + 1)) >= 0:
        record = _sound(data, at, last)
        if record is not None and last < record.lsn < (1 << 64) - 1:
            yield record


def _worse_than_torn(data: bytes, at: int, last: int) -> tuple[str, str] | None:
    """What no crash leaves at `at`: verdict and reason."""
    if _prefix_damaged(data, at, last):
        return None
    front = data[at : at + 5]
    if front[:4] == MAGIC and len(front) == 5:
        if front[4] > 3:
            return "format", f"version {front[4]}"
        long = []
        for layout, (version, _, _) in LAYOUTS.items():
            if front[4] == version:
                try:
                    _fields(data, at, layout)
                    long.append(False)
                except TooLong:
                    long.append(True)
        if long and all(long):
            return "corrupt", "a payload length above the limit"
    elif at == 0 and len(front) >= 4 and front[:4] not in (MAGIC, bytes(4)):
        return "format", "not an RDLW file"
    return None


def read(data: bytes) -> Read:
    """The records up to the verdict."""
    got = Read()
    last, term = 0, 0
    while got.offset < len(data):
        record = _sound(data, got.offset, last)
        if record is None:
            break
        if not last < record.lsn < (1 << 64) - 1 or record.term < term:
            got.verdict = "corrupt"
            got.reason = f"LSN {record.lsn}, term {record.term} behind {last}, {term}"
            return got
        got.records.append(record)
        got.offset, last, term = record.end, record.lsn, record.term
    else:
        return got
    beyond = next(_sound_behind(data, got.offset, last), None)
    worse = _worse_than_torn(data, got.offset, last)
    if beyond is not None:
        got.verdict, got.reason = "corrupt", f"LSN {beyond.lsn} behind it is sound"
    elif worse is not None:
        got.verdict, got.reason = worse
    else:
        got.verdict, got.reason = "torn", f"{len(data) - got.offset} bytes dropped"
    return got


class BadStore(Exception):
    """A slot store that must be refused."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = ("slots", *_NUMBERS, "id", "invalidation_reason", "invalidated_at_unix_ms")
    names = [name for name, _ in pairs if name in named]
    if len(names) != len(set(names)):
        raise BadStore("a field is there twice")
    return dict(pairs)


_NUMBERS = ("restart_lsn", "confirmed_lsn", "last_seen_at_unix_ms")
_REASONS = ("wal-removed", "horizon", "idle-timeout")


def _integer(slot: dict[str, Any], name: str) -> int:
    value = slot.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise BadStore(f"{name} is {value!r}")
    return value


def read_slots(text: bytes) -> list[dict[str, Any]]:
    """The slots of a store."""
    try:
        store = json.loads(text.decode("utf-8"), object_pairs_hook=_pairs)
    except ValueError as error:
        raise BadStore(str(error)) from error
    if not isinstance(store, dict) or not isinstance(store.get("slots"), list):
        raise BadStore("no object with slots")
    slots = []
    for slot in store["slots"]:
        if not isinstance(slot, dict) or not isinstance(slot.get("id"), str):
            raise BadStore("a slot without an id")
        known: dict[str, Any] = {"id": slot["id"]}
        known |= {name: _integer(slot, name) for name in _NUMBERS}
        reason = slot.get("invalidation_reason")
        if (reason is None) != (slot.get("invalidated_at_unix_ms") is None):
            raise BadStore("a reason without a time, or a time without a reason")
        if reason is not None:
            if reason not in _REASONS:
                raise BadStore(f"reason {reason!r}")
            known["invalidation_reason"] = reason
            known["invalidated_at_unix_ms"] = _integer(slot, "invalidated_at_unix_ms")
        slots.append(known)
    if len({slot["id"] for slot in slots}) != len(slots):
        raise BadStore("an id is there twice")
    return slots


def main() -> int:
    """Prints what the file holds."""
    try:
        data = Path(sys.argv[1]).read_bytes()
    except OSError as error:
        print(error, file=sys.stderr)
        return 4
    got = read(data)
    for record in got.records:
        numbers = f"{record.term} {record.lsn} {record.timestamp}"
        print(record.offset, record.layout, numbers, zlib.crc32(record.payload))
    print(got.verdict, got.offset, got.reason)
    return EXIT[got.verdict]


if __name__ == "__main__":
    sys.exit(main())
