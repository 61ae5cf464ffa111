"""Systems on which the kit does not run."""

from __future__ import annotations

import os
import subprocess

import pytest

CODE = """
import sys
here = set(sys.modules)
sys.platform = "win32"
try:
    import {package}
finally:
    print(*sorted(set(sys.modules) - here))
"""


@pytest.mark.parametrize("package", ["service", "service.main", "loadtest", "loadtest.locustfile", "cockpit"])
def test_windows_is_refused_in_one_line(python: str, package: str) -> None:
    """Before anything else is imported, which may not exist there."""
    # What `--without-extension` puts there imports the service before it is asked to.
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if "without_extension" not in path]
    ended = subprocess.run(
        [python, "-c", CODE.format(package=package)], env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (
        2, "leaderboard: expected Linux or macOS, got Windows; it runs in WSL 2 as it does on Linux\n",
    )  # fmt: skip
    assert ended.stdout.split() in ([], [package.partition(".")[0]])
