"""How many sockets this process may open."""

from __future__ import annotations

SPARE_FILES = 64  # descriptors that are no player's


class TooManySockets(Exception):
    """More sockets are wanted than the system lets this process have."""


def raise_file_limit(sockets: int) -> None:
    """Raise the limit of open files to the hard one. Raises `TooManySockets` when that is not enough."""
    try:
        import resource  # noqa: PLC0415 - not on every platform
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = sockets + SPARE_FILES
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise TooManySockets(
            f"expected at most {hard - SPARE_FILES} sockets, as this process may open {hard} files, got {sockets}; "
            f"`ulimit -Hn {needed}` raises the limit (as root, in the shell that starts this)"
        )
