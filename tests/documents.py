"""What the documents name, and whether it exists: paths, tests, options, sessions, variables, modules and links.

A document is Markdown. Only its code, in spans and fences, and its links are looked at: prose may say anything.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from loadtest.target.child_environment import child_environment

ROOT = Path(__file__).parents[1]
FOLDERS = ("service", "loadtest", "notebooks", "static", "tests", "docs")
# Commands whose --help lists their options. Each runs in a process of its own: Locust patches the one it is loaded in.
COMMANDS = {
    "python -m service": ("service",),
    "python -m loadtest.bench": ("loadtest.bench",),
    "nox -s bench": ("loadtest.bench",),
    "python -m loadtest run": ("loadtest", "run"),
    "nox -s load": ("loadtest", "run"),
    "python -m loadtest ramp": ("loadtest", "ramp"),
    "python -m loadtest compare": ("loadtest", "compare"),
    "python -m loadtest report": ("loadtest", "report"),
    "python -m loadtest replay": ("loadtest", "replay"),
    "locust -f": ("locust", "-f", "loadtest/locustfile.py", "--help-all"),
    "nox -s chaos": ("chaos",),
    "nox -s fuzz": ("fuzz",),
    "nox -s soak": ("soak",),
    "nox -s storm": ("storm",),
    "nox -s flood": ("flood",),
}
# Options of programs that are not part of this repository, and those that nox and the cockpit take by hand.
FOREIGN = {
    "--no-browser",
    "--port",
    "--headless",
    "--redis",
    "--install-system",
    "--install-browser",
    "--help",
    "--help-all",
    "--reload",
    "--execution-segment",
    "--read-only",
    "--cap-drop",
    "--tmpfs",
}

_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_SESSION = re.compile(r"\bnox -s ([\w-]+)")
_VARIABLE = re.compile(r"\b(?:LEADERBOARD_[A-Z_]+|REDIS_URL)\b")
_RUN = re.compile(r"\bpython -m ([\w.]+)")
_TEST = re.compile(r"(tests/[\w./-]+\.py)::(\w+)")
_DOTTED = re.compile(r"(?<![\w./])(?:service|loadtest|cockpit)(?:\.[A-Za-z_]\w*)+")
_PATH = re.compile(
    rf"(?<![\w/.:])(?:{'|'.join(FOLDERS)})/[\w./-]*|(?<![\w/.:-])[\w./-]+\.(?:md|py|ipynb|js|lua|toml)\b"
)


@dataclass(frozen=True)
class Document:
    """One Markdown text; relative links start at `folder`."""

    name: str
    text: str
    folder: Path = ROOT

    def code(self) -> Iterator[str]:
        """Each line of a fence, and each span."""
        for fence in _FENCE.findall(self.text):
            yield from fence.splitlines()
        yield from _SPAN.findall(_FENCE.sub("", self.text))


def documents() -> list[Document]:
    """The documents that speak of the code as it is; CHANGELOG may name what is gone."""
    named = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "DECISIONS.md")]
    files = [*named, *sorted((ROOT / "docs").glob("*.md"))]
    read = [Document(str(file.relative_to(ROOT)), file.read_text(), file.parent) for file in files]
    return read + [notebook(file) for file in sorted((ROOT / "notebooks").glob("*.ipynb"))]


def notebook(file: Path) -> Document:
    """The Markdown cells of a notebook."""
    cells = json.loads(file.read_text())["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return Document(str(file.relative_to(ROOT)), text, file.parent)


def faults(document: Document) -> list[str]:
    """What the document names and does not exist, one line each."""
    found = [fault for code in document.code() for check in CHECKS for fault in check(code)]
    return sorted(f"{document.name}: {fault}" for fault in {*found, *_broken_links(document)})


def _wrong_paths(code: str) -> Iterator[str]:
    for path in _PATH.findall(code):
        if not (ROOT / path).exists() and not (ROOT / "notebooks" / path).exists() and path not in _base_names():
            yield f"no path {path}"


def _wrong_tests(code: str) -> Iterator[str]:
    for path, name in _TEST.findall(code):
        if (ROOT / path).exists() and not _defines(ROOT / path, name):
            yield f"no test {path}::{name}"


def _wrong_options(code: str) -> Iterator[str]:
    command = next((name for name in COMMANDS if name in code), None)
    known = _options(COMMANDS[command]) if command else frozenset().union(*map(_options, COMMANDS.values()))
    yield from (f"no option {option}" for option in _OPTION.findall(code) if option not in known | FOREIGN)


def _wrong_sessions(code: str) -> Iterator[str]:
    yield from (f"no session {name}" for name in _SESSION.findall(code) if name not in _sessions())


def _wrong_variables(code: str) -> Iterator[str]:
    known = {f"LEADERBOARD_{option[2:].replace('-', '_').upper()}" for option in _options(("service",))}
    for name in _VARIABLE.findall(code):
        if name not in known | {"LEADERBOARD_NAME", "REDIS_URL"}:  # NAME stands for any of them
            yield f"no variable {name}"


def _wrong_modules(code: str) -> Iterator[str]:
    for name in _RUN.findall(code):
        if not _runs(name):
            yield f"no module {name}"
    yield from (f"no name {name}" for name in _DOTTED.findall(_RUN.sub("", code)) if not _exists(name))


CHECKS: tuple[Callable[[str], Iterator[str]], ...] = (
    _wrong_paths, _wrong_tests, _wrong_options, _wrong_sessions, _wrong_variables, _wrong_modules,
)  # fmt: skip


def _broken_links(document: Document) -> Iterator[str]:
    for target in _LINK.findall(document.text):
        if ":" in target:
            continue
        path, _, anchor = target.partition("#")
        file = document.folder / path if path else None
        if file is not None and not file.exists():
            yield f"no file {target}"
        elif anchor and anchor not in _anchors(file.read_text() if file else document.text):
            yield f"no heading {target}"


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def _base_names() -> frozenset[str]:
    return frozenset(file.name for folder in FOLDERS for file in (ROOT / folder).rglob("*.*"))


@cache
def _options(command: tuple[str, ...]) -> frozenset[str]:
    """The options of `python -m command`, as its own parser lists them."""
    asked = command if "--help-all" in command else (*command, "--help")
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, "-m", *asked], cwd=ROOT, env=child_environment({"PYTHONPATH": path}), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return frozenset(_OPTION.findall(ended.stdout))


@cache
def _sessions() -> frozenset[str]:
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return frozenset(one.name for one in functions if any("nox.session" in ast.unparse(d) for d in one.decorator_list))


def _runs(name: str) -> bool:
    file = _file(name)
    own = file is not None and (file.name != "__init__.py" or (file.parent / "__main__.py").exists())
    return own or (name.partition(".")[0] not in FOLDERS and importlib.util.find_spec(name) is not None)


def _exists(dotted: str) -> bool:
    """Whether a module of this repository, or something that one defines, has this name."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        if file := _file(".".join(parts[:end])):
            return end == len(parts) or _defines(file, parts[end])
    return False


def _file(module: str) -> Path | None:
    path = module.replace(".", "/")
    places = [base / f"{path}{end}" for base in (ROOT, ROOT / "notebooks") for end in (".py", "/__init__.py")]
    return next((place for place in places if place.exists()), None)


def _defines(file: Path, name: str) -> bool:
    pattern = (
        rf"^\s*(?:async )?(?:def|class) {name}\b|^{name}\b.*=|^\s*(?:from .*)?import .*\b{name}\b|^\s+\"?{name}\"?,"
    )
    return re.search(pattern, file.read_text(), re.MULTILINE) is not None
