"""What workers publish to each other, as it is read by the others."""

from __future__ import annotations

import json

import pytest

from service.core.stream_messages import LONGEST, Unreadable, read_message
from service.core.worker_presence import Presence

BATCH = ["batch", "w", "S", "e", 1, 0, 1, 1, [[0, 5]]]


def test_what_workers_publish_is_read_as_it_was_sent():
    """Every kind that there is, the operations of a batch apart."""
    presence = Presence("0123456789ab")
    presence.enter("S", "alice", "Alice")
    presence.enter("S", "b", "Bär")
    presence.exit("S", "b")
    presence.watch("S")
    presence.watch("T")
    presence.unwatch("T")
    sent = [
        presence.beat(), presence.roster(), presence.changes(), presence.goodbye(), presence.question("*"),
        presence.question("other"), ["restored", "w", "S"], ["ended", "w", "S"],
    ]  # fmt: skip
    for message in sent:
        assert read_message(json.dumps(message).encode()) == (message, b"")
    assert read_message(json.dumps(BATCH).encode() + b'\n[["reset"]]') == (BATCH, b'[["reset"]]')


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "no JSON"), ("hello", "no JSON"), ('["beat"', "no JSON"), ('["beat","\\ud800",1]', "no JSON"),
        ("[" * 9999, "no JSON"), ("{}", "no message"), ("[]", "no message"), ("5", "no message"), ("[5]", "no message"),
        ("null", "no message"), ('["later","w"]', "unknown kind"), ('["beat"]', "odd fields"),
        ('["beat","w",-1]', "odd fields"), ('["beat","w",true]', "odd fields"), ('["beat","w",1.5]', "odd fields"),
        ('["beat","w",NaN]', "odd fields"), ('["beat","w",1,1]', "odd fields"), ('["beat","w\\n",1]', "odd fields"),
        ('["beat",["w"],1]', "odd fields"), ('["bye","*"]', "odd fields"), ('["who","w",null]', "odd fields"),
        ('["ended","w","no such\\u202esession"]', "odd fields"), (f'["restored","w","{"s" * 65}"]', "odd fields"),
        ('["changes","w",1,{}]', "odd fields"), ('["changes","w",1,[["S","a"]]]', "odd fields"),
        ('["changes","w",1,[["S","<b>","x"]]]', "odd fields"), ('["roster","w",1,[["S","ä","x"]]]', "odd fields"),
        ('["roster","w",1,[["S","a",5]]]', "odd fields"), ('["roster","w",1,[["S","a",""]]]', "odd fields"),
        ('["roster","w",1,[["S","","x"]]]', "odd fields"),
        ('["batch","w","S","e",1,0,1,1,{}]', "odd fields"), ('["batch","w","S","e",1,0,1,1,[[0]]]', "odd fields"),
        ('["batch","w","S","e f",1,0,1,1,[]]', "odd fields"), ('["batch","w","S","e",1,0,1e99,1,[]]', "odd fields"),
        ('["batch","w","S","e",1,0,99999999999999999999,1,[]]', "odd fields"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused_in_a_short_line(text: str, kind: str):
    """Each kind of it has a name of its own, and the line shows a piece, escaped."""
    with pytest.raises(Unreadable) as refused:
        read_message(text.encode())
    assert refused.value.kind == kind
    assert "expected " in str(refused.value)
    assert str(refused.value).isascii()
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 3 * LONGEST


def test_bytes_that_are_no_text_are_refused():
    """Redis carries any."""
    with pytest.raises(Unreadable):
        read_message(b'["beat","\xff",1]')


def test_a_name_that_may_not_be_shown_is_not_shown():
    """The user is there under the name of the id, as with any other client."""
    listed = [["S", "alice", "\u202ekcab"], ["S", "bob", "x" * 99], ["S", "carl", "Bär"], ["S", "diana", None]]
    (*_, users), _ = read_message(json.dumps(["roster", "w", 1, listed]).encode())
    assert [name for _, _, name in users] == ["Alice", "Bob", "Bär", None]
