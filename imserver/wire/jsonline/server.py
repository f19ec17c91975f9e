"""The server's role of document 004: lines of clients to commands, replies and events to lines."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from imserver.model.accounts import Ping, Pong
from imserver.model.errors import ErrorCode, ImError
from imserver.model.extensions import OwnEvent
from imserver.model.files import Channel
from imserver.model.message_rows import MessageRow
from imserver.model.messages import InboxPage, MessageAccepted, SendMessage
from imserver.model.protection import Once
from imserver.wire.base import Request, Traits, WireError, each_accepted
from imserver.wire.jsonline.answers import accepted_line, accepted_payload, answer_payloads
from imserver.wire.jsonline.commands import Command, MsgType, find
from imserver.wire.jsonline.compression import ENCODING, WORTH_IT, pack, unpack
from imserver.wire.jsonline.errors import ProtocolError
from imserver.wire.jsonline.events import event_to_payload
from imserver.wire.jsonline.extensions import Extensions
from imserver.wire.jsonline.files import channel_to_dict, check_sealing, place_channel
from imserver.wire.jsonline.framing import MAX_LINE, is_blank
from imserver.wire.jsonline.messages import Envelope
from imserver.wire.jsonline.plain import read_plain
from imserver.wire.jsonline.pushes import PAGE_BYTES, offline_payloads, shared_push, spliced_push
from imserver.wire.jsonline.requests import Read, read_command
from imserver.wire.jsonline.rows import accepted_row, pushed_row
from imserver.wire.jsonline.security import Seal, SessionSecurity
from imserver.wire.jsonline.tags import Tag, check_headers, tag_of, with_room_id, with_trace
from imserver.wire.jsonline.validator import (
    MAX_ID_BYTES,
    SUPPORTED_VERSIONS,
    bad,
    check_timestamp,
)

TRAITS: Final = Traits(
    name="jsonline",
    pulls=False,
    acks=True,
    login_deadline=10.0,
    # People type their password while the client's heartbeat runs.
    login_deadline_alive=600.0,
    max_frame=MAX_LINE,
    page_bytes=PAGE_BYTES,
    transfers=True,
)

_FAULTS: Final = (msgspec.MsgspecError, ValueError, RecursionError)
_OWN_CREDENTIALS: Final = frozenset({MsgType.LOGIN, MsgType.REGISTER, MsgType.REFRESH})
_SEALING: Final = frozenset({MsgType.FILE_REQUEST, MsgType.FILE_ACCEPT})

_PACKED: Final = b'"encoding":"%b"' % ENCODING.encode()

_encode: Final = msgspec.json.Encoder().encode
_read: Final = msgspec.json.Decoder(Envelope).decode


class _Probe(Struct):
    """What can be saved of an envelope that has a fault somewhere."""

    id: Any = None
    type: Any = None
    command: Any = None


_probe: Final = msgspec.json.Decoder(_Probe).decode


_NO_TAG: Final = Tag()
_KEEP_ALIVE: Final = Request(Ping(), Tag(silent=True))


class JsonLineServerCodec:
    """One connection's codec (`imserver.wire.base.ServerCodec`).

    A frame is a line without its newline.

    Args:
        now: the wall clock, float seconds, for the timestamps of answers.
        extensions: commands and content types of other programs.
    """

    __slots__ = (
        "_deflate",
        "_events",
        "_extensions",
        "_host",
        "_now",
        "_plain",
        "_secure",
        "_security",
        "traits",
    )

    profile: Hashable = "jsonline"
    """All sessions of this dialect get the same bytes."""

    # What another dialect reads otherwise: lines, the names of commands, payloads.
    _envelope: Callable[[bytes], Envelope] = staticmethod(_read)
    _find: Callable[[str], Command | None] = staticmethod(find)
    _payload: Read = staticmethod(read_command)

    def __init__(self, now: Callable[[], float], extensions: Extensions | None = None) -> None:
        self.traits = TRAITS
        self._now = now
        self._extensions = extensions
        self._events = 0
        self._deflate = False  # the peer wants long payloads compressed
        self._security: SessionSecurity | None = None  # see `secured`
        self._plain = extensions is None  # most lines are read by `plain`
        self._host = ""
        self._secure = False

    def located(self, host: str, secure: bool) -> None:
        """Told at the start where this server's end of the connection is, and whether it is encrypted."""
        self._host, self._secure = host, secure

    def decode(self, frame: bytes) -> Request:
        """Reads one line; a blank one is a `Ping` without an answer.

        Raises:
            WireError: see `ServerCodec.decode`; never fatal, since the next line stands for itself.
        """
        if self._plain:
            request = read_plain(frame)
            if request is not None:
                return request
        try:
            # Skipped fields are not decoded and would pass with any bytes.
            if not frame.isascii():
                frame.decode()
            envelope = self._envelope(frame)
        except _FAULTS as fault:
            if is_blank(frame):
                return _KEEP_ALIVE
            raise self._unreadable(frame, fault) from None
        known = self._find(envelope.command)
        tag = tag_of(envelope.id, envelope.command, known, envelope.type)
        try:
            if tag is None:
                tag = tag_of(None, envelope.command, known, envelope.type)
                raise bad(f"id must be a string of at most {MAX_ID_BYTES} bytes")
            authorization = ""
            if envelope.headers is not None:
                tag = with_trace(tag, envelope.headers)
                authorization = check_headers(envelope.headers)
                if envelope.headers.accept_encoding is not None and self._security is None:
                    self._deflate = ENCODING in envelope.headers.accept_encoding
            seal = None
            if self._security is not None:
                seal = self._security.open(envelope, None if known is None else known.name)
            elif envelope.headers is not None and envelope.headers.encoding is not None:
                unpack(envelope)
            if envelope.type not in ("request", "event", None):
                raise bad("type must be request or event")
            if envelope.timestamp is not None:
                envelope.timestamp = check_timestamp(envelope.timestamp)
            if known is None:
                return self._own_command(envelope, tag, authorization, seal)
            command = self._payload(known.name, envelope)
            if known.name in _SEALING:
                sealed = self._security is not None and self._security.sealed
                check_sealing(command, self._secure or sealed)
            if self._extensions is not None and type(command) is SendMessage:
                self._extensions.check(command.content)
            if seal is not None:
                command = Once(command, *seal)
        except ImError as refusal:
            raise WireError(
                refusal.code, refusal.text, tag=tag, command=known.name.value if known else ""
            ) from None
        if authorization and known.name in _OWN_CREDENTIALS:
            authorization = ""
        if known.once and envelope.id not in (None, ""):
            return Request(command, tag, authorization, True, f"{known.name.value} {envelope.id}")
        return Request(command, tag, authorization)

    def _own_command(self, envelope: Envelope, tag: Tag, authorization: str, seal: Seal | None) -> Request:
        """A command of an extension. Raises ImError."""
        found = None
        if self._extensions is not None:
            found = self._extensions.read(envelope.command, envelope.payload)
        if found is None:
            raise ImError(ErrorCode.UNKNOWN_COMMAND, "this command is not known")
        own, command = found
        if seal is not None:
            command = Once(command, *seal)
        if own.once and envelope.id not in (None, ""):
            return Request(command, tag, authorization, True, f"{own.name} {envelope.id}")
        return Request(command, tag, authorization)

    def _unreadable(self, frame: bytes, fault: Exception) -> WireError:
        """The error for a line that is no envelope, with whatever can be echoed."""
        try:
            frame.decode()
            found = _probe(frame)
        except _FAULTS:
            return WireError(ErrorCode.BAD_REQUEST, "the line is not a JSON object in UTF-8")
        known = self._find(found.command) if type(found.command) is str else None
        tag = tag_of(found.id, found.command, known, found.type)
        if tag is None:
            tag = tag_of(None, found.command, known, found.type)
        text = str(fault) if isinstance(fault, msgspec.ValidationError) else "the line cannot be read"
        name = known.name.value if known else ""
        return WireError(ErrorCode.BAD_REQUEST, text, tag=tag, command=name)

    def reply(self, request: Request, reply: Any) -> list[bytes]:
        """The response; nothing for what came as an event, but the echo of a heartbeat with a seq."""
        tag: Tag = request.tag
        if tag.silent:
            if type(reply) is Pong and reply.seq is not None and tag.name is MsgType.HEARTBEAT:
                return [self._line(tag, b"event", b'{"seq":%d}' % reply.seq)]
            return []
        if type(reply) is MessageAccepted:
            if not (self._deflate or tag.trace):
                return [accepted_line(tag, reply, int(self._now()))]  # nearly always
            return [self._line(tag, b"response", accepted_payload(reply))]
        if type(reply) is Channel:
            place = place_channel(reply, self._host, self._secure)
            payloads = [_encode({"status": 200, **channel_to_dict(reply, place)})]
        else:
            payloads = answer_payloads(reply, request.command)
        if tag.room:
            payloads = [with_room_id(payload) for payload in payloads]
        return [self._line(tag, b"response", payload) for payload in payloads]

    def accepted(self, requests: Sequence[Request], replies: Sequence[MessageAccepted]) -> list[bytes]:
        """See AnswersRows. Written in one go: what `reply` gives."""
        if self._deflate:
            return each_accepted(self, requests, replies)
        return accepted_row(requests, replies, int(self._now()), self.reply)

    def refusal(self, tag: Any, error: ImError | WireError, command: Any = None) -> list[bytes]:
        """The response with the error; after a failed send also message/ack (§6), which events get too."""
        tag = _NO_TAG if tag is None else tag
        known = ProtocolError.of(error).to_dict()
        lines = []
        if not tag.silent:
            versions: tuple[str, ...] = ()
            if error.code is ErrorCode.VERSION:
                versions = SUPPORTED_VERSIONS
                known["advice"] = f"use version {SUPPORTED_VERSIONS[1]} of the protocol"
            lines.append(self._line(tag, b"response", _encode(known), versions))
        if tag.name is MsgType.SEND and tag.id != b"null":
            lines.append(self._event(tag.id, MsgType.ACK, _encode(known)))
        return lines

    def event(self, event: Any) -> list[bytes]:
        """The event; an `ImError` becomes control/error."""
        if type(event) is OwnEvent:
            return [self._event(self._event_id(), event.command, _encode(event.payload))]
        written = event_to_payload(event)
        if written is None:
            return []
        name, payload = written
        return [self._event(self._event_id(), name, _encode(payload))]

    # message/event without its seq, and with it. Not methods: every message goes through them.
    shared = staticmethod(shared_push)
    splice = staticmethod(spliced_push)

    def pushed(self, messages: MessageRow, seq: int) -> list[bytes]:
        """See PushesRows: message/event."""
        return pushed_row(messages, seq)

    def backlog(self, page: InboxPage) -> list[bytes]:
        """message/offline."""
        return [self._event(self._event_id(), MsgType.OFFLINE, payload) for payload in offline_payloads(page)]

    def _line(self, tag: Tag, kind: bytes, payload: bytes, versions: tuple[str, ...] = ()) -> bytes:
        headers, fields = b"", []
        if self._deflate and len(payload) >= WORTH_IT:
            payload = pack(payload)
            fields.append(_PACKED)
        if tag.trace or versions or fields:
            if tag.trace:
                fields.append(b'"trace":' + tag.trace)
            if versions:
                fields.append(b'"supported_versions":' + _encode(versions))
            headers = b'"headers":{%b},' % b",".join(fields)
        # Joined: formatting bytes takes twice as long.
        return b"".join((
            b'{"id":', tag.id, b',"type":"', kind, b'","timestamp":', _encode(int(self._now())),
            b',"command":', tag.command, b",", headers, b'"payload":', payload, b"}",
        ))  # fmt: skip

    def _event(self, id: bytes, name: str, payload: bytes) -> bytes:
        headers = b""
        if self._deflate and len(payload) >= WORTH_IT:
            payload = pack(payload)
            headers = b'"headers":{%b},' % _PACKED
        return b'{"id":%b,"type":"event","timestamp":%d,"command":"%b",%b"payload":%b}' % (
            id,
            self._now(),
            name.encode(),
            headers,
            payload,
        )

    def _event_id(self) -> bytes:
        self._events += 1
        return b'"ev-%d"' % self._events
