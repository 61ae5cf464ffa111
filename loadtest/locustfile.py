"""The swarm as a locustfile.

    locust -f loadtest/locustfile.py --web-host 127.0.0.1 --host http://127.0.0.1:8000
    locust -f loadtest/locustfile.py --headless --users 200 --spawn-rate 100 --run-time 30s

Locust owns the users, its web UI, its processes and its options; the coordinator owns the
measurement. With `--headless` and without `--host`, a service is started for the run.

`--host` may name several services, separated by commas; the players are spread over them.

Locust answers `--help` before it reads this file, so that help lacks the swarm's options;
`--help-all` shows them.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import sys
from pathlib import Path
from typing import Any

import gevent
import psutil
from locust import User, events, tag, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import STATE_INIT, WorkerRunner
from locust.stats import CSV_STATS_INTERVAL_SEC

from loadtest import access, locust_tab
from loadtest.load.locust_stats import count_finely
from loadtest.load.run_phases import Coordinator
from loadtest.plan import run_spec
from loadtest.plan.run_spec import RunSpec
from loadtest.replay import score_log
from loadtest.report.console import make_printable, say, tell
from loadtest.report.run_file import Unwritable
from loadtest.swarm.player import Player
from loadtest.target import http_api
from loadtest.target.open_files import TooManySockets, raise_file_limit
from loadtest.target.processes import Service

_WRONG_USAGE = 2
_WORKERS_END_WITHIN = 1.0  # seconds
_coordinators: dict[int, Coordinator] = {}  # by id of the environment: one per process
_services: list[Service] = []
_hooks: Any = events  # Locust's hooks are untyped


class QuizPlayer(User):
    """A person who joins the session, scores on schedule, and sees every board."""

    player: Player | None = None

    def on_start(self) -> None:
        """Join, unless the run was refused, which is about to end."""
        swarm = _coordinators[id(self.environment)].swarm
        if swarm is not None:
            self.player = swarm.player()
            self.player.join()

    @tag("score", "watch")
    @task
    def play(self) -> None:
        """Score until the schedule ends, then stay and watch."""
        if self.player is not None:
            self.player.play()
        while True:
            gevent.sleep(3600)

    def on_stop(self) -> None:
        """Leave the session."""
        if self.player is not None:
            self.player.leave()


def _add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument(
        "--help-all", action="help", include_in_web_ui=False, help="show all options, including the swarm's, and exit"
    )
    # On the parser itself, not in a group: the web UI offers only those.
    run_spec.add_options(parser, "locust")


def _begin(environment: Environment, **_: Any) -> None:
    make_printable()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # or each look at the service would be a line of Locust's log
    options: Any = environment.parsed_options
    # A worker is told with each run what to do, by the one that leads and has checked it.
    follows = isinstance(environment.runner, WorkerRunner)
    try:
        raise_file_limit(0 if follows else options.num_users or 0)
        service_pid = 0 if follows else _lead(environment, options)
    except (ValueError, TooManySockets, http_api.Unreachable) as error:
        say(f"loadtest: {error}")
        sys.exit(_WRONG_USAGE)
    count_finely()
    coordinator = _coordinators[id(environment)] = Coordinator(environment, say, service_pid=service_pid)
    if environment.web_ui is not None:
        locust_tab.add_to(environment.web_ui, coordinator)
    _follow_tests(environment)


def _lead(environment: Environment, options: Any) -> int:
    """Check what is asked for, and start a service where none is named; return the id of its process, or 0.

    Raises ValueError and `http_api.Unreachable`.
    """
    spec = RunSpec.from_options(options, "locust", processes=1)
    spec.parsed_gates()
    access.use(spec.headers, spec.ca_file, spec.player_secret)
    if not options.headless:  # a person may name another host
        return spec.service_pid
    for url in http_api.split(environment.host or ""):
        http_api.identify(url)
    if environment.host:
        return spec.service_pid
    service = Service(run_spec.service_options(spec))
    _services.append(service)
    environment.host = service.url
    say(f"started a service at {service.url}")
    return service.pid


def _follow_tests(environment: Environment) -> None:
    """Take part in every test from now on, and in one that has begun."""
    _hooks.test_start.add_listener(_start)
    _hooks.test_stopping.add_listener(_finish)
    _hooks.quitting.add_listener(_finish)
    _hooks.quit.add_listener(_end)
    runner: Any = environment.runner
    if isinstance(runner, WorkerRunner) and runner.worker_state != STATE_INIT:
        # A worker hears its master from the welcome on, which on a busy machine is long before Locust's `init`.
        _start(environment)


def _end_workers() -> None:
    """End what this process started and leaves behind: Locust forgets workers that do not end at once."""
    _, left = psutil.wait_procs(psutil.Process().children(), timeout=_WORKERS_END_WITHIN)
    for worker in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


def _start(environment: Environment, **_: Any) -> None:
    try:
        _coordinators[id(environment)].start()
    except (ValueError, score_log.Unreadable, Unwritable) as error:
        say(f"loadtest: {error}")
        environment.process_exit_code = _WRONG_USAGE
        runner: Any = environment.runner
        gevent.spawn(runner.quit)


def _finish(environment: Environment, **_: Any) -> None:
    coordinator = _coordinators[id(environment)]
    coordinator.finish()


def _end(**_: Any) -> None:
    """Print our page after Locust's tables, so that it is what stays on the screen."""
    for coordinator in _coordinators.values():
        options: Any = coordinator.environment.parsed_options
        if coordinator.page and options.html_file and (report := Path(options.html_file)).exists():
            report.write_text(locust_tab.with_verdict(report.read_text("utf-8"), coordinator.page), "utf-8")
        if coordinator.page and coordinator.headless:
            tell(coordinator.page)
        if not coordinator.is_worker and options.csv_prefix:
            gevent.sleep(2 * CSV_STATS_INTERVAL_SEC)  # until Locust has written the last pairs
    for service in _services:
        service.stop()


atexit.register(_end_workers)  # after what Locust does at the end, which it registers later
_hooks.init_command_line_parser.add_listener(_add_options)
_hooks.init.add_listener(_begin)
