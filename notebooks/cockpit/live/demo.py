"""The demo: one object that owns the service, the client, the crowd, the story and the widgets."""

from __future__ import annotations

import asyncio
import contextlib
import html
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import ipywidgets as widgets

from cockpit.host.jupyter_proxy import JupyterServer, Way, public_hosts
from cockpit.host.processes import RedisProcess, ServiceProcess, get, post
from cockpit.host.service_client import LeaderboardClient, ScoreAnswer
from cockpit.live.bots import Bots
from cockpit.live.charts import BoardChart, LatencyChart, LiveChart, RateChart
from cockpit.live.controls import Controls
from cockpit.live.live_state import BoardView, LiveState, Sightings, View
from cockpit.live.redis_card import RedisCard
from cockpit.live.snapshot import picture
from cockpit.live.status_strip import StatusStrip
from cockpit.live.time_slider import TimeSlider
from cockpit.runs.load_run import LoadRun, file_for, shown_spec
from cockpit.story.client_tabs import ClientTabs
from cockpit.story.playback import StoryPlayback
from cockpit.story.script import Played
from cockpit.ui.matplotlib_parts import Picture
from cockpit.ui.panel import Panel
from cockpit.ui.plurals import noun
from cockpit.ui.tasks import Tasks
from cockpit.ui.troubles import Troubles

FRAME_TIME = 0.1  # seconds: at most ten renders a second
TIMELINE_TIME = 0.5  # seconds between two renders of the charts whose points are whole seconds
FIRST_BOARD_WITHIN = 10.0  # seconds
FRAME_HEIGHT = 560  # pixels
CARD_HEIGHT = 170  # pixels that the card of Redis takes beside the frame
WITH_REDIS = "COCKPIT_REDIS"  # in the environment, as 1: demos have a Redis where the cell does not say

_running: Demo | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened in the seconds of a `run_for`; `latency` in ms, None where nothing was scored."""

    seconds: float
    updates: int
    players: int
    latency: float | None

    def __repr__(self) -> str:
        late = "" if self.latency is None else f", update → screen {self.latency:.1f} ms (median)"
        rate = self.updates / self.seconds
        changes = f"{self.updates} {noun(self.updates, 'score change')} ({rate:.1f} per second)"
        return f"{self.seconds:g} s: {changes}, {self.players} {noun(self.players, 'player')}{late}"


class Demo:
    """A running demo. `await Demo.start()` is the only way to get one; `await demo.stop()` ends all of it.

    There is one at a time: starting another closes the earlier one first, so a cell may be run
    again. What fails in the background appears in the panel and in `troubles`.
    """

    def __init__(
        self,
        service: ServiceProcess,
        redis: RedisProcess | None,
        session: str,
        storage: str,
        people: list[tuple[str, str]],
        way: Way,
    ) -> None:
        self.service = service
        self.redis = redis
        self.session = session
        self.state = LiveState()
        self.user: str | None = None
        self._people = people
        self._way = way
        self._troubles = Troubles()
        self._tasks = Tasks(self._troubles.report)
        self._troubles.button.on_click(lambda _: self._tasks.call(self._troubles.dismiss, "dismissing"))
        self._sightings = Sightings()
        self._changed = asyncio.Event()
        self._stopped = False
        self._panel: Panel | None = None
        self._timelines_at = 0.0
        self.client = LeaderboardClient(service.ws_url, session, on_frame=self._take, on_connection=self._connection)
        self.crowd = Bots(service.ws_url, session, self._troubles.report, self._answered if redis else None)
        self._status = StatusStrip("Redis" if storage == "redis" else storage)
        self._height = FRAME_HEIGHT + (CARD_HEIGHT if redis else 0)
        self._page = widgets.HTML(layout={"flex": "1.7 1 0", "min_width": "0", "min_height": f"{self._height}px"})
        self._board = BoardChart()
        self._timelines: tuple[LiveChart, ...] = (RateChart(), LatencyChart())
        self._links = widgets.HTML(self._addresses())
        self._redis_card = None if redis is None else RedisCard(redis, self._switch_redis, self._tasks)
        cards = [] if self._redis_card is None else [self._redis_card.widget]
        self._controls = Controls(self, people, self._tasks, *cards)
        self._presenter = StoryPlayback(self._empty_stage, self._tasks)
        self._rewind = TimeSlider(self._service_time, self._rewound, self._tasks)
        self._swarm: LoadRun | None = None

    @classmethod
    async def start(
        cls, *arguments: str, user: str | None = "alice", session: str = "DEMO123", redis: bool | None = None
    ) -> Self:
        """Start a service with `arguments` (as for `python -m service`) and show it; `user` is played at once.

        With `redis` it keeps its scores in a Redis of the demo's own, which the panel can stop and start;
        not said, `COCKPIT_REDIS=1` in the environment says it.
        Raises `processes.ServiceFailed` when the service, or the Redis, does not start.
        """
        global _running  # noqa: PLW0603 - one demo per kernel, so that a cell can be run again
        if _running is not None:
            await _running.stop()
        jupyter = await asyncio.to_thread(JupyterServer.find)
        for host in public_hosts() if jupyter.proxies else ():
            arguments = ("--allowed-host", host, *arguments)
        async with contextlib.AsyncExitStack() as started:
            server = None
            if os.environ.get(WITH_REDIS) == "1" if redis is None else redis:
                server = await RedisProcess.start()
                started.push_async_callback(server.stop)
                arguments = ("--redis-url", server.url, *arguments)
            service = await ServiceProcess.start(*arguments)
            started.push_async_callback(service.stop)
            about, health = await get(f"{service.url}/api/demo"), await get(f"{service.url}/health")
            people = [(person["username"], person["id"]) for person in about["availableUsers"]]
            port = urlsplit(service.url).port
            assert port is not None
            demo = cls(service, server, session, health["storage"], people, jupyter.way(port))
            started.pop_all()  # from here on they are the demo's to end
        _running = demo
        try:
            await demo._open(user)
        except BaseException:
            await demo.stop()
            raise
        return demo

    @property
    def url(self) -> str:
        """The service's address on this machine."""
        return self.service.url

    @property
    def troubles(self) -> list[str]:
        """What failed in the background, in words, oldest first."""
        return self._troubles.texts

    @property
    def running(self) -> bool:
        """Whether it was not stopped."""
        return not self._stopped

    def panel(self) -> Panel:
        """The page, the controls and the live charts as one widget."""
        if self._panel is None:
            stage = widgets.HBox([self._page, self._controls.widget], layout={"grid_gap": "12px"})
            charts = widgets.HBox(
                [chart.widget for chart in (self._board, *self._timelines)], layout={"grid_gap": "12px"}
            )
            top = widgets.HBox([self._status.widget, self._links], layout={"justify_content": "space-between"})
            rows = [top, self._troubles.widget, self._presenter.widget, stage, charts, self._rewind.widget]
            self._panel = Panel(rows, self.__repr__)
            self._changed.set()
        return self._panel

    async def play_as(self, user: str | None) -> None:
        """Let the notebook and the framed page play as `user`, or only watch with None."""
        self.user = user
        await (self.client.watch() if user is None else self.client.join(user))
        self._controls.show_user(user)
        self._page.value = self._frames()

    async def score(self, points: int) -> ScoreAnswer:
        """Add points to the notebook's own player; raises `service_client.ScoreRefused`."""
        answer = await self.client.score(points)
        self._seen(self._sightings.answered(answer.epoch, answer.version, answer.sent_at))
        return answer

    async def populate(self) -> None:
        """Press Populate Demo Data."""
        await post(f"{self.url}/api/demo/populate?sessionId={self.session}")

    async def reset(self) -> None:
        """Press Reset Leaderboard."""
        await post(f"{self.url}/api/demo/reset?sessionId={self.session}")

    async def stop_redis(self) -> None:
        """Shut the demo's Redis down, as SHUTDOWN does; the scores go on in the service.

        Raises `RuntimeError` when the demo has none.
        """
        redis = self._own_redis()
        self.state.outages.stop(self._service_time())
        self._changed.set()
        await redis.switch_off()
        self._changed.set()

    async def start_redis(self) -> None:
        """Start the demo's Redis again, empty, at the same port; the service puts the scores back.

        Raises `RuntimeError` when the demo has none, `processes.ServiceFailed` when it does not start.
        """
        redis = self._own_redis()
        self.state.outages.start(self._service_time())
        self._changed.set()
        await redis.switch_on()
        self._changed.set()

    def simulate(self, players: int, rate: float) -> None:
        """Let `players` simulated players score `rate` times a second together; 0 players: they leave.

        Raises `ValueError` beyond 200 players or 10 scores a second and player.
        """
        self.crowd.resize(players, rate)
        self._controls.show_crowd(players, rate)

    async def swarm(
        self, players: int = 200, rate: float = 40.0, duration: float = 60.0, *, scenario: str = "steady"
    ) -> LoadRun:
        """Send a measured swarm into the demo's own session: Locust in a process of its own, `rate` scores a
        second of all together, for `duration` seconds. It ends with the demo; a second one ends the first.

        >>> swarm = await demo.swarm(players=500, rate=200)
        >>> swarm.panel()
        >>> await swarm.done()

        Raises `ValueError` for an unknown scenario, `processes.ServiceFailed`.
        """
        if self._stopped:
            raise RuntimeError("the demo was stopped: run the first cell again")
        if self._swarm is not None:
            await self._swarm.end()
        spec = replace(
            shown_spec(players, rate, duration, scenario), urls=(self.url,), service_pid=self.service.pid,
            session=self.session, out=str(file_for(Path("runs"), scenario, "demo")),
        )  # fmt: skip
        swarm = await LoadRun.start(spec)
        self._swarm = swarm
        self._tasks.start(swarm.follow(), "the swarm")
        return swarm

    def rewind(self, seconds_ago: int) -> None:
        """Let the charts show how it was so long ago, within the last ten minutes; 0 is LIVE again."""
        self._rewind.go_to(seconds_ago)

    async def run_for(self, seconds: float) -> Summary:
        """Let the demo go on for so long and say what happened; the charts move meanwhile."""
        before = self.state.updates_total
        await asyncio.sleep(seconds)
        view = self.view()
        return Summary(seconds, self.state.updates_total - before, view.board.players, view.latency)

    async def play(self, speed: float = 1.0) -> tuple[Played, ...]:
        """Play the story at `speed` times its own pace of four minutes and return what was measured.

        Raises `script.StoryFailed` with the step's caption, `client_tabs.SessionOccupied`.
        """
        return await self._presenter.play(speed)

    def view(self) -> View:
        """The last minute, as of now."""
        return self.state.view(self._service_time())

    async def snapshot(self) -> Picture:
        """A picture of the last minute that stays in the saved notebook."""
        # A quarter of a second of drawing, in a thread: on the loop it would show as latency in the next picture.
        return await asyncio.to_thread(picture, self.view())

    async def stop(self) -> None:
        """Stop everything: story, simulated players, client, service, Redis. The second time does nothing."""
        global _running  # noqa: PLW0603
        if self._stopped:
            return
        self._stopped = True
        if _running is self:
            _running = None
        self._controls.disable()
        if self._redis_card is not None:
            self._redis_card.disable()
        self._troubles.dismiss()  # of the past; what fails from here on is kept
        self._page.layout.min_height = None
        self._page.value = '<div class="cockpit-card">Everything was stopped. Run the first cell to start again.</div>'
        self._links.value = ""
        if self._swarm is not None:
            await self._swarm.end()
        await self._tasks.cancel()
        self._presenter.disable()
        await self.crowd.stop()
        await self.service.stop()
        if self.redis is not None:
            await self.redis.stop()
        self._board.draw(self.view())
        self._status.stop()

    def __repr__(self) -> str:
        """The board as text, for a place without a display."""
        lines = [f"{entry.rank:>4}. {entry.name:<32} {entry.score:>8,}" for entry in self.state.board.entries]
        return "\n".join([f"{self.url} · {self.session} · {self.state.connection}", *lines, *self.troubles])

    async def _open(self, user: str | None) -> None:
        self._tasks.start(self.client.run(), "the notebook's connection")
        self._tasks.start(self.service.watch(), "the service")
        self._tasks.start(self._draw(), "drawing")
        async with asyncio.timeout(FIRST_BOARD_WITHIN):
            await self.client.live()
        await self.play_as(user)

    @contextlib.asynccontextmanager
    async def _empty_stage(self) -> AsyncIterator[ClientTabs]:
        """The story has the stage to itself; afterwards the notebook plays as before."""
        user = self.user
        self.simulate(0, 0)
        await self.play_as(None)
        try:
            async with ClientTabs(
                self.url, self.service.ws_url, self.session, self._troubles.report, lambda: self.state.present
            ) as stage:
                yield stage
        finally:
            if not self._stopped:
                await self.play_as(user)

    async def _draw(self) -> None:
        """Render the latest state, at most ten times a second; what came in between is never drawn."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TIMELINE_TIME):
                    await self._changed.wait()
            self._changed.clear()
            if self._panel is not None:
                self._render()
            await asyncio.sleep(FRAME_TIME)

    def _render(self) -> None:
        view = self.view()
        shown = view if (at := self._rewind.at) is None else self.state.past(at)
        self._board.draw(shown)
        if self._redis_card is not None:
            self._redis_card.draw(view)
        if (now := time.monotonic()) - self._timelines_at >= TIMELINE_TIME:
            self._timelines_at = now
            for chart in self._timelines:
                chart.draw(shown)
            self._status.draw(view)
            self._controls.show_progress(self._crowd_words(), view.notices[:-4:-1])

    def _rewound(self) -> None:
        self._timelines_at = 0.0  # what is scrubbed should be seen at once
        self._changed.set()

    def _take(self, kind: str, data: Mapping[str, Any], at: float) -> None:
        if kind == "leaderboard-update":
            board = BoardView.from_wire(data)
            self.state.take_board(board, self._service_time())
            self._seen(self._sightings.board(board.epoch, board.version, at))
            self._changed.set()
        elif kind == "user-rank-update" and "durable" in data:
            self._answered(data["opId"], data["durable"])
        elif kind in ("participant-joined", "participant-left"):
            self.state.take_notice(f"{data['username']} {kind.removeprefix('participant-')}")
            self.state.take_presence(data["userId"], data["username"], here=kind == "participant-joined")

    def _answered(self, op_id: str, durable: bool) -> None:
        self.state.outages.answer(op_id, durable=durable)

    def _own_redis(self) -> RedisProcess:
        if self.redis is None:
            raise RuntimeError("this demo has no Redis of its own: start one with Demo.start(redis=True)")
        return self.redis

    async def _switch_redis(self) -> None:
        await (self.stop_redis() if self._own_redis().alive else self.start_redis())

    def _seen(self, latencies: list[float]) -> None:
        for latency in latencies:
            self.state.take_own(latency, self._service_time())

    def _connection(self, state: str) -> None:
        self.state.connection = state
        self._changed.set()

    def _service_time(self) -> float:
        return time.time() + self.client.clock_offset

    def _crowd_words(self) -> str:
        if not self.crowd.players:
            return ""
        refused = ", ".join(f"{code} {times}" for code, times in self.crowd.refusals.items())
        return f"{self.crowd.connected} of {self.crowd.players} connected" + f", refused: {refused}" * bool(refused)

    def _address(self, **query: str | None) -> str:
        known = {"session": self.session} | {key: value for key, value in query.items() if value is not None}
        return f"{self._way.base}?{urlencode(known)}"

    def _frames(self) -> str:
        note = f'<div class="cockpit-note">{html.escape(self._way.note)}</div>' * bool(self._way.note)
        if not self._way.framed:
            address = html.escape(self._address(user=self.user))
            link = f'<div class="cockpit-caption"><a href="{address}" target="_blank">{address}</a></div>'
            return f'<div class="cockpit-card">{link}{note}</div>'
        # One frame per theme; the hidden one is lazy and is never loaded, so it is no second client.
        return (
            "".join(
                f'<iframe class="cockpit-frame cockpit-{theme}" loading="lazy" height="{self._height}" '
                f'title="Leaderboard" src="{self._address(view="embed", user=self.user, theme=theme)}"></iframe>'
                for theme in ("light", "dark")
            )
            + note
        )

    def _addresses(self) -> str:
        people = "".join(
            f' <a href="{self._address(user=user)}" target="_blank">{name}</a>' for name, user in self._people[:3]
        )
        board = f'<a href="{self._address(view="board")}" target="_blank">big screen</a>'
        return f'<div class="cockpit-strip"><span>new tab:{people} · {board}</span></div>'
