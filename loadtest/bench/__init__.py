"""The benchmark: what a delivered board costs here, and what it costs elsewhere.

    contestants ── start ──▶ a server, alone on its core
    audience ── commands ──▶ receiver, one process on another core: N raw sockets, the same for every server
    fanout · stuck · crowd · idle ── measure ──▶ figures ──▶ report ──▶ docs/benchmark.{json,md,svg}

Linux only: it reads the CPU clocks of other processes and the kernel's receive stamps.
"""
