"""What the swarm writes is what the service reads."""

from __future__ import annotations

import json

from loadtest import access
from loadtest.swarm.client_messages import Outbox, join_message, update_text, watch_message
from service.core.protocol import JoinDemo, UpdateScore, WatchDemo, decode


def test_messages_decode_by_the_services_models() -> None:
    """Each message that the swarm writes is the service's, value by value."""
    _, op_id = Outbox().next_update()
    assert decode(update_text(-25, op_id).decode()) == UpdateScore(points=-25, op_id=op_id)
    assert decode(json.dumps(watch_message("S-1"))) == WatchDemo(session_id="S-1")
    assert decode(json.dumps(join_message("p0-00001", "S-1", "Zoë"))) == JoinDemo(
        user_id="p0-00001", session_id="S-1", username="Zoë", secret=access.player_secret()
    )


def test_messages_have_their_golden_text() -> None:
    """Byte for byte."""
    assert update_text(5, "abc-0001") == b'{"type":"update-score","data":{"points":5,"opId":"abc-0001"}}'
    assert watch_message("S") == {"type": "watch-demo", "data": {"sessionId": "S"}}


def test_an_answer_leads_back_to_its_update() -> None:
    """An id gives its number; another client's id, or none, gives None."""
    outbox = Outbox()
    sent = [outbox.next_update() for _ in range(300)]
    assert [outbox.number_of(op_id) for _, op_id in sent] == [number for number, _ in sent] == list(range(300))
    assert outbox.sent == 300
    assert outbox.number_of(Outbox().next_update()[1]) is None
    assert outbox.number_of(None) is None
