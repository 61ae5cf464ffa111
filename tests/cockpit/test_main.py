"""`python -m cockpit` as a command, and what the package offers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cockpit
import pytest

pytestmark = pytest.mark.starts_process

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join([str(ROOT), str(ROOT / "notebooks")])
OWNER = """
import subprocess, sys
subprocess.Popen([sys.executable, "-m", "cockpit", "--until-parent-ends", "--no-browser", "--port", "0"])
sys.stdin.read()
"""


def test_help_needs_no_extra() -> None:
    """It is on stdout, and neither JupyterLab nor a widget is loaded for it."""
    code = (
        "import sys; from cockpit.__main__ import main; status = main(['--help'])\n"
        "sys.exit(status or 'jupyterlab' in sys.modules or 'ipywidgets' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": PATH}, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("usage: python -m cockpit [--redis]")


@pytest.mark.parametrize("name", ["jupyterlab", "httpx"])
def test_a_missing_extra_is_one_clear_line(tmp_path: Path, name: str) -> None:
    """It names the package and how to get it."""
    (tmp_path / "jupyterlab").mkdir()
    (tmp_path / "jupyterlab" / "labapp.py").write_text("LabApp = None")  # the whole one is slow to load
    missing = tmp_path / (f"{name}/__init__.py" if name == "jupyterlab" else f"{name}.py")
    missing.write_text(f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')")
    ended = subprocess.run(
        [sys.executable, "-m", "cockpit"], env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{PATH}"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"cockpit: it needs {name}: pip install '.[notebook,loadtest]'\n"


def test_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Even when that is killed, JupyterLab ends; a demo whose `nox` was ended lived on otherwise."""
    places = {name: str(tmp_path) for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], env=os.environ | places | {"PYTHONPATH": PATH}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        assert owner.stdout.readline().startswith("http://")
        owner.send_signal(signal.SIGKILL)
        assert owner.stdout.read().startswith("saved in ")  # to its end: nobody holds the other side any more


def test_the_package_offers_what_notebooks_use() -> None:
    """Each name of `__all__` is there, and no other."""
    assert {getattr(cockpit, name).__name__ for name in cockpit.__all__} == {*cockpit.__all__} - {"Contest"}
    assert not hasattr(cockpit, "Rewind")
