from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import epochwal


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Give a database path of the test's own."""
    return tmp_path / "app.db"


@pytest.fixture
def wal(db: Path) -> Iterator[epochwal.Coordinator]:
    """Give a coordinator whose caller numbers the commits."""
    with epochwal.Coordinator(db) as wal:
        yield wal
