"""Whether everybody holds the final board, and whether it has the scores that were acknowledged."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from loadtest.measure.board_spread import BoardHead
from loadtest.plan.scenarios import Role, Steady
from loadtest.swarm.final_check import count_behind, wrong_scores
from loadtest.swarm.player import Persona, Player, Shared
from loadtest.target.http_api import FetchedBoard

URLS = ["http://one", "http://two"]


def truth(scores: dict[str, int], version: int = 9) -> FetchedBoard:
    """The final board of one address."""
    return FetchedBoard([{"userId": user, "score": score} for user, score in scores.items()], version, "e")


def seated(shared: Shared, count: int) -> list[Player]:
    """Players that take part, on the two addresses in turn; each plays as `u` and its number."""
    players = [Player(Persona(at, at % 2, Role.PLAYS, f"u{at}", ""), shared) for at in range(count)]
    for player in players:
        player.seat, player.takes_part = shared.take_seat(), True
        shared.ledger.enter(player.seat, 0.0)
    return players


def show(shared: Shared, seats: list[int], version: int) -> None:
    """These seats get a board of this version."""
    board = shared.ledger.board(BoardHead(version, 0, "e", 0.0, None))
    for seat in seats:
        shared.ledger.received(seat, board, 1.0)
    shared.ledger.resolve(2.0)


def score(shared: Shared, number: int, *, sender: int, points: int, answered: bool = True) -> None:
    """The sender scores, and is answered or not."""
    shared.ledger.due(number, sender=sender, intended=0.0, now=0.0, points=points)
    if answered:
        shared.ledger.answered(number, "e", number + 1, durable=True, now=0.1)


@pytest.fixture
def shared(share) -> Shared:
    return share()


def test_everybody_who_takes_part_has_to_hold_the_last_board(shared) -> None:
    """One that shows an older board is behind; one that shows none is, too; one that left is not."""
    players = seated(shared, 4)
    show(shared, [0, 1, 3], 9)
    show(shared, [1], 8)
    assert count_behind(players, shared, [truth({}), truth({})]) == 2
    players[1].takes_part = False
    assert count_behind(players, shared, [truth({}), truth({})]) == 1


def test_each_player_is_compared_with_its_own_address(shared) -> None:
    """The final board is that of the address to which the player is connected."""
    players = seated(shared, 2)
    show(shared, [0], 9)
    show(shared, [1], 7)
    assert count_behind(players, shared, [truth({}, 9), truth({}, 7)]) == 0
    assert count_behind(players, shared, [truth({}, 7), truth({}, 9)]) == 2


def test_acknowledged_points_are_on_every_board(shared) -> None:
    """The sums of what was answered are the scores: nothing is wrong."""
    players = seated(shared, 2)
    score(shared, 0, sender=0, points=10)
    score(shared, 1, sender=0, points=25)
    score(shared, 2, sender=1, points=50)
    right = truth({"u0": 35, "u1": 50})
    assert wrong_scores(players, shared, URLS, [right, right]) == []


def test_a_score_other_than_acknowledged_is_named(shared) -> None:
    """The sentence has the number of such players, and who has what instead of what."""
    players = seated(shared, 2)
    score(shared, 0, sender=0, points=10)
    score(shared, 1, sender=1, points=25)
    assert wrong_scores(players, shared, URLS[:1], [truth({"u0": 10, "u1": 24})]) == [
        "1 scores differ from what was acknowledged: u1 has 24, acknowledged were 25"
    ]
    assert "u0 has None, acknowledged were 10" in wrong_scores(players, shared, URLS[:1], [truth({"u1": 25})])[0]


def test_an_update_without_an_answer_leaves_its_sender_in_doubt(shared) -> None:
    """It may have counted or not, so neither score of its sender is wrong."""
    players = seated(shared, 1)
    score(shared, 0, sender=0, points=10)
    score(shared, 1, sender=0, points=25, answered=False)
    for total in (10, 35):
        assert wrong_scores(players, shared, URLS[:1], [truth({"u0": total})]) == []


def test_addresses_that_show_different_scores_are_named(shared) -> None:
    """A second worker with another board is wrong, even where nobody was acknowledged anything."""
    assert wrong_scores([], shared, URLS, [truth({"u0": 1}), truth({"u0": 2})]) == [
        "the board at http://two has other scores than that at http://one"
    ]


@dataclass(frozen=True)
class Logged(Steady):
    """A scenario whose scores are known beforehand."""

    def truth(self, stream: int) -> dict[str, int]:
        return {"u0": 10, "u1": 20}


def test_scores_other_than_the_logs_are_named(share) -> None:
    """A replayed log says what the board has to show."""
    shared = share(scenario=Logged(None, 1))
    assert wrong_scores([], shared, URLS[:1], [truth({"u0": 10, "u1": 20})]) == []
    assert wrong_scores([], shared, URLS[:1], [truth({"u0": 10})]) == [
        "1 scores differ from the log's: u1 has None, expected 20"
    ]
