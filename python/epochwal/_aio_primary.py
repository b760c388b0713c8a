"""The primary for asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from epochwal import _native
from epochwal._aio_spool import Spool
from epochwal._errors import Error
from epochwal._watch import Watch, check_timeout, opened

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from epochwal._types import (
        AckResult,
        Event,
        PrimaryOptions,
        PrimaryStats,
        Progress,
        Registration,
        Replica,
        ResumePlan,
        Slot,
        StrPath,
    )


class Primary(Watch):
    """``epochwal.Primary`` for one event loop: that of its first await.

    Its options are the same. The constructor opens the log, which reads files;
    ``await Primary.open(...)`` does it in a thread. What only looks into memory is
    a plain method, as ``ack`` is; what may touch the disk is awaited.
    """

    _name: ClassVar[str] = "primary"

    def __init__(self, path: StrPath | None, **options: Unpack[PrimaryOptions]) -> None:
        self._take(_native.Primary(path, **options))

    @classmethod
    async def open(cls, path: StrPath | None, **options: Unpack[PrimaryOptions]) -> Self:
        """Open the log and its slots without holding up the loop."""
        primary = await opened(lambda: _native.Primary(path, **options))
        self = cls.__new__(cls)
        self._take(primary)
        return self

    def _take(self, primary: _native.Primary) -> None:
        self._primary = primary
        self._pending: dict[asyncio.Future[None], _native.AckWatch] = {}
        self._spool = Spool.__new__(Spool)
        self._spool._take(primary.spool)  # pyright: ignore[reportPrivateUsage]
        self._attach(primary)

    @property
    def spool(self) -> Spool:
        """Its spool, which closes with it."""
        return self._spool

    # What never waits is the other class's.

    def note_pull(self, id: str, generation: int, sent_lsn: int) -> None:
        """Note that a replica was sent records up to ``sent_lsn``."""
        self._primary.note_pull(id, generation, sent_lsn)

    def touch(self, id: str, generation: int) -> None:
        """Note that a replica was heard of."""
        self._primary.touch(id, generation)

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
        """Take what a replica says of itself; see ``epochwal.Primary.ack``."""
        self._primary.ack(
            id,
            generation,
            written=written,
            durable=durable,
            applied=applied,
            apply_errors=apply_errors,
            divergences=divergences,
        )

    def replicas(self) -> list[Replica]:
        """List the members of the registry, by id."""
        return self._primary.replicas()

    def progress(self) -> Progress:
        """Tell how far the replicas are together."""
        return self._primary.progress()

    def quorum_lsn(
        self,
        n: int,
        level: Literal["written", "durable", "flushed", "applied"] = "durable",
    ) -> int:
        """Return the LSN that at least ``n`` replicas have at a level."""
        return self._primary.quorum_lsn(n, level)

    def slots(self) -> list[Slot]:
        """List the slots, by id."""
        return self._primary.slots()

    def slot(self, id: str) -> Slot:
        """Return one slot."""
        return self._primary.slot(id)

    def export_slots(self) -> bytes:
        """Return the slots as JSON, in the layout of the older slot store."""
        return self._primary.export_slots()

    def events_since(self, number: int = 0) -> list[Event]:
        """Return the events above a number, oldest first."""
        return self._primary.events_since(number)

    @property
    def topology_epoch(self) -> int:
        """A number that rises with each change of the registry's shape."""
        return self._primary.topology_epoch

    @property
    def path(self) -> str | None:
        """The resolved path of the data file that it belongs to."""
        return self._primary.path

    @property
    def salvaged(self) -> str | None:
        """Where an open that salvaged left the damaged slots."""
        return self._primary.salvaged

    # What waits for replicas.

    async def wait_acks(
        self,
        lsn: int,
        policy: str = "any 1",
        level: Literal["written", "durable", "flushed", "applied"] = "durable",
        timeout: float | None = None,
        *,
        degrade: bool = False,
    ) -> AckResult:
        """Wait until enough replicas have ``lsn``; see ``epochwal.Primary.wait_acks``."""
        check_timeout(timeout)
        # First, so that nothing goes by unseen.
        self._bind()
        self._spool._bind()  # pyright: ignore[reportPrivateUsage]
        watch = self._primary.watch_acks(lsn, policy, level, degrade=degrade)
        try:
            try:
                async with asyncio.timeout(timeout):
                    await self._decision(watch)
            except TimeoutError as error:
                if isinstance(error, Error):
                    raise
            # In a thread, because what was reached is kept on the disk.
            return await self._in_thread(watch.finish)
        finally:
            watch.close()

    async def _decision(self, watch: _native.AckWatch) -> None:
        """Wait until a commit wait is decided; raises where it never will be."""
        while watch.local and not watch.decided():
            await self._spool._arrival()  # pyright: ignore[reportPrivateUsage]
        while not watch.decided():
            decided = self._bind().create_future()
            self._pending[decided] = watch
            try:
                await decided
            finally:
                del self._pending[decided]

    def _settle(self) -> None:
        for decided, watch in self._pending.items():
            if decided.done():
                continue
            try:
                if not watch.decided():
                    continue
            except Error:
                # The one who waits asks again, and has it raised there.
                pass
            decided.set_result(None)

    def _forget_waiters(self) -> None:
        self._pending.clear()

    def _unwatch(self) -> None:
        super()._unwatch()
        self._spool._unwatch()  # pyright: ignore[reportPrivateUsage]

    # What may touch the disk, in a thread.

    async def register(self, id: str, region: str | None = None) -> Registration:
        """Register a replica, or connect it again."""
        return await self._in_thread(lambda: self._primary.register(id, region))

    async def ensure_registered(self, id: str, region: str | None = None) -> Registration:
        """Register a replica; a session that there is goes on."""
        return await self._in_thread(lambda: self._primary.ensure_registered(id, region))

    async def unregister(self, id: str) -> None:
        """End a replica's session and its membership; its slot stays."""
        await self._in_thread(lambda: self._primary.unregister(id))

    async def set_rebootstrapping(self, id: str, rebootstrapping: bool) -> None:
        """Note that a replica is being loaded from a snapshot, or not any more."""
        await self._in_thread(lambda: self._primary.set_rebootstrapping(id, rebootstrapping))

    async def plan_resume(self, id: str, since_lsn: int, term: int | None = None) -> ResumePlan:
        """Say how a replica goes on; see ``epochwal.Primary.plan_resume``."""
        return await self._in_thread(lambda: self._primary.plan_resume(id, since_lsn, term))

    async def slot_create(
        self, id: str, lsn: int | None = None, *, temporary: bool = False
    ) -> None:
        """Make a slot at ``lsn``, or at the end of the log."""
        await self._in_thread(lambda: self._primary.slot_create(id, lsn, temporary=temporary))

    async def slot_drop(self, id: str) -> None:
        """Drop a slot, and its replica from the registry."""
        await self._in_thread(lambda: self._primary.slot_drop(id))

    async def slot_reset(self, id: str, lsn: int | None) -> None:
        """Revive a slot after a new bootstrap of its replica up to ``lsn``; None: the end."""
        await self._in_thread(lambda: self._primary.slot_reset(id, lsn))

    async def enforce_limits(self, now_unix_ms: int | None = None) -> list[Slot]:
        """Give up the slots that are beyond a limit, and return them."""
        return await self._in_thread(lambda: self._primary.enforce_limits(now_unix_ms))

    async def prune(self, archived_lsn: int | None = None) -> int:
        """Let records go that no valid slot needs; return how far."""
        return await self._in_thread(lambda: self._primary.prune(archived_lsn))

    async def save(self) -> None:
        """Save at once what acknowledgements have raised."""
        await self._in_thread(self._primary.save)

    async def stats(self) -> PrimaryStats:
        """Return the figures; a save that is under way holds them up."""
        return await self._in_thread(self._primary.stats)
