"""Who may play as a user: what a claim may replace, and what a holder shows of a secret."""

from __future__ import annotations

import pytest

from service.core.player_claim import Claim, connection_holder, secret_holder, worker_of

SECRET = "a-secret-of-alice"
OWN = connection_holder("w1", 7)


@pytest.mark.parametrize(
    ("current", "secret", "allowed"),
    [
        (None, None, True),
        (None, SECRET, True),
        (OWN, None, True),
        (OWN, SECRET, True),
        (connection_holder("w1", 8), None, False),
        (connection_holder("w2", 7), SECRET, False),
        (secret_holder("S", "alice", SECRET), SECRET, True),
        (secret_holder("S", "alice", SECRET), None, False),
        (secret_holder("S", "alice", SECRET), "another-secret-of-bob", False),
    ],
)
def test_a_claim_is_granted_to_the_first_and_to_the_same(current, secret, allowed):
    """Nobody else's claim replaces a holder; a connection may add its secret."""
    assert Claim("S", "alice", OWN, secret).allowed_by(current) is allowed


def test_a_holder_says_nothing_of_the_secret():
    """Nor that two users, or two sessions, have the same one."""
    holders = {secret_holder(session, user, SECRET) for session in ("S", "T") for user in ("alice", "bob")}
    assert len(holders) == 4
    assert not [one for one in holders if SECRET in one]


def test_a_connection_names_its_worker():
    """So that it is known to be gone when the worker is."""
    assert worker_of(OWN) == "w1"
    for other in (secret_holder("S", "alice", SECRET), "", "nobody", "connection:w1", "connection:w1:x"):
        assert worker_of(other) is None
