"""Locust as the kit starts it."""

from __future__ import annotations

import json

from loadtest.load import locust_launcher
from loadtest.plan.run_spec import RunSpec

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
    assert (status, first["arguments"]["players"]) == (0, 2)
    assert not [*tmp_path.glob("foreign*")]
