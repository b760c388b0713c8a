"""docs/testing.md: what it names of the tests of the C ABI is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def section() -> str:
    """The table of what the C ABI stands."""
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    _, _, rest = text.partition("## What the C ABI stands\n")
    assert rest
    return rest.partition("\n## ")[0]


def test_each_test_that_is_named_is_there() -> None:
    tests = [
        *(ROOT / "tests" / "c").glob("test_*.c"),
        *(ROOT / "src" / "ffi").glob("*tests.rs"),
    ]
    names = {path.name for path in tests}
    for path in tests:
        names |= set(re.findall(r"^(?:static void|fn) (\w+)\(", path.read_text("utf-8"), re.M))
    named = re.findall(r"`(\w+(?:\.\w+)?)`", section())
    assert len(named) > 30
    assert set(named) <= names, set(named) - names


def test_no_cell_is_empty() -> None:
    """Each row of the table has a test, or a reason, for each column."""
    rows = [line for line in section().splitlines() if line.startswith("| ")]
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4
        assert all(cells), row
