from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Literal, Self, final

from typing_extensions import Buffer

from epochwal._types import (
    AckResult,
    Batch,
    Bounds,
    Event,
    Frames,
    Pages,
    PrimaryStats,
    Progress,
    RecordLike,
    Registration,
    Replica,
    Report,
    ResumePlan,
    Segment,
    SegmentRecord,
    Slot,
    SpoolRecord,
    SpoolReport,
    SpoolSalvage,
    SpoolTicket,
    Stats,
    StrPath,
    Suspect,
    TermStart,
    Ticket,
)

__all__ = [
    "AckWatch",
    "Coordinator",
    "Cursor",
    "Primary",
    "Recovery",
    "Spool",
    "SpoolReader",
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
    "spool_salvage",
    "verify",
]

__version__: str

@final
class AckWatch:
    def decided(self) -> bool: ...
    def finish(self) -> AckResult: ...
    def close(self) -> None: ...
    @property
    def local(self) -> bool: ...

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
    def checkpoint(self, through_epoch: Ticket | int) -> None: ...
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
class Primary:
    def __new__(
        cls,
        path: StrPath | None,
        *,
        max_payload: int | None = None,
        ring_bytes: int | None = None,
        ring_records: int | None = None,
        dense: bool = False,
        flush_interval: float | None = None,
        block_timeout: float | None = None,
        max_memory: int | None = None,
        max_log_bytes: int | None = None,
        sync_policy: Literal["full", "normal", "off"] | None = None,
        sync_style: Literal["probe", "direct", "buffered"] | None = None,
        segment_size: int | None = None,
        salvage: bool = False,
        format: Literal["native", "rdlw"] | None = None,
        term_of: Callable[[bytes], int | None] | None = None,
        healthy_for: float | None = None,
        horizon_lsns: int | Literal["off"] | None = None,
        horizon_bytes: int | Literal["off"] | None = None,
        idle_timeout: float | Literal["off"] | None = None,
        max_slots: int | None = None,
        save_interval: float | None = None,
        trace_capacity: int | None = None,
        salvage_slots: bool = False,
    ) -> Self: ...
    @property
    def spool(self) -> Spool: ...
    def register(self, id: str, region: str | None = None) -> Registration: ...
    def ensure_registered(self, id: str, region: str | None = None) -> Registration: ...
    def unregister(self, id: str) -> None: ...
    def note_pull(self, id: str, generation: int, sent_lsn: int) -> None: ...
    def touch(self, id: str, generation: int) -> None: ...
    def ack(
        self,
        id: str,
        generation: int,
        *,
        written: int = 0,
        durable: int = 0,
        applied: int = 0,
        apply_errors: int = 0,
        divergences: int = 0,
    ) -> None: ...
    def plan_resume(self, id: str, since_lsn: int, term: int | None = None) -> ResumePlan: ...
    def set_rebootstrapping(self, id: str, rebootstrapping: bool) -> None: ...
    def replicas(self) -> list[Replica]: ...
    def progress(self) -> Progress: ...
    def wait_acks(
        self,
        lsn: int,
        policy: str = "any 1",
        level: Literal["written", "durable", "flushed", "applied"] = "durable",
        timeout: float | None = None,
        *,
        degrade: bool = False,
    ) -> AckResult: ...
    def watch_acks(
        self,
        lsn: int,
        policy: str = "any 1",
        level: Literal["written", "durable", "flushed", "applied"] = "durable",
        *,
        degrade: bool = False,
    ) -> AckWatch: ...
    def event_fd(self) -> int: ...
    def quorum_lsn(
        self,
        n: int,
        level: Literal["written", "durable", "flushed", "applied"] = "durable",
    ) -> int: ...
    def slots(self) -> list[Slot]: ...
    def slot(self, id: str) -> Slot: ...
    def slot_create(
        self, id: str, lsn: int | None = None, *, temporary: bool = False
    ) -> None: ...
    def slot_drop(self, id: str) -> None: ...
    def slot_reset(self, id: str, lsn: int | None) -> None: ...
    def export_slots(self) -> bytes: ...
    def enforce_limits(self, now_unix_ms: int | None = None) -> list[Slot]: ...
    def prune(self, archived_lsn: int | None = None) -> int: ...
    def save(self) -> None: ...
    def stats(self) -> PrimaryStats: ...
    def events_since(self, number: int = 0) -> list[Event]: ...
    def close(self, timeout: float | None = None) -> None: ...
    @property
    def topology_epoch(self) -> int: ...
    @property
    def path(self) -> str | None: ...
    @property
    def salvaged(self) -> str | None: ...
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

@final
class Spool:
    def __new__(
        cls,
        path: StrPath,
        *,
        max_payload: int | None = None,
        ring_bytes: int | None = None,
        ring_records: int | None = None,
        dense: bool = False,
        flush_interval: float | None = None,
        block_timeout: float | None = None,
        max_memory: int | None = None,
        max_log_bytes: int | None = None,
        sync_policy: Literal["full", "normal", "off"] | None = None,
        sync_style: Literal["probe", "direct", "buffered"] | None = None,
        segment_size: int | None = None,
        salvage: bool = False,
        format: Literal["native", "rdlw"] | None = None,
        term_of: Callable[[bytes], int | None] | None = None,
    ) -> Self: ...
    @staticmethod
    def in_memory(
        *,
        max_payload: int | None = None,
        ring_bytes: int | None = None,
        ring_records: int | None = None,
        dense: bool = False,
        flush_interval: float | None = None,
        block_timeout: float | None = None,
        max_memory: int | None = None,
        max_log_bytes: int | None = None,
        sync_policy: Literal["full", "normal", "off"] | None = None,
        sync_style: Literal["probe", "direct", "buffered"] | None = None,
        segment_size: int | None = None,
        salvage: bool = False,
        format: Literal["native", "rdlw"] | None = None,
        term_of: Callable[[bytes], int | None] | None = None,
    ) -> Spool: ...
    def append(
        self,
        *,
        term: int,
        lsn: int,
        payload: Buffer,
        timestamp_ms: int | None = None,
        timeout: float | None = None,
    ) -> SpoolTicket: ...
    def append_batch(
        self, records: Iterable[RecordLike], *, timeout: float | None = None
    ) -> SpoolTicket: ...
    def submit(
        self, *, term: int, lsn: int, payload: Buffer, timestamp_ms: int | None = None
    ) -> SpoolTicket: ...
    def submit_batch(self, records: Iterable[RecordLike]) -> SpoolTicket: ...
    def wait(self, ticket: SpoolTicket, timeout: float | None = None) -> None: ...
    def poll(self, ticket: SpoolTicket) -> bool: ...
    def request_flush(self, ticket: SpoolTicket) -> None: ...
    def flush(self, timeout: float | None = None) -> None: ...
    def read_since(
        self,
        lsn: int,
        *,
        term: int | None = None,
        max_records: int | None = None,
        max_bytes: int | None = None,
    ) -> list[SpoolRecord]: ...
    def cursor(self, lsn: int) -> Cursor: ...
    def wait_after(self, lsn: int, timeout: float | None = None) -> None: ...
    def prune_through(self, lsn: int) -> int: ...
    def truncate_after(self, lsn: int, new_term: int) -> str | None: ...
    def export_rdlw(self, path: StrPath) -> int: ...
    def event_fd(self) -> int: ...
    def stats(self) -> Stats | None: ...
    def close(self, timeout: float | None = None) -> None: ...
    @property
    def bounds(self) -> Bounds: ...
    @property
    def oldest_lsn(self) -> int: ...
    @property
    def current_lsn(self) -> int: ...
    @property
    def pruned_through(self) -> int: ...
    @property
    def term(self) -> int: ...
    @property
    def terms(self) -> list[TermStart]: ...
    @property
    def lost(self) -> list[tuple[int, int]]: ...
    @property
    def path(self) -> str | None: ...
    @property
    def torn(self) -> Suspect | None: ...
    @property
    def salvaged(self) -> list[str]: ...
    @property
    def imported(self) -> str | None: ...
    @property
    def saved_tail(self) -> str | None: ...
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
class Cursor:
    def next_batch(
        self,
        timeout: float | None = None,
        *,
        max_records: int | None = None,
        max_bytes: int | None = None,
    ) -> list[SpoolRecord]: ...
    def close(self) -> None: ...
    @property
    def lsn(self) -> int: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> SpoolRecord: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class SpoolReader:
    def __new__(cls, path: StrPath, *, since: int | None = None) -> Self: ...
    def next_batch(
        self, *, max_records: int | None = None, max_bytes: int | None = None
    ) -> list[SpoolRecord]: ...
    @property
    def report(self) -> SpoolReport: ...
    def close(self) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> SpoolRecord: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

def spool_salvage(path: StrPath) -> SpoolSalvage: ...
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
