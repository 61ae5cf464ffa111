"""The totals of a run, over several generator processes and through JSON."""

from __future__ import annotations

import json

from loadtest.measure.run_totals import Second, Tally


def tally(name: str, latency: float, boards: int) -> Tally:
    """What one process has measured."""
    made = Tally(
        players=10, frames=100, bytes=1000, boards_received=50, boards=boards, board_updates=2 * boards, seconds=3.0,
        busy={name: [0.5]}, shares={name: {"updates": 7.0}}, wrong=[f"{name} is behind"],
    )  # fmt: skip
    made.latency.record(latency)
    made.counts.pairs_lost = 2
    made.errors["connect"] += 1
    made.closes["1006"] += 3
    return made


def test_processes_add_up() -> None:
    """Counts are added and histograms merged; boards are those of the process that saw most of them."""
    merged = tally("generator 0", 0.25, 20).merge(tally("generator 1", 0.75, 30))
    assert (merged.players, merged.frames, merged.bytes, merged.boards_received) == (20, 200, 2000, 100)
    merged.merge(Tally(boards=25, board_updates=99))
    assert (merged.boards, merged.board_updates, merged.seconds) == (30, 60, 3.0)
    assert (merged.latency.count, merged.latency.minimum, merged.latency.maximum) == (2, 0.25, 0.75)
    assert (merged.counts.pairs_lost, merged.errors["connect"], merged.closes["1006"]) == (4, 2, 6)
    assert merged.busy.keys() == merged.shares.keys() == {"generator 0", "generator 1"}
    assert merged.wrong == ["generator 0 is behind", "generator 1 is behind"]


def test_one_process_without_stamps_is_a_run_without_stamps() -> None:
    """A lag of the generator is known apart only if every process has the kernel's stamps."""
    assert Tally().merge(Tally()).stamped
    assert not Tally().merge(Tally(stamped=False)).merge(Tally()).stamped


def test_totals_survive_json() -> None:
    """What a worker sends and a file holds is the tally again, field by field."""
    made = tally("generator 0", 0.25, 20)
    assert Tally.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_a_second_of_two_processes_has_the_players_of_both() -> None:
    """Two lines of one process are the same players, two lines of two processes are not."""
    first = Second(9, "measure", players=10, sent=3, cpu={"generator 0": 0.5})
    first.latency.record(0.25)
    again = Second(9, "measure", players=12, sent=1, cpu={"generator 0": 0.25})
    other = Second(9, "measure", players=5, sent=4, cpu={"generator 1": 0.75})
    merged = first.merge(again).merge(other)
    assert (merged.players, merged.sent, merged.cpu) == (17, 8, {"generator 0": 0.25, "generator 1": 0.75})
    assert Second.from_dict(json.loads(json.dumps(merged.to_dict()))) == merged
