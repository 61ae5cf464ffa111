"""The cockpit: everything behind the notebooks.

>>> from cockpit import Demo
>>> demo = await Demo.start()          # a service of its own, on a free port; redis=True: over a Redis
>>> demo.panel()                       # the page, the controls, the charts
>>> demo.simulate(players=25, rate=20)
>>> await demo.run_for(30)             # the charts go on moving while the cell waits
>>> await demo.stop()
"""

from __future__ import annotations

from cockpit.demo import Demo
from cockpit.desk import SwarmDesk

__all__ = ["Demo", "SwarmDesk"]
