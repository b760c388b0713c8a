from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import epochwal

# A shell without job control starts what runs in the background with interrupts
# ignored, and children inherit that: the tests of Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Give a database path of the test's own."""
    return tmp_path / "app.db"


@pytest.fixture
def wal(db: Path) -> Iterator[epochwal.Coordinator]:
    """Give a coordinator whose caller numbers the commits."""
    with epochwal.Coordinator(db) as wal:
        yield wal


@pytest.fixture(scope="session")
def stuck_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library that holds syncs up."""
    library = tmp_path_factory.mktemp("stuck") / "stuck_disk.so"
    source = Path(__file__).with_name("stuck_disk.c")
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library
