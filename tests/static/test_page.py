"""The page and a real service: what players, audience and presenter see and do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import segno
from e2e.firefox_tabs import NO_FIREFOX, bidi_session, firefox
from playwright.async_api import Page, Route, expect

from loadtest.target.processes import Service

STATIC = Path(__file__).parents[2] / "static"
BUDGET = 69_000  # bytes of the whole page, uncompressed
SHOWN = """() => [...document.querySelectorAll("[data-board] > li")]
    .map((row) => [row.dataset.user, Number(row.dataset.rank), Number(row.dataset.score)])"""

browser_test = pytest.mark.browser


@pytest.fixture
def quiz(shared_service: Service, session_id: str) -> str:
    """The page's address for a session of the test's own."""
    return f"{shared_service.url}/?session={session_id}"


def row(page: Page, user: str) -> Any:
    """A player's row on the board."""
    return page.locator(f"[data-board] [data-user='{user}']")


async def live(page: Page) -> Page:
    """The page, once it is live."""
    await page.wait_for_selector("html[data-connection=live]")
    return page


@browser_test
async def test_three_tabs_in_step(service: Service, visit: Any) -> None:
    """Joins are noticed everywhere, points show in all tabs, and all tabs have the same order."""
    pages = [await live(await visit(service.url)) for _ in range(3)]
    people = ("alice", "bob", "charlie")
    for page, user in zip(pages, people, strict=True):
        await page.locator(f"button[data-join={user}]").click()
        for other in pages:
            await expect(other.locator("[data-notice]", has_text=f"{user.title()} joined").first).to_be_visible()
    await pages[0].get_by_role("button", name="+25").click()
    for page in pages:
        await expect(row(page, "alice")).to_have_attribute("data-score", "25")
        await expect(page.locator("[data-participants]")).to_have_text("3")
    await expect(pages[0].locator("[data-own]")).to_have_attribute("data-rank", "1")
    await pages[1].get_by_role("button", name="+50").click()
    await pages[2].get_by_role("button", name="+10", exact=True).click()
    for page in pages:
        await expect(row(page, "charlie")).to_have_attribute("data-rank", "3")
        await expect(row(page, "alice")).to_have_attribute("data-rank", "2")
        assert await page.evaluate(SHOWN) == [["bob", 1, 50], ["alice", 2, 25], ["charlie", 3, 10]]
    await pages[2].close()
    await expect(pages[0].locator("[data-notice]", has_text="Charlie left")).to_be_visible()
    await expect(row(pages[0], "charlie")).to_have_attribute("data-connected", "false")


@pytest.mark.wide("test_three_tabs_in_step")
@browser_test
async def test_two_tabs_of_one_user_agree(quiz: str, visit: Any) -> None:
    """One player in two tabs is one participant with one score, also when one tab was cut off meanwhile."""
    pages = [await live(await visit(f"{quiz}&user=alice")) for _ in range(2)]
    await pages[0].get_by_role("button", name="+25").click()
    await pages[1].get_by_role("button", name="+10", exact=True).click()
    for page in pages:
        await expect(page.locator("[data-own]")).to_have_attribute("data-score", "35")
        await expect(page.locator("[data-own]")).to_have_attribute("data-rank", "1")
        await expect(page.locator("[data-participants]")).to_have_text("1")
    await pages[0].evaluate(
        """() => { const button = document.querySelector("button[data-points='50']");
        button.click(); leaderboard.drop(); button.click() }"""
    )
    await pages[1].get_by_role("button", name="+100").click()
    for page in pages:
        await expect(page.locator("[data-own]")).to_have_attribute("data-score", "235")
        await expect(row(page, "alice")).to_have_attribute("data-score", "235")
        await expect(page.locator("[data-participants]")).to_have_text("1")


@browser_test
async def test_who_is_outside_the_top_is_shown_below_it(start_service: Callable[..., Service], visit: Any) -> None:
    """With a top of four, the fifth player's own page has the own row fifth, and everybody's else four."""
    service = start_service("--top", "4")
    other = await live(await visit(service.url))
    await other.get_by_role("button", name="Populate Demo Data").click()
    page = await live(await visit(f"{service.url}/?user=grace"))
    await page.get_by_role("button", name="+25").click()
    own = row(page, "grace")
    await expect(own.locator(".number")).to_have_text("7")
    await page.get_by_role("button", name="+100").click()
    await expect(own).to_have_attribute("data-rank", "4")
    await expect(own.locator(".climb")).to_have_text("▲3")
    await expect(page.locator("[data-board] > li")).to_have_count(4)
    await expect(other.locator("[data-board] > li")).to_have_count(4)


@browser_test
async def test_populate_and_reset(quiz: str, visit: Any) -> None:
    """The host's two buttons fill and clear the board of everybody."""
    host, player = await live(await visit(quiz)), await live(await visit(f"{quiz}&user=frank"))
    await host.get_by_role("button", name="Populate Demo Data").click()
    for page in (host, player):
        await expect(page.locator("[data-board] > li")).to_have_count(6)
        await expect(page.locator("[data-extent]")).to_have_text("6 players")
    await expect(player.locator("[data-own]")).to_have_attribute("data-rank", "6")
    await expect(player.locator("[data-own-score]")).to_have_text("87")
    await host.get_by_role("button", name="Reset Leaderboard").click()
    for page in (host, player):
        await expect(page.locator("[data-board] > li")).to_have_count(0)
    await expect(player.locator("[data-own]")).to_have_attribute("data-rank", "")
    await expect(player.locator("[data-empty-text]")).to_have_text("Score the first points")


@browser_test
async def test_rows_stand_in_the_order_of_rank_after_a_move(quiz: str, visit: Any) -> None:
    """When the moves have ended, what is seen from top to bottom is the order of the board."""
    page = await live(await visit(f"{quiz}&user=frank"))
    await page.get_by_role("button", name="Populate Demo Data").click()
    await expect(row(page, "frank")).to_have_attribute("data-rank", "6")
    await page.get_by_role("button", name="+25").click()
    await expect(row(page, "frank")).to_have_attribute("data-rank", "5")
    await page.wait_for_function(
        "() => [...document.querySelectorAll('[data-board] > li')].every((row) => row.getAnimations().length === 0)"
    )
    seen = await page.evaluate(
        """() => [...document.querySelectorAll("[data-board] > li")].slice(3)
            .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
            .map((row) => row.dataset.user)"""
    )
    assert seen == ["diana", "frank", "eve"]
    steps = {
        user: (await row(page, user).locator(".rank").bounding_box())["height"] for user in ("alice", "bob", "charlie")
    }
    assert steps["alice"] > steps["bob"] > steps["charlie"]


@browser_test
async def test_points_survive_dropped_connections_exactly_once(quiz: str, visit: Any) -> None:
    """However often the line is cut right after a click, each click counts once."""
    page = await live(await visit(f"{quiz}&user=alice"))
    watching = await live(await visit(quiz))
    for times in range(1, 9):
        # In one task of the page: the first two are on the wire, unanswered, when the line is lost.
        await page.evaluate(
            """() => { const button = document.querySelector("button[data-points='25']");
            button.click(); button.click(); leaderboard.drop(); button.click() }"""
        )
        await page.wait_for_selector("html[data-connection=waiting]")
        # Pressed in the page: on a slow machine it has connected by itself before a mouse comes to the button.
        await page.evaluate("document.querySelector('[data-action=retry]').click()")
        await live(page)
        await expect(row(watching, "alice")).to_have_attribute("data-score", str(75 * times))
        await expect(page.locator("[data-own]")).to_have_attribute("data-score", str(75 * times))
    await expect(page.locator("[data-pending]")).to_have_text("")
    await expect(watching.locator("[data-participants]")).to_have_text("1")


@browser_test
async def test_many_waiting_points_go_at_the_rate_that_the_service_takes(quiz: str, visit: Any) -> None:
    """More than its burst wait for the line: fewer refusals than points, each taken once, and the line is kept.

    Sent as fast as the answers come, each point is refused more than twice.
    """
    times = 70
    page = await live(await visit(f"{quiz}&user=alice"))
    lines: list[Any] = []
    heard: list[str] = []

    def listen(line: Any) -> None:
        lines.append(line)
        line.on("framereceived", lambda frame: heard.append(str(frame)))

    page.on("websocket", listen)
    await page.evaluate(
        """times => { leaderboard.drop(); const button = document.querySelector("button[data-points='25']");
        for (let i = 0; i < times; i++) button.click(); document.querySelector('[data-action=retry]').click() }""",
        times,
    )
    await expect(row(page, "alice")).to_have_attribute("data-score", str(25 * times))
    assert 1 <= sum("rate-limited" in frame for frame in heard) < times
    assert len(lines) == 1
    await expect(page.locator("[data-pending]")).to_have_text("")


@browser_test
async def test_a_restart_of_the_service_is_survived(start_service: Callable[..., Service], visit: Any) -> None:
    """When the service comes back on its port, the page rejoins by itself and sends what it still holds."""
    first = start_service()
    page = await live(await visit(f"{first.url}/?user=alice"))
    await page.get_by_role("button", name="+100").click()
    await expect(row(page, "alice")).to_have_attribute("data-score", "100")
    first.stop()
    await page.wait_for_selector("html[data-connection=waiting]")
    await page.get_by_role("button", name="+50").click()
    await expect(page.locator("[data-strip]")).to_be_visible()
    start_service(port=urlsplit(first.url).port)
    await live(page)
    await expect(row(page, "alice")).to_have_attribute("data-score", "50")  # memory forgot the first hundred
    await expect(page.locator("[data-own]")).to_have_attribute("data-score", "50")


@browser_test
async def test_any_name_plays(quiz: str, visit: Any) -> None:
    """A free name joins under an id made from it, is shown as typed, and a bad one is explained."""
    page, other = await live(await visit(quiz)), await live(await visit(quiz))
    field = page.get_by_label("Or any name")
    await field.fill("x" * 33)
    await page.get_by_role("button", name="Join", exact=True).click()
    await expect(page.locator("[data-name-help]")).to_contain_text("1 to 32")
    name = "<b onclick=alert(1)>ကြီး</b>"
    await field.fill(name)
    await field.press("Enter")
    await page.get_by_role("button", name="+10", exact=True).click()
    user = await page.locator("html").get_attribute("data-user")
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", user)
    for each in (page, other):
        await expect(row(each, user).locator(".name")).to_have_text(name)
        assert await each.locator("[onclick]").count() == 0


async def join_as(page: Page, name: str) -> str:
    """The user id that the page gets under a name typed into its form."""
    await page.get_by_label("Or any name").fill(name)
    await page.get_by_role("button", name="Join", exact=True).click()
    await page.wait_for_selector("html:not([data-user=''])")
    return str(await page.locator("html").get_attribute("data-user"))


@browser_test
async def test_two_people_of_one_name_are_two_players(quiz: str, visit: Any) -> None:
    """Two devices whose people are called Anna have a score each, and the board tells them apart."""
    pages = [await live(await visit(quiz)) for _ in range(2)]
    users = [await join_as(page, "Anna") for page in pages]
    assert users[0] != users[1]
    for page, points in zip(pages, ("+25", "+50"), strict=True):
        await page.get_by_role("button", name=points).click()
    for page in pages:
        for user, score in zip(users, ("25", "50"), strict=True):
            await expect(row(page, user)).to_have_attribute("data-score", score)
            await expect(row(page, user).locator(".name")).to_have_text("Anna")
            await expect(row(page, user).locator(".tag")).to_have_text(user[-4:])
            await expect(row(page, user).locator(".tag")).to_be_visible()


@browser_test
async def test_a_guest_who_comes_back_is_the_same_player(quiz: str, visit: Any) -> None:
    """A new tab of the same device plays on as its last guest; who left is asked, and has the id under the name."""
    page = await live(await visit(quiz))
    user = await join_as(page, "Anna")
    await page.get_by_role("button", name="+25").click()
    await expect(row(page, user)).to_have_attribute("data-score", "25")
    later = await page.context.new_page()
    await page.close()
    await later.goto(quiz)
    await later.wait_for_selector(f"html[data-user={user}][data-connection=live]")
    await expect(later.locator("[data-own]")).to_have_attribute("data-score", "25")
    await later.locator("button[data-action=leave]").click()
    await later.wait_for_selector("html[data-user='']")
    await later.reload()
    await later.wait_for_selector("html[data-user=''][data-connection=live]")
    assert await join_as(later, "anna") == user
    await later.close()


@browser_test
async def test_a_lent_context_keeps_nothing(shared_service: Service, contexts: Any) -> None:
    """A page of these tests finds nothing in local storage that a page before it left, and keeps its own things."""
    for _ in range(2):
        async with contexts.page() as page:
            await page.goto(shared_service.url)
            assert await page.evaluate("localStorage.getItem('left')") is None
            await page.evaluate("localStorage.setItem('left', 'behind')")
            await page.reload()
            assert await page.evaluate("localStorage.getItem('left')") == "behind"


@browser_test
async def test_leaving_and_switching(quiz: str, visit: Any) -> None:
    """Another player is one press away; who leaves watches on."""
    page = await live(await visit(f"{quiz}&user=alice"))
    await page.get_by_role("button", name="+10", exact=True).click()
    await expect(row(page, "alice")).to_have_attribute("data-self", "true")
    await page.locator("button[data-join=bob]").click()
    await page.get_by_role("button", name="+25").click()
    await expect(row(page, "bob")).to_have_attribute("data-score", "25")
    await expect(row(page, "bob")).to_have_attribute("data-self", "true")
    await expect(row(page, "alice")).to_have_attribute("data-connected", "false")
    await page.locator("button[data-action=leave]").click()
    await page.wait_for_selector("html[data-user='']")
    await expect(row(page, "bob")).to_have_attribute("data-connected", "false")
    await expect(page.locator("button[data-points]").first).to_be_hidden()


@browser_test
async def test_a_reload_keeps_the_seat(quiz: str, visit: Any) -> None:
    """Who picked a player in this tab still plays after a reload; who left does not."""
    page = await live(await visit(quiz))
    await page.locator("button[data-join=eve]").click()
    await page.wait_for_selector("html[data-user=eve]")
    await page.reload()
    await page.wait_for_selector("html[data-user=eve][data-connection=live]")
    await page.locator("button[data-action=leave]").click()
    await page.reload()
    await page.wait_for_selector("html[data-user=''][data-connection=live]")


@browser_test
async def test_the_big_screen_has_no_controls(quiz: str, visit: Any) -> None:
    """`?view=board` shows the board in large type and offers nothing to press or fill."""
    page = await live(await visit(f"{quiz}&view=board&theme=dark", size=(1920, 1080)))
    assert await page.locator("button, input, a, select, [tabindex]").count() == 0
    player = await live(await visit(f"{quiz}&user=alice"))
    await player.get_by_role("button", name="Populate Demo Data").click()
    await expect(row(page, "frank").locator(".score")).to_have_text("87")
    assert (
        await row(page, "frank").locator(".score").evaluate("(node) => parseFloat(getComputedStyle(node).fontSize)")
        >= 24
    )
    await page.evaluate("leaderboard.drop()")
    await page.wait_for_selector("html[data-connection=waiting]")
    await live(page)


MODULES = """(size) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 4 * size;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(document.querySelector("[data-qr]"), 0, 0, 4 * size, 4 * size);
    const dark = (x, y) => pen.getImageData(4 * x + 2, 4 * y + 2, 1, 1).data[0] < 128;
    return Array.from({ length: size }, (_, y) => Array.from({ length: size }, (_, x) => dark(x, y)));
}"""


@browser_test
async def test_the_big_screen_invites(shared_service: Service, visit: Any) -> None:
    """The big screen shows the address to join under, and a QR code of it; other views do without."""
    page = None
    for query, path in (("", "/"), ("&session=Quiz-7", "/?session=Quiz-7")):
        page = await live(await visit(f"{shared_service.url}/?view=board{query}", page=page))
        await expect(page.locator("[data-join-at]")).to_have_text(
            f"{shared_service.url.removeprefix('http://')}{path}".rstrip("/")
        )
        await page.wait_for_function("() => document.querySelector('[data-qr]').naturalWidth > 0")
        code = segno.make_qr(shared_service.url + path, error="m")
        expected = [[module > 0 for module in line] for line in code.matrix_iter()]
        assert await page.evaluate(MODULES, len(expected)) == expected, query
        assert await page.locator("[data-qr]").evaluate("(image) => image.offsetWidth") >= 150, query
        await live(await visit(f"{shared_service.url}/?user=alice{query}", page=page))
        await expect(page.locator("[data-qr]")).to_be_hidden()


@pytest.mark.parametrize("to", ["", "javascript:alert(1)", "http://h/a b", "http://h/ü", f"http://h/{'x' * 250}"])
async def test_a_code_is_drawn_of_addresses_only(shared_service: Service, http: httpx.AsyncClient, to: str) -> None:
    """What is no http address of at most 250 characters gets no QR code."""
    assert (await http.get(f"{shared_service.url}/api/qr", params={"to": to})).status_code == 422


@browser_test
async def test_the_frame_of_a_notebook(quiz: str, visit: Any) -> None:
    """`?view=embed` has controls for a player and none for a watcher."""
    page = await live(await visit(f"{quiz}&view=embed&user=alice", size=(700, 520)))
    await page.get_by_role("button", name="+25").click()
    await expect(row(page, "alice")).to_have_attribute("data-score", "25")
    await live(await visit(f"{quiz}&view=embed", page=page, size=(700, 520)))
    await expect(row(page, "alice")).to_be_visible()
    await expect(page.locator("button:visible, input:visible")).to_have_count(0)


DARK = ["rgb(12, 17, 23)", "rgb(237, 242, 247)"]
LIGHT = ["rgb(238, 241, 244)", "rgb(20, 32, 44)"]
COLOURS = """() => [...document.querySelectorAll("body, body *")].map((node) => {
    const { backgroundColor, color, borderTopColor } = getComputedStyle(node);
    return [backgroundColor, color, borderTopColor, node.tagName, node.className];
})"""


@browser_test
async def test_the_theme_follows_the_address_or_the_system(quiz: str, visit: Any) -> None:
    """`?theme` decides, and `auto` leaves it to the system; either way each part of the page has the same colours."""
    page, seen = None, {}
    for theme, scheme, ground in (
        ("dark", "light", DARK),
        ("light", "dark", LIGHT),
        ("auto", "dark", DARK),
        ("auto", "light", LIGHT),
    ):
        page = await visit(f"{quiz}&theme={theme}", page=page, color_scheme=scheme)
        await page.wait_for_selector(f"html[data-theme={theme}][data-connection=live]")
        await page.wait_for_selector("button[data-join=frank]")
        seen[theme, scheme] = await page.evaluate(COLOURS)
        assert seen[theme, scheme][0][:2] == ground, (theme, scheme)
    for asked, own in ((("dark", "light"), ("auto", "dark")), (("light", "dark"), ("auto", "light"))):
        assert [both for both in zip(seen[asked], seen[own], strict=True) if both[0] != both[1]] == []


@browser_test
async def test_colours_need_no_young_function(shared_service: Service, visit: Any) -> None:
    """A browser that does not know `light-dark()`, as Safari before 17.5, has the colours of either theme."""

    async def serve(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, body=(await answer.text()).replace("light-dark(", "unknown("))

    async def prepare(page: Page) -> None:
        await page.route("**/style.css", serve)

    page = await visit(f"{shared_service.url}/?theme=dark", prepare=prepare)
    await page.wait_for_selector("html[data-theme=dark]")
    assert (await page.evaluate(COLOURS))[0][:2] == DARK
    await visit(f"{shared_service.url}/?theme=auto", page=page, color_scheme="dark")
    await page.wait_for_selector("html[data-theme=auto]")
    assert (await page.evaluate(COLOURS))[0][:2] == DARK
    await page.emulate_media(color_scheme="light")
    assert (await page.evaluate(COLOURS))[0][:2] == LIGHT


@browser_test
async def test_without_javascript_the_page_says_so(shared_service: Service, visit: Any) -> None:
    """Where JavaScript is off, the page says what it needs, and not that it is connecting."""
    page = await visit(shared_service.url, java_script_enabled=False)
    said = await page.locator("noscript").text_content()  # Chromium shows it where a user, not a test, forbids scripts
    assert "This page needs JavaScript" in str(said)
    assert "Connecting" not in await page.locator("body").inner_text()


@pytest.mark.foreign_browser
async def test_without_javascript_firefox_shows_what_the_page_needs(shared_service: Service) -> None:
    """Firefox with JavaScript switched off shows the line about it, and no other one."""
    program = firefox()
    if program is None:
        pytest.skip(NO_FIREFOX)
    async with bidi_session(program, **{"javascript.enabled": False}) as browser:
        tab = await browser.tab("tab")
        await tab.load(shared_service.url)
        # With scripts it is text and no element.
        assert len(await tab.find("noscript > .strip")) == 1
        assert await tab.find(".strip[role=alert]:not([hidden], :empty)") == []


NO_NESTING = "CSS.supports = () => false"  # the youngest thing that the page needs


@browser_test
@pytest.mark.parametrize(
    ("modules", "lacks", "told"),
    [
        ("", NO_NESTING, "This browser is too old for this page. It needs Safari 16.5"),
        ("text/unknown", NO_NESTING, "This browser is too old for this page. It needs Safari 16.5"),
        ("", "delete window.CSS", "This browser is too old for this page. It needs Safari 16.5"),
        ("text/unknown", "", "A part of this page did not load."),
    ],
)
async def test_a_browser_that_is_too_old_is_told(
    shared_service: Service, visit: Any, modules: str, lacks: str, told: str
) -> None:
    """Where modules or nested rules are unknown, the page names the browsers that it needs."""

    async def serve(route: Route) -> None:
        answer = await route.fetch()
        html = (await answer.text()).replace('type="module"', f'type="{modules}"')
        await route.fulfill(response=answer, body=html)

    async def prepare(page: Page) -> None:
        await page.add_init_script(lacks)
        if modules:
            await page.route(re.compile(r"/$"), serve)

    page = await visit(shared_service.url, prepare=prepare)
    await expect(page.get_by_text(told)).to_be_visible()
    await expect(page.locator(".strip:visible")).to_have_count(1)
    if modules:
        assert "Connecting" not in await page.locator("body").inner_text()


@browser_test
async def test_a_young_browser_is_told_nothing(shared_service: Service, visit: Any) -> None:
    """Where the page has all that it needs, no line is in sight."""
    page = await live(await visit(shared_service.url))
    await expect(page.locator(".strip:visible")).to_have_count(0)


def test_old_browsers_can_read_what_tells_them() -> None:
    """The script that speaks to old browsers has no syntax that they do not know."""
    code = re.sub(r"//.*|\"[^\"]*\"", "", (STATIC / "too_old.js").read_text(encoding="utf-8"))
    assert not re.search(r"=>|`|\?\.|\?\?|\b(let|const|class|import|export|async|of)\b", code)


@browser_test
async def test_only_the_host_may_populate(start_service: Callable[..., Service], visit: Any) -> None:
    """Without the admin token the refusal is explained; with it in the address the buttons work, and it is hidden.

    Behind a proxy, too. Who joins by the QR code does not get it.
    """
    service = start_service("--admin-token", "sésame 🔑")
    async with prefixing_proxy(service, "/proxy/8000", b"X-Forwarded-For: 127.0.0.1\r\n") as url:
        page = await live(await visit(url + "/", tolerate="401|403"))
        await page.get_by_role("button", name="Populate Demo Data").click()
        await expect(page.locator("[data-host-help]")).to_contain_text("#admin=TOKEN")
        await page.goto(f"{url}/?view=board#admin=sésame%20🔑")
        await live(page)
        assert "admin" not in page.url
        joins = await page.locator("[data-qr]").get_attribute("src")
        assert joins is not None
        assert "admin" not in joins + await page.locator("[data-join-at]").inner_text()
        await page.goto(f"{url}/")
        await live(page)
        await page.get_by_role("button", name="Populate Demo Data").click()
        await expect(page.locator("[data-board] > li")).to_have_count(6)
        await page.reload()
        await live(page)
        await page.get_by_role("button", name="Reset Leaderboard").click()
        await expect(page.locator("[data-board] > li")).to_have_count(0)


@pytest.mark.wide("test_only_the_host_may_populate")
@browser_test
async def test_a_player_of_another_device_is_taken(start_service: Callable[..., Service], visit: Any) -> None:
    """Where players are locked, a second device is told and watches on; the first plays on, in a second tab too."""
    alice = start_service("--locked-players").url + "/?user=alice"
    first = await live(await visit(alice))
    await first.wait_for_selector("html[data-user=alice]")
    second = await visit(alice)
    await expect(second.locator("[data-notice]", has_text="Somebody else plays as")).to_be_visible()
    await second.wait_for_selector("html[data-user='']")
    await first.reload()
    tab = await first.context.new_page()
    await tab.goto(alice)
    await live(tab)
    await tab.get_by_role("button", name="+25").click()
    for page in (first, second):
        await expect(row(page, "alice")).to_have_attribute("data-score", "25")
    await tab.close()


@browser_test
async def test_who_is_removed_watches_on(service: Service, visit: Any, http: Any) -> None:
    """The phone is told, plays nobody from then on, also after a reload, and sees boards; a frozen one stands still."""
    page = await live(await visit(f"{service.url}/?user=bob"))
    other = await live(await visit(f"{service.url}/?user=ann"))
    for one, points in ((page, "+50"), (other, "+25")):
        await one.get_by_role("button", name=points).click()
    await expect(row(page, "ann")).to_have_attribute("data-score", "25")
    await http.post(f"{service.url}/api/host/remove?userId=bob")
    await expect(page.locator("[data-notice]", has_text="the host removed bob")).to_be_visible()
    await page.wait_for_selector("html[data-user='']")
    await expect(row(other, "bob")).to_have_count(0)
    await http.post(f"{service.url}/api/host/freeze")
    await expect(other.locator("[data-notice]", has_text="The board is frozen")).to_be_visible()
    await other.get_by_role("button", name="+25").click()
    await http.post(f"{service.url}/api/host/reveal")
    for one in (page, other):
        await expect(row(one, "ann")).to_have_attribute("data-score", "50")


@browser_test
async def test_behind_a_proxy_a_service_without_a_token_says_so(service: Service, visit: Any) -> None:
    """Nobody is told to send a token that there is not."""
    async with prefixing_proxy(service, "/proxy/8000", b"Via: 1.1 lab\r\n") as url:
        page = await live(await visit(url + "/", tolerate="403"))
        await page.get_by_role("button", name="Populate Demo Data").click()
        await expect(page.locator("[data-host-help]")).to_contain_text("has no admin token")
        await expect(page.locator("[data-board] > li")).to_have_count(0)


@browser_test
async def test_a_path_prefix_changes_nothing(shared_service: Service, session_id: str, visit: Any) -> None:
    """Behind a proxy that serves it under a path, the page finds its parts, its socket and its calls."""
    async with prefixing_proxy(shared_service, "/proxy/8000") as url:
        page = await live(await visit(f"{url}/?user=alice&session={session_id}"))
        await page.get_by_role("button", name="+25").click()
        await expect(row(page, "alice")).to_have_attribute("data-score", "25")
        await page.get_by_role("button", name="Populate Demo Data").click()
        await expect(page.locator("[data-board] > li")).to_have_count(6)
        await expect(page.locator("[data-storage]")).to_have_text("In memory")


@pytest.mark.wide("test_a_path_prefix_changes_nothing")
@browser_test
async def test_a_path_prefix_changes_nothing_in_the_documents(shared_service: Service, visit: Any) -> None:
    """Swagger UI loads, and a call that is tried out is answered, under a prefix that nobody told the service."""
    async with prefixing_proxy(shared_service, "/proxy/8000") as url:
        page = await visit(f"{url}/docs")
        call = page.locator(".opblock", has=page.locator("[data-path='/health']"))
        await call.locator(".opblock-summary-control").click()
        await call.get_by_role("button", name="Try it out").click()
        await call.get_by_role("button", name="Execute").click()
        await expect(call.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
        await expect(call.locator(".request-url")).to_contain_text(f"{url}/health")
        await live(await visit(f"{url}/?view=board", page=page))
        await expect(page.locator("[data-join-at]")).to_have_text(url.removeprefix("http://"))
        await page.wait_for_function("() => document.querySelector('[data-qr]').naturalWidth > 0")
        await page.close()  # what it still loads would be cut in the middle by the end of the proxy


def test_the_page_is_light() -> None:
    """Everything the browser loads, uncompressed, is within the budget."""
    assert sum(file.stat().st_size for file in STATIC.iterdir()) <= BUDGET


def test_the_page_writes_text_only() -> None:
    """No markup is made from data, nothing is inline, and no address is absolute."""
    sources = {file.name: file.read_text(encoding="utf-8") for file in STATIC.iterdir()}
    code = "".join(text for name, text in sources.items() if name.endswith(".js"))
    assert not re.search(r"(inner|outer|Adjacent)HTML|document\.write|\beval\(|new Function|setAttribute\(.style", code)
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", sources["index.html"])
    everything = "".join(sources.values()).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"""https?://|(?:href|src)=["']/""", everything)


def test_only_the_view_writes_the_page() -> None:
    """No module but view.js touches the document's content."""
    writes = re.compile(
        r"\.(textContent|innerText|append|replaceChildren|remove|style|hidden)\b|createElement|dataset\.\w+ ="
    )
    writers = {file.name for file in STATIC.glob("*.js") if writes.search(file.read_text(encoding="utf-8"))}
    assert writers == {"view.js"}


@asynccontextmanager
async def prefixing_proxy(service: Service, prefix: str, header: bytes = b"") -> AsyncIterator[str]:
    """A reverse proxy on loopback that serves the service under `prefix` and adds a header; yields its URL."""
    target = urlsplit(service.url)
    lines: set[asyncio.StreamWriter] = set()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, rest = head[:-2].split(b" ", 2)
        rest += header + b"\r\n"
        if not path.startswith(prefix.encode() + b"/"):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        if b"upgrade: websocket" not in rest.lower():  # one request a connection keeps the proxy small
            rest = re.sub(rb"(?i)connection: [^\r]*", b"Connection: close", rest)
        upstream, sink = await asyncio.open_connection(target.hostname, target.port)
        lines.update({writer, sink})
        sink.write(b" ".join((method, path.removeprefix(prefix.encode()), rest)))
        await asyncio.gather(pump(reader, sink), pump(upstream, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{prefix}"
    finally:
        for line in lines:
            line.close()
        server.close()
