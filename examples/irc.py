"""A sixth door: IRC (RFC 2812), as much of it as irssi needs. See docs/adding-a-format.md.

    twistd -n imserver --demo --data-dir ./data --set formats.irc=examples.irc:FORMAT \\
        --set 'listener.2={format="irc", endpoint="tcp:6667:interface=127.0.0.1"}'
    irssi --connect=127.0.0.1 --port=6667 --password=alice --nick=alice

A nick is a user id, a channel `#x` is the group `x`; PASS is the password.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any
from urllib.parse import quote, unquote

from imserver.model.accounts import Disconnect, LogIn, Ping, SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import GroupChange, GroupChanged, JoinGroup, LeaveGroup, ListMembers
from imserver.model.messages import Content, Form, InboxPage, Message, SendMessage
from imserver.protocols.formats import Door, Format
from imserver.wire.base import Request, Traits, WireError
from imserver.wire.content import to_plain

SERVER = "imserver"
MAX_LINE = 510
"""Bytes of a line without its end."""
TRAITS = Traits(
    name="irc", acks=False, close_on_refused_login=True, login_deadline_alive=60.0, max_frame=8192
)
_UNSAFE = re.compile(r"[\s,:@!#&*?%]")
_LOCAL = Ping()
"""Carries an answer that needs no service: it stands in the request's tag already."""
_CHANGES = {GroupChange.JOINED: "JOIN", GroupChange.LEFT: "PART", GroupChange.KICKED: "PART"}
_NUMERICS = {
    ErrorCode.AUTH_FAILED: "464",
    ErrorCode.USER_NOT_FOUND: "401",
    ErrorCode.CONVERSATION_NOT_FOUND: "403",
    ErrorCode.NOT_FOUND: "403",
    ErrorCode.FORBIDDEN: "404",
    ErrorCode.TOO_FAST: "263",
}


def nick(user: str) -> str:
    """A user id as a nick: what IRC has other uses for is percent-encoded."""
    return _UNSAFE.sub(lambda found: quote(found[0], safe=""), user)


def source(user: str) -> str:
    """Whom a line comes from."""
    return f":{nick(user)}!{nick(user)}@{SERVER}"


def line(*words: str) -> bytes:
    """One line; a last word that is empty, has spaces or begins with a colon gets one."""
    *middle, last = words
    if not last or last[0] == ":" or " " in last:
        last = f":{last}"
    return " ".join([*middle, last]).encode()[:MAX_LINE] + b"\r\n"


def pieces(text: str, room: int) -> list[str]:
    """A text as lines of at most `room` bytes, cut between characters."""
    found: list[str] = []
    for row in text.replace("\0", "").splitlines():
        while row:
            found.append(row.encode()[:room].decode(errors="ignore"))
            row = row[len(found[-1]) :]
    return found


class IrcCodec:
    """One connection (`imserver.wire.base.ServerCodec`). A tag is what answers, or whom a refusal names."""

    traits = TRAITS
    profile: Hashable = "irc"

    def __init__(self) -> None:
        self._user = self._nick = self._name = self._password = ""
        self._welcome = False
        self._joined: set[str] = set()

    def decode(self, frame: bytes) -> Request:
        """Reads one line; what needs no service is answered on the spot."""
        head, colon, last = re.sub(r"^:\S* +", "", frame.decode(errors="replace")).partition(" :")
        command, *words = [*head.split(), *([last] if colon else [])] or [""]
        match [command.upper(), *words]:
            case ["CAP", "LS", *_]:
                return self._say(line(f":{SERVER}", "CAP", "*", "LS", ""))
            case ["CAP" | "PONG", *_]:
                return self._say()
            case ["PASS", password, *_]:
                self._password = password
                return self._say()
            case ["NICK", wanted, *_] if not self._welcome:
                self._user = unquote(wanted)
                self._nick = nick(self._user)
                return self._log_in()
            case ["NICK", *_]:
                return self._say(self._numeric("484", "Your nick is your user id"))
            case ["USER", name, *_]:
                self._name = name
                return self._log_in()
            case ["JOIN", *_] if not self._welcome:
                return self._say(self._numeric("451", "Log in first"))  # irssi asks before it logs in
            case ["PING", *_, token]:
                return self._say(line(f":{SERVER}", "PONG", SERVER, token))
            case ["QUIT", *_]:
                return Request(Disconnect(), "")
            case ["PRIVMSG" | "NOTICE", target, text]:
                group, recipient = (target[1:], "") if target[0] == "#" else ("", target)
                content = Content(Form.TEXT, text.encode())
                send = SendMessage(content, recipient=unquote(recipient), group=unquote(group))
                return Request(send, target)
            case ["JOIN", channel, *keys]:
                return Request(JoinGroup(unquote(channel[1:]), "".join(keys[:1])), channel)
            case ["PART", channel, *_]:
                return Request(LeaveGroup(unquote(channel[1:])), channel)
            case ["NAMES", channel, *_]:
                return Request(ListMembers(unquote(channel[1:])), channel)
            case ["MODE", channel, "b" | "+b"]:
                return self._say(self._numeric("368", channel, "End of channel ban list"))
            case ["MODE", target, *_]:
                answer = ("324", target, "+n") if target[0] == "#" else ("221", "+")
                return self._say(self._numeric(*answer))
            case ["WHO", target, *_]:
                return self._say(self._numeric("315", target, "End of WHO list"))
        return self._say(self._numeric("421", command, "Unknown command, or too few parameters"))

    def _log_in(self) -> Request:
        if not (self._nick and self._name):
            return self._say()
        return Request(LogIn(user=self._user, password=self._password), "")

    @staticmethod
    def _say(*lines: bytes) -> Request:
        return Request(_LOCAL, list(lines))

    def _numeric(self, number: str, *words: str) -> bytes:
        return line(f":{SERVER}", number, self._nick or "*", *words)

    def reply(self, request: Request, reply: Any) -> list[bytes]:
        """What stands in the tag, or the result of joining, leaving, naming, logging in."""
        command, channel = request.command, request.tag
        if isinstance(command, LogIn):
            self._welcome = True
            greeting = self._numeric("001", f"Welcome to {SERVER}, {self._nick}")
            return [greeting, self._numeric("004", SERVER, "1", "i", "n"), self._numeric("422", "No MOTD")]
        if isinstance(command, JoinGroup):
            return [*self._enter(command.group), *self._names(channel, reply.group.members)]
        if isinstance(command, LeaveGroup):
            self._joined.discard(command.group)
            return [line(source(self._user), "PART", channel)]
        if isinstance(command, ListMembers):
            return self._names(channel, reply.members)
        if isinstance(command, Disconnect):
            return [line("ERROR", "Bye")]
        return list(request.tag) if command is _LOCAL else []

    def _enter(self, group: str) -> list[bytes]:
        self._joined.add(group)
        return [line(source(self._user), "JOIN", f"#{nick(group)}")]

    def _names(self, channel: str, members: list[Any]) -> list[bytes]:
        rows = [self._numeric("353", "=", channel, f"{nick(member.user)} ") for member in members]
        return [*rows, self._numeric("366", channel, "End of NAMES list")]

    def refusal(self, tag: Any, error: ImError | WireError, command: Any = None) -> list[bytes]:
        """The numeric that comes nearest; 400 is everybody's."""
        names = [tag] if isinstance(tag, str) and tag else []
        return [self._numeric(_NUMERICS.get(error.code, "400"), *names, error.text)]

    def event(self, event: Any) -> list[bytes]:
        """Who joins and leaves, and goodbyes; typing, receipts and revokes are unknown here."""
        if isinstance(event, SessionKicked):
            return [line("ERROR", event.text)]
        if isinstance(event, GroupChanged) and event.change in _CHANGES:
            return [line(source(event.user), _CHANGES[event.change], f"#{nick(event.group)}")]
        return []

    def shared(self, message: Message) -> Message:
        """The same for everybody, but the nick of who gets it is not."""
        return message

    def splice(self, shared: Message, seq: int) -> list[bytes]:
        """A PRIVMSG for each line; the first one from a group enters its channel."""
        target = f"#{nick(shared.group)}" if shared.group else nick(shared.recipient or self._user)
        head = f"{source(shared.sender)} PRIVMSG {target} :"
        text = "[revoked]" if shared.revoked else to_plain(shared.content)
        enter = self._enter(shared.group) if shared.group and shared.group not in self._joined else []
        room = max(100, MAX_LINE - len(head.encode()))
        return enter + [f"{head}{row}\r\n".encode() for row in pieces(text, room)]

    def backlog(self, page: InboxPage) -> list[bytes]:
        """A message after the other."""
        return [frame for row in page.rows for frame in self.splice(row.message, row.seq)]


FORMAT = Format(Door.LINES, lambda options: IrcCodec())
