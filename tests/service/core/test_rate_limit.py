"""How much a connection may send."""

from __future__ import annotations

from service.core.rate_limit import LIMITED_WINDOW, MAX_LIMITED, MAX_WRONG_IN_A_ROW, Patience, TokenBucket


def test_a_burst_goes_through_and_then_the_rate_holds():
    """Forty at once, then one each twentieth of a second."""
    bucket = TokenBucket(20, 40, now=0.0)
    assert [bucket.take(0.0) for _ in range(40)] == [0.0] * 40
    assert bucket.take(0.0) == 0.05
    assert bucket.take(0.05) == 0.0
    assert bucket.take(0.05) > 0


def test_a_clock_that_steps_back_gives_no_tokens():
    """Time only ever adds."""
    bucket = TokenBucket(1, 1, now=100.0)
    assert bucket.take(100.0) == 0.0
    assert bucket.take(50.0) > 0


def test_a_right_frame_breaks_the_row_of_wrong_ones():
    """Only an unbroken row of more than the most ends the connection."""
    patience = Patience()
    assert not any(patience.wrong() for _ in range(MAX_WRONG_IN_A_ROW))
    patience.right()
    assert not any(patience.wrong() for _ in range(MAX_WRONG_IN_A_ROW))
    assert patience.wrong()


def test_limited_frames_count_within_their_window_only():
    """One more than the most in ten seconds is too many; spread out they are not."""
    patience = Patience()
    assert not any(patience.limited(0.0) for _ in range(MAX_LIMITED))
    assert not patience.limited(LIMITED_WINDOW)
    assert not any(patience.limited(LIMITED_WINDOW) for _ in range(MAX_LIMITED - 1))
    assert patience.limited(LIMITED_WINDOW)
