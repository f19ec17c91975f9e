"""The configuration: one typed TOML file, overridden key by key on the command line."""

from imserver.config.faults import ConfigError
from imserver.config.loading import load
from imserver.config.schema import Configuration, Listener

__all__ = ["ConfigError", "Configuration", "Listener", "load"]
