"""The limit of open files, here and as other systems have it."""

from __future__ import annotations

import math
import resource
from collections.abc import Callable

import pytest

from loadtest.target import open_files as of_the_load_test
from service.__main__ import SPARE_FILES, check
from service.server.open_files import raise_file_limit
from service.settings import BadSetting, Settings

INFINITE = resource.RLIM_INFINITY


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[int, int]]]:
    """Imitate a system: its limits, and the most that it grants. What was granted is noted."""

    def imitate(soft: int, hard: int, most: int) -> list[tuple[int, int]]:
        granted = [(soft, hard)]

        def setrlimit(_: int, limits: tuple[int, int]) -> None:
            if limits[0] == INFINITE or limits[0] > most:
                raise ValueError("current limit exceeds maximum limit")
            granted.append(limits)

        monkeypatch.setattr(resource, "getrlimit", lambda _: granted[-1])
        monkeypatch.setattr(resource, "setrlimit", setrlimit)
        return granted

    return imitate


@pytest.mark.parametrize(
    ("soft", "hard", "most", "limit"),
    [
        (1024, 4096, 4096, 4096),
        (256, INFINITE, 10_240, 10_240),
        (256, INFINITE, 184_320, 131_072),
        (256, INFINITE, 300, 256),
        (256, 256, 256, 256),
        (20_000, INFINITE, 20_000, 20_000),
        (INFINITE, INFINITE, 0, math.inf),
        (256, 500_000, 1000, 256),
    ],
    ids=["Linux", "macOS", "macOS with more", "nothing granted", "at the limit", "more than a step", "none", "refused"],
)  # fmt: skip
def test_what_is_granted_is_kept(system, soft: int, hard: int, most: int, limit: float) -> None:
    """The hard limit is asked for, then less and less; the hard limit itself stays as it is."""
    granted = system(soft, hard, most)
    assert raise_file_limit() == limit
    assert granted[-1] == (soft if limit in {soft, math.inf} else limit, hard)


def test_a_service_adapts_to_what_is_granted(system) -> None:
    """More connections than that are refused where they were asked for, and lowered where they are the default."""
    system(256, INFINITE, 4096)
    assert check(Settings.read(max_connections=4000)).max_connections == 4000
    assert check(Settings.read()).max_connections == 4096 - SPARE_FILES
    with pytest.raises(BadSetting, match=r"expected at most 4032, because this process may open 4096 files, got 5000"):
        check(Settings.read(max_connections=5000))


def test_a_load_test_adapts_to_what_is_granted(system) -> None:
    """A run of more players is refused before it starts."""
    system(256, INFINITE, 4096)
    of_the_load_test.raise_file_limit(4032)
    with pytest.raises(of_the_load_test.TooManySockets, match="at most 4032 sockets, as this process may open 4096"):
        of_the_load_test.raise_file_limit(4033)
