"""One run over all generator processes: connect, warm up, measure, drain, judge.

Locust starts and stops users; this decides what that means for the measurement. The process that
Locust calls local or master leads: it knows when all players are in, says when measuring begins,
gathers what the workers counted, and writes the file and the verdict. Each worker runs a
`Swarm` and reports its seconds with Locust's own reports, its totals at the end.

    all joined ── warm-up ──┬────────── measured ──────────┬── drain ─── verdict
                          begins                          ends

An update belongs to the measured time by its *intended* time, whenever it was sent or shown.
Each process takes the two moments from its own clock, as all its latencies.
"""

from __future__ import annotations

import gc
import itertools
import secrets
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, cast

import gevent
import gevent.event
from locust.env import Environment
from locust.runners import HEARTBEAT_DEAD_INTERNAL, STATE_MISSING, MasterRunner, WorkerRunner

from loadtest import access
from loadtest.judge.gates import MOMENT, Judgement, cut_short, judge
from loadtest.load.locust_stats import LocustStats
from loadtest.load.machine_and_versions import this_environment, this_system
from loadtest.load.silent_workers import LOST_AFTER, SilentWorkers
from loadtest.measure.cpu_waiting import NOTABLE, in_words
from loadtest.measure.metrics import lower_bounds, metrics, relieved_bounds
from loadtest.measure.resource_usage import Meter
from loadtest.measure.run_totals import COURSES, JUDGED_COURSES, Second, Tally
from loadtest.plan.run_spec import RunSpec
from loadtest.plan.scenarios import scenario_of
from loadtest.report.run_file import RunFile, Unwritable
from loadtest.report.run_path import release, reserve
from loadtest.report.text import progress, summary
from loadtest.swarm.swarm import Swarm
from loadtest.target import http_api

CONNECT_PATIENCE: Final = 30.0  # seconds beyond the time that spawning takes
GATHER_PATIENCE: Final = 40.0  # seconds that workers may take to settle and report
SLICES: Final = 10  # of a second, in which it is read who waited for a CPU
BACKLOG: Final = 10_000  # boards and pairs, that are resolved before the second ends: more would hold up the loop
# Of the options that Locust hands from the master to its workers:
SPEC_OPTION: Final = "run_spec"
SYSTEM_OPTION: Final = "run_system"  # whose process ids are those of the spec
LATE_START: Final = 1.0  # seconds by which a worker may begin later than the master
LATEST_REPORT: Final = 6.0  # seconds for which a second waits for a process that has not reported it
assert LOST_AFTER < -HEARTBEAT_DEAD_INTERNAL  # heartbeats, one a second


@dataclass(slots=True)
class _LedRun:
    """What the leader knows of the run under way."""

    spec: RunSpec
    facts: dict[str, Any]
    file: RunFile
    silent: SilentWorkers
    began: float = field(default_factory=time.monotonic)
    joined: dict[str, int] = field(default_factory=dict)  # worker → players, those included that were refused for good
    seconds: dict[int, Second] = field(default_factory=dict)
    reports: Counter[int] = field(default_factory=Counter)  # second → processes that have reported it
    tallies: dict[str, Tally] = field(default_factory=dict)
    meters: list[Meter] = field(default_factory=list)  # of the service, one for each address
    begins: float = float("inf")  # Unix seconds of the measured time, by this process' clock
    ends: float = float("inf")
    loads: dict[int, dict[str, dict[str, float]]] = field(default_factory=dict)  # second → address → what it used
    greenlets: list[gevent.Greenlet] = field(default_factory=list)


class Coordinator:
    """Leads the run, or follows the one that leads; one for each process of Locust."""

    def __init__(self, environment: Environment, say: Callable[[str], None], *, service_pid: int = 0) -> None:
        self.environment = environment
        # Locust declares it as optional; once its `init` was told, it is there.
        self._runner = cast("Any", environment.runner)
        self._service_pid = service_pid
        self._secret: dict[str, str] = {}  # a URL as it is shown → with its password
        self._take_urls()
        self._stats = LocustStats(environment)
        self.swarm: Swarm | None = None
        self.judgement: Judgement | None = None
        self.measured: dict[str, float | None] = {}  # the metrics of the last run,
        self.lower: dict[str, float] = {}  # and their lower bounds
        self.page = ""  # the summary of the last run
        self.so_far = Second(0, "")  # all seconds of the last run together
        self._say = say
        self._run: _LedRun | None = None
        self._finished = True
        self._finishing = gevent.event.Event()
        self._finishing.set()
        self.is_worker = isinstance(self._runner, WorkerRunner)
        if self.is_worker:
            self._runner.register_message("swarm-play", self._on_play)
            self._runner.register_message("swarm-finish", self._on_finish, concurrent=True)
        elif self._is_master:
            self._runner.register_message("swarm-joined", self._on_joined)
            self._runner.register_message("swarm-result", self._on_result)
            self._runner.register_message("swarm-second", self._on_second)

    @property
    def _is_master(self) -> bool:
        return isinstance(self._runner, MasterRunner)

    @property
    def _options(self) -> Any:
        """Locust's options, which its web UI changes, and which a run replaces."""
        return self.environment.parsed_options

    @property
    def headless(self) -> bool:
        """Whether nobody watches in a browser."""
        return bool(self._options.headless)

    # The course of a run

    def start(self) -> None:
        """A test starts: in the leader make the run, in each process with users make the swarm."""
        self.swarm = None  # nobody plays if this run is refused
        if self.is_worker:
            given = getattr(self._options, SPEC_OPTION, None)
            if given is None:  # the leader was refused, and is about to end
                return
            spec = RunSpec.from_dict(given)
            if getattr(self._options, SYSTEM_OPTION, None) != this_system():
                spec = replace(spec, service_pid=0)  # here it is another process
            access.use(spec.headers, spec.ca_file, spec.player_secret)
        else:
            spec = self._spec()
            self._run = self._begin_run(spec)
        self._finished = False
        self._finishing.clear()
        if self._is_master:
            # Locust hands the master's options to its workers, also to one that comes later.
            handed = {SPEC_OPTION: spec.to_dict(), SYSTEM_OPTION: this_system()}
            self.environment.parsed_options = Namespace(**{**vars(self._options), **handed})
        else:
            self.swarm = Swarm(
                urls=spec.urls,
                session_id=spec.session,
                scenario=scenario_of(spec),
                stream=self._runner.worker_index if self.is_worker else 0,
                stamps=spec.kernel_stamps,
                on_request=self._stats.request,
                on_pairs=self._stats.pairs,
                service_pid=spec.service_pid,
            )
            gevent.spawn(self._count_seconds, self.swarm)
            if self.is_worker:
                gevent.spawn(self._tell_joined, self.swarm)

    def _spec(self) -> RunSpec:
        """What the run that starts now is asked to do. Raises ValueError for what cannot be played."""
        options = self._options
        urls = self._take_urls()
        if not urls:
            raise ValueError("expected a service to send players to, --host http://…, got none")
        asked = self._runner.target_user_count or options.num_users or 1
        spec = RunSpec.from_options(
            options,
            "locust",
            players=asked,
            urls=tuple(urls),
            processes=self._runner.worker_count if self._is_master else 1,
            session=options.session or f"load-{secrets.token_hex(4)}",
            player_secret=access.player_secret(),  # the same for all generators, and for the next run
            service_pid=self._service_pid,
        )
        scenario = scenario_of(spec)
        if scenario.members and asked < scenario.members:
            raise ValueError(f"expected --users {scenario.members}, one per user of the log, got {asked}")
        return replace(spec, duration=spec.duration or scenario.lasts or 0.0)

    def _take_urls(self) -> list[str]:
        """The services' URLs; Locust keeps them without passwords, as its page and its files show them."""
        named = http_api.split(self.environment.host or "")
        self._secret |= {access.shown(url): url for url in named if access.shown(url) != url}
        self.environment.host = ",".join(map(access.shown, named)) or None
        return [self._secret.get(access.shown(url), url) for url in named]

    def finish(self) -> None:
        """The test stops: let the last updates arrive, then close the books. Blocks; the second call does nothing."""
        if self._finished:
            # An event that is set lets nobody pass while it has to tell another waiter, which may have been killed.
            if not self._finishing.is_set():
                self._finishing.wait(GATHER_PATIENCE)
            return
        self._finished = True
        ended = time.monotonic()
        try:
            if self.swarm is not None:
                self._drain_swarm(self.swarm)
            if not self.is_worker:
                self._close_run(ended)
        finally:
            self._finishing.set()

    def _drain_swarm(self, swarm: Swarm) -> None:
        swarm.stop_scoring()
        if swarm.players:
            swarm.drain()
        line = swarm.close_books()
        if self.is_worker:
            self._runner.send_message("swarm-result", {"tally": swarm.tally.to_dict(), "last": line.to_dict()})
        elif self._run is not None:
            self._take_second(self._run, line)
            self._run.tallies["local"] = swarm.tally

    def _close_run(self, ended: float) -> None:
        run = self._run
        if run is None:
            return
        for greenlet in run.greenlets:
            if greenlet is not gevent.getcurrent():
                greenlet.kill(block=False)
        if self._is_master:
            self._runner.send_message("swarm-finish")
            self._gather(run)
        tally = Tally()
        for one in run.tallies.values():
            tally.merge(one)
        tally.service = {access.shown(meter.url): meter.total for meter in run.meters}
        # Who was stopped in the web UI is not asked for any more.
        asked = min(run.spec.players or 1, self._runner.target_user_count or run.spec.players or 1)
        named = self.measured = metrics(tally, asked)
        self.lower = lower_bounds(tally)
        self._run = None
        short = self._cut_short(run, tally.seconds, ended - run.began)
        short += [f"{self._generator(worker)} did not report its totals" for worker in run.joined.keys() - run.tallies]
        self.judgement = judge(
            named, run.spec.parsed_gates(), wrong=tally.wrong, lower=self.lower, relieved=relieved_bounds(tally),
            waited=in_words(tally.waited, NOTABLE), short=short,
        )  # fmt: skip
        self._write_seconds(run, final=True)
        run.file.end(tally, named, self.judgement)
        self.environment.process_exit_code = int(self.judgement.verdict)
        self.page = summary(run.facts, tally, named, self.judgement) + f"\n {run.file.trouble or run.file.path}\n"
        if not self.headless:
            self._say(self.page)

    def _cut_short(self, run: _LedRun, measured: float, lasted: float) -> list[str]:
        """Why a run that lasted so many seconds, connecting included, measured too few to be judged."""
        run_time = float(self._options.run_time or 0)
        left = run_time - lasted
        if run.spec.duration:
            by = "--run-time ended the run" if run_time and left <= MOMENT else "interrupted"
            if run.silent.lost(time.monotonic()):
                by = "a generator was lost"
            return cut_short(measured, run.spec.duration, by)
        # Without --measure it would have measured until --run-time.
        return cut_short(measured, measured + left if left > MOMENT else None)

    # What the leader does

    def _begin_run(self, spec: RunSpec) -> _LedRun:
        path = reserve(spec.out, spec.scenario)
        facts: dict[str, Any] = {
            "started": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "scenario": spec.scenario,
            "target": ",".join(map(access.shown, spec.urls)),
            "session": spec.session,
            "arguments": spec.recorded(),
            "environment": this_environment(),
        }
        file = RunFile(path)
        try:
            file.begin(facts)
        except Unwritable:
            release(path)
            raise
        self.so_far = Second(0, "")
        pids = {0: spec.service_pid or None}
        meters = [Meter(url, pids.get(number)) for number, url in enumerate(spec.urls)]
        run = _LedRun(spec, facts, file, SilentWorkers(self._missing), meters=meters)
        run.greenlets = [gevent.spawn(self._direct, run), gevent.spawn(self._watch_service, run)]
        if self._is_master:
            run.greenlets.append(gevent.spawn(self._watch_workers, run))
        return run

    def _direct(self, run: _LedRun) -> None:
        """Wait for all players, then let them play; after the measured time stop the test."""
        spec, players = run.spec, run.spec.players or 1
        patience = time.monotonic() + players / spec.spawn_rate + CONNECT_PATIENCE
        while self._joined(run) < players and time.monotonic() < patience:
            gevent.sleep(0.05)
        # What lives now lives to the end: a full collection would only stop the loop for it.
        gc.collect()
        gc.freeze()
        if self._finished:  # stopped while players connected
            return
        origin = time.time()
        run.begins = origin + spec.warm_up
        run.ends = run.begins + (spec.duration or float("inf"))
        run.greenlets.append(gevent.spawn(self._mark_faults, run, origin))
        if self._is_master:
            self._runner.send_message("swarm-play", {"warm_up": spec.warm_up, "measure": spec.duration or None})
        if self.swarm is not None:
            self.swarm.play(warm_up=spec.warm_up, measure=spec.duration or None)
        if spec.duration:
            # Workers begin a moment later and end by their own clocks.
            gevent.sleep(spec.warm_up + spec.duration + (LATE_START if self._is_master else 0.0))
            self._end_test()

    def _end_test(self) -> None:
        if self.headless:
            self._runner.quit()
        else:
            self._runner.stop()

    def _mark_faults(self, run: _LedRun, origin: float) -> None:
        for offset, what in scenario_of(run.spec).faults():
            gevent.sleep(max(origin + offset - time.time(), 0.0))
            if origin + offset >= run.ends:
                return
            run.file.mark(time.time(), what)

    def _watch_service(self, run: _LedRun) -> None:
        """Once a second read what the service used; note when its process stops and goes on."""
        while True:
            gevent.sleep(1.0 - time.time() % 1.0)
            for meter in run.meters:
                now, ran = time.time(), meter.runs
                load = meter.read(now, measured=run.begins <= now - 0.5 <= run.ends)
                if load is not None:
                    run.loads.setdefault(int(now), {})[access.shown(meter.url)] = load
                if meter.runs != ran:
                    run.file.mark(now, "the service goes on" if meter.runs else "the service is stopped")

    def _joined(self, run: _LedRun) -> int:
        return self.swarm.decided if self.swarm is not None else sum(run.joined.values())

    def _take_second(self, run: _LedRun, second: Second) -> None:
        for name in (*COURSES, *JUDGED_COURSES):
            getattr(self.so_far, name).merge(getattr(second, name))
        self.so_far.owed += second.owed
        self.so_far.missed += second.missed
        known = run.seconds.get(second.at)
        run.seconds[second.at] = second if known is None else known.merge(second)
        run.reports[second.at] += 1
        self._write_seconds(run)

    def _write_seconds(self, run: _LedRun, *, final: bool = False) -> None:
        """Write the seconds that every process has reported, in order."""
        for at in sorted(run.seconds):
            if not (final or run.reports[at] >= run.spec.processes or at <= time.time() - LATEST_REPORT):
                return
            second = run.seconds.pop(at)
            # Read over the network it may be a second old.
            second.service = run.loads.pop(at, {}) or run.loads.pop(at - 1, {})
            run.file.second(second)
            self._say(progress(second))

    def _generator(self, worker: str) -> str:
        return f"generator {self._runner.get_worker_index(worker)}"

    def _missing(self) -> set[str]:
        return {worker.id for worker in self._runner.clients.all if worker.state == STATE_MISSING}

    def _gather(self, run: _LedRun) -> None:
        ends = time.monotonic() + GATHER_PATIENCE
        while run.joined.keys() - run.tallies - run.silent.lost(time.monotonic()) and time.monotonic() < ends:
            gevent.sleep(0.02)

    def _watch_workers(self, run: _LedRun) -> None:
        """Tell of workers that fall silent; without one of them the run cannot be judged, so it ends."""
        while True:
            gevent.sleep(0.5)
            for worker, what in run.silent.look(time.monotonic()):
                # Its id has the name of its machine, which is nothing for a file.
                run.file.mark(time.time(), f"{self._generator(worker)} {what}")
                self._say(f"{self._generator(worker)} ({worker}) {what}")
            if run.silent.lost(time.monotonic()):
                self._end_test()
                return

    # What workers say, and what they are told

    def _on_joined(self, environment: Environment, msg: Any, **_: Any) -> None:
        if self._run is not None:
            self._run.joined[msg.node_id] = msg.data

    def _on_result(self, environment: Environment, msg: Any, **_: Any) -> None:
        if self._run is not None:
            self._take_second(self._run, Second.from_dict(msg.data["last"]))
            self._run.tallies[msg.node_id] = Tally.from_dict(msg.data["tally"])

    def _on_second(self, environment: Environment, msg: Any, **_: Any) -> None:
        if self._run is not None:
            self._take_second(self._run, Second.from_dict(msg.data))

    def _on_play(self, environment: Environment, msg: Any, **_: Any) -> None:
        gc.collect()
        gc.freeze()
        if self.swarm is not None:
            self.swarm.play(**msg.data)

    def _on_finish(self, environment: Environment, msg: Any, **_: Any) -> None:
        self.finish()

    def _tell_joined(self, swarm: Swarm) -> None:
        told = -1
        while not self._finished and swarm is self.swarm:
            if swarm.decided != told:
                told = swarm.decided
                self._runner.send_message("swarm-joined", told)
            gevent.sleep(0.1)

    # In every process with players

    def _count_seconds(self, swarm: Swarm) -> None:
        # On the clock's own seconds, so that those of all processes are the same ones; but it may be set meanwhile.
        start = time.monotonic() - time.time() % 1.0
        for number in itertools.count(1):
            gevent.sleep(max(start + number / SLICES - time.monotonic(), 0.0))
            if self._finished or swarm is not self.swarm:
                return
            swarm.read_waiting()
            if number % SLICES:
                if swarm.backlog > BACKLOG:
                    swarm.absorb()
                continue
            line = swarm.second()
            if self.is_worker:
                self._runner.send_message("swarm-second", line.to_dict())
            elif self._run is not None:
                self._take_second(self._run, line)
