"""The order of a spool's records, and which of them count, by docs/format.md."""

import bisect

from segments import MAX_TERMS, Disorder, Logical


class Terms:
    """The history of terms: (term, first LSN), both ascending."""

    def __init__(self, saved: list[tuple[int, int]], pruned_through: int) -> None:
        self.history = list(saved)
        self.pruned_through = pruned_through
        self._before: Logical | None = None

    def live(self, record: Logical) -> bool:
        """Whether no later term began at or below it."""
        return not any(
            term > record.term and first <= record.lsn for term, first in self.history
        )

    def take(self, records: list[Logical], at: int) -> None:
        """Goes on with the records of a group; Disorder where they can't come next."""
        for record in records:
            before, self._before = self._before, record
            if before and not self._follows(before, record):
                reason = f"term {record.term}, LSN {record.lsn}"
                raise Disorder(f"{reason} behind term {before.term}, LSN {before.lsn}", at)
            if not self.history or record.term > self.history[-1][0]:
                self._begin(record, at)

    def _follows(self, before: Logical, record: Logical) -> bool:
        began = dict(self.history).get(record.term, 0)
        if record.term < before.term or record.lsn < began:
            return False
        if record.lsn > before.lsn:
            return True
        if record.term == before.term:
            return False
        later = [(term, first) for term, first in self.history if term > before.term]
        cut = bool(later) and later[0][0] <= record.term and later[0][1] <= record.lsn
        forgotten = bool(self.history) and record.term < self.history[0][0]
        return cut or forgotten or not self.live(record)

    def _begin(self, record: Logical, at: int) -> None:
        firsts = [first for _, first in self.history]
        del self.history[bisect.bisect_left(firsts, record.lsn) :]
        if len(self.history) == MAX_TERMS:
            begun = bisect.bisect_right(firsts, self.pruned_through)
            if begun < 2:
                raise Disorder(f"term {record.term} is one too many", at)
            del self.history[: begun - 1]
        self.history.append((record.term, record.lsn))
