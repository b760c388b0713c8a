"""The SQLite host, killed with fixed seeds; that its check can fail; what it refuses."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from kills import Mismatch, check, crash, recover


@pytest.fixture
def host(examples: Path) -> Path:
    return examples / "sqlite" / "host"


@pytest.mark.parametrize("seed", [1, 2])
def test_kills(host: Path, seed: int) -> None:
    command = [sys.executable, str(ROOT / "examples" / "sqlite" / "kills.py")]
    command += ["--host", str(host), "--seed", str(seed), "--kills", "5", "--commits", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("every row as it should be") == 5


@pytest.fixture
def killed(host: Path, tmp_path: Path) -> tuple[Path, int]:
    """A folder with one database whose commits are all in the log; and how many."""
    last = crash(host, tmp_path, 1, 20, stop_at=20)
    return tmp_path, last[0]


def execute(path: Path, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(sql)


def test_the_log_is_what_brings_commits_back(host: Path, killed: tuple[Path, int]) -> None:
    folder, acknowledged = killed
    path = shutil.copy(folder / "0.db", folder / "without.db")
    with pytest.raises((Mismatch, sqlite3.DatabaseError)):
        check(Path(path), acknowledged)
    recover(host, folder)
    assert check(folder / "0.db", acknowledged) == acknowledged == 20


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE account SET balance = balance + 1 WHERE id = 3",
        "UPDATE journal SET payload = 'x' WHERE n = (SELECT max(n) FROM journal)",
        "DELETE FROM bulk WHERE i = 200; INSERT INTO bulk VALUES (201, 'x')",
        "UPDATE state SET n = n - 1",
    ],
)
def test_the_check_fails_on_any_difference(
    host: Path, killed: tuple[Path, int], sql: str
) -> None:
    folder, acknowledged = killed
    recover(host, folder)
    execute(folder / "0.db", sql)
    with pytest.raises(Mismatch):
        check(folder / "0.db", acknowledged)


def test_a_wal_of_sqlite_itself_is_never_passed_over(
    host: Path, killed: tuple[Path, int]
) -> None:
    folder, _ = killed
    before = (folder / "0.db").read_bytes()
    (folder / "0.db-wal").write_bytes(b"x" * 4096)
    with pytest.raises(Mismatch, match="-wal is there"):
        recover(host, folder)
    assert (folder / "0.db").read_bytes() == before
    assert (folder / "0.db-wal").read_bytes() == b"x" * 4096


def test_nothing_is_written_from_a_damaged_log(host: Path, killed: tuple[Path, int]) -> None:
    folder, _ = killed
    before = (folder / "0.db").read_bytes()
    (segment,) = folder.glob("commits-wal-seg-*")
    with segment.open("r+b") as file:
        file.seek(8192)
        byte = file.read(1)
        file.seek(8192)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(Mismatch, match="commits-wal-seg"):
        recover(host, folder)
    assert (folder / "0.db").read_bytes() == before


def test_one_host_per_folder(host: Path, tmp_path: Path) -> None:
    command = [str(host), "work", str(tmp_path), "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().startswith("recovered")
            with pytest.raises(Mismatch, match="lock"):
                recover(host, tmp_path)
        finally:
            process.kill()
