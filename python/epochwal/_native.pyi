from collections.abc import Iterable
from types import TracebackType
from typing import Literal, Self, final

from typing_extensions import Buffer

from epochwal._types import (
    Batch,
    Frames,
    Pages,
    Report,
    Segment,
    SegmentRecord,
    Stats,
    StrPath,
    Ticket,
)

__all__ = [
    "Coordinator",
    "Recovery",
    "__version__",
    "cleanup_segments",
    "list_segments",
    "max_durable_epoch",
    "recover",
    "recover_into_file",
    "recover_pages",
    "segment_delete",
    "segment_path",
    "segment_read",
    "segment_write",
    "verify",
]

__version__: str

@final
class Coordinator:
    def __new__(
        cls,
        path: StrPath,
        *,
        slot_count: int | None = None,
        epoch_interval: float | Literal["off"] | None = None,
        buffer_capacity: int | None = None,
        overflow_policy: Literal["spill", "block", "refuse"] | None = None,
        block_timeout: float | None = None,
        max_memory: int | None = None,
        max_batch_bytes: int | None = None,
        max_log_bytes: int | None = None,
        sync_policy: Literal["full", "normal", "off"] | None = None,
        sync_style: Literal["probe", "direct", "buffered"] | None = None,
        segment_size: int | None = None,
        segment_format: int | None = None,
        sequencing: Literal["caller", "coordinator"] | None = None,
        database_id: Buffer | None = None,
        salvage: bool = False,
        shared: bool = False,
    ) -> Self: ...
    def submit(
        self,
        frames: Frames,
        *,
        txn_id: int,
        commit_seq: int = 0,
        txn_epoch: int = 0,
        metadata: Buffer = b"",
    ) -> Ticket: ...
    def commit(
        self,
        frames: Frames,
        *,
        txn_id: int,
        commit_seq: int = 0,
        txn_epoch: int = 0,
        metadata: Buffer = b"",
        timeout: float | None = None,
    ) -> Ticket: ...
    def wait(self, ticket: Ticket | int, timeout: float | None = None) -> None: ...
    def poll(self, ticket: Ticket | int) -> bool: ...
    def flush(self, timeout: float | None = None) -> int: ...
    def request_flush(self, ticket: Ticket | int) -> None: ...
    def event_fd(self) -> int: ...
    def checkpoint(self, epoch: Ticket | int) -> None: ...
    def stats(self) -> Stats: ...
    def prometheus(self) -> str: ...
    def close(self, timeout: float | None = None) -> None: ...
    @property
    def durable_epoch(self) -> int | None: ...
    @property
    def current_epoch(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def salvaged(self) -> list[str]: ...
    @property
    def closed(self) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Recovery:
    def __iter__(self) -> Self: ...
    def __next__(self) -> Batch: ...
    @property
    def report(self) -> Report: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

def recover(
    path: StrPath,
    *,
    durable_prefix: bool = False,
    verify_only: bool = False,
    database_id: Buffer | None = None,
) -> Recovery: ...
def recover_into_file(
    path: StrPath,
    target: StrPath,
    page_size: int,
    *,
    durable_prefix: bool = False,
    delete_segments: bool = False,
    database_id: Buffer | None = None,
) -> Report: ...
def recover_pages(
    path: StrPath,
    *,
    durable_prefix: bool = False,
    database_id: Buffer | None = None,
) -> Pages: ...
def verify(path: StrPath, *, database_id: Buffer | None = None) -> Report: ...
def max_durable_epoch(path: StrPath) -> int | None: ...
def list_segments(path: StrPath) -> list[Segment]: ...
def cleanup_segments(path: StrPath) -> int: ...
def segment_path(path: StrPath, epoch: Ticket | int) -> str: ...
def segment_read(path: StrPath, epoch: Ticket | int) -> list[SegmentRecord]: ...
def segment_write(
    path: StrPath, epoch: Ticket | int, records: Iterable[SegmentRecord]
) -> str: ...
def segment_delete(path: StrPath, epoch: Ticket | int) -> None: ...
