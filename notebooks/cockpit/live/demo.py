"""The live demo as one object: a service, the notebook as its client, bots, the story, and the panel."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import ipywidgets as widgets

from cockpit.host.processes import WITH_REDIS, RedisProcess, ServiceProcess, post
from cockpit.host.websocket_client import ScoreAnswer
from cockpit.live.bots import Bots
from cockpit.live.controls import Controls
from cockpit.live.dashboard import Dashboard
from cockpit.live.demo_service import DemoService
from cockpit.live.live_state import LiveState, View
from cockpit.live.notebook_client import NotebookPlayer
from cockpit.live.page_frame import PageFrame
from cockpit.live.redis_card import RedisCard
from cockpit.live.redis_switch import RedisSwitch
from cockpit.live.saved_picture import picture
from cockpit.runs.load_run import LoadRun, file_for, shown_spec
from cockpit.story.playback import StoryPlayback
from cockpit.story.script import Played
from cockpit.story.story_clients import ClientTabs
from cockpit.ui.live_panel import LivePanel
from cockpit.ui.matplotlib_parts import Picture
from cockpit.ui.plurals import noun
from loadtest import access

FIRST_BOARD_WITHIN = 10.0  # seconds
FRAME_HEIGHT = 560  # pixels
CARD_HEIGHT = 170  # pixels that the card of Redis takes beside the frame


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


class Demo(LivePanel):
    """A running demo. `await Demo.start()` is the way to get one; `await demo.close()` ends all of it.

    There is one at a time: starting another closes the earlier one first, so a cell may be run
    again. What fails in the background appears in the panel and in `troubles`.
    """

    frame_time = 0.1  # seconds: at most ten renders a second
    redraw_time = 0.5  # seconds between two renders of the charts whose points are whole seconds

    def __init__(self, service: DemoService, session: str) -> None:
        super().__init__()
        self.session = session
        self._service = service
        ws_url, redis, changed = service.process.ws_url, service.redis, self._changed.set
        self.player = NotebookPlayer(ws_url, session, changed, lambda: self._controls.show_user(None))
        self.bots = Bots(ws_url, session, self._troubles.report, self.player.answered if redis else None)
        height = FRAME_HEIGHT + (CARD_HEIGHT if redis else 0)
        secret = access.player_secret()
        self._page = PageFrame(service.way, session, service.people, height, service.admin_token, secret)
        self._redis_switch = None if redis is None else RedisSwitch(redis, self.state.outages, self.player.now, changed)
        card = None if self._redis_switch is None else RedisCard(self._redis_switch, self._tasks)
        self._dashboard = Dashboard(service.storage, card, self.player.now, changed, self._tasks, self.redraw_time)
        self._controls = Controls(self, service.people, self._tasks, *([] if card is None else [card.widget]))
        self._story = StoryPlayback(self._story_tabs, self._tasks)
        self._swarm: LoadRun | None = None
        # Not the notebook's own: a list of processes shows it.
        self._swarm_secret = access.new_player_secret()

    @classmethod
    async def start(
        cls, *arguments: str, user: str | None = "alice", session: str = "DEMO123", redis: bool | None = None
    ) -> Self:
        """Start a service with `arguments` (as for `python -m service`) and show it; `user` is played at once.

        With `redis` it keeps its scores in a Redis that belongs to the demo and that the panel can stop and start.
        The default is `COCKPIT_REDIS=1` in the environment.
        Raises `processes.ServiceFailed` when the service, or the Redis, does not start.
        """
        await cls._close_earlier()
        with_redis = os.environ.get(WITH_REDIS) == "1" if redis is None else redis
        async with contextlib.AsyncExitStack() as unwanted:
            service = await DemoService.start(*arguments, redis=with_redis)
            unwanted.push_async_callback(service.stop)
            demo = cls(service, session)
            unwanted.push_async_callback(demo.close)
            demo._begin()
            await demo._connect(user)
            unwanted.pop_all()
        return demo

    @property
    def service(self) -> ServiceProcess:
        """The process of the service."""
        return self._service.process

    @property
    def redis(self) -> RedisProcess | None:
        """The Redis of the demo, None without one."""
        return self._service.redis

    @property
    def url(self) -> str:
        """The service's address on this machine."""
        return self.service.url

    @property
    def admin_token(self) -> str:
        """What Populate and Reset need: another one for each demo. A page has them with `#admin=TOKEN` at its end."""
        return self._service.admin_token

    @property
    def state(self) -> LiveState:
        """What the notebook knows of the session."""
        return self.player.state

    @property
    def user(self) -> str | None:
        """Whom the notebook plays, None while it only watches."""
        return self.player.user

    async def play_as(self, user: str | None) -> None:
        """Let the notebook and the framed page play as `user`, or only watch with None."""
        await self.player.play_as(user)
        self._controls.show_user(self.user)
        self._page.show(user)

    async def score(self, points: int) -> ScoreAnswer:
        """Add points to the notebook's own player; raises `websocket_client.ScoreRefused`."""
        return await self.player.score(points)

    async def populate(self) -> None:
        """Press Populate Demo Data."""
        await post(f"{self.url}/api/demo/populate?sessionId={self.session}", self.admin_token)

    async def reset(self) -> None:
        """Press Reset Leaderboard."""
        await post(f"{self.url}/api/demo/reset?sessionId={self.session}", self.admin_token)

    async def stop_redis(self) -> None:
        """Shut the demo's Redis down, as SHUTDOWN does; the service keeps the scores.

        Raises `RuntimeError` when the demo has none.
        """
        await self._own_redis().stop()

    async def start_redis(self) -> None:
        """Start the demo's Redis again, empty, at the same URL; the service puts the scores back.

        Raises `RuntimeError` when the demo has none, `processes.ServiceFailed` when it does not start.
        """
        await self._own_redis().start()

    def simulate(self, players: int, rate: float) -> None:
        """Let `players` simulated players score `rate` times a second together; with 0 players they leave.

        Raises `ValueError` beyond 200 players or 10 scores a second and player.
        """
        self.bots.resize(players, rate)
        self._controls.show_bots(players, rate)

    async def swarm(
        self, players: int = 200, rate: float = 40.0, duration: float = 60.0, *, scenario: str = "steady"
    ) -> LoadRun:
        """Send a measured swarm into the demo's own session: Locust in its own processes, `rate` scores a second
        from all players together, for `duration` seconds. It ends with the demo; a second one ends the first.

        >>> swarm = await demo.swarm(players=500, rate=200)
        >>> swarm.panel()
        >>> await swarm.done()

        Raises `ValueError` for an unknown scenario, `processes.ServiceFailed`.
        """
        if self._closed:
            raise RuntimeError("the demo was stopped: run the first cell again")
        if self._swarm is not None:
            await self._swarm.close()
        spec = replace(
            shown_spec(players, rate, duration, scenario), urls=(self.url,), service_pid=self.service.pid,
            session=self.session, player_secret=self._swarm_secret, out=str(file_for(Path("runs"), scenario, "demo")),
        )  # fmt: skip
        swarm = await LoadRun.start(spec)
        self._swarm = swarm
        self._tasks.start(swarm.follow(), "the swarm")
        return swarm

    def rewind(self, seconds_ago: int) -> None:
        """Let the charts show the session as it was up to ten minutes ago; 0 is LIVE again."""
        self._dashboard.time_slider.go_to(seconds_ago)

    async def run_for(self, seconds: float) -> Summary:
        """Let the demo run for `seconds` and return what happened; the charts keep moving."""
        before = self.state.updates_total
        await asyncio.sleep(seconds)
        view = self.view()
        return Summary(seconds, self.state.updates_total - before, view.board.players, view.latency)

    async def play(self, speed: float = 1.0) -> tuple[Played, ...]:
        """Play the story at `speed` times its own pace of four minutes and return what was measured.

        Raises `script.StoryFailed` with the step's caption, `story_clients.SessionOccupied`.
        """
        return await self._story.play(speed)

    def view(self) -> View:
        """Return the last minute, as of now."""
        return self.player.view()

    async def snapshot(self) -> Picture:
        """Return a picture of the last minute that stays in the saved notebook."""
        # A quarter of a second of drawing, in a thread: on the loop it would show as latency in the next picture.
        return await asyncio.to_thread(picture, self.view())

    def __repr__(self) -> str:
        """The board as text, for a place without a display."""
        lines = [f"{entry.rank:>4}. {entry.name:<32} {entry.score:>8,}" for entry in self.state.board.entries]
        return "\n".join([f"{self.url} · {self.session} · {self.state.connection}", *lines, *self.troubles])

    async def _connect(self, user: str | None) -> None:
        self._tasks.start(self.player.client.run(), "the notebook's connection")
        self._tasks.start(self.service.watch(), "the service")
        async with asyncio.timeout(FIRST_BOARD_WITHIN):
            await self.player.client.live()
        await self.play_as(user)

    def _rows(self) -> Sequence[widgets.Widget]:
        """The page, the controls and the live charts."""
        status = [self._dashboard.status.widget, self._page.links]
        top = widgets.HBox(status, layout={"justify_content": "space-between"})
        middle = widgets.HBox([self._page.widget, self._controls.widget], layout={"grid_gap": "12px"})
        charts, slider = self._dashboard.charts(), self._dashboard.time_slider.widget
        return [top, self._troubles.widget, self._story.widget, middle, charts, slider]

    def _render(self) -> None:
        view = self.view()
        if self._dashboard.draw(self.state, view):
            self._controls.show_progress(self.bots.status(), view.notices[:-4:-1])

    async def _release(self) -> None:
        """End story, simulated players, client, service and Redis."""
        self._controls.disable()
        self._dashboard.disable()
        self._troubles.dismiss()  # they are past; what fails from here on is kept
        self._page.close()
        if self._swarm is not None:
            await self._swarm.close()
        await self._tasks.cancel()
        self._story.disable()
        await self.bots.close()
        await self._service.stop()
        self._dashboard.close(self.view())

    @contextlib.asynccontextmanager
    async def _story_tabs(self) -> AsyncIterator[ClientTabs]:
        """The tabs of the story, in a session without other players; afterwards the notebook plays as before."""
        user = self.user
        self.simulate(0, 0)
        await self.play_as(None)
        try:
            async with ClientTabs(
                self.url,
                self.service.ws_url,
                self.session,
                self._troubles.report,
                lambda: self.state.connected,
                self.admin_token,
            ) as tabs:
                yield tabs
        finally:
            if self.running:
                await self.play_as(user)

    def _own_redis(self) -> RedisSwitch:
        if self._redis_switch is None:
            raise RuntimeError("this demo has no Redis: start one with Demo.start(redis=True)")
        return self._redis_switch
