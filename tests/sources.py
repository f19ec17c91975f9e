"""For tests that reach into what `imserver compile` makes machine code of, where nothing can be replaced."""

from __future__ import annotations

from unittest import SkipTest

from imserver import compiled


def only_on_sources() -> None:
    """Skips a test where what was compiled runs; `make test` runs the unit tests on the sources, too."""
    if not compiled.why_not:
        raise SkipTest("it replaces a part of what is compiled here")
