"""How the service logs: one line per event on stderr, as text or as JSON."""

from __future__ import annotations

import json
import logging
import logging.config
from datetime import UTC, datetime
from typing import Any


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class _KnownNoise(logging.Filter):
    """Keeps records that a client can cause any number of times out of the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        # uvicorn logs a traceback for each frame that is not UTF-8; close code 1007 is counted in the metrics.
        return not str(record.msg).startswith("Invalid UTF-8 sequence received")


def drop_known_noise() -> None:
    """Drop the records of uvicorn's log with which a client could fill the disk, however the log was set up."""
    uvicorn_log = logging.getLogger("uvicorn.error")
    if not any(isinstance(one, _KnownNoise) for one in uvicorn_log.filters):
        uvicorn_log.addFilter(_KnownNoise())


def configuration(*, as_json: bool) -> dict[str, Any]:
    """A `logging.config` dictionary: ours from INFO, uvicorn's from WARNING, all on stderr."""
    text = {"format": "%(asctime)s %(levelname)-7s %(message)s", "datefmt": "%H:%M:%S"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": JsonFormatter} if as_json else text},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "loggers": {
            "leaderboard": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        },
    }
