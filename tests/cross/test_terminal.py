"""The tool on a terminal, and what it leaves out elsewhere."""

import os
import pty
import subprocess
from pathlib import Path

import epochwal
import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "epochwal"
GREEN = "\x1b[32m"
RED = "\x1b[1m\x1b[31m"
BAR = "reading ["
CLEARED = "\r\x1b[2K"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with a log."""
    path = tmp_path / "app.db"
    with epochwal.Coordinator(path) as wal:
        for number in range(1, 6):
            wal.commit([(1, b"x" * 4096, 1)], txn_id=number, commit_seq=number)
    return path


def on_terminal(*arguments: object, code: int = 0, **environment: str) -> str:
    """What a command that exits with a code shows on a terminal of its own."""
    command = [str(TOOL), *map(str, arguments)]
    clean = {"TERM": "xterm-256color", "PATH": os.environ["PATH"], **environment}
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=clean) as process:
        os.close(theirs)
        shown = bytearray()
        try:
            while chunk := os.read(ours, 65536):
                shown += chunk
        except OSError:
            # The last one that had it open is gone.
            pass
        finally:
            os.close(ours)
        assert process.wait(timeout=60) == code, shown
    return shown.decode()


def test_colours_are_for_terminals_and_no_color_is_heard(database: Path) -> None:
    assert f"{GREEN}clean" in on_terminal("verify", database)
    assert ": clean" in on_terminal("verify", database, NO_COLOR="1")
    assert ": clean" in on_terminal("verify", database, TERM="dumb")
    document = on_terminal("verify", database, "--json")
    assert "\x1b" not in document.rpartition(CLEARED)[2]


@pytest.mark.parametrize("command", ["verify", "inspect", "recover"])
def test_a_bar_shows_how_far_a_log_is_read_and_goes(
    database: Path, tmp_path: Path, command: str
) -> None:
    more = [tmp_path / "target", "--page-size", 4096] if command == "recover" else []
    for form in ([], ["--json"]):
        shown = on_terminal(command, database, *more, *form)
        bar, cleared, result = shown.rpartition(CLEARED)
        assert BAR in bar and cleared, shown
        assert "clean" in result and BAR not in result


def test_a_bar_goes_also_where_the_log_is_damaged(database: Path) -> None:
    [segment] = database.parent.glob("app.db-wal-seg-*")
    content = bytearray(segment.read_bytes())
    content[1000] ^= 1
    segment.write_bytes(content)
    for command in ("verify", "cat"):
        shown = on_terminal(command, database, code=2)
        result = shown.rpartition(CLEARED)[2]
        assert BAR not in result and f"{RED}epochwal:" in result
        assert "epochwal salvage" in result


def test_there_is_no_bar_where_anything_is_piped(database: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {"TERM": "xterm-256color"}
    try:
        for out, err in ((theirs, subprocess.PIPE), (subprocess.PIPE, theirs)):
            command = [str(TOOL), "verify", str(database)]
            done = subprocess.run(
                command, stdout=out, stderr=err, check=True, env=environment, timeout=60
            )
            piped = done.stdout or done.stderr or b""
            assert b"reading" not in piped and b"\x1b" not in piped
            os.write(theirs, b"end")
            shown = b""
            while not shown.endswith(b"end"):
                shown += os.read(ours, 65536)
            assert b"reading" not in shown
    finally:
        os.close(theirs)
        os.close(ours)


def test_a_bar_counts_the_runs_of_a_measurement(tmp_path: Path) -> None:
    shown = on_terminal("bench", tmp_path, "--threads", "1", "--seconds", "0.01")
    bar, cleared, result = shown.rpartition(CLEARED)
    assert "run 0 of 2" in bar and cleared, shown
    assert "commit" in result and "measuring" not in result


def test_what_prints_data_has_no_bar(database: Path) -> None:
    assert BAR not in on_terminal("cat", database)
