"""What help() says: that everything is explained, and that the examples hold."""

from __future__ import annotations

import asyncio
import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stub_docs

import epochwal
import epochwal.aio


def documented() -> Iterator[tuple[str, Any]]:
    """Give every public object and its public members by name."""
    for module in (epochwal, epochwal.aio):
        yield module.__name__, module
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.ismodule(value) or name == "__version__":
                continue
            place = f"{module.__name__}.{name}"
            yield place, value
            if not inspect.isclass(value):
                continue
            for member, part in vars(value).items():
                if not member.startswith("_") and (callable(part) or is_property(part)):
                    yield f"{place}.{member}", part


def is_property(part: object) -> bool:
    return isinstance(part, property) or inspect.isgetsetdescriptor(part)


EVERYTHING = dict(documented())
EXAMPLES = [place for place, it in EVERYTHING.items() if ">>>" in (it.__doc__ or "")]


def test_everything_is_explained() -> None:
    assert len(EVERYTHING) > 200
    silent = [
        place
        for place, it in EVERYTHING.items()
        if not (it.__doc__ or "").strip() or it.__doc__ == getattr(tuple, "__doc__", None)
    ]
    assert silent == []


def test_every_figure_and_option_is_explained() -> None:
    for figures in (epochwal.Stats, epochwal.PrimaryStats, epochwal.Latency):
        text = figures.__doc__ or ""
        lines = [line.strip().partition(":") for line in text.splitlines()]
        told = [name for names, colon, _ in lines for name in names.split(", ") if colon]
        assert set(figures.__annotations__) <= set(told), figures
    shared = set(epochwal.SpoolOptions.__annotations__)
    for cls, options in (
        (epochwal.Coordinator, set(epochwal.Options.__annotations__)),
        (epochwal.Spool, shared),
        (epochwal.Primary, set(epochwal.PrimaryOptions.__annotations__) - shared),
    ):
        said = {line.partition("=")[0] for line in (inspect.getdoc(cls) or "").splitlines()}
        assert options <= said, cls


def test_an_editor_shows_the_same() -> None:
    stub = Path(epochwal.__file__).with_name("_native.pyi").read_text(encoding="utf-8")
    assert stub == stub_docs.documented(stub), "run `make stubs`"


@pytest.mark.parametrize("place", EXAMPLES)
def test_examples_hold(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = {name: getattr(epochwal, name) for name in epochwal.__all__}
    names |= {"epochwal": epochwal, "asyncio": asyncio}
    text = inspect.getdoc(EVERYTHING[place])
    assert text is not None
    test = doctest.DocTestParser().get_doctest(text, names, place, None, 0)
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not result.failed, "".join(said)
    assert result.attempted


def test_each_part_has_an_example() -> None:
    parts = {"epochwal", "epochwal.aio", "epochwal.recover", "epochwal.Error"}
    parts |= {f"epochwal.{name}" for name in ("Coordinator", "Spool", "Primary")}
    assert parts <= set(EXAMPLES)


#: What asyncio has under another name: `follow` is its cursor, `await wait_acks` its
#: watch, and its descriptor is the loop's business. Opening may be awaited.
ELSEWHERE = {"cursor", "event_fd", "follow", "open", "watch_acks"}


@pytest.mark.parametrize("name", ["Coordinator", "Spool", "Primary"])
def test_asyncio_has_the_same_calls_and_arguments(name: str) -> None:
    plain, awaited = getattr(epochwal, name), getattr(epochwal.aio, name)
    public = [{m for m in dir(cls) if m[0] != "_"} - ELSEWHERE for cls in (plain, awaited)]
    assert public[0] == public[1]
    # Its options are gathered under one name, and the types say which there are.
    for member in public[0] - {"in_memory"}:
        if callable(getattr(plain, member)):
            one, other = (inspect.signature(getattr(cls, member)) for cls in (plain, awaited))
            assert list(one.parameters) == list(other.parameters), member
            for mine, theirs in zip(
                list(one.parameters.values())[1:],
                list(other.parameters.values())[1:],
                strict=True,
            ):
                assert (mine.kind, mine.default) == (theirs.kind, theirs.default), member
