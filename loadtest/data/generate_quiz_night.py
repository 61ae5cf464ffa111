"""The sample log `data/quiz_night.csv`: a believable quiz evening of 60 players in 10 minutes.

    python -m loadtest.data.generate_quiz_night > loadtest/data/quiz_night.csv

Eight rounds of questions. Each player has a skill, a pace and a temper; quick right answers bring
more, streaks bring a bonus, bold players guess and pay for it, some arrive late or leave early.
Points come in steps of five, so that there are ties. The same seed gives the same file, byte for byte.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from typing import Final

SEED: Final = 2026
ROUNDS: Final = 8
QUESTIONS: Final = 4  # a round
ROUND_SECONDS: Final = 75.0
ANSWER_SECONDS: Final = 12.0
NAMES: Final = (
    "Alice", "Bob", "Charlie", "Diana", "Eve", "Frank", "Grace", "Hugo", "Ines", "Jonas", "Kaya", "Liam",
    "Mei", "Noah", "Olga", "Pablo", "Quinn", "Rosa", "Sven", "Tara", "Umar", "Vera", "Wanda", "Xavier",
    "Yara", "Zoë", "Amélie", "Björn", "Chloé", "Dmitri", "Elif", "Farid", "Giulia", "Hana", "Ivan", "Jana",
    "Karim", "Lucía", "Malik", "Nadia", "Oscar", "Priya", "Rafael", "Saoirse", "Tomás", "Ursula", "Viktor", "Wei",
    "Yusuf", "Zuzana", "Anh", "Bảo", "Duy", "Hương", "Khánh", "Linh", "Minh", "Ngọc", "Phúc", "Thảo",
)  # fmt: skip


@dataclass(slots=True)
class QuizNightPlayer:
    """A player of the evening that is made up."""

    user_id: str
    username: str
    skill: float  # chance of a right answer
    pace: float  # 0 slow … 1 quick
    bold: float  # chance to guess when the answer is not known
    arrives: float
    leaves: float
    streak: int = 0


def _players(dice: random.Random) -> list[QuizNightPlayer]:
    players: list[QuizNightPlayer] = []
    demo = {"Alice", "Bob", "Charlie", "Diana", "Eve", "Frank"}
    for number, name in enumerate(NAMES, start=1):
        late = dice.random() < 0.12
        early = dice.random() < 0.08
        players.append(
            QuizNightPlayer(
                user_id=name.lower() if name in demo else f"guest-{number:02d}",
                username=name,
                skill=0.35 + 0.5 * dice.betavariate(2.5, 2.0),
                pace=dice.betavariate(2, 2),
                bold=dice.betavariate(1.2, 4),
                arrives=dice.uniform(60, 180) if late else 0.0,
                leaves=dice.uniform(420, 560) if early else 600.0,
            )
        )
    return players


def _points(player: QuizNightPlayer, haste: float, worth: int, dice: random.Random) -> int | None:
    """What the player's answer brings; None when there is none."""
    if dice.random() < player.skill:
        player.streak += 1
        bonus = 5 * min(player.streak - 1, 5)
        return worth + 5 * round(haste * worth / 10) + bonus
    player.streak = 0
    return -10 if dice.random() < player.bold else None


def generate(seed: int = SEED) -> str:
    """The log as CSV text, in order of time."""
    dice = random.Random(seed)
    players = _players(dice)
    rows: list[tuple[float, str, str, int]] = []
    for game_round in range(ROUNDS):
        worth = 10 if game_round < ROUNDS - 2 else 20  # the last two rounds count double
        for question in range(QUESTIONS):
            asked = game_round * ROUND_SECONDS + 8.0 + question * 16.5
            for player in players:
                haste = min(max(dice.gauss(0.3 + 0.5 * player.pace, 0.15), 0.0), 1.0)
                when = asked + 1.5 + (1.0 - haste) * (ANSWER_SECONDS - 1.5)
                points = _points(player, haste, worth, dice)
                if points is not None and player.arrives <= when <= player.leaves:
                    rows.append((when, player.user_id, player.username, points))
    rows.sort()
    lines = [f"{when:.3f},{user_id},{username},{points}" for when, user_id, username, points in rows]
    return "\n".join(["time,userId,username,points", *lines, ""])


if __name__ == "__main__":
    sys.stdout.buffer.write(generate().encode())
