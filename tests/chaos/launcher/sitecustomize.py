"""Found by every service that a chaos run starts with another store than ours: puts that store, or fault, into it."""

import os

from chaos.mutations import STORES

STORES[os.environ["CHAOS_STORE"]]()
