"""`python -m cockpit [--redis] [NOTEBOOK] [JupyterLab options]`: JupyterLab on the live demo, ready to present."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from cockpit import PACKAGES, how_to_install
from loadtest.report.console import end_quietly_on_interrupt

USAGE = """\
usage: python -m cockpit [--redis] [--until-parent-ends] [NOTEBOOK] [JupyterLab options]

Open JupyterLab on a new copy of the live demo, or on the named NOTEBOOK, in place. The first line on stdout is the
notebook's URL, the second its file. Ctrl-C ends it.

  --redis              demos keep their scores in a Redis of their own, and their panel has a button to stop it
  --until-parent-ends  end when the process that started this one does, however that ends

`jupyter lab --help` shows the options of JupyterLab, like --no-browser and --port.
"""
WRONG_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C; return the exit status (2: no such notebook, or a package is missing)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(given):
        sys.stdout.write(USAGE)
        return 0
    # What only a kernel would miss, later, is missed here; found but not imported, as Locust patches sockets.
    for name in PACKAGES:
        if find_spec(name) is None:
            return _missing(name)
    try:
        from cockpit.host import jupyterlab_server  # noqa: PLC0415 - the help needs no extra
    except ModuleNotFoundError as missing:
        return _missing(missing.name)
    return jupyterlab_server.serve(given)


def _missing(package: str | None) -> int:
    sys.stderr.write(f"{how_to_install(package)}\n")
    return WRONG_USAGE


if __name__ == "__main__":
    end_quietly_on_interrupt()  # JupyterLab heeds Ctrl-C itself once it serves
    sys.exit(main())
