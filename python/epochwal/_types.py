"""What calls take and give: plain tuples and dicts with named parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypedDict

if TYPE_CHECKING:
    from typing_extensions import Buffer
else:
    # Python has no name for it before 3.12.
    Buffer = Any

StrPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
#: A page's number, its image, and on a committing frame the database's size in pages.
FrameLike: TypeAlias = tuple[int, Buffer] | tuple[int, Buffer, int]
Frames: TypeAlias = Iterable[FrameLike]


class Ticket(NamedTuple):
    """The epoch and commit sequence that a staged batch was given."""

    epoch: int
    commit_seq: int


class Frame(NamedTuple):
    """One page image; ``db_size_if_commit`` is 0 but on a committing frame."""

    page_number: int
    data: bytes
    db_size_if_commit: int


class Batch(NamedTuple):
    """One recovered transaction; its frames are in write order."""

    epoch: int
    commit_seq: int
    txn_id: int
    txn_epoch: int
    frames: list[Frame]
    metadata: bytes


class Epochs(Collection[int]):
    """A set of epochs, ascending, kept as ranges of first and last."""

    __slots__ = ("ranges",)
    __match_args__ = ("ranges",)

    #: The ranges, first and last included.
    ranges: tuple[tuple[int, int], ...]

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self.ranges = tuple(ranges)

    @property
    def first(self) -> int | None:
        """The lowest epoch, if any."""
        return self.ranges[0][0] if self.ranges else None

    @property
    def last(self) -> int | None:
        """The highest epoch, if any."""
        return self.ranges[-1][1] if self.ranges else None

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)

    def __contains__(self, epoch: object) -> bool:
        return isinstance(epoch, int) and any(
            first <= epoch <= last for first, last in self.ranges
        )

    def __eq__(self, other: object) -> bool:
        return self.ranges == other.ranges if isinstance(other, Epochs) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.ranges)

    def __repr__(self) -> str:
        return f"Epochs({list(self.ranges)!r})"


class Suspect(NamedTuple):
    """A file in which something torn or corrupt was found, and where."""

    path: str
    offset: int
    verdict: Literal["clean", "torn", "corrupt"]
    reason: str


class Report(NamedTuple):
    """The result of a recovery.

    segments: segment files read to their end
    batches: batches handed out or, where nothing is handed out, checked
    records: frames in them: the records applied
    bytes_read: bytes of segments read
    epochs: the epochs that were recovered
    highest_commit_seq: the highest commit sequence; 0 where there was none
    checkpoint_epoch: epochs up to this one are checkpointed, and not handed out
    unconfirmed: epochs of the tail that only the next open confirms durable
    db_size: database size in pages from the last commit; 0 where none said
    verdict: "clean", "torn" (the tail was dropped), "corrupt" (durable prefix only)
    suspects: torn and corrupt files, in the order of the log
    """

    segments: int
    batches: int
    records: int
    bytes_read: int
    epochs: Epochs
    highest_commit_seq: int
    checkpoint_epoch: int | None
    unconfirmed: Epochs
    db_size: int
    verdict: Literal["clean", "torn", "corrupt"]
    suspects: list[Suspect]


class Pages(NamedTuple):
    """A recovery into memory: each page's number and image."""

    pages: dict[int, bytes]
    db_size: int
    report: Report


class Segment(NamedTuple):
    """A segment file as a listing shows it.

    first_epoch: from its name
    last_epoch: the last that can be read in it, if any
    bytes: its length
    version: 1 or 2; 0 where the header cannot be read
    checkpointed: whether the checkpoint has passed it
    """

    path: str
    first_epoch: int
    last_epoch: int | None
    bytes: int
    version: int
    checkpointed: bool


class SegmentRecord(NamedTuple):
    """One write of one page in a version 1 segment.

    ``end_seq`` is None where the write was aborted. The images may be empty;
    for ``segment_write`` they are any bytes-like objects.
    """

    txn_id: int
    txn_epoch: int
    epoch: int
    page_number: int
    begin_seq: int
    end_seq: int | None
    before: Buffer
    after: Buffer


class SpoolTicket(NamedTuple):
    """What submitted records were given: what to wait for.

    epoch: the epoch that they become durable with; 0 in memory
    first_lsn: of the first record, and last_lsn of the last
    """

    epoch: int
    first_lsn: int
    last_lsn: int


class SpoolRecord(NamedTuple):
    """A record of a spool.

    It may be given to another spool as it is. ``payload`` is bytes where a spool
    gave it; a ``timestamp_ms`` of 0 stands for the time of the append.
    """

    term: int
    lsn: int
    payload: bytes
    timestamp_ms: int = 0


#: Term, LSN, payload, and perhaps the time in milliseconds.
RecordLike: TypeAlias = (
    tuple[int, int, Buffer] | tuple[int, int, Buffer, int | None] | SpoolRecord
)


class Bounds(NamedTuple):
    """The first and the last LSN of a spool, and where pruning has come to."""

    oldest_lsn: int
    current_lsn: int
    pruned_through: int


class TermStart(NamedTuple):
    """A term, and the first LSN that can be of it."""

    term: int
    first_lsn: int


class SpoolReport(NamedTuple):
    """What a SpoolReader has read, and what it knows of the spool.

    exists: whether there is a spool at all
    writer: whether a writer lives; what it has made durable is what is given
    clean: whether the spool was closed, and not opened since
    records: how many were read
    payload_bytes: of these
    first_lsn: of these, and last_lsn; 0 where there are none
    pruned_through: records at or below it are pruned, and not given
    current_lsn: the highest LSN there is or was, pruned ones included
    durable_lsn: records above it are whole, but only the next open confirms them
    quorum_lsn: the highest LSN that a commit wait called reached
    terms: the history of terms, ascending
    lost: what salvages have lost: LSNs above the first number of each pair and
        through the second
    bytes_read: bytes of files read
    verdict: "clean", "torn" (the tail was dropped), "corrupt"
    suspects: where and why, unless it is clean
    """

    exists: bool
    writer: bool
    clean: bool
    records: int
    payload_bytes: int
    first_lsn: int
    last_lsn: int
    pruned_through: int
    current_lsn: int
    durable_lsn: int
    quorum_lsn: int
    terms: list[TermStart]
    lost: list[tuple[int, int]]
    bytes_read: int
    verdict: Literal["clean", "torn", "corrupt"]
    suspects: list[Suspect]


class SpoolSalvage(NamedTuple):
    """What a salvage did: the files it moved, and what it left.

    torn: what was dropped of records that were never acknowledged
    lost: LSNs that are lost, above the first number of each pair and through the
        second; a read that comes to them raises WalRemovedError
    """

    moved: list[str]
    torn: Suspect | None
    bounds: Bounds
    lost: list[tuple[int, int]]


class Registration(NamedTuple):
    """What a replica is given when it registers.

    restart_lsn: its slot's; for a new replica the end of the log
    generation: its session; acknowledgements of any other are refused
    created: whether the slot was made now
    """

    restart_lsn: int
    generation: int
    created: bool


class ResumePlan(NamedTuple):
    """How a replica goes on; what its kind does not have is None.

    resume_lsn: where it reads on, if the kind is "partial"
    cause: why it must be loaded from a snapshot, if it is "rebootstrap"
    common_lsn: what it has above this it gives up, if it is "diverged"
    """

    kind: Literal["partial", "rebootstrap", "diverged"]
    resume_lsn: int | None
    cause: Literal["unknown", "wal-removed", "horizon", "idle-timeout"] | None
    common_lsn: int | None


class AckResult(NamedTuple):
    """What a commit wait came to.

    outcome: whether the policy was met in time, or can't be
    degraded: the commit counts although the policy is not met
    observed: acknowledgements that count
    required: acknowledgements the policy asks for
    """

    outcome: Literal["reached", "timed-out", "unmeetable"]
    degraded: bool
    observed: int
    required: int


class Slot(NamedTuple):
    """What the log holds back for one replica. Times are Unix milliseconds.

    restart_lsn: durable at the replica: nothing above it is pruned
    confirmed_lsn: applied by the replica
    saved_lsn: the restart LSN that a crash would leave
    temporary: not saved; gone with the primary or its replica
    registered: whether its replica is a member of the registry
    rebootstrapping: whether that is being loaded from a snapshot
    origin: who says where it stands: a registration, an operator, the replica
    invalidated: why it holds nothing back any more; None: it is valid
    wal_status: "extended" beyond half of the horizon, "unreserved" beyond all of it
    safe_wal_size: bytes that can be written until it is invalidated; None: no horizon
    """

    id: str
    region: str | None
    restart_lsn: int
    confirmed_lsn: int
    saved_lsn: int
    created_ms: int
    last_seen_ms: int
    temporary: bool
    registered: bool
    rebootstrapping: bool
    origin: Literal["pinned", "given", "acknowledged"]
    invalidated: Literal["wal-removed", "horizon", "idle-timeout"] | None
    invalidated_ms: int | None
    wal_status: Literal["reserved", "extended", "unreserved", "lost"]
    safe_wal_size: int | None


class Replica(NamedTuple):
    """A member of the registry. Times are Unix milliseconds.

    generation: of its session; 0 where it has had none since the primary was opened
    counts: whether commits may count on it
    sent_lsn: noted by note_pull, or acknowledged, as the other LSNs are
    apply_errors: as it says itself, in all, and so are divergences
    """

    id: str
    region: str | None
    generation: int
    connected_at_ms: int
    last_seen_ms: int
    healthy: bool
    rebootstrapping: bool
    counts: bool
    sent_lsn: int
    written_lsn: int
    durable_lsn: int
    applied_lsn: int
    apply_errors: int
    divergences: int


class Progress(NamedTuple):
    """How far the replicas that count are together; 0 where there is none.

    lag: from highest_sent back to lowest_applied
    safe_replay_lsn: the lowest LSN that one has durable: all can replay to it
    retention_floor: the lowest restart LSN of the valid slots; None where there is none
    quorum_lsn: the highest LSN that a commit wait called reached
    """

    replicas: int
    highest_sent: int
    lowest_applied: int
    lag: int
    safe_replay_lsn: int
    retention_floor: int | None
    quorum_lsn: int


class Event(NamedTuple):
    """Something that an operator wants to hear of.

    details: by kind: id, cause, restart_lsn of a slot; lsn, observed, required of a
        commit; bytes or slots or the message of the store
    """

    number: int
    at_ms: int
    kind: Literal[
        "slot-invalidated",
        "commit-degraded",
        "store-torn-tail",
        "store-salvaged",
        "slots-imported",
        "store-without-space",
        "store-failed",
    ]
    details: dict[str, int | str]


class Latency(TypedDict):
    """How long something took, in nanoseconds.

    count: how many were measured
    sum: all of them together
    p50, p90, p99, p999: percentiles; p50 is the median
    max: the longest
    """

    count: int
    sum: int
    p50: int
    p90: int
    p99: int
    p999: int
    max: int


class Stats(TypedDict):
    """A log's figures; counters count since it was opened.

    batches: batches staged; of a spool, runs of records
    frames: page images staged; of a spool, records
    bytes: page bytes, or payload, staged
    epochs: epochs made durable; batches to this is how many shared a sync
    groups: groups written
    group_bytes: bytes written for them
    syncs: syncs of groups; 0 without syncs
    spills: batches that went beyond their lane's buffer_capacity
    oversize: batches larger than a lane, which take an epoch of their own
    contended: submits that found their lane taken; if fast, raise slot_count
    blocked: submits that waited for room
    refused: submits refused for want of room
    retries: writes taken up again, most for want of space
    failures: flushes that failed for good
    checkpoints: checkpoints, or prunes
    current_epoch: what is staged now gets this one
    durable_epoch: the last durable one
    checkpoint_epoch: the last one checkpointed, or pruned
    segments_in_use: files with live epochs
    segments_free: files prepared, that wait for use
    log_bytes: of groups in live segments: what a recovery reads
    max_log_bytes: the limit of it; 0 for none
    memory_bytes: staged, or in flight
    max_memory: the limit of it
    sync_style: how groups reach the disk
    lanes: slot_count
    lanes_in_use: held by a living thread
    backlog: for each lane, frames staged and not sealed yet
    wait: from the call of a wait that had to wait, to its return
    flush: from the start of a group's write to its durability
    """

    batches: int
    frames: int
    bytes: int
    epochs: int
    groups: int
    group_bytes: int
    syncs: int
    spills: int
    oversize: int
    contended: int
    blocked: int
    refused: int
    retries: int
    failures: int
    checkpoints: int
    current_epoch: int
    durable_epoch: int | None
    checkpoint_epoch: int | None
    segments_in_use: int
    segments_free: int
    log_bytes: int
    max_log_bytes: int
    memory_bytes: int
    max_memory: int
    sync_style: Literal["direct", "buffered"]
    lanes: int
    lanes_in_use: int
    backlog: list[int]
    wait: Latency
    flush: Latency


class Options(TypedDict, total=False):
    """The keywords of a coordinator; ``epochwal.Coordinator`` says what each does."""

    slot_count: int | None
    epoch_interval: float | Literal["off"] | None
    buffer_capacity: int | None
    overflow_policy: Literal["spill", "block", "refuse"] | None
    block_timeout: float | None
    max_memory: int | None
    max_batch_bytes: int | None
    max_log_bytes: int | None
    sync_policy: Literal["full", "normal", "off"] | None
    sync_style: Literal["probe", "direct", "buffered"] | None
    segment_size: int | None
    segment_format: int | None
    sequencing: Literal["caller", "coordinator"] | None
    database_id: Buffer | None
    salvage: bool
    shared: bool


class SpoolOptions(TypedDict, total=False):
    """The keywords of a spool; ``epochwal.Spool`` says what each does."""

    max_payload: int | None
    ring_bytes: int | None
    ring_records: int | None
    dense: bool
    flush_interval: float | None
    block_timeout: float | None
    max_memory: int | None
    max_log_bytes: int | None
    sync_policy: Literal["full", "normal", "off"] | None
    sync_style: Literal["probe", "direct", "buffered"] | None
    segment_size: int | None
    salvage: bool
    format: Literal["native", "rdlw"] | None
    term_of: Callable[[bytes], int | None] | None


class PrimaryOptions(SpoolOptions, total=False):
    """The keywords of a primary; ``epochwal.Primary`` says what each does."""

    healthy_for: float | None
    horizon_lsns: int | Literal["off"] | None
    horizon_bytes: int | Literal["off"] | None
    idle_timeout: float | Literal["off"] | None
    max_slots: int | None
    save_interval: float | None
    trace_capacity: int | None
    salvage_slots: bool


class PrimaryStats(TypedDict):
    """A primary's figures; counters count since it was opened.

    slots: slots now
    valid_slots: those that hold records back
    replicas: members of the registry
    healthy_replicas: those seen within healthy_for
    registrations: registrations that made a slot
    reconnects: registrations of known replicas
    acks: acknowledgements taken
    acks_unknown: refused: no such id
    acks_fenced: refused: of an older session
    acks_ahead: refused: beyond the end
    acks_invalid: refused: the slot was given up
    invalidated_wal_removed: slots given up: their records are gone
    invalidated_horizon: slots given up: they held back more than the horizon
    invalidated_idle: slots given up: not seen for idle_timeout
    resumes_partial: replicas told to read on
    resumes_diverged: replicas told to give up a tail
    rebootstraps_unknown: replicas to be loaded anew: no slot
    rebootstraps_wal_removed: the same: records gone
    rebootstraps_horizon: the same: given up beyond the horizon
    rebootstraps_idle: the same: given up because not seen
    waits_reached: commits that reached their policy
    waits_timed_out: commits that did not in time
    waits_unmeetable: commits whose policy names more replicas than there are
    waits_degraded: of these two, those that counted all the same
    waiting: commits that wait now
    saves: saves of the slot store, each a write and a sync
    save_bytes: bytes of them
    compactions: saves that wrote a new file
    saves_without_space: saves that found no space; they are tried again
    prunes: prunes
    """

    slots: int
    valid_slots: int
    replicas: int
    healthy_replicas: int
    registrations: int
    reconnects: int
    acks: int
    acks_unknown: int
    acks_fenced: int
    acks_ahead: int
    acks_invalid: int
    invalidated_wal_removed: int
    invalidated_horizon: int
    invalidated_idle: int
    resumes_partial: int
    resumes_diverged: int
    rebootstraps_unknown: int
    rebootstraps_wal_removed: int
    rebootstraps_horizon: int
    rebootstraps_idle: int
    waits_reached: int
    waits_timed_out: int
    waits_unmeetable: int
    waits_degraded: int
    waiting: int
    saves: int
    save_bytes: int
    compactions: int
    saves_without_space: int
    prunes: int
