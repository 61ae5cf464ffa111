"""WebSocket clients that receive many boards at low cost."""
