"""After the run: does everybody hold the service's final board, and has it the scores that were acknowledged?"""

from __future__ import annotations

from collections.abc import Sequence

from loadtest import access
from loadtest.swarm.player import Player, Shared
from loadtest.target import http_api


def count_behind(players: Sequence[Player], shared: Shared, truths: Sequence[http_api.FetchedBoard]) -> int:
    """How many players that take part do not hold the final board of their address."""
    holds = [shared.ledger.holds(truth.epoch, truth.version) for truth in truths]
    return sum(player.takes_part and not holds[player.persona.address][player.seat] for player in players)


def wrong_scores(
    players: Sequence[Player], shared: Shared, urls: Sequence[str], truths: Sequence[http_api.FetchedBoard]
) -> list[str]:
    """What is wrong with the final boards, one of each of `urls`, in words."""
    scores = [{entry["userId"]: entry["score"] for entry in truth.entries} for truth in truths]
    found = [
        f"the board at {access.shown(url)} has other scores than that at {access.shown(urls[0])}"
        for other, url in zip(scores[1:], urls[1:], strict=True)
        if other != scores[0]
    ]
    unacknowledged = _other_than_acknowledged(players, shared, scores[0])
    if unacknowledged:
        found.append(f"{len(unacknowledged)} scores differ from what was acknowledged: {'; '.join(unacknowledged[:3])}")
    unexpected = _other_than_expected(shared, scores[0])
    if unexpected:
        found.append(f"{len(unexpected)} scores differ from the log's: {'; '.join(unexpected[:3])}")
    return found


def _other_than_acknowledged(players: Sequence[Player], shared: Shared, came: dict[str, int]) -> list[str]:
    points, doubtful = shared.ledger.points, shared.ledger.doubtful
    return [
        f"{who.user_id} has {came.get(who.user_id)}, acknowledged were {points.get(who.index)}"
        for who in (player.persona for player in players)
        if who.index not in doubtful and came.get(who.user_id) != points.get(who.index)
    ]


def _other_than_expected(shared: Shared, came: dict[str, int]) -> list[str]:
    return [
        f"{user} has {came.get(user)}, expected {points}"
        for user, points in (shared.scenario.truth(shared.stream) or {}).items()
        if came.get(user) != points
    ]
