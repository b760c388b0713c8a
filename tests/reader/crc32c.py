"""CRC-32C (Castagnoli) with nothing but the standard library.

Reflected, initial value and final XOR 0xFFFFFFFF. The tables take 16 bits of
input at a time, so eight bytes cost four look-ups.
"""

import struct

_POLYNOMIAL = 0x82F63B78


def _byte_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_BYTE = _byte_table()


def _word_tables() -> list[list[int]]:
    """Table k: the effect of a 16-bit word that has 2 * k bytes behind it."""
    first = []
    for word in range(65536):
        crc = _BYTE[word & 0xFF] ^ (word >> 8)
        first.append(_BYTE[crc & 0xFF] ^ (crc >> 8))
    tables = [first]
    for _ in range(3):
        last = tables[-1]
        tables.append([first[crc & 0xFFFF] ^ (crc >> 16) for crc in last])
    return tables


_T0, _T1, _T2, _T3 = _word_tables()


def crc32c(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """The CRC-32C of `data`, going on from `crc` (0 at the start)."""
    view = memoryview(data).cast("B")
    crc ^= 0xFFFFFFFF
    whole = len(view) & ~7
    t0, t1, t2, t3 = _T0, _T1, _T2, _T3
    for (word,) in struct.iter_unpack("<Q", view[:whole]):
        word ^= crc
        crc = (
            t3[word & 0xFFFF]
            ^ t2[(word >> 16) & 0xFFFF]
            ^ t1[(word >> 32) & 0xFFFF]
            ^ t0[word >> 48]
        )
    for byte in view[whole:]:
        crc = _BYTE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF
