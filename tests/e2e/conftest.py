"""Imports bqplot once, before warnings are errors: bqscales declares a trait in an old way."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import bqplot  # noqa: F401
