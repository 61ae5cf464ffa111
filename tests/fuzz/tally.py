"""What one part of a run did, and what was wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

EXAMPLES = 10  # findings that are kept; all are counted
SHOWN = 300  # characters of what was sent


@dataclass
class Tally:
    """One part: how many cases were wanted, how many were sent, how they ended, and what should not have been."""

    name: str
    wanted: int
    done: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all was sent, and nothing was wrong."""
        return self.done >= self.wanted and not self.wrong

    def find(self, number: int, what: str, sent: object) -> None:
        """Note something wrong with a case; its number and the seed make it again."""
        self.wrong += 1
        if len(self.findings) < EXAMPLES:
            shown = repr(sent)
            self.findings.append(f"{self.name} {number}: {what}: {shown[:SHOWN]}{'…' * (len(shown) > SHOWN)}")

    def __str__(self) -> str:
        ends = ", ".join(f"{end} {many}" for end, many in self.outcomes.most_common())
        return f"{self.name}: {self.done} of {self.wanted}, {self.wrong} wrong ({ends or 'nothing yet'})"
