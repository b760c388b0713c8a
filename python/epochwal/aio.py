"""The coordinator for asyncio.

No thread is used for waiting: each coordinator has one event file descriptor
that the loop watches, and every await on it is a future in this process::

    async with epochwal.aio.Coordinator("app.db") as wal:
        ticket = await wal.commit([(1, page)], txn_id=7, commit_seq=1)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from typing import TYPE_CHECKING, ClassVar, Self

from epochwal import _native
from epochwal._errors import ClosedError, Error, InvalidError, Timeout
from epochwal._types import Ticket

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Buffer, Unpack

    from epochwal._types import Frames, Options, Stats, StrPath

__all__ = ["Coordinator"]

_Waiters = dict[int, set["asyncio.Future[None]"]]


class Coordinator:
    """``epochwal.Coordinator`` for one event loop: that of its first await.

    Its options are the same. The constructor opens the log, which reads files
    and may take its time after a crash; ``await Coordinator.open(...)`` does it
    in a thread. A task that is cancelled while it waits leaves its batch
    staged: it becomes durable with its epoch all the same.
    """

    def __init__(self, path: StrPath, **options: Unpack[Options]) -> None:
        self._attach(_native.Coordinator(path, **options))

    @classmethod
    async def open(cls, path: StrPath, **options: Unpack[Options]) -> Self:
        """Open the log without holding up the loop."""
        opening = asyncio.get_running_loop().run_in_executor(
            None, lambda: _native.Coordinator(path, **options)
        )
        try:
            wal = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_discard)
            raise
        self = cls.__new__(cls)
        self._attach(wal)
        return self

    def _attach(self, wal: _native.Coordinator) -> None:
        self._wal = wal
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fd = -1
        self._waiters: _Waiters = {}
        self._closing: asyncio.Future[None] | None = None
        self._open.add(self)

    # What never waits is the other class's.

    def submit(
        self,
        frames: Frames,
        *,
        txn_id: int,
        commit_seq: int = 0,
        txn_epoch: int = 0,
        metadata: Buffer = b"",
    ) -> Ticket:
        """Stage a batch; see ``epochwal.Coordinator.submit``.

        It holds up the loop while a lane is full, unless the coordinator was
        opened with ``overflow_policy="refuse"`` and answers ``BusyError`` instead.
        """
        return self._wal.submit(
            frames,
            txn_id=txn_id,
            commit_seq=commit_seq,
            txn_epoch=txn_epoch,
            metadata=metadata,
        )

    def checkpoint(self, epoch: Ticket | int) -> None:
        """Let go of the epochs up to this one; writes and syncs one block."""
        self._wal.checkpoint(epoch)

    def request_flush(self, ticket: Ticket | int) -> None:
        """Start the flush of an epoch in the background."""
        self._wal.request_flush(ticket)

    def stats(self) -> Stats:
        """Return the figures; see ``epochwal.Coordinator.stats``."""
        return self._wal.stats()

    def prometheus(self) -> str:
        """Return the figures as Prometheus text."""
        return self._wal.prometheus()

    @property
    def durable_epoch(self) -> int | None:
        """The highest durable epoch; None before the first."""
        return self._wal.durable_epoch

    @property
    def current_epoch(self) -> int:
        """The epoch that a batch staged now would get."""
        return self._wal.current_epoch

    @property
    def path(self) -> str:
        """The resolved path of the database."""
        return self._wal.path

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._wal.closed

    # What waits.

    async def commit(
        self,
        frames: Frames,
        *,
        txn_id: int,
        commit_seq: int = 0,
        txn_epoch: int = 0,
        metadata: Buffer = b"",
        timeout: float | None = None,
    ) -> Ticket:
        """Stage a batch, and return its ticket once it is durable."""
        ticket = self.submit(
            frames,
            txn_id=txn_id,
            commit_seq=commit_seq,
            txn_epoch=txn_epoch,
            metadata=metadata,
        )
        try:
            await self.wait(ticket, timeout)
        except Error as error:
            error.ticket = ticket
            raise
        return ticket

    async def wait(self, ticket: Ticket | int, timeout: float | None = None) -> None:
        """Wait until the epoch of a ticket, or an epoch, is durable."""
        if timeout is not None and not timeout >= 0:
            raise InvalidError(f"timeout: {timeout} is not a time to wait")
        loop = self._bind()
        if self._wal.poll(ticket):
            return
        epoch = ticket.epoch if isinstance(ticket, Ticket) else ticket
        durable: asyncio.Future[None] = loop.create_future()
        self._waiters.setdefault(epoch, set()).add(durable)
        try:
            self._wal.request_flush(epoch)
            if timeout is None:
                await durable
            elif (await asyncio.wait((durable,), timeout=timeout))[0]:
                durable.result()
            else:
                raise Timeout(f"epoch {epoch} is not durable after {timeout} s")
        finally:
            durable.cancel()
            self._forget(epoch, durable)

    async def flush(self, timeout: float | None = None) -> int:
        """Make everything durable that is staged now; return its epoch."""
        current = self._wal.current_epoch
        # Where nothing is staged the current epoch is not handed out yet, and
        # the one before is the last that may be on its way.
        for epoch in (current, current - 1):
            try:
                durable = self._wal.poll(epoch)
            except InvalidError:
                continue
            if not durable:
                await self.wait(epoch, timeout)
            return epoch
        return self._wal.durable_epoch or 0

    async def close(self, timeout: float | None = None) -> None:
        """Seal, flush and close, in a thread. Closing again does nothing.

        A close that raises ``Timeout`` leaves it open. One that is cancelled
        goes on, and another can be awaited.
        """
        loop = self._bind(watch=False)
        while self._closing is not None:
            # Somebody else's, perhaps with another timeout.
            with contextlib.suppress(Timeout):
                await asyncio.shield(self._closing)
        if self._wal.closed:
            self._unwatch()
            return
        self._closing = loop.run_in_executor(None, self._wal.close, timeout)
        self._closing.add_done_callback(self._closed)
        await asyncio.shield(self._closing)

    async def __aenter__(self) -> Self:
        self._bind()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        except Error as error:
            if value is None:
                raise
            value.add_note(f"closing the coordinator failed too: {error}")

    def __repr__(self) -> str:
        return f"<epochwal.aio.Coordinator {self._wal!r}>"

    # The one descriptor, and who waits on it.

    def _bind(self, *, watch: bool = True) -> asyncio.AbstractEventLoop:
        """Check that this is our loop, and watch the descriptor in it."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError(f"{self!r} belongs to another event loop")
        if watch and self._fd < 0 and not self._wal.closed:
            self._fd = self._wal.event_fd()
            # The loop itself keeps no coordinator alive.
            this: weakref.ref[Coordinator] = weakref.ref(self)
            loop.add_reader(self._fd, Coordinator._wake, this)
        return loop

    @staticmethod
    def _wake(this: weakref.ref[Coordinator]) -> None:
        """Take up that the descriptor is readable."""
        self = this()
        if self is None:
            return
        # Reset first: an advance after this makes it readable again.
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        self._settle()

    def _settle(self) -> None:
        """Answer every waiter of whose epoch something is known."""
        for epoch in sorted(self._waiters):
            try:
                if not self._wal.poll(epoch):
                    # Epochs become durable in order.
                    break
            except Error as error:
                self._answer(epoch, error)
            else:
                self._answer(epoch, None)

    def _answer(self, epoch: int, error: Error | None) -> None:
        for waiter in self._waiters.pop(epoch, ()):
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                # One of its own for each: a traceback grows where it is raised.
                waiter.set_exception(_copy(error))

    def _forget(self, epoch: int, waiter: asyncio.Future[None]) -> None:
        waiters = self._waiters.get(epoch)
        if waiters is not None:
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[epoch]

    def _closed(self, closing: asyncio.Future[None]) -> None:
        self._closing = None
        if not closing.cancelled():
            # Whoever awaits it hears of it; nobody may.
            closing.exception()
        if self._wal.closed:
            self._unwatch()

    def _unwatch(self) -> None:
        """Stop watching, and leave no waiter behind."""
        if self._fd >= 0:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._settle()
        for epoch in list(self._waiters):
            self._answer(epoch, ClosedError("the coordinator is closed"))

    _open: ClassVar[weakref.WeakSet[Coordinator]] = weakref.WeakSet()

    @classmethod
    def _forget_all(cls) -> None:
        """Close a forked child's copies of the descriptors.

        The loop is not told: its selector is shared with the parent, and so is
        what is registered there.
        """
        for wal in list(cls._open):
            if wal._fd >= 0:
                os.close(wal._fd)
                wal._fd = -1
            wal._waiters.clear()
        cls._open.clear()

    def __del__(self) -> None:
        # Nobody closed it: the descriptor at least is not left behind. The
        # coordinator itself warns.
        fd = getattr(self, "_fd", -1)
        if fd >= 0:
            self._fd = -1
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(fd)
            os.close(fd)


def _discard(opening: asyncio.Future[_native.Coordinator]) -> None:
    """Close what was opened for a task that is gone."""
    if not opening.cancelled() and opening.exception() is None:
        wal = opening.result()
        opening.get_loop().run_in_executor(None, wal.close)


def _copy(error: Error) -> Error:
    copy = type(error)(*error.args)
    copy.__dict__.update(error.__dict__)
    copy.errno = error.errno
    return copy


os.register_at_fork(after_in_child=Coordinator._forget_all)  # pyright: ignore[reportPrivateUsage]
