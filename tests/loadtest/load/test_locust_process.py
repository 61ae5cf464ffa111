"""Locust as the kit starts it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtest.load import locust_launcher
from loadtest.load.locust_process import without_commas
from loadtest.plan.run_spec import RunSpec

pytestmark = pytest.mark.starts_process

FOREIGN = "users = 3\nrun-time = 1s\ntags = none-of-ours\ncsv = foreign\n"


def test_a_foreign_locust_conf_changes_nothing(service, tmp_path, monkeypatch) -> None:
    """Neither in the current folder nor in the home; a LOCUST_… of the shell does not either."""
    (tmp_path / "locust.conf").write_text(FOREIGN)
    (tmp_path / ".locust.conf").write_text(FOREIGN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCUST_TAGS", "none-of-ours")
    spec = RunSpec(urls=(service.url,), players=2, rate=8.0, duration=1.0, warm_up=0.0, out=str(tmp_path / "run.jsonl"))
    status = locust_launcher.run(locust_launcher.ready(spec), quiet=True)
    first = json.loads((tmp_path / "run.jsonl").read_text().splitlines()[0])
    assert status in {0, 4}  # it played to its end, whatever a busy machine lets it judge
    assert first["arguments"]["players"] == 2
    assert not [*tmp_path.glob("foreign*")]


def test_a_path_with_a_comma_is_one_path(tmp_path) -> None:
    """Locust would take it for two; a link without one stands for it, and every other argument stays."""
    file = tmp_path / "a, b" / "locustfile.py"
    file.parent.mkdir()
    file.touch()
    link = str(tmp_path / "locustfile.py")
    given = ["-f", str(file), "--host", "http://one,http://two", "--csv", str(tmp_path / "c, d")]
    assert without_commas(given, str(tmp_path)) == ["-f", link, *given[2:]]
    assert Path(link).resolve() == file
