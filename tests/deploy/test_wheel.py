"""What the image is built from is enough: the package's wheel serves by itself."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import httpx
import pytest
from deploy.deploy_files import DEPLOY, image_sources

from loadtest.target.child_environment import child_environment
from loadtest.target.processes import Service

ROOT = DEPLOY.parents[1]
NOT_COPIED = shutil.ignore_patterns("__pycache__")


@pytest.mark.long
@pytest.mark.starts_process
def test_the_image_s_files_make_a_service(python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built from what the Dockerfile copies and nothing else, started elsewhere, it shows the page."""
    source, wheels, installed = tmp_path / "src", tmp_path / "wheels", tmp_path / "installed"
    for name in image_sources():
        copy(ROOT / name, source / name)
    command = [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, source]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    monkeypatch.chdir(tmp_path)
    environment = {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    asked = [python, "-c", "import service; print(service.__file__)"]
    found = subprocess.run(asked, env=child_environment(environment), capture_output=True, text=True, check=True)
    assert Path(found.stdout).is_relative_to(installed)
    with Service(environment=environment) as service, httpx.Client(base_url=service.url, trust_env=False) as http:
        for path in ("/", "/static/main.js", "/docs"):
            assert http.get(path).status_code == 200, path


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=NOT_COPIED)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
