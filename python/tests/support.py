"""What the tests share: pages that prove where they belong, and child processes."""

from __future__ import annotations

import hashlib
import inspect
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import IO, Any

#: Nothing that is waited for takes this long; a hang fails instead of hanging.
PATIENCE = 60.0


#: What each parameter may be, in a call that is about something else.
GOOD: dict[str, Any] = {
    "archived_lsn": 1,
    "epoch": 1,
    "frames": [(1, b"x")],
    "generation": 1,
    "id": "a",
    "level": "durable",
    "lsn": 1,
    "n": 1,
    "new_term": 1,
    "number": 1,
    "page_size": 4096,
    "payload": b"x",
    "policy": "any 1",
    "rebootstrapping": False,
    "records": [],
    "region": None,
    "sent_lsn": 1,
    "since_lsn": 1,
    "term": 1,
    "through_epoch": 1,
    "txn_id": 1,
}


def parameters(call: Callable[..., object]) -> list[str]:
    """Name what a call takes."""
    try:
        return list(inspect.signature(call).parameters)
    except ValueError:
        # A class that is not made by calling it.
        return []


def page(*parts: object, size: int = 4096) -> bytes:
    """Make a page image that only these parts give."""
    seed = hashlib.sha256(repr(parts).encode()).digest()
    return (seed * (size // len(seed) + 1))[:size]


def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    end = monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        assert monotonic() < end, "waited in vain"
        pause.wait(0.001)


class Thread(threading.Thread):
    """A thread whose result or exception `get` gives."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._result: object = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error

    def get(self) -> object:
        self.join(PATIENCE)
        assert not self.is_alive(), "the thread hangs"
        if self._error is not None:
            raise self._error
        return self._result


def python(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, to its end."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(code)]
    done = subprocess.run(
        [*command, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=_environment(),
    )
    assert done.returncode == 0, done.stderr
    return done


class Child:
    """A child process that talks over its standard output."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stdout is not None
        self._out: IO[bytes] = process.stdout

    @property
    def pid(self) -> int:
        return self.process.pid

    def lines(self) -> Iterator[bytes]:
        """Give whole lines until the child closes its output."""
        for line in self._out:
            # A killed writer's last line may be torn; it was not acknowledged.
            if line.endswith(b"\n"):
                yield line.rstrip(b"\n")

    def line(self) -> str:
        return next(self.lines()).decode()

    def kill(self) -> None:
        self.process.kill()


@contextmanager
def child(script: Path | str, *args: object, **environment: str) -> Generator[Child]:
    """Start a child process; it is gone when the block ends."""
    source = [str(script)] if isinstance(script, Path) else ["-c", textwrap.dedent(script)]
    process = subprocess.Popen(
        [sys.executable, *source, *map(str, args)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        env=_environment() | environment,
    )
    # One that hangs ends, and whoever reads from it sees that.
    watchdog = threading.Timer(2 * PATIENCE, process.kill)
    watchdog.start()
    try:
        yield Child(process)
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def _environment() -> dict[str, str]:
    here = str(Path(__file__).parent)
    path = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": f"{here}{os.pathsep}{path}" if path else here}
