"""The processes of a replication: a primary and its replicas."""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from check import Mismatch

#: Where nothing is heard of the primary for so many seconds, it hangs.
PATIENCE = 120
Event = dict[str, Any]


@dataclass
class Replica:
    """One replica: its process, and what the primary told about it."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    events: list[Event] = field(default_factory=list)

    def of(self, kind: str) -> list[Event]:
        """Its events `partial`, `rebootstrap` or `lost`."""
        return [event for event in self.events if event["event"] == kind]


class Cast:
    """Everyone's processes, in one directory."""

    def __init__(self, directory: Path, programs: Path, seed: int, horizon: int) -> None:
        self.directory = directory
        commands = {
            "python": [sys.executable, "-m", "replication.replica"],
            "c": [str(programs / "replica-c")],
            "cpp": [str(programs / "replica-cpp")],
        }
        self.replicas = {name: Replica(name, command) for name, command in commands.items()}
        #: The highest LSNs that were in the primary's database, and acknowledged.
        self.committed = 0
        self.acknowledged = 0
        #: What each of its lives began with, and the last one ended with.
        self.opened: list[Event] = []
        self.closed: Event = {}

        # It listens while no primary lives: who connects then is served by the next.
        self._listener = socket.socket(socket.AF_UNIX)
        with contextlib.chdir(directory):  # the path of a socket has to be short
            self._listener.bind("primary.socket")
        self._listener.listen()
        self._errors = (directory / "errors").open("wb")
        listening = str(self._listener.fileno())
        self._command = [sys.executable, "-m", "replication.primary", "primary"]
        self._command += [str(seed), str(horizon), listening]
        self._primary: subprocess.Popen[bytes] | None = None
        self._told: queue.Queue[bytes] = queue.Queue()
        self._done = True

    def close(self) -> None:
        """Leaves no process behind."""
        for process in (self._primary, *(r.process for r in self.replicas.values())):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        self._errors.close()
        self._listener.close()

    def start_primary(self) -> None:
        """Starts it, and waits until it has taken up what a dead one left."""
        self._primary = self._start(
            self._command,
            pass_fds=[self._listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._told = queue.Queue()
        threading.Thread(target=_read, args=(self._primary, self._told), daemon=True).start()
        lives = len(self.opened)
        self.hear_until(lambda: len(self.opened) > lives)

    def command(self, line: str) -> None:
        """Tells the primary what to do; see there."""
        assert self._primary and self._primary.stdin
        self._done = False
        try:
            self._primary.stdin.write(f"{line}\n".encode())
            self._primary.stdin.flush()
        except BrokenPipeError:
            raise self.mismatch("the primary is gone") from None

    def finish(self) -> None:
        """Waits until the primary has done it."""
        self.hear_until(lambda: self._done)

    def kill_primary(self) -> None:
        """Kills it, and hears what it had told before."""
        assert self._primary
        self._primary.kill()
        while self._hear():
            pass
        if self._primary.wait() != -signal.SIGKILL:
            raise self.mismatch("the primary ended by itself")

    def start(self, name: str) -> None:
        """Starts a replica."""
        replica = self.replicas[name]
        replica.process = self._start([*replica.command, name, "primary.socket"])

    def kill(self, name: str) -> None:
        """Kills a replica."""
        process = self.replicas[name].process
        assert process
        process.kill()
        if process.wait() != -signal.SIGKILL:
            raise self.mismatch(f"{name} ended by itself")
        self.replicas[name].process = None

    def end(self) -> None:
        """Stops the primary, which tells the replicas that this was all."""
        assert self._primary
        self.command("stop")
        while self._hear():
            pass
        if self._primary.wait():
            raise self.mismatch("the primary failed")
        for replica in self.replicas.values():
            if replica.process and replica.process.wait(PATIENCE):
                raise self.mismatch(f"{replica.name} failed")

    def hear_until(self, condition: Callable[[], bool]) -> None:
        """Hears the primary until something holds."""
        while not condition():
            if not self._hear():
                raise self.mismatch("the primary is gone")

    def mismatch(self, what: str) -> Mismatch:
        """An error, with what the processes said."""
        said = (self.directory / "errors").read_text(errors="replace").strip()
        return Mismatch(f"{what}\n{said[-2000:]}" if said else what)

    def _start(self, command: list[str], **how: Any) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        return subprocess.Popen(
            command, cwd=self.directory, env=environment, stderr=self._errors, **how
        )

    def _hear(self) -> bool:
        """Hears one thing of the primary; false once it is dead."""
        line = self._next_line()
        if not line:
            return False
        event: Event = json.loads(line)
        match event["event"]:
            case "committed":
                self.committed = event["lsn"]
            case "acknowledged":
                self.acknowledged = event["lsn"]
            case "open":
                self.opened.append(event)
            case "done":
                self._done = True
            case "closing":
                self.closed = event
            case _:
                self.replicas[event["id"]].events.append(event)
        return True

    def _next_line(self) -> bytes:
        """What the primary tells next, unless a replica fails before."""
        for _ in range(PATIENCE):
            with contextlib.suppress(queue.Empty):
                return self._told.get(timeout=1.0)
            for replica in self.replicas.values():
                if replica.process and replica.process.poll():
                    raise self.mismatch(f"{replica.name} failed")
        raise self.mismatch(f"nothing was heard for {PATIENCE} s")


def _read(primary: subprocess.Popen[bytes], told: queue.Queue[bytes]) -> None:
    """Hands on the lines of a primary, and an empty one at their end."""
    assert primary.stdout
    for line in primary.stdout:
        told.put(line)
    told.put(b"")
