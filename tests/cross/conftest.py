"""The programs and modules that the cross-language tests drive."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reader"))
sys.path.insert(0, str(ROOT / "examples" / "demo"))
sys.path.insert(0, str(ROOT / "examples" / "sqlite"))

Run = Callable[..., str]


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of the built example programs; `make examples` fills it."""
    return Path(os.environ.get("EPOCHWAL_EXAMPLES", ROOT / "build" / "examples"))


@pytest.fixture(scope="session")
def run(examples: Path) -> Run:
    """Runs an example program, which must succeed; gives its output."""

    def call(program: str, *arguments: object) -> str:
        command = [str(examples / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    return call
