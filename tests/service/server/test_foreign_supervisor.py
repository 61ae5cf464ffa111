"""The app under a command that is not ours: it serves, or all of the command ends."""

from __future__ import annotations

import subprocess

import pytest

from loadtest.target.child_environment import child_environment


def uvicorn(python: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `uvicorn service.main:app` did until it ended."""
    return subprocess.run(
        [python, "-m", "uvicorn", "service.main:app", "--port", "0", *arguments],
        capture_output=True, text=True, timeout=50, env=child_environment(environment), check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["--workers", "3"], {}, "--workers: expected 1, or --redis-url (REDIS_URL)"),
        ([], {"WEB_CONCURRENCY": "2", "LEADERBOARD_REDIS_URL": "embedded"}, "got 2, which would show 2 boards"),
        (["--workers", "2"], {"LEADERBOARD_TOP": "many"}, "--top (from LEADERBOARD_TOP)"),
    ],
)
def test_workers_that_must_not_serve_end_the_whole_command(
    python: str, arguments: list[str], environment: dict[str, str], expected: str
) -> None:
    """Status 2 and one line, for boards that are not shared and for a bad setting; no worker stays or starts again."""
    result = uvicorn(python, *arguments, **environment)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("INFO:")]
    assert result.returncode == 2
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("leaderboard: ")
    assert expected in lines[0]
