"""What becomes of a test that lacks a program: a loud skip, or in continuous integration a failure.

CI installs what `nox -- --install-system` brings, so there a test without it would be left out and nobody would know.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

# The packages of SYSTEM in noxfile.py.
BROUGHT = frozenset({
    "chromium", "fonts-noto-color-emoji", "fonts-dejavu-core", "fonts-liberation", "nginx", "haproxy", "redis-server",
    "redis-sentinel",
})  # fmt: skip


def lacks(package: str, what: str) -> NoReturn:
    """Leave a test out that needs a package of Debian, or fail it where CI has to have that package."""
    how = f"install Debian's package {package}"
    if package in BROUGHT:
        how += ", or run `nox -- --install-system`"
        if os.environ.get("CI"):
            pytest.fail(f"in CI nothing may be left out: {what} – {how}")
    pytest.skip(f"NOT RUN: {what} – {how}")
