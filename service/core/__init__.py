"""The pure centre: no asyncio, clock, random, logging or network; time and chance come in as arguments."""
