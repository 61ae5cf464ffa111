"""A score log, and its playback through real sockets."""
