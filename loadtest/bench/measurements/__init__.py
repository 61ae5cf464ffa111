"""The measurements of the benchmark, one module each."""
