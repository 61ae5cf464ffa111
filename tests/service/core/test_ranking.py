"""The board: order, ranks, pages, neighbours."""

from __future__ import annotations

import pytest

from service.core.ranking import Board, Ranking, Standing


def board_of(scores: dict[str, int], ranking: Ranking = Ranking.COMPETITION) -> Board:
    board = Board(ranking)
    for user, score in scores.items():
        board.place(user, score)
    return board


TIED = {"a": 50, "b": 40, "c": 40, "d": 30}


def test_competition_ranks_leave_a_gap_after_a_tie():
    """Equal scores share a rank and the next rank counts everybody before it."""
    assert [s.rank for s in board_of(TIED).page(10)] == [1, 2, 2, 4]


def test_dense_ranks_leave_no_gap():
    """Equal scores share a rank and the next rank is the next number."""
    assert [s.rank for s in board_of(TIED, Ranking.DENSE).page(10)] == [1, 2, 2, 3]


def test_equal_scores_are_ordered_by_user_id():
    """The order is total: score descending, then id ascending."""
    assert [s.user_id for s in board_of({"zoe": 5, "Zed": 5, "amy": 5}).page(10)] == ["Zed", "amy", "zoe"]


@pytest.mark.parametrize("ranking", list(Ranking))
def test_a_page_that_begins_inside_a_tie_has_the_rank_of_the_tie(ranking: Ranking):
    """An offset changes what is shown, not what rank it has."""
    board = board_of(TIED, ranking)
    assert board.page(2, 2) == board.page(4)[2:4]


def test_around_a_player_at_the_edge_shows_fewer():
    """Neighbours end where the board ends."""
    board = board_of(TIED)
    assert [s.user_id for s in board.around("a", 2)] == ["a", "b", "c"]
    assert [s.user_id for s in board.around("d", 1)] == ["c", "d"]
    assert board.around("nobody", 3) == []


def test_totals_of_zero_and_below_are_ranked():
    """A player is ranked by being on the board, not by having points."""
    board = board_of({"plus": 1, "zero": 0, "minus": -5})
    assert board.page(3) == [Standing(1, "plus", 1), Standing(2, "zero", 0), Standing(3, "minus", -5)]


def test_an_empty_board_answers_with_nothing():
    """Nobody is ranked after a clear."""
    board = board_of(TIED)
    board.clear()
    board.check()
    assert (len(board), board.page(10), board.rank("a"), board.position("a")) == (0, [], None, None)
