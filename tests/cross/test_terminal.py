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


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with a log."""
    path = tmp_path / "app.db"
    with epochwal.Coordinator(path) as wal:
        for number in range(1, 6):
            wal.commit([(1, b"x" * 4096, 1)], txn_id=number, commit_seq=number)
    return path


def on_terminal(*arguments: object, **environment: str) -> str:
    """What a command shows on a terminal of its own."""
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
        assert process.wait(timeout=60) == 0, shown
    return shown.decode()


def test_colours_are_for_terminals_and_no_color_is_heard(database: Path) -> None:
    assert f"{GREEN}clean" in on_terminal("verify", database)
    assert ": clean" in on_terminal("verify", database, NO_COLOR="1")
    assert ": clean" in on_terminal("verify", database, TERM="dumb")
    assert "\x1b" not in on_terminal("verify", database, "--json")
