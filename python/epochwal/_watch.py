"""What the asyncio faces share: one event file descriptor that the loop watches.

No thread is used for waiting. Whoever awaits something has a future here, and
the descriptor's turn is when they are looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from typing import TYPE_CHECKING, ClassVar, Never, Protocol, Self, TypeVar

from epochwal._errors import ClosedError, Error, InvalidError, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Log", "Native", "Watch", "check_timeout", "heard", "no_pickle", "opened"]


_T = TypeVar("_T")


class Native(Protocol):
    """What is watched has these in common."""

    def event_fd(self) -> int: ...
    def close(self, timeout: float | None = None) -> None: ...
    @property
    def closed(self) -> bool: ...


class Watch:
    """An object of the core for one event loop: that of its first await."""

    #: In messages.
    _name: ClassVar[str]
    _native: Native

    def _attach(self, native: Native) -> None:
        self._native = native
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fd = -1
        self._closing: asyncio.Future[None] | None = None
        self._open.add(self)

    def _settle(self) -> None:
        """Look at whoever waits, after the descriptor has spoken."""

    def _abandon(self) -> None:
        """Answer whoever still waits: it is closed."""

    def _forget_waiters(self) -> None:
        """Leave those who wait unanswered: they are the parent's."""

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._native.closed

    async def close(self, timeout: float | None = None) -> None:
        """Flush and close, in a thread. Closing again does nothing.

        A close that raises ``Timeout`` leaves it open. One that is cancelled
        goes on, and another can be awaited.
        """
        loop = self._bind(watch=False)
        # Somebody else's, perhaps with another timeout. One that is done may not
        # have been told so: to await it again would hold up the loop for ever.
        while self._closing is not None and not self._closing.done():
            with contextlib.suppress(Timeout):
                await asyncio.shield(self._closing)
        if self._native.closed:
            self._unwatch()
            return
        self._closing = loop.run_in_executor(None, self._native.close, timeout)
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
            value.add_note(f"closing the {self._name} failed too: {error}")

    def __repr__(self) -> str:
        return f"<epochwal.aio.{type(self).__name__} {self._native!r}>"

    def __reduce__(self) -> Never:
        no_pickle(self)

    # The one descriptor, and who waits on it.

    def _bind(self, *, watch: bool = True) -> asyncio.AbstractEventLoop:
        """Check that this is our loop, and watch the descriptor in it."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError(f"{self!r} belongs to another event loop")
        if watch and self._fd < 0 and not self._native.closed:
            self._fd = self._native.event_fd()
            # The loop itself keeps no log alive.
            this: weakref.ref[Watch] = weakref.ref(self)
            loop.add_reader(self._fd, Watch._wake, this)
        return loop

    @staticmethod
    def _wake(this: weakref.ref[Watch]) -> None:
        """Take up that the descriptor is readable."""
        self = this()
        if self is None:
            return
        # Reset first: an advance after this makes it readable again.
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        self._settle()

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        loop = self._bind()
        # Cancelled, it goes on; what comes of it is nobody's any more.
        return await asyncio.shield(heard(loop.run_in_executor(None, call)))

    def _closed(self, closing: asyncio.Future[None]) -> None:
        if self._closing is closing:
            self._closing = None
        if not closing.cancelled():
            # Whoever awaits it hears of it; nobody may.
            closing.exception()
        if self._native.closed:
            self._unwatch()

    def _unwatch(self) -> None:
        """Stop watching, and leave no waiter behind."""
        if self._fd >= 0:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._settle()
        self._abandon()

    _open: ClassVar[weakref.WeakSet[Watch]] = weakref.WeakSet()

    @classmethod
    def _forget_all(cls) -> None:
        """Close a forked child's copies of the descriptors.

        The loop is not told: its selector is shared with the parent, and so is
        what is registered there.
        """
        for watch in list(cls._open):
            if watch._fd >= 0:
                os.close(watch._fd)
                watch._fd = -1
            watch._forget_waiters()
        cls._open.clear()

    def __del__(self) -> None:
        # Nobody closed it: the descriptor at least is not left behind. The
        # log itself warns.
        fd = getattr(self, "_fd", -1)
        if fd >= 0:
            self._fd = -1
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(fd)
            os.close(fd)


class Log(Watch):
    """What becomes durable by epochs, and those who wait for that."""

    def _attach(self, native: Native) -> None:
        super()._attach(native)
        self._waiters: dict[int, set[asyncio.Future[None]]] = {}

    def _durable(self, epoch: int) -> bool:
        """Whether an epoch is durable; raises where it will never be."""
        raise NotImplementedError

    def _request(self, epoch: int) -> None:
        """Start the flush of an epoch."""
        raise NotImplementedError

    async def _wait(self, epoch: int, timeout: float | None) -> None:
        """Wait until an epoch is durable."""
        check_timeout(timeout)
        loop = self._bind()
        if self._durable(epoch):
            return
        durable: asyncio.Future[None] = loop.create_future()
        self._waiters.setdefault(epoch, set()).add(durable)
        try:
            self._request(epoch)
            if timeout is None:
                await durable
            elif (await asyncio.wait((durable,), timeout=timeout))[0]:
                durable.result()
            else:
                late = Timeout(f"epoch {epoch} is not durable after {timeout} s")
                late.epoch = epoch
                raise late
        finally:
            durable.cancel()
            self._forget(epoch, durable)

    def _settle(self) -> None:
        """Answer every waiter of whose epoch something is known."""
        for epoch in sorted(self._waiters):
            try:
                if not self._durable(epoch):
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

    def _abandon(self) -> None:
        for epoch in list(self._waiters):
            self._answer(epoch, ClosedError(f"the {self._name} is closed"))

    def _forget_waiters(self) -> None:
        self._waiters.clear()


def no_pickle(it: object) -> Never:
    """Say why there is no copy of what holds files and tasks."""
    name = type(it).__name__
    raise TypeError(f"{name} of asyncio cannot be pickled or copied: it belongs to its loop")


def check_timeout(timeout: float | None) -> None:
    """Refuse what is no time to wait."""
    if timeout is None:
        return
    try:
        waits = timeout >= 0
    except TypeError:
        name = type(timeout).__name__
        raise TypeError(f"timeout: a number of seconds is required, not '{name}'") from None
    if not waits:
        raise InvalidError(f"timeout: {timeout} is not a time to wait")


_N = TypeVar("_N", bound=Native)


async def opened(open_: Callable[[], _N]) -> _N:
    """Open a log in a thread; one that nobody waits for any more is closed."""
    opening = asyncio.get_running_loop().run_in_executor(None, open_)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_discard)
        raise


def _discard(opening: asyncio.Future[_N]) -> None:
    """Close what was opened for a task that is gone."""
    if not opening.cancelled() and opening.exception() is None:
        native = opening.result()
        opening.get_loop().run_in_executor(None, native.close)


def heard(future: asyncio.Future[_T]) -> asyncio.Future[_T]:
    """Keep the loop from complaining of an exception that nobody awaits."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def _copy(error: Error) -> Error:
    copy = type(error)(*error.args)
    copy.__dict__.update(error.__dict__)
    copy.errno = error.errno
    return copy


os.register_at_fork(after_in_child=Watch._forget_all)  # pyright: ignore[reportPrivateUsage]
