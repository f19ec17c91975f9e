"""The conversation of every pair of formats, with everybody on a node of his own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import pytest
import pytest_twisted

from tests.e2e.conversations import PAIRS, Conversation
from tests.e2e.nodes import Nodes, three_nodes
from tests.e2e.variants import VARIANTS
from tests.effort import effort

RING: Sequence[tuple[str, ...]] = list(itertools.pairwise([*VARIANTS, next(iter(VARIANTS))]))
"""Pairs in which every format is heard and spoken."""
EVERY: Sequence[tuple[str, ...]] = PAIRS
CHOSEN = effort(RING, EVERY, EVERY)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three nodes for all conversations."""
    with three_nodes(tmp_path_factory.mktemp("nodes")) as made:
        yield made


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("first", "second"), CHOSEN, ids=[f"{a}-to-{b}" for a, b in CHOSEN])
async def test_a_conversation(nodes: Nodes, first: str, second: str) -> None:
    await Conversation(nodes.servers, first, second).run()
    for server in nodes.servers:
        server.assert_clean()
