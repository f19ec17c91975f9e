"""The configuration: one typed TOML file, overridden key by key on the command line."""

from imserver.config.loading import ConfigError, load
from imserver.config.schema import Configuration, Listener

__all__ = ["ConfigError", "Configuration", "Listener", "load"]
