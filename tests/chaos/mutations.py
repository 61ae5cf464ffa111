"""Controls: what a chaos run has to find. Each is put into a service before it starts; no source is touched.

`launcher/sitecustomize.py` calls the one that the variable CHAOS_STORE names. An edit that no longer finds
its place ends the service with a line that says so, so that a control never runs unchanged.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

HERE = Path(__file__).parent


def environment(store: str) -> dict[str, str]:
    """The variables with which a service runs on that store; none for ours."""
    if store == "ours":
        return {}
    paths = [HERE / "launcher", HERE.parent, HERE.parents[1], *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {"CHAOS_STORE": store, "PYTHONPATH": os.pathsep.join(str(path) for path in paths if str(path))}


def naive() -> None:
    """The usual design (`naive.py`)."""
    from chaos.naive import NaiveStore

    from service import app
    from service.core.session import SessionRules
    from service.settings import Settings
    from service.stores.base import Store

    def create_store(settings: Settings, *_parts: object) -> Store:
        assert settings.redis_url is not None
        return NaiveStore(
            settings.redis_url, epoch=secrets.token_hex(4), rules=SessionRules(settings.ranking, settings.max_players)
        )

    app.create_store = create_store


def no_seq_guard() -> None:
    """Ours, but a batch is applied whatever its number, also one that comes late and was given up."""
    _edit("apply", "if seq <= last then return 'KNOWN' end\n", "")
    _edit("apply", "if seq > last + 1 then return 'SYNC' end\n", "")
    # Otherwise the lower number would have the row put back as it was, which mends it.
    _edit("apply", "redis.call('HSET', seqs, worker, seq)", "redis.call('HSET', seqs, worker, math.max(seq, last))")


def no_dedupe() -> None:
    """Ours, but no opId is recognised, neither by a process nor by Redis."""
    from service.core.session import OpMemory

    OpMemory.recall = lambda _self, _user_id, _op_id: None
    _edit("apply", "if first then", "if false then")


def no_restore() -> None:
    """Ours, but nobody puts back what Redis has lost."""
    from service.core.pn_counter import Replica

    Replica.newer_than = lambda _self, _reading: []


def _edit(script: str, old: str, new: str) -> None:
    """Let the service run one of its Lua scripts with a change."""
    from service.stores.redis_gateway import SCRIPTS

    if SCRIPTS[script].count(old) != 1:
        sys.exit(f"chaos: expected {old!r} once in {script}.lua, got it {SCRIPTS[script].count(old)} times")
    SCRIPTS[script] = SCRIPTS[script].replace(old, new)


STORES: Final[Mapping[str, Callable[[], None]]] = {
    "naive": naive,
    "no-seq-guard": no_seq_guard,
    "no-dedupe": no_dedupe,
    "no-restore": no_restore,
}
