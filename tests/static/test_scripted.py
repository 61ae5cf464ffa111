"""The page before a service that the test plays: faults and oddities that a good service does not show."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, expect

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


async def test_ties_and_totals_are_told(on_stage: Any, stage: Any) -> None:
    """Equal ranks carry an equals sign, and a part of thousands says so."""
    page = await on_stage()
    stage.board(("alice", 50), ("bob", 50), ("charlie", 3), totalPlayers=3482, totalParticipants=812)
    for user, rank, tied in (("alice", "1", True), ("bob", "1", True), ("charlie", "3", False)):
        await expect(page.locator(f"[data-user={user}] .number")).to_have_text(rank)
        await expect(page.locator(f"[data-user={user}] .tie")).to_be_visible(visible=tied)
    await expect(page.locator(".extent")).to_have_text("1–3 of 3,482 players")
    await expect(page.locator("[data-players]")).to_have_text("3,482")
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


@pytest.mark.parametrize("code", [4400, 4403])
async def test_a_refusal_stops(on_stage: Any, stage: Any, code: int) -> None:
    """After 4400 and 4403 the page says so and tries again only when told to."""
    page = await on_stage()
    await stage.sockets[-1].close(code=code, reason="no")
    await page.wait_for_selector("html[data-connection=stopped]")
    await page.get_by_role("button", name="Try again").click()
    await page.wait_for_selector(LIVE)
    assert len(stage.sockets) == 2


@pytest.mark.parametrize(("code", "least", "most"), [(1012, 0, 2), (1006, 0, 1), (4429, 5, 10), (4503, 0, 4)])
async def test_a_lost_connection_counts_down(on_stage: Any, stage: Any, code: int, least: int, most: int) -> None:
    """Other ends are waited out with a visible count-down, which `Retry now` cuts short."""
    page = await on_stage()
    await page.evaluate(
        """() => new MutationObserver(() => {
            window.told ??= Number(document.querySelector("[data-strip-text]").textContent.match(/(\\d+) s/)?.[1]);
        }).observe(document.querySelector("[data-strip-text]"), { childList: true })"""
    )
    if code == 1006:
        await page.evaluate("leaderboard.drop()")
    else:
        await stage.sockets[-1].close(code=code, reason="later")
    await page.wait_for_function("() => window.told !== undefined")
    assert least <= await page.evaluate("window.told") <= most
    if code == 4429:
        await page.get_by_role("button", name="Retry now").click()
    await page.wait_for_selector(LIVE)
    assert len(stage.sockets) == 2


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
    await page.get_by_role("button", name="Retry now").click()
    await _until(page, lambda: len(stage.sent("update-score")) == 2)
    assert [sent["points"] for sent in stage.sent("update-score")] == [50, 25]
    kinds = [message["type"] for message in stage.heard]
    assert kinds[kinds.index("update-score") - 1] == "join-demo"


async def test_a_refused_seat_becomes_a_watching_one(on_stage: Any, stage: Any) -> None:
    """When the session is full, the page says so and goes on watching."""

    def full(message: dict[str, Any]) -> None:
        if message["type"] == "join-demo":
            stage.say("error", code="session-full", message="the session has its 3 players")
        else:
            stage.welcome(message)

    stage.answer = full
    page = await on_stage("?user=alice")
    await expect(page.locator("[data-notice]")).to_have_text("the session has its 3 players")
    await page.wait_for_selector(LIVE + "[data-user='']")
    assert stage.heard[1]["type"] == "watch-demo"


async def test_a_crowd_is_four_lines(on_stage: Any, stage: Any) -> None:
    """A thousand arrivals at once are told in a few lines, and the count is right."""
    page = await on_stage()
    for i in range(10):
        stage.say("participant-joined", userId=f"u{i}", username=f"U{i}", avatar="🦊", totalParticipants=i + 1)
    stage.say("participants-changed", joined=990, left=2, totalParticipants=998)
    await expect(page.locator("[data-participants]")).to_have_text("998")
    await expect(page.locator("[data-notice]")).to_have_count(4)
    await expect(page.locator("[data-notice]").last).to_have_text("And 995 joined · 2 left")
    await expect(page.locator("[data-notice]")).to_have_count(0, timeout=10_000)


async def test_degraded_is_a_state(on_stage: Any, stage: Any) -> None:
    """While scores live in one process only, the page says so."""
    page = await on_stage()
    sign = page.locator("[data-degraded]")
    await expect(sign).to_be_hidden()
    stage.board(("alice", 5), degraded=True, version=2)
    await expect(sign).to_be_visible()
    stage.board(("alice", 5), degraded=False, version=3)
    await expect(sign).to_be_hidden()


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


@pytest.mark.parametrize("width", [320, 390, 1280, 1920])
async def test_nothing_overflows(on_stage: Any, stage: Any, width: int) -> None:
    """From 320 px to the projector nothing needs sideways scrolling, with long names and large numbers."""
    scores = [(f"{'W' * 20}{i}", -1_000_000_000_000 if i == 19 else 10**12 - i) for i in range(20)]
    page = await on_stage("?user=alice", size=(width, 800))
    stage.board(*scores, totalPlayers=20_000, version=2, degraded=True)
    await page.wait_for_selector("[data-board] > li:nth-child(20)")
    await stage.sockets[-1].close(code=4429, reason="")
    await page.wait_for_selector("html[data-connection=waiting]")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_storage_may_be_forbidden(on_stage: Any, stage: Any) -> None:
    """A frame that may not store anything plays all the same."""
    page = await on_stage()
    await page.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('no', 'SecurityError') } })"
    )
    await page.reload()
    await page.locator("button[data-join=alice]").click()
    await page.wait_for_selector("html[data-user=alice]")
    await _until(page, lambda: stage.sent("join-demo") != [])


async def _until(page: Page, condition: Any) -> None:
    """Wait until something holds on this side of the socket."""
    for _ in range(300):
        if condition():
            return
        await page.evaluate("new Promise(requestAnimationFrame)")
    pytest.fail("it did not come to pass")
