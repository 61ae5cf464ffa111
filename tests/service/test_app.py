"""The composition root."""

from __future__ import annotations

import subprocess

import pytest

from loadtest.target.child_environment import child_environment


@pytest.mark.parametrize(("arguments", "loaded"), [("", False), ("redis_url='redis://127.0.0.1:1'", True)])
def test_the_client_of_redis_is_loaded_for_a_redis_alone(python: str, arguments: str, loaded: bool) -> None:
    """Scores that stay in the process start without it, sooner and smaller."""
    code = (
        "import sys, service.__main__; from service.app import create_app; from service.settings import Settings\n"
        f"create_app(Settings.read({arguments})); print('redis' in sys.modules)"
    )
    ended = subprocess.run(
        [python, "-c", code], env=child_environment(), capture_output=True, text=True, timeout=30, check=True
    )
    assert ended.stdout.strip() == str(loaded)
