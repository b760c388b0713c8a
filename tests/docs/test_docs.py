"""Every tagged code block in README.md and docs/ is built and run.

Blocks tagged c, cpp, python, rust or sh are programs; those of one document
run in order in one empty folder, so that a later one may read what an earlier
one wrote. Where a file name follows the tag, as in ```python bank.py, the block
is put there under that name, for later ones to include, import or run. A block
tagged output must be exactly what the program before it printed. Untagged blocks
and other tags are text.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
LIB = Path(os.environ.get("EPOCHWAL_LIB_DIR", ROOT / "build" / "lib"))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
LINK = [f"-L{LIB}", f"-Wl,-rpath,{LIB}", "-lepochwal", "-pthread"]


class Block(NamedTuple):
    """A fenced block: its tag, its file's name, its text, the line of its fence."""

    tag: str
    name: str
    text: str
    line: int


def blocks(document: Path) -> list[Block]:
    """The fenced blocks of a document."""
    found = []
    lines = document.read_text(encoding="utf-8").splitlines()
    start: int | None = None
    tag = name = ""
    for number, line in enumerate(lines, start=1):
        if start is None:
            if opening := re.fullmatch(r"```(\w*)(?: ([\w.-]+))?", line):
                start, tag, name = number, opening[1], opening[2] or ""
        elif line == "```":
            text = "\n".join(lines[start : number - 1]) + "\n"
            found.append(Block(tag, name, text, start))
            start = None
    assert start is None, f"{document}: the block of line {start} is never closed"
    return found


def execute(command: list[str | Path], folder: Path) -> str:
    tools = [str(TARGET), str(Path(sys.executable).parent), os.environ["PATH"]]
    # Scripts are run from elsewhere; what they import lies in the folder.
    environment = os.environ | {"PATH": os.pathsep.join(tools), "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [str(c) for c in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{command} in {folder}:\n{done.stdout}{done.stderr}"
    return done.stdout


def run_c(source: Path, folder: Path) -> str:
    program = source.with_suffix(".out")
    compiler = os.environ.get("CC", "cc").split()
    flags = ["-std=c11", *WARNINGS, f"-I{ROOT / 'include'}", f"-I{folder}"]
    execute([*compiler, *flags, source, "-o", program, *LINK], folder)
    return execute([program], folder)


def run_cpp(source: Path, folder: Path) -> str:
    program = source.with_suffix(".out")
    compiler = os.environ.get("CXX", "c++").split()
    headers = [ROOT / "include", ROOT / "bindings" / "cpp" / "include", folder]
    includes = [f"-I{path}" for path in headers]
    standard = "c++20" if "<coroutine>" in source.read_text() else "c++17"
    flags = [f"-std={standard}", *WARNINGS, *includes]
    execute([*compiler, *flags, source, "-o", program, *LINK], folder)
    return execute([program], folder)


def run_rust(source: Path, folder: Path) -> str:
    program = source.with_suffix(".out")
    library = TARGET / "libepochwal.rlib"
    flags = ["--edition=2024", "-Dwarnings", "--extern", f"epochwal={library}"]
    execute(
        ["rustc", *flags, "-L", f"dependency={TARGET / 'deps'}", source, "-o", program], folder
    )
    return execute([program], folder)


def run_python(source: Path, folder: Path) -> str:
    return execute([sys.executable, "-W", "error", source], folder)


def run_sh(source: Path, folder: Path) -> str:
    return execute(["sh", "-eu", source], folder)


RUNNERS: dict[str, tuple[str, Callable[[Path, Path], str]]] = {
    "c": (".c", run_c),
    "cpp": (".cpp", run_cpp),
    "rust": (".rs", run_rust),
    "python": (".py", run_python),
    "sh": (".sh", run_sh),
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_blocks_run(document: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    printed: str | None = None
    for block in blocks(document):
        if block.tag == "output":
            assert printed == block.text, f"{document.name}, line {block.line}"
            printed = None
        elif block.name:
            (folder / block.name).write_text(block.text, encoding="utf-8")
        elif block.tag in RUNNERS:
            suffix, run = RUNNERS[block.tag]
            source = tmp_path / f"{document.stem}_line_{block.line}{suffix}"
            source.write_text(block.text, encoding="utf-8")
            printed = run(source, folder)


def test_readme_has_a_program_in_each_language() -> None:
    tags = [block.tag for block in blocks(ROOT / "README.md")]
    assert {"c", "cpp", "python"} <= set(tags)


def test_readme_leads_to_every_document() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [d.name for d in DOCUMENTS[1:] if f"](docs/{d.name})" not in readme]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(
        r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")
    ):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name}: {target}"
