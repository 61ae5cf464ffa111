"""What the figures mean: gates and verdicts, comparisons, the search for the knee."""
