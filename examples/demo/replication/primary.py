"""The primary's process.

    python -m replication.primary NAME SEED HORIZON LISTENER

Its database is NAME.sqlite, its spool and slots lie beside NAME; LISTENER is the
descriptor of a socket that listens, which outlives this process. Commands come by
the standard input: `run N` works up to LSN N, `settle ID...` waits until these
replicas have applied all of it, `stop` ends. What happens goes to the standard
output, a JSON object a line.
"""

import json
import os
import random
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import epochwal

from replication import wire
from replication.source import Source, snapshot

#: A commit counts once one replica has it on its disk.
POLICY = "any 1 (c, cpp, python)"
PATIENCE = 60.0


def tell(event: str, **fields: Any) -> None:
    """One line to the parent, from any thread: a short write to a pipe is whole."""
    os.write(1, (json.dumps({"event": event, **fields}) + "\n").encode())


class Shop:
    """The database at work, and what of it is in the spool."""

    def __init__(self, name: str, seed: int, horizon: int) -> None:
        self.path = Path(f"{name}.sqlite")
        self.source = Source(self.path, seed)
        self.primary = epochwal.Primary(name, horizon_lsns=horizon)
        self.spool = self.primary.spool
        self.prune_every = max(1, horizon // 8)
        #: Held by a prune, and while a slot is set to where the log ends.
        self.retention = threading.Lock()
        self._rng = random.Random()
        # Each life of the primary is a term of its own.
        self.term = max(self.spool.term, self.source.term) + 1
        self.degraded = 0

    def ship(self) -> int:
        """Appends what the spool does not have yet; how many records that was."""
        records = self.source.not_shipped(self.spool.current_lsn)
        if records:
            self.spool.append_batch(records)
        return len(records)

    def run(self, until: int) -> None:
        """Works up to an LSN, some transactions at a time."""
        while self.source.lsn < until:
            before = self.source.lsn
            shipped = self.spool.current_lsn
            for _ in range(min(self._rng.choice([1, 1, 2, 3, 8]), until - before)):
                self.source.transaction(self.term, shipped)
            lsn = self.source.lsn
            tell("committed", lsn=lsn)
            self.ship()
            acks = self.primary.wait_acks(lsn, POLICY, "durable", PATIENCE, degrade=True)
            self.degraded += acks.degraded
            tell("acknowledged", lsn=lsn)
            if before // self.prune_every < lsn // self.prune_every:
                self.prune()

    def prune(self) -> None:
        """Lets go what no slot holds back any more, and slots that hold back too much."""
        with self.retention:
            lost = self.primary.enforce_limits()
            pruned_through = self.primary.prune()
        for slot in lost:
            cause, had = slot.invalidated, slot.restart_lsn
            tell("lost", id=slot.id, cause=cause, had=had, pruned_through=pruned_through)

    def settle(self, ids: list[str]) -> None:
        """Waits until replicas have applied everything."""
        policy = f"any {len(ids)} ({', '.join(ids)})"
        self.primary.wait_acks(self.source.lsn, policy, "applied", PATIENCE)


class Session:
    """One replica's connection, in a thread of its own."""

    def __init__(self, shop: Shop, connection: socket.socket) -> None:
        self._shop = shop
        self._primary = shop.primary
        self._connection = connection
        self._id = ""
        self._generation = 0

    def run(self) -> None:
        """Serves it until it goes, or another session of the same replica begins."""
        with self._connection:
            try:
                with self._shop.spool.cursor(self._hello()) as cursor:
                    while True:
                        self._answer(cursor)
            except (ConnectionError, epochwal.FencedError, epochwal.WalRemovedError):
                pass  # it comes again, if it lives
            except epochwal.ClosedError:
                wire.send(self._connection, wire.END)

    def _hello(self) -> int:
        kind, body = wire.receive(self._connection)
        if kind != wire.HELLO:
            raise wire.Gone(f"{kind!r} instead of a hello")
        since, term = struct.unpack_from("<QQ", body)
        self._id = body[16:].decode()
        self._generation = self._primary.register(self._id).generation
        plan = self._primary.plan_resume(self._id, since_lsn=since, term=term)
        if plan.kind == "rebootstrap":
            lsn = self._rebootstrap()
        else:
            assert plan.kind == "partial" and plan.resume_lsn == since, plan
            lsn = since
            wire.send(self._connection, wire.GO_ON, struct.pack("<Q", lsn))
        tell(plan.kind, id=self._id, since=since, lsn=lsn, cause=plan.cause)
        return lsn

    def _rebootstrap(self) -> int:
        """Pins the log where it ends now, then sends a copy that is no older."""
        spool, copy = self._shop.spool, Path(f"{self._id}.snapshot")
        self._primary.set_rebootstrapping(self._id, True)
        with self._shop.retention:
            self._primary.slot_reset(self._id, spool.current_lsn)
        copy.unlink(missing_ok=True)
        lsn = snapshot(self._shop.path, copy)
        # The replica will acknowledge it, which is refused beyond the end.
        spool.wait_after(lsn - 1)
        wire.send(self._connection, wire.SNAPSHOT, struct.pack("<Q", lsn) + copy.read_bytes())
        copy.unlink()
        kind, body = wire.receive(self._connection)
        if kind != wire.ACK:
            raise wire.Gone(f"{kind!r} instead of an acknowledgement")
        self._primary.set_rebootstrapping(self._id, False)
        self._ack(body)
        return lsn

    def _answer(self, cursor: epochwal.Cursor) -> None:
        kind, body = wire.receive(self._connection)
        if kind == wire.ACK:
            self._ack(body)
        elif kind == wire.PULL:
            (most,) = struct.unpack("<I", body)
            records = cursor.next_batch(max_records=most)
            self._primary.note_pull(self._id, self._generation, records[-1].lsn)
            wire.send(self._connection, wire.RECORDS, wire.pack_records(records))
        else:
            raise wire.Gone(f"{kind!r} is no request")

    def _ack(self, body: bytes) -> None:
        written, durable, applied = struct.unpack("<QQQ", body)
        self._primary.ack(
            self._id, self._generation, written=written, durable=durable, applied=applied
        )


def serve(shop: Shop, listener: socket.socket) -> None:
    """Gives each connection a thread."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=Session(shop, connection).run).start()


def main() -> int:
    """Comes up, does what it is told, and ends in good order."""
    name, seed, horizon, listener = sys.argv[1], *map(int, sys.argv[2:])
    shop = Shop(name, seed, horizon)
    had = shop.spool.current_lsn
    tell("open", term=shop.term, spool=had, source=shop.source.lsn, appended=shop.ship())
    accepting = threading.Thread(
        target=serve, args=(shop, socket.socket(fileno=listener)), daemon=True
    )
    accepting.start()
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "run":
            shop.run(int(arguments[0]))
        elif command == "settle":
            shop.settle(arguments)
        else:
            break
        tell("done")
    tell("closing", degraded=shop.degraded)
    shop.primary.close()
    shop.source.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
