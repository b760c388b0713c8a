"""What may be passed in, and how the rest is refused: by name."""

from __future__ import annotations

import array
import ctypes
import inspect
import io
import math
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import GOOD, page, parameters

import epochwal
from epochwal import Coordinator

PAGE = page("image")


def recovered(db: Path) -> list[bytes]:
    return [f.data for b in epochwal.recover(db) for f in b.frames]


class Structure(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_ubyte * 4096)]


def mapped() -> mmap.mmap:
    memory = mmap.mmap(-1, 4096)
    memory[:] = PAGE
    return memory


@pytest.mark.parametrize(
    "image",
    [
        PAGE,
        type("Subclass", (bytes,), {})(PAGE),
        bytearray(PAGE),
        memoryview(PAGE),
        memoryview(b"head" + PAGE + b"tail")[4:-4],
        memoryview(PAGE).cast("I"),
        memoryview(PAGE).cast("B", shape=[64, 64]),
        mapped(),
        array.array("B", PAGE),
        array.array("d", PAGE),
        (ctypes.c_char * 4096).from_buffer_copy(PAGE),
        Structure.from_buffer_copy(PAGE),
        io.BytesIO(PAGE).getbuffer(),
    ],
    ids=lambda image: type(image).__name__,
)
def test_every_bytes_like_object_is_an_image(db: Path, image: Any) -> None:
    with Coordinator(db) as wal:
        wal.commit([(1, image)], txn_id=1, commit_seq=1, metadata=image)
    (batch,) = epochwal.recover(db)
    assert batch.frames[0].data == PAGE
    assert batch.metadata == PAGE


@pytest.mark.parametrize(
    "image",
    [
        memoryview(PAGE)[::2],
        memoryview(PAGE)[::-1],
        memoryview(PAGE).cast("B", shape=[64, 64])[::2],
    ],
    ids=["strided", "reversed", "rows"],
)
def test_scattered_memory_is_refused(wal: Coordinator, image: memoryview) -> None:
    with pytest.raises(epochwal.InvalidError, match=r"frames\[1\].*contiguous"):
        wal.submit([(1, b"x"), (2, image)], txn_id=1, commit_seq=1)
    with pytest.raises(epochwal.InvalidError, match=r"metadata.*contiguous"):
        wal.submit([(1, b"x")], txn_id=1, commit_seq=1, metadata=image)
    assert wal.stats()["batches"] == 0


def test_a_released_memoryview_is_refused(wal: Coordinator) -> None:
    view = memoryview(PAGE)
    view.release()
    with pytest.raises(ValueError, match="released"):
        wal.submit([(1, view)], txn_id=1, commit_seq=1)


@pytest.mark.parametrize(
    ("frames", "error", "message"),
    [
        ([], epochwal.InvalidError, "frame"),
        ([(0, b"x")], epochwal.InvalidError, "page"),
        ([(1, b"")], epochwal.InvalidError, "1"),
        ([(1, bytes(65537))], ValueError, "65536"),
        ([(-1, b"x")], epochwal.InvalidError, r"frames\[0\].page: -1"),
        ([(1 << 32, b"x")], epochwal.InvalidError, r"frames\[0\].page: 4294967296"),
        ([(1, b"x", -2)], epochwal.InvalidError, r"frames\[0\].db_size: -2"),
        ([(1, b"x"), ("1", b"x")], TypeError, r"frames\[1\].page: .*'str'"),
        ([(1, b"x"), (1.0, b"x")], TypeError, r"frames\[1\].page: .*'float'"),
        ([(1, "x")], TypeError, r"frames\[0\].data: .*bytes-like.*'str'"),
        ([(1, None)], TypeError, r"frames\[0\].data: .*'NoneType'"),
        ([(1, b"x", None)], TypeError, r"frames\[0\].db_size"),
        ([(1,)], TypeError, r"frames\[0\]: 1 parts"),
        ([(1, b"x", 1, 1)], TypeError, r"frames\[0\]: 4 parts"),
        ([b"xy"], TypeError, r"frames\[0\]: .*tuple.*'bytes'"),
        ([1], TypeError, r"frames\[0\]: .*'int'"),
        (1, TypeError, r"frames: an iterable .*'int'"),
        (None, TypeError, "frames"),
        ("xy", TypeError, "frames"),
        ({1: b"x"}, TypeError, "frames"),
    ],
)
def test_bad_frames_are_refused_by_index(
    wal: Coordinator, frames: Any, error: type[Exception], message: str
) -> None:
    for call in (wal.submit, wal.commit):
        with pytest.raises(error, match=message):
            call(frames, txn_id=1, commit_seq=1)
    assert wal.stats()["batches"] == 0
    assert wal.durable_epoch is None


def test_frames_may_come_from_any_iterable(db: Path) -> None:
    def generated() -> Iterator[tuple[int, bytes]]:
        yield 1, page(1)
        yield 2, page(2)

    with Coordinator(db) as wal:
        wal.submit(generated(), txn_id=1, commit_seq=1)
        lists: Any = iter([[1, page(1)], (2, page(2))])
        wal.submit(lists, txn_id=2, commit_seq=2)
        wal.submit([epochwal.Frame(1, page(1), 0), (2, page(2), 9)], txn_id=3, commit_seq=3)
    assert recovered(db) == [page(1), page(2)] * 3


def test_an_iterables_own_exception_comes_through(wal: Coordinator) -> None:
    def failing() -> Iterator[tuple[int, bytes]]:
        yield 1, b"x"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        wal.submit(failing(), txn_id=1, commit_seq=1)
    assert wal.stats()["batches"] == 0


def test_a_generator_may_use_the_coordinator(db: Path) -> None:
    with Coordinator(db) as wal:

        def nested() -> Iterator[tuple[int, bytes]]:
            wal.commit([(1, page(1))], txn_id=1, commit_seq=1)
            yield 2, page(2)

        wal.commit(nested(), txn_id=2, commit_seq=2)
    assert recovered(db) == [page(1), page(2)]


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"txn_id": 0, "commit_seq": 1}, epochwal.InvalidError, "transaction|txn_id"),
        ({"txn_id": 1, "commit_seq": 0}, epochwal.InvalidError, "sequence|commit_seq"),
        ({"txn_id": -1, "commit_seq": 1}, epochwal.InvalidError, "txn_id: -1"),
        ({"txn_id": 1 << 64, "commit_seq": 1}, epochwal.InvalidError, "txn_id: 1844"),
        ({"txn_id": 1, "commit_seq": -1}, epochwal.InvalidError, "commit_seq: -1"),
        ({"txn_id": 1, "commit_seq": 1, "txn_epoch": 1 << 32}, ValueError, "txn_epoch"),
        ({"txn_id": "1", "commit_seq": 1}, TypeError, "txn_id: .*'str'"),
        ({"txn_id": 1, "commit_seq": 1, "metadata": "x"}, TypeError, "metadata"),
        ({"txn_id": 1, "commit_seq": 1, "metadata": bytes(65537)}, ValueError, "metadata"),
        ({"commit_seq": 1}, TypeError, "txn_id"),
    ],
)
def test_bad_heads_are_refused_by_name(
    wal: Coordinator, keywords: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        wal.submit([(1, b"x")], **keywords)


@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan])
def test_a_timeout_is_no_negative_time(wal: Coordinator, timeout: float) -> None:
    with pytest.raises(epochwal.InvalidError, match="timeout"):
        wal.flush(timeout)
    with pytest.raises(epochwal.InvalidError, match="timeout"):
        wal.commit([(1, b"x")], txn_id=1, commit_seq=1, timeout=timeout)


@pytest.mark.parametrize("timeout", [None, 1e300, math.inf, 3600, True])
def test_a_timeout_may_be_as_long_as_it_likes(wal: Coordinator, timeout: float) -> None:
    wal.commit([(1, b"x")], txn_id=1, commit_seq=1, timeout=timeout)
    wal.flush(timeout)


@pytest.mark.parametrize("path", ["app.db", b"app.db", Path("app.db"), os.fsencode("caf\xe9")])
def test_a_path_may_be_text_bytes_or_an_object(
    tmp_path: Path, path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Coordinator(path) as wal:
        wal.commit([(1, b"x")], txn_id=1, commit_seq=1)
        assert wal.path == str(tmp_path / os.fsdecode(path))
    assert len(list(epochwal.recover(path))) == 1


def test_a_path_that_is_no_text_comes_back_as_python_writes_it(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "app") + b"\xff"
    with Coordinator(path) as wal:
        wal.commit([(1, b"x")], txn_id=1, commit_seq=1)
        assert os.fsencode(wal.path) == path
    (segment,) = epochwal.list_segments(path)
    assert os.fsencode(segment.path).startswith(path)


def test_bad_paths_are_refused(tmp_path: Path) -> None:
    bad: Any
    for bad in ("", b"", "a\0b"):
        with pytest.raises(epochwal.InvalidError, match="path"):
            Coordinator(bad)
    for bad in (1, None):
        with pytest.raises(TypeError):
            Coordinator(bad)
    with pytest.raises(OSError, match="nowhere") as raised:
        Coordinator(tmp_path / "nowhere" / "app.db")
    assert isinstance(raised.value, epochwal.Error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slot_count", 65536),
        ("slot_count", 1 << 40),
        ("slot_count", -1),
        ("epoch_interval", 1e-9),
        ("epoch_interval", 3601),
        ("epoch_interval", -1),
        ("epoch_interval", math.nan),
        ("epoch_interval", math.inf),
        ("epoch_interval", "never"),
        ("buffer_capacity", 100),
        ("overflow_policy", "explode"),
        ("block_timeout", 4000),
        ("block_timeout", -1),
        ("max_memory", 1),
        ("max_batch_bytes", 1),
        ("max_log_bytes", 1),
        ("max_log_bytes", 1 << 64),
        ("sync_policy", "maybe"),
        ("sync_style", "FULL"),
        ("segment_size", 5000),
        ("segment_size", 1 << 40),
        ("segment_format", 3),
        ("sequencing", ""),
        ("database_id", b"short"),
    ],
)
def test_an_option_out_of_range_is_named(db: Path, name: str, value: Any) -> None:
    keywords: Any = {name: value}
    with pytest.raises(epochwal.InvalidError, match=name):
        Coordinator(db, **keywords)
    assert list(db.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slot_count", "many"),
        ("slot_count", 1.5),
        ("epoch_interval", b"off"),
        ("epoch_interval", []),
        ("block_timeout", "1"),
        ("overflow_policy", 1),
        ("database_id", "sixteen letters!"),
        ("salvage", "yes"),
        ("unheard_of", 1),
    ],
)
def test_an_option_of_the_wrong_type_is_named(db: Path, name: str, value: Any) -> None:
    keywords: Any = {name: value}
    with pytest.raises(TypeError, match=name):
        Coordinator(db, **keywords)


def calls(db: Path) -> Iterator[tuple[Callable[..., object], dict[str, Any], str]]:
    """Give every public call, arguments for it, and the name of one of them."""
    spool = epochwal.Spool(db)
    objects: list[Any] = [Coordinator(db), spool, spool.cursor(0), epochwal.Primary(None)]
    objects.append(epochwal.SpoolReader(db))
    for it in [epochwal, *objects]:
        ticket: Any = epochwal.SpoolTicket(1, 1, 1) if it is spool else 1
        good = GOOD | {"path": db, "target": db, "ticket": ticket}
        public = epochwal.__all__ if it is epochwal else dir(it)
        for name in public:
            call = getattr(it, name)
            own = inspect.isbuiltin(call) or (inspect.isclass(call) and hasattr(call, "close"))
            if name.startswith("_") or not own:
                continue
            for wrong in parameters(call):
                yield call, {p: good[p] for p in parameters(call) if p in good}, wrong
    for it in reversed(objects):
        it.close()


def test_a_wrong_type_is_refused_by_the_arguments_name(tmp_path: Path) -> None:
    tried = 0
    for call, given, wrong in calls(tmp_path / "app.db"):
        with pytest.raises(TypeError) as raised:
            call(**given | {wrong: object()})
        # In the text itself: a note is not what a log keeps.
        assert f"{wrong}: " in str(raised.value), (call, wrong)
        assert "'object'" in str(raised.value), (call, wrong)
        tried += 1
    assert tried > 180


def test_none_and_zero_are_the_defaults(db: Path) -> None:
    names = set(epochwal.Options.__annotations__) - {"salvage", "shared", "database_id"}
    for nothing in (None, 0):
        keywords: Any = dict.fromkeys(names, nothing)
        if nothing == 0:
            # Words have no zero.
            for word in ("overflow_policy", "sync_policy", "sync_style", "sequencing"):
                del keywords[word]
        with Coordinator(db, database_id=bytes(16), **keywords) as wal:
            stats = wal.stats()
            assert (stats["lanes"], stats["max_memory"]) == (128, 256 << 20)


def test_every_option_is_taken(db: Path) -> None:
    options: epochwal.Options = {
        "slot_count": 3,
        "epoch_interval": 0.5,
        "buffer_capacity": 1 << 16,
        "overflow_policy": "block",
        "block_timeout": 1.5,
        "max_memory": 1 << 20,
        "max_batch_bytes": 1 << 18,
        "max_log_bytes": 1 << 22,
        "sync_policy": "normal",
        "sync_style": "buffered",
        "segment_size": 1 << 16,
        "segment_format": 2,
        "sequencing": "coordinator",
        "database_id": b"0123456789abcdef",
        "salvage": False,
        "shared": False,
    }
    assert set(options) == set(epochwal.Options.__annotations__)
    with Coordinator(db, **options) as wal:
        wal.commit([(1, PAGE)], txn_id=1)
        stats = wal.stats()
        assert (stats["lanes"], stats["max_memory"], stats["max_log_bytes"]) == (
            3,
            1 << 20,
            1 << 22,
        )
