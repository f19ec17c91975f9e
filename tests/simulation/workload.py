"""What people do: a seeded mixture of everything the two formats can do."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from imserver.model.accounts import Ping
from imserver.model.errors import ImError
from imserver.model.groups import (
    CreateGroup,
    DeleteGroup,
    GroupReply,
    InviteMember,
    JoinGroup,
    KickMember,
    LeaveGroup,
    ListGroups,
    ListMembers,
)
from imserver.model.ids import group_name, single_name
from imserver.model.messages import Content, Form, MarkRead, ReadHistory, SendMessage, SetTyping
from imserver.model.presence import ListPresence, PresenceState, SetPresence
from tests.simulation.client import JSONLINE, PROTOBUF, Device
from tests.simulation.history import History, Send
from tests.simulation.plan import Plan
from tests.simulation.world import World

_FILE = '{"file_id":"f-%s","name":"a.png","size":7,"hash":"00"}'


class Workload:
    """Lets every device's owner do something now and then.

    Attributes:
        devices: all of them.
        left: actions that are still to come.
    """

    def __init__(self, world: World, history: History, plan: Plan, devices: list[Device]) -> None:
        self.world = world
        self.history = history
        self.plan = plan
        self.devices = devices
        self.left = plan.actions
        self.chance: Random = world.randomness("workload")
        self.groups: dict[str, str] = {}  # group id -> owner, as far as people know
        self._made = 0
        self._stopped = False
        self._actions: list[tuple[float, Callable[[Device], None]]] = [
            (plan.weight(name), action)
            for name, action in (
                ("send", self._send),
                ("burst", self._burst),
                ("duplicate", self._duplicate),
                ("conflict", self._conflict),
                ("ack", lambda device: device.ack()),
                ("sync", self._sync),
                ("history", self._history),
                ("read", self._mark_read),
                ("revoke", self._revoke),
                ("presence", self._presence),
                ("typing", self._typing),
                ("group", self._group),
                ("leave", self._leave_line),
                ("idle", self._idle),
            )
        ]
        self._weights = [weight for weight, _ in self._actions]

    def start(self) -> None:
        """Everybody begins."""
        for device in self.devices:
            self._arrange(device)

    def stop(self) -> None:
        """Nobody does anything of their own accord any more."""
        self._stopped = True

    @property
    def done(self) -> bool:
        """Whether everything that was to happen has happened."""
        return self.left <= 0

    def _arrange(self, device: Device) -> None:
        pause = round(self.chance.expovariate(1 / self.plan.pause), 3)
        self.world.later(min(pause, 10 * self.plan.pause), self._turn, device)

    def _turn(self, device: Device) -> None:
        if self._stopped or self.left <= 0:
            return
        if device.state == "offline":
            device.connect()
        elif device.state == "online":
            self.left -= 1
            _, action = self.chance.choices(self._actions, self._weights)[0]
            action(device)
        self._arrange(device)

    # Sending

    def _send(self, device: Device) -> None:
        send = self._new_send(device)
        if send is not None:
            device.send(send)

    def _burst(self, device: Device) -> None:
        for _ in range(self.chance.randint(2, 8)):
            self._send(device)

    def _new_send(self, device: Device) -> Send | None:
        chance = self.chance
        number = len(self.history.sends)
        text = f"<m{number}>"
        fields: dict[str, Any] = {}
        peer = group = ""
        kind = chance.random()
        if device.user == self.history.users[0] and device.format == JSONLINE and kind < self.plan.broadcasts:
            fields["broadcast"] = True
        elif kind < self.plan.to_groups and self.groups:
            group = chance.choice(list(self.groups))
            fields["group"] = group
        else:
            peer = chance.choice(self.history.users)
            fields["recipient"] = peer
            if chance.random() < self.plan.names:
                fields["conversation"] = f"name-{chance.randrange(3)}"
        if device.format == JSONLINE and "broadcast" not in fields and chance.random() < 0.15:
            # Named by the conversation alone.
            if group:
                fields = {"conversation": chance.choice((group, group_name(group)))}
            elif "conversation" in fields:
                del fields["recipient"]
                peer = "?"
            else:
                fields = {"conversation": single_name(device.user, peer)}
        client_id = f"c{number}" if device.format == JSONLINE or chance.random() < 0.8 else ""
        command = SendMessage(
            content=self._content(device, text),
            client_id=client_id,
            sent_at=float(int(self.world.wall_time())),
            **fields,
            **self._trimmings(text),
        )
        send = Send(number, device.user, device.format, client_id, text, command, peer, group)
        self.history.sends.append(send)
        return send

    def _content(self, device: Device, text: str) -> Content:
        chance = self.chance
        kind = chance.random()
        if kind < self.plan.large:
            return Content(Form.TEXT, (text + "x" * chance.randint(1000, 12_000)).encode())
        if kind < 0.75:
            return Content(Form.TEXT, f"{text} 你好".encode())
        if kind < 0.9 or device.format == JSONLINE:
            return Content(
                Form.JSON, json.dumps({"type": "emoji", "text": text}, separators=(",", ":")).encode(), 0
            )
        return Content(Form.OPAQUE, (_FILE % text).encode(), chance.choice((2, 5, 77)))

    def _trimmings(self, text: str) -> dict[str, Any]:
        chance = self.chance
        fields: dict[str, Any] = {}
        if chance.random() < 0.15:
            fields["extra"] = {"k": text, "b": "2", "a": "1"}
        if chance.random() < 0.1:
            fields["attachments"] = b'[{"file_id":"%b","size":3}]' % text.encode()
        if chance.random() < 0.1:
            fields["meta"] = b'{"priority":"high","x":"%b"}' % text.encode()
        return fields

    def _duplicate(self, device: Device) -> None:
        """Sends something again that was answered long ago, as a client with a lost note of it would."""
        mine = [
            send
            for send in self.history.sends[self.history.young_from :]
            if send.user == device.user and send.format == device.format and send.client_id and send.attempts
        ]
        if mine:
            device.send(self.chance.choice(mine[-20:]))

    def _conflict(self, device: Device) -> None:
        """Uses a client id a second time for something else."""
        mine = [
            send
            for send in self.history.sends[self.history.young_from :]
            if send.user == device.user
            and send.format == device.format
            and send.client_id
            and not send.variant
        ]
        if not mine:
            return
        first = self.chance.choice(mine[-20:])
        other = self._new_send(device)
        if other is None or other.command.broadcast:
            return
        command = other.command
        other.variant = True
        other.client_id = first.client_id
        other.command = SendMessage(
            content=command.content,
            conversation=command.conversation,
            recipient=command.recipient,
            group=command.group,
            client_id=first.client_id,
            sent_at=command.sent_at,
            extra=command.extra,
            attachments=command.attachments,
            meta=command.meta,
        )
        device.send(other)

    # Reading

    def _sync(self, device: Device) -> None:
        if device.format == PROTOBUF:
            if self.chance.random() < 0.7:
                device.sync(device.held)
            else:
                after = self.chance.randint(0, device.held + 1)
                device.sync(after, at_least=self.chance.choice((0, after, after + 2)))
        else:
            self._history(device)

    def _history(self, device: Device) -> None:
        if device.format == PROTOBUF:
            self._sync(device)
            return
        limit = self.chance.choice((0, 2, 7))
        kind = self.chance.random()
        if kind < 0.4:
            device.read_history(ReadHistory(limit=limit), "inbox")
        elif kind < 0.7 or not self.groups:
            peer = self.chance.choice(self.history.users)
            device.read_history(ReadHistory(recipient=peer, limit=limit), single_name(device.user, peer))
        else:
            group = self.chance.choice(list(self.groups))
            device.read_history(ReadHistory(group=group, limit=limit), group_name(group))

    def _mark_read(self, device: Device) -> None:
        seen = list(device.person.seen)[-5:]
        if seen:
            chosen = tuple(dict.fromkeys(self.chance.choices(seen, k=2)))
            device.request(MarkRead(chosen), _ignore)

    def _revoke(self, device: Device) -> None:
        mine = [key for key, sender in device.person.seen.items() if sender == device.user]
        others = list(device.person.seen)
        if mine and self.chance.random() < 0.8:
            device.revoke(self.chance.choice(mine[-6:]))
        elif others:
            device.revoke(self.chance.choice(others[-6:]))

    # The rest

    def _presence(self, device: Device) -> None:
        if device.format == JSONLINE and self.chance.random() < 0.7:
            state = self.chance.choice((PresenceState.ONLINE, PresenceState.AWAY, PresenceState.BUSY))
            device.request(SetPresence(state), _ignore)
        else:
            device.request(ListPresence(tuple(self.history.users)), _ignore)

    def _typing(self, device: Device) -> None:
        peer = self.chance.choice(self.history.users)
        device.request(SetTyping(True, single_name(device.user, peer)), None)

    def _leave_line(self, device: Device) -> None:
        kind = self.chance.random()
        if kind < 0.4:
            device.log_out()
        else:
            device.hang_up()

    def _idle(self, device: Device) -> None:
        device.request(Ping(), _ignore)

    def _group(self, device: Device) -> None:
        """Groups are document 004's."""
        if device.format != JSONLINE:
            return
        chance = self.chance
        if not self.groups or (len(self.groups) < 3 and chance.random() < 0.3):
            self._create_group(device)
            return
        group = chance.choice(list(self.groups))
        owner = self.groups[group]
        other = chance.choice(self.history.users)
        kind = chance.random()
        if kind < 0.35:
            device.request(JoinGroup(group), self._told("join", device, group))
        elif kind < 0.55:
            device.request(LeaveGroup(group), self._told("leave", device, group))
        elif kind < 0.75:
            device.request(KickMember(group, other), self._told("kick", device, group))
        elif kind < 0.85:
            device.request(InviteMember(group, other), self._told("invite", device, group))
        elif kind < 0.9 and owner == device.user:
            device.request(DeleteGroup(group), self._told("delete", device, group))
        elif kind < 0.95:
            device.request(ListMembers(group), _ignore)
        else:
            device.request(ListGroups(), _ignore)

    def _create_group(self, device: Device) -> None:
        self._made += 1
        group = f"g{self._made}"
        count = self.chance.randint(0, len(self.history.users))
        members = tuple(self.chance.sample(self.history.users, count))
        device.note("create", group, *members)

        def created(reply: Any) -> None:
            if isinstance(reply, GroupReply):
                self.groups[group] = device.user
            device.note("created", group, type(reply).__name__)

        device.request(CreateGroup(group, open=self.chance.random() < 0.7, members=members), created)

    def _told(self, what: str, device: Device, group: str) -> Callable[[Any], None]:
        device.note(what, group)

        def told(reply: Any) -> None:
            device.note(f"{what} answered", group, reply.code if isinstance(reply, ImError) else "done")
            if isinstance(reply, GroupReply):
                self.groups[group] = reply.group.owner

        return told


def _ignore(reply: Any) -> None:
    return None
