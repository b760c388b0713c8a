"""The coordinator for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from epochwal import _native
from epochwal._errors import Error, InvalidError
from epochwal._types import Ticket
from epochwal._watch import Log, opened

if TYPE_CHECKING:
    from typing_extensions import Buffer, Unpack

    from epochwal._types import Frames, Options, Stats, StrPath


class Coordinator(Log):
    """``epochwal.Coordinator`` for one event loop: that of its first await.

    Its options are the same. The constructor opens the log, which reads files
    and may take its time after a crash; ``await Coordinator.open(...)`` does it
    in a thread. A task that is cancelled while it waits leaves its batch
    staged: it becomes durable with its epoch all the same.
    """

    _name: ClassVar[str] = "coordinator"

    def __init__(self, path: StrPath, **options: Unpack[Options]) -> None:
        self._take(_native.Coordinator(path, **options))

    @classmethod
    async def open(cls, path: StrPath, **options: Unpack[Options]) -> Self:
        """Open the log without holding up the loop."""
        wal = await opened(lambda: _native.Coordinator(path, **options))
        self = cls.__new__(cls)
        self._take(wal)
        return self

    def _take(self, wal: _native.Coordinator) -> None:
        self._wal = wal
        self._attach(wal)

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

    def checkpoint(self, through_epoch: Ticket | int) -> None:
        """Let go of the epochs up to this one; writes and syncs one block."""
        self._wal.checkpoint(through_epoch)

    def poll(self, ticket: Ticket | int) -> bool:
        """Say whether an epoch is durable, without waiting; raise what ``wait`` would."""
        return self._wal.poll(ticket)

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
    def salvaged(self) -> list[str]:
        """Files that a salvaging open moved aside."""
        return self._wal.salvaged

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
        await self._wait(ticket.epoch if isinstance(ticket, Ticket) else ticket, timeout)

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

    def _durable(self, epoch: int) -> bool:
        return self._wal.poll(epoch)

    def _request(self, epoch: int) -> None:
        self._wal.request_flush(epoch)
