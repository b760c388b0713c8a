"""The exceptions, and how the core's errors become one of them."""

from __future__ import annotations

import errno as _errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from epochwal._types import SpoolTicket, Ticket


class Error(Exception):
    """A failure of epochwal. Its text says what was wrong and where.

    ``path`` and ``offset`` name the file and the place in it, ``ticket`` the
    batch or the records that stay staged although the call failed, ``epoch`` what
    was waited for, ``errno`` the operating system's error number, ``lsn`` the
    position in a spool that the caller can go on from, ``observed`` and ``required``
    how many acknowledgements a commit had and needs; each is None where it is not
    known.

    >>> try:
    ...     epochwal.Coordinator("nowhere/app.db")
    ... except OSError as error:
    ...     print(type(error).__name__, error.errno, error.path)
    IoError 2 nowhere/app.db
    """

    path: str | None
    offset: int | None
    ticket: Ticket | SpoolTicket | None
    errno: int | None
    lsn: int | None
    observed: int | None = None
    required: int | None = None
    _epoch: int | None = None

    @property
    def epoch(self) -> int | None:
        """The epoch that was waited for, or that of the ticket."""
        return self._epoch if self.ticket is None else self.ticket.epoch

    @epoch.setter
    def epoch(self, epoch: int | None) -> None:
        self._epoch = epoch

    def __init__(
        self,
        message: str = "",
        *,
        path: str | None = None,
        offset: int | None = None,
        ticket: Ticket | SpoolTicket | None = None,
        errno: int | None = None,
        lsn: int | None = None,
    ) -> None:
        super().__init__(message)
        self.path = path
        self.offset = offset
        self.ticket = ticket
        self.errno = errno
        self.lsn = lsn

    def __str__(self) -> str:
        # OSError's own text would begin with the number and leave ours out.
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[object, ...]:
        names = ("path", "offset", "ticket", "errno", "lsn", "observed", "required")
        known = {name: getattr(self, name) for name in names}
        return type(self), self.args, {**self.__dict__, **known}


class CorruptError(Error):
    """Bytes of a known format version are wrong."""


class FormatError(Error):
    """A newer format, or a file of something else."""


class LockedError(Error):
    """Another writer has the database."""


class ClosedError(Error):
    """The object is closed. Says nothing about durability."""


class ForkedError(Error):
    """The object belongs to the parent of a ``fork()``."""


class FailedError(Error):
    """An earlier failure is final; only opening again goes on."""


class OutcomeUnknownError(Error):
    """A sync failed: the epoch may or may not be on the disk."""


class BusyError(Error):
    """There is no room, and the call was not to wait for any."""


class FencedError(Error):
    """A lower term than the log has seen; ``lsn`` is the log's last."""


class OrderError(Error):
    """A sequence or a position out of order; ``lsn`` is the one it must follow."""


class WalRemovedError(Error):
    """The records asked for are pruned; ``lsn`` is the first there is."""


class AheadError(Error):
    """The asker is beyond the end of the log, which is ``lsn``."""


class DivergedError(Error):
    """The asker is on another branch of history; both have it up to ``lsn``."""


class NotFoundError(Error):
    """There is no such thing, or there are not as many as are asked for."""


class ExistsError(Error):
    """It is there already."""


class UnsupportedError(Error):
    """The platform or the build lacks what was asked for."""


class InvalidError(Error, ValueError):
    """An argument or an option is out of its range; the text names it."""


class TooLargeError(Error, ValueError):
    """Larger than a configured limit or one of the format."""


class OutOfMemoryError(Error, MemoryError):
    """The system gave no memory."""


class IoError(Error, OSError):
    """A call to the file system failed."""


class NoSpaceError(IoError):
    """No disk space, or the log's configured limit is reached. It heals."""


class Timeout(Error, TimeoutError):
    """The time was up; what was waited for is still pending."""


# By the core's numbers, which are those of the C ABI.
_BY_KIND: dict[int, type[Error]] = {
    1: Timeout,
    3: BusyError,
    -1: InvalidError,
    -2: OutOfMemoryError,
    -3: IoError,
    -4: CorruptError,
    -5: LockedError,
    -6: ClosedError,
    -7: ForkedError,
    -8: UnsupportedError,
    -9: TooLargeError,
    -10: NoSpaceError,
    -12: FormatError,
    -13: NotFoundError,
    -14: ExistsError,
    -15: FailedError,
    -16: OutcomeUnknownError,
    -18: OrderError,
    -19: FencedError,
    -20: WalRemovedError,
    -21: AheadError,
    -22: DivergedError,
    -99: FailedError,
}

# What an OSError's reader expects where no system call failed.
_ERRNO: dict[type[Error], int] = {
    IoError: _errno.EIO,
    NoSpaceError: _errno.ENOSPC,
    Timeout: _errno.ETIMEDOUT,
}


def from_core(  # noqa: PLR0917
    kind: int,
    message: str,
    path: str | None,
    offset: int | None,
    ticket: Ticket | None,
    errno: int | None,
    lsn: int | None = None,
) -> Error:
    """Make the exception for an error of the core."""
    cls = _BY_KIND.get(kind, Error)
    if errno is None:
        errno = _ERRNO.get(cls)
    return cls(message, path=path, offset=offset, ticket=ticket, errno=errno, lsn=lsn)
