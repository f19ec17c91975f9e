"""imserver: one messaging service behind five wire formats."""

__version__ = "0.1.0"
