"""How much a connection may send."""

from __future__ import annotations

from service.core.rate_limit import (
    LIMITED_WINDOW,
    MAX_LIMITED,
    MAX_NETWORKS,
    MAX_WRONG_IN_A_ROW,
    Patience,
    SlidingWindow,
    TokenBucket,
    WindowByNetwork,
)


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


def test_a_window_allows_its_number_of_events_in_any_period():
    """Also over the edge of a minute; the wait ends when the oldest of them is a period ago."""
    window = SlidingWindow(2, 60.0)
    for now in (50.0, 55.0):
        assert window.wait(now) == 0.0
        window.add(now)
    assert window.wait(70.0) == 40.0
    assert window.wait(110.0) == 0.0
    window.add(110.0)
    assert window.wait(110.0) == 5.0


def test_each_network_has_a_window_of_its_own():
    """One that is full keeps nobody else waiting."""
    windows = WindowByNetwork(1, 60.0)
    windows.add("a", 0.0)
    assert windows.wait("a", 20.0) == 40.0
    assert windows.wait("b", 20.0) == 0.0


def test_networks_are_forgotten_when_their_events_count_no_more():
    """Those that came back in between are kept."""
    windows = WindowByNetwork(2, 60.0)
    for network, now in (("a", 0.0), ("b", 1.0), ("a", 30.0), ("c", 61.0)):
        windows.add(network, now)
    assert len(windows) == 2
    windows.add("a", 61.0)
    assert windows.wait("a", 61.0) == 29.0


def test_a_stranger_with_many_addresses_fills_no_memory():
    """Over the most networks, the one that was quiet for longest is forgotten."""
    windows = WindowByNetwork(1, 60.0)
    for number in range(MAX_NETWORKS + 1):
        windows.add(str(number), 0.0)
    assert len(windows) == MAX_NETWORKS
    assert windows.wait("0", 0.0) == 0.0
    assert windows.wait("1", 0.0) == 60.0
