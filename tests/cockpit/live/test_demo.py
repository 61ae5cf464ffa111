"""The demo as one object: what it starts, shows and ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from cockpit import Demo
from cockpit.host import processes
from cockpit.host.processes import WITH_REDIS, ServiceProcess, get
from cockpit.live.demo_service import token_in
from cockpit.story.story_clients import ClientTabs, SessionOccupied
from cockpit.ui.tasks import Tasks
from peer import Peer
from wide import first_of

from loadtest.target.processes import Service, ServiceFailed

pytestmark = pytest.mark.starts_process

ROOT = Path(__file__).parents[3]
LOOK = 0.02  # seconds
LENT_TOKEN = "of the service that these tests share"


def refuses(url: str) -> bool:
    """Whether nothing listens at the address any more."""
    where = urlsplit(url)
    if where.scheme == "unix":
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(where.path) != 0
    with socket.socket() as probe:
        return probe.connect_ex((where.hostname, where.port)) != 0


async def until(condition: object, seconds: float = 10.0) -> None:
    """Wait until the condition holds, at most so long."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(LOOK)


async def here(callback: Callable[[], object]) -> None:
    """Deliver a message from the browser as a kernel without subshells does: on the demo's loop."""
    callback()


async def in_a_subshell(callback: Callable[[], object]) -> None:
    """Deliver it as ipykernel 7 may: in another thread, which runs a loop of its own."""

    async def deliver() -> None:
        callback()

    await asyncio.to_thread(asyncio.run, deliver())


deliveries = pytest.mark.parametrize("deliver", [here, in_a_subshell])
Deliver = Callable[[Callable[[], object]], Awaitable[None]]


class LentService(ServiceProcess):
    """A service that lives on when a demo that uses it ends."""

    async def stop(self) -> None:
        self._stopping = True


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell, or a system, whose proxies answer nobody."""
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")


@pytest.fixture
def own_service() -> None:
    """Named by a test that ends its demo's service: the demo starts one of its own."""


@pytest.fixture(scope="module")
def lent_service() -> Iterator[Service]:
    """The service that the demos of these tests use one after the other, with a token as each would give its own."""
    with Service(("--admin-token", LENT_TOKEN)) as service:
        yield service


@pytest.fixture
async def demo(request: pytest.FixtureRequest, session_id: str) -> AsyncIterator[Demo]:
    """A demo in a session of its own on a service that all these tests share, unless the test has `own_service`."""
    if "own_service" in request.fixturenames:
        demo = await Demo.start()
    else:
        lent = request.getfixturevalue("lent_service")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ServiceProcess, "start", lambda *_: asyncio.to_thread(LentService, lent))
            demo = await Demo.start("--admin-token", LENT_TOKEN, session=session_id)
    yield demo
    await demo.stop()


@pytest.mark.usefixtures("proxied", "own_service")
async def test_start_and_stop_leave_nothing(demo: Demo) -> None:
    """A started demo plays as Alice, whatever proxies there are; a stopped one leaves no processes, port or task."""
    before = asyncio.all_tasks()
    assert demo.service.alive
    assert demo.redis is None
    assert (await demo.score(25)).score == 25
    demo.simulate(players=3, rate=5)
    await until(lambda: demo.bots.connected == 3)
    await demo.stop()
    assert not demo.service.alive
    assert refuses(demo.url)
    assert not {task for task in asyncio.all_tasks() - before if not task.done()} - {asyncio.current_task()}
    assert len(demo._tasks) == 0
    await demo.stop()


@pytest.mark.usefixtures("own_service")
async def test_running_the_cell_again_closes_the_earlier_demo(demo: Demo) -> None:
    """A second start ends the first demo's service before it starts its own."""
    again = await Demo.start()
    try:
        assert not demo.running
        assert not demo.service.alive
        assert again.service.alive
    finally:
        await again.stop()


@pytest.mark.parametrize("how", first_of(signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
async def test_the_service_ends_with_its_kernel(how: signal.Signals) -> None:
    """However the process that owns demos ends, their services and a Redis end too and the ports are free."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT), str(ROOT / "notebooks")]),
        WITH_REDIS: "0",
    }
    owner = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("demo_owner.py")), env=environment, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert owner.stdout is not None
    async with asyncio.timeout(30):
        printed = [(await owner.stdout.readline()).decode().split() for _ in ("service", "service", "redis")]
    assert not any(refuses(url) for _, url in printed)
    owner.send_signal(how)
    await owner.wait()
    await until(lambda: all(refuses(url) for _, url in printed))
    await until(lambda: not any(_runs(int(pid)) for pid, _ in printed))


@pytest.mark.usefixtures("own_service")
async def test_a_service_that_dies_is_shown(demo: Demo) -> None:
    """When the service ends by itself, the panel says so in words."""
    panel = demo.panel()
    os.kill(demo.service.pid, signal.SIGKILL)
    await until(lambda: demo.troubles)
    assert "the service failed: ServiceFailed: the service ended by itself with status -9" in demo.troubles[0]
    assert demo._troubles.widget in panel.children
    assert demo._troubles.widget.layout.display == "flex"
    assert "ended by itself" in demo._troubles._text.value


async def test_a_failed_button_is_shown_until_dismissed(demo: Demo) -> None:
    """A click whose work fails appears in the panel in words; a repetition is counted; dismissing hides it."""
    demo.panel()
    await demo.play_as(None)
    demo._controls.points[1].disabled = False
    for _ in range(2):
        demo._controls.points[1].click()
    await until(lambda: "(2 times)" in demo._troubles._text.value)
    (trouble,) = demo.troubles
    assert trouble.startswith("scoring +25 failed: ScoreRefused: not-joined")
    demo._troubles.button.click()
    await until(lambda: demo._troubles.widget.layout.display == "none")


@deliveries
@pytest.mark.usefixtures("own_service")
async def test_buttons_do_what_they_say(demo: Demo, deliver: Deliver) -> None:
    """Each control acts on the service, on whatever thread its click comes: join, points, populate, reset, bots."""
    controls = demo._controls
    demo.panel()
    await deliver(lambda: setattr(controls.join_as, "value", "bob"))
    await until(lambda: demo.player.client.user == "bob" and not controls.points[0].disabled)
    for button in controls.points:
        await deliver(button.click)
    await until(lambda: (e := demo.state.board.entry("bob")) is not None and e.score == 185)
    await deliver(controls.populate.click)
    await until(lambda: demo.state.board.players == 6)
    assert demo.state.board.entry("alice").score == 145
    await deliver(controls.reset.click)
    await until(lambda: demo.state.board.players == 0)
    await deliver(lambda: (setattr(controls.players, "value", 5), setattr(controls.rate, "value", 20)))
    await deliver(lambda: setattr(controls.bots, "value", True))
    await until(lambda: demo.bots.connected == 5 and demo.state.board.players > 0)
    await deliver(lambda: setattr(controls.players, "value", 2))
    await until(lambda: demo.bots.connected == 2)
    await deliver(lambda: setattr(controls.bots, "value", False))
    await until(lambda: demo.bots.players == demo.bots.connected == 0)
    await deliver(controls.stop_all.click)
    await until(lambda: not demo.service.alive)
    await until(lambda: controls.stop_all.disabled and all(button.disabled for button in controls.points))
    assert demo.troubles == []


async def test_showing_what_is_asks_for_nothing(demo: Demo) -> None:
    """Bots and a player set from a cell are shown by the widgets, and the widgets do not set them again."""
    demo.simulate(players=4, rate=0.4)
    await demo.play_as("bob")
    asked = asyncio.get_running_loop().create_future()
    demo._tasks.call(lambda: asked.set_result(None), "asking")  # after everything that the widgets have asked for
    await asked
    assert (demo.bots.players, demo.bots.rate, demo.user) == (4, 0.4, "bob")
    assert len(demo._tasks) == 3


async def test_a_stopped_demo_offers_nothing_that_is_gone(demo: Demo) -> None:
    """After Stop everything the panel says so and what to do; links, frame and earlier troubles are gone."""
    demo.panel()
    demo._troubles.report("the story", RuntimeError("an earlier one"))
    assert str(urlsplit(demo.url).port) in demo._page.links.value
    await demo.stop()
    assert "stopped</b> – run the first cell again" in demo._dashboard.status.widget.value
    assert demo._page.links.value == ""
    assert "<iframe" not in demo._page.widget.value
    assert demo.troubles == []
    assert demo._troubles.widget.layout.display == "none"
    assert "The demo is stopped" in demo._story._caption.value


async def test_the_charts_move_at_most_ten_times_a_second(demo: Demo) -> None:
    """A score reaches the board chart; a flood of changes is drawn at most ten times a second."""
    demo.panel()
    await demo.score(25)
    await until(lambda: 25.0 in demo._dashboard.board._bars.x)
    drawn: list[float] = []
    demo._dashboard.board._bars.observe(lambda _: drawn.append(asyncio.get_running_loop().time()), "x")
    demo.simulate(players=20, rate=100)
    await demo.run_for(1.5)
    assert 3 <= len(drawn) <= 16


async def test_run_for_says_what_happened(demo: Demo) -> None:
    """The summary counts the score changes of its seconds and reads as a sentence."""
    waiting = asyncio.create_task(demo.run_for(0.6))
    for _ in range(3):
        await demo.score(10)
    summary = await waiting
    assert summary.updates == 3
    assert "3 score changes" in repr(summary)


async def test_the_frame_shows_the_page_in_the_notebook_s_theme(demo: Demo) -> None:
    """The page is framed once for each theme, hidden ones are lazy, and it plays as the notebook does."""
    assert demo._page.widget.value.count("<iframe") == demo._page.widget.value.count('loading="lazy"') == 2
    for part in ("view=embed", "user=alice", "theme=light", "theme=dark", f"session={demo.session}"):
        assert part in demo._page.widget.value
    await demo.play_as(None)
    assert "user=" not in demo._page.widget.value


@pytest.mark.usefixtures("own_service")
async def test_populate_and_reset_need_the_token_that_the_pages_got(demo: Demo) -> None:
    """It is in the fragments of their addresses, another one for each demo, and in no list of processes."""
    token = demo.admin_token
    assert len(token) >= 32
    assert demo._page.widget.value.count(f"#admin={token}") == 3  # two frames, and the link below them
    assert demo._page.links.value.count(f"#admin={token}") == 4
    assert not any(token in part for part in psutil.Process(demo.service.pid).cmdline())
    for call in ("populate", "reset"):
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            await processes.post(f"{demo.url}/api/demo/{call}")
    await demo.populate()
    assert (await get(f"{demo.url}/api/leaderboard/DEMO123"))["totalPlayers"] == 6
    assert token not in repr(demo)


@pytest.mark.parametrize(
    ("arguments", "token"),
    [
        ([], None), (["--top", "5"], None), (["--admin-token", "sésame"], "sésame"), (["--admin-token=s"], "s"),
        (["--admin-token-file", "FILE"], "from a file 🔑"), (["--open-admin"], ""), (["--no-open-admin"], None),
        (["--open-admin", "--admin-token", "s"], "s"), (["--admin-token"], ""), (["--admin-token-file", "/none"], ""),
    ],
)  # fmt: skip
def test_a_token_of_the_presenter_s_own_is_used(tmp_path: Path, arguments: list[str], token: str | None) -> None:
    """As the service takes it from its arguments; None where the demo makes one."""
    (tmp_path / "token").write_text("from a file 🔑\n", "utf-8")
    given = [str(tmp_path / "token") if one == "FILE" else one for one in arguments]
    assert token_in(given) == token


async def test_says_the_board_without_a_display(demo: Demo) -> None:
    """The text form of a demo is its address and its board."""
    await demo.score(25)
    await until(lambda: demo.state.board.players == 1)
    assert demo.url in repr(demo)
    assert "1. Alice" in repr(demo)


async def test_the_story_clears_the_session_and_gives_it_back(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the story plays, twice, the bots are gone and the notebook watches; afterwards it plays as before."""
    monkeypatch.setattr("cockpit.story.playback.CHECKED_FOR", 0)
    demo.panel()
    demo.simulate(players=4, rate=10)
    await until(lambda: demo.bots.connected == 4)
    for _ in range(2):  # a second time all of it again
        record = await demo.play(speed=1000)
        assert len(record) == len(demo._story.story)
    assert demo._story._progress.value == len(record)
    assert "every claim was checked" in demo._story._caption.value
    assert demo.bots.players == 0
    assert demo.user == demo.player.client.user == "alice"
    assert demo.troubles == []


async def test_everything_plays_on_where_players_are_locked(
    connect: Callable[..., Awaitable[Peer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notebook, pages, story and simulated players are one player's; somebody else gets none of theirs."""
    monkeypatch.setattr("cockpit.story.playback.CHECKED_FOR", 0)
    demo = await Demo.start("--locked-players")
    try:
        assert (await demo.score(25)).score == 25
        fragments = re.findall(r"#admin=[^&\"]+&(?:amp;)?secret=([A-Za-z0-9_-]{16,64})\"", demo._page.widget.value)
        assert len(fragments) == 3  # two frames, and the link below them
        page, stranger = await connect(demo.service.ws_url), await connect(demo.service.ws_url)
        await page.join("alice", demo.session, secret=fragments[0])
        await stranger.send("join-demo", userId="alice", sessionId=demo.session, secret="of-somebody-else")
        assert (await stranger.error())["code"] == "taken"
        await stranger.join("eve", demo.session, secret="of-somebody-else")
        await demo.play_as("eve")
        await until(lambda: "somebody else plays as eve" in demo.view().notices)
        await until(lambda: demo.user is demo.player.client.user is None)
        assert (demo._controls.join_as.value, demo._controls.points[0].disabled) == ("", True)
        await demo.play_as("alice")
        for players in (4, 0, 4):
            demo.simulate(players=players, rate=4)
            await until(lambda: demo.bots.connected == demo.bots.players)
        assert not demo.bots.refusals
        await page.close()
        await stranger.close()
        for _ in range(2):
            assert len(await demo.play(speed=1000)) == len(demo._story.story)
        assert (await demo.score(10)).points == 10
        assert demo.troubles == []
    finally:
        await demo.stop()


@deliveries
async def test_the_story_can_be_stepped_stopped_and_played_again(demo: Demo, deliver: Deliver) -> None:
    """Next ends the pauses of a step, Stop ends the story and frees the buttons, again and again, from any thread."""
    presenter = demo._story
    demo.panel()
    for delivered in (here, deliver, deliver):
        await delivered(presenter.play_button.click)
        await until(lambda: not presenter.next_button.disabled and "1 / 14" in presenter._caption.value)
        await delivered(presenter.next_button.click)
        await until(lambda: "✓" in presenter._seen.value)
        await delivered(presenter.next_button.click)
        await until(lambda: "2 / 14" in presenter._caption.value)
        await delivered(presenter.stop_button.click)
        await until(lambda: not presenter.playing and not presenter.play_button.disabled)
        assert demo.user == "alice"
        assert demo.troubles == []


async def test_the_story_needs_an_empty_session(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """With players in other tabs the story does not begin; the panel names them and nothing has failed."""
    monkeypatch.setattr("cockpit.story.story_clients.EMPTY_WITHIN", 0.5)
    presenter = demo._story
    demo.panel()
    await demo.play_as(None)
    async with asyncio.timeout(30), ClientTabs(demo.url, demo.service.ws_url, demo.session, print, dict) as others:
        await others.all[0].join("charlie")
        await others.all[0].score(5)
        await others.all[1].join("bob")
        await until(lambda: {"charlie", "bob"} <= set(demo.state.connected))
        presenter.play_button.click()
        await until(lambda: "Other players are in the session" in presenter._caption.value)
        assert "Charlie and Bob play in another tab" in presenter._caption.value
        assert "SessionOccupied" not in presenter._caption.value
        await until(lambda: not presenter.playing)
        assert demo.troubles == []
        with pytest.raises(SessionOccupied, match="press Leave there"):
            await demo.play(speed=1000)


async def test_the_tabs_count_players_without_a_name(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a name is missing, the sentence gives the number."""
    monkeypatch.setattr("cockpit.story.story_clients.EMPTY_WITHIN", 0.2)
    with pytest.raises(SessionOccupied, match=r"^1 player plays in another tab"):
        await ClientTabs(demo.url, demo.service.ws_url, demo.session, print).__aenter__()


async def test_bots_keep_their_rate_and_bounds(demo: Demo) -> None:
    """Simulated players score about as often as asked; more than can be is refused in words."""
    demo.simulate(players=20, rate=100)
    await until(lambda: demo.bots.connected == 20)
    before, began = demo.state.updates_total, time.monotonic()
    await demo.run_for(2)  # longer on a busy machine
    assert 65 <= (demo.state.updates_total - before) / (time.monotonic() - began) <= 135
    assert not demo.bots.refusals
    with pytest.raises(ValueError, match="0 to 200"):
        demo.simulate(players=201, rate=1)
    with pytest.raises(ValueError, match="at most 20 times"):
        demo.simulate(players=2, rate=21)


async def test_a_service_that_does_not_start_leaves_nothing() -> None:
    """A bad option raises with the service's own words, and the next start works."""
    with pytest.raises(ServiceFailed, match="tick"):
        await Demo.start("--tick-ms", "soon")
    demo = await Demo.start()
    await demo.stop()


async def test_a_start_that_is_interrupted_ends_what_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelling a start while the service comes up ends that service as soon as it is there."""
    started = []

    class Recorded(processes.Service):
        def __init__(self, arguments: object, **options: object) -> None:
            super().__init__(arguments, **options)
            started.append(self)

    monkeypatch.setattr(processes, "Service", Recorded)
    starting = asyncio.create_task(ServiceProcess.start())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await until(lambda: started and not started[0].alive)


async def test_a_task_s_failure_is_reported_and_its_end_awaited() -> None:
    """A failing task is reported by name once; cancelled ones are not; none outlives the cancel."""
    reports: list[tuple[str, str]] = []
    tasks = Tasks(lambda what, error: reports.append((what, str(error))))

    async def fail() -> None:
        raise RuntimeError("no chart")

    async def go_on() -> None:
        await asyncio.Event().wait()

    lasting = tasks.start(go_on(), "going on")
    tasks.start(fail(), "drawing")
    await until(lambda: reports)
    await tasks.cancel()
    assert reports == [("drawing", "no chart")]
    assert lasting.cancelled()
    assert len(tasks) == 0


async def test_several_tabs_are_asked_for_by_session(demo: Demo) -> None:
    """The demo plays in the session it was started for, and the service says so."""
    about = await get(f"{demo.url}/api/leaderboard/{demo.session}")
    assert about["totalParticipants"] == 1


def _runs(pid: int) -> bool:
    # A zombie that nobody has waited for has ended.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
