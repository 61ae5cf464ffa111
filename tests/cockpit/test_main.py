"""`python -m cockpit` as a command, and what the package offers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import cockpit
import httpx
import pytest

pytestmark = pytest.mark.starts_process

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join([str(ROOT), str(ROOT / "notebooks")])
OWNER = """
import subprocess, sys
subprocess.Popen([sys.executable, "-m", "cockpit", "--until-parent-ends", "--no-browser", "--port", "0"])
sys.stdin.read()
"""


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=os.environ | {"PYTHONPATH": PATH}, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip


def test_help_needs_no_extra() -> None:
    """It is on stdout, and neither JupyterLab nor a widget is loaded for it."""
    code = (
        "import sys; from cockpit.__main__ import main; status = main(['--help'])\n"
        "sys.exit(status or 'jupyterlab' in sys.modules or 'ipywidgets' in sys.modules)"
    )
    ended = _run(code)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("usage: python -m cockpit [--redis]")


MISSING = """
import sys
sys.modules[sys.argv.pop()] = None  # as if it were not installed
"""


@pytest.mark.parametrize("name", [*cockpit.PACKAGES, "httpx"])
def test_a_missing_extra_is_one_clear_line(name: str) -> None:
    """It names the package and how to get it, also one that only the notebook's kernel would miss."""
    ended = _run(f"{MISSING}from cockpit.__main__ import main\nsys.exit(main([]))", name)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"cockpit: it needs {name}: pip install '.[notebook,loadtest]'\n"


@pytest.mark.parametrize("name", ["ipywidgets", "numpy"])
def test_a_notebook_says_what_is_missing(name: str) -> None:
    """A kernel of another environment, as VS Code starts it, need not have the extras."""
    ended = _run(f"{MISSING}from cockpit import Demo", name)
    assert ended.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: cockpit: it needs {name}: pip install '.[notebook,loadtest]'"
    )


def test_the_packages_are_those_of_the_extras() -> None:
    """A package that an extra gains is looked for at the start."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {re.split(r"[^\w-]", one)[0] for one in extras["notebook"] + extras["loadtest"]}
    assert named == set(cockpit.PACKAGES)


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


def test_ctrl_c_without_a_terminal_ends_the_kernels_in_order(tmp_path: Path) -> None:
    """A kernel that is shut down leaves no connection file; one that only misses its parent does."""
    places = {name: str(tmp_path) for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
    with subprocess.Popen(
        [sys.executable, "-m", "cockpit", "--no-browser", "--port", "0", "--IdentityProvider.token=presenter"],
        env=os.environ | places | {"PYTHONPATH": PATH}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    ) as lab:  # fmt: skip
        assert lab.stdout is not None
        try:
            url = lab.stdout.readline().partition("/lab")[0]
            started = httpx.post(
                f"{url}/api/kernels", headers={"Authorization": "token presenter"}, json={}, timeout=30, trust_env=False
            )
            connection = tmp_path / f"kernel-{started.json()['id']}.json"
            assert connection.exists()
            lab.send_signal(signal.SIGINT)
            assert lab.wait(timeout=60) == 0
        finally:
            lab.kill()
    assert not connection.exists()


def test_the_package_offers_what_notebooks_use() -> None:
    """Each name of `__all__` is there, and no other."""
    assert {getattr(cockpit, name).__name__ for name in cockpit.__all__} == {*cockpit.__all__} - {"Contest"}
    assert not hasattr(cockpit, "Rewind")
