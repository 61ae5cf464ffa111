"""How the service logs: one line per event on stderr, as text or as JSON."""

from __future__ import annotations

import json
import logging
import logging.config
from datetime import UTC, datetime
from typing import Any, Final

# Further fields of a JSON line, where they are known. Their names, and those of events, are in docs/operating.md.
FIELDS: Final = ("session", "user", "address", "code", "suppressed")
# The event of a line that names none, by the part of its logger's name before the first dot.
EVENTS: Final = {"uvicorn": "server", "asyncio": "event-loop", "websockets": "server"}


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": getattr(record, "event", None) or EVENTS.get(record.name.partition(".")[0], "other"),
            "message": record.getMessage(),
        }
        entry |= {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configuration(*, as_json: bool) -> dict[str, Any]:
    """A `logging.config` dictionary: ours from INFO, uvicorn's and asyncio's from WARNING, all on stderr."""
    text = {"format": "%(asctime)s %(levelname)-7s %(message)s", "datefmt": "%H:%M:%S"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": JsonFormatter} if as_json else text},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "loggers": {
            "leaderboard": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            **{
                name: {"handlers": ["stderr"], "level": "WARNING", "propagate": False}
                for name in ("uvicorn", "asyncio", "websockets")
            },
        },
    }
