"""The live part: one connection, and the hub that shows one session to everybody."""
