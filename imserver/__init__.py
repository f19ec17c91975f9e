"""imserver: one messaging service behind five wire formats."""

from imserver import compiled as compiled

__version__ = "0.1.0"
