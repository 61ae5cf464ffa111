"""The page before a service that the test plays: faults and oddities that a good service does not show."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import Page, expect
from wide import first_of

from service.core.protocol import SECRET_PATTERN

pytestmark = pytest.mark.browser

LIVE = "html[data-connection=live]"


async def test_watches_until_somebody_is_picked(on_stage: Any, stage: Any) -> None:
    """The board is live before anybody plays, and the first message asks to watch."""
    stage.rows = [{"userId": "zoe", "username": "Zoe", "score": 5, "rank": 1}]
    page = await on_stage()
    await expect(page.locator("[data-board] [data-user=zoe]")).to_have_attribute("data-score", "5")
    assert stage.heard[0] == {"type": "watch-demo", "data": {"sessionId": "DEMO123"}}
    assert await page.locator("html").get_attribute("data-user") == ""


async def test_address_chooses_player_name_and_session(on_stage: Any, stage: Any) -> None:
    """`?user`, `?username` and `?session` play at once."""
    page = await on_stage("?user=u.1&username=Zo%C3%AB&session=Quiz-7")
    await page.wait_for_selector(LIVE)
    assert stage.heard[0]["data"].pop("secret")
    assert stage.heard[0]["data"] == {"userId": "u.1", "sessionId": "Quiz-7", "username": "Zoë"}


async def test_old_frames_are_not_taken(on_stage: Any, stage: Any) -> None:
    """A lower version of the shown epoch changes nothing; another epoch does, whatever its version."""
    page = await on_stage()
    row = page.locator("[data-board] [data-user=alice]")
    stage.board(("alice", 50), version=9)
    await expect(row).to_have_attribute("data-score", "50")
    stage.board(("alice", 40), version=8)
    stage.board(("alice", 50), ("bob", 1), version=9)
    await expect(page.locator("[data-board] [data-user=bob]")).to_be_visible()
    await expect(row).to_have_attribute("data-score", "50")
    stage.board(("alice", 10), version=1, epoch="two")
    await expect(row).to_have_attribute("data-score", "10")


async def test_unknown_and_broken_messages_break_nothing(on_stage: Any, stage: Any) -> None:
    """The page goes on after messages it does not know and after fields that are missing or odd."""
    page = await on_stage("?user=alice")
    for frame in ("", "{", "[]", "null", '{"type":"constructor","data":{}}', '{"type":"__proto__"}'):
        stage.sockets[-1].send(frame)
    kinds = (
        "leaderboard-update", "user-rank-update", "participant-joined", "participant-left", "participants-changed",
        "error", "pong", "news-of-tomorrow",
    )  # fmt: skip
    for kind in kinds:
        stage.say(kind)
        stage.sockets[-1].send(f'{{"type":"{kind}"}}')
    stage.say("leaderboard-update", version=2, leaderboard=[{"userId": "bob"}, None, {"score": 3}])
    await expect(page.locator("[data-board] [data-user=bob]")).to_have_attribute("data-score", "0")
    await expect(page.locator("[data-board] > li")).to_have_count(1)


async def test_any_field_may_be_missing(on_stage: Any, stage: Any) -> None:
    """A board is drawn whichever of its fields, or of a row's, the service leaves out."""
    page = await on_stage("?user=alice")
    fields = (
        "version", "updates", "sentAt", "oldestAt", "sessionId", "totalPlayers", "totalParticipants", "lastUpdate",
        "degraded", "rank", "username", "avatar", "color", "score", "isConnected",
    )  # fmt: skip
    for i, field in enumerate(fields):
        stage.board((f"u{i}", 5))
        row = {key: value for key, value in stage.rows[0].items() if key != field}
        data = {
            "version": 9, "updates": 1, "epoch": f"e{i}", "sentAt": 1.5, "oldestAt": None, "sessionId": "DEMO123",
            "leaderboard": [row], "totalPlayers": 1, "totalParticipants": 1, "lastUpdate": None, "degraded": False,
        }  # fmt: skip
        stage.say("leaderboard-update", **{key: value for key, value in data.items() if key != field})
        await expect(page.locator(f"[data-board] > [data-user=u{i}]")).to_be_visible()
    stage.say("leaderboard-update", leaderboard=[{"userId": "bare"}])  # nor an epoch
    await expect(page.locator("[data-board] > [data-user=bare] .name")).to_have_text("bare")


async def test_the_line_tells_its_state(on_stage: Any, stage: Any) -> None:
    """Connection, round-trip time and the age of the shown board stand in the header, also while it waits."""
    page = await on_stage(own_clock=True)
    age = page.locator("[data-age]")
    await expect(page.locator("[data-link]")).to_have_text("Live")
    await expect(page.locator("[data-trip]")).to_have_text(re.compile(r"^\d+(\.\d)? ms$"))
    await page.clock.run_for(2_000)
    await expect(age).to_have_text(re.compile(r"^[2-9] s ago$"))
    stage.board(("alice", 5), version=2)
    await expect(age).to_have_text("just now")
    await stage.sockets[-1].close(code=4429, reason="")
    await expect(page.locator("[data-link]")).to_have_text("Offline")
    await expect(page.locator("[data-trip]")).to_have_text("")
    await page.clock.run_for(2_000)
    await expect(age).to_have_text(re.compile(r"^[2-9] s ago$"))


async def test_where_scores_are_kept(on_stage: Any, stage: Any) -> None:
    """The header names the storage that the service tells on each connection, and nothing where it tells none."""
    page = await on_stage()
    for health, said in (({"storage": "memory"}, "In memory"), ({"storage": "redis"}, "In Redis"), ({}, "")):
        stage.health = health
        await page.evaluate("leaderboard.drop(), document.querySelector('[data-action=retry]').click()")
        await expect(page.locator("[data-storage]")).to_have_text(said)


async def test_ties_and_totals_are_told(on_stage: Any, stage: Any) -> None:
    """Equal ranks carry an equals sign, and a part of thousands says so."""
    page = await on_stage()
    stage.board(("alice", 50), ("bob", 50), ("charlie", 3), totalPlayers=3482, totalParticipants=812)
    for user, rank, tied in (("alice", "1", True), ("bob", "1", True), ("charlie", "3", False)):
        await expect(page.locator(f"[data-user={user}] .number")).to_have_text(rank)
        await expect(page.locator(f"[data-user={user}] .tie")).to_be_visible(visible=tied)
    await expect(page.locator(".extent")).to_have_text("1–3 of 3,482 players")
    await expect(page.locator("[data-participants]")).to_have_text("812")


async def test_hostile_names_are_text(on_stage: Any, stage: Any) -> None:
    """Markup in a name is shown as written, and right-to-left text stays inside its own cell."""
    names = ["<img src=x onerror=alert(1)>", "</span><script>alert(2)</script>", "שלום \u202eevil", "W" * 32]
    stage.rows = [
        {"rank": i, "userId": f"u{i}", "username": name, "avatar": "<b>", "color": "url(//x)", "score": 9, "extra": {}}
        for i, name in enumerate(names, 1)
    ]
    page = await on_stage()
    assert await page.locator("[data-board] .name").all_inner_texts() == names
    assert await page.locator("[data-board] :is(img, script, b)").count() == 0
    stage.say("participant-joined", userId="u1", username=names[0], avatar="🦊", totalParticipants=1)
    await expect(page.locator("[data-notice]")).to_contain_text(names[0])
    assert await page.locator("[data-notices] img").count() == 0


async def test_a_refusal_stops(on_stage: Any, stage: Any) -> None:
    """After 4400 and 4403 the page says so and tries again only when told to."""
    page = await on_stage()
    for sockets, code in enumerate((4400, 4403), 2):
        await stage.sockets[-1].close(code=code, reason="no")
        await page.wait_for_selector("html[data-connection=stopped]")
        await page.get_by_role("button", name="Retry now").click()
        await page.wait_for_selector(LIVE)
        assert len(stage.sockets) == sockets, code


async def test_a_lost_connection_counts_down(on_stage: Any, stage: Any) -> None:
    """Other ends are waited out with a visible count-down, which `Retry now` cuts short."""
    page = await on_stage(own_clock=True)
    await page.evaluate(
        """() => new MutationObserver(() => {
            window.told ??= Number(document.querySelector("[data-strip-text]").textContent.match(/(\\d+) s/)?.[1]);
        }).observe(document.querySelector("[data-strip-text]"), { childList: true })"""
    )
    for sockets, (code, least, most) in enumerate(((1012, 0, 2), (1006, 0, 1), (4429, 5, 10), (4503, 0, 4)), 2):
        await page.evaluate("window.told = undefined")
        if code == 1006:
            await page.evaluate("leaderboard.drop()")
        else:
            await stage.sockets[-1].close(code=code, reason="later")
        await page.wait_for_function("() => window.told !== undefined")
        assert least <= await page.evaluate("window.told") <= most, code
        if code == 4429:
            await page.get_by_role("button", name="Retry now").click()
        else:
            await page.clock.run_for(1_000 * most)
        await page.wait_for_selector(LIVE)
        assert len(stage.sockets) == sockets, code
        await page.clock.run_for(5_001)  # of a stable connection, after which the next loss is a first one


async def test_a_rate_limited_score_goes_again_with_its_id(on_stage: Any, stage: Any) -> None:
    """After `rate-limited` the same opId goes again once, not before `retryAfter`."""
    page = await on_stage("?user=alice")
    times: list[float] = []

    def refuse_first(message: dict[str, Any]) -> None:
        stage.welcome(message)
        if message["type"] != "update-score":
            return
        times.append(stage.times[-1])
        op = message["data"]["opId"]
        if len(times) == 1:
            stage.say("error", code="rate-limited", message="too fast", opId=op, retryAfter=0.4)
        else:
            stage.rank("alice", opId=op, points=25, durable=True, score=25, version=2)

    stage.answer = refuse_first
    await page.locator("button[data-points='25']").click()
    await expect(page.locator("[data-own]")).to_have_attribute("data-score", "25")
    first, second = stage.sent("update-score")
    assert first == second
    assert times[1] - times[0] >= 0.4


async def test_a_seat_that_waiting_helps_is_taken_again(on_stage: Any, stage: Any) -> None:
    """Where too many sessions were opened, the page tells why, waits for `retryAfter`, and plays."""

    def refuse_first(message: dict[str, Any]) -> None:
        if message["type"] == "join-demo" and len(stage.sent("join-demo")) == 1:
            stage.say("error", code="limit", message="too many new sessions", retryAfter=0.3)
        else:
            stage.welcome(message)

    stage.answer = refuse_first
    page = await on_stage("?user=zoe")
    await expect(page.locator("[data-notice]")).to_have_text("too many new sessions")
    await page.wait_for_selector(LIVE + "[data-user=zoe]")
    assert [message["type"] for message in stage.heard if message["type"] != "ping"] == ["join-demo", "join-demo"]


WAKE = "(event) => (event === 'visibilitychange' ? document : window).dispatchEvent(new Event(event))"


async def _shows_within(page: Page, seconds: float, user: str) -> bool:
    """Whether a page whose time stands shows a user's row within so many seconds of it."""
    for _ in range(round(seconds / 0.02)):
        await page.clock.run_for(20)
        if await page.locator(f"[data-board] [data-user={user}]").count():
            return True
    return False


async def test_waking_shows_the_truth_on_a_line_that_died_in_silence(on_stage: Any, stage: Any) -> None:
    """Each event by which a browser tells that somebody is back brings the current board within 1.5 seconds."""
    page = await on_stage("?user=alice", own_clock=True)
    await page.clock.pause_at(await page.evaluate("Date.now() / 1_000 + 1"))
    dead = 0  # the first connections, whose frames reach nobody

    def answer(message: dict[str, Any]) -> None:
        if message["type"] == "join-demo" and len(stage.sockets) > dead:
            stage.rank("alice")
            stage.board()  # the last: what came after it would prove that the line lives

    stage.answer = answer
    for event in ("visibilitychange", "pageshow", "online", "focus"):
        dead = len(stage.sockets)
        stage.rows = [{"rank": 1, "userId": f"by-{event}", "score": 5}]
        stage.version += 1
        joins = len(stage.sent("join-demo"))
        await page.evaluate(WAKE, event)
        await page.clock.run_for(700)
        # The page's time stands while it connects, so a busy machine takes nothing of it.
        await _until(page, lambda joins=joins: len(stage.sent("join-demo")) > joins)
        assert await _shows_within(page, 0.8, f"by-{event}"), event
    assert [join["userId"] for join in stage.sent("join-demo")] == ["alice"] * 5


async def test_a_sleep_with_the_page_in_sight_is_noticed(on_stage: Any, stage: Any) -> None:
    """A lid that was closed for a minute tells no event; the page sees the gap in its own beats."""
    page = await on_stage(own_clock=True)
    stage.answer = lambda message: len(stage.sockets) > 1 and stage.welcome(message)
    await page.clock.fast_forward(60_000)
    await _until(page, lambda: len(stage.sockets) == 2)
    await page.wait_for_selector(LIVE)


async def test_a_line_that_answers_its_check_is_kept(on_stage: Any, stage: Any) -> None:
    """Who comes back to a living connection keeps it, however often."""
    page = await on_stage(own_clock=True)
    for checks in range(1, 4):
        asked = len(stage.sent("ping"))
        await page.evaluate("() => { for (const event of ['focus', 'pageshow']) dispatchEvent(new Event(event)) }")
        await _until(page, lambda asked=asked: len(stage.sent("ping")) > asked)
        await expect(page.locator("[data-trip]")).not_to_be_empty()
        await page.clock.run_for(1_500)
        assert len(stage.sockets) == 1, checks


async def test_waking_ends_a_wait_but_not_one_that_was_asked_for(on_stage: Any, stage: Any) -> None:
    """A page that waits tries again when somebody is back; after 4429 not before the five seconds of the contract."""
    page = await on_stage(own_clock=True)
    await page.evaluate("Math.random = () => 0.999")
    await stage.sockets[-1].close(code=4429, reason="")
    strip = page.locator("[data-strip-text]")
    await expect(strip).to_contain_text(re.compile(r"in (9|10) s"))
    await page.evaluate("dispatchEvent(new Event('focus'))")
    await expect(strip).to_contain_text(re.compile(r"in [345] s"))
    assert len(stage.sockets) == 1
    await page.clock.run_for(5_000)
    await page.wait_for_selector(LIVE)
    assert len(stage.sockets) == 2


async def test_an_attempt_that_takes_long_is_cut_short(on_stage: Any, stage: Any) -> None:
    """Meanwhile the board is grey and the page says so; a click, which begins at 0 s again, or a network ends it."""
    page = await on_stage(own_clock=True)
    await page.clock.pause_at(await page.evaluate("Date.now() / 1_000 + 1"))
    stage.answer = lambda message: len(stage.sockets) > 3 and stage.welcome(message)
    await page.evaluate("leaderboard.drop()")
    retry, strip = page.locator("[data-action=retry]"), page.locator("[data-strip-text]")
    for sockets in (2, 3):
        await retry.dispatch_event("click")
        await _until(page, lambda sockets=sockets: len(stage.sockets) == sockets)
        for seconds in (0, 1):
            await page.clock.run_for(1_050 * seconds + 50)
            await expect(strip).to_have_text(f"Connection lost. Connecting… {seconds} s")
        await expect(page.locator("section.board")).to_have_css("filter", "grayscale(1)")
    await page.evaluate("dispatchEvent(new Event('online'))")
    await page.clock.run_for(3_000)
    await _until(page, lambda: len(stage.sockets) == 4)
    await page.clock.resume()
    await page.wait_for_selector(LIVE)
    assert len(stage.sockets) == 4
    await expect(strip).to_be_hidden()
    await expect(page.locator("section.board")).to_have_css("filter", "none")


async def test_a_first_attempt_is_given_up_sooner_than_later_ones(on_stage: Any, stage: Any) -> None:
    """Without a frame it lasts six seconds, those after it nine and twelve, so that a slow line is not cut for ever."""
    page = await on_stage(own_clock=True)
    await page.clock.pause_at(await page.evaluate("Date.now() / 1_000 + 1"))
    await page.evaluate("Math.random = () => 0")
    stage.answer = lambda _message: None
    await page.evaluate("leaderboard.drop()")
    state = "document.documentElement.dataset.connection"
    for seconds in (6, 9, 12):
        await page.clock.run_for(520)  # the wait, and a frame
        assert await page.evaluate(state) == "connecting"
        await page.clock.run_for(1_000 * seconds - 100)
        assert await page.evaluate(state) == "connecting", seconds
        await page.clock.run_for(110)
        assert await page.evaluate(state) == "waiting", seconds


async def test_a_click_without_an_answer_is_pending(on_stage: Any, stage: Any) -> None:
    """After a second without an answer on a connection that seems live, the points are shown as pending."""
    page = await on_stage("?user=alice")
    pending = page.locator("[data-pending]")
    await page.evaluate(
        """() => { const line = document.querySelector("[data-pending]");
        const since = performance.now();
        new MutationObserver(() => (window.after ??= performance.now() - since)).observe(line, { childList: true });
        document.querySelector("button[data-points='25']").click() }"""
    )
    await expect(pending).to_have_text("+25 pending")
    assert await page.evaluate("window.after") >= 1_000
    stage.rank("alice", opId=stage.sent("update-score")[0]["opId"], points=25, durable=True, score=25, version=2)
    await expect(pending).to_have_text("")


async def test_a_click_without_an_answer_finds_a_line_that_died_in_silence(on_stage: Any, stage: Any) -> None:
    """A second after the click the line is checked, and the points go again on a new one, with their id."""
    page = await on_stage("?user=alice", own_clock=True)
    stage.answer = lambda message: len(stage.sockets) > 1 and stage.welcome(message)
    await page.locator("button[data-points='25']").click()
    await _until(page, lambda: len(stage.sent("update-score")) == 1)
    await page.clock.run_for(1_000)
    await page.clock.run_for(700)
    await _until(page, lambda: len(stage.sent("update-score")) == 2)
    assert len(stage.sockets) == 2
    first, second = stage.sent("update-score")
    assert first == second


async def test_a_click_that_is_answered_late_keeps_its_line(on_stage: Any, stage: Any) -> None:
    """The line answers the check, so only the points are pending."""
    page = await on_stage("?user=alice", own_clock=True)
    await page.locator("button[data-points='25']").click()
    await _until(page, lambda: len(stage.sent("update-score")) == 1)
    await page.clock.pause_at(await page.evaluate("Date.now() / 1_000 + 0.5"))
    asked = len(stage.sent("ping"))
    await page.clock.run_for(1_000)
    await _until(page, lambda: len(stage.sent("ping")) > asked)
    await page.clock.run_for(2_000)
    assert len(stage.sockets) == 1
    await expect(page.locator("[data-pending]")).to_have_text("+25 pending")


async def test_a_reload_keeps_points_without_an_answer(on_stage: Any, stage: Any) -> None:
    """They go with their ids, also those that were made without a line; what was answered does not go again."""
    page = await on_stage("?user=alice")
    for points in (10, 25):
        await page.locator(f"button[data-points='{points}']").click()
    await _until(page, lambda: len(stage.sent("update-score")) == 2)
    ten, twenty_five = stage.sent("update-score")
    stage.rank("alice", opId=ten["opId"], points=10, durable=True, score=10, version=2)
    await expect(page.locator("[data-own]")).to_have_attribute("data-score", "10")
    await stage.sockets[-1].close(code=4429, reason="")
    await page.wait_for_selector("html[data-connection=waiting]")
    await page.locator("button[data-points='50']").click()
    await page.reload()
    await page.wait_for_selector(LIVE)
    await _until(page, lambda: len(stage.sent("update-score")) == 4)
    again, fifty = stage.sent("update-score")[2:]
    assert again == twenty_five
    assert fifty["points"] == 50


async def test_a_second_answer_updates_the_standing(on_stage: Any, stage: Any) -> None:
    """`durable:false` counts as answered; the durable answer that follows moves the standing on."""
    page = await on_stage("?user=alice")
    await page.locator("button[data-points='10']").click()
    await _until(page, lambda: len(stage.sent("update-score")) == 1)
    op = stage.sent("update-score")[0]["opId"]
    stage.rank("alice", opId=op, points=10, durable=False, score=10, rank=1, version=2, epoch="one~x")
    own = page.locator("[data-own]")
    await expect(own).to_have_attribute("data-score", "10")
    await page.evaluate("leaderboard.drop()")
    await _until(page, lambda: len(stage.sockets) == 2)
    await page.wait_for_selector(LIVE)
    stage.rank("alice", opId=op, points=10, durable=True, score=30, rank=2, version=7, epoch="one")
    await expect(own).to_have_attribute("data-score", "30")
    assert len(stage.sent("update-score")) == 1


async def test_points_without_a_line_wait_and_go_once(on_stage: Any, stage: Any) -> None:
    """Points made while offline are shown as waiting, and sent with the seat after the reconnect."""
    page = await on_stage("?user=alice")
    await stage.sockets[-1].close(code=4429, reason="")
    await page.wait_for_selector("html[data-connection=waiting]")
    await page.locator("button[data-points='50']").click()
    await page.locator("button[data-points='25']").click()
    await expect(page.locator("[data-pending]")).to_have_text("+75 will be sent")
    assert stage.sent("update-score") == []
    await page.get_by_role("button", name="Leave").click()
    await expect(page.locator("[data-notice]")).to_have_text("+75 not sent: play as “\u2068Alice\u2069” again here")
    await page.locator("button[data-join=alice]").click()
    await page.get_by_role("button", name="Retry now").click()
    await _until(page, lambda: len(stage.sent("update-score")) == 2)
    assert [sent["points"] for sent in stage.sent("update-score")] == [50, 25]
    kinds = [message["type"] for message in stage.heard if message["type"] != "ping"]  # a ping may go at any time
    assert kinds[kinds.index("update-score") - 1] == "join-demo"


@pytest.mark.parametrize(
    ("code", "notice"),
    [
        ("session-full", "the service's own words"),
        ("taken", "Somebody else plays as “\u2068zoe\u2069”. Choose another name."),
    ],
)
async def test_a_refused_seat_becomes_a_watching_one(on_stage: Any, stage: Any, code: str, notice: str) -> None:
    """When the session is full, or the user somebody else's, the page says so and goes on watching."""

    def refuse(message: dict[str, Any]) -> None:
        if message["type"] == "join-demo":
            stage.say("error", code=code, message="the service's own words")
        else:
            stage.welcome(message)

    stage.answer = refuse
    page = await on_stage("?user=zoe")
    await expect(page.locator("[data-notice]")).to_have_text(notice)
    await page.wait_for_selector(LIVE + "[data-user='']")
    assert stage.heard[1]["type"] == "watch-demo"


async def test_a_device_has_one_secret_for_a_session(on_stage: Any, stage: Any) -> None:
    """Its tabs join with it, also after a reload; another device or session has another one, the notebook's that given.

    A given one stays off the projector.
    """

    async def joined(page: Page, times: int) -> str:
        await _until(page, lambda: len(stage.sent("join-demo")) == times)
        return str(stage.sent("join-demo")[-1]["secret"])

    page = await on_stage("?user=zoe")
    secret = await joined(page, 1)
    assert re.fullmatch(SECRET_PATTERN, secret)
    await page.reload()
    assert await joined(page, 2) == secret
    tab = await page.context.new_page()
    await tab.route("**/*", stage.serve)
    await tab.route_web_socket("**/ws", stage.connected)
    await tab.goto("http://page.test/?user=bob")
    assert await joined(tab, 3) == secret
    await tab.close()
    await page.goto("http://page.test/?user=zoe&session=other")
    others = {await joined(page, 4), await joined(await on_stage("?user=zoe"), 5)}
    assert len(others - {secret}) == 2
    await page.goto("http://page.test/?user=zoe&session=third#secret=of-the-notebook-itself")
    assert await joined(page, 6) == "of-the-notebook-itself"
    assert "secret" not in page.url
    await page.reload()
    assert await joined(page, 7) == "of-the-notebook-itself"


async def test_a_crowd_is_four_lines(on_stage: Any, stage: Any) -> None:
    """A thousand arrivals at once are told for five seconds, in a few lines, and the count is right."""
    page = await on_stage(own_clock=True)
    for i in range(10):
        stage.say("participant-joined", userId=f"u{i}", username=f"U{i}", avatar="🦊", totalParticipants=i + 1)
    stage.say("participants-changed", joined=990, left=2, totalParticipants=998)
    await expect(page.locator("[data-participants]")).to_have_text("998")
    await expect(page.locator("[data-notice]")).to_have_count(4)
    await expect(page.locator("[data-notice]").last).to_have_text("And 995 joined · 2 left")
    await page.clock.run_for(5_000)
    await expect(page.locator("[data-notice]")).to_have_count(0)


async def test_degraded_is_a_state(on_stage: Any, stage: Any) -> None:
    """While scores live in one process only, the page says so."""
    page = await on_stage()
    sign = page.locator("[data-storage]")
    await expect(sign).to_have_text("In memory")
    stage.board(("alice", 5), degraded=True, version=2)
    await expect(sign).to_have_text("▲ Degraded: scores in memory only")
    stage.board(("alice", 5), degraded=False, version=3)
    await expect(sign).to_have_text("In memory")


TOPS = """() => Object.fromEntries([...document.querySelectorAll("[data-board] > li")]
    .map((row) => [row.dataset.user, row.getBoundingClientRect().top]))"""

FREEZE_ON_THE_WAY = """(start) => new Promise((done) => {
    const row = document.querySelector("[data-user=u11]");
    const animate = row.animate;
    window.freeze = () => (row.animate = function (...how) {
        const move = animate.apply(row, how);
        move.pause();
        window.turned = true;
        return move;
    });
    const look = () => {
        // The page may still be settling when `start` was measured: only the board that moves the row counts.
        const moving = row.dataset.place === "5" && row.getBoundingClientRect().top < start - 60;
        if (!moving) return requestAnimationFrame(look);
        row.getAnimations().forEach((move) => move.pause());
        done();
    };
    look();
})"""


async def test_an_interrupted_move_goes_on_from_where_it_is(on_stage: Any, stage: Any) -> None:
    """A row that is sent elsewhere in the middle of its move does not jump, and ends where it belongs."""
    page = await on_stage()
    names = [f"u{i}" for i in range(12)]

    def board(order: list[str], version: int) -> None:
        stage.board(*((user, 100 - i) for i, user in enumerate(order)), version=version)

    board(names, 2)
    await page.wait_for_selector("[data-user=u11]")
    start = (await page.evaluate(TOPS))["u11"]
    # The second move stands still from its first moment, so that it can be looked at.
    frozen = asyncio.ensure_future(page.evaluate(FREEZE_ON_THE_WAY, start))
    board([*names[:4], "u11", *names[4:11]], 3)
    await frozen
    await page.evaluate("window.freeze()")
    on_the_way = (await page.evaluate(TOPS))["u11"]
    board([*names[:8], "u11", *names[8:11]], 4)
    await page.wait_for_selector("[data-user=u11][data-place='9']")
    await page.wait_for_function("() => window.turned")
    turned = (await page.evaluate(TOPS))["u11"]
    assert on_the_way < start
    assert abs(turned - on_the_way) < 2
    await page.evaluate(
        "document.querySelectorAll('.row').forEach((row) => row.getAnimations().forEach((m) => m.finish()))"
    )
    tops = await page.evaluate(TOPS)
    assert sorted(tops, key=tops.get)[3:] == [*names[3:8], "u11", *names[8:11]]


async def test_reduced_motion_moves_nothing(on_stage: Any, stage: Any) -> None:
    """Who asked for less motion gets places and numbers at once."""
    page = await on_stage(reduced_motion="reduce")
    stage.board(("alice", 100), ("bob", 50), version=2)
    await page.wait_for_selector("[data-user=bob]")
    stage.board(("bob", 150), ("alice", 100), version=3)
    await page.wait_for_selector("[data-user=bob][data-rank='1']")
    assert await page.evaluate("document.getAnimations().length") == 0
    assert await page.locator("[data-user=bob] .score").inner_text() == "150"


async def test_numbers_count_up(on_stage: Any, stage: Any) -> None:
    """A score runs to its new value, while the row's attribute has it at once."""
    page = await on_stage()
    stage.board(("alice", 0), version=2)
    await page.wait_for_selector("[data-user=alice]")
    await page.evaluate(
        """() => { window.shown = []; const score = document.querySelector("[data-user=alice] .score");
        new MutationObserver(() => shown.push([score.textContent, score.parentNode.dataset.score]))
            .observe(score, { childList: true }) }"""
    )
    stage.board(("alice", 1000), version=3)
    await expect(page.locator("[data-user=alice] .score")).to_have_text("1,000")
    shown = await page.evaluate("shown")
    assert len(shown) > 2
    assert {final for _, final in shown} == {"1000"}


async def test_storage_may_be_forbidden(on_stage: Any, stage: Any) -> None:
    """A frame that may not store anything plays all the same, also under a name of one's own."""
    page = await on_stage()
    await page.add_init_script(
        """for (const storage of ["sessionStorage", "localStorage"])
        Object.defineProperty(window, storage, { get() { throw new DOMException('no', 'SecurityError') } })"""
    )
    await page.reload()
    await page.get_by_label("Or any name").fill("Anna")
    await page.get_by_role("button", name="Join", exact=True).click()
    await page.wait_for_selector("html[data-user^=anna-]")
    await page.locator("button[data-join=alice]").click()
    await page.wait_for_selector("html[data-user=alice]")
    await _until(page, lambda: len(stage.sent("join-demo")) == 2)
    assert len({join["secret"] for join in stage.sent("join-demo")}) == 1


@pytest.mark.parametrize("view", first_of("player", "board", "embed"))
async def test_an_invalid_session_is_no_other_one(on_stage: Any, stage: Any, view: str) -> None:
    """What is no session id is told with what one is; the page connects to nothing and offers nothing to press."""
    page = None
    for session, shown in (
        ("a/b", "“a/b”"),
        ("<i>", "“<i>”"),
        ("x" * 300, "(300 characters)"),
        ("a\u202eb", "“a\ufffdb”"),
    ):
        query = f"?view={view}&user=alice&session={quote(session, safe='')}"
        page = await on_stage(query, until="stopped", page=page)
        fault = page.locator("[data-fault]")
        await expect(fault).to_be_visible()
        said = (await fault.inner_text()).replace("\u2068", "").replace("\u2069", "")
        assert shown in said
        assert "1 to 64 of A–Z a–z 0–9 _.-" in said, session
        await page.evaluate("() => { dispatchEvent(new Event('online')); leaderboard.drop() }")
        await page.evaluate("new Promise((done) => setTimeout(done, 50))")  # no event tells that nothing connects
        assert (stage.sockets, stage.calls) == ([], []), session
        assert await page.locator("button, input").count() == 0, session
        assert "DEMO123" not in await page.locator("body").inner_text(), session
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), session


@pytest.mark.parametrize("view", first_of("player", "board", "embed"))
async def test_an_invalid_player_is_told(on_stage: Any, stage: Any, view: str) -> None:
    """Who cannot play as the address asks is told why and watches; the line goes when somebody is picked."""
    page = None
    for query, came, expected in (
        (f"user={'y' * 300}", "(300 characters)", "1 to 32 characters, not 300"),
        ("user=a%E2%80%AEb", "a\ufffdb", "Invisible characters"),
        ("user=alice&username=a%E2%80%8Db", "a\ufffdb", "Invisible characters"),
    ):
        page = await on_stage(f"?session=Q&view={view}&{query}", page=page, size=(320, 640))
        fault = page.locator("[data-fault]")
        await expect(fault).to_contain_text(came)
        await expect(fault).to_contain_text(expected)
        heard = [message["type"] for message in stage.heard if message["type"] != "ping"]
        assert heard == ["watch-demo"], query
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), query
        if view == "player":
            await page.locator("button[data-join=bob]").click()
            await expect(fault).to_be_hidden()


async def test_a_refused_name_is_told_why(on_stage: Any, stage: Any) -> None:
    """The form says what of each of these names is not allowed, and nobody joins."""
    page = await on_stage()
    told = page.locator("[data-name-help]")
    # No two in a row are refused for the same reason: what is told of one is not what was told of the one before.
    for name, why in (
        ("👨\u200d", "Invisible characters are not allowed"),
        ("\u0301", "a visible character"),
        ("a\u202eb", "Invisible characters are not allowed"),
        ("x" * 33, "1 to 32 characters, not 33"),
        (" ", "1 to 32 characters, not 0"),
        ("e\u0301\u0302\u0303\u0304", "two accents"),
    ):
        await expect(told).not_to_contain_text(why)
        await page.get_by_label("Or any name").fill(name)
        await page.get_by_role("button", name="Join", exact=True).click()
        await expect(told).to_contain_text(why)
        assert stage.sent("join-demo") == [], name


async def test_a_name_of_any_direction_stands_before_its_verb(on_stage: Any, stage: Any) -> None:
    """In the notice the name is left and the verb right, whichever way the name is read."""
    page = await on_stage(reduced_motion="reduce", lasting=True)
    for name in ("محمد", "שלום", "Zoë"):
        stage.say("participant-left", userId="m", username=name, avatar="🦊", totalParticipants=0)
        notice = page.locator("[data-notice]").last
        await expect(notice).to_contain_text(f"{name} left")
        assert await notice.evaluate("(node) => getComputedStyle(node).direction") == "ltr", name
        left = await notice.evaluate(
            """(notice, [name, verb]) => [name, verb].map((words) => {
                const range = document.createRange();
                const walk = document.createTreeWalker(notice, NodeFilter.SHOW_TEXT);
                while (walk.nextNode()) {
                    const at = walk.currentNode.data.indexOf(words);
                    if (at < 0) continue;
                    range.setStart(walk.currentNode, at);
                    range.setEnd(walk.currentNode, at + words.length);
                    return range.getBoundingClientRect().left;
                }
            })""",
            [name, "left"],
        )
        assert left[0] < left[1], name


async def test_populate_begins_the_sums_anew(on_stage: Any, stage: Any) -> None:
    """A loss by populate is shown as the loss it is, not summed up with what was gained before."""
    page = await on_stage()
    gain = page.locator("[data-user=alice] .gain")
    stage.board(("alice", 100), version=2)
    await page.wait_for_selector("[data-user=alice]")
    stage.board(("alice", 1500), version=3)
    await expect(gain).to_have_text("+1,400")
    populated = {"type": "demo_data_populated", "message": "Demo data populated."}
    stage.board(("alice", 145), version=4, lastUpdate=populated)
    await expect(gain).to_have_text("−1,355")
    stage.board(("alice", 1500), version=5)
    await page.wait_for_selector("[data-user=alice][data-score='1500']")
    stage.board(("alice", 145), version=6, lastUpdate=populated)
    stage.board(("alice", 170), version=7)  # drawn together with the one before, or after it
    await expect(gain).to_have_text("−1,330")


async def test_an_error_of_the_past_goes(on_stage: Any, stage: Any) -> None:
    """That the service cannot be reached is no longer said when the connection is live again."""
    page = await on_stage(tolerate="ERR_FAILED")
    await page.route("**/api/demo/reset?*", lambda route: route.abort())
    await stage.sockets[-1].close(code=4429, reason="")
    await page.wait_for_selector("html[data-connection=waiting]")
    await page.get_by_role("button", name="Reset Leaderboard").click()
    help_line = page.locator("[data-host-help]")
    await expect(help_line).to_have_text("The service cannot be reached.")
    await page.get_by_role("button", name="Retry now").click()
    await page.wait_for_selector(LIVE)
    await expect(help_line).to_have_text("")


async def test_a_refused_call_tells_the_reason(on_stage: Any) -> None:
    """The service's own words, where it has some."""
    page = await on_stage(tolerate="status of (409|500)")
    reason = "session DEMO123 is full: expected at most 5 players, got 11"
    await page.route("**/api/demo/populate?*", lambda route: route.fulfill(status=409, json={"detail": reason}))
    await page.route("**/api/demo/reset?*", lambda route: route.fulfill(status=500, body="oops"))
    for name, said in (("Populate Demo Data", f"do that: {reason}."), ("Reset Leaderboard", "do that: 500.")):
        await page.get_by_role("button", name=name).click()
        await expect(page.locator("[data-host-help]")).to_have_text(f"The service could not {said}")


async def test_an_empty_board_asks_for_what_can_be_done(on_stage: Any) -> None:
    """Only a page with a picker asks to pick, and only one with buttons to score."""
    page = None
    for query, invitation in (
        ("", "No scores yet. Pick a player to start."),
        ("?user=alice", "Score the first points"),
        ("?view=embed", "Waiting for the first points"),
        ("?view=embed&user=alice", "Score the first points"),
        ("?view=board&user=alice", "Waiting for the first points"),
    ):
        page = await on_stage(query, page=page)
        await expect(page.locator("[data-empty-text]")).to_have_text(invitation)


async def _until(page: Page, condition: Any) -> None:
    """Wait until something holds on this side of the socket."""
    for _ in range(1_500):
        if condition():
            return
        await page.wait_for_timeout(10)  # of this side: the page's time may stand
    pytest.fail("it did not come to pass")
