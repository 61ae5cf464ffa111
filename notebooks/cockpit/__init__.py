"""The cockpit: everything behind the notebooks.

>>> from cockpit import Demo
>>> demo = await Demo.start()          # starts a service on a free port; redis=True: with a Redis
>>> demo.panel()                       # the page, the controls, the charts
>>> demo.simulate(players=25, rate=20)
>>> await demo.run_for(30)             # the charts keep moving while the cell waits
>>> swarm = await demo.swarm(players=500, rate=200)    # Locust, in other processes
>>> await demo.close()

>>> desk = await SwarmDesk.start()     # load tests, each against a fresh service, with a verdict
>>> runs = await desk.take_turns({"storage": "memory"}, {"storage": "redis"}, players=60, duration=3)
>>> Results.load(*runs).compare("memory", "redis")
>>> await desk.find_knee()             # the most players at which the gates hold, drawn in the panel
>>> await BroadcastBenchmark.hold()    # the cost of a delivered board, against the usual broadcast
"""

import sys

if sys.platform == "win32":  # said before anything else is imported, which may not be there
    sys.stderr.write("leaderboard: expected Linux or macOS, got Windows; it runs in WSL 2 as it does on Linux\n")
    raise SystemExit(2)

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cockpit.desk.desk import SwarmDesk
    from cockpit.live.demo import Demo
    from cockpit.results.benchmark_run import BroadcastBenchmark
    from cockpit.results.benchmark_run import BroadcastBenchmark as Contest
    from cockpit.results.results import Results

__all__ = ["BroadcastBenchmark", "Contest", "Demo", "Results", "SwarmDesk"]

# Imported when first asked for, so that `python -m cockpit` can say what is missing.
_PLACES = {
    "BroadcastBenchmark": ("results.benchmark_run", "BroadcastBenchmark"),
    "Contest": ("results.benchmark_run", "BroadcastBenchmark"),  # the name that notebooks hold
    "Demo": ("live.demo", "Demo"),
    "Results": ("results.results", "Results"),
    "SwarmDesk": ("desk.desk", "SwarmDesk"),
}


# What the notebooks import beside the service's own packages: the extras `notebook` and `loadtest`.
PACKAGES = ("jupyterlab", "ipywidgets", "bqplot", "matplotlib", "numpy", "locust", "psutil")


def how_to_install(package: str | None) -> str:
    """What a person is told to whom a package is missing."""
    return f"cockpit: it needs {package}: pip install '.[notebook,loadtest]'"


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    try:
        return getattr(import_module(f"{__name__}.{module}"), attribute)
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(how_to_install(missing.name), name=missing.name) from None
