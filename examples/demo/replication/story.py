"""What happens to a primary and three replicas, and what must hold at the end.

Each replica has a fate, and the seed says which. One is there all the time, one is
killed at work and comes back, and one stays away for longer than the log waits
for it. The primary is killed at work, too.
"""

import random
from pathlib import Path

import epochwal
from check import Mismatch

from replication.cast import Cast, Replica
from replication.compare import records_of, same_as_undisturbed, same_databases, same_replay

LANGUAGES = {"python": "Python", "c": "C", "cpp": "C++"}


class Story:
    """The work is done in tenths, and a slot may hold back two of them.

    Everyone who is there has one of them before the next but one begins, so only
    who stays away is given up.
    """

    def __init__(self, directory: Path, programs: Path, seed: int, transactions: int) -> None:
        self._rng = random.Random(seed)
        self._seed = seed
        self._tenth = transactions // 10
        self._end = 10 * self._tenth
        self._cast = Cast(directory, programs, seed, 2 * self._tenth)
        self._directory = directory
        replicas = list(self._cast.replicas.values())
        self._rng.shuffle(replicas)
        self.steady, self.killed, self.away = replicas

    def run(self) -> None:
        """Tells it, and checks it."""
        cast = self._cast
        try:
            cast.start_primary()
            for name in cast.replicas:
                cast.start(name)
            cast.hear_until(lambda: all(r.events for r in cast.replicas.values()))
            self._work(1)
            self._work(2)
            self._kill_one()
            self._leave_one_behind()
            self._kill_the_primary()
            self._come_back()
            cast.end()
        finally:
            cast.close()
        self._check()

    # What happens

    def _work(self, tenths: int) -> None:
        """Works that far; then everyone who is there has it."""
        self._cast.command(f"run {tenths * self._tenth}")
        self._cast.finish()
        self._settle()

    def _settle(self) -> None:
        there = [r.name for r in self._cast.replicas.values() if r.process]
        self._cast.command(f"settle {' '.join(there)}")
        self._cast.finish()

    def _start_to(self, tenths: int, before_it_ships: bool = False) -> None:
        """Sets out to work that far, and comes back on the way."""
        cast = self._cast
        at = (tenths - 1) * self._tenth + self._rng.randint(1, max(1, self._tenth // 2))
        cast.command(f"run {tenths * self._tenth}")
        cast.hear_until(
            lambda: (cast.committed if before_it_ships else cast.acknowledged) >= at
        )

    def _return(self, replica: Replica) -> None:
        known = len(replica.events)
        self._cast.start(replica.name)
        self._cast.hear_until(lambda: len(replica.events) > known)

    def _kill_one(self) -> None:
        self._start_to(3)
        self._cast.kill(self.killed.name)
        self._cast.finish()
        self._return(self.killed)
        self._work(4)

    def _leave_one_behind(self) -> None:
        self._start_to(5)
        self._cast.kill(self.away.name)
        self._cast.finish()
        self._settle()

    def _kill_the_primary(self) -> None:
        """In the middle of a commit: when its database has it, and its spool may not."""
        self._start_to(6, before_it_ships=True)
        self._cast.kill_primary()
        self._cast.start_primary()
        committed, acknowledged = self._cast.committed, self._cast.acknowledged
        opened = self._cast.opened[-1]
        if committed > opened["source"] or acknowledged > opened["spool"]:
            raise Mismatch(f"{committed} was committed, {acknowledged} acknowledged: {opened}")
        if opened["appended"] != opened["source"] - opened["spool"]:
            raise Mismatch(f"the primary has not appended what was missing: {opened}")
        print(
            f"  primary: killed when {acknowledged} transactions were acknowledged; came back"
            f" with {opened['spool']} in its spool, appended {opened['appended']} more"
        )
        self._work(6)

    def _come_back(self) -> None:
        done = 6
        while not self.away.of("lost") and done < 9:
            done += 1
            self._work(done)
        # It loads a snapshot while the work goes on.
        self._start_to(done + 1)
        self._return(self.away)
        self._cast.finish()
        self._settle()
        for tenths in range(done + 2, 11):
            self._work(tenths)

    # What must hold

    def _check(self) -> None:
        self._check_fates()
        source = self._directory / "primary.sqlite"
        same_as_undisturbed(source, self._seed, self._end)
        for replica in (self.steady, self.killed, self.away):
            rows = same_databases(source, self._directory / f"{replica.name}.sqlite")
            self._tell(replica)
        records = self._check_spools()
        same_replay(source, records)
        size = sum(len(record.payload) for record in records)
        print(
            f"  {rows} rows equal in the primary's database, its replicas', a replay of"
            f" {len(records)} records ({size >> 10} KiB), and the same work without a kill;"
            f" {self._cast.closed['degraded']} commits counted without a replica"
        )

    def _check_fates(self) -> None:
        for replica, comes, loads in (
            (self.steady, 2, 0),
            (self.killed, 3, 0),
            (self.away, 1, 1),
        ):
            if (len(replica.of("partial")), len(replica.of("rebootstrap"))) != (comes, loads):
                raise Mismatch(f"{replica.name} should have had another fate: {replica.events}")
        (lost,), (loaded,) = self.away.of("lost"), self.away.of("rebootstrap")
        if not loaded["since"] < lost["pruned_through"] <= loaded["lsn"]:
            raise Mismatch(f"{self.away.name} could have read on: {self.away.events}")
        if (lost["cause"], loaded["cause"]) != ("horizon", "horizon"):
            raise Mismatch(f"{self.away.name} was lost for another cause: {self.away.events}")

    def _check_spools(self) -> list[epochwal.SpoolRecord]:
        """All records, which one replica has, and everyone else from somewhere on."""
        records = records_of(self._directory / self.steady.name)
        if [record.lsn for record in records] != list(range(1, self._end + 1)):
            raise Mismatch("records are missing, doubled or out of order")
        (loaded,) = self.away.of("rebootstrap")
        if records_of(self._directory / self.killed.name) != records:
            raise Mismatch(f"the spool of {self.killed.name} is another one")
        if records_of(self._directory / self.away.name) != records[loaded["lsn"] :]:
            raise Mismatch(f"the spool of {self.away.name} is another one")
        left = records_of(self._directory / "primary")
        if left != records[len(records) - len(left) :]:
            raise Mismatch("the spool of the primary is another one")
        return records

    def _tell(self, replica: Replica) -> None:
        """How one got there."""
        resyncs = [event["since"] for event in replica.of("partial") if event["since"]]
        applied, rebootstraps = self._end, "0 rebootstraps"
        how = "there all the time"
        if replica is self.killed:
            how = f"killed, came back with {resyncs[0]}"
        for loaded in replica.of("rebootstrap"):
            applied -= loaded["lsn"] - loaded["since"]
            rebootstraps = f"1 rebootstrap ({loaded['cause']})"
            (lost,) = replica.of("lost")
            how = (
                f"away from {loaded['since']} until the log began above"
                f" {lost['pruned_through']}, took a snapshot of {loaded['lsn']}"
            )
        print(
            f"  {LANGUAGES[replica.name] + ':':8} {how}; {applied} records applied,"
            f" {len(resyncs)} partial resync{'s' * (len(resyncs) != 1)}, {rebootstraps},"
            f" at LSN {self._end}"
        )
