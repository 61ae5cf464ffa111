"""A desk for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cockpit import SwarmDesk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[SwarmDesk]:
    desk = await SwarmDesk.start(tmp_path)
    desk.panel()
    yield desk
    await desk.stop()
    assert desk.troubles == []


@pytest.fixture
def brief_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let swarms measure soon: only a figure that is to be relied on needs the whole warm-up."""
    monkeypatch.setattr("cockpit.runs.load_run.WARM_UP", 0.5)
