"""The server's role of the dialect chat-app: the draft's, as far as they are the same.

What it reads is as loose as can be, what it writes as strict: every line has a string id, an integer
timestamp, `headers.version`, an object payload without null, and less than 64 KiB.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import asdict, replace

from imserver.model.accounts import LoggedIn
from imserver.model.calls import CallMedia, Media
from imserver.model.errors import ErrorCode, ImError
from imserver.model.extensions import OwnEvent
from imserver.model.file_relays import RelayAccepted
from imserver.model.messages import InboxPage, Message, MessageAccepted, MessagePage, ReadHistory
from imserver.wire.base import Request, Traits, WireError, each_accepted
from imserver.wire.jsonline.answers import accepted_payload
from imserver.wire.jsonline.chat_app.answers import answer_payload
from imserver.wire.jsonline.chat_app.commands import ANSWERS, UNANSWERED, VOICE, ChatAppType, find
from imserver.wire.jsonline.chat_app.errors import Faulty, error_fields, repeated, repeated_of
from imserver.wire.jsonline.chat_app.events import events_to_payloads
from imserver.wire.jsonline.chat_app.files import accepted_fields
from imserver.wire.jsonline.chat_app.pages import ENVELOPE_BYTES, LINE_BYTES, PAGE_BYTES, history_payload
from imserver.wire.jsonline.chat_app.parts import parts
from imserver.wire.jsonline.chat_app.payloads import Envelope
from imserver.wire.jsonline.chat_app.requests import read
from imserver.wire.jsonline.chat_app.voice import data_payload
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.extensions import Extensions
from imserver.wire.jsonline.server import TRAITS as DRAFTED
from imserver.wire.jsonline.server import JsonLineServerCodec
from imserver.wire.jsonline.tags import Tag
from imserver.wire.jsonline.validator import LAST_SECOND, SUPPORTED_VERSIONS, VERSION

TRAITS: Final = replace(DRAFTED, acks=False, page_bytes=PAGE_BYTES, media=Media.VOICE, transfers=False)

MESSAGE_BYTES: Final = LINE_BYTES - 512
"""Bytes of one message in a line: message/event has an id, a time and a number of the server's around it."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Envelope, strict=False).decode
_NO_TAG: Final = Tag()
_VERSIONED: Final = b'"version":"%b"' % VERSION.encode()

Shared = tuple[tuple[bytes, bytes], ...]


class _Paged(Tag, frozen=True, gc=False):
    """The tag of a message/history that goes on within a message. `part`: with which part of it."""

    part: int = 1


def _envelope(frame: bytes) -> Envelope:
    """Reads a line; raises what msgspec raises."""
    envelope = _decode(frame)
    at = envelope.timestamp
    if type(at) is str:
        try:
            at = float(at)
        except ValueError:
            at = None
    # Nothing depends on it, so a clock of whatever kind does no harm.
    if type(at) not in (int, float) or not 0 < at <= LAST_SECOND:
        at = None
    envelope.timestamp = at
    return envelope


class ChatAppServerCodec(JsonLineServerCodec):
    """One connection's codec. Args: as in the base class."""

    __slots__ = ("_held", "_user")

    profile: Hashable = "jsonline chat-app"

    _envelope = staticmethod(_envelope)
    _find = staticmethod(find)
    _payload = staticmethod(read)

    def __init__(self, now: Callable[[], float], extensions: Extensions | None = None) -> None:
        super().__init__(now, extensions)
        self.traits: Traits = TRAITS
        self._plain = False  # this dialect reads them otherwise
        self._user = ""
        self._held: list[bytes] | None = None  # events of calls, while a request about one is unanswered

    # In

    def decode(self, frame: bytes) -> Request:
        """See the base class."""
        try:
            request = super().decode(frame)
        except WireError as error:
            tag = _NO_TAG if error.tag is None else error.tag
            error.tag = Faulty(tag, repeated_of(frame, tag))
            raise
        command = request.command
        if type(command) is ReadHistory:
            return _paged(request, command)
        if request.tag.name in VOICE:
            self._held = []
        return request

    # Out

    def reply(self, request: Request, reply: Any) -> list[bytes]:
        """The answer, and behind it the events it led to; nothing for what is not answered."""
        tag: Tag = request.tag
        if type(reply) is MessageAccepted:
            return [] if tag.silent else [self._line(tag, b"response", accepted_payload(reply))]
        if type(reply) is LoggedIn:
            self._user = reply.user
        if tag.silent or tag.name in UNANSWERED:
            return self._let_go(tag)
        if type(reply) is MessagePage:
            command: ReadHistory = request.command
            part = tag.part if type(tag) is _Paged else 1
            payload = history_payload(reply.rows, reply.next_cursor, reply.has_more, command.since, part)
        elif type(reply) is RelayAccepted:
            payload = _encode({"status": 200, **accepted_fields(reply, self._host, self._secure)})
        else:
            payload = answer_payload(reply, request.command, self._user)
        if len(payload) > LINE_BYTES - ENVELOPE_BYTES:
            return self.refusal(tag, ImError(ErrorCode.TOO_LARGE, "the answer is too long for a line"))
        return [self._line(tag, b"response", payload), *self._let_go(tag)]

    def accepted(self, requests: Sequence[Request], replies: Sequence[MessageAccepted]) -> list[bytes]:
        """See AnswersRows."""
        return each_accepted(self, requests, replies)

    def refusal(self, tag: Any, error: ImError | WireError, command: Any = None) -> list[bytes]:
        """The answer with the error; of what came as an event a failed message/send alone is told."""
        repeats = repeated(command)
        if type(tag) is Faulty:
            repeats, tag = tag.repeats, tag.tag
        elif tag is None:
            tag = _NO_TAG
        if tag.name in UNANSWERED:
            return []
        if tag.silent and tag.name is not MsgType.SEND:
            return self._let_go(tag)
        kind = b"event" if tag.silent else b"response"
        versions = SUPPORTED_VERSIONS if error.code is ErrorCode.VERSION else ()
        line = self._line(tag, kind, _encode(error_fields(tag, error, repeats)), versions)
        return [line, *self._let_go(tag)]

    def event(self, event: Any) -> list[bytes]:
        """The events; those of calls wait until the request that led to them is answered."""
        if type(event) is CallMedia:
            return [self._event(self._event_id(), ChatAppType.VOICE_DATA, data_payload(event))]
        if type(event) is OwnEvent:
            payload = _encode(event.payload)
            fits = len(payload) <= LINE_BYTES - ENVELOPE_BYTES
            return [self._event(self._event_id(), event.command, payload)] if fits else []
        lines = []
        for name, fields in events_to_payloads(event, self._user, self._host, self._secure):
            line = self._event(self._event_id(), name, _encode(fields))
            if self._held is not None and name == ChatAppType.VOICE_EVENT:
                self._held.append(line)
            else:
                lines.append(line)
        return lines

    def _let_go(self, tag: Tag) -> list[bytes]:
        if self._held is None or tag.name not in VOICE:
            return []
        held, self._held = self._held, None
        return held

    # Messages

    def shared(self, message: Message) -> Any:
        """message/event without its seq: a line, or several, each in two parts."""
        return tuple(
            (
                b'{"id":%b,"type":"event","timestamp":%d,"command":"message/event","headers":{%b},'
                b'"payload":{"status":200,"seq":' % (part.id, message.server_at, _VERSIONED),
                b",%b}}" % part.fields,
            )
            for part in parts(message, MESSAGE_BYTES)
        )

    def splice(self, shared: Any, seq: int) -> Any:
        """message/event with its seq."""
        if len(shared) == 1:
            return b"%b%d%b" % (shared[0][0], seq, shared[0][1])
        return [b"%b%d%b" % (head, seq, tail) for head, tail in shared]

    # Nor are frames taken that sessions without this made of a row.
    pushed = None  # type: ignore[assignment]

    def backlog(self, page: InboxPage) -> list[bytes]:
        """message/event for each."""
        lines: list[bytes] = []
        for row in page.rows:
            spliced = self.splice(self.shared(row.message), row.seq)
            lines += [spliced] if isinstance(spliced, bytes) else spliced
        return lines

    # Lines

    def _line(self, tag: Tag, kind: bytes, payload: bytes, versions: tuple[str, ...] = ()) -> bytes:
        headers = [_VERSIONED]
        if tag.trace:
            headers.append(b'"trace":' + tag.trace)
        if versions:
            headers.append(b'"supported_versions":' + _encode(versions))
        name = None if tag.name is None else ANSWERS.get(tag.name)
        return b'{"id":%b,"type":"%b","timestamp":%d,"command":%b,"headers":{%b},"payload":%b}' % (
            _string(tag.id),
            kind,
            self._now(),
            tag.command if name is None else b'"%b"' % name.encode(),
            b",".join(headers),
            payload,
        )

    def _event(self, id: bytes, name: str, payload: bytes) -> bytes:
        return b'{"id":%b,"type":"event","timestamp":%d,"command":"%b","headers":{%b},"payload":%b}' % (
            id,
            self._now(),
            name.encode(),
            _VERSIONED,
            payload,
        )


def _string(id: bytes) -> bytes:
    """An id as these clients can read it: a string, empty where there was none."""
    if id.startswith(b'"'):
        return id
    return b'""' if id == b"null" else b'"%b"' % id


def _paged(request: Request, command: ReadHistory) -> Request:
    """A message/history whose cursor may name a part of a message, see `history_payload`."""
    since, mark, number = command.since.rpartition("~")
    if not mark or not number.isascii() or not number.isdecimal() or not 0 < len(number) <= 4:
        return request
    tag = _Paged(**asdict(request.tag), part=int(number))
    return replace(request, command=replace(command, since=since), tag=tag)
