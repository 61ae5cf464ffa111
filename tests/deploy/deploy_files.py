"""The files of docs/deploy/, as the tests use them: read, with what differs on this machine replaced."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
UNIT, DOCKERFILE, COMPOSE = DEPLOY / "leaderboard@.service", DEPLOY / "Dockerfile", DEPLOY / "compose.yaml"
START = ["/opt/leaderboard/bin/python", "-m", "service"]


def placed(text: str, changes: Mapping[str, str]) -> str:
    """The text with each key replaced by its value. Raises ValueError for a key that the text does not have."""
    for old, new in changes.items():
        if old not in text:
            raise ValueError(f"expected {old!r} in the file")
        text = text.replace(old, new)
    return text


def unit_options(port: int, credentials: Path) -> list[str]:
    """The options that the unit gives to the service, for the instance of this port."""
    (command,) = unit_values("ExecStart")
    words = shlex.split(placed(command, {"%i": str(port), "${CREDENTIALS_DIRECTORY}": str(credentials)}))
    return _options(words)


def unit_values(name: str) -> list[str]:
    """The values of a setting of the unit, in order."""
    joined = UNIT.read_text().replace("\\\n", " ")
    return re.findall(rf"^{name}=(.*)$", joined, re.MULTILINE)


def image_options() -> list[str]:
    """The options that the image gives to the service, if its user gives none."""
    return _options([*json.loads(_instruction("ENTRYPOINT")), *json.loads(_instruction("CMD"))])


def image_user() -> str:
    """The user and group of the image's process."""
    return _instruction("USER")


def image_sources() -> set[str]:
    """What is copied into the image from the repository."""
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    return {source for line in copied for source in line.split()}


def seconds(text: str) -> float:
    """A time as these files write it: 30, 30s, 10m, 1h."""
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    if found is None:
        raise ValueError(f"expected a time like 30s, got {text!r}")
    return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def _instruction(name: str) -> str:
    return re.findall(rf"^{name} (.*)$", DOCKERFILE.read_text(), re.MULTILINE)[-1]


def _options(command: list[str]) -> list[str]:
    """What follows the start of the service. Raises ValueError for another program."""
    if command[: len(START)] != START:
        raise ValueError(f"expected {START}, got {command}")
    return command[len(START) :]
