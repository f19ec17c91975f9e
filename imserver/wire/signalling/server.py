"""The server's role of document 002."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from imserver.model.accounts import LoggedIn, Pong
from imserver.model.calls import MAX_CALL_ID_BYTES, CallError, CallFault, Media
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import MAX_JSON_INTEGER
from imserver.model.messages import InboxPage, Message, MessageAccepted
from imserver.wire.base import Request, Traits, WireError
from imserver.wire.signalling import msgpack, pushes
from imserver.wire.signalling.answers import accepted_payload, answer, connect_payload
from imserver.wire.signalling.call_events import write_call_event
from imserver.wire.signalling.calls import PREFIX
from imserver.wire.signalling.envelope import (
    MAX_FRAME,
    MAX_ID_BYTES,
    Envelope,
    bad,
    encode,
    iso_json,
)
from imserver.wire.signalling.errors import call_error_payload, error_payload
from imserver.wire.signalling.events import event_to_payload
from imserver.wire.signalling.payloads import Probe
from imserver.wire.signalling.requests import REQUESTS, build_command, read_payload

TRAITS: Final = Traits(
    name="signalling",
    acks=False,
    acks_by_choice=True,
    skips_oversize=True,
    max_frame=MAX_FRAME,
    media=Media.WEBRTC,
)

_MAX_TYPE_BYTES: Final = 128
_FAULTS: Final = (msgspec.MsgspecError, ValueError, RecursionError)

_read: Final = msgspec.json.Decoder(Envelope).decode
_probe: Final = msgspec.json.Decoder(Probe).decode


class _EnvelopeProbe(Struct):
    """What can be saved of an envelope that has a fault somewhere."""

    type: Any = None
    id: Any = None
    payload: Raw = Raw(b"{}")


_probe_envelope: Final = msgspec.json.Decoder(_EnvelopeProbe).decode


class Tag(Struct, frozen=True, gc=False):
    """What an answer must know of its request; ids as JSON, b"" where there are none.

    Attributes:
        type: the request's type; "" if it cannot be repeated.
        id: the envelope's.
        client_msg_id: message.send's.
        call_id: of call.*.
        echo: ping's payload timestamp.
        fault: what was wrong with a call.*, where its error has a word for it.
    """

    type: str = ""
    id: bytes = b""
    client_msg_id: bytes = b""
    call_id: bytes = b""
    echo: bytes = b""
    fault: CallFault | None = None


_NO_TAG: Final = Tag()


class SignallingServerCodec:
    """One connection's codec (`imserver.wire.base.ServerCodec`).

    Args:
        now: the wall clock, float seconds, for the timestamps of answers.
        binary: MessagePack instead of JSON.
    """

    __slots__ = ("_binary", "_now", "_user", "traits")

    def __init__(self, now: Callable[[], float], *, binary: bool = False) -> None:
        self.traits = TRAITS
        self._now = now
        self._binary = binary
        self._user = ""

    @property
    def profile(self) -> Hashable:
        """See ServerCodec."""
        return "signalling+msgpack" if self._binary else "signalling"

    def decode(self, frame: bytes) -> Request:
        """Reads one message.

        Raises:
            WireError: see ServerCodec; never fatal, since the next message stands for itself.
        """
        if self._binary:
            frame = msgpack.json_of(frame)
        try:
            # Skipped fields are not decoded and would pass with any bytes.
            if not frame.isascii():
                frame.decode()
            envelope = _read(frame)
        except _FAULTS as fault:
            raise _unreadable(frame, fault) from None
        kind = envelope.type
        tag = Tag(kind) if kind in REQUESTS else None
        try:
            if envelope.id is not None:
                tag = Tag(kind, _echoed(envelope.id, "id"))
            if tag is None or kind not in REQUESTS:
                raise ImError(ErrorCode.UNKNOWN_COMMAND, "this type is not known")
            payload = read_payload(envelope)
            command = build_command(payload, envelope)
            if kind == "message.send":
                if payload.client_msg_id is not None:
                    tag = Tag(kind, tag.id, _echoed(payload.client_msg_id, "client_msg_id"))
            elif kind.startswith(PREFIX):
                tag = Tag(kind, tag.id, call_id=_kept(payload.get("call_id"), MAX_CALL_ID_BYTES))
            elif kind == "ping" and payload.timestamp:
                tag = Tag(kind, tag.id, echo=msgspec.json.format(bytes(payload.timestamp), indent=-1))
            return Request(command, tag)
        except ImError as refusal:
            raise WireError(
                refusal.code,
                refusal.text,
                tag=_best_tag(kind, envelope.id, envelope.payload, refusal),
                command=kind if kind in REQUESTS else "",
            ) from None

    def reply(self, request: Request, reply: Any) -> list[bytes]:
        """The answer; none to message.ack and typing."""
        tag: Tag = _NO_TAG if request.tag is None else request.tag
        if type(reply) is MessageAccepted:
            return [self._frame(b"message.sent", accepted_payload(reply, tag.client_msg_id), tag.id)]
        if type(reply) is Pong:
            payload = b'{"timestamp":%b}' % tag.echo if tag.echo else b"{}"
            return [self._frame(b"pong", payload, tag.id)]
        if type(reply) is LoggedIn:
            self._user = reply.user
            return [self._frame(b"connect", connect_payload(reply, self._now()))]
        written = answer(reply, request.command, self._user)
        return [] if written is None else [self._frame(*written, tag.id)]

    def refusal(self, tag: Any, error: ImError | WireError, command: Any = None) -> list[bytes]:
        """`error` with what is known of the request; `call.error` for call.*."""
        known: Tag = _NO_TAG if tag is None else tag
        if known.type.startswith(PREFIX):
            call_id = {"call_id": Raw(known.call_id)} if known.call_id else {}
            payload = call_error_payload(error, call_id, known.fault)
            return [self._frame(b"call.error", encode(payload), known.id)]
        details: dict[str, Any] = {"type": known.type} if known.type else {}
        if known.client_msg_id:
            details["client_msg_id"] = Raw(known.client_msg_id)
        return [self._frame(b"error", encode(error_payload(error, details)), known.id)]

    def event(self, event: Any) -> list[bytes]:
        """The event's message; several of some that happen in calls."""
        told = write_call_event(event, self._user, self._now())
        if told is not None:
            return [self._frame(*one) for one in told]
        written = event_to_payload(event)
        if written is None:
            return []
        name, payload = written
        return [self._frame(name.encode(), encode(payload))]

    def shared(self, message: Message) -> tuple[bytes, bytes]:
        """message.new without its seq, in two parts."""
        return msgpack.shared_push(message) if self._binary else pushes.shared_push(message)

    def splice(self, shared: tuple[bytes, bytes], seq: int) -> bytes:
        """message.new with its seq."""
        return shared[0] + (msgpack.pack(seq) if self._binary else b"%d" % seq) + shared[1]

    def backlog(self, page: InboxPage) -> list[bytes]:
        """message.new for each, in order."""
        return [self.splice(self.shared(row.message), row.seq) for row in page.rows]

    def _frame(self, kind: bytes, payload: bytes, id: bytes = b"") -> bytes:
        frame = b'{"type":"%b","payload":%b,"timestamp":%b%b}' % (
            kind,
            payload,
            iso_json(self._now()),
            b',"id":' + id if id else b"",
        )
        return msgpack.msgpack_of(frame) if self._binary else frame


def _echoed(value: Any, what: str) -> bytes:
    """An id of the client's as JSON.

    Raises:
        ImError: BAD_REQUEST if it cannot be repeated.
    """
    if type(value) is str:
        # A character takes at most four bytes, so most ids need not be measured.
        if len(value) <= MAX_ID_BYTES // 4 or len(value.encode()) <= MAX_ID_BYTES:
            return encode(value) if value else b""
    elif type(value) is int and 0 <= value <= MAX_JSON_INTEGER:
        return b"%d" % value
    raise bad(f"{what} must be a string of at most {MAX_ID_BYTES} bytes, or an integer")


def _kept(value: Any, limit: int = MAX_ID_BYTES) -> bytes:
    """`_echoed`, b"" where it cannot be."""
    if type(value) is str and len(value.encode()) > limit:
        return b""
    try:
        return b"" if value is None else _echoed(value, "")
    except ImError:
        return b""


def _best_tag(kind: Any, id: Any, payload: Raw, refusal: ImError | None = None) -> Tag:
    """The tag of a request that has a fault somewhere."""
    if type(kind) is not str or len(kind.encode()) > _MAX_TYPE_BYTES:
        kind = ""
    try:
        found = _probe(payload)
    except _FAULTS:
        found = Probe()
    return Tag(
        kind,
        _kept(id),
        _kept(found.client_msg_id) if kind == "message.send" else b"",
        _kept(found.call_id, MAX_CALL_ID_BYTES) if kind.startswith(PREFIX) else b"",
        fault=refusal.fault if isinstance(refusal, CallError) else None,
    )


def _unreadable(frame: bytes, fault: Exception) -> WireError:
    """The error for what is no envelope, with whatever can be repeated."""
    try:
        frame.decode()
        found = _probe_envelope(frame)
    except _FAULTS:
        return WireError(ErrorCode.BAD_REQUEST, "the message is not a JSON object in UTF-8")
    text = str(fault) if isinstance(fault, msgspec.ValidationError) else "the message cannot be read"
    tag = _best_tag(found.type, found.id, found.payload)
    return WireError(ErrorCode.BAD_REQUEST, text, tag=tag, command=tag.type if tag.type in REQUESTS else "")
