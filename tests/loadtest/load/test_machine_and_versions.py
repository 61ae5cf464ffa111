"""What a run's file says of the machine."""

from __future__ import annotations

import json
from importlib.metadata import version

from loadtest.load.machine_and_versions import this_environment


def test_it_names_versions_and_sizes_and_nothing_else() -> None:
    """Every key is known here, so that a name of the machine or its owner does not slip in."""
    assert this_environment().keys() == {
        "python", "system", "machine", "cpus", "usableCpus", "memoryBytes", "versions",
    }  # fmt: skip


def test_the_figures_are_this_machines() -> None:
    """Versions are those installed, processors and memory are there, and JSON takes all of it."""
    found = json.loads(json.dumps(this_environment()))
    assert found["versions"] == {name: version(name) for name in ("locust", "gevent", "websockets", "numpy")}
    assert 1 <= (found["usableCpus"] or 1) <= found["cpus"]
    assert found["memoryBytes"] > 1 << 26
