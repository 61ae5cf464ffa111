"""The demo story: its steps, the tabs that play it, and its playback in the notebook."""
