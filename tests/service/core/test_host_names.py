"""Names of hosts and origins, however they are written, and the rules that allow them."""

from __future__ import annotations

import pytest

from service.core.host_names import Authority, HostRule, Origin, OriginRule


@pytest.mark.parametrize(
    ("text", "name", "port"),
    [
        ("Quiz.Example:8000", "quiz.example", 8000), ("quiz.example.", "quiz.example", None),
        ("quiz.example.:80", "quiz.example", 80), ("bücher.example", "xn--bcher-kva.example", None),
        ("BÜCHER.example.", "xn--bcher-kva.example", None), ("例え.example", "xn--r8jz45g.example", None),
        ("leader_board", "leader_board", None), ("[::1]:8000", "::1", 8000), ("[0:0:0:0:0:0:0:1]", "::1", None),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1), ("127.0.0.1:65535", "127.0.0.1", 65535),
    ],
)  # fmt: skip
def test_a_host_has_one_form(text: str, name: str, port: int | None) -> None:
    """In lower-case ASCII, without its last dot and without brackets."""
    assert Authority.parse(text) == Authority(name, port)


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "a..b", "a..", "a b", "a/b", "a@b", "a:x", "a:70000", "::1", "[a", "[x]", "a*b", "-ü-",
        "ü\u2800.example",
    ],
)  # fmt: skip
def test_what_is_no_host_is_none(text: str) -> None:
    """It is neither shortened nor guessed."""
    assert Authority.parse(text) is None


@pytest.mark.parametrize(
    ("rule", "allowed", "refused"),
    [
        ("quiz.example", "quiz.example QUIZ.example.:8000", "a.quiz.example quiz.example.org example"),
        ("quiz.example.", "quiz.example quiz.example.", "quizxexample"),
        ("*.quiz.example", "a.quiz.example b.a.quiz.example:8000 A.quiz.example.", "quiz.example aquiz.example"),
        ("*", "quiz.example a.b:80 10.0.0.1", ""),
        ("bücher.example", "xn--bcher-kva.example bücher.example", "bucher.example"),
        ("xn--bcher-kva.example", "bücher.example", ""),
        ("*.bücher.example", "a.xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("quiz.example:8000", "quiz.example:8000", "quiz.example quiz.example:8001"),
        ("quiz.example:443", "quiz.example quiz.example:443", "quiz.example:80"),
        ("10.0.0.1", "10.0.0.1:5", "10.0.0.2"),
    ],
)
def test_a_rule_allows_hosts(rule: str, allowed: str, refused: str) -> None:
    """As they are written in a Host header."""
    for text in f"{allowed} {refused}".split():
        host = Authority.parse(text)
        assert host is not None
        assert HostRule.parse(rule).allows(host) is (text in allowed.split()), text


@pytest.mark.parametrize(
    ("rule", "allowed", "refused"),
    [
        (
            "https://lab.example",
            "https://lab.example https://LAB.example:443 https://lab.example.",
            "http://lab.example https://lab.example:80 https://a.lab.example",
        ),
        ("https://lab.example:443/", "https://lab.example", "http://lab.example:80"),
        ("http://lab.example:80", "http://lab.example", "https://lab.example"),
        (
            "https://*.lab.example",
            "https://a.lab.example https://b.a.lab.example:443",
            "https://lab.example https://a.lab.example:8443 http://a.lab.example https://alab.example",
        ),
        ("https://*.lab.example:8443", "https://a.lab.example:8443", "https://a.lab.example"),
        ("https://bücher.example", "https://xn--bcher-kva.example", "https://bucher.example"),
        ("http://[::1]:8888", "http://[::1]:8888", "http://[::1]"),
    ],
)
def test_a_rule_allows_origins(rule: str, allowed: str, refused: str) -> None:
    """By the rule for hosts, with the scheme and the port."""
    for text in f"{allowed} {refused}".split():
        origin = Origin.parse(text)
        assert origin is not None
        assert OriginRule.parse(rule).allows(origin) is (text in allowed.split()), text


@pytest.mark.parametrize("text", ["null", "", "lab.example", "https://", "https://a/b", "https://u@a", "file://"])
def test_what_is_no_origin_is_none(text: str) -> None:
    """A page without an origin sends `null`."""
    assert Origin.parse(text) is None


@pytest.mark.parametrize(
    "text", ["", "*.", "**.a", "a.*", "*a.example", "http://a", "a/b", "a:*", "a b", "*.10.0.0.1", "a..b", "u@a", ".a"]
)
def test_what_is_no_rule_for_hosts_is_refused(text: str) -> None:
    """It would never match, and nobody would know."""
    with pytest.raises(ValueError, match="expected a host name like"):
        HostRule.parse(text)


@pytest.mark.parametrize(
    "text",
    ["*", "https://*", "lab.example", "*.lab.example", "ws://a", "https://a/b", "https://a:*", "https://a?b", "*://a"],
)
def test_what_is_no_rule_for_origins_is_refused(text: str) -> None:
    """Every page that a visitor opens is not allowed by a star alone."""
    with pytest.raises(ValueError, match="expected an origin like"):
        OriginRule.parse(text)


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        ("HTTPS://Lab.example:443/", "https://lab.example"),
        ("https://*.bücher.example:8443", "https://*.xn--bcher-kva.example:8443"),
        ("http://[::1]:8888", "http://[::1]:8888"),
    ],
)  # fmt: skip
def test_a_rule_is_a_source_of_a_policy(rule: str, source: str) -> None:
    """In ASCII, as browsers want it in a Content-Security-Policy."""
    assert str(OriginRule.parse(rule)) == source
