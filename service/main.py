"""`uvicorn service.main:app`: the app, with its settings from the environment."""

from __future__ import annotations

from service.app import create_app
from service.server.foreign_supervisor import refuse_to_serve, serving_processes
from service.settings import BadSetting, Settings

try:
    app = create_app(Settings.read_for_app(), processes=serving_processes())
except BadSetting as error:
    refuse_to_serve(f"leaderboard: {error}\n")
