"""`python -m cockpit [--redis] [NOTEBOOK] [JupyterLab options]`: JupyterLab on the live demo, ready to present.

With `--redis` the demo keeps its scores in its own Redis, and its panel has a button to stop it.

Without NOTEBOOK it opens a new copy of the live demo, because JupyterLab saves the output of cells: the
checkout stays unchanged, and the copy keeps the picture of this demo. A named NOTEBOOK is opened in
place. The news prompt and the update checks are off, so nothing leaves the machine; Ctrl-C ends it
without a question. The first line on stdout is the notebook's URL, the
second its file.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from jupyter_core.paths import jupyter_data_dir
from jupyterlab.labapp import LabApp  # type: ignore[import-untyped]

import cockpit
import loadtest
from cockpit.live.demo import WITH_REDIS

NOTEBOOK = "01_live_demo.ipynb"
QUIET = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
}
FIXED = ("--ServerApp.answer_yes=True", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C; return the exit status (2: no such notebook)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "--redis" in given:
        given.remove("--redis")
        os.environ[WITH_REDIS] = "1"
    named = [argument for argument in given if argument.endswith(".ipynb")]
    try:
        notebook = find_notebook(named[0]) if named else working_copy(find_notebook(None))
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    options = [argument for argument in given if argument not in named]
    with tempfile.TemporaryDirectory(prefix="cockpit-") as folder:
        quiet_jupyter(Path(folder))
        LabApp.load_other_extensions = True
        app = LabApp.initialize_server(
            [
                f"--ServerApp.root_dir={notebook.parent}",
                f"--LabApp.default_url=/lab/tree/{quote(notebook.name)}",
                *FIXED,
                *as_root(),
                *options,
            ]
        )
        print(app.display_url.split()[0], f"saved in {notebook}", sep="\n", flush=True)
        app.start()
    return 0


def as_root() -> list[str]:
    """The option without which JupyterLab refuses to run as root, where this is root (in a container, say)."""
    # It listens on loopback and asks for a token, so a client that gets in has root's token.
    return ["--ServerApp.allow_root=True"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []


def find_notebook(given: str | None) -> Path:
    """Return the notebook `given`, by default the live demo of this folder or of this checkout.

    Raises `FileNotFoundError` with the places searched.
    """
    here = Path.cwd()
    places = [
        here / "notebooks" / NOTEBOOK,
        here / NOTEBOOK,
        Path(cockpit.__file__).resolve().parents[1] / NOTEBOOK,
    ]
    if given is not None:
        places = [here / given]
    for place in places:
        if place.is_file():
            return place.resolve()
    raise FileNotFoundError("no notebook found at " + ", ".join(str(place) for place in places))


def working_copy(notebook: Path) -> Path:
    """Make a copy under the user's Jupyter data (`JUPYTER_DATA_DIR`), in a folder named by the time."""
    shows = Path(jupyter_data_dir()) / "leaderboard-demo"
    shows.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=time.strftime("%Y-%m-%d-%H%M%S-"), dir=shows))
    return Path(shutil.copyfile(notebook, folder / notebook.name))


def quiet_jupyter(folder: Path) -> None:
    """Set this process's environment: defaults without news in `folder`, and a kernel that finds the packages.

    A user's own settings in JupyterLab take precedence.
    """
    (folder / "labconfig").mkdir()
    (folder / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(QUIET), encoding="utf-8")
    _prepend("JUPYTER_CONFIG_PATH", folder)
    # In a checkout that is not installed, the packages are found where this process found them.
    for package in (cockpit, loadtest):
        _prepend("PYTHONPATH", Path(str(package.__file__)).resolve().parents[1])


def _prepend(variable: str, path: Path) -> None:
    earlier = os.environ.get(variable)
    os.environ[variable] = f"{path}{os.pathsep}{earlier}" if earlier else str(path)


if __name__ == "__main__":
    sys.exit(main())
