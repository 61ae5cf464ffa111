"""The spec of a run: one frozen value, from the command-line option to the last process.

`option` declares a field once: its default, its help, how its text is read, and its name where a command line
uses another one. The options of `loadtest run` and `ramp`, those of Locust, and JSON all follow from that.
To add a parameter, add a field here and read it where it matters.

The module imports neither Locust nor gevent, because the cockpit uses it. Locust's parser is passed in.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, Self

from loadtest.access import Access
from loadtest.judge.gates import DEFAULT_GATES, Gate, parse_gates
from loadtest.plan.scenarios import PURPOSES, SCENARIOS, default_gates, scenario_of
from loadtest.plan.score_times import PROCESSES
from loadtest.replay import log_format
from loadtest.target import http_api

Front = Literal["run", "locust"]  # the two command lines: that of `python -m loadtest`, and Locust's

DEFAULT_PLAYERS: Final = 200
DEFAULT_RATE: Final = 40.0  # updates a second, all players together
DEFAULT_DURATION: Final = 30.0  # seconds
_DURATIONS: Final = {"soak": 3600.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)")
_SECONDS: Final = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

SERVICE_RATE: Final = 100  # frames a second per connection
UNLIMITED: Final = 1_000_000  # the same for a replay: a log may exceed any limit per connection
SPARE_CONNECTIONS: Final = 200  # for sockets besides the players: a browser, stalled readers


def seconds(text: str) -> float:
    """Seconds from a text like 30s, 500ms or 5m."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected a time like 30s, 500ms or 5m, got {text}")
    return float(match[1]) * _SECONDS[match[2]]


@dataclass(frozen=True, slots=True)
class Option:
    """How a field appears on command lines and in JSON."""

    help: str
    read: Callable[[str], Any] = str
    name: str = ""  # of the option of `run`; default: the field's
    locust: str = ""  # name of Locust's option; default: `name`
    locusts_own: bool = False  # Locust itself defines this option
    locust_default: Any = None  # if Locust's default differs from the field's
    choices: Collection[str] | None = None
    metavar: str | None = None
    positional: bool = False  # in `run`
    in_web_ui: bool = True
    key: str = ""  # in JSON; default: the field's name in camel case
    recorded: bool = True  # among the `arguments` in the run's file


def option(default: Any, help: str, **more: Any) -> Any:  # noqa: A002 - as argparse calls it
    """Declare a field that can be set on a command line."""
    return field(default=default, metadata={"option": Option(help, **more)})


def _of_log(name: str) -> Any:
    return option("", log_format.HELP[name], in_web_ui=False, recorded=False)


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What one run does.

    None means "not given"; `completed` fills in the values that follow from the scenario. Raises ValueError for an
    unknown scenario and for numbers that are not positive.
    """

    scenario: str = option(
        "steady", "; ".join(f"{name}: {purpose}" for name, purpose in PURPOSES.items()), choices=SCENARIOS,
        metavar="SCENARIO", positional=True, recorded=False,
    )  # fmt: skip
    players: int | None = option(
        None, f"number of players (default {DEFAULT_PLAYERS}; in a replay, one per user of the log)",
        read=int, locust="users", locusts_own=True,
    )  # fmt: skip
    rate: float | None = option(
        None, f"updates a second, all players together (default {DEFAULT_RATE:g}, unless --player-rate is given)",
        read=float, locust_default=0.0, key="updatesPerSecond", recorded=False,
    )  # fmt: skip
    # In Locust's web UI a user changes the number of players and little else, so there the rate is per player.
    player_rate: float | None = option(
        None, "updates a second per player; ignored if --rate is given",
        read=float, locust_default=DEFAULT_RATE / DEFAULT_PLAYERS, key="updatesPerSecondAndPlayer",
    )  # fmt: skip
    arrivals: Literal["poisson", "constant"] = option(
        "poisson", "distribution of a player's scores over time", choices=PROCESSES
    )
    log: str = option("", "score log (CSV) for the replay scenario", metavar="FILE.csv")
    speed: float = option(1.0, "factor by which a replay speeds up its log", read=float)
    # How the log is written: the fields of `LogFormat`.
    separator: str = _of_log("separator")
    encoding: str = _of_log("encoding")
    columns: str = _of_log("columns")
    time_unit: str = _of_log("time_unit")
    date_order: str = _of_log("date_order")
    decimal: str = _of_log("decimal")
    processes: int = option(1, "generator processes", read=int, locusts_own=True)
    warm_up: float = option(3.0, "time between the last connection and the first measured update", read=seconds,
                            key="warmUpSeconds")  # fmt: skip
    duration: float | None = option(
        None,
        "measured time, like 30s or 5m (default: 30s; soak 1h; replay the length of the log; "
        "each trial of ramp 10s; in Locust until --run-time or Stop)",
        read=seconds, locust="measure", locust_default=0.0, key="measureSeconds",
    )  # fmt: skip
    seed: int = option(1, "seed of the schedules: the same seed gives the same intended times", read=int)
    kernel_stamps: bool = option(True, "use the time of reading as the time of arrival")
    gates: tuple[str, ...] = option(
        (),
        "a condition the run must meet, like latency_p99<50ms (repeatable; default: the scenario's latency bound and "
        f"{' '.join(DEFAULT_GATES)}; convergence of all clients is always required)",
        name="gate", in_web_ui=False,
    )  # fmt: skip
    spawn_rate: float = option(100.0, "new players a second", read=float, locusts_own=True, locust_default=1.0,
                               recorded=False)  # fmt: skip
    urls: tuple[str, ...] = option(
        (),
        "service to test; several addresses of one leaderboard share the players (default: start one for the run)",
        name="url", locust="host", locusts_own=True, recorded=False,
    )  # fmt: skip
    headers: tuple[str, ...] = option(
        (), "a header for every request to the service, NAME:VALUE, as a gateway may want it (repeatable)",
        name="header", metavar="NAME:VALUE", in_web_ui=False, recorded=False,
    )  # fmt: skip
    ca_file: str = option(
        "", "a file of CA certificates (PEM) to trust besides the system's",
        metavar="FILE.pem", in_web_ui=False, recorded=False,
    )  # fmt: skip
    session: str = option("", "session to play in (default: a new one per run)", recorded=False)
    player_secret: str = option(
        "", "secret with which all players join, 16 to 64 of A-Z a-z 0-9 _ -, to play on as those of an earlier run "
        "where the service locks players (default: a new one)", in_web_ui=False, recorded=False,
    )  # fmt: skip
    out: str = option(
        "",
        "file to write the run to, or a folder for a new file (default runs/<time>-<scenario>.jsonl)",
        recorded=False,
    )
    service_pid: int = option(0, "process id of the service, to measure its CPU", read=int, in_web_ui=False,
                              recorded=False)  # fmt: skip

    def __post_init__(self) -> None:
        if self.scenario not in SCENARIOS:
            raise ValueError(f"expected a scenario, one of {', '.join(SCENARIOS)}, got {self.scenario}")
        if self.processes < 1 or self.spawn_rate <= 0 or (self.players is not None and self.players < 1):
            raise ValueError("--players, --processes, --spawn-rate: expected positive numbers")
        Access(self.headers, self.ca_file, self.player_secret)

    @property
    def each(self) -> float:
        """Updates a second per player."""
        if self.rate is None and self.player_rate is not None:
            return self.player_rate
        return (DEFAULT_RATE if self.rate is None else self.rate) / (self.players or DEFAULT_PLAYERS)

    def completed(self) -> Self:
        """Fill in rate, players, duration and gates where they were not given.

        Raises ValueError and `score_log.Unreadable` if the scenario cannot be played.
        """
        rate = DEFAULT_RATE if self.rate is None and self.player_rate is None else self.rate
        gates = self.gates or default_gates(self.scenario)
        whole = replace(self, rate=rate, players=self.players or DEFAULT_PLAYERS, gates=gates)
        scenario = scenario_of(whole)
        if scenario.members is not None:
            whole = replace(whole, players=max(self.players or 0, scenario.members))
        if whole.duration is None:
            usual = _DURATIONS.get(self.scenario, DEFAULT_DURATION)
            whole = replace(whole, duration=scenario.lasts or usual)
        return whole

    def parsed_gates(self) -> list[Gate]:
        """The given gates, or the scenario's defaults. Raises ValueError for a text that is not a gate."""
        return parse_gates(self.gates or default_gates(self.scenario))

    @classmethod
    def from_options(cls, options: argparse.Namespace, front: Front = "run", **known: Any) -> Self:
        """The spec from parsed options; `known` are fields whose values come from elsewhere."""
        given = vars(options)
        values = {
            one.name: _value(one, given[dest], front)
            for one in _FIELDS
            if one.name not in known and (dest := _dest(one, front)) in given
        } | known
        if values.get("rate") is not None:
            values["player_rate"] = None
        return cls(**values)

    def to_options(self, front: Front = "run") -> list[str]:
        """The command line that yields this spec."""
        return [part for one in _FIELDS for part in _spelled(one, getattr(self, one.name), front)]

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return {_key(one): _plain(getattr(self, one.name)) for one in _FIELDS}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The spec from JSON; missing fields get their defaults. Raises ValueError for an unknown key."""
        names = {_key(one): one for one in _FIELDS}
        if unknown := values.keys() - names.keys():
            raise ValueError(f"expected keys among {', '.join(names)}, got {', '.join(sorted(unknown))}")
        given: dict[str, Any] = {
            names[key].name: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**given)

    def recorded(self) -> dict[str, Any]:
        """The `arguments` in the run's file. A path is cut to its file name, because a run may be shown to others."""
        exact = replace(self, player_rate=self.each, log=Path(self.log).name)
        gates = [gate.text for gate in self.parsed_gates()]
        arguments = {_key(one): _plain(getattr(exact, one.name)) for one in _FIELDS if _option(one).recorded}
        return arguments | {"gates": gates}


_FIELDS: Final = fields(RunSpec)


def add_options(parser: argparse.ArgumentParser, front: Front = "run", *, without: Collection[str] = ()) -> None:
    """Add an option for each field, except those in `without` and those that Locust defines itself."""
    for one in _FIELDS:
        if one.name not in without and not (front == "locust" and _option(one).locusts_own):
            positional = front == "run" and _option(one).positional
            name = one.name if positional else _flag(one, front)
            parser.add_argument(name, **_argument(one, front, positional=positional))


def service_limits(spec: RunSpec) -> dict[str, int]:
    """The limits of a service started for this run: option of `python -m service` → value."""
    players = spec.players or DEFAULT_PLAYERS
    rate = UNLIMITED if spec.scenario == "replay" else SERVICE_RATE
    return {
        "max-connections": max(players + SPARE_CONNECTIONS, 10_000),
        "max-players": max(players, 20_000),
        "rate": rate,
        "burst": 2 * rate,
    }


def service_options(spec: RunSpec) -> list[str]:
    """`service_limits` as a command line of `python -m service`."""
    return [part for name, value in service_limits(spec).items() for part in (f"--{name}", str(value))]


def _option(one: Field[Any]) -> Option:
    found: Option = one.metadata["option"]
    return found


def _key(one: Field[Any]) -> str:
    first, *rest = one.name.split("_")
    return _option(one).key or first + "".join(map(str.capitalize, rest))


def _flag(one: Field[Any], front: Front) -> str:
    of_locust = _option(one).locust if front == "locust" else ""
    name = of_locust or _option(one).name or one.name.replace("_", "-")
    return f"--no-{name}" if one.default is True else f"--{name}"


def _dest(one: Field[Any], front: Front) -> str:
    flag = _flag(one, front)
    return "num_users" if flag == "--users" else flag.removeprefix("--").replace("-", "_")


def _default(one: Field[Any], front: Front) -> Any:
    of_locust = _option(one).locust_default if front == "locust" else None
    return one.default if of_locust is None else of_locust


def _argument(one: Field[Any], front: Front, *, positional: bool) -> dict[str, Any]:
    """The arguments of `add_argument` for the field."""
    about = _option(one)
    arguments: dict[str, Any] = {"help": _help(one, front)}
    if front == "locust":
        arguments["include_in_web_ui"] = about.in_web_ui
    if isinstance(one.default, bool):
        return arguments | {"action": "store_true"}
    arguments |= {"type": about.read, "metavar": about.metavar, "choices": about.choices and list(about.choices)}
    if isinstance(one.default, tuple):
        return arguments | {"action": "append", "metavar": about.metavar}
    return arguments if positional else arguments | {"default": _default(one, front)}


def _help(one: Field[Any], front: Front) -> str:
    about, default = _option(one), _default(one, front)
    shown = default and not isinstance(default, bool) and "(default" not in about.help
    return f"{about.help} (default {default})" if shown and not about.positional else about.help


def _value(one: Field[Any], value: Any, front: Front) -> Any:
    """The field's value from what argparse parsed."""
    if isinstance(one.default, bool):
        return one.default ^ bool(value)
    if isinstance(one.default, tuple):
        return tuple(http_api.split(value)) if isinstance(value, str) else tuple(value or ())  # Locust's --host
    if value is None:
        return _default(one, front) or one.default
    # Locust's web UI keeps an option's type, so there 0 stands for "not given".
    return None if front == "locust" and one.default is None and not value else value


def _spelled(one: Field[Any], value: Any, front: Front) -> Iterable[str]:
    flag = _flag(one, front)
    if front == "run" and _option(one).positional:
        return [value]
    if value is None or value == _default(one, front):
        return []
    if isinstance(value, bool):
        return [flag]
    if flag == "--host":
        value = ",".join(value)
    # In one word with its option, or a value that begins with a dash would be taken for another option.
    return [f"{flag}={each}" for each in (value if isinstance(value, tuple) else (value,))]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
