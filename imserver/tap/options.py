"""The command line of `twistd imserver`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.python import usage

from imserver.config import ConfigError, Configuration, load
from imserver.tap.json_log import OBSERVER_NAME, make_observer


class Options(usage.Options):
    """Options; a fault in them or in the configuration ends the process with one line.

    Attributes:
        configuration: what file and overrides say, once parsed.
    """

    synopsis = "[options]"
    longdesc = "With no option it serves development listeners on the loopback interface."
    optParameters = [
        ["config", "c", None, "configuration file (TOML)"],
        ["data-dir", "d", None, "where accounts and messages are kept"],
    ]
    optFlags = [
        ["demo", None, "create users alice, bob, carol, dave and accept demo tokens; loopback only"],
        ["check-config", None, "check the configuration and exit"],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.configuration: Configuration = Configuration()
        self._overrides: list[str] = []

    def opt_set(self, assignment: str) -> None:
        """override a configuration key: KEY=VALUE, e.g. limits.sends_per_second=1000; repeatable"""
        self._overrides.append(assignment)

    def parseArgs(self, *arguments: str) -> None:
        """There are none."""
        if arguments:
            raise usage.UsageError(f"unexpected argument: {arguments[0]}")

    def postOptions(self) -> None:
        """Reads the configuration."""
        self.configuration = load(self["config"], self._overrides)
        # twistd sets its logging up after this, and takes another observer's maker from here.
        twistd: Any = self.parent
        if self.configuration.log.format == "json" and twistd is not None and not twistd.get("logger"):
            logfile = twistd.get("logfile")
            if logfile is None and not twistd.get("nodaemon"):
                logfile = "twistd.log"
            make_observer.logfile = logfile
            twistd["logger"] = OBSERVER_NAME

    def parseOptions(self, options: Sequence[str] | None = None) -> Any:
        """See usage.Options."""
        try:
            return super().parseOptions(options)  # type: ignore[no-untyped-call]
        except (usage.UsageError, ConfigError) as error:
            # twistd would print its whole help around the one line that matters.
            raise SystemExit(f"imserver: {error}") from None
