"""The pictures of the page in docs/: `pytest tests/static/pictures.py` draws them all anew.

Not among the tests that `pytest` finds by itself. They want a font with colour emoji.
"""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Page, expect

from service.core.user_appearance import appearance_of

DOCS = Path(__file__).parents[2] / "docs"
FIFTY = [
    "Alice", "Bob", "Charlie", "Diana", "Eve", "Frank", "Grace Hopper", "Heidi", "Ivan", "Judy", "Mallory", "Niaj",
    "Olivia", "Peggy", "Rupert", "Sybil", "Trent", "Victor", "Walter", "Yvonne", "Zoë", "Anna Lena", "Юлия", "Ελένη",
    "שלום", "محمد", "Søren", "Łukasz", "Nguyễn", "Olga", "Priya", "Quentin", "Rosa", "Sofía", "Tomás", "Uma", "Vera",
    "Wanda", "Xavier", "Yuki", "Zeynep", "Arturo", "Beatriz", "Chidi", "Dmitri", "Elif", "Farah", "Goran", "Hana",
    "Ingrid",
]  # fmt: skip
DEVICES = {
    "phone": ("user=heidi", (390, 844)),
    "laptop": ("user=heidi", (1280, 800)),
    "projector": ("view=board", (1920, 1080)),
}
STATES = {  # rows, players, participants
    "empty": (0, 0, 1),
    "six": (6, 6, 4),
    "fifty": (50, 3482, 812),
    "degraded": (20, 20, 17),
    "reconnecting": (20, 20, 17),
    "twenty": (20, 3482, 812),
}


def players(number: int, gain: int) -> list[dict[str, Any]]:
    """The first of `FIFTY` as rows in order of rank, where every fourth has just won `gain` points or a multiple."""
    scores = {
        name: 1450 - 27 * i - (27 if i % 9 == 3 else 0) + gain * (i % 4 == 1) * (1 + i % 3)
        for i, name in enumerate(FIFTY[:number])
    }
    rows = []
    for name in sorted(scores, key=lambda name: -scores[name]):
        at = FIFTY.index(name)
        user = name.lower() if name.isascii() and name.isalpha() else f"player-{at}"
        look = appearance_of(user)
        rank = 1 + sum(score > scores[name] for score in scores.values())
        rows.append({
            "rank": rank, "userId": user, "username": name, "avatar": look.avatar, "color": look.color,
            "score": scores[name], "isConnected": at % 7 != 3,
        })  # fmt: skip
    return rows


async def play(page: Page, stage: Any, state: str) -> None:
    """Bring the page into a state, one of `STATES`."""
    shown, total, present = STATES[state]
    if shown == 0:
        return
    for version, gain in ((2, 0), (3, 25)):
        stage.version, stage.rows = version, players(shown, gain)
        stage.board(totalPlayers=total, totalParticipants=present, degraded=state == "degraded")
        stage.rank("heidi")
        bob = next(row for row in stage.rows if row["userId"] == "bob")
        await expect(page.locator(f"[data-board] > [data-user=bob][data-score='{bob['score']}']")).to_be_visible()
    if state == "reconnecting":
        await page.evaluate("Math.random = () => 0.99")  # the longest wait
        await stage.sockets[-1].close(code=1012, reason="")
        await page.wait_for_selector("html[data-connection=waiting]")


PICTURES = {
    f"{device}-{theme}-{state}": (device, theme, state)
    for device, theme, state in itertools.product(DEVICES, ("light", "dark"), STATES)
    if state != "twenty"
} | {"big-screen": ("projector", "dark", "twenty")}


@pytest.mark.parametrize("name", PICTURES)
async def test_picture(on_stage: Any, stage: Any, name: str) -> None:
    """A player on a phone and a laptop, and the audience before a projector, see the board in every state."""
    device, theme, state = PICTURES[name]
    query, (width, height) = DEVICES[device]

    def answer(message: dict[str, Any]) -> None:
        stage.welcome(message)
        if message["type"] == "ping":
            stage.say("pong", t=message["data"]["t"], serverTime=0)

    stage.answer = answer
    page = await on_stage(f"?{query}&theme={theme}", size=(width, height), reduced_motion="reduce")
    await expect(page.locator("[data-trip]")).to_contain_text("ms")
    await page.evaluate("document.fonts.ready")
    await play(page, stage, state)
    picture = Image.open(io.BytesIO(await page.screenshot()))
    picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(DOCS / f"page-{name}.png", optimize=True)
