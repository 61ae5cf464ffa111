"""The order of players, and what follows from it: ranks, pages, neighbours.

Two rules, defined only here:

- **order**: score descending, then user id ascending (`order_key`). It is total, so any two
  processes with the same scores show the same board.
- **rank**: equal scores share a rank. `competition` leaves a gap after a tie (1, 2, 2, 4),
  `dense` does not (1, 2, 2, 3).

The order is one sorted list of keys. A lookup is a binary search; an insertion moves the tail, one
`memmove` of at most 160 KB for a session's maximum of 20,000 players. Up to thousands of players
this is cheaper than a balanced structure, and at the maximum about equal (DECISIONS.md, "A list
under the board").
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

Key = tuple[int, str]


class Ranking(StrEnum):
    """How ranks continue after a tie."""

    COMPETITION = "competition"
    DENSE = "dense"


def order_key(score: int, user_id: str) -> Key:
    """The sort key of a player: smaller keys rank higher."""
    return (-score, user_id)


@dataclass(frozen=True, slots=True)
class Standing:
    """One player's place: `rank` counts from 1."""

    rank: int
    user_id: str
    score: int


class Board:
    """The scores of one session, kept in order.

    Every player on the board is ranked; a user who is not on it has no rank. A rank costs O(log n),
    a page O(log n + its length), a change O(log n) comparisons.
    """

    def __init__(self, ranking: Ranking = Ranking.COMPETITION) -> None:
        self.ranking = ranking
        self._scores: dict[str, int] = {}
        self._order: list[Key] = []
        # Only the dense rule needs to know how many distinct scores are above a score.
        self._holders: dict[int, int] = {}
        self._levels: list[int] = []

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._scores

    @property
    def scores(self) -> Mapping[str, int]:
        """A read-only view: user id → score."""
        return MappingProxyType(self._scores)

    def score(self, user_id: str) -> int | None:
        """The player's score, or None while unranked."""
        return self._scores.get(user_id)

    def rank(self, user_id: str) -> int | None:
        """The player's rank, or None while unranked."""
        score = self._scores.get(user_id)
        return None if score is None else self._rank_of_score(score)

    def position(self, user_id: str) -> int | None:
        """How many players precede this one in the order (ties broken by id), or None while unranked."""
        score = self._scores.get(user_id)
        return None if score is None else bisect_left(self._order, order_key(score, user_id))

    def place(self, user_id: str, score: int) -> None:
        """Put the player on the board with this score, replacing any earlier score."""
        before = self._scores.get(user_id)
        if before == score:
            return
        if before is not None:
            del self._order[bisect_left(self._order, order_key(before, user_id))]
            self._level_lost(before)
        self._scores[user_id] = score
        insort(self._order, order_key(score, user_id))
        self._level_gained(score)

    def remove(self, user_id: str) -> None:
        """Take a player off the board; who is not on it stays so."""
        score = self._scores.pop(user_id, None)
        if score is not None:
            del self._order[bisect_left(self._order, order_key(score, user_id))]
            self._level_lost(score)

    def clear(self) -> None:
        """Remove all players from the board."""
        self._scores.clear()
        self._order.clear()
        self._holders.clear()
        self._levels.clear()

    def page(self, limit: int, offset: int = 0) -> list[Standing]:
        """At most `limit` standings, starting at position `offset` (0 is the top)."""
        return list(self._standings(max(offset, 0), max(offset, 0) + max(limit, 0)))

    def around(self, user_id: str, reach: int) -> list[Standing]:
        """The player with up to `reach` neighbours on each side, in order; empty while unranked."""
        position = self.position(user_id)
        if position is None:
            return []
        return list(self._standings(max(position - reach, 0), position + reach + 1))

    def check(self) -> None:
        """Raise AssertionError unless the internal structures agree (for tests)."""
        assert self._order == sorted(order_key(score, user) for user, score in self._scores.items())
        if self.ranking is Ranking.DENSE:
            values = list(self._scores.values())
            assert self._levels == sorted({-score for score in values})
            assert self._holders == {score: values.count(score) for score in set(values)}

    def _standings(self, start: int, stop: int) -> Iterator[Standing]:
        previous: int | None = None
        rank = 0
        for position, (negated, user_id) in enumerate(self._order[start:stop], start + 1):
            if negated != previous:
                # Only the first row of a page needs a search; later ranks follow from it.
                if previous is None:
                    rank = self._rank_of_score(-negated)
                else:
                    rank = rank + 1 if self.ranking is Ranking.DENSE else position
                previous = negated
            yield Standing(rank, user_id, -negated)

    def _rank_of_score(self, score: int) -> int:
        if self.ranking is Ranking.DENSE:
            return bisect_left(self._levels, -score) + 1
        # No user id is empty, so this key comes directly before the first player with the score.
        return bisect_left(self._order, order_key(score, "")) + 1

    def _level_gained(self, score: int) -> None:
        if self.ranking is not Ranking.DENSE:
            return
        holders = self._holders.get(score, 0)
        self._holders[score] = holders + 1
        if holders == 0:
            insort(self._levels, -score)

    def _level_lost(self, score: int) -> None:
        if self.ranking is not Ranking.DENSE:
            return
        self._holders[score] -= 1
        if self._holders[score] == 0:
            del self._holders[score]
            del self._levels[bisect_left(self._levels, -score)]
