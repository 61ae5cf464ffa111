"""Ctrl-C before a command has begun."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from loadtest.target.child_environment import child_environment

ROOT = Path(__file__).parents[1]
WAIT = "import time; print('here', flush=True); time.sleep(60)"
LAB_THAT_STARTS = f"""
class Loop:
    add_callback = staticmethod(lambda *_: None)  # it never runs
class LabApp:
    io_loop = Loop()
    display_url = "http://127.0.0.1:1/lab"
    initialize_server = staticmethod(lambda _: LabApp())
    def start(self):
        {WAIT}
"""


@pytest.mark.parametrize(
    ("command", "module", "code"),
    [
        ("service", "pydantic", WAIT), ("service", "segno", WAIT), ("loadtest.bench", "numpy", WAIT),
        ("cockpit", "jupyterlab.labapp", WAIT), ("cockpit", "jupyterlab.labapp", LAB_THAT_STARTS),
    ],
    ids=["service", "service's app", "benchmark", "cockpit", "cockpit that has printed its URL"],
)  # fmt: skip
def test_ctrl_c_before_it_serves_prints_nothing(tmp_path: Path, python: str, command: str, module: str, code: str):
    """The command ends by SIGINT, 130 in a shell, while a module is still being loaded; no temporary file is left."""
    slow = tmp_path / "modules" / f"{module.replace('.', '/')}.py"
    slow.parent.mkdir(parents=True)
    (slow.parent / "__init__.py").touch()
    slow.write_text(code)
    files = tmp_path / "files"
    files.mkdir()
    places = {"TMPDIR": str(files), "JUPYTER_DATA_DIR": str(tmp_path / "data")}
    path = os.pathsep.join(map(str, [tmp_path / "modules", ROOT, ROOT / "notebooks"]))
    with subprocess.Popen(
        [python, "-m", command], env=child_environment(places | {"PYTHONPATH": path}),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert any(line == "here\n" for line in process.stdout)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, err) == (-signal.SIGINT, "")
    assert list(files.iterdir()) == []
