"""What the workers of a pool do; `wal` is the parent's, where they inherit it."""

from __future__ import annotations

import epochwal

wal: epochwal.Coordinator | None = None


def try_to_commit(path: str) -> str:
    """Say how a commit through the parent's handle and an open end."""
    told = "none"
    if wal is not None:
        try:
            wal.commit([(1, b"worker")], txn_id=99)
        except epochwal.Error as error:
            told = type(error).__name__
    try:
        epochwal.Coordinator(path)
    except epochwal.Error as error:
        return f"{told} {type(error).__name__}"
    return f"{told} opened"
