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
    """A commit wait that is looked at and not slept in; Primary.watch_acks begins
    one. epochwal.aio is made of these, and a loop of another kind can be.
    """

    def decided(self) -> bool:
        """Whether the policy is met, or can't be: what finish gives is no timeout
        then. Raises where nothing is to come any more. Never waits.
        """
    def finish(self) -> AckResult:
        """Ends it as wait_acks does when its time is up: an AckResult, or Timeout or
        NotFoundError. May write to the disk, so that what it calls reached is known
        to be after a crash.
        """
    def close(self) -> None:
        """Gives it up. Closing again does nothing."""
    @property
    def local(self) -> bool:
        """It waits for the log alone: the descriptor of the spool tells of it, not
        the primary's.
        """

@final
class Coordinator:
    """A parallel page WAL with epoch group commit, over one database.

    Threads submit the page frames of their transactions; whatever is staged
    reaches the disk as one group with one sync; committers wait for their
    epoch. Every method may be called from any thread, and lets other threads
    run while it waits. Ctrl-C ends a wait. timeout is in seconds: None waits for
    ever, 0 polls.

    >>> page = bytes(4096)    # or whatever has its bytes in one piece
    >>> with Coordinator("app.db") as wal:
    ...     ticket = wal.submit([(1, page), (2, page, 2)], txn_id=7, commit_seq=1)
    ...     wal.wait(ticket, timeout=10.0)
    ...     wal.durable_epoch == ticket.epoch
    True

    An option left out, None or 0 is at its default:

    slot_count=128               lanes; each thread keeps one
    epoch_interval=0.01          seconds that a batch waits at most when nobody
                                 waits for it; "off": until somebody does
    buffer_capacity=4 MiB        bytes per lane
    overflow_policy="spill"      a full lane: "spill", "block", "refuse"
    block_timeout=10.0           seconds that a submit waits for room
    max_memory=256 MiB           over all lanes and groups in flight
    max_batch_bytes=64 MiB       a larger batch is refused
    max_log_bytes=None           past it, NoSpaceError until a checkpoint
    sync_policy="full"           "full", "normal", "off"
    sync_style="probe"           "probe", "direct", "buffered"
    segment_size=64 MiB          of the largest segment file
    segment_format=2             1: one file per epoch, for other readers
    sequencing="caller"          "coordinator": it assigns commit sequences
    database_id=None             16 bytes, checked against the log's
    salvage=False                True: move damage aside, and open
    shared=False                 True: the process's one coordinator of this
                                 database; the last close closes it

    Opening reads the end of the log. It raises LockedError while another
    process or object writes this database, CorruptError on damage to anything
    acknowledged, InvalidError for an option out of range.
    """

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
    ) -> Ticket:
        """Stages a batch and returns its Ticket(epoch, commit_seq).

        frames is an iterable of (page, data[, db_size]): the page's number,
        its image (1 to 65536 bytes in any contiguous bytes-like object) and,
        on the frame that commits, the database's size in pages. The bytes are
        taken before submit returns, so the objects may be changed afterwards.
        With sequencing="coordinator" commit_seq stays 0, else it is 1 or
        above. metadata is up to 64 KiB of the caller's own, kept with the
        batch.

        It waits for room alone, as overflow_policy says, and a batch larger than
        a lane for its turn, up to block_timeout. Raises BusyError where there is
        no room, NoSpaceError past max_log_bytes, InvalidError and TooLargeError,
        which name the part: nothing was kept then.
        """
    def commit(
        self,
        frames: Frames,
        *,
        txn_id: int,
        commit_seq: int = 0,
        txn_epoch: int = 0,
        metadata: Buffer = b"",
        timeout: float | None = None,
    ) -> Ticket:
        """Stages a batch as submit does, and returns its Ticket once it is
        durable.

        Timeout, NoSpaceError and OutcomeUnknownError of a batch that is
        staged carry its ticket: it may still become durable. So does the
        exception of a signal's handler (KeyboardInterrupt).
        """
    def wait(self, ticket: Ticket | int, timeout: float | None = None) -> None:
        """Waits until the epoch of a ticket, or an epoch, is durable.

        Raises Timeout (it is still pending), NoSpaceError (pending, until
        space returns), OutcomeUnknownError, FailedError (it will never be
        durable), ClosedError, and InvalidError for an epoch that was never
        handed out.
        """
    def poll(self, ticket: Ticket | int) -> bool:
        """Whether the epoch of a ticket, or an epoch, is durable, without
        waiting. Raises what wait would, but for the timeout.
        """
    def flush(self, timeout: float | None = None) -> int:
        """Makes everything durable that is staged now, and returns the epoch it
        waited for: the durable one where nothing was staged, 0 where there is
        none yet. Raises what wait does.
        """
    def request_flush(self, ticket: Ticket | int) -> None:
        """Starts the flush of an epoch (or a ticket's) in the background."""
    def event_fd(self) -> int:
        """A new file descriptor that becomes readable whenever the durable epoch
        advances, and on failure and close. Read 8 bytes to reset it. It is
        non-blocking, and the caller's to close.
        """
    def checkpoint(self, through_epoch: Ticket | int) -> None:
        """The caller's word that the pages of all epochs up to this one (or a
        ticket's) are safe in the database file: their segments are reused.
        Raises InvalidError beyond the durable epoch; below the last
        checkpoint it does nothing. It writes and syncs a block.
        """
    def stats(self) -> Stats:
        """The coordinator's figures as a dict; latencies are in nanoseconds."""
    def prometheus(self) -> str:
        """The same figures as Prometheus text."""
    def close(self, timeout: float | None = None) -> None:
        """Seals and flushes what is staged, and closes. Closing again does
        nothing. A close that raises Timeout leaves it open.
        """
    @property
    def durable_epoch(self) -> int | None:
        """The highest durable epoch; None before the first."""
    @property
    def current_epoch(self) -> int:
        """The epoch that a batch staged now would get."""
    @property
    def path(self) -> str:
        """The resolved path of the database."""
    @property
    def salvaged(self) -> list[str]:
        """Files that a salvaging open moved aside."""
    @property
    def closed(self) -> bool:
        """Whether close has been called on this object and has succeeded."""
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
    """A spool, the replicas that follow it, and the slots that say how far each
    has come. Records are appended to and read from its spool:

    >>> primary = Primary("app.db")
    >>> replica = primary.register("replica-1")
    >>> ticket = primary.spool.append(term=1, lsn=1, payload=b"insert a")
    >>> primary.prune()    # the replica needs it
    0
    >>> primary.ack("replica-1", replica.generation, durable=1)
    >>> primary.wait_acks(1, policy="any 1", timeout=1.0).outcome
    'reached'
    >>> primary.prune()
    1
    >>> primary.close()

    A slot holds back what its replica has not made durable: nothing above its
    restart LSN is pruned. One that holds back too much or is not heard of for
    too long is invalidated, and its replica must begin anew. Every method may be
    called from any thread, and lets other threads run while it waits. Ctrl-C
    ends a wait. timeout is in seconds: None waits for ever, 0 polls. A path of
    None is a primary in memory, of which nothing stays.

    Its options are those of Spool, and these; one left out, None or 0 is at its
    default:

    healthy_for=30.0             seconds since a replica was seen that count as
                                 healthy
    horizon_lsns=100000          a slot that holds back more is invalidated;
                                 "off": none is for that
    horizon_bytes="off"          the same in bytes of log
    idle_timeout=86400.0         seconds after which a slot that was not seen is
                                 invalidated; "off": none is for that
    max_slots=50000              one more is refused
    save_interval=1.0            seconds after which acknowledgements are saved
                                 at the latest; a prune saves them first
    trace_capacity=1024          events that are kept for events_since
    salvage_slots=False          True: take what can be read of damaged slots

    Opening raises what Spool raises, and CorruptError where the slots can't be
    read or are gone: without them a prune could take what replicas need.
    """

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
    def spool(self) -> Spool:
        """Its Spool, to append to and to read from. It is the primary's: closing
        the primary closes it, and it can't be closed by itself. Prunes and cuts
        of it go through the slots.
        """
    def register(self, id: str, region: str | None = None) -> Registration:
        """Registers a replica, or connects it again, and returns its
        Registration(restart_lsn, generation, created). A new one pins the end of
        the log; one that is known keeps its slot and its progress, and its older
        session ends: acknowledgements of that are refused from now on.
        """
    def ensure_registered(self, id: str, region: str | None = None) -> Registration:
        """As register, but a session that there is goes on."""
    def unregister(self, id: str) -> None:
        """Ends a replica's session and its membership. Its slot stays, and holds
        back what it held, unless it is a temporary one.
        """
    def note_pull(self, id: str, generation: int, sent_lsn: int) -> None:
        """Notes that a replica was sent records up to sent_lsn, and was heard of."""
    def touch(self, id: str, generation: int) -> None:
        """Notes that a replica was heard of."""
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
    ) -> None:
        """Takes what a replica says of itself: LSNs that it has received
        (written), made durable and applied, and how many apply errors and
        divergences it has seen in all. All of it only rises; what is left out
        changes nothing.

        It is in force at once, and saved within save_interval. Refused, without
        effect: NotFoundError for an id that is not registered, FencedError for
        any session but the newest, AheadError beyond the durable end,
        WalRemovedError where the slot was invalidated.
        """
    def plan_resume(self, id: str, since_lsn: int, term: int | None = None) -> ResumePlan:
        """Says how a replica goes on that has everything up to since_lsn, the last
        of it of term, as a ResumePlan(kind, resume_lsn, cause, common_lsn):

        "partial"        read on above resume_lsn
        "rebootstrap"    be loaded from a snapshot, for cause
        "diverged"       give up what it has above common_lsn: it is ahead of
                         this log, or on another branch

        A term of None is not compared.
        """
    def set_rebootstrapping(self, id: str, rebootstrapping: bool) -> None:
        """Notes that a replica is being loaded from a snapshot, or not any more;
        commits don't count on one that is.
        """
    def replicas(self) -> list[Replica]:
        """The members of the registry as a list of Replica, by id."""
    def progress(self) -> Progress:
        """How far the replicas are together, as a Progress."""
    def wait_acks(
        self,
        lsn: int,
        policy: str = "any 1",
        level: Literal["written", "durable", "flushed", "applied"] = "durable",
        timeout: float | None = None,
        *,
        degrade: bool = False,
    ) -> AckResult:
        """Waits until enough replicas have lsn, and returns an AckResult(outcome,
        degraded, observed, required). What it calls reached is never cut off.

        policy                       whose acknowledgements count
        "local"                      nobody's: durable here is enough
        "any 1", "2"                 so many replicas
        "any 2 (a, b, c)"            so many of a list
        "first 2 (a, b, c)"          the first of a list that are there
        "regions 1 (eu, us)"         so many in each region

        level is "written", "durable" (or "flushed"), or "applied".

        Raises Timeout when the time is up, and NotFoundError where there are
        fewer replicas than the policy asks for; both have observed and required.
        With degrade=True the commit counts all the same if it is durable here:
        the result says so, and stats and events_since, too.
        """
    def watch_acks(
        self,
        lsn: int,
        policy: str = "any 1",
        level: Literal["written", "durable", "flushed", "applied"] = "durable",
        *,
        degrade: bool = False,
    ) -> AckWatch:
        """Begins a commit wait that is looked at and not slept in, for event loops:
        an AckWatch. event_fd says when to look.
        """
    def event_fd(self) -> int:
        """A new file descriptor that becomes readable whenever an AckWatch is
        decided, and on failure and close. Read 8 bytes to reset it. It is
        non-blocking, and the caller's to close.
        """
    def quorum_lsn(
        self,
        n: int,
        level: Literal["written", "durable", "flushed", "applied"] = "durable",
    ) -> int:
        """The LSN that at least n replicas have at a level, without waiting; 0
        where there are fewer.
        """
    def slots(self) -> list[Slot]:
        """All slots as a list of Slot, by id."""
    def slot(self, id: str) -> Slot:
        """One slot; NotFoundError where there is none of that id."""
    def slot_create(self, id: str, lsn: int | None = None, *, temporary: bool = False) -> None:
        """Makes a slot at lsn, or at the end of the log. A temporary one is not
        saved: it is gone when its replica unregisters or the primary closes.
        """
    def slot_drop(self, id: str) -> None:
        """Drops a slot, and its replica from the registry."""
    def slot_reset(self, id: str, lsn: int | None) -> None:
        """Revives a slot after a new bootstrap of its replica, which has everything
        up to lsn; None: the end of the log. A valid slot can't be set back: drop
        it, and make it again.
        """
    def export_slots(self) -> bytes:
        """The slots as JSON, in the layout of the older slot store."""
    def enforce_limits(self, now_unix_ms: int | None = None) -> list[Slot]:
        """Looks at everyone's health, gives up slots that are beyond a limit, and
        returns those. Each prune does so first. now_unix_ms only stamps what is
        done; None: by the system's clock.
        """
    def prune(self, archived_lsn: int | None = None) -> int:
        """Lets records go that no valid slot needs, not beyond archived_lsn where
        there is an archive, and returns how far pruning has come. The slots are
        saved first: a crash afterwards finds none that needs what is gone.
        """
    def save(self) -> None:
        """Saves at once what acknowledgements have raised."""
    def stats(self) -> PrimaryStats:
        """The figures as a dict; counters count since it was opened."""
    def events_since(self, number: int = 0) -> list[Event]:
        """Events above a number, oldest first, as a list of Event(number, at_ms,
        kind, details). The last trace_capacity are kept; a gap in the numbers is
        what the reader was too late for.
        """
    def close(self, timeout: float | None = None) -> None:
        """Flushes the spool, saves the slots, and closes both; everyone who waits is
        woken. Closing again does nothing. A close that raises Timeout leaves it
        open.
        """
    @property
    def topology_epoch(self) -> int:
        """A number that rises with each change of who is a member, healthy, or
        being rebootstrapped; also over a restart.
        """
    @property
    def path(self) -> str | None:
        """The resolved path of the data file that it belongs to; None in memory."""
    @property
    def salvaged(self) -> str | None:
        """Where an open that salvaged left the damaged slots."""
    @property
    def closed(self) -> bool:
        """Whether close has been called on this object and has succeeded."""
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
    """The batches of a log in replay order: an iterator, and a context manager.

    It reads a durable prefix, beside a live writer too, and keeps the
    segments from being reused until it is exhausted or closed. `report` says
    what was read so far, and is complete once the iteration has ended.

    A step reads from files and waits for nobody. It raises CorruptError, whose
    path and offset say where; BusyError while another thread takes a step; and in
    the child of a fork ForkedError.
    """

    def __iter__(self) -> Self: ...
    def __next__(self) -> Batch: ...
    @property
    def report(self) -> Report:
        """What was read so far."""
    def close(self) -> None:
        """Lets go of the log's files; the iteration ends. Closing again does
        nothing.
        """
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
    """A durable, ordered log of records, for replication.

    A record is opaque bytes with its LSN, the term of the primary that wrote
    it, and a time in milliseconds. LSNs strictly rise, from 1 to 2^64-2, and
    terms never fall. Every method may be called from any thread, and lets other
    threads run while it waits. Ctrl-C ends a wait. timeout is in seconds: None
    waits for ever, 0 polls.

    >>> with Spool("app.db") as spool:
    ...     ticket = spool.append_batch([(1, 10, b"a"), (1, 20, b"b"), (1, 30, b"c")])
    ...     print([record.lsn for record in spool.read_since(10)])
    ...     with spool.cursor(0) as cursor:
    ...         print(next(cursor).payload, next(cursor).payload)
    ...     spool.prune_through(20)
    ...     spool.bounds
    [20, 30]
    b'a' b'b'
    20
    Bounds(oldest_lsn=30, current_lsn=30, pruned_through=20)

    An option left out or None is at its default, and so is 0 but for ring_bytes:

    max_payload=64 MiB           a larger payload is refused
    ring_bytes=16 MiB            of the newest records kept in memory for readers
    ring_records=1048576         that a spool in memory keeps
    dense=False                  True: refuse gaps between LSNs
    flush_interval=0.01          seconds that a submitted record waits at most
                                 when nobody waits for it
    block_timeout=10.0           seconds that an append waits for room
    max_memory=256 MiB           staged and in flight
    max_log_bytes=None           past it, NoSpaceError until a prune
    sync_policy="full"           "full", "normal", "off"
    sync_style="probe"           "probe", "direct", "buffered"
    segment_size=64 MiB          of the largest segment file
    salvage=False                True: move damage aside, and open
    format="native"              "native", or "rdlw": records in one file of that
                                 format, for software that reads it
    term_of=None                 a function of a payload: finds the term of a record
                                 of RDLW version 1 or 2 that the open takes in; None
                                 or 0 is term 1

    Opening reads the end of the log. It raises LockedError while another
    process or object writes this spool, CorruptError on damage to anything
    acknowledged, InvalidError for an option out of range.
    """

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
    ) -> Spool:
        """A spool without files: the newest records, as many as ring_bytes and
        ring_records allow; older ones count as pruned. Nothing of it is durable.
        """
    def append(
        self,
        *,
        term: int,
        lsn: int,
        payload: Buffer,
        timestamp_ms: int | None = None,
        timeout: float | None = None,
    ) -> SpoolTicket:
        """Appends a record and returns its SpoolTicket once it is durable.

        payload is any contiguous bytes-like object. A timestamp_ms of None or 0
        is the time of now.

        Raises OrderError for an LSN that does not rise, FencedError for a term
        below one that has begun, TooLargeError, BusyError: nothing was kept
        then. Timeout, NoSpaceError and OutcomeUnknownError of a record that is
        staged carry its ticket: it may still become durable. So does the
        exception of a signal's handler (KeyboardInterrupt).
        """
    def append_batch(
        self, records: Iterable[RecordLike], *, timeout: float | None = None
    ) -> SpoolTicket:
        """Appends records, all or none, and returns their SpoolTicket once they
        are durable: an iterable of (term, lsn, payload[, timestamp_ms]), which
        each SpoolRecord is.
        """
    def submit(
        self, *, term: int, lsn: int, payload: Buffer, timestamp_ms: int | None = None
    ) -> SpoolTicket:
        """Stages a record and returns its SpoolTicket. The bytes are taken before
        submit returns. It waits where memory is full, and with more than 4 MiB
        for its turn, up to block_timeout. Raises what append does, but for what
        has a ticket.
        """
    def submit_batch(self, records: Iterable[RecordLike]) -> SpoolTicket:
        """Stages records, all or none; see append_batch."""
    def wait(self, ticket: SpoolTicket, timeout: float | None = None) -> None:
        """Waits until what the ticket is for is durable. Raises Timeout (it is still
        pending), NoSpaceError (pending, until space returns), OutcomeUnknownError,
        FailedError (it will never be durable), ClosedError.
        """
    def poll(self, ticket: SpoolTicket) -> bool:
        """Whether what the ticket is for is durable, without waiting. Raises what
        wait would, but for the timeout.
        """
    def request_flush(self, ticket: SpoolTicket) -> None:
        """Starts the flush of what the ticket is for, in the background."""
    def flush(self, timeout: float | None = None) -> None:
        """Makes everything durable that is staged now. Raises what wait does."""
    def read_since(
        self,
        lsn: int,
        *,
        term: int | None = None,
        max_records: int | None = None,
        max_bytes: int | None = None,
    ) -> list[SpoolRecord]:
        """Durable records above lsn as a list of SpoolRecord, ascending: at least
        one where there is one, none at the end. max_records (1000) and
        max_bytes (16 MiB of payload) limit it; one record may exceed max_bytes.

        Raises WalRemovedError where records above lsn are pruned (its lsn is the
        first that can be read) and AheadError where lsn is beyond the end (its
        lsn is the end). Whoever says which term his record at lsn has gets
        DivergedError where it is of another history (its lsn is the last that
        both have in common).
        """
    def cursor(self, lsn: int) -> Cursor:
        """A Cursor behind lsn: it keeps its place, and waits for what comes."""
    def wait_after(self, lsn: int, timeout: float | None = None) -> None:
        """Waits until a durable record lies above lsn. Raises Timeout where none
        came, ClosedError or the failure where none will.
        """
    def prune_through(self, lsn: int) -> int:
        """Lets records at or below lsn go, and returns how far pruning has come:
        never beyond the end.
        """
    def truncate_after(self, lsn: int, new_term: int) -> str | None:
        """Begins new_term behind lsn: records above it are no part of the log any
        more. They are saved in a file beside it, whose path is returned; None
        where there were none.
        """
    def export_rdlw(self, path: StrPath) -> int:
        """Writes the durable records, from the oldest to the last of now, to a new
        RDLW file, for software that reads those; returns how many they were. It
        is on the disk on return, or not there. Raises ExistsError where there is
        a file of this name, WalRemovedError or DivergedError where a prune or a
        cut came meanwhile.
        """
    def event_fd(self) -> int:
        """A new file descriptor that becomes readable whenever records become
        durable, and on failure and close. Read 8 bytes to reset it. It is
        non-blocking, and the caller's to close.
        """
    def stats(self) -> Stats | None:
        """The figures of the log as a dict: batches are appends, frames are
        records; latencies are in nanoseconds. None in memory.
        """
    def close(self, timeout: float | None = None) -> None:
        """Flushes what is staged, and closes; everyone who waits is woken. Closing
        again does nothing. A close that raises Timeout leaves it open. The spool
        of a primary is refused: InvalidError.
        """
    @property
    def bounds(self) -> Bounds:
        """Bounds(oldest_lsn, current_lsn, pruned_through); each is 0 where there is
        none.
        """
    @property
    def oldest_lsn(self) -> int:
        """The first LSN that can be read; 0 where there is none."""
    @property
    def current_lsn(self) -> int:
        """The highest durable LSN ever; 0 before the first."""
    @property
    def pruned_through(self) -> int:
        """Records at or below it are pruned; 0 where none are."""
    @property
    def term(self) -> int:
        """The term of now; 0 before the first."""
    @property
    def terms(self) -> list[TermStart]:
        """The durable history of terms: TermStart(term, first_lsn), ascending."""
    @property
    def lost(self) -> list[tuple[int, int]]:
        """What salvages have lost and pruning has not passed: LSNs above the first
        number of each pair and through the second. A read that comes to them
        raises WalRemovedError.
        """
    @property
    def path(self) -> str | None:
        """The resolved path of the data file that it belongs to; None in memory."""
    @property
    def torn(self) -> Suspect | None:
        """What the open dropped of records that were never acknowledged, as a
        Suspect; None where there was nothing.
        """
    @property
    def salvaged(self) -> list[str]:
        """Files that a salvaging open moved aside."""
    @property
    def imported(self) -> str | None:
        """Where the single-file spool of other software was moved that the open has
        taken in; None where it found none.
        """
    @property
    def saved_tail(self) -> str | None:
        """The file in which the last truncate_after of this object has saved what
        it cut off; None where there was nothing.
        """
    @property
    def closed(self) -> bool:
        """Whether close has been called on this object and has succeeded; that of
        a primary is closed when its primary is.
        """
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
    """Reads a spool on from where it was: an iterator over its records that waits
    for those to come, and a context manager.

    It keeps the segment that it is in: a prune lets that file go only when the
    cursor has left it. It ends with an exception alone: WalRemovedError where
    it fell behind what is pruned, ClosedError or the failure of its spool. One
    thread at a time; any may close it.
    """

    def next_batch(
        self,
        timeout: float | None = None,
        *,
        max_records: int | None = None,
        max_bytes: int | None = None,
    ) -> list[SpoolRecord]:
        """The next records as a list of SpoolRecord, at least one, and at most
        max_records (1000) or max_bytes (16 MiB of payload); waits until there is
        one. After Timeout, as after any exception, it is where it was.
        """
    def close(self) -> None:
        """Ends it, also for a thread that waits with it: ClosedError. The spool
        stays open. Closing again does nothing.
        """
    @property
    def lsn(self) -> int:
        """The LSN of the last record it gave, or the one it began behind."""
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
    """Reads a spool without its handle, beside its writer, in any process: an
    iterator over its durable records, and a context manager.

    >>> with Spool("app.db") as spool:
    ...     ticket = spool.append_batch([(1, 1, b"a"), (1, 2, b"b"), (1, 3, b"c")])
    ...     with SpoolReader("app.db", since=1) as reader:
    ...         print([(record.lsn, record.payload) for record in reader])
    [(2, b'b'), (3, b'c')]
    >>> reader.report.verdict, reader.report.writer
    ('clean', True)

    It takes no writer's lock and writes nothing. It gives records above since,
    or all there are, up to what was durable when it was opened; to read on, open
    another one since the last record. Until it has ended or is closed no file
    that it may still read is used again. It holds a MiB of records at a time, or
    one where that is larger.

    Where there is no spool the iteration is empty. It raises WalRemovedError
    where records above since are pruned or lost, AheadError at the end where
    since is beyond it, DivergedError where a writer came and cut off what was
    given, CorruptError on damage: what was given before is good. One thread at a
    time.
    """

    def __new__(cls, path: StrPath, *, since: int | None = None) -> Self: ...
    def next_batch(
        self, *, max_records: int | None = None, max_bytes: int | None = None
    ) -> list[SpoolRecord]:
        """The next records as a list of SpoolRecord, at most max_records (1000) or
        max_bytes (16 MiB of payload), and one at least; an empty list at the end.
        """
    @property
    def report(self) -> SpoolReport:
        """What was read so far, as a SpoolReport; complete once the iteration has
        ended.
        """
    def close(self) -> None:
        """Lets go of the files: reading on raises ClosedError. The report stays.
        Closing again does nothing.
        """
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

def spool_salvage(path: StrPath) -> SpoolSalvage:
    """Moves what is damaged in a spool, and all beyond it, aside, so that it opens
    with what lies before; one without damage is left as it is. Returns
    SpoolSalvage(moved, torn, bounds, lost). Raises NotFoundError where there is no
    spool, LockedError while a writer or a reader lives.
    """

def recover(
    path: StrPath,
    *,
    durable_prefix: bool = False,
    verify_only: bool = False,
    database_id: Buffer | None = None,
) -> Recovery:
    """Opens the log beside the database at path, and returns an iterator over
    its batches in replay order. It holds one group of the log in memory at a
    time, however long that is.

    >>> with Coordinator("app.db", sequencing="coordinator") as wal:
    ...     for txn_id in range(1, 4):
    ...         ticket = wal.commit([(txn_id, b"page")], txn_id=txn_id)
    >>> recovery = recover("app.db")
    >>> [(batch.txn_id, batch.frames[0].data) for batch in recovery]
    [(1, b'page'), (2, b'page'), (3, b'page')]
    >>> recovery.report.verdict
    'clean'

    Damage to anything acknowledged raises CorruptError. With durable_prefix
    the iteration ends before the damage instead, and the report lists it.
    With verify_only everything is read and checked, and nothing handed out.
    Ctrl-C ends the iteration between two batches; recover_into_file,
    recover_pages and verify go on to their end.
    """

def recover_into_file(
    path: StrPath,
    target: StrPath,
    page_size: int,
    *,
    durable_prefix: bool = False,
    delete_segments: bool = False,
    database_id: Buffer | None = None,
) -> Report:
    """Recovers into the file target: page n at offset (n-1) x page_size, synced,
    its size set by the last commit. Where it is missing it is made, unless the
    log has no pages: then nothing is touched. With delete_segments the log's segments
    are deleted once the file is synced.
    """

def recover_pages(
    path: StrPath,
    *,
    durable_prefix: bool = False,
    database_id: Buffer | None = None,
) -> Pages:
    """Recovers into memory: Pages(pages, db_size, report), where pages maps each
    page number to its image of the highest commit sequence.
    """

def verify(path: StrPath, *, database_id: Buffer | None = None) -> Report:
    """Reads and checks the whole log, and returns the report. Damage does not
    raise: the report's verdict is "corrupt" and its suspects say where.
    """

def max_durable_epoch(path: StrPath) -> int | None:
    """The highest epoch that recovery would give back; None where there is none."""

def list_segments(path: StrPath) -> list[Segment]:
    """The log's segment files, in the order of their epochs."""

def cleanup_segments(path: StrPath) -> int:
    """Deletes every segment of the log, under the writer's lock, and returns how
    many there were. For a caller who has recovered and synced by itself.
    Raises LockedError while a writer lives.
    """

def segment_path(path: StrPath, epoch: Ticket | int) -> str:
    """The path of the segment of an epoch: "<db>-wal-seg-<16 hex digits>".
    Touches no disk.
    """

def segment_read(path: StrPath, epoch: Ticket | int) -> list[SegmentRecord]:
    """Reads the version 1 segment of an epoch: all its records in the file's
    order, aborted writes (whose end_seq is None) among them.

    Version 1 has no checksum over its records: only their structure is
    checked. Raises NotFoundError, CorruptError, FormatError.
    """

def segment_write(path: StrPath, epoch: Ticket | int, records: Iterable[SegmentRecord]) -> str:
    """Writes the version 1 segment of an epoch from an iterable of
    SegmentRecord, sorted into replay order, and returns its path. It is there
    whole and on stable storage, or not at all. One that exists is never
    replaced (ExistsError).
    """

def segment_delete(path: StrPath, epoch: Ticket | int) -> None:
    """Deletes the version 1 segment of an epoch, for good once it returns.
    Raises NotFoundError, and FormatError for a segment of version 2, whose
    log it would break.
    """
