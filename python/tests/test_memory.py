"""What goes in is not copied on the way, and what comes out is never all there."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import PATIENCE, Thread, child, page, python, until

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


def held(image: Any) -> bool:
    """Whether somebody looks into the object's memory."""
    try:
        image.extend(b"more")
    except BufferError:
        return True
    del image[-4:]
    return False


def test_what_waits_for_room_is_read_where_it_lies(db: Path) -> None:
    options: epochwal.Options = {
        "overflow_policy": "block",
        "block_timeout": 3600,
        "buffer_capacity": 8192,
        # Nobody flushes, so that there is no room before it is made here.
        "epoch_interval": "off",
    }
    image = bytearray(page("old"))
    with epochwal.Coordinator(db, **options) as wal:

        def fill() -> None:
            # A lane of this thread's own, with room for one of them.
            for n in (1, 2):
                wal.submit([(n, image)], txn_id=n, commit_seq=n)

        assert not held(image)
        waiting = Thread(fill)
        until(lambda: wal.stats()["blocked"] > 0)
        assert held(image)
        image[:] = page("new")
        wal.flush()
        waiting.get()
        assert not held(image)
        # What a submit has returned from is its own.
        image[:] = page("newer")
    found = [frame.data for batch in epochwal.recover(db) for frame in batch.frames]
    assert found == [page("old"), page("new")]


def test_a_payload_that_waits_is_read_where_it_lies(db: Path, stuck_disk: Path) -> None:
    gate = db.parent / "gate"
    code = """
        import os, pathlib, sys
        import epochwal
        from support import Thread, until
        from test_memory import held

        gate = pathlib.Path(os.environ["STUCK_DISK"])
        spool = epochwal.Spool(
            sys.argv[1], sync_style="buffered", block_timeout=3600, max_memory=1 << 20
        )
        gate.touch()
        stuck = Thread(lambda: spool.append(term=1, lsn=1, payload=b"x"))
        until(pathlib.Path(f"{gate}.stuck").exists)
        spool.submit(term=1, lsn=2, payload=bytes(600 << 10))
        image = bytearray(600 << 10)
        waiting = Thread(lambda: spool.submit_batch([(1, 3, image)]))
        until(lambda: spool.stats()["blocked"] > 0)
        assert held(image)
        image[:] = b"n" * len(image)
        gate.unlink()
        spool.wait(waiting.get())
        stuck.get()
        assert not held(image)
        assert spool.read_since(2)[0].payload == bytes(image)
        spool.close()
        print("closed", flush=True)
    """
    with child(code, db, LD_PRELOAD=str(stuck_disk), STUCK_DISK=str(gate)) as process:
        assert process.line() == "closed"
        assert process.process.wait(PATIENCE) == 0


#: Reads a log and says by how many KiB the process has grown at its most.
READER = """
    import asyncio, pathlib, re, sys
    import epochwal

    def peak():
        # Of this program: what getrusage says begins with the parent's.
        status = pathlib.Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])

    def recover():
        for batch in epochwal.recover(path):
            yield sum(len(frame.data) for frame in batch.frames)

    def cursor():
        with epochwal.Spool(path, ring_bytes=0) as spool, spool.cursor(0) as records:
            for record in records:
                yield len(record.payload)
                if record.lsn == spool.current_lsn:
                    return

    def read_since():
        with epochwal.Spool(path, ring_bytes=0) as spool:
            lsn = 0
            while records := spool.read_since(lsn, max_bytes=1 << 20):
                lsn = records[-1].lsn
                yield sum(len(record.payload) for record in records)

    def follow():
        async def main():
            seen = 0
            async with epochwal.aio.Spool(path, ring_bytes=0) as spool:
                async for record in spool.follow(0, max_bytes=1 << 20):
                    seen += len(record.payload)
                    if record.lsn == spool.current_lsn:
                        return seen
        yield asyncio.run(main())

    path, how = sys.argv[1:]
    before = peak()
    bytes_read = sum(globals()[how]())
    assert bytes_read >= 90 << 20, bytes_read
    print(peak() - before)
"""


@pytest.mark.parametrize("how", ["recover", "cursor", "read_since", "follow"])
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
    # A read of the cursor's takes 16 MiB of records; the others say how much.
    assert grown < 40 << 10, f"{grown} KiB for 100 MiB"
