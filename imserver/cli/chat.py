"""The conversation of `imserver chat`: what is typed goes out, what comes in is shown."""

from __future__ import annotations

import os
import select
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from imserver.cli.client import Client, message
from imserver.cli.errors import REFUSED, CommandError
from imserver.cli.output import printable
from imserver.model.accounts import SessionKicked
from imserver.model.errors import ImError
from imserver.model.groups import GroupChanged
from imserver.model.messages import AckMessages, InboxPage, InboxRow, MessageRevoked, ReadHistory
from imserver.model.presence import ListPresence, PresenceChanged
from imserver.wire.content import to_plain

PING_SECONDS = 20.0
HISTORY = 20
_MAX_TYPED = 65_536
_HELP = """\
/to USER       talk to a user
/group GROUP   talk in a group
/history [N]   show the last messages of this conversation
/who           show who is online
/quit          leave, as Ctrl-D does
//TEXT         send a text that begins with /"""


class Chat:
    """One person in front of a terminal (or a pipe).

    Args:
        to / group: who is talked to at first; both "" = nobody yet.
        typed: the descriptor that is read.
    """

    def __init__(self, client: Client, user: str, to: str, group: str, typed: int = 0) -> None:
        self._client = client
        self._user = user
        self._to = to
        self._group = group
        self._typed = typed
        self._buffer = b""
        self._left = False
        self._terminal = os.isatty(typed) and sys.stdout.isatty()
        self._commands: dict[str, Callable[[str], None]] = {
            "/to": self._talk_to,
            "/group": self._talk_in,
            "/history": self._history,
            "/who": self._who,
            "/quit": self._quit,
            "/help": lambda argument: self._show(_HELP),
        }

    def run(self) -> int:
        """Goes on until the person leaves.

        Raises:
            CommandError: the server ended it.
        """
        self._show(f"* logged in as {self._user}; /help for help")
        self._prompt()
        pinged = time.monotonic()
        while not self._left:
            self._take_events()
            readable: list[Any] = [self._typed, self._client]
            wait = 0.0 if self._client.waiting else 1.0
            ready = select.select(readable, [], [], wait)[0]
            if self._client in ready or self._client.waiting:
                self._client.read(1.0)
            if self._typed in ready:
                self._read_typed()
            if time.monotonic() - pinged > PING_SECONDS:
                pinged = time.monotonic()
                self._client.ping()
        return 0

    # What is typed

    def _read_typed(self) -> None:
        data = os.read(self._typed, _MAX_TYPED)
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        if not data:
            lines.append(self._buffer)
            self._buffer = b""
        for line in lines:
            if not self._left:
                self._line(line.decode(errors="replace").strip("\r"))
        if not data:
            self._left = True
        if not self._left:
            self._prompt()

    def _line(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        try:
            if line.startswith("//"):
                self._say(line[1:])
            elif line.startswith("/"):
                command = self._commands.get(name)
                if command is None:
                    self._show(f"! there is no {printable(name)}; /help lists what there is")
                else:
                    command(argument.strip())
            elif line.strip():
                self._say(line)
        except ImError as error:
            self._show(f"! {printable(error.text)}")
        except CommandError as error:
            if error.code != REFUSED:
                raise
            self._show(f"! {printable(error.text)}")

    def _say(self, text: str) -> None:
        if not self._to and not self._group:
            self._show("! to whom? /to USER or /group GROUP")
            return
        self._client.request(message(text, self._to, self._group))

    def _talk_to(self, user: str) -> None:
        if user:
            self._to, self._group = user, ""
        else:
            self._show("! /to USER")

    def _talk_in(self, group: str) -> None:
        if group:
            self._to, self._group = "", group
        else:
            self._show("! /group GROUP")

    def _quit(self, argument: str) -> None:
        self._left = True

    def _history(self, argument: str) -> None:
        wanted = int(argument) if argument.isdecimal() and len(argument) < 6 else HISTORY
        last: deque[InboxRow] = deque(maxlen=max(1, wanted))
        since = ""
        while True:
            page = self._client.request(
                ReadHistory(recipient=self._to, group=self._group, since=since, limit=500)
            )
            last.extend(page.rows)
            since = page.next_cursor
            if not page.has_more:
                break
        for row in last:
            self._show_row(row)

    def _who(self, argument: str) -> None:
        listed = self._client.request(ListPresence(tuple(argument.split())))
        for user in listed.users:
            self._show(f"* {printable(user.user)} is {user.state.value}")
        if not listed.users:
            self._show("* nobody you share a conversation with")

    # What comes in

    def _take_events(self) -> None:
        events, acked = self._client.events, 0
        shown = bool(events)
        while events:
            event = events.popleft()
            if isinstance(event, InboxRow | InboxPage):
                rows = event.rows if isinstance(event, InboxPage) else [event]
                for row in rows:
                    self._show_row(row)
                    acked = max(acked, row.seq)
            else:
                self._show_event(event)
        if acked:
            self._client.post(AckMessages(seq=acked))
        if shown:
            self._prompt()

    def _show_row(self, row: InboxRow) -> None:
        found = row.message
        at = time.strftime("%H:%M", time.localtime(found.server_at))
        where = f" in {printable(found.group)}" if found.group else ""
        if found.sender == self._user and found.recipient:
            where = f" to {printable(found.recipient)}"
        text = "(taken back)" if found.revoked is not None else to_plain(found.content)
        for line in text.splitlines() or [""]:
            self._show(f"[{at}] {printable(found.sender)}{where}: {printable(line)}")

    def _show_event(self, event: Any) -> None:
        match event:
            case SessionKicked():
                raise CommandError(REFUSED, f"the server ended the session: {event.text}", "KICKED")
            case MessageRevoked():
                self._show(f"* {printable(event.by)} took a message back")
            case PresenceChanged():
                self._show(f"* {printable(event.user)} is {event.state.value}")
            case GroupChanged():
                what = event.change.value.removeprefix("group_").replace("_", " ")
                self._show(f"* group {printable(event.group)}: {printable(event.user)} {what}")
            case _:
                pass  # receipts, typing, and what this client has no words for

    def _show(self, text: str) -> None:
        # On a terminal the prompt stands on the line that is written over.
        sys.stdout.write(f"\r\033[K{text}\n" if self._terminal else f"{text}\n")
        sys.stdout.flush()

    def _prompt(self) -> None:
        if self._terminal:
            where = f"#{self._group}" if self._group else self._to
            sys.stdout.write(f"\r\033[K{printable(where)}> ")
            sys.stdout.flush()
