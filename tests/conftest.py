"""Marks what `make prove` repeats longer: modules that ask `tests.effort` how long, and Hypothesis tests."""

from __future__ import annotations

import pytest

from tests.effort import effort


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Adds the mark `prove`."""
    for item in items:
        module = getattr(item, "module", None)
        asks = getattr(module, "effort", None) is effort
        generated = hasattr(getattr(item, "obj", None), "hypothesis")
        if asks or generated:
            item.add_marker("prove")
