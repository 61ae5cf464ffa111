"""Where things stand on the page, at each size of the window and in each font."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.layout]

LAID_OUT = """([width, height]) => new Promise((done) => {
    const resized = () => innerWidth === width && innerHeight === height;
    // In the first frame of the new size the page is told of it, after the second it has answered.
    const look = () => requestAnimationFrame(resized() ? () => requestAnimationFrame(done) : look);
    look();
})"""


async def resize(page: Page, width: int, height: int) -> None:
    """Give the window another size, and wait until the page stands as it does in that one."""
    await page.set_viewport_size({"width": width, "height": height})
    await page.evaluate(LAID_OUT, [width, height])


async def test_the_own_row_is_pinned_below_the_top(on_stage: Any, stage: Any) -> None:
    """Who is ranked outside the shown top has the own row below it, in the window, and climbs from there."""
    page = await on_stage("?user=zoe", size=(1280, 700), reduced_motion="reduce")
    others = [(f"u{i}", 100 - i) for i in range(20)]
    stage.board(*others, totalPlayers=3482, version=2)
    stage.rank("zoe", rank=812, score=7, version=2)
    own = page.locator("[data-board] > [data-self=true]")
    await expect(own.locator(".number")).to_have_text("812")
    await expect(own.locator(".score")).to_have_text("7")
    await expect(page.locator("[data-board] > li")).to_have_count(21)
    await expect(page.locator("[data-extent]")).to_have_text("1–20 of 3,482 players")
    await expect(own).to_be_in_viewport(ratio=1)
    stage.board(*others[:19], ("zoe", 50), totalPlayers=3482, version=3)
    await expect(own).to_have_attribute("data-place", "20")
    await expect(page.locator("[data-board] > li")).to_have_count(20)
    await expect(own).to_be_in_viewport(ratio=1)
    await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    above = page.locator("[data-board] > [data-place='19']")
    await page.wait_for_function("() => scrollY > 0")
    top = (await own.bounding_box())["y"]
    assert (await above.bounding_box())["y"] < top - 50  # at the end of the list it stands in its place
    stage.board(("zoe", 200), *others[:19], totalPlayers=3482, version=4)
    await expect(own).to_have_attribute("data-place", "1")


async def test_a_phone_always_shows_the_own_place(on_stage: Any, stage: Any) -> None:
    """On a phone the own name, place and score stay at the lower edge, whatever is scrolled."""
    page = await on_stage("?user=zoe", size=(390, 844))
    stage.board(*((f"u{i}", 100 - i) for i in range(20)), totalPlayers=3482, version=2)
    stage.rank("zoe", rank=812, score=7, version=2)
    for part, text in (("own-place", "#812 of 3,482"), ("own-name", "zoe"), ("own-score", "7")):
        await expect(page.locator(f"[data-{part}]")).to_have_text(text)
        await expect(page.locator(f"[data-{part}]")).to_be_in_viewport(ratio=1)


@pytest.mark.layout("each")
async def test_nothing_overflows(on_stage: Any, stage: Any) -> None:
    """From 320 px to the projector nothing needs sideways scrolling, with long names and large numbers."""
    scores = [(f"{'W' * 20}{i}", -1_000_000_000_000 if i == 19 else 10**12 - i) for i in range(20)]
    page = await on_stage("?user=alice", reduced_motion="reduce", lasting=True)
    stage.board(*scores, totalPlayers=20_000, version=2, degraded=True)
    await page.wait_for_selector("[data-board] > li:nth-child(20)")
    await stage.sockets[-1].close(code=4429, reason="")
    await page.wait_for_selector("html[data-connection=waiting]")
    for width in (320, 390, 1280, 1920):
        await resize(page, width, 800)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


INSIDE = """() => [...document.querySelectorAll("[data-notice]")].filter((notice) => notice.offsetWidth > 0)
    .map((notice) => [notice, ...notice.children].map((part) => part.getBoundingClientRect()))
    .flat().every(({ left, right, top, bottom }) =>
        left >= 0 && right <= innerWidth && top >= 0 && bottom <= innerHeight)"""
COVERED = """(parts) => [...document.querySelectorAll(parts)].filter((part) => {
    const a = part.getBoundingClientRect();
    return a.width > 0 && [...document.querySelectorAll("[data-notice]")].some((notice) => {
        const b = notice.getBoundingClientRect();
        return b.width > 0 && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    });
}).map((part) => part.className || part.tagName)"""
KEPT = "h1, .bar p, .play, [data-board] > li[data-place='1'] :is(.face, .name, .score)"


async def test_notices_cover_nothing_that_matters(on_stage: Any, stage: Any) -> None:
    """With the widest names notices stay in the window, and off title, session, leader and the own panel."""
    page = None
    for query, *sizes in (
        ("", (320, 640), (1280, 800)),
        ("?user=alice", (320, 640), (390, 844)),
        ("?view=board", (1280, 720), (1920, 1080), (800, 600)),
        ("?view=embed&user=alice", (700, 520)),
    ):
        page = await on_stage(query, page=page, reduced_motion="reduce", lasting=True)
        stage.board(*((f"u{i}", 100 - i) for i in range(20)), version=2)
        await page.wait_for_selector("[data-board] > li:nth-child(20)")
        if "board" not in query:
            await page.wait_for_selector("button[data-join=charlie]", state="attached")  # the panel has its height
        for name in ("M" * 32, "Bob", "M" * 32, "Zoë"):
            stage.say("participant-joined", userId=name[:3], username=name, avatar="🦊", totalParticipants=1)
        await expect(page.locator("[data-notice]")).to_have_count(4)
        await expect(page.locator("[data-notice]").last).to_contain_text("joined")
        for size in sizes:
            await resize(page, *size)
            await notices_stand_free(page, f"{query} at {size}")


async def notices_stand_free(page: Page, where: str) -> None:
    """Four notices stay in the window and cover nothing, and the two long ones of them take one or two lines each."""
    assert await page.evaluate(COVERED, KEPT) == [], where
    assert await page.evaluate(INSIDE), where
    assert await page.locator("[data-notice] bdi").first.inner_text() == "M" * 32, where
    assert (await page.locator("[data-notice]").nth(2).bounding_box())["height"] < 60, where
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), where


async def test_the_picker_stays_in_its_panel(on_stage: Any) -> None:
    """On a phone the players to pick keep clear of the panel's edge, and no name is cut off."""
    page = await on_stage()
    await page.wait_for_selector("button[data-join=charlie]")
    within = """() => [...document.querySelectorAll(".pick *")].every((part) =>
        part.getBoundingClientRect().right <= innerWidth - 16)"""
    cut = """() => [...document.querySelectorAll(".pick button")].filter((part) => part.scrollWidth > part.clientWidth)
        .map((part) => part.textContent)"""
    for width in (320, 360, 390):
        await resize(page, width, 640)
        assert await page.evaluate(within), width
        assert await page.evaluate(cut) == [], width


async def test_a_long_refusal_is_read_in_full(on_stage: Any, stage: Any) -> None:
    """A notice that is no name wraps inside the window, even a word without an end."""
    page = await on_stage(size=(320, 640), reduced_motion="reduce", lasting=True)
    stage.say("leaderboard-update", version=2, lastUpdate={"message": "M" * 120})
    await expect(page.locator("[data-notice]")).to_have_text("M" * 120)
    assert await page.evaluate(INSIDE)
    told = page.locator("[data-notice] .told")
    assert await told.evaluate("(node) => node.scrollWidth <= node.clientWidth + 1 || node.scrollWidth === 0")


async def test_text_may_be_twice_as_large(on_stage: Any, stage: Any) -> None:
    """At a text size of 200 % nothing is cut off or needs sideways scrolling."""
    cut = """() => [...document.querySelectorAll("button, .bar *, .own *, .row .score, .row .rank")].filter((part) =>
        part.offsetWidth > 1 && part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).display !== "inline")
        .map((part) => part.outerHTML)"""
    size_of_title = "parseFloat(getComputedStyle(document.querySelector('h1')).fontSize)"
    page = await on_stage(reduced_motion="reduce")
    settings = await page.context.new_cdp_session(page)
    await settings.send("Page.setFontSizes", {"fontSizes": {"standard": 32}})  # twice the browser's own
    for query, *sizes in (
        ("", (640, 800)),
        ("?user=alice", (390, 844), (1280, 800)),
        ("?view=board", (1920, 1080)),
        ("?view=embed&user=alice", (700, 520)),
    ):
        await on_stage(query, page=page, reduced_motion="reduce")
        stage.board(*((f"user{i}", 1000 - i) for i in range(20)), totalPlayers=3482, degraded=True, version=2)
        await page.wait_for_selector("[data-board] > li:nth-child(20)")
        for size in sizes:
            await resize(page, *size)
            where = f"{query} at {size}"
            assert await page.evaluate(size_of_title) >= 44, where
            assert await page.evaluate("document.documentElement.scrollWidth") <= size[0], where
            assert await page.evaluate(cut) == [], where
