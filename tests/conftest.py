"""Chooses by effort, and marks what `make prove` repeats longer.

That is: modules that ask `tests.effort` how long, and Hypothesis tests.
"""

from __future__ import annotations

import sys

import pytest
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from tests.effort import EFFORT, effort

# Until somebody begins it, Twisted keeps the last 65,536 events, and with them whole worlds of tests that
# are over: a test that counts what it leaves would count what its own events drive out.
globalLogBeginner.beginLoggingTo(
    [
        FilteringLogObserver(
            textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(defaultLogLevel=LogLevel.critical)]
        )
    ],
    discardBuffer=True,
    redirectStandardIO=False,
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Adds the mark `prove`; tests that bear it themselves are too long for `make test`."""
    if EFFORT == "test":
        long = [item for item in items if item.get_closest_marker("prove")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    for item in items:
        module = getattr(item, "module", None)
        asks = getattr(module, "effort", None) is effort
        generated = hasattr(getattr(item, "obj", None), "hypothesis")
        if asks or generated:
            item.add_marker("prove")
