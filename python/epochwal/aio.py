"""The coordinator, the spool and the primary for asyncio.

No thread is used for waiting: each has one event file descriptor that the loop
watches, and every await on it is a future in this process::

    async with epochwal.aio.Coordinator("app.db") as wal:
        ticket = await wal.commit([(1, page)], txn_id=7, commit_seq=1)

    async with epochwal.aio.Spool("app.db") as spool:
        await spool.append(term=1, lsn=1, payload=b"...")
        async for record in spool.follow(0):
            ...

    async with epochwal.aio.Primary("app.db") as primary:
        await primary.spool.append(term=1, lsn=2, payload=b"...")
        await primary.wait_acks(2, policy="any 1", timeout=1.0)
"""

from __future__ import annotations

from epochwal._aio_coordinator import Coordinator
from epochwal._aio_primary import Primary
from epochwal._aio_spool import Follower, Spool

__all__ = ["Coordinator", "Follower", "Primary", "Spool"]

for _class in (Coordinator, Follower, Primary, Spool):
    # As tracebacks and reprs should name them: where they are found.
    _class.__module__ = __name__
