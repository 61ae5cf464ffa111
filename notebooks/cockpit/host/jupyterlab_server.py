"""JupyterLab on a notebook, ready to present: a working copy, no news, no questions.

JupyterLab saves the output of cells, so the live demo is opened as a copy: the checkout stays unchanged, and the
copy keeps the picture of this demo. A named notebook is opened in place. The news prompt, the update checks and the
search for extensions are off, so nothing leaves the machine; Ctrl-C ends it without a question.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_core.paths import jupyter_data_dir

import loadtest
from cockpit.host.processes import WITH_REDIS

HERE = Path(__file__).resolve()
NOTEBOOK = "01_live_demo.ipynb"
QUIET = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
}
UNTIL_PARENT_ENDS = "--until-parent-ends"
LOOK_EVERY = 0.25  # seconds
FIXED = (
    "--ServerApp.answer_yes=True",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",  # the other one asks a package index, and takes time to load
)


def serve(given: list[str]) -> int:
    """Run until Ctrl-C; return the exit status (2: no such notebook)."""
    if "--redis" in given:
        given.remove("--redis")
        os.environ[WITH_REDIS] = "1"
    if UNTIL_PARENT_ENDS in given:
        given.remove(UNTIL_PARENT_ENDS)
        threading.Thread(target=end_with_parent, args=(os.getppid(),), name="parent", daemon=True).start()
    named = [argument for argument in given if argument.endswith(".ipynb")]
    try:
        notebook = find_notebook(named[0]) if named else working_copy(find_notebook(None))
    except FileNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    options = [argument for argument in given if argument not in named]
    with tempfile.TemporaryDirectory(prefix="cockpit-") as folder:
        quiet_jupyter(Path(folder))
        lab = lab_app()
        lab.load_other_extensions = True
        app = lab.initialize_server(
            [
                f"--ServerApp.root_dir={notebook.parent}",
                f"--LabApp.default_url=/lab/tree/{quote(notebook.name)}",
                *FIXED,
                *as_root(),
                *options,
            ]
        )
        # Without a terminal JupyterLab would take Ctrl-C for an exception, raised wherever it is, and end as it stands.
        app.io_loop.add_callback(signal.signal, signal.SIGINT, lambda *_: signal.raise_signal(signal.SIGTERM))
        print(app.display_url.split()[0], f"saved in {notebook}", sep="\n", flush=True)  # noqa: T201 - a command prints
        app.start()
    return 0


def lab_app() -> Any:
    """JupyterLab's application class, which takes seconds to load."""
    # The checker of its schemas builds 38 parsers for international addresses, if it finds the package. No schema of
    # JupyterLab has one, and the parsers are two thirds of those seconds.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from jupyterlab.labapp import LabApp  # type: ignore[import-untyped]  # noqa: PLC0415 - only who serves waits for it

    return LabApp


def end_with_parent(parent: int) -> None:
    """Ask this process to stop, as SIGTERM does, when its parent is no longer the process with this id."""
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGTERM)


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
        HERE.parents[2] / NOTEBOOK,
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
    try:
        shows.mkdir(parents=True, exist_ok=True)
        folder = _folder_in(shows)
    except OSError as error:
        folder = _folder_in(None)
        sys.stderr.write(f"expected a folder that can be written to, got {shows} ({error.strerror}): using {folder}\n")
    return Path(shutil.copyfile(notebook, folder / notebook.name))


def _folder_in(parent: Path | None) -> Path:
    """Make a folder named by the time; without a parent among the temporary files."""
    return Path(tempfile.mkdtemp(prefix=time.strftime("%Y-%m-%d-%H%M%S-"), dir=parent))


def quiet_jupyter(folder: Path) -> None:
    """Set this process's environment: defaults without news in `folder`, and a kernel that finds the packages.

    A user's own settings in JupyterLab take precedence.
    """
    (folder / "labconfig").mkdir()
    (folder / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(QUIET), encoding="utf-8")
    _prepend("JUPYTER_CONFIG_PATH", folder)
    # In a checkout that is not installed, the packages are found where this process found them.
    for place in (HERE.parents[2], Path(str(loadtest.__file__)).resolve().parents[1]):
        _prepend("PYTHONPATH", place)


def _prepend(variable: str, path: Path) -> None:
    earlier = os.environ.get(variable)
    os.environ[variable] = f"{path}{os.pathsep}{earlier}" if earlier else str(path)
