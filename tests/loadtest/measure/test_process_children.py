"""A process with its children and theirs."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from loadtest.measure import process_children
from loadtest.measure.process_children import with_children

pytestmark = pytest.mark.starts_process
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()"], stdin=subprocess.PIPE)
input()
child.communicate()
"""


@pytest.mark.parametrize("kernel_tells", [True, False])
def test_children_and_theirs_are_found(monkeypatch, kernel_tells: bool) -> None:
    """Whether the kernel lists them or psutil looks at all processes; without the process there is an error."""
    monkeypatch.setattr(process_children, "KERNEL_TELLS", kernel_tells and process_children.KERNEL_TELLS)
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdout.read(1)  # the grandchild runs
        family = with_children(parent.pid)
        assert [family[0], len(family)] == [parent.pid, 2]
        assert psutil.Process(family[1]).ppid() == parent.pid
        assert {parent.pid, family[1]} < set(with_children(os.getpid()))
        parent.communicate(b"\n")
    with pytest.raises(psutil.NoSuchProcess):
        with_children(parent.pid)
