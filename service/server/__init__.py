"""The process and its sockets, independent of the game: listening, sending, logging, stopping."""
