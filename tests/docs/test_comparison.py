"""The figures of docs/comparison.md are those of docs/performance.md."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def cells(document: str) -> dict[str, list[str]]:
    """The rows of commits: the cell's name and its figures, without emphasis."""
    text = (DOCS / document).read_text(encoding="utf-8").replace("**", "")
    # The spool's appends have rows of the same names.
    text = text.split("\n## The spool\n")[0]
    rows = re.findall(r"^\| ([abc], \d+[^|]*?) \|(.*)\|$", text, re.M)
    return {name: [figure.strip() for figure in rest.split("|")] for name, rest in rows}


def test_figures_are_those_that_were_measured() -> None:
    measured = cells("performance.md")
    compared = cells("comparison.md")
    assert compared.keys() == measured.keys()
    for name, (okaywal, raft_engine, *databases, limit) in compared.items():
        # To limit-dsync, its goal, the 99th percentile, to the best rival, its goal.
        assert limit == measured[name][0], name
        ratios = [f"okaywal {okaywal}", f"raft-engine {raft_engine}", *databases]
        best = min(ratios, key=lambda ratio: float(re.findall(r"[\d.]+", ratio)[0]))
        assert best == measured[name][3], name


def test_the_command_is_the_one_that_measured() -> None:
    [command] = re.findall(r"^    (make bench.*)$", (DOCS / "comparison.md").read_text(), re.M)
    assert f"`{command}`" in (DOCS / "performance.md").read_text()
