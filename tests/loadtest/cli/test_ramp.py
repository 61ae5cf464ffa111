from __future__ import annotations

import json

import pytest

from loadtest.cli import ramp
from loadtest.judge.gates import Verdict
from loadtest.report.run_file import read
from loadtest.target.processes import ServiceFailed


async def test_a_ramp_keeps_every_trial(loadtest, service, tmp_path) -> None:
    """Each trial is a run on file, and what was found, with the trials it rests on, is in one more file."""
    ended = await loadtest(
        "ramp", "--url", service.url, "--from", "4", "--to", "8", "--trials", "3", "--player-rate", "2",
        "--duration", "1s", "--warm-up", "0.2s", "--gate", "lost==0", "--out", str(tmp_path / "ramp"),
    )  # fmt: skip
    assert ended.status == 4, ended.err  # three trials make nobody sure
    found = json.loads((tmp_path / "ramp" / "ramp.json").read_text("utf-8"))
    trials = found["trials"]
    assert len(trials) == 3
    assert trials[0]["players"] == 4
    assert found["knee"]["sure"] is False
    for trial in trials:
        lines = read(tmp_path / "ramp" / trial["file"])
        assert lines[0]["arguments"]["players"] == trial["players"]
        assert lines[-1]["verdict"] == trial["verdict"]
    assert "not sure: more --trials are needed" in ended.out
    assert f"{4:>6} players  {trials[0]['verdict']}" in ended.err


async def test_an_interrupted_ramp_tells_what_it_knows(under_way, service, tmp_path) -> None:
    """Ctrl-C ends the trial and the search; what was found until then is on file, and not called sure."""
    folder = tmp_path / "ramp"
    ramp = await under_way(
        "ramp", "--url", service.url, "--from", "4", "--to", "400", "--player-rate", "2",
        "--duration", "1.5s", "--warm-up", "0.2s", "--gate", "lost==0", "--out", str(folder),
    )  # fmt: skip
    await ramp.says("     4 players")
    while not any(line["kind"] == "second" for path in folder.glob("002-*.jsonl") for line in read(path)):
        await ramp.breathe()
    ramp.interrupt()
    ended = await ramp.end()
    assert ended.status == 4, ended.err
    trials = json.loads((folder / "ramp.json").read_text("utf-8"))["trials"]
    assert [trial["players"] for trial in trials][:1] == [4]
    assert "Traceback" not in ended.err


def test_a_trial_that_a_full_disk_cut_off_keeps_its_verdict(tmp_path) -> None:
    """What Locust's exit status says counts, with a reason that names the file; no verdict and no file is an error."""
    trial = tmp_path / "001-4.jsonl"
    trial.write_text('{"kind":"run"}\n')
    assert ramp._outcome(trial, 3) == (Verdict.FAIL, f"{trial} could not be written to its end")
    with pytest.raises(ServiceFailed, match=f"Locust ended with status 1 without writing the run, {trial}"):
        ramp._outcome(trial, 1)


def test_what_cannot_be_searched_is_refused(refuse) -> None:
    """A range the wrong way round, and a certainty that there is not, are status 2 before anything is sent."""
    for arguments in (["--from", "10", "--to", "5"], ["--confidence", "1"], ["--gate", "latency<5"]):
        ended = refuse("ramp", *arguments)
        assert ended.status == 2
        assert "expected" in ended.err
