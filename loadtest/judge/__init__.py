"""Judging runs: gates and verdicts, comparisons, the search for the knee."""
