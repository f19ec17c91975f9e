"""What `twistd imserver` runs: options, wiring, start and stop.

The only place that reads files and the environment and sees the global reactor.
"""

from imserver.tap.options import Options
from imserver.tap.service import makeService

__all__ = ["Options", "makeService"]
