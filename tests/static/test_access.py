"""The page for everybody: by keyboard alone, to a listener, in large text, and by the rules of axe."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from loadtest.target.processes import Service

pytestmark = pytest.mark.browser

Act = Callable[[Page, Any], Awaitable[None]]


async def violations(page: Page) -> list[str]:
    """What axe finds serious or critical, each with its place and reason."""
    found = (await Axe().run(page)).response["violations"]
    return [
        f"{violation['id']} at {node['target']}: {node['failureSummary']}"
        for violation in found
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


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
    await played(page, stage)
    stage.board(degraded=True, version=5)
    await page.wait_for_selector("html[data-degraded=true]")


async def reconnecting(page: Page, stage: Any) -> None:
    """The connection is lost."""
    await played(page, stage)
    await stage.sockets[-1].close(code=4429, reason="")
    await page.wait_for_selector("html[data-connection=waiting]")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("act", [empty, played, degraded, reconnecting])
@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("user=alice", (390, 844)),
        ("user=alice", (1280, 800)),
        ("view=board", (1920, 1080)),
        ("view=embed&user=alice", (700, 520)),
    ],
)
async def test_axe_finds_nothing_serious(
    on_stage: Any, stage: Any, query: str, size: tuple[int, int], act: Act, theme: str
) -> None:
    """In every view, state and theme axe finds no serious or critical violation."""
    page = await on_stage(f"?{query}&theme={theme}", size=size, reduced_motion="reduce")
    await act(page, stage)
    # axe judges no text that stands on an image, not even beside the thin line of a row.
    await page.evaluate("document.styleSheets[0].insertRule('.row { background-image: none !important }')")
    assert await violations(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_serious_in_faults_and_forms(on_stage: Any, theme: str) -> None:
    """Refused addresses and names, and the picker, are no worse."""
    page = await on_stage(f"?theme={theme}&user=a%E2%80%AEb", reduced_motion="reduce")
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


async def test_keyboard_alone_plays_the_story(service: Service, visit: Any) -> None:
    """Tab, Enter and letters fill the board, join, score, switch to any name, leave and reset."""
    page = await visit(service.url)
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
    page = await on_stage("?user=zoe", apart=True)
    # From here the page's time passes only by `run_for`: a busy machine makes no pause longer or shorter.
    await page.clock.pause_at(await page.evaluate("Date.now()"))
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


@pytest.mark.layout
@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("", (640, 800)),
        ("?user=alice", (390, 844)),
        ("?user=alice", (1280, 800)),
        ("?view=board", (1920, 1080)),
        ("?view=embed&user=alice", (700, 520)),
    ],
)
async def test_text_may_be_twice_as_large(on_stage: Any, stage: Any, query: str, size: tuple[int, int]) -> None:
    """At a text size of 200 % nothing is cut off or needs sideways scrolling."""
    page = await on_stage(query, size=size, reduced_motion="reduce")
    settings = await page.context.new_cdp_session(page)
    await settings.send("Page.setFontSizes", {"fontSizes": {"standard": 32}})  # twice the browser's own
    stage.board(*((f"user{i}", 1000 - i) for i in range(20)), totalPlayers=3482, degraded=True, version=2)
    await page.wait_for_selector("[data-board] > li:nth-child(20)")
    assert await page.evaluate("document.documentElement.scrollWidth") <= size[0]
    cut = """() => [...document.querySelectorAll("button, .bar *, .own *, .row .score, .row .rank")].filter((part) =>
        part.offsetWidth > 1 && part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).display !== "inline")
        .map((part) => part.outerHTML)"""
    assert await page.evaluate(cut) == []
