"""The players of one generator process: their sockets, their clock, and what they count."""
