"""What belongs to the process and its sockets rather than to the game: listening, sending, logging, stopping."""
