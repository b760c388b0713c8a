"""Puts the module's own docstrings into `_native.pyi`, where editors look for them.

    python python/tests/stub_docs.py

They are written in Rust; what is beside a stub's signature is a copy, which a test
holds against the module.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import Path

from epochwal import _native

STUB = Path(__file__).parents[1] / "epochwal" / "_native.pyi"


def documented(source: str) -> str:
    """Give the stub with the docstrings of what is built now."""
    tree = ast.parse(source)
    lines = source.splitlines()
    # From the end, so that what comes before stays where it is.
    for node, it in reversed(list(pairs(tree))):
        replace(lines, node, inspect.getdoc(it) or "")
    return "\n".join(lines) + "\n"


Definition = ast.ClassDef | ast.FunctionDef


def pairs(tree: ast.Module) -> list[tuple[Definition, object]]:
    """Pair what the stub declares with what the module has, in the stub's order."""
    found: list[tuple[Definition, object]] = []
    for node in tree.body:
        if not isinstance(node, Definition):
            continue
        it = getattr(_native, node.name)
        found.append((node, it))
        for part in node.body if isinstance(node, ast.ClassDef) else []:
            if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
                found.append((part, getattr(it, part.name)))
    return found


def replace(lines: list[str], node: Definition, text: str) -> None:
    """Put a docstring at the head of a definition, in place of the one there is."""
    first = node.body[0]
    indent = " " * (node.col_offset + 4)
    quote = 'r"""' if "\\" in text else '"""'
    body = f'{quote}{text}\n"""' if "\n" in text else f'{quote}{text}"""'
    doc = textwrap.indent(body, indent).splitlines()
    assert isinstance(first, ast.Expr | ast.FunctionDef)
    is_doc = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    assert first.end_lineno is not None
    if is_doc:
        lines[first.lineno - 1 : first.end_lineno] = doc
    elif isinstance(node, ast.FunctionDef):
        # `def f() -> int: ...`: the dots give way.
        at = first.lineno - 1
        lines[at] = lines[at].removesuffix(" ...")
        lines[at + 1 : at + 1] = doc
    else:
        at = min(d.lineno for d in [*getattr(first, "decorator_list", []), first]) - 1
        lines[at:at] = [*doc, ""]


if __name__ == "__main__":
    STUB.write_text(documented(STUB.read_text(encoding="utf-8")), encoding="utf-8")
