"""One page of metrics for all workers: each offers its own on a Unix socket, and the one that is asked collects them.

The sockets are in a folder that only this user may enter. Its name comes from the key that a supervisor gives to the
processes it starts, so the workers of one service find each other, and nobody else. A worker has the lowest number
that is free; the number is the name of its socket and the label `worker`, so a worker that is replaced goes on with
the series of the one before. A worker that has ended is left out, and one that does not answer in time is shown as
such: neither delays a page for longer than `PATIENCE_SECONDS`.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import multiprocessing
import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from service.metrics import merged

PATIENCE_SECONDS: Final = 1.0
END: Final = b"# EOF\n"  # ends what a worker sends; without it, the worker ended while it sent

log = logging.getLogger("leaderboard.metrics")


def folder_of_workers() -> Path:
    """The folder of all workers that one supervisor starts. Raises OSError if there is no folder for such things."""
    key = hashlib.sha256(b"metrics" + multiprocessing.current_process().authkey).hexdigest()
    return Path(tempfile.gettempdir()) / f"leaderboard-{key[:16]}"


class MetricsExchange:
    """The place of this worker among several; `own_page` gives its page, labelled with its number.

    Where one worker serves alone, its page is all there is, without a label.
    """

    def __init__(
        self,
        own_page: Callable[[str | None], bytes],
        *,
        workers: int,
        folder: Callable[[], Path] = folder_of_workers,
    ) -> None:
        self._own_page = own_page
        self._alone = workers == 1
        self._folder = folder
        self._place: Path | None = None  # the path of the socket; None where there is no exchange
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Take a number and offer the page; where that cannot be, log a line, and show the own figures alone."""
        if self._alone:
            return
        try:
            listener, self._place = _take_place(self._folder())
        except (OSError, AttributeError, ImportError) as error:  # the last two: a system without Unix sockets
            log.warning(
                "/metrics shows one worker only, as the workers cannot reach each other: %s",
                error,
                extra={"event": "metrics-apart"},
            )
            return
        self._server = await asyncio.start_unix_server(self._offer, sock=listener)

    async def stop(self) -> None:
        """Give the number back."""
        if self._server is None or self._place is None:
            return
        with suppress(OSError):  # somebody has removed the folder
            _leave(self._place)
        self._server.close()

    async def page(self) -> bytes:
        """The figures of all workers."""
        if self._place is None:
            return self._own_page(None)
        others = [path for path in self._place.parent.glob("*.sock") if path != self._place]
        answers = await asyncio.gather(*map(_ask, others))
        pages = dict(zip((path.stem for path in others), answers, strict=True))
        pages[self._place.stem] = self._own_page(self._place.stem)
        found = {worker: page for worker, page in sorted(pages.items()) if page is not None}
        return merged([_who_answered(found), *found.values()])

    async def _offer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._place is not None
        with suppress(OSError):  # whoever asked is gone
            writer.write(self._own_page(self._place.stem) + END)
            await writer.drain()
        writer.close()


async def _ask(path: Path) -> bytes | None:
    """The page of the worker there: an empty one if it does not answer in time, None if there is no worker."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                answer = await reader.read(-1)
            finally:
                writer.close()
    except TimeoutError:
        return b""
    except OSError:
        return None
    return answer.removesuffix(END) if answer.endswith(END) else None


def _who_answered(pages: dict[str, bytes]) -> bytes:
    lines = [f'leaderboard_worker_up{{worker="{worker}"}} {int(bool(page))}\n' for worker, page in pages.items()]
    help_text = "1 if the worker's figures are on this page, 0 if it did not answer in time"
    return f"# HELP leaderboard_worker_up {help_text}\n# TYPE leaderboard_worker_up gauge\n{''.join(lines)}".encode()


def _take_place(folder: Path) -> tuple[socket.socket, Path]:
    """A socket that listens under the lowest free number in the folder. Raises OSError."""
    with _alone_in(folder):
        number = 0
        while not _is_free(folder / f"{number}.sock"):
            number += 1
        path = folder / f"{number}.sock"
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(path))
            listener.listen()
        except OSError:
            listener.close()
            raise
        return listener, path


def _leave(place: Path) -> None:
    """Free the number, and remove the folder after the last worker. Raises OSError."""
    with _alone_in(place.parent):
        place.unlink()
        for other in place.parent.glob("*.sock"):
            if _is_free(other):  # of a worker that was killed
                other.unlink(missing_ok=True)
        with suppress(OSError):  # others are there
            place.parent.rmdir()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Make the folder if it is missing, and keep others from taking or freeing a number. Raises OSError."""
    import fcntl  # noqa: PLC0415 - not on every system

    while True:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:  # the last worker has just left
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            held = os.fstat(handle)
            if held.st_uid != os.getuid() or stat.S_IMODE(held.st_mode) & 0o077:
                raise PermissionError(errno.EPERM, "expected a folder of this user alone", str(folder))
            if _is_still(folder, held):
                yield
                return
        finally:
            os.close(handle)


def _is_still(folder: Path, held: os.stat_result) -> bool:
    """Whether the folder is the one that is held, and not one that was made after the last worker had left."""
    try:
        return os.path.samestat(folder.stat(), held)
    except FileNotFoundError:
        return False


def _is_free(path: Path) -> bool:
    """Whether no process listens there."""
    with socket.socket(socket.AF_UNIX) as asker:
        asker.setblocking(False)
        try:
            with suppress(BlockingIOError):  # one does, but has not taken the connections before
                asker.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return True
    return False
