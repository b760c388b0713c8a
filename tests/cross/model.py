"""Transactions to commit, and what must come back of them."""

import random
import struct
from pathlib import Path

from sqlite_frames import Frame, write_transaction

PAGE_SIZE = 1024
Plain = list[tuple[int, bytes, int]]


def transactions(seed: int, count: int) -> list[list[Frame]]:
    """Random transactions over a database that grows and shrinks."""
    rng = random.Random(seed)
    size = 1
    made = []
    for _ in range(count):
        size = max(1, size + rng.randint(-3, 5))
        pages = [rng.randint(1, size) for _ in range(rng.randint(1, 12))]
        frames = [Frame(page, rng.randbytes(PAGE_SIZE), 0) for page in pages]
        made.append([*frames[:-1], frames[-1]._replace(db_size=size)])
    return made


def write_frames(path: Path, made: list[list[Frame]]) -> None:
    """The file that the example programs commit."""
    with path.open("wb") as file:
        for frames in made:
            write_transaction(file, frames)


def database_file(made: list[list[Frame]]) -> bytes:
    """What recovery into a file must make of the transactions."""
    data = bytearray()
    size = 0
    for frames in made:
        for page, image, db_size in frames:
            end = page * PAGE_SIZE
            if len(data) < end:
                data.extend(bytes(end - len(data)))
            data[end - PAGE_SIZE : end] = image
            size = db_size or size
    return bytes(data[: size * PAGE_SIZE]).ljust(size * PAGE_SIZE, b"\0")


# What examples/many_threads.rs commits.


def thread_frames(thread: int, sequence: int) -> Plain:
    """The frames of the batch `sequence` by `thread`."""
    first = thread * 1000 + 1
    frames = []
    for i in range(sequence % 4 + 1):
        page = first + (sequence + i) % 1000
        length = 1 + (sequence * 37 + page) % 5000
        pattern = struct.pack("<QI", sequence, page)
        frames.append((page, (pattern * (length // len(pattern) + 1))[:length], 0))
    return frames
