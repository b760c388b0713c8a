#!/usr/bin/env python3
"""An independent reader of epochwal's files.

Written from docs/format.md alone, with the standard library alone, so that it
shares no mistake with the Rust one. It reads a log that nobody writes to.

    python3 reader.py DB [--spool] [--json]

Exit status: 0 clean, 1 torn, 2 corrupt, 3 newer format, 4 I/O error.
"""

import argparse
import json
import os
import re
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from segments import (
    ASSIGNED,
    BLOCK,
    LOGICAL,
    MARK,
    PAGES,
    Batch,
    Damage,
    Disorder,
    Group,
    Header,
    Logical,
    Newer,
    Record,
    State,
    checksums_right,
    parse_group,
    parse_header,
    parse_prelude,
    parse_state,
    parse_v1,
    v1_batches,
)
from terms import Terms

EXIT = {"clean": 0, "torn": 1, "corrupt": 2, "format": 3}


@dataclass
class Suspect:
    """Where a file is not as it should be, and by which row of the table."""

    path: str
    offset: int
    verdict: str
    row: int
    reason: str


@dataclass
class Log:
    """What was read, up to the first place that stops the reading."""

    verdict: str = "clean"
    batches: list[Batch] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    suspects: list[Suspect] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    #: Of a spool: the records that are live and not pruned.
    logical: list[Logical] = field(default_factory=list)
    terms: list[tuple[int, int]] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)
    state: State | None = None
    floor: int | None = None
    #: The row of the decision table that ended the reading.
    row: int = 10


@dataclass
class Segment:
    path: Path
    name_epoch: int
    data: memoryview
    version: int
    #: Expected from the order of the files; version 2 only.
    generation: int = 0
    #: Set where the file as a whole is refused: row, offset, reason.
    refused: tuple[int, int, str] | None = None
    newer: bool = False


class Stop(Exception):
    """Ends the walk through the log."""


class Reader:
    """Walks one log; `log` holds the result."""

    def __init__(self, db: str | Path, spool: bool = False) -> None:
        db = Path(db)
        self.directory = db.parent
        self.name = (db.name or "db") + (".logical." if spool else "-")
        self.kind = LOGICAL if spool else PAGES
        self.terms = Terms([], 0)
        self.log = Log()
        self.segments: list[Segment] = []
        #: The last epoch read well, and not below the floor; -1: none.
        self.last = -1
        #: Epoch and certificate checksum of the group before; none at the start.
        self.before: tuple[int, int] | None = None

    def read(self) -> Log:
        """Reads the whole log. An OSError means that no verdict can be given."""
        try:
            self._open()
            self._walk()
        except Stop:
            pass
        self.log.terms = self.terms.history
        pruned = self.terms.pruned_through
        records = [r for group in self.log.groups for r in group.logical]
        lost = self.log.state.lost if self.log.state else []
        kept = [r for r in records if not any(after < r.lsn <= end for after, end in lost)]
        self.log.logical = [r for r in kept if r.lsn > pruned and self.terms.live(r)]
        return self.log

    # Opening: the state file, the list of segments, the files as wholes.

    def _open(self) -> None:
        paths = self._segment_paths()
        state_path = self.directory / f"{self.name}wal-state"
        state = None
        present = state_path.exists()
        if present:
            try:
                content = state_path.read_bytes()
                state = parse_state(memoryview(content))
                # The second copy blank: a crash came before the first was whole.
                present = state is not None or any(content[BLOCK : 2 * BLOCK])
            except Newer as newer:
                self._stop("format", 11, state_path, newer.offset, newer.reason)
        self.log.state = state
        if state:
            paths = [p for p in paths if p[0] >= state.retired_first_epoch]
            self.log.floor = state.floor
            self.last = -1 if state.floor is None else state.floor
            if state.kind != self.kind:
                self._stop("corrupt", 15, state_path, 120, "a log of the other kind")
            self.terms = Terms(state.terms, state.pruned_through)
        elif present:
            self._stop("corrupt", 15, state_path, 0, "no valid copy of the state")
        self._load(paths, state)

    def _segment_paths(self) -> list[tuple[int, Path]]:
        pattern = re.compile(re.escape(self.name) + r"wal-seg-([0-9a-f]{16})")
        found = []
        for entry in self.directory.iterdir():
            match = pattern.fullmatch(entry.name)
            if match:
                found.append((int(match[1], 16), entry))
        return sorted(found)

    def _load(self, paths: list[tuple[int, Path]], state: State | None) -> None:
        generation = state.retired_generation if state else 0
        for epoch, path in paths:
            data = memoryview(path.read_bytes())
            prelude = parse_prelude(data)
            native = prelude.version != 1 if prelude else state is not None
            native = native or self.kind == LOGICAL
            segment = Segment(path, epoch, data, 2 if native else 1)
            if segment.version == 2:
                generation += 1
                segment.generation = generation
            self.segments.append(segment)
        self.log.segments = [str(s.path) for s in self.segments]
        for segment in self.segments:
            newest = segment is self.segments[-1]
            self._check_file(segment, state, newest)

    def _check_file(self, segment: Segment, state: State | None, newest: bool) -> None:
        """Rows 12 and 13, and for version 1 the whole file."""
        if segment.version == 1:
            try:
                parse_v1(segment.data, segment.name_epoch)
            except Newer as newer:
                segment.refused, segment.newer = (17, newer.offset, newer.reason), True
            except Damage as damage:
                segment.refused = (17, damage.offset, damage.reason)
            return
        size = len(segment.data)
        prelude = parse_prelude(segment.data)
        if prelude and (prelude.version > 2 or prelude.flags):
            segment.newer = True
            if state is None:
                reason = f"version {prelude.version}, flags {prelude.flags:#x}"
                segment.refused = (11, 4, reason)
                return
        if state is None:
            segment.refused = (15, 0, "no state file")
        elif segment.newer:
            pass  # Its shape is not ours to judge.
        elif size < BLOCK or size % BLOCK:
            segment.refused = (12, 0, f"{size} bytes are not whole blocks")
        else:
            self._check_first_header(segment, state, newest)

    def _check_first_header(self, segment: Segment, state: State, newest: bool) -> None:
        header = parse_header(segment.data, 0)
        if header is None:
            return
        if header.identity != state.identity:
            segment.refused = (13, 32, "the header of another log")
        elif newest and header.generation < segment.generation:
            return  # A reused file whose first group was not written yet.
        elif header.first_epoch != segment.name_epoch:
            segment.refused = (13, 56, f"renamed: first epoch is {header.first_epoch}")
        elif header.generation != segment.generation:
            reason = f"generation {header.generation}, expected {segment.generation}"
            segment.refused = (13, 48, reason)
        elif header.position != 0:
            segment.refused = (13, 72, f"a group of position {header.position}")
        elif header.segment_size > len(segment.data):
            reason = f"cut to {len(segment.data)} of {header.segment_size} bytes"
            segment.refused = (12, 64, reason)

    # Walking.

    def _walk(self) -> None:
        for index, segment in enumerate(self.segments):
            if segment.refused:
                self._refuse(index)
            if segment.version == 1:
                self._take_v1(segment)
            else:
                self._walk_groups(index)
        state = self.log.state
        if state is None:
            return
        generations = [s.generation for s in self.segments if s.version == 2]
        newest = max(generations, default=state.retired_generation)
        if newest < state.newest_generation:
            where = (
                self.segments[-1].path
                if self.segments
                else self.directory / f"{self.name}wal-state"
            )
            self._stop("corrupt", 14, where, 0, f"generation {newest + 1} is missing")
        if state.watermark > max(self.last, 0) and (
            not self.segments or self.segments[-1].version == 1
        ):
            where = (
                self.segments[-1].path
                if self.segments
                else self.directory / f"{self.name}wal-state"
            )
            reason = f"epoch {state.watermark} was durable, the log ends at {self.last}"
            self._stop("corrupt", 7, where, 0, reason)

    def _refuse(self, index: int) -> None:
        segment = self.segments[index]
        assert segment.refused
        row, offset, reason = segment.refused
        verdict = "corrupt"
        if segment.newer and not self._ours_later(index + 1):
            verdict = "format"
        self._stop(verdict, row, segment.path, offset, reason)

    def _ours_later(self, index: int) -> bool:
        """Whether any later segment certainly belongs to this log."""
        for segment in self.segments[index:]:
            if segment.version == 1:
                if not segment.refused:
                    return True
            elif any(self._ours(segment, at) for at in range(0, len(segment.data), BLOCK)):
                return True
        return False

    def _take_v1(self, segment: Segment) -> None:
        records = parse_v1(segment.data, segment.name_epoch)
        self.log.records += records
        if segment.name_epoch > (-1 if self.log.floor is None else self.log.floor):
            self.log.epochs.append(segment.name_epoch)
            self.log.batches += v1_batches(records, segment.name_epoch)
        self.last = max(self.last, segment.name_epoch)
        self.before = (segment.name_epoch, 0)

    def _walk_groups(self, index: int) -> None:
        segment = self.segments[index]
        at = 0
        while True:
            header = self._continues(segment, at)
            damage = None
            if header:
                try:
                    group = self._touching(parse_group(segment.data, header, self.kind))
                    self.terms.take(group.logical, at)
                    self._take_group(group)
                    at += header.length
                    continue
                except Disorder as found:
                    self._stop("corrupt", 18, segment.path, found.offset, found.reason)
                except Damage as found:
                    damage = found
            if self._next_continues(index, at):
                return
            self._judge(index, at, header, damage)

    def _touching(self, group: Group) -> Group:
        """Refuses assigned sequences that do not go on where the group before ended."""
        before = next((g for g in reversed(self.log.groups) if g.header.kind != MARK), None)
        both = group.certificate.flags & (before.certificate.flags if before else 0)
        touching = before and group.certificate.low == before.certificate.high + 1
        if both & ASSIGNED and group.header.kind != MARK and not touching:
            at = group.header.position + group.header.length - 80
            raise Disorder("assigned sequences that do not touch", at)
        return group

    def _take_group(self, group: Group) -> None:
        header = group.header
        self.before = (header.epoch, group.certificate.checksum)
        self.log.groups.append(group)
        self.last = max(self.last, header.epoch)
        if header.kind == MARK:
            self.log.marks.append(header.epoch)
        elif header.epoch > (self.log.floor or 0):
            self.log.epochs.append(header.epoch)
            self.log.batches += group.batches

    def _ours(self, segment: Segment, at: int) -> Header | None:
        header = parse_header(segment.data, at)
        state = self.log.state
        if (
            header is None
            or state is None
            or header.identity != state.identity
            or header.position != at
            or header.first_epoch != segment.name_epoch
            or header.generation != segment.generation
        ):
            return None
        return header

    def _continues(self, segment: Segment, at: int) -> Header | None:
        header = self._ours(segment, at)
        if header is None or header.segment_size > len(segment.data):
            return None
        if self.before is None:
            # The oldest segment: what came before is taken from the header.
            if header.previous > (self.log.floor or 0):
                return None
        elif (header.previous, header.link) != self.before:
            return None
        if header.kind == MARK:
            if header.epoch != header.previous:
                return None
        elif header.epoch <= header.previous:
            return None
        return header if at + header.length <= len(segment.data) else None

    def _next_continues(self, index: int, at: int) -> bool:
        """Row 2: whether the log goes on at the start of the next segment."""
        if index + 1 == len(self.segments):
            return False
        following = self.segments[index + 1]
        if following.refused:
            # Let the walk arrive there and say what is wrong with the file,
            # unless this segment's own end says more.
            return at == len(self.segments[index].data)
        if following.version == 1:
            # Nothing links it to this one: what the rest of this says decides.
            watermark, later = self._look_through(self.segments[index], at)
            return at > 0 and not later and watermark <= max(self.last, 0)
        return self.before is not None and self._continues(following, 0) is not None

    # Judging the place where the log stops.

    def _judge(self, index: int, at: int, header: Header | None, damage: Damage | None) -> None:
        segment = self.segments[index]
        found, later = self._look_on(index, at)
        state = self.log.state
        watermark = max(found, state.watermark if state else 0)
        # A watermark of 0 claims nothing, also where no epoch was read at all.
        gone = watermark > max(self.last, 0)
        offset = damage.offset if damage else at
        reason = damage.reason if damage else "no group where one should be"
        if gone:
            reason += f"; epoch {watermark} was durable, the log reads to {self.last}"
        here = self._ours(segment, at)
        if here and here.segment_size > len(segment.data):
            reason = f"cut to {len(segment.data)} of {here.segment_size} bytes"
            self._stop("corrupt", 12, segment.path, at, reason)
        prelude = parse_prelude(segment.data, at) if at < len(segment.data) else None
        newer = prelude is not None and (prelude.version > 2 or bool(prelude.flags))
        if prelude and newer and not later and found <= max(self.last, 0):
            reason = f"version {prelude.version}, flags {prelude.flags:#x}"
            self._refuse_later(segment, at, index)
            self._stop("format", 11, segment.path, at + 4, reason)
        if not gone or not (later or found > max(self.last, 0)):
            self._newer_later(index)
        if header:
            self._end(segment, offset, 3 if gone else 4, gone, reason, index)
        if here and here.epoch > self.last:
            reason = f"a header that does not continue the log; {reason}"
            self._end(segment, offset, 5 if gone else 6, gone, reason, index)
        if gone:
            self._end(segment, offset, 7, True, reason, index)
        if later:
            self._end(segment, offset, 8, False, reason, index)
        magic = bytes(segment.data[at : at + 4]) == b"LAWP"
        magic = magic and not checksums_right(segment.data, at)
        if magic and state and state.retired_generation == 0:
            self._end(segment, offset, 9, False, "a magic without right checksums", index)
        self._end(segment, offset, 10, False, "", index)

    def _newer_later(self, index: int) -> None:
        """Stops for a later segment of a newer format, unless a file is damaged or missing."""
        newer = [s for s in self.segments[index + 1 :] if s.version == 2 and s.newer]
        if newer:
            self._refuse_later(newer[0], 0, index)
            self._stop("format", 11, newer[0].path, 4, "a segment of a newer format")

    def _look_on(self, index: int, at: int) -> tuple[int, bool]:
        """The highest watermark in what follows, and whether a header above is ours."""
        watermark, later = 0, False
        for segment in self.segments[index:]:
            if segment.version == 1:
                # It has its name only since it and all before it were durable.
                watermark = max(watermark, segment.name_epoch)
                continue
            start = at if segment is self.segments[index] else 0
            found, above = self._look_through(segment, start)
            watermark, later = max(watermark, found), later or above
        return watermark, later

    def _look_through(self, segment: Segment, at: int) -> tuple[int, bool]:
        watermark, later = 0, False
        for block in range(at, len(segment.data), BLOCK):
            header = self._ours(segment, block)
            if header:
                watermark = max(watermark, header.watermark)
                later = later or header.epoch > self.last
        return watermark, later

    def _end(
        self, segment: Segment, at: int, row: int, corrupt: bool, reason: str, index: int
    ) -> None:
        """Ends the log here, unless a later file is refused as a whole."""
        if corrupt:
            self._stop("corrupt", row, segment.path, at, reason)
        self._refuse_later(segment, at, index)
        if row == 10:
            self.log.row = row
            raise Stop
        self._stop("torn", row, segment.path, at, reason)

    def _refuse_later(self, segment: Segment, at: int, index: int) -> None:
        """Stops for a later file that is refused as a whole, or missing."""
        for following in range(index + 1, len(self.segments)):
            if self.segments[following].refused:
                self._refuse(following)
        state = self.log.state
        newest = max(s.generation for s in self.segments if s.version == 2)
        if state and newest < state.newest_generation:
            self._stop("corrupt", 14, segment.path, at, f"generation {newest + 1} is missing")

    def _stop(self, verdict: str, row: int, path: Path, offset: int, reason: str) -> None:
        self.log.verdict = verdict
        self.log.row = row
        self.log.suspects.append(Suspect(str(path), offset, verdict, row, reason))
        raise Stop


def read_log(db: str | Path, spool: bool = False) -> Log:
    """Reads the log beside the database at `db`, or its spool."""
    return Reader(db, spool).read()


def as_json(log: Log) -> dict[str, object]:
    """What a test compares; images by length and CRC-32."""
    return {
        "verdict": log.verdict,
        "row": log.row,
        "epochs": log.epochs,
        "floor": log.floor,
        "suspects": [vars(s) for s in log.suspects],
        "batches": [
            {
                "epoch": b.epoch,
                "commit_seq": b.commit_seq,
                "txn_id": b.txn_id,
                "txn_epoch": b.txn_epoch,
                "metadata": b.metadata.hex(),
                "frames": [
                    {"page": p, "len": len(d), "crc32": zlib.crc32(d), "db_size": s}
                    for p, d, s in b.frames
                ],
            }
            for b in log.batches
        ],
        "terms": log.terms,
        "records": [
            {
                "term": r.term,
                "lsn": r.lsn,
                "timestamp": r.timestamp,
                "len": len(r.payload),
                "crc32": zlib.crc32(r.payload),
            }
            for r in log.logical
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Reads an epochwal log by docs/format.md.")
    parser.add_argument("db")
    parser.add_argument("--json", action="store_true", help="every batch, images by checksum")
    parser.add_argument("--spool", action="store_true", help="the spool of DB")
    args = parser.parse_args()
    try:
        log = read_log(args.db, args.spool)
    except OSError as error:
        print(f"I/O error: {error}", file=sys.stderr)
        return 4
    if args.json:
        json.dump(as_json(log), sys.stdout, indent=1)
        print()
        return EXIT[log.verdict]
    frames = sum(len(b.frames) for b in log.batches)
    span = f"{log.epochs[0]}..{log.epochs[-1]}" if log.epochs else "none"
    print(f"{log.verdict}: {len(log.epochs)} epochs ({span}), ", end="")
    if args.spool:
        lsns = f"{log.logical[0].lsn}..{log.logical[-1].lsn}" if log.logical else "none"
        print(f"{len(log.logical)} records ({lsns}), {len(log.terms)} terms")
    else:
        print(f"{len(log.batches)} batches, {frames} frames, floor {log.floor}")
    for s in log.suspects:
        print(f"{s.path} at {s.offset}: {s.verdict} (row {s.row}): {s.reason}")
    return EXIT[log.verdict]


if __name__ == "__main__":
    sys.exit(main())
