"""What goes in is not copied on the way, and what comes out is never all there."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import page, python

import epochwal

LARGE = 32 << 20


def arrays() -> dict[str, Any]:
    """Make arrays of numpy's, each of them 4096 bytes in one piece."""
    # numpy's own types say that they are buffers from Python 3.12 on.
    flat: Any = np.frombuffer(page("numpy"), dtype=np.uint8)
    return {
        "read-only": flat,
        "row": np.stack([flat, flat])[1],
        "matrix": flat.reshape(64, 64),
        "floats": flat.view(np.float64),
        "big-endian": flat.view(">u4"),
        "structured": flat.view(np.dtype([("a", "<i4"), ("b", "<f8"), ("c", "V4")])),
        "times": flat.view("M8[s]"),
        "transposed twice": flat.reshape(64, 64).T.T,
        "memoryview": memoryview(flat.reshape(16, 16, 16)),
    }


@pytest.mark.parametrize("name", arrays())
def test_arrays_are_pages_and_payloads(db: Path, name: str) -> None:
    image = arrays()[name]
    with epochwal.Coordinator(db) as wal:
        wal.commit([(1, image)], txn_id=1, commit_seq=1)
    (batch,) = epochwal.recover(db)
    assert batch.frames[0].data == page("numpy")
    with epochwal.Spool(db) as spool:
        spool.append(term=1, lsn=1, payload=image)
        assert spool.read_since(0)[0].payload == page("numpy")


def test_scattered_arrays_are_refused_by_name(db: Path) -> None:
    matrix: Any = np.zeros((64, 64), dtype=np.uint8)
    scattered: list[Any] = [
        matrix[:, 0],
        matrix[::2],
        np.asfortranarray(matrix)[:, 1:],
        matrix.T[1:],
    ]
    with epochwal.Coordinator(db) as wal, epochwal.Spool(db) as spool:
        for image in scattered:
            with pytest.raises(epochwal.InvalidError, match=r"frames\[1\].*contiguous"):
                wal.submit([(1, b"x"), (2, image)], txn_id=1, commit_seq=1)
            with pytest.raises(epochwal.InvalidError, match=r"payload: .*contiguous"):
                spool.submit(term=1, lsn=1, payload=image)
        assert wal.stats()["batches"] == 0


@pytest.mark.parametrize(
    "payload",
    [bytearray(LARGE), memoryview(bytes(LARGE)), np.zeros(LARGE // 8)],
    ids=lambda payload: type(payload).__name__,
)
def test_no_copy_is_made_on_the_way_in(db: Path, payload: Any) -> None:
    with epochwal.Spool(db, sync_policy="off") as spool:
        tracemalloc.start()
        try:
            spool.append(term=1, lsn=1, payload=payload)
            spool.append_batch([(1, 2, payload)])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # All that Python's allocators gave.
        assert peak < LARGE // 64


#: Reads a log and says by how many KiB the process has grown at its most.
READER = """
    import pathlib, re, sys
    import epochwal

    def peak():
        # Of this program: what getrusage says begins with the parent's.
        status = pathlib.Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])

    path, how = sys.argv[1:]
    if how == "recover":
        things = epochwal.recover(path)
    else:
        spool = epochwal.Spool(path, ring_bytes=0)
        things = spool.cursor(0)
    before, bytes_read = peak(), 0
    for thing in things:
        if how == "recover":
            bytes_read += sum(len(frame.data) for frame in thing.frames)
        else:
            bytes_read += len(thing.payload)
            if thing.lsn == spool.current_lsn:
                break
    assert bytes_read >= 90 << 20, bytes_read
    print(peak() - before)
    if how != "recover":
        spool.close()
"""


@pytest.mark.parametrize("how", ["recover", "cursor"])
def test_a_log_is_read_in_bounded_memory(db: Path, how: str) -> None:
    if how == "recover":
        with epochwal.Coordinator(
            db, sequencing="coordinator", sync_policy="off", segment_size=16 << 20
        ) as wal:
            image = bytes(1 << 16)
            for txn_id in range(1, 101):
                wal.commit([(n, image) for n in range(1, 17)], txn_id=txn_id)
    else:
        with epochwal.Spool(db, sync_policy="off", segment_size=16 << 20) as spool:
            for lsn in range(1, 101):
                spool.append(term=1, lsn=lsn, payload=bytes(1 << 20))
    grown = int(python(READER, db, how).stdout)
    # A read of the cursor's takes 16 MiB of records.
    assert grown < 40 << 10, f"{grown} KiB for 100 MiB"
