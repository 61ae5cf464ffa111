"""The page for everybody: by keyboard alone, to a listener, and by the rules of axe."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect
from wide import first_of

from loadtest.target.processes import Service

pytestmark = pytest.mark.browser

VIEWS = [
    ("user=alice", (390, 844)),
    ("user=alice", (1280, 800)),
    ("view=board", (1920, 1080)),
    ("view=embed&user=alice", (700, 520)),
]


async def violations(page: Page) -> list[str]:
    """What axe finds serious or critical in either theme, each with its theme, place and reason."""
    found = []
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)
        response = (await Axe().run(page)).response
        found += [
            f"{theme}: {violation['id']} at {node['target']}: {node['failureSummary']}"
            for violation in response["violations"]
            if violation["impact"] in {"serious", "critical"}
            for node in violation["nodes"]
        ]
    return found


async def empty(page: Page, stage: Any) -> None:
    """Nobody has scored."""
    await expect(page.locator("[data-empty]")).to_be_visible()


async def played(page: Page, stage: Any) -> None:
    """Twenty rows with ties, gains, losses and players who are away; the own row stands outside."""
    scores = [(f"u{i}", 900 - 40 * (i // 2)) for i in range(20)]
    stage.board(*scores, totalPlayers=3482, version=2)
    stage.rank("alice", rank=812, score=7, version=2)
    await page.wait_for_selector("[data-board] > li:nth-child(20)")
    stage.board(scores[1], scores[0], *((user, score + 5) for user, score in scores[2:]), version=3)
    for row in stage.rows[::3]:
        row["isConnected"] = False
    stage.board(totalPlayers=3482, version=4)
    stage.say("participant-joined", userId="u1", username="Zoë", avatar="🦊", totalParticipants=2)
    await expect(page.locator("[data-notice]")).to_be_visible()
    await expect(page.locator("[data-board] > [data-connected=false]").first).to_be_visible()


async def degraded(page: Page, stage: Any) -> None:
    """Redis is away."""
    stage.board(degraded=True, version=5)
    await page.wait_for_selector("html[data-degraded=true]")


async def reconnecting(page: Page, stage: Any) -> None:
    """Redis is back, and the connection is lost."""
    stage.board(version=6)
    await page.wait_for_selector("html[data-degraded=false]")
    await stage.sockets[-1].close(code=4429, reason="")
    await page.wait_for_selector("html[data-connection=waiting]")


@pytest.mark.parametrize(("query", "size"), first_of(*VIEWS))
async def test_axe_finds_nothing_serious(on_stage: Any, stage: Any, query: str, size: tuple[int, int]) -> None:
    """In every view, and in each of its states and themes, axe finds no serious or critical violation."""
    page = await on_stage(f"?{query}", size=size, reduced_motion="reduce", lasting=True)
    # axe judges no text that stands on an image, not even beside the thin line of a row.
    await page.evaluate("document.styleSheets[0].insertRule('.row { background-image: none !important }')")
    for act in (empty, played, degraded, reconnecting):
        await act(page, stage)
        assert await violations(page) == [], act.__name__


async def test_axe_finds_nothing_serious_in_faults_and_forms(on_stage: Any) -> None:
    """Refused addresses and names, and the picker, are no worse."""
    page = await on_stage("?user=a%E2%80%AEb", reduced_motion="reduce")
    await page.wait_for_selector("button[data-join=alice]")
    await page.get_by_label("Or any name").fill("x" * 33)
    await page.get_by_role("button", name="Join", exact=True).click()
    await expect(page.locator("[data-name-help]")).to_be_visible()
    assert await violations(page) == []


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the focus is there; on the way it can be seen on every stop."""
    for _ in range(25):
        await page.keyboard.press("Tab")
        found, outline, nowhere = await page.evaluate(
            """(wanted) => { const at = document.activeElement;
            return [at.matches(wanted), getComputedStyle(at).outlineStyle, at === document.body] }""",
            selector,
        )
        assert outline == "solid" or nowhere
        if found:
            return
    pytest.fail(f"Tab never came to {selector}")


async def test_keyboard_alone_plays_the_story(shared_service: Service, session_id: str, visit: Any) -> None:
    """Tab, Enter and letters fill the board, join, score, switch to any name, leave and reset."""
    page = await visit(f"{shared_service.url}/?session={session_id}")
    await page.wait_for_selector("button[data-join=alice]")
    await tab_to(page, "[data-action=populate]")
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-board] > li")).to_have_count(6)
    await tab_to(page, "button[data-join=frank]")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("html[data-user=frank]")
    await expect(page.locator("button[data-points='10']")).to_be_focused()
    await tab_to(page, "button[data-points='100']")
    await page.keyboard.press("Space")
    await expect(page.locator("[data-board] > [data-user=frank]")).to_have_attribute("data-rank", "1")
    await tab_to(page, "input")
    await page.keyboard.type("Zoë")
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-own-name]")).to_have_text("Zoë")
    await expect(page.locator("button[data-points='10']")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-own]")).to_have_attribute("data-rank", "7")
    await tab_to(page, "[data-action=leave]")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("html[data-user='']")
    await expect(page.locator("button[data-join]").first).to_be_focused()
    await tab_to(page, "[data-action=reset]")
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-board] > li")).to_have_count(0)


async def test_keyboard_alone_ends_the_wait(on_stage: Any, stage: Any) -> None:
    """A lost connection is tried again with Tab and Enter."""
    page = await on_stage()
    await stage.sockets[-1].close(code=4429, reason="")
    await page.wait_for_selector("html[data-connection=waiting]")
    await tab_to(page, "[data-action=retry]")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("html[data-connection=live]")


LISTEN = """() => { window.heard = []; const spoken = document.querySelector("[data-spoken]");
    new MutationObserver(() => heard.push([performance.now(), spoken.textContent]))
        .observe(spoken, { childList: true, characterData: true, subtree: true }) }"""


async def test_a_listener_hears_the_own_rank_at_a_bearable_pace(on_stage: Any, stage: Any) -> None:
    """However fast ranks change, something is said at most every four seconds, and in the end what holds."""
    page = await on_stage("?user=zoe", own_clock=True)
    # From soon on the page's time passes only by `run_for`: a busy machine makes no pause longer or shorter.
    await page.clock.pause_at(await page.evaluate("Date.now() / 1_000 + 5"))
    await page.evaluate(LISTEN)

    async def shown(rank: int) -> None:
        async with asyncio.timeout(15):
            while not await page.locator(f"[data-board] > [data-user=zoe][data-rank='{rank}']").count():
                await page.clock.run_for(20)

    stage.board(("alice", 50), ("bob", 40), totalPlayers=100, version=2)
    for version, rank in enumerate((90, 80, 70, 60, 50, 40, 30), 2):
        stage.rank("zoe", rank=rank, score=100 - rank, version=version)
        await shown(rank)
    await page.clock.run_for(8_000)
    heard = await page.evaluate("heard")
    assert heard[-1][1] == "You are number 30."
    assert all(later - earlier >= 4_000 for (earlier, _), (later, _) in itertools.pairwise(heard))
    assert len(heard) <= 3


async def test_a_listener_hears_of_a_new_leader(on_stage: Any, stage: Any) -> None:
    """Who only watches is told who leads now."""
    page = await on_stage()
    stage.board(("alice", 50), ("bob", 40), version=2)
    await page.wait_for_selector("[data-board] > [data-user=bob]")
    stage.board(("bob", 60), ("alice", 50), version=3)
    await expect(page.locator("[data-spoken]")).to_have_text("Bob leads.")
