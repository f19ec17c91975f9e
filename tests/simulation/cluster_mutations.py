"""Nodes over Redis that are broken on purpose; see `mutations`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imserver.backends.redis import appends
from imserver.backends.redis.appends import Appender
from imserver.backends.redis.exchange import Exchange
from imserver.backends.redis.faults import RedisLost
from imserver.backends.redis.feed import Feed
from imserver.backends.redis.nodes import Nodes
from imserver.backends.redis.records import message_id
from imserver.backends.redis.scripts import Script
from imserver.model.messages import MessageAccepted
from tests.simulation.cluster import ClusterNode


def _with_another_append(node: ClusterNode, old: str, new: str) -> None:
    """Exchanges a piece of the script; no two mutations are there at once."""
    parts = appends.APPEND._parts
    if any(old in part for part in parts):
        node.patch(appends, "APPEND", Script("append", *(part.replace(old, new) for part in parts)))


def forgetful(node: ClusterNode) -> None:
    """No client id is ever recognised."""
    _with_another_append(node, "redis.call('GET', P .. 'd:' .. client)", "false")


def acknowledge_before(node: ClusterNode) -> None:
    """The sender has an answer before the script has run: what it will say if nothing goes wrong."""

    def broken(self: Appender, principal: Any, command: Any, ticket: Any) -> None:
        core = self._core
        no, ms, part = core.last
        seq = core.heads.of.get(principal.user, 0) + 1
        accepted = MessageAccepted(message_id(no + 1, ms, part), command.conversation, seq, ms / 1000)
        self._redis.send_script(appends.APPEND, self._words(principal, command), _ignored, None)
        self.refuse(ticket, accepted)  # type: ignore[arg-type]

    node.patch(Appender, "append", broken)
    node.cellar.store.append = node.cellar.store._appender.append


def lost_is_done(node: ClusterNode) -> None:
    """A send of which nobody knows what came of it is answered as if it were there."""

    def broken(self: Appender, user: str, reply: Any) -> Any:
        if isinstance(reply, RedisLost):
            no, ms, part = self._core.last
            return MessageAccepted(
                message_id(no + 1, ms, part), "", self._core.heads.of.get(user, 0) + 1, 0.0
            )
        return refusal(self, user, reply)

    refusal = Appender._refusal
    node.patch(Appender, "_refusal", broken)


def not_repaired(node: ClusterNode) -> None:
    """What was published while nobody listened is never looked for."""
    node.patch(Feed, "_repair", lambda self: None)


def told_here_only(node: ClusterNode) -> None:
    """A message is published on its sender's node alone."""
    _with_another_append(node, "if other ~= node then", "if false then")


def not_cut_off(node: ClusterNode) -> None:
    """A node that was taken for lost goes on as if nothing had happened."""
    node.patch(Nodes, "_cut_off", lambda self: None)


def said_once(node: ClusterNode) -> None:
    """What a node tells another one, and does not get there, is not said again."""
    node.patch(Exchange, "_say_again", lambda self, name, outgoing, upto: None)


def _ignored(token: Any, reply: Any) -> None:
    return None


MUTATIONS: dict[str, Callable[[ClusterNode], None]] = {
    mutation.__name__: mutation
    for mutation in (
        forgetful,
        acknowledge_before,
        lost_is_done,
        not_repaired,
        told_here_only,
        not_cut_off,
        said_once,
    )
}
