"""The demo story, the same list of steps, played on three kinds of tabs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from cockpit.story.script import AT_ONCE, STORY, Expect, Played, Sight, StoryFailed, TabState, perform, play
from cockpit.story.story_clients import ClientTabs
from cockpit.ui.tasks import Report
from e2e.chromium_tabs import ChromiumTabs
from e2e.firefox_tabs import NO_FIREFOX, FirefoxTabs, firefox
from e2e.foreign_tabs import ForeignTabs
from e2e.webkit_tabs import NO_WEBKIT, WebKitTabs, webkit
from playwright.async_api import Browser

from loadtest.target.processes import Service


def report(where: str, record: tuple[Played, ...]) -> None:
    """Print what was measured: pytest -rP or -s shows it."""
    for played in record:
        times = "  ".join(f"{name} {after * 1000:5.0f} ms" for name, after in played.seen_after.items())
        print(f"{where}: {played.step.caption:<55} {times}")  # noqa: T201 - figures for `pytest -rP`


def problems() -> tuple[list[str], object]:
    """A list, and what writes the background's failures into it."""
    failed: list[str] = []
    return failed, lambda what, error: failed.append(f"{what}: {error!r}")


def tabs_of(service: Service, session: str, report_failure: Report) -> ClientTabs:
    """The notebook's tabs, in a session of their own."""
    return ClientTabs(service.url.rstrip("/"), service.ws_url, session, report_failure)


PATIENCE = 10.0  # a second may be long beside other tests; only whether a claim holds is tested


@pytest.mark.browser
async def test_the_story_in_three_chromium_pages(browser: Browser, service: Service) -> None:
    """Three real pages see every claim of the story, and none has an error."""
    async with ChromiumTabs(browser, service.url) as tabs:
        record = await play(STORY, tabs, speed=math.inf, patience=PATIENCE)
        assert tabs.errors == []
    report("Chromium", record)
    assert len(record) == len(STORY)


@pytest.mark.foreign_browser
async def test_the_story_in_three_firefox_pages(service: Service) -> None:
    """Three real pages in Firefox see every claim of the story, and none has an error."""
    program = firefox()
    if program is None:
        pytest.skip(NO_FIREFOX)
    async with FirefoxTabs(program, service.url) as tabs:
        record = await play(STORY, tabs, speed=math.inf, patience=PATIENCE)
        assert tabs.errors == []
    report("Firefox", record)
    assert len(record) == len(STORY)


@pytest.mark.foreign_browser
async def test_the_story_in_three_webkit_pages(service: Service) -> None:
    """Three real pages in WebKitGTK see every claim of the story, and none has an error."""
    if not webkit():
        pytest.skip(NO_WEBKIT)
    async with WebKitTabs(service.url) as tabs:
        record = await play(STORY, tabs, speed=math.inf, patience=PATIENCE)
        assert tabs.errors == []
    report("WebKitGTK", record)
    assert len(record) == len(STORY)


async def test_the_story_over_a_foreign_client(service: Service) -> None:
    """A client of another library on plain threads sees every claim of the story."""
    async with ForeignTabs(service.url, service.ws_url) as tabs:
        record = await play(STORY, tabs, speed=math.inf, patience=PATIENCE)
    report("websocket-client", record)
    assert len(record) == len(STORY)


async def test_the_story_on_the_cockpit_s_own_tabs(shared_service: Service, session_id: str) -> None:
    """The notebook's tabs see every claim of the story, and nothing fails in its background."""
    failed, report_failure = problems()
    async with tabs_of(shared_service, session_id, report_failure) as tabs:
        record = await play(STORY, tabs, speed=math.inf, patience=PATIENCE)
    report("cockpit", record)
    assert len(record) == len(STORY)
    assert failed == []


async def test_the_story_plays_again_where_players_are_locked(start_service: Callable[..., Service]) -> None:
    """Each time its tabs are the same players, of whom nobody else has the secret."""
    locked = start_service("--locked-players", "--open-admin")
    failed, report_failure = problems()
    for _ in range(2):
        async with tabs_of(locked, "DEMO123", report_failure) as tabs:
            assert len(await play(STORY, tabs, speed=math.inf, patience=PATIENCE)) == len(STORY)
    assert failed == []


async def test_a_wrong_claim_fails_with_its_caption(shared_service: Service, session_id: str) -> None:
    """A claim that never comes true fails with any patience, and names the step, the tab and what is there instead."""
    wrong = Expect("a score that nobody made", lambda _, now: now.scores() == {"alice": 1}, within=0.03)
    story = (*STORY[:4], replace(STORY[4], expect=(*STORY[4].expect, wrong)))
    failed, report_failure = problems()
    async with tabs_of(shared_service, session_id, report_failure) as tabs:
        with pytest.raises(
            StoryFailed, match=r"Alice scores \+25.*tab 1 did not see a score that nobody made.*score=25"
        ):
            await play(story, tabs, speed=math.inf, patience=PATIENCE)
    assert failed == []


async def test_a_claim_that_holds_before_its_act_proves_nothing(shared_service: Service, session_id: str) -> None:
    """A step whose claim is true before anything was done fails."""
    idle = replace(STORY[0], expect=(Expect("an empty board", lambda _, now: not now.board),))
    _, report_failure = problems()
    async with tabs_of(shared_service, session_id, report_failure) as tabs:
        with pytest.raises(StoryFailed, match="before anything was done"):
            await perform(idle, tabs)


async def test_the_own_pace_is_four_minutes() -> None:
    """At its own pace the pauses of the story add up to four minutes; at speed 60 to four seconds."""
    assert sum(step.seconds for step in STORY) == 240
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    class NoTabs:
        all = ()

    async def nothing(tabs: object) -> None:
        return None

    quiet = tuple(replace(step, act=nothing, expect=()) for step in STORY)
    await play(quiet, NoTabs(), speed=60, pause=pause)
    assert sum(paused) == pytest.approx(4.0)


async def test_every_claim_of_a_live_score_is_due_at_once() -> None:
    """No step that scores gives its board more than a second, but for the one whose connection is down."""
    slow = [
        step.caption
        for step in STORY
        if "+" in step.caption and any(e.within > AT_ONCE and e.says.startswith("the board") for e in step.expect)
    ]
    assert slow == []


async def test_no_state_of_a_tab_is_missed() -> None:
    """A state that lasts shorter than any wait still meets a condition that waits for it."""
    sight = Sight("tab 1")
    lost = sight.when(lambda seen: seen.connection == "waiting")
    sight.see(TabState(connection="waiting"))
    sight.see(TabState(connection="live"))
    async with asyncio.timeout(1):
        await lost
