"""A store as naive as possible: lists, replayed from the operations that became durable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from imserver.model.errors import ErrorCode
from imserver.model.ids import group_name, single_name


@dataclass(frozen=True)
class Send:
    """A send to a user or to a group."""

    ticket: int
    sender: str
    recipient: str
    group: str
    name: str
    client_id: str
    text: str


@dataclass(frozen=True)
class Join:
    """A user joins (or leaves) a group."""

    group: str
    user: str
    leaves: bool


@dataclass(frozen=True)
class Accepted:
    """What a sender is told, as far as it can be foretold."""

    text: str
    conversation: str
    seq: int


@dataclass
class Model:
    """What must be there.

    Attributes:
        inboxes: user -> [(text, conversation name)].
        conversations: canonical name -> [text].
        visible: (group, user) -> positions the user may see.
        outcomes: ticket -> Accepted or the refusal's code.
    """

    names_per_pair: int
    inboxes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    conversations: dict[str, list[str]] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    visible: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    aliases: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    retries: dict[tuple[str, str], tuple[Any, Accepted]] = field(default_factory=dict)
    outcomes: dict[int, Accepted | ErrorCode] = field(default_factory=dict)

    def apply(self, operation: Send | Join) -> None:
        """Does it."""
        if isinstance(operation, Join):
            members = self.members[operation.group]
            if operation.leaves:
                members.remove(operation.user)
            else:
                members.append(operation.user)
            return
        self.outcomes[operation.ticket] = self._send(operation)

    def _send(self, send: Send) -> Accepted | ErrorCode:
        if send.group:
            if send.sender not in self.members[send.group]:
                return ErrorCode.FORBIDDEN
            canonical = group_name(send.group)
        else:
            canonical = single_name(send.sender, send.recipient)
        if send.client_id:
            known = self.retries.get((send.sender, send.client_id))
            if known is not None:
                return known[1] if known[0] == (canonical, send.text) else ErrorCode.CONFLICT
        names = dict.fromkeys([send.sender, *self._others(send)], canonical)
        if send.name and not send.group:
            self._use_name(send, canonical, names)
        accepted = Accepted(send.text, names[send.sender], len(self.inboxes.get(send.sender, ())) + 1)
        for user, name in names.items():
            self.inboxes.setdefault(user, []).append((send.text, name))
        conversation = self.conversations.setdefault(canonical, [])
        conversation.append(send.text)
        if send.group:
            for user in names:
                self.visible.setdefault((send.group, user), []).append(len(conversation))
        if send.client_id:
            self.retries[send.sender, send.client_id] = ((canonical, send.text), accepted)
        return accepted

    def _others(self, send: Send) -> list[str]:
        return list(self.members[send.group]) if send.group else [send.recipient]

    def _use_name(self, send: Send, canonical: str, names: dict[str, str]) -> None:
        used = {name for (_, name), conversations in self.aliases.items() if canonical in conversations}
        if send.name not in used and len(used) >= self.names_per_pair:
            return
        for user in names:
            known = self.aliases.setdefault((user, send.name), set())
            elsewhere = known - {canonical}
            if not elsewhere:
                names[user] = send.name
            if not elsewhere or user == send.sender:
                known.add(canonical)
