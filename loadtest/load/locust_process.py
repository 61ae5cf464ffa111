"""`python -P locust_process.py OPTIONS`: Locust, with these options alone.

`python -m locust` adds the options of a locust.conf in the home folder and of a locust.conf or pyproject.toml in the
current one, which belong to other tests. And it takes a comma in the path of a locustfile for the end of it.

With `--until-stdin-closes` it ends with its owner, even one that is killed: its stdin is a pipe that the owner holds.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

UNTIL_STDIN_CLOSES = "--until-stdin-closes"
PATIENCE = 5.0  # seconds to end, once the owner has ended
_sleep = time.sleep  # before gevent replaces it


def without_commas(arguments: list[str], folder: str) -> list[str]:
    """The arguments, with a link in the folder in place of each file that has a comma in its path."""
    return [_linked(one, folder) if "," in one and Path(one).is_file() else one for one in arguments]


def _linked(file: str, folder: str) -> str:
    link = Path(folder, Path(file).name)
    link.symlink_to(Path(file).resolve())
    return str(link)


def end_with_owner() -> None:
    """When stdin closes, end this process and those of its group: at first politely, then by force."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    _sleep(PATIENCE)
    os.killpg(os.getpgid(0), signal.SIGKILL)


def main() -> None:
    """Run Locust, which ends the process."""
    if UNTIL_STDIN_CLOSES in sys.argv:
        sys.argv.remove(UNTIL_STDIN_CLOSES)
        # A thread of the system: gevent turns those of `threading` into greenlets, which a loop that hangs stops.
        _thread.start_new_thread(end_with_owner, ())
    from locust import argument_parser, main  # noqa: PLC0415 - importing it patches this process

    for parser in (argument_parser.get_empty_argument_parser, argument_parser.get_parser):
        # It has no option for this; the files are named by the default of the one parameter that differs.
        files = argument_parser.DEFAULT_CONFIG_FILES
        parser.__defaults__ = tuple(() if default == files else default for default in parser.__defaults__ or ())
    with tempfile.TemporaryDirectory(prefix="locustfile-", ignore_cleanup_errors=True) as folder:
        sys.argv[1:] = without_commas(sys.argv[1:], folder)
        main.main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
