"""`python -m chaos` (with `tests` on the path): break everything around the store, and count.

    swarm → workers → a proxy each → Redis        faults hit each of them

Exit status: 0 when nothing was lost, nothing counted twice, and no frame broke the promise; 3 when
something was; 4 when the time was over before all of it was played.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import uvloop
from chaos.account import Account, audit, settle
from chaos.faults import Hands, schedule
from chaos.mutations import STORES, environment
from chaos.proxy import Proxy
from chaos.report import render, summary
from chaos.swarm import Swarm
from chaos.timeline import Timeline
from chaos.workers import Worker

from loadtest.target.processes import RedisServer

RESERVE = 45.0  # seconds of the time limit that are kept for the end
STEP_LIMIT = 15.0  # seconds until all workers have to be in step again
WRONG, UNFINISHED = 3, 4  # exit status
CONTROL_LIMIT = 3.0  # a control need not come back, so waiting for it is for nothing


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--workers", type=int, default=3, help="processes of the service (default 3)")
    parser.add_argument("--faults", type=int, default=200, help="default 200")
    parser.add_argument("--updates", type=int, default=200_000, help="answered updates at least (default 200000)")
    parser.add_argument("--seed", type=int, default=1, help="of faults and players (default 1)")
    parser.add_argument("--store", choices=["ours", *STORES], default="ours", help="ours, or a control (default ours)")
    parser.add_argument("--players", type=int, default=40, help="default 40")
    parser.add_argument("--seats", type=int, default=60, help="sockets of all players (default 60)")
    parser.add_argument("--rate", type=float, default=700, help="most updates a second (default 700)")
    parser.add_argument("--minutes", type=float, default=10, help="the run ends itself by then (default 10)")
    parser.add_argument("--binary", help="the Redis server's program, else the one that is found")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--verbose", action="store_true", help="say each fault as it comes")
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """One run; return its figures."""
    began = time.monotonic()
    faults_end = began + 60 * options.minutes - RESERVE
    strict = options.store == "ours"
    limit = STEP_LIMIT if strict else CONTROL_LIMIT
    timeline = Timeline()
    async with AsyncExitStack() as stack, asyncio.timeout(60 * options.minutes):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        redis = await asyncio.to_thread(RedisServer, folder, binary=options.binary, tcp=True)
        stack.push_async_callback(asyncio.to_thread, redis.stop, save=False)
        workers = []
        for number in range(options.workers):
            proxy = await stack.enter_async_context(Proxy(redis.port, redis.password))
            workers.append(Worker(number, proxy, options.players, environment(options.store)))
            stack.push_async_callback(workers[-1].stop)
        await asyncio.gather(*(worker.start() for worker in workers))
        swarm = Swarm(
            workers, timeline, players=options.players, seats=options.seats, rate=options.rate, seed=options.seed
        )
        stack.push_async_callback(swarm.stop)
        await swarm.start()
        hands = Hands(
            redis=redis,
            folder=folder,
            workers=workers,
            swarm=swarm,
            timeline=timeline,
            seed=options.seed,
            strict=strict,
            limit=limit,
        )
        for fault in schedule(options.seed, options.faults, options.workers):
            if time.monotonic() > faults_end:
                break
            if options.verbose:
                print(f"{timeline.at(time.monotonic()):>8} {fault}", flush=True)
            await hands.play(fault)
        while swarm.acked < options.updates and time.monotonic() < faults_end:
            await asyncio.sleep(0.1)
        if not await swarm.calm(STEP_LIMIT):
            swarm.findings.add("unanswered", "", f"{swarm.unanswered} updates got no answer within {STEP_LIMIT:g} s")
        after, state, scores = await settle(workers, redis.url, limit)
        swarm.check_second_answers()
        account = Account(after, state)
        audit(swarm, scores, account)
        logs = {worker.number: worker.log for worker in workers}
    figures = collect(options, swarm, hands, account)
    figures["seconds"] = time.monotonic() - began
    figures["logs"] = {} if figures["passed"] else logs
    return figures


def collect(options: argparse.Namespace, swarm: Swarm, hands: Hands, account: Account) -> dict[str, Any]:
    """All figures of a run, and whether it passed."""
    faults = sum(hands.counts.values())
    finished = faults >= options.faults and swarm.acked >= options.updates
    wrong = bool(account.lost or account.doubled or swarm.findings.counts or account.converged_after is None)
    return {
        "passed": finished and not wrong,
        "wrong": wrong,
        "finished": finished,
        "options": {name: str(value) for name, value in vars(options).items()},
        "faults": {kind.value: count for kind, count in hands.counts.items()},
        "in step after": {
            **{kind.value: summary(times) for kind, times in hands.recovery.items()},
            "all": summary(chain.from_iterable(hands.recovery.values())),
        },
        "acknowledged": swarm.acked,
        "counts": dict(swarm.counts),
        "frames checked": swarm.frames,
        "uncertain": sum(len(player.uncertain) for player in swarm.players),
        "killed soft": hands.killed_soft,
        "killed degraded": hands.killed_degraded,
        "latency": {name: summary(values) for name, values in swarm.latency.items()},
        "findings": dict(swarm.findings.counts),
        "examples": swarm.findings.examples,
        "account": asdict(account),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, report, and return the exit status."""
    options = parse(arguments)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(run(options))
    print(render(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    if figures["wrong"]:
        return WRONG
    return 0 if figures["passed"] else UNFINISHED


if __name__ == "__main__":
    sys.exit(main())
