"""Which notebook is opened, and what JupyterLab is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cockpit.__main__ import main
from cockpit.host.jupyterlab_server import NOTEBOOK, find_notebook, quiet_jupyter, working_copy
from cockpit.host.processes import WITH_REDIS

ROOT = Path(__file__).parents[3]


def test_finds_the_live_demo_from_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From the repository, from its notebooks, and from elsewhere, the live demo is what opens."""
    for folder in (ROOT, ROOT / "notebooks", tmp_path):
        monkeypatch.chdir(folder)
        assert find_notebook(None) == ROOT / "notebooks" / NOTEBOOK


def test_a_notebook_that_is_not_there_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown notebook ends with status 2 and the places that were looked at, before anything starts."""
    assert main(["nowhere.ipynb", "--no-browser"]) == 2
    assert capsys.readouterr().err.startswith("no notebook found at ")


def test_takes_redis_for_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`--redis` reaches the kernels through the environment, wherever it stands; without it nothing is said."""
    monkeypatch.setenv(WITH_REDIS, "0")
    assert main(["nowhere.ipynb"]) == 2
    assert os.environ[WITH_REDIS] == "0"
    assert main(["--no-browser", "--redis", "nowhere.ipynb"]) == 2
    assert os.environ[WITH_REDIS] == "1"
    assert "--redis" not in capsys.readouterr().err


def test_plays_on_a_copy_that_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each show has a copy of its own outside the checkout, under the user's data; the earlier one stays."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    original = ROOT / "notebooks" / NOTEBOOK
    first = working_copy(original)
    first.write_text("a saved show")
    second = working_copy(original)
    assert first.name == second.name == NOTEBOOK
    assert tmp_path in first.parents
    assert first.read_text() == "a saved show"
    assert second.read_bytes() == original.read_bytes()


def test_plays_on_although_nothing_can_be_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A home in which nothing can be written costs the copy's place, and one line says so."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "file" / "data"))
    copy = working_copy(ROOT / "notebooks" / NOTEBOOK)
    assert copy.is_file()
    assert capsys.readouterr().err == (
        f"expected a folder that can be written to, got {tmp_path}/file/data/leaderboard-demo (Not a directory): "
        f"using {copy.parent}\n"
    )


def test_turns_the_news_off_without_touching_the_user_s_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The defaults stand in a folder of their own that comes first on Jupyter's path; earlier paths stay."""
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/before")
    monkeypatch.setenv("PYTHONPATH", "/earlier")
    quiet_jupyter(tmp_path)
    defaults = json.loads((tmp_path / "labconfig" / "default_setting_overrides.json").read_text())
    assert defaults["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    assert os.environ["JUPYTER_CONFIG_PATH"].split(os.pathsep) == [str(tmp_path), "/before"]
    paths = os.environ["PYTHONPATH"].split(os.pathsep)
    assert {str(ROOT), str(ROOT / "notebooks"), "/earlier"} == set(paths)


@pytest.mark.starts_process
def test_loads_no_parsers_that_nothing_uses() -> None:
    """JupyterLab is loaded without the parsers that took two thirds of its start."""
    code = "import sys; from cockpit.host.jupyterlab_server import lab_app; lab_app(); print('lark' in sys.modules)"
    path = os.pathsep.join([str(ROOT), str(ROOT / "notebooks")])
    loaded = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert loaded.stdout == "False\n"
