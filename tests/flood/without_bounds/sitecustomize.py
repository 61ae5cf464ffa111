"""Found by a service of `python -m flood --server unbounded`: what bounds a flood is gone, all else is as it was."""

from service.core.line_budget import LineBudget
from service.http.wrong_tokens import WrongTokens
from service.server import doorway, paced_accept
from service.server.log_limits import LineLimit
from service.server.uvicorn_protocol import FanoutProtocol

# Pings, pongs and fragments; then messages: all of a packet in one turn.
FanoutProtocol._has_budget = lambda protocol: not protocol.close_sent
del FanoutProtocol.data_received, FanoutProtocol.receive
# Heads and silent sockets: as many as come, all at once.
doorway.AT_ONCE = doorway.MOST = paced_accept.AT_ONCE = 1_000_000
# Wrong tokens: each is looked at, and logged. Other lines stay few, or they alone would fail every kind of flood.
WrongTokens.take = lambda *_: 0
few, fewer = LineBudget.more, LineLimit.filter
LineBudget.more = lambda budget, kind, now: "" if kind == "a wrong admin token" else few(budget, kind, now)
LineLimit.filter = lambda limit, record: record.name == "leaderboard.admin" or fewer(limit, record)
