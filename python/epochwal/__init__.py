"""epochwal: the durability kit for people who write databases.

A ``Coordinator`` is a parallel page WAL with epoch group commit: threads stage
the page frames of their transactions, whatever is staged reaches the disk as
one group with one sync, and committers wait for their epoch. After a crash
``recover`` gives back exactly the committed prefix.

>>> page1, page2 = bytes(4096), bytes([1]) * 4096
>>> with epochwal.Coordinator("app.db") as wal:
...     ticket = wal.commit([(1, page1), (2, page2, 2)], txn_id=7, commit_seq=1)
>>> for batch in epochwal.recover("app.db"):
...     for page_number, data, db_size_if_commit in batch.frames:
...         print(batch.txn_id, page_number, len(data), db_size_if_commit)
7 1 4096 0
7 2 4096 2

A ``Spool`` is a durable log of records for replication: each has an LSN, a term
and a payload, and is read back from any point.

>>> with epochwal.Spool("app.db") as spool:
...     ticket = spool.append(term=1, lsn=1, payload=b"insert a")
...     for record in spool.read_since(0):
...         print(record.lsn, record.term, record.payload)
1 1 b'insert a'

A ``Primary`` is a spool with those who follow it: slots keep what each replica
still needs, and a commit can wait for them.

>>> with epochwal.Primary("app.db") as primary:
...     replica = primary.register("replica-1", region="eu")
...     ticket = primary.spool.append(term=1, lsn=2, payload=b"insert b")
...     primary.ack("replica-1", replica.generation, durable=2)
...     primary.wait_acks(2, policy="any 1", timeout=1.0)
AckResult(outcome='reached', degraded=False, observed=1, required=1)

``epochwal.aio`` has the same for asyncio. Every exception is an
``epochwal.Error``.
"""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING

from epochwal._errors import (
    AheadError,
    BusyError,
    ClosedError,
    CorruptError,
    DivergedError,
    Error,
    ExistsError,
    FailedError,
    FencedError,
    ForkedError,
    FormatError,
    InvalidError,
    IoError,
    LockedError,
    NoSpaceError,
    NotFoundError,
    OrderError,
    OutcomeUnknownError,
    OutOfMemoryError,
    Timeout,
    TooLargeError,
    UnsupportedError,
    WalRemovedError,
)
from epochwal._native import (
    AckWatch,
    Coordinator,
    Cursor,
    Primary,
    Recovery,
    Spool,
    SpoolReader,
    __version__,
    cleanup_segments,
    list_segments,
    max_durable_epoch,
    recover,
    recover_into_file,
    recover_pages,
    segment_delete,
    segment_path,
    segment_read,
    segment_write,
    spool_salvage,
    verify,
)
from epochwal._types import (
    AckResult,
    Batch,
    Bounds,
    Epochs,
    Event,
    Frame,
    Latency,
    Options,
    Pages,
    PrimaryOptions,
    PrimaryStats,
    Progress,
    Registration,
    Replica,
    Report,
    ResumePlan,
    Segment,
    SegmentRecord,
    Slot,
    SpoolOptions,
    SpoolRecord,
    SpoolReport,
    SpoolSalvage,
    SpoolTicket,
    Stats,
    Suspect,
    TermStart,
    Ticket,
)

__all__ = [
    "AckResult",
    "AckWatch",
    "AheadError",
    "Batch",
    "Bounds",
    "BusyError",
    "ClosedError",
    "Coordinator",
    "CorruptError",
    "Cursor",
    "DivergedError",
    "Epochs",
    "Error",
    "Event",
    "ExistsError",
    "FailedError",
    "FencedError",
    "ForkedError",
    "FormatError",
    "Frame",
    "InvalidError",
    "IoError",
    "Latency",
    "LockedError",
    "NoSpaceError",
    "NotFoundError",
    "Options",
    "OrderError",
    "OutOfMemoryError",
    "OutcomeUnknownError",
    "Pages",
    "Primary",
    "PrimaryOptions",
    "PrimaryStats",
    "Progress",
    "Recovery",
    "Registration",
    "Replica",
    "Report",
    "ResumePlan",
    "Segment",
    "SegmentRecord",
    "Slot",
    "Spool",
    "SpoolOptions",
    "SpoolReader",
    "SpoolRecord",
    "SpoolReport",
    "SpoolSalvage",
    "SpoolTicket",
    "Stats",
    "Suspect",
    "TermStart",
    "Ticket",
    "Timeout",
    "TooLargeError",
    "UnsupportedError",
    "WalRemovedError",
    "__version__",
    "aio",
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

for _name in __all__:
    # As tracebacks, pickles and reprs should name them: where they are found.
    if isinstance(_value := globals().get(_name), type):
        _value.__module__ = __name__

if _TYPE_CHECKING:
    from epochwal import aio


def __getattr__(name: str) -> object:
    # asyncio takes longer to import than all the rest.
    if name == "aio":
        return _importlib.import_module("epochwal.aio")
    raise AttributeError(f"module 'epochwal' has no attribute {name!r}")
