"""The commands of `python -m loadtest`: options in, an exit status out."""
