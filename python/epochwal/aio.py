"""The coordinator, the spool and the primary for asyncio.

No thread is used for waiting: each has one event file descriptor that the loop
watches, and every await on it is a future in this process.

>>> async def commit():
...     async with epochwal.aio.Coordinator("app.db", sequencing="coordinator") as wal:
...         tickets = [wal.commit([(n, bytes(4096))], txn_id=n) for n in range(1, 101)]
...         return {ticket.epoch for ticket in await asyncio.gather(*tickets)}
>>> len(asyncio.run(commit())) < 100    # they share epochs, and syncs
True

>>> async def ship():
...     async with epochwal.aio.Primary("app.db") as primary:
...         for lsn in (1, 2):
...             await primary.spool.append(term=1, lsn=lsn, payload=b"insert")
...         async for record in primary.spool.follow(0):
...             print(record.lsn, record.payload)
...             if record.lsn == 2:
...                 return await primary.wait_acks(2, policy="local")
>>> asyncio.run(ship()).outcome
1 b'insert'
2 b'insert'
'reached'
"""

from __future__ import annotations

from epochwal._aio_coordinator import Coordinator
from epochwal._aio_primary import Primary
from epochwal._aio_spool import Follower, Spool

__all__ = ["Coordinator", "Follower", "Primary", "Spool"]

for _class in (Coordinator, Follower, Primary, Spool):
    # As tracebacks and reprs should name them: where they are found.
    _class.__module__ = __name__
