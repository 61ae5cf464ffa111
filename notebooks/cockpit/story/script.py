"""The demo story: a list of steps, and how it is played and checked.

A step says what is done (`act`), and what every tab must see afterwards and how soon (`expect`). It knows
its tabs only through the two protocols below, so the notebook plays the same list that the tests play in
three real browser pages and over another client library.

Law of the file: a claim in a caption is an expectation in its step. One that already holds before
the step's act proves nothing and fails, unless it says that it describes a beginning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

AT_ONCE = 1.0  # second: what "at once" means to a person at a screen
RANK_WITHIN = 2.0  # seconds: the service sends a rank that others changed within one; the rest is the way
BY_ITSELF = 15.0  # seconds: the first waits of a reconnect at their longest, with room for a busy machine
PEOPLE = {"alice": "Alice", "bob": "Bob", "charlie": "Charlie"}
POPULATED = {"alice": 145, "bob": 132, "charlie": 128, "diana": 115, "eve": 98, "frank": 87}


@dataclass(frozen=True, slots=True)
class TabRow:
    """A line of the board as a tab shows it."""

    user: str
    rank: int
    score: int


@dataclass(frozen=True, slots=True)
class TabState:
    """What one tab shows at one instant.

    `arrivals` are all notices of a player joining since the tab was opened, as a person reads
    them; `lives` counts how often its connection came up; `own` is its own panel, None while it
    only watches.
    """

    connection: str = "connecting"
    user: str | None = None
    board: tuple[TabRow, ...] = ()
    own: TabRow | None = None
    arrivals: tuple[str, ...] = ()
    lives: int = 0

    def scores(self) -> dict[str, int]:
        """User to score, in the order of the board."""
        return {line.user: line.score for line in self.board}

    def ranks(self) -> dict[str, int]:
        """User to rank, in the order of the board."""
        return {line.user: line.rank for line in self.board}


class Tab(Protocol):
    """A player's view of the session: a browser page, or a client that keeps the same state."""

    @property
    def name(self) -> str:
        """Its name in a caption: `tab 1`."""

    @property
    def seen(self) -> TabState:
        """What it shows now."""

    def when(self, condition: Callable[[TabState], bool]) -> asyncio.Future[float]:
        """Return a future of the loop's time when `condition` first holds for what the tab shows."""

    async def join(self, user: str) -> None:
        """Play as `user`."""

    async def score(self, points: int) -> None:
        """Add points."""

    async def drop(self) -> None:
        """Cut its connection as a fault does."""


class StoryTabs(Protocol):
    """Three open tabs that watch, and the two buttons for everyone."""

    @property
    def all(self) -> Sequence[Tab]:
        """Tab 1, 2 and 3."""

    async def populate(self) -> None:
        """Press Populate Demo Data."""

    async def reset(self) -> None:
        """Press Reset Leaderboard."""


class Sight:
    """Keeps what a tab shows and resolves the futures of conditions: the common half of every tab.

    Call `see` on the loop with each new state; no state is missed, however short it lasts.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen = TabState()
        self._waiting: list[tuple[Callable[[TabState], bool], asyncio.Future[float]]] = []

    def see(self, seen: TabState) -> None:
        """Take `seen` as what the tab shows from now on."""
        self.seen = seen
        now = asyncio.get_running_loop().time()
        for waiting in tuple(self._waiting):
            condition, future = waiting
            if future.done():
                self._waiting.remove(waiting)
            elif condition(seen):
                future.set_result(now)
                self._waiting.remove(waiting)

    def when(self, condition: Callable[[TabState], bool]) -> asyncio.Future[float]:
        """See `Tab.when`; a condition that holds already is met at once."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[float] = loop.create_future()
        if condition(self.seen):
            future.set_result(loop.time())
        else:
            self._waiting.append((condition, future))
        return future


@dataclass(frozen=True, slots=True)
class Expect:
    """A claim: `holds(before, now)` within `within` seconds of the act, in all tabs or those listed.

    `says` completes the sentence "tab 1 sees …". With `beginning` it may hold before the act.
    """

    says: str
    holds: Callable[[TabState, TabState], bool]
    within: float = AT_ONCE
    tabs: tuple[int, ...] = (0, 1, 2)
    beginning: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its caption, what is done, what every tab must see, and how long it takes at normal speed.

    `timed` is False for a step in which a tab reconnects: its times say nothing about the service.
    """

    caption: str
    note: str
    seconds: float
    act: Callable[[StoryTabs], Awaitable[None]]
    expect: tuple[Expect, ...]
    timed: bool = True


@dataclass(frozen=True, slots=True)
class Played:
    """A step that was played: for each tab the seconds from the act until the tab had seen all of it."""

    step: Step
    seen_after: dict[str, float]

    @property
    def slowest(self) -> float:
        """Seconds until the last tab had seen it."""
        return max(self.seen_after.values())


class StoryFailed(AssertionError):
    """A claim did not come true; the text names the step, the tab and what it shows instead."""


async def perform(step: Step, tabs: StoryTabs, *, patience: float = 1.0) -> Played:
    """Play one step and check each of its claims, `within` times `patience`. Raises `StoryFailed`."""
    befores = [tab.seen for tab in tabs.all]
    claims: list[tuple[Expect, Tab, asyncio.Future[float]]] = []
    for expect in step.expect:
        for index in expect.tabs:
            tab, before = tabs.all[index], befores[index]
            if not expect.beginning and expect.holds(before, before):
                raise StoryFailed(f"“{step.caption}”: {tab.name} saw {expect.says} before anything was done")
            claims.append((expect, tab, tab.when(_since(before, expect))))
    began = asyncio.get_running_loop().time()
    try:
        await step.act(tabs)
        seen_after: dict[str, float] = {}
        for expect, tab, future in claims:
            within = expect.within * patience
            left = began + within - asyncio.get_running_loop().time()
            await asyncio.wait([future], timeout=max(left, 0.0))
            after = future.result() - began if future.done() else float("inf")
            if after > within:
                raise StoryFailed(
                    f"“{step.caption}”: {tab.name} did not see {expect.says} within {within:g} s; it shows {tab.seen}"
                )
            seen_after[tab.name] = max(after, seen_after.get(tab.name, 0.0))
    finally:
        for _, _, future in claims:
            future.cancel()
    return Played(step, seen_after)


async def play(
    story: Sequence[Step],
    tabs: StoryTabs,
    *,
    speed: float = 1.0,
    patience: float = 1.0,
    on_step: Callable[[int, Step], None] = lambda *_: None,
    on_played: Callable[[int, Played], None] = lambda *_: None,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> tuple[Played, ...]:
    """Play the story at `speed` times its own pace; `math.inf` leaves no pauses.

    A quarter of a step's seconds passes between caption and act, so that the audience knows where to
    look; `pause` waits (a presenter's Next may end it early). On a busy machine `patience` is how many times
    as long every claim may take. Raises `StoryFailed` at the first claim that does not come true.
    """
    record: list[Played] = []
    for number, step in enumerate(story, start=1):
        on_step(number, step)
        await pause(step.seconds / speed / 4)
        played = await perform(step, tabs, patience=patience)
        record.append(played)
        on_played(number, played)
        await pause(step.seconds / speed * 3 / 4)
    return tuple(record)


def _since(before: TabState, expect: Expect) -> Callable[[TabState], bool]:
    return lambda now: expect.holds(before, now)


# The parts of the steps.


def _joins(tab: int, user: str) -> Callable[[StoryTabs], Awaitable[None]]:
    return lambda tabs: tabs.all[tab].join(user)


def _scores(tab: int, points: int) -> Callable[[StoryTabs], Awaitable[None]]:
    return lambda tabs: tabs.all[tab].score(points)


async def _alice_drops_and_bob_goes_on(tabs: StoryTabs) -> None:
    alice, bob, _ = tabs.all
    lost = alice.when(lambda seen: seen.connection != "live")
    await alice.drop()
    async with asyncio.timeout(BY_ITSELF):
        await lost
    await bob.score(100)


def _arrival(user: str) -> Expect:
    name = PEOPLE[user]
    return Expect(
        f"the notice that {name} joined",
        lambda before, now: any(name in notice for notice in now.arrivals[len(before.arrivals) :]),
    )


def _playing(tab: int, user: str) -> Expect:
    return Expect(f"that it plays as {PEOPLE[user]}", lambda _, now: now.user == user, tabs=(tab,))


def _own(tab: int, rank: int, score: int, within: float = AT_ONCE) -> Expect:
    return Expect(
        f"its own panel at rank {rank} with {score}",
        lambda _, now: now.own is not None and (now.own.rank, now.own.score) == (rank, score),
        within,
        (tab,),
    )


def _board(**scores: int) -> Expect:
    """Exactly these players in this order with these scores; equal ones share a rank."""
    order = list(scores.items())
    ranks = {user: 1 + sum(other > score for other in scores.values()) for user, score in order}
    return Expect(
        "the board " + ", ".join(f"{ranks[user]}. {user} {score}" for user, score in order),
        lambda _, now: list(now.scores().items()) == order and now.ranks() == ranks,
    )


def _all_live() -> Expect:
    return Expect("a live connection", lambda _, now: now.connection == "live", BY_ITSELF, beginning=True)


def _empty(*, beginning: bool = False) -> Expect:
    return Expect("an empty board", lambda _, now: not now.board, beginning=beginning)


def _back(tab: int, user: str, **scores: int) -> Expect:
    return Expect(
        f"itself live again as {PEOPLE[user]} with the board {scores}",
        lambda before, now: (
            now.lives > before.lives
            and now.connection == "live"
            and now.user == user
            and list(now.scores().items()) == list(scores.items())
        ),
        BY_ITSELF,
        (tab,),
    )


STORY: tuple[Step, ...] = (
    Step(
        "Three tabs, one empty board",
        "Three browser tabs watch the same quiz. Nobody plays yet, so nobody is ranked.",
        15,
        lambda tabs: tabs.reset(),
        (_all_live(), _empty(beginning=True)),
    ),
    Step(
        "Tab 1 plays Alice",
        "Alice picks her name. Every tab gets a notice, those that only watch too.",
        15,
        _joins(0, "alice"),
        (_arrival("alice"), _playing(0, "alice")),
    ),
    Step(
        "Tab 2 plays Bob",
        "Bob joins from another tab, which could be another phone or another city.",
        12,
        _joins(1, "bob"),
        (_arrival("bob"), _playing(1, "bob")),
    ),
    Step(
        "Tab 3 plays Charlie",
        "Three players, three tabs, each arrival noticed in all of them.",
        12,
        _joins(2, "charlie"),
        (_arrival("charlie"), _playing(2, "charlie")),
    ),
    Step(
        "Alice scores +25, and every tab shows it at once",
        "One click in tab 1. Watch all the screens: the score travels through the service and back.",
        20,
        _scores(0, 25),
        (_board(alice=25), _own(0, 1, 25)),
    ),
    Step(
        "Bob scores +50 and overtakes her",
        "Points from another tab change the ranking for everyone.",
        20,
        _scores(1, 50),
        (_board(bob=50, alice=25), _own(1, 1, 50), _own(0, 2, 25, RANK_WITHIN)),
    ),
    Step(
        "Charlie scores +100 and leads",
        "From nowhere to the top: the bars pass each other, nothing is reloaded.",
        18,
        _scores(2, 100),
        (_board(charlie=100, bob=50, alice=25), _own(2, 1, 100)),
    ),
    Step(
        "Alice answers with +25 and draws level with Bob",
        "Equal scores share a rank: two second places, and no third.",
        18,
        _scores(0, 25),
        (_board(charlie=100, alice=50, bob=50), _own(0, 2, 50)),
    ),
    Step(
        "Populate Demo Data fills the board",
        "Six players with known scores. Pressing it twice gives the same board.",
        20,
        lambda tabs: tabs.populate(),
        (_board(**POPULATED), _own(0, 1, 145, RANK_WITHIN)),
    ),
    Step(
        "Charlie scores +25 and takes the lead back",
        "The prepared scores are real ones: the game goes on from them.",
        18,
        _scores(2, 25),
        (_board(charlie=153, alice=145, bob=132, diana=115, eve=98, frank=87), _own(2, 1, 153)),
    ),
    Step(
        "Reset Leaderboard clears it for everyone",
        "All scores are gone in every tab. The players stay.",
        15,
        lambda tabs: tabs.reset(),
        (_empty(),),
    ),
    Step(
        "A new round: Alice +10",
        "A board that was cleared is as good as new.",
        12,
        _scores(0, 10),
        (_board(alice=10), _own(0, 1, 10)),
    ),
    Step(
        "Alice's connection drops, and comes back by itself",
        "While she is away Bob scores +100. Nobody presses anything: she returns as Alice, to the right board.",
        25,
        _alice_drops_and_bob_goes_on,
        (
            Expect(
                "Bob's points although Alice was away",
                lambda _, now: now.scores() == {"bob": 100, "alice": 10},
                BY_ITSELF,
                (1, 2),
            ),
            _back(0, "alice", bob=100, alice=10),
        ),
        timed=False,
    ),
    Step(
        "She plays on: +100, back on top",
        "Nothing was lost on the way. That is the whole promise of this service.",
        20,
        _scores(0, 100),
        (_board(alice=110, bob=100), _own(0, 1, 110)),
    ),
)
