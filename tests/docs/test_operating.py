"""docs/operating.md names each status, event and figure there is, and no other.

What there is comes from the header, and the exceptions from the Python package.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
HEADER = (ROOT / "include" / "epochwal.h").read_text(encoding="utf-8")
ERRORS = (ROOT / "python" / "epochwal" / "_errors.py").read_text(encoding="utf-8")
# Of every struct, and of no interest to an operator.
PLUMBING = {"struct_size", "reserved"}


def rows(title: str, table: int = 0) -> list[list[str]]:
    """The rows of a table below a heading, each as its cells."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", GUIDE, re.M | re.S)
    assert section, title
    tables = re.findall(r"^\|[ -]+\|.*\n((?:\|.*\n)+)", section[1], re.M)
    lines = tables[table].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(title: str, table: int = 0) -> list[str]:
    """The first cells of such a table, without their quotes."""
    return [row[0].strip("`") for row in rows(title, table)]


def fields(struct: str) -> list[str]:
    """The names of a struct's fields."""
    body = re.search(rf"typedef struct {{([^}}]*)}} {struct};", HEADER)
    assert body, struct
    found = re.findall(r"^ +\w+ (\w+)(?:\[\w+\])?;", body[1], re.M)
    return [name for name in found if name not in PLUMBING]


def statuses() -> dict[str, int]:
    """The statuses of the header, with their numbers."""
    part = HEADER[HEADER.index("ewal_status;") : HEADER.index("*ewal_status_name(")]
    found = re.findall(r"^#define (EWAL_\w+) \(?(-?\d+)\)?$", part, re.M)
    return {name: int(number) for name, number in found}


@pytest.mark.parametrize(
    ("struct", "title", "table"),
    [
        ("ewal_stats", "The figures of a log", 0),
        ("ewal_latency", "The figures of a log", 1),
        ("ewal_replication_stats", "The figures of a primary", 0),
        ("ewal_progress", "The figures of replicas and slots", 0),
        ("ewal_replica_info", "The figures of replicas and slots", 1),
        ("ewal_slot_info", "The figures of replicas and slots", 2),
    ],
)
def test_every_figure_has_a_row(struct: str, title: str, table: int) -> None:
    assert sorted(names(title, table)) == sorted(fields(struct))


def test_every_event_has_a_row() -> None:
    events = re.findall(r"^#define (EWAL_EVENT_\w+) \d+$", HEADER, re.M)
    assert names("The figures of a primary", table=1) == events


def test_every_status_has_a_row_with_its_exception() -> None:
    exceptions = {int(n): name for n, name in re.findall(r"^ +(-?\d+): (\w+),$", ERRORS, re.M)}
    assert len(exceptions) > 20
    documented = {row[0].strip("`"): row[1].strip("`") for row in rows("Errors")}
    assert documented == {
        name: exceptions.get(number, "-") for name, number in statuses().items()
    }


def test_links_within_the_guide_lead_to_a_heading() -> None:
    headings = re.findall(r"^## (.*)$", GUIDE, re.M)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    links = set(re.findall(r"\]\(#([^)]*)\)", GUIDE))
    assert links and links <= anchors
