"""Finished runs, compared; and the broadcast benchmark."""
