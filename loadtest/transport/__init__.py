"""WebSocket clients made to receive many boards."""
