"""The spool for asyncio, and those who follow it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, ClassVar, Never, Self

from epochwal import _native
from epochwal._errors import Error, Timeout
from epochwal._types import SpoolTicket
from epochwal._watch import Log, check_timeout, heard, no_pickle, opened

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Buffer, Unpack

    from epochwal._types import (
        Bounds,
        RecordLike,
        SpoolOptions,
        SpoolRecord,
        Stats,
        StrPath,
        Suspect,
        TermStart,
    )


class Spool(Log):
    """``epochwal.Spool`` for one event loop: that of its first await.

    Its options are the same. The constructor opens the log, which reads files;
    ``await Spool.open(...)`` does it in a thread. A task that is cancelled while
    it waits leaves its records staged: they become durable all the same.
    """

    _name: ClassVar[str] = "spool"

    def __init__(self, path: StrPath, **options: Unpack[SpoolOptions]) -> None:
        self._take(_native.Spool(path, **options))

    @classmethod
    async def open(cls, path: StrPath, **options: Unpack[SpoolOptions]) -> Self:
        """Open the log without holding up the loop."""
        spool = await opened(lambda: _native.Spool(path, **options))
        self = cls.__new__(cls)
        self._take(spool)
        return self

    @classmethod
    def in_memory(cls, **options: Unpack[SpoolOptions]) -> Self:
        """Make a spool without files; see ``epochwal.Spool.in_memory``."""
        self = cls.__new__(cls)
        self._take(_native.Spool.in_memory(**options))
        return self

    def _take(self, spool: _native.Spool) -> None:
        self._spool = spool
        self._arrivals: set[asyncio.Future[None]] = set()
        self._attach(spool)

    # What never waits for the disk is the other class's.

    def submit(
        self, *, term: int, lsn: int, payload: Buffer, timestamp_ms: int | None = None
    ) -> SpoolTicket:
        """Stage a record; see ``epochwal.Spool.submit``.

        It holds up the loop while ``max_memory`` is full, ``block_timeout`` at most,
        and while ``truncate_after`` is at work.
        """
        return self._spool.submit(
            term=term, lsn=lsn, payload=payload, timestamp_ms=timestamp_ms
        )

    def submit_batch(self, records: Iterable[RecordLike]) -> SpoolTicket:
        """Stage records, all or none; see ``submit``."""
        return self._spool.submit_batch(records)

    def poll(self, ticket: SpoolTicket) -> bool:
        """Say whether what a ticket is for is durable, without waiting."""
        return self._spool.poll(ticket)

    def request_flush(self, ticket: SpoolTicket) -> None:
        """Start the flush of what a ticket is for, in the background."""
        self._spool.request_flush(ticket)

    def stats(self) -> Stats | None:
        """Return the figures; see ``epochwal.Spool.stats``."""
        return self._spool.stats()

    @property
    def bounds(self) -> Bounds:
        """The first and the last LSN, and where pruning has come to."""
        return self._spool.bounds

    @property
    def oldest_lsn(self) -> int:
        """The first LSN that can be read; 0 where there is none."""
        return self._spool.oldest_lsn

    @property
    def current_lsn(self) -> int:
        """The highest durable LSN ever; 0 before the first."""
        return self._spool.current_lsn

    @property
    def pruned_through(self) -> int:
        """Records at or below it are pruned; 0 where none are."""
        return self._spool.pruned_through

    @property
    def term(self) -> int:
        """The term of now; 0 before the first. Waits where a truncation is at work."""
        return self._spool.term

    @property
    def terms(self) -> list[TermStart]:
        """The durable history of terms."""
        return self._spool.terms

    @property
    def lost(self) -> list[tuple[int, int]]:
        """What salvages have lost: LSNs above the first number, through the second."""
        return self._spool.lost

    @property
    def path(self) -> str | None:
        """The resolved path of the data file that it belongs to; None in memory."""
        return self._spool.path

    @property
    def torn(self) -> Suspect | None:
        """What the open dropped of records that were never acknowledged, if anything."""
        return self._spool.torn

    @property
    def salvaged(self) -> list[str]:
        """Files that a salvaging open moved aside."""
        return self._spool.salvaged

    @property
    def imported(self) -> str | None:
        """Where the open moved the spool of other software that it has taken in."""
        return self._spool.imported

    @property
    def saved_tail(self) -> str | None:
        """Where the last ``truncate_after`` of this object saved what it cut off."""
        return self._spool.saved_tail

    # What waits.

    async def __aenter__(self) -> Self:
        # That of a primary is refused: the block's end may not close it.
        self._spool.__enter__()
        return await super().__aenter__()

    async def append(
        self,
        *,
        term: int,
        lsn: int,
        payload: Buffer,
        timestamp_ms: int | None = None,
        timeout: float | None = None,
    ) -> SpoolTicket:
        """Stage a record, and return its ticket once it is durable."""
        check_timeout(timeout)
        ticket = self.submit(term=term, lsn=lsn, payload=payload, timestamp_ms=timestamp_ms)
        return await self._settled(ticket, timeout)

    async def append_batch(
        self, records: Iterable[RecordLike], *, timeout: float | None = None
    ) -> SpoolTicket:
        """Stage records, all or none; return their ticket once they are durable."""
        check_timeout(timeout)
        return await self._settled(self.submit_batch(records), timeout)

    async def _settled(self, ticket: SpoolTicket, timeout: float | None) -> SpoolTicket:
        try:
            await self.wait(ticket, timeout)
        except Error as error:
            error.ticket = ticket
            raise
        return ticket

    async def wait(self, ticket: SpoolTicket, timeout: float | None = None) -> None:
        """Wait until what a ticket is for is durable."""
        check_timeout(timeout)
        self._bind()
        # What is no ticket of a spool is refused here.
        if not self._spool.poll(ticket):
            await self._wait(ticket.epoch, timeout)

    async def flush(self, timeout: float | None = None) -> None:
        """Make everything durable that is staged now, in a thread."""
        await self._in_thread(lambda: self._spool.flush(timeout))

    async def read_since(
        self,
        lsn: int,
        *,
        term: int | None = None,
        max_records: int | None = None,
        max_bytes: int | None = None,
    ) -> list[SpoolRecord]:
        """Read durable records above ``lsn``, in a thread."""
        return await self._in_thread(
            lambda: self._spool.read_since(
                lsn, term=term, max_records=max_records, max_bytes=max_bytes
            )
        )

    async def prune_through(self, lsn: int) -> int:
        """Let records at or below ``lsn`` go, in a thread."""
        return await self._in_thread(lambda: self._spool.prune_through(lsn))

    async def truncate_after(self, lsn: int, new_term: int) -> str | None:
        """Begin ``new_term`` behind ``lsn``, in a thread."""
        return await self._in_thread(lambda: self._spool.truncate_after(lsn, new_term))

    async def export_rdlw(self, path: StrPath) -> int:
        """Write the durable records to a new RDLW file, in a thread."""
        return await self._in_thread(lambda: self._spool.export_rdlw(path))

    def follow(
        self, lsn: int, *, max_records: int | None = None, max_bytes: int | None = None
    ) -> Follower:
        """Give each durable record above ``lsn``, now and as they come.

        It reads ahead by ``max_records`` (1000) or ``max_bytes`` (16 MiB of payload)
        at most; one record may exceed ``max_bytes``.
        """
        return Follower(self, self._spool.cursor(lsn), max_records, max_bytes)

    async def wait_after(self, lsn: int, timeout: float | None = None) -> None:
        """Wait until a durable record lies above ``lsn``."""
        check_timeout(timeout)
        # First, so that nothing goes by unseen.
        self._bind()
        try:
            async with asyncio.timeout(timeout):
                while not self._is_after(lsn):
                    await self._arrival()
        except TimeoutError as error:
            if isinstance(error, Error):
                raise
            raise Timeout(f"no record above {lsn} after {timeout} s") from None

    def _is_after(self, lsn: int) -> bool:
        """Whether a record lies above it; raises where none will."""
        try:
            self._spool.wait_after(lsn, 0)
        except Timeout:
            return False
        return True

    async def _arrival(self) -> None:
        """Wait until the descriptor has something to say."""
        arrival: asyncio.Future[None] = self._bind().create_future()
        self._arrivals.add(arrival)
        try:
            await arrival
        finally:
            self._arrivals.discard(arrival)

    def _durable(self, epoch: int) -> bool:
        return self._spool.poll(SpoolTicket(epoch, 0, 0))

    def _request(self, epoch: int) -> None:
        self._spool.request_flush(SpoolTicket(epoch, 0, 0))

    def _settle(self) -> None:
        super()._settle()
        for arrival in self._arrivals:
            if not arrival.done():
                arrival.set_result(None)


class Follower:
    """The records of a spool, one after the other, and those to come.

    A cancelled step loses nothing: the next one goes on behind the last record
    that was given. It ends with an exception alone: ``WalRemovedError`` where it
    fell behind what is pruned, ``ClosedError`` or the failure of its spool.
    One task at a time.
    """

    def __init__(
        self,
        spool: Spool,
        cursor: _native.Cursor,
        max_records: int | None = None,
        max_bytes: int | None = None,
    ) -> None:
        self._spool = spool
        self._cursor = cursor
        self._limits = (max_records, max_bytes)
        self._lsn = cursor.lsn
        self._ready: deque[SpoolRecord] = deque()
        self._reading: asyncio.Future[list[SpoolRecord]] | None = None

    @property
    def lsn(self) -> int:
        """The LSN of the last record given, or the one it began behind."""
        return self._lsn

    def __reduce__(self) -> Never:
        no_pickle(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SpoolRecord:
        while not self._ready:
            await self._fill()
        record = self._ready.popleft()
        self._lsn = record.lsn
        return record

    async def next_batch(self) -> list[SpoolRecord]:
        """Give the records that are there, one at least; see ``Spool.follow``."""
        while not self._ready:
            await self._fill()
        batch = list(self._ready)
        self._ready.clear()
        self._lsn = batch[-1].lsn
        return batch

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let go of the segment that it is in; the iteration ends."""
        self._cursor.close()
        self._ready.clear()

    async def _fill(self) -> None:
        if self._reading is None:
            loop = self._spool._bind()  # pyright: ignore[reportPrivateUsage]
            await self._news()
            # In a thread, because what is not in memory comes from files.
            self._reading = heard(loop.run_in_executor(None, self._read))
        # A step that is cancelled here leaves the read to the next one.
        try:
            records = await asyncio.shield(self._reading)
        except Exception:
            self._reading = None
            raise
        self._reading = None
        self._ready.extend(records)

    async def _news(self) -> None:
        """Wait until a read has something to say."""
        spool = self._spool
        # Below it: an error, which is the read's to raise.
        while spool.current_lsn >= self._lsn and not spool._is_after(self._lsn):  # pyright: ignore[reportPrivateUsage]
            await spool._arrival()  # pyright: ignore[reportPrivateUsage]

    def _read(self) -> list[SpoolRecord]:
        try:
            max_records, max_bytes = self._limits
            return self._cursor.next_batch(0, max_records=max_records, max_bytes=max_bytes)
        except Timeout:
            # Cut off again before it was read.
            return []
