"""`/ws` in AsyncAPI 3, from the very models that decode and encode."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service import __version__
from service.core.protocol import CLIENT_MESSAGES, SERVER_MESSAGES

_REF = "#/components/schemas/{model}"


@cache
def describe() -> dict[str, Any]:
    """The AsyncAPI document of the WebSocket."""
    inbound = tuple(CLIENT_MESSAGES.values())
    models: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in inbound]
    models += [(model, "serialization") for model in SERVER_MESSAGES]
    _, schema = models_json_schema(models, by_alias=True, ref_template=_REF)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Elsa Real-Time Leaderboard", "version": __version__},
        "defaultContentType": "application/json",
        "channels": {
            "ws": {
                "address": "/ws",
                "messages": {model.__name__: _component(model) for model, _ in models},
                "bindings": {"ws": {"method": "GET"}},
            }
        },
        "operations": {
            "receive": {"action": "receive", "channel": {"$ref": "#/channels/ws"}, "messages": _refs(inbound)},
            "send": {"action": "send", "channel": {"$ref": "#/channels/ws"}, "messages": _refs(SERVER_MESSAGES)},
        },
        "components": {
            "messages": {model.__name__: _message(model) for model, _ in models},
            "schemas": schema["$defs"],
        },
    }


def server(host: str, *, secure: bool, prefix: str) -> dict[str, str]:
    """The server of the document, as a client called it."""
    return {"host": host, "protocol": "wss" if secure else "ws"} | ({"pathname": prefix} if prefix else {})


def _message(model: Any) -> dict[str, Any]:
    return {
        "name": model.type,
        "summary": (model.__doc__ or "").strip().splitlines()[0],
        "payload": {
            "type": "object",
            "required": ["type", "data"],
            "properties": {
                "type": {"const": model.type},
                "data": {"$ref": _REF.format(model=model.__name__)},
            },
        },
    }


def _component(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{model.__name__}"}


def _refs(models: Any) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/ws/messages/{model.__name__}"} for model in models]
