"""`uvicorn service.main:app`: the app, with its settings from the environment."""

from __future__ import annotations

import sys

from service.app import create_app
from service.settings import BadSetting, Settings

try:
    app = create_app(Settings.read_for_app())
except BadSetting as error:
    sys.stderr.write(f"leaderboard: {error}\n")
    sys.exit(2)
