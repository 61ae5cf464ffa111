"""Found by every Python that a test starts when the tests run `--without-extension`: uvicorn counts as changed."""

from service import wire

wire.protocol_class = lambda: None
