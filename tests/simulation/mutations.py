"""Servers that are broken on purpose, one for each promise that the checker must hold them to.

A mutation is a `Node` whose parts are tampered with when it starts, or a class
of the product that is patched for the length of a run. A checker that finds
nothing wrong with one of these proves nothing about the real server.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import changes
from imserver.backends.embedded.committer import Task
from imserver.backends.embedded.log_rows import LogReader
from imserver.backends.embedded.records import decode, encode
from imserver.model.calls import Ending
from imserver.model.errors import ImError
from imserver.model.messages import ReadHistory
from imserver.services.call_ends import Ends
from imserver.services.call_media import MediaRelay
from imserver.services.call_records import CallRecords
from imserver.services.call_table import TABLE
from imserver.services.call_terms import Do, On, State, Step
from imserver.services.ports import Entry, EntryRow
from tests.simulation.node import Node, SimulatedCommitter


def ack_before_commit(node: Node) -> None:
    """The sender has the answer as soon as the engine has decided."""
    store, journal = node.cellar.store, node.cellar.core.journal
    append = store.append

    def broken(principal: Any, command: Any, ticket: Any) -> None:
        append(principal, command, ticket)
        journal.decide()
        batch = journal.batch()
        journal.sink.answered([batch.tickets.pop()], [batch.outcomes.pop()])

    store.append = broken


def push_before_commit(node: Node) -> None:
    """The recipients have the message as soon as the engine has decided."""
    store, journal = node.cellar.store, node.cellar.core.journal
    append = store.append

    def broken(principal: Any, command: Any, ticket: Any) -> None:
        journal.decide()
        before = len(journal.batch().entries)
        append(principal, command, ticket)
        journal.decide()
        entries: list[Entry] = journal.batch().entries
        if len(entries) > before:
            journal.sink.committed([entries.pop()])

    store.append = broken


def skip_one_recipient(node: Node) -> None:
    """The last member of a group gets nothing."""
    core, store = node.cellar.core, node.cellar.store
    append = store.append

    def broken(principal: Any, command: Any, ticket: Any) -> None:
        group = core.state.group(command.group) if command.group else None
        if group is None:
            append(principal, command, ticket)
            return
        members = group.members
        others = [no for no, member in members.items() if member.name != principal.user]
        group.members = {no: member for no, member in members.items() if no not in others[-1:]}
        append(principal, command, ticket)
        core.journal.decide()
        group.members = members

    store.append = broken


def members_for_ever(node: Node) -> None:
    """Whoever leaves a group or is kicked goes on getting its messages."""
    core, directory = node.cellar.core, node.cellar.directory
    remove_member = directory.remove_member

    async def broken(group: str, user: str, at: float) -> Any:
        found = core.state.group(group)
        members = dict(found.members) if found is not None else {}
        record = await remove_member(group, user, at)
        found = core.state.group(group)
        if found is not None and record is not None:
            found.members = members
        return record

    directory.remove_member = broken


def numbers_again_after_crash(node: Node) -> None:
    """After a restart the last inbox number is given out a second time."""
    if node.started > 1:
        for name in node.history.users:
            user = node.cellar.core.state.user(name)
            if user is not None and user.head:
                user.head -= 1


def forgetful(node: Node) -> None:
    """No client id is ever recognised."""
    node.cellar.store._appender._retries.known = lambda *arguments: None


def open_history(node: Node) -> None:
    """Who is not in a group may read it nevertheless."""
    store = node.cellar.store
    history = store.history

    async def broken(user: str, query: ReadHistory, limit: int, max_bytes: int) -> Any:
        try:
            return await history(user, query, limit, max_bytes)
        except ImError:
            for other in node.history.users:
                try:
                    return await history(other, query, limit, max_bytes)
                except ImError:
                    continue
            raise

    store.history = broken


class _Feed:
    """A feed sink before the real one: what is committed is tampered with, or what it comes to."""

    def __init__(self, node: Node, committed: Callable[[Sequence[Entry | EntryRow]], None]) -> None:
        self._sink = node.cellar.core.journal.sink
        self.committed = committed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)


def acknowledge_in_advance(node: Node) -> None:
    """A device counts as having what was merely pushed."""
    journal, registry = node.cellar.core.journal, node.hub.registry
    committed = journal.sink.committed

    def broken(entries: Sequence[Entry | EntryRow]) -> None:
        committed(entries)
        for entry in entries:
            for user, _ in entry.recipients:
                for session in registry.of(user):
                    session.delivered(True)

    journal.sink = _Feed(node, broken)


def gaps_ignored(node: Node) -> None:
    """A session is pushed whatever comes, without a look at what is missing."""
    journal, registry = node.cellar.core.journal, node.hub.registry
    committed = journal.sink.committed

    def broken(entries: Sequence[Entry | EntryRow]) -> None:
        for entry in entries:
            for user, seq in entry.recipients:
                for session in registry.of(user):
                    if session.started:
                        session._pushed = max(session._pushed, seq - 1)
                        session._direct = True
            committed([entry])

    journal.sink = _Feed(node, broken)


def page_is_the_end(node: Node) -> None:
    """A page that was read before a commit counts for what was committed meanwhile, too."""
    store, registry = node.cellar.store, node.hub.registry
    inbox = store.inbox

    async def broken(user: str, *arguments: Any) -> Any:
        page = await inbox(user, *arguments)
        known = [session._head for session in registry.of(user)]
        return structs.replace(page, head=max([page.head, *known]))

    store.inbox = broken


def failed_commits_succeed(node: Node) -> None:
    """A failing disk is not noticed."""
    tell = SimulatedCommitter._tell

    def broken(self: SimulatedCommitter, batches: Any, error: Exception | None) -> None:
        # A task that was not done has no result that anybody could be told.
        asked = any(isinstance(step, Task) for batch in batches for step in batch.steps)
        tell(self, batches, error if asked else None)

    node.patch(SimulatedCommitter, "_tell", broken)


def content_survives_revoke(node: Node) -> None:
    """A message that was taken back is marked, but not erased."""
    write = changes._write_revoke

    def broken(offset: int, body: bytes, draft: Any, connection: sqlite3.Connection) -> Any:
        kept: Any = decode(LogReader(connection).body(offset) or b"")
        return write(offset, encode(structs.replace(decode(body), data=kept.data)), draft, connection)

    node.patch(changes, "_write_revoke", broken)


def revoke_does_nothing(node: Node) -> None:
    """A revoke is answered and told, and the message stays."""

    def broken(offset: int, body: bytes, draft: Any, connection: sqlite3.Connection) -> Any:
        return changes._write_changes([draft], connection)[0]

    node.patch(changes, "_write_revoke", broken)


def index_lost(node: Node) -> None:
    """An index is believed to be on the disk and is not."""
    indexer = node.cellar.indexer
    indexer._write = lambda sql, rows, connection: None


def _with_another_step(node: Node, state: State, event: On, step: Step) -> None:
    table = {name: dict(row) for name, row in TABLE.items()}
    table[state][event] = step
    node.hub.calls._home._table = table


def calls_ring_for_ever(node: Node) -> None:
    """Nobody answers, and nobody ever stops waiting."""
    _with_another_step(node, State.RINGING, On.RING_TIME_OVER, Step(State.RINGING, Do.NOTHING))


def second_answer_wins(node: Node) -> None:
    """A call that was answered can be answered again, at another device."""
    _with_another_step(node, State.RUNNING, On.DEVICE_ANSWERS, Step(State.RUNNING, Do.ACCEPT))


def end_is_told_to_the_caller_only(node: Node) -> None:
    """The callee never hears that a call is over."""
    tell_end = Ends._tell

    def broken(self: Ends, call: Any, cause: Any) -> None:
        call.callee = None
        call.ringing.clear()
        tell_end(self, call, cause)

    node.patch(Ends, "_tell", broken)


def media_comes_back(node: Node) -> None:
    """Media goes to who sent it."""
    link = MediaRelay.link

    def broken(self: MediaRelay, session: str, linked: Any) -> None:
        link(self, session, structs.replace(linked, peer=structs.replace(linked.peer, session=session)))

    node.patch(MediaRelay, "link", broken)


def another_end_is_recorded(node: Node) -> None:
    """What is kept of calls is not what people were told."""
    keep = CallRecords.keep

    def broken(self: CallRecords, record: Any) -> None:
        keep(self, structs.replace(record, ending=record.ending and Ending.BUSY))

    node.patch(CallRecords, "keep", broken)


MUTATIONS: dict[str, Callable[[Node], None]] = {
    mutation.__name__: mutation
    for mutation in (
        ack_before_commit,
        push_before_commit,
        skip_one_recipient,
        members_for_ever,
        numbers_again_after_crash,
        forgetful,
        open_history,
        acknowledge_in_advance,
        gaps_ignored,
        page_is_the_end,
        failed_commits_succeed,
        content_survives_revoke,
        revoke_does_nothing,
        index_lost,
        calls_ring_for_ever,
        second_answer_wins,
        end_is_told_to_the_caller_only,
        media_comes_back,
        another_end_is_recorded,
    )
}


@contextmanager
def broken_nodes(
    name: str, base: Any = Node, mutations: Mapping[str, Callable[[Any], None]] = MUTATIONS
) -> Iterator[Any]:
    """A class of nodes that are broken in the named way; patched classes are mended at the end."""
    mutation = mutations[name]
    patches: dict[tuple[int, str], Any] = {}

    class Broken(base):  # type: ignore[misc]
        def _serve(self, *arguments: Any, **more: Any) -> None:
            super()._serve(*arguments, **more)
            mutation(self)

        def patch(self, target: Any, attribute: str, broken: Any) -> None:
            # Once for all nodes and lives: a second one would wrap the first.
            if (id(target), attribute) not in patches:
                patched = patches[id(target), attribute] = patch.object(target, attribute, broken)
                patched.start()

    try:
        yield Broken
    finally:
        for patched in patches.values():
            patched.stop()


def add_tests(
    case: type[SynchronousTestCase],
    mutations: Mapping[str, Any],
    found: Callable[[str, int], object],
    histories: int,
) -> None:
    """A test for each mutation: that somebody notices, in so many histories at most.

    Args:
        found: the violations of the history of a seed with the named mutation.
    """

    def caught(self: SynchronousTestCase, name: str) -> None:
        for seed in range(1, histories + 1):
            noticed = found(name, seed)
            self.flushLoggedErrors()
            if noticed:
                return
        self.fail(f"{histories} histories, and nobody noticed: {name}")

    for name, mutation in mutations.items():

        def test(self: SynchronousTestCase, name: str = name) -> None:
            caught(self, name)

        test.__doc__ = mutation.__doc__
        setattr(case, f"test_{name}", test)
