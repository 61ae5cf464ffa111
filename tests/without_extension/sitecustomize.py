"""Found by every Python that a test starts when the tests run `--without-extension`: uvicorn counts as changed."""

from service.server import uvicorn_protocol

uvicorn_protocol.protocol_class = lambda: None
