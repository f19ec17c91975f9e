"""The client's role of the dialect chat-app: commands to lines, lines of the server to replies and events.

It sends what the deployed client sends, and is as strict about what comes back as that one has to be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from imserver.model.accounts import Ping
from imserver.model.calls import CallMedia, StartCall
from imserver.model.errors import ErrorCode
from imserver.model.group_calls import StartGroupCall
from imserver.model.messages import SendMessage
from imserver.wire.base import WireError
from imserver.wire.jsonline import client as drafted
from imserver.wire.jsonline.chat_app.client_replies import READERS, VoiceEvent, event
from imserver.wire.jsonline.chat_app.client_requests import WRITERS
from imserver.wire.jsonline.chat_app.commands import ANSWERS, find
from imserver.wire.jsonline.chat_app.pages import LINE_BYTES
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.errors import error_from_payload
from imserver.wire.jsonline.framing import decode_msg
from imserver.wire.jsonline.messages import MsgBase
from imserver.wire.jsonline.replies import read_reply
from imserver.wire.jsonline.validator import VERSION

__all__ = ["ChatAppClientCodec", "VoiceEvent"]

Payload = dict[str, Any]


class ChatAppClientCodec:
    """One connection's codec for client programs (`imserver.wire.base.ClientCodec`).

    Args:
        now: the wall clock, float seconds, for timestamps; None = lines have none.
    """

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self._now = now

    def request(self, command: Any, tag: Any) -> bytes:
        """The line for a command; `tag` becomes its id. Heartbeats and voice go out as events.

        Raises:
            ValueError: this dialect cannot carry the command.
        """
        write = WRITERS.get(type(command))
        if write is None:
            name, payload = drafted.payload_of(command)
        else:
            name, payload = write(command)
        kind = "request"
        if isinstance(command, Ping):
            name, kind = MsgType.HEARTBEAT, "event"
        elif isinstance(command, CallMedia):
            kind = "event"
        elif isinstance(command, SendMessage):
            tag = command.client_id if tag is None else tag
        elif isinstance(command, StartCall | StartGroupCall):
            tag = command.call
        line: Payload = {"id": "" if tag is None else str(tag), "type": kind}
        if self._now is not None:
            line["timestamp"] = int(self._now())
        spelling = name.value.replace("group/", "room/")
        line |= {"command": spelling, "headers": {"version": VERSION}, "payload": payload}
        return drafted.encode(line)

    def decode(self, frame: bytes) -> tuple[Any, Any]:
        """Reads one line of the server; see `ClientCodec.decode`.

        A piece of a long message is a row of its own.

        Raises:
            WireError: the server broke the format.
        """
        try:
            if len(frame) > LINE_BYTES:
                raise ValueError("the line is too long")
            message = decode_msg(frame)
            _check(message)
            return self._decode(message)
        except drafted.FAULTS as fault:
            raise WireError(ErrorCode.BAD_REQUEST, "this is no line of a server") from fault

    def _decode(self, message: MsgBase) -> tuple[Any, Any]:
        payload = message.payload
        if message.type == "event":
            return None, event(message)
        if payload["status"] not in (200, 202):
            return message.id, error_from_payload(payload)
        name = _NAMES.get(message.command)
        if name is None:
            known = find(message.command)
            if known is None:
                raise ValueError("an answer to an unknown command")
            name = known.name
        read = READERS.get(name)
        if read is not None:
            return message.id, read(payload)
        return message.id, read_reply(name, payload)


_NAMES: Final = {answer: name for name, answer in ANSWERS.items()}


def _check(message: MsgBase) -> None:
    if type(message.id) is not str or type(message.timestamp) is not int:
        raise ValueError("an id that is no string, or a timestamp that is no integer")
    if message.headers is None or message.headers.get("version") != VERSION:
        raise ValueError("no version")
    if message.type not in ("response", "event") or None in message.payload.values():
        raise ValueError("not what a server sends")
