"""The nox sessions: `nox` runs the checks and the default tests; `nox -s demo` opens the demo; `nox -l` lists all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True
nox.needs_version = ">=2025.2.9"

# After Ctrl-C a kernel has to end its service, and a load run has to drain and report what it measured.
PATIENT = {"interrupt_timeout": 15.0, "terminate_timeout": 5.0}
# A test mostly waits for a process or a browser, so three at a time suit two cores. A file is not split: what it
# starts, it starts once. tests/conftest.py orders the files, the longest first.
FILES_AT_A_TIME = ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder", "--durations", "15"]
DEFAULT = ["-m", "not long and not wide and not foreign_browser"]
# Where a shell forbids byte code, each of hundreds of services would be compiled anew.
BYTE_CODE = {"PYTHONDONTWRITEBYTECODE": None}
# Debian's packages, each with a file by which it is known to be there.
SYSTEM = {
    "chromium": "/usr/bin/chromium",
    "fonts-noto-color-emoji": "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
    "fonts-dejavu-core": "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "fonts-liberation": "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "nginx": "/usr/sbin/nginx",
    "haproxy": "/usr/sbin/haproxy",
    "redis-server": "/usr/bin/redis-server",
    "redis-sentinel": "/usr/bin/redis-sentinel",
}
INSTALL_SYSTEM = {"--install-system", "--install-browser"}  # the second is its old name
PROJECT = nox.project.load_toml("pyproject.toml")


def install(session: nox.Session, *extras: str, groups: tuple[str, ...] = ()) -> None:
    """Install this checkout, editable, with its extras and dependency groups."""
    dependencies = nox.project.dependency_groups(PROJECT, *groups)
    session.install("-e", f".[{','.join(extras)}]" if extras else ".", *dependencies)


@nox.session
def check(session: nox.Session) -> None:
    """Lint, formatting, types and import rules."""
    install(session, "all", groups=("check", "test"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-logo")


@nox.session
def tests(session: nox.Session) -> None:
    """Unit, property, contract, end-to-end, notebook and browser tests; `-- --install-system` installs programs."""
    arguments = [one for one in session.posargs if one not in INSTALL_SYSTEM]
    if len(arguments) < len(session.posargs):
        install_system(session)
    install(session, "all", groups=("test",))
    session.run("pytest", *(arguments or [*FILES_AT_A_TIME, *DEFAULT]), env=BYTE_CODE)
    if not arguments:
        name_what_was_not_run(session)


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """Open the live demo in JupyterLab; `-- --redis` adds a Redis to stop; other options go to JupyterLab."""
    install(session, "all")
    session.run("python", "-m", "cockpit", "--until-parent-ends", *session.posargs, **PATIENT)


@nox.session(default=False)
def load(session: nox.Session) -> None:
    """Two hundred players for half a minute against a service started for it; takes the options of `loadtest run`."""
    install(session, "loadtest")
    arguments = session.posargs or ["--players", "200", "--duration", "30s"]
    session.run("python", "-m", "loadtest", "run", "steady", *arguments, **PATIENT)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """The cost of a board here and elsewhere; more: `-- stuck`, `-- service`, `-- churn`, `-- idle`, `-- stores`."""
    install(session, "loadtest", groups=("bench",))
    session.run("python", "-m", "loadtest.bench", *session.posargs)


@nox.session(default=False)
def chaos(session: nox.Session) -> None:
    """Two hundred faults under two hundred thousand updates, over three workers and over one; then the controls."""
    install(session, "all", groups=("test",))
    command = ("python", "-m", "chaos")
    path = {"PYTHONPATH": "tests"}
    if session.posargs:
        session.run(*command, *session.posargs, env=path)
        return
    for workers in ("3", "1"):
        session.run(*command, "--workers", workers, env=path)
    for control in ("naive", "no-seq-guard", "no-dedupe", "no-restore"):
        # A store that is broken on purpose must be detected.
        session.run(
            *command, "--store", control, "--faults", "60", "--updates", "20000", env=path, success_codes=[3],
        )  # fmt: skip


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """A million frames, a million messages, and more, drawn by a seed, against a service; e.g. `-- --minutes 5`."""
    install(session, "loadtest", groups=("test", "fuzz"))
    session.run("python", "-m", "fuzz", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """An hour of play without op ids and one with them: what grows? Then a leak, to be found; e.g. `-- --minutes 5`."""
    install(session, "all", groups=("test",))
    command, path = ("python", "-m", "soak"), {"PYTHONPATH": "tests"}
    if session.posargs:
        session.run(*command, *session.posargs, env=path)
        return
    for ids in ("--no-op-ids", "--op-ids"):
        session.run(*command, ids, env=path)
    session.run(*command, "--leak", "10", env=path, success_codes=[1])


@nox.session(default=False)
def storm(session: nox.Session) -> None:
    """A thousand sockets are cut at once, wait for a restart, come between slow handshakes; e.g. `-- --sockets 200`."""
    install(session, "loadtest", groups=("test",))
    session.run("python", "-m", "storm", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session(default=False)
def flood(session: nox.Session) -> None:
    """What a bystander notices of floods of each kind; then each has to show in a service without bounds."""
    install(session, "loadtest", groups=("test",))
    command, path = ("python", "-m", "flood"), {"PYTHONPATH": "tests"}
    session.run(*command, *session.posargs, env=path)
    if not session.posargs:
        control = ("--server", "unbounded", "--sockets", "5", "--rounds", "1", "--seconds", "2")
        session.run(*command, *control, env=path)


@nox.session(default=False)
def page(session: nox.Session) -> None:
    """What a busy page costs the browser; `-- tests/static/pictures.py` redraws its pictures in docs/."""
    install(session, "all", groups=("test",))
    session.run("pytest", *(session.posargs or ["tests/static/bench_page.py"]))


@nox.session(default=False)
def cockpit(session: nox.Session) -> None:
    """The cost of the notebook beside a swarm and over an hour; `-- tests/e2e/talk.py` plays docs/presenting.md."""
    install(session, "all", groups=("test",))
    session.run("pytest", *(session.posargs or ["tests/e2e/bench_cockpit.py"]))


@nox.session(default=False)
def fallback(session: nox.Session) -> None:
    """The default tests with services that lack the fan-out extension, except the tests about it."""
    install(session, "all", groups=("test",))
    chosen = "not extension and not long"
    session.run("pytest", "--without-extension", "-m", chosen, *(session.posargs or FILES_AT_A_TIME))


@nox.session(default=False)
def hostile_shell(session: nox.Session) -> None:
    """The tests that start a process, with foreign variables, proxies, locale, HOME and path, all at once."""
    install(session, "all", groups=("test",))
    chosen = ("-m", "starts_process and not long", *(session.posargs or FILES_AT_A_TIME))
    session.run("python", "tests/hostile_shell.py", *chosen)


@nox.session(default=False)
def wide(session: nox.Session) -> None:
    """The tests of which the default run has one of each kind: more fonts, views, signals, scenarios, processes."""
    install(session, "all", groups=("test",))
    session.run("pytest", "-m", "wide and not foreign_browser", *FILES_AT_A_TIME, *session.posargs, env=BYTE_CODE)


@nox.session(default=False)
def browsers(session: nox.Session) -> None:
    """The page and the story in Firefox and WebKitGTK, where they are installed; the default tests have Chromium."""
    install(session, "all", groups=("test",))
    session.run("pytest", "-m", "foreign_browser", *session.posargs)


@nox.session(default=False)
def notebooks(session: nox.Session) -> None:
    """The results notebook from top to bottom, headless and in JupyterLab; it measures for minutes."""
    install(session, "all", groups=("test",))
    session.run("pytest", "-m", "long", "--ignore", "tests/deploy", "--timeout", "400", *session.posargs)


@nox.session(default=False)
def deploy(session: nox.Session) -> None:
    """The files of docs/deploy/ in use: nginx, HAProxy and Caddy in front, swarm, story, drain, sizes, the wheel."""
    install(session, "all", groups=("test",))
    session.run("pytest", *(session.posargs or ["tests/deploy"]))


@nox.session(default=False)
def ruler(session: nox.Session) -> None:
    """Proofs of the load test's measurements, with faults of known size; needs an otherwise idle machine."""
    install(session, "loadtest", groups=("test",))
    session.run("pytest", "tests/ruler", *session.posargs)


def name_what_was_not_run(session: nox.Session) -> None:
    """Log a line for each session that the default run leaves out."""
    for name, other in globals().items():
        if getattr(other, "default", True) is False:
            session.log(f"NOT RUN: nox -s {name} – {other.__doc__}")


def install_system(session: nox.Session) -> None:
    """Install from Debian what the tests need and pip does not have, if it is missing; start nothing of it."""
    missing = [package for package, file in SYSTEM.items() if not Path(file).exists()]
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        session.error(
            f"--install-system needs Debian's apt-get and root; otherwise install by hand: {', '.join(missing)}"
        )
    session.run("apt-get", "update", "-q", external=True, silent=True)
    with no_services():
        session.run(
            "apt-get", "install", "-y", "-q", "--no-install-recommends", *missing,
            external=True, silent=True, env={"DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip


@contextmanager
def no_services(policy: Path = Path("/usr/sbin/policy-rc.d")) -> Iterator[None]:
    """Keep Debian's packages from starting their services, which would listen on this machine from now on."""
    if policy.exists():  # somebody else's, who decides
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()
