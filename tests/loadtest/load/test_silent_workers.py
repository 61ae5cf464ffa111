"""Workers that their master does not hear of."""

from __future__ import annotations

from loadtest.load.silent_workers import LOST_AFTER, SilentWorkers


def test_silence_is_told_once_and_a_return_too() -> None:
    """A worker is lost only when it has been silent for long; one that is back was not lost."""
    missing: set[str] = set()
    silent = SilentWorkers(lambda: missing)
    assert list(silent.look(10.0)) == []
    missing |= {"west_2", "east_1"}
    assert list(silent.look(20.0)) == [(name, "is not heard of any more") for name in ("east_1", "west_2")]
    assert list(silent.look(21.0)) == []
    missing -= {"east_1"}
    assert list(silent.look(22.0)) == [("east_1", "is back")]
    assert silent.lost(20.0 + LOST_AFTER) == set()
    assert silent.lost(20.1 + LOST_AFTER) == {"west_2"}
