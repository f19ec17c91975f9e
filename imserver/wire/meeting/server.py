"""The server's role of document 003."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import MAX_JSON_INTEGER
from imserver.model.messages import InboxPage, Message
from imserver.model.rooms import JoinRoom, RoomJoined
from imserver.wire.base import Request, Traits, WireError
from imserver.wire.meeting.answers import write_answer
from imserver.wire.meeting.errors import number_of
from imserver.wire.meeting.events import halves
from imserver.wire.meeting.requests import ADD, DELETE, LEAVE, read_command

VERSION: Final = 0
TRAITS: Final = Traits(name="meeting", skips_oversize=True, rooms=True)

_WITH_SESSION: Final = frozenset({LEAVE, ADD, DELETE})
"""Methods whose answers carry the session, as the document shows."""
_FAULTS: Final = (msgspec.MsgspecError, ValueError, RecursionError)

_encode: Final = msgspec.json.Encoder().encode


class _Envelope(Struct):
    """A request, of whatever types."""

    version: Any = 0
    cseq: Any = 0
    method: Any = None
    session: Any = None
    data: Raw = Raw(b"{}")


_read: Final = msgspec.json.Decoder(_Envelope).decode


class Tag(Struct, frozen=True, gc=False):
    """What an answer repeats of its request."""

    version: int = 0
    cseq: int = 0
    method: str = ""


_NO_TAG: Final = Tag()


class MeetingServerCodec:
    """One connection's codec (`imserver.wire.base.ServerCodec`); rooms carry no messages.

    Args:
        token: what the handshake brought; `data.token` goes before it.
    """

    __slots__ = ("_session", "_token", "traits")

    def __init__(self, token: str = "") -> None:
        self.traits = TRAITS
        self._token = token
        self._session = ""

    @property
    def profile(self) -> Hashable:
        """See ServerCodec."""
        return "meeting"

    @property
    def session(self) -> str:
        """The session that was last given to this peer; "" before that, and after it left."""
        return self._session

    def decode(self, frame: bytes) -> Request:
        """Reads one message.

        Raises:
            WireError: see ServerCodec; never fatal, since the next message stands for itself.
        """
        try:
            # Skipped fields are not decoded and would pass with any bytes.
            if not frame.isascii():
                frame.decode()
            envelope = _read(frame)
        except _FAULTS:
            raise WireError(ErrorCode.BAD_REQUEST, "the message is not a JSON object in UTF-8") from None
        method = envelope.method if type(envelope.method) is str else ""
        tag = Tag(_echo(envelope.version), _echo(envelope.cseq), method)
        try:
            command = self._command(envelope, method)
        except ImError as refusal:
            raise WireError(refusal.code, refusal.text, tag=tag) from None
        return Request(command, tag)

    def _command(self, envelope: _Envelope, method: str) -> Any:
        if not _is_number(envelope.version):
            raise ImError(ErrorCode.BAD_REQUEST, "version must be an integer")
        if envelope.version != VERSION:
            raise ImError(ErrorCode.VERSION, f"only version {VERSION} is spoken here")
        if not _is_number(envelope.cseq):
            raise ImError(ErrorCode.BAD_REQUEST, "cseq must be an integer")
        if not method:
            raise ImError(ErrorCode.BAD_REQUEST, "method must be a string")
        session = envelope.session
        if session is None:
            session = ""
        elif type(session) is not str:
            raise ImError(ErrorCode.BAD_REQUEST, "session must be a string")
        command = read_command(method, session, envelope.data)
        if type(command) is JoinRoom and not command.token:
            command = msgspec.structs.replace(command, token=self._token)
        return command

    def reply(self, request: Request, reply: Any) -> list[bytes]:
        """The answer."""
        tag: Tag = request.tag
        data = write_answer(reply)
        if type(reply) is RoomJoined:
            self._session = reply.session
        frame = self._answer(tag, 0, "ok", data)
        if tag.method == LEAVE:
            self._session = ""
        return [frame]

    def refusal(self, tag: Any, error: ImError | WireError, command: Any = None) -> list[bytes]:
        """The answer with `err`."""
        return [self._answer(_NO_TAG if tag is None else tag, number_of(error), error.text, b"{}")]

    def _answer(self, tag: Tag, number: int, text: str, data: bytes) -> bytes:
        session = b'"session":%b,' % _encode(self._session) if tag.method in _WITH_SESSION else b""
        return b'{"version":%d,"cseq":%d,"err":%d,"err_msg":%b,%b"data":%b}' % (
            tag.version,
            tag.cseq,
            number,
            _encode(text or "refused"),
            session,
            data,
        )

    def event(self, event: Any) -> list[bytes]:
        """The event for this peer alone; see `shared_event`."""
        parts = halves(event)
        return [] if parts is None else [self._session.encode().join(parts)]

    def shared_event(self, event: Any) -> tuple[bytes, bytes] | None:
        """The event's two halves, between which each receiver's `session` stands."""
        return halves(event)

    def shared(self, message: Message) -> None:
        """See ServerCodec."""

    def splice(self, shared: Any, seq: int) -> list[bytes]:
        """See ServerCodec."""
        return []

    def backlog(self, page: InboxPage) -> list[bytes]:
        """See ServerCodec."""
        return []


def _is_number(value: Any) -> bool:
    return type(value) is int and -MAX_JSON_INTEGER <= value <= MAX_JSON_INTEGER


def _echo(value: Any) -> int:
    """A number as it is repeated; 0 for what is none."""
    return value if _is_number(value) else 0
