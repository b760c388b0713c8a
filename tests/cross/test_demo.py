"""The demo, smaller and with fixed seeds; and that its checks can fail."""

import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from check import Mismatch, same_content, sqlite_state
from conftest import ROOT
from workload import Source, capture

FATES = ["there all the time", "killed, came back", "took a snapshot"]


@pytest.mark.parametrize("seed", [1, 5, 7])  # each language has each fate once
def test_demo(tmp_path: Path, examples: Path, seed: int) -> None:
    command = [sys.executable, str(ROOT / "examples" / "demo" / "demo.py")]
    command += ["--transactions", "300", "--replicated", "100", "--seed", str(seed)]
    command += ["--dir", str(tmp_path / "demo"), "--examples", str(examples)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "every check held"
    assert sum("integrity ok" in line for line in lines) == 4 + 2
    assert [sum(what in line for line in lines) for what in FATES] == [1, 1, 1]
    assert sum("rows equal" in line for line in lines) == 1


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return capture(tmp_path_factory.mktemp("source"), "db", 5, 120, 1024)


def test_workload_frees_pages(source: Source) -> None:
    assert any(b < a for a, b in zip(source.sizes, source.sizes[1:], strict=False))
    assert source.transactions == 120 == len(source.ends) - 1


def test_sqlite_state_is_the_state_after_that_transaction(
    source: Source, tmp_path: Path
) -> None:
    for number in (1, 2, 60, 120):
        target = tmp_path / f"{number}.db"
        sqlite_state(source, number, target)
        connection = sqlite3.connect(target)
        try:
            last = connection.execute("SELECT max(n) FROM journal").fetchone()
        finally:
            connection.close()
        assert last == (number,)
        assert same_content(source, number, target)


def test_the_check_fails_on_another_state(source: Source, tmp_path: Path) -> None:
    target = tmp_path / "earlier.db"
    sqlite_state(source, 100, target)
    for number in (99, 101, 120):
        with pytest.raises(Mismatch):
            same_content(source, number, target)


def test_the_check_fails_on_any_changed_row(source: Source, tmp_path: Path) -> None:
    target = tmp_path / "changed.db"
    sqlite_state(source, 120, target)
    connection = sqlite3.connect(target)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 1")
    connection.commit()
    connection.close()
    with pytest.raises(Mismatch):
        same_content(source, 120, target)


def test_the_check_fails_on_a_lost_page(source: Source, tmp_path: Path) -> None:
    target = tmp_path / "zeroed.db"
    sqlite_state(source, 120, target)
    whole = target.read_bytes()
    page = random.Random(1).randrange(3, len(whole) // 1024)
    target.write_bytes(whole[: page * 1024] + bytes(1024) + whole[(page + 1) * 1024 :])
    with pytest.raises((Mismatch, sqlite3.DatabaseError)):
        same_content(source, 120, target)
