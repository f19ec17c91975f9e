"""Fixtures for the tests with a real process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from tests.e2e.server import Server

Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Makes servers (not started) that are gone at the end of the test: `serve(name="a", **as in Server)`."""
    made: list[Server] = []

    def make(name: str = "data", **options: Any) -> Server:
        server = Server(tmp_path / name, **options)
        made.append(server)
        return server

    yield make
    for server in made:
        server.close()


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """A test that leaves a delayed call behind would disturb the next one."""
    yield
    left = [call for call in reactor.getDelayedCalls() if call.active()]
    for call in left:
        call.cancel()
    assert not left, left
