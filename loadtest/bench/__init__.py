"""The benchmark: what a delivered board costs here, and what it costs elsewhere.

    harness.servers ── starts ──▶ one of the peers, or this service, alone on its core
    harness.receiver_handle ── commands ──▶ harness.receiver_program, on another core: N raw sockets, the same for all
    measurements ── figures ──▶ harness.statistics ──▶ harness.results ──▶ docs/benchmark.{json,md,svg}

Linux only: it reads the CPU clocks of other processes and the kernel's receive stamps.
"""
