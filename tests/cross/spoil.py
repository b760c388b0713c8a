"""Fields of a log's files at their ends and one off, all checksums right again.

The checksums of what is changed would tell any reader; a field that lies under
right ones asks for what the document says of it.
"""

import random
import struct

from crc32c import crc32c
from writer import BLOCK

# Offset and size within the structure; by docs/format.md.
HEADER = [(4, 2), (6, 2), (8, 8), (16, 4), (24, 1), (25, 3), (28, 4), (32, 8), (48, 8)]
HEADER += [(56, 8), (64, 8), (72, 8), (80, 8), (88, 8), (96, 8), (104, 8), (112, 8)]
ITEM = [(4, 4), (8, 1), (9, 1), (10, 2), (12, 4), (16, 8), (24, 8), (32, 4), (36, 4)]
ITEM += [(40, 4), (44, 4)]
FRAME = [(0, 4), (4, 4), (8, 4)]
CERTIFICATE = [(0, 4), (4, 2), (6, 2), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8), (48, 4)]
CERTIFICATE += [(52, 4), (56, 4), (60, 4), (64, 8), (80, 8)]
LANE = [(0, 4), (4, 4)]
STATE = [(8, 4), (12, 4), (16, 8), (24, 8), (40, 8), (56, 8), (64, 8), (72, 8), (80, 8)]
STATE += [(88, 8), (96, 8), (104, 8), (112, 8), (120, 1), (121, 8)]

#: What the state of a spool has besides: bounds, the history, what is lost.
SPOOL_STATE = [(128, 8), (136, 8), (144, 4), (148, 4), (152, 8), (160, 8), (168, 8), (176, 8)]
SPOOL_STATE += [(3984, 8), (3992, 8), (4000, 8), (4088, 4)]


def spoil(rng: random.Random, data: bytearray, at: int, size: int) -> str:
    """Changes a number; says how."""
    top = (1 << 8 * size) - 1
    now = int.from_bytes(data[at : at + size], "little")
    others = [0, 1, 2, 3, top, top >> 1, (top >> 1) + 1, now + 1 & top, now - 1 & top]
    value = rng.choice([v for v in others if v != now])
    data[at : at + size] = value.to_bytes(size, "little")
    return f"{size} bytes at {at} from {now} to {value}"


def _u32(data: bytearray, at: int) -> int:
    value: int = struct.unpack_from("<I", data, at)[0]
    return value


def _put_crc(data: bytearray, start: int, end: int, at: int) -> int:
    crc = crc32c(data[start:end])
    struct.pack_into("<I", data, at, crc)
    return crc


def refit(data: bytearray, at: int, payload: int, length: int) -> None:
    """All checksums of the group at `at`, which had these lengths."""
    _put_crc(data, at, at + 20, at + 20)
    header = _put_crc(data, at, at + 124, at + 124)
    over = b""
    item, end = at + 128, at + 128 + payload
    while end - item >= 8:
        told = _u32(data, item + 4)
        size = told if 8 <= told <= end - item else end - item
        over += struct.pack("<I", _put_crc(data, item + 4, item + size, item))
        item += size
    certificate = at + length - 96
    struct.pack_into("<II", data, certificate + 72, crc32c(over), header)
    _put_crc(data, end, at + length - 4, at + length - 4)


def spoil_group(rng: random.Random, data: bytearray, at: int) -> str:
    """Changes a field of the whole group at `at`; says which."""
    length, payload = struct.unpack_from("<QQ", data, at + 80)
    certificate = at + length - 96
    spots = [(HEADER, at), (CERTIFICATE, certificate)]
    item = at + 128
    while item < at + 128 + payload:
        spots.append((ITEM, item))
        frame = item + 48 + _u32(data, item + 36)
        for _ in range(_u32(data, item + 32)):
            spots.append((FRAME, frame))
            frame += 12 + _u32(data, frame + 8)
        item += _u32(data, item + 4)
    entries = _u32(data, certificate + 56)
    spots += [(LANE, certificate - 8 * n) for n in range(1, entries + 1)]
    fields, place = rng.choice(spots)
    offset, size = rng.choice(fields)
    done = spoil(rng, data, place + offset, size)
    refit(data, at, payload, length)
    return done


def spoil_spool_state(rng: random.Random, data: bytearray) -> str:
    """As `spoil_state`, with the fields of a spool."""
    return spoil_state(rng, data, STATE + SPOOL_STATE)


def spoil_state(
    rng: random.Random, data: bytearray, fields: list[tuple[int, int]] = STATE
) -> str:
    """Changes a field of one copy of the state, or of both."""
    offset, size = rng.choice(fields)
    copies = rng.choice([[0], [BLOCK], [0, BLOCK]])
    done = ""
    for copy in copies:
        if not done or rng.random() < 0.1:
            done += spoil(rng, data, copy + offset, size)
        else:
            data[copy + offset : copy + offset + size] = data[offset : offset + size]
        _put_crc(data, copy, copy + 4092, copy + 4092)
    return f"state, copies at {copies}: {done}"
