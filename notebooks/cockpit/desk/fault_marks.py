"""Writes what was done to a service into the file of its run, and judges the run outside its faults."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cockpit.runs.fault_timings import Fault
from loadtest.judge.without_fault_seconds import OutsideFaults, judge_outside_faults
from loadtest.report.html import page
from loadtest.report.run_file import read, written


def record_faults(path: Path, marks: Iterable[tuple[float, str]], faults: Sequence[Fault]) -> OutsideFaults | None:
    """Put `marks` and `faults` before the verdict in the finished run at `path`, and write its page again.

    Returns the verdict outside the faults' seconds. None: there was nothing to add, and the files are unchanged.
    """
    # `marks` may be only the last ones of many; a fault that is missing would count against the service.
    until: dict[tuple[float, str], dict[str, float | None]] = {mark: {} for mark in marks}
    until |= {(fault.at, fault.name): {"until": fault.recovered_at} for fault in faults}
    own = [{"kind": "mark", "at": round(at, 3), "text": text, **end} for (at, text), end in sorted(until.items())]
    lines = read(path)
    known = {(line["at"], line["text"]) for line in lines if line["kind"] == "mark"}
    new = [mark for mark in own if (mark["at"], mark["text"]) not in known]
    if not new:
        return None
    lines[-1:-1] = new
    path.write_text("".join(map(written, lines)), "utf-8")
    path.with_suffix(".html").write_text(page(lines), "utf-8")
    return judge_outside_faults(lines)
