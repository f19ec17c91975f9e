"""The server's role in document 000."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import Any, Final, Literal

from msgspec.structs import replace

from imserver.model.accounts import KickReason, LoggedIn, LogIn, Pong, SessionKicked
from imserver.model.calls import CallAccepted, CallAnswered, CallEnded, CallMedia, Media
from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import AckChunks, CancelFile, CompleteFile, FileOffered, FileStored, OfferFile
from imserver.model.messages import InboxPage, Message, MessageAccepted, SendMessage
from imserver.model.presence import PresenceChanged
from imserver.wire.base import Request, Traits, WireError
from imserver.wire.qdatastream import tables
from imserver.wire.qdatastream.commands import READERS, address, send_text, write_file, write_reject
from imserver.wire.qdatastream.events import EVENTS, Push, media, media_head, presence, push
from imserver.wire.qdatastream.framing import Framing
from imserver.wire.qdatastream.grammar import MAX_MEDIA, Malformed, Mode, Parsed, parse
from imserver.wire.qdatastream.ids import Address
from imserver.wire.qdatastream.opening import read_id, read_token, whole
from imserver.wire.qdatastream.strings import StringForm, decode, encode, encode_u16

TRAITS: Final = Traits(
    name="qdatastream",
    pulls=False,
    acks=False,
    close_on_refused_login=False,
    answers_before_login=True,
    ping_follows_sends=True,
    media=Media.RELAY,
    transfers=True,
)
REGISTRATION: Final = -1
"""The tag of a first message that is neither LOGIN nor REGISTER: good ones have no answer."""

Auth = Literal["none", "token", "password"]

_WHOLE: Final = Mode.WHOLE
_MEDIA: Final = bytes((tables.MEDIA_DATA,))
_KICK_CODES: Final = {
    KickReason.OTHER_DEVICE: ErrorCode.CONFLICT,
    KickReason.ACCOUNT: ErrorCode.AUTH_FAILED,
    KickReason.SHUTDOWN: ErrorCode.UNAVAILABLE,
    KickReason.SLOW: ErrorCode.TOO_FAST,
}

# Whether a call runs here after the event.
_RUNS: Final[dict[type, bool]] = {CallAnswered: True, CallAccepted: True, CallEnded: False}
# An answer is waited for, for this transfer. (A refused chunk would be told once for each that follows.)
_AWAITED: Final = (OfferFile, AckChunks, CompleteFile)
_NOBODY: Final = Address("", "")


@cache
def _traits(traits: Traits, waits_for_rate: bool) -> Traits:
    # One for all connections that are alike.
    return replace(traits, waits_for_rate=waits_for_rate)


class QDataStreamServerCodec:
    """One connection of a document 000 client. Frames are messages as `framing.InputStream` gives them.

    Attributes:
        framing: to be set once it is known; says what the peer understands.
        form: the form of the peer's strings.
        profile: see ServerCodec.
        unanswered: refusals that the peer could not be told.
        on_call: called with its id when a call begins (True) and ends (False) to run on this connection;
            for who has to know where its media ends.

    Args:
        auth: what a registration needs: nothing but an id, a token, or a password (LOGIN).
            More than is asked for is always accepted.
        presence: whether a framed peer is sent PRESENCE.
        errors: whether an unframed peer is sent ERROR, too.
        traits: as the listener is configured; what depends on the framing follows when it is known.
    """

    __slots__ = (
        "_auth",
        "_errors",
        "_framing",
        "_media_head",
        "_media_of",
        "_opened",
        "_presence",
        "_to",
        "_to_form",
        "_to_raw",
        "_user",
        "form",
        "on_call",
        "profile",
        "traits",
        "unanswered",
    )

    def __init__(
        self,
        auth: Auth = "none",
        *,
        presence: bool = False,
        errors: bool = False,
        traits: Traits = TRAITS,
    ) -> None:
        self.traits = traits
        self.form = StringForm.QSTRING
        self.profile: Hashable = ""
        self.unanswered = 0
        self.on_call: Callable[[str, bool], None] | None = None
        self._auth = auth
        self._presence = presence
        self._errors = errors
        self._framing: Framing | None = None
        self._media_of: tuple[str, StringForm] | None = None
        self._media_head = b""
        self._opened = False
        self._user = ""
        self._to = _NOBODY
        self._to_raw = b""
        self._to_form: StringForm | None = None

    @property
    def framing(self) -> Framing | None:
        """See the class."""
        return self._framing

    @framing.setter
    def framing(self, framing: Framing) -> None:
        self._framing = framing
        self.traits = _traits(self.traits, framing is Framing.NONE and not self._errors)
        self._speak(StringForm.UTF8 if framing is Framing.INT16 else StringForm.QSTRING)

    def _speak(self, form: StringForm) -> None:
        self.form = form
        self.profile = sys.intern(f"{self._framing} {form}")

    # In

    def decode(self, frame: bytes) -> Request:
        """Reads one message, or one half of the opening message.

        Raises:
            WireError: with the tag of the refusal; fatal for a registration that
                lacks what the listener asks for.
        """
        if not self._opened:
            self._opened = True
            return self._open(frame)
        if frame[:1] == _MEDIA:
            return self._media(frame)
        try:
            parsed = parse(frame, 0, _WHOLE, self.form)
        except Malformed as fault:
            tag = frame[0] if frame else tables.NO_REQUEST
            raise WireError(fault.code, fault.text, tag=tag) from None
        form = parsed.form
        if form is not None and form is not self.form:
            self._speak(form)
        if parsed.type == tables.TEXT:
            return Request(self._text(parsed), tables.TEXT)
        return Request(READERS[parsed.type](parsed), parsed.type)

    def _media(self, frame: bytes) -> Request:
        if self._framing is Framing.INT16 and len(frame) > 1 + MAX_MEDIA:
            raise WireError(ErrorCode.TOO_LARGE, "the media is too long", tag=tables.MEDIA_DATA)
        return Request(CallMedia(frame[1:]), tables.MEDIA_DATA)

    def _text(self, parsed: Parsed) -> SendMessage:
        raw, body = parsed.fields
        # Most texts go where the one before went.
        if raw != self._to_raw or parsed.form is not self._to_form:
            self._to = address(parsed, raw)
            self._to_raw, self._to_form = raw, parsed.form
        user, group = self._to
        # An answer to "group_<id>/<sender>", as the client saw it, goes to the group.
        return send_text(parsed, "" if group else user, group, body)

    def _open(self, frame: bytes) -> Request:
        kind = frame[0] if frame else tables.NO_REQUEST
        tag = kind if kind in (tables.LOGIN, tables.REGISTER) else REGISTRATION
        scanner = whole(frame)
        try:
            user = read_id(scanner)
            if tag != REGISTRATION:
                password = decode(scanner.u16_string(scanner.left), StringForm.UTF8)
                command = LogIn(user=user, password=password, register=tag == tables.REGISTER)
            elif kind == tables.HEARTBEAT and scanner.left:
                command = LogIn(user=user, token=read_token(scanner))
            else:
                command = LogIn(user=user, unproven=True)
            if scanner.left:
                raise Malformed("the message is longer than its fields")
        except Malformed as fault:
            raise WireError(fault.code, fault.text, tag=tag, fatal=tag == REGISTRATION) from None
        except ValueError:
            raise WireError(ErrorCode.BAD_REQUEST, "the password is not valid text", tag=tag) from None
        if command.unproven and self._auth != "none":
            raise WireError(
                ErrorCode.AUTH_FAILED, f"a {self._auth} is needed to log in here", tag=tag, fatal=True
            )
        return Request(command, tag, close_if_refused=tag == REGISTRATION)

    # Out

    def reply(self, request: Request, reply: Any) -> list[bytes]:
        """HEARTBEAT's echo, AUTH_RESPONSE to LOGIN and REGISTER; nothing else is answered."""
        kind = type(reply)
        if kind is MessageAccepted:
            return []
        if kind is Pong:
            return [b"\x07"]
        if kind is AckChunks or kind is CompleteFile:
            return [write_file(reply, self.form)]
        if kind is LoggedIn:
            self._user = reply.user
            if request.tag != REGISTRATION:
                return [b"\x0a\x01" + encode_u16(reply.token) + encode_u16(reply.user)]
        return []

    def accepted(self, requests: Sequence[Request], replies: Sequence[MessageAccepted]) -> list[bytes]:
        """See AnswersRows: messages have no answers."""
        return []

    def refusal(self, tag: Any, error: ImError | WireError, command: Any = None) -> list[bytes]:
        """AUTH_RESPONSE to what should have logged in; ERROR to peers that understand it, or CALL_REJECT.

        Of a file also the cancel, which names the transfer, to everybody.
        """
        if tag in (REGISTRATION, tables.LOGIN, tables.REGISTER):
            return [b"\x0a\x00" + encode_u16(error.text)]
        if isinstance(command, _AWAITED):
            told = self._error(tag, error.code, error.text) if self._understands_errors else []
            return [*told, write_file(CancelFile(command.transfer, error.text), self.form)]
        return self._error(tables.NO_REQUEST if tag is None else tag, error.code, error.text)

    @property
    def _understands_errors(self) -> bool:
        return self._framing is Framing.INT16 or (self._framing is not None and self._errors)

    def _error(self, request: int, code: ErrorCode, text: str) -> list[bytes]:
        if self._understands_errors:
            head = bytes((tables.ERROR, request)) + tables.STATUS[code].to_bytes(2, "big")
            return [head + encode(text, self.form)]
        if request == tables.CALL_REQUEST:
            # Whoever calls would wait for an answer; no call, so no id.
            return [write_reject(tables.NO_CALL, text, self.form)]
        self.unanswered += 1
        return []

    def event(self, event: Any) -> list[bytes]:
        """A call's, a file's; PRESENCE and goodbyes to peers that understand them; [] for all else."""
        kind = type(event)
        if kind is CallMedia:
            # All of a call's media begins alike.
            of = (event.call, self.form)
            if of != self._media_of:
                self._media_of, self._media_head = of, media_head(*of)
            return media(self._media_head, event.data, self._framing)
        writer = EVENTS.get(kind)
        if writer is not None:
            if self.on_call is not None and kind in _RUNS:
                self.on_call(event.call, _RUNS[kind])
            return [writer(event, self.form)]
        if kind is FileOffered or kind is FileStored:
            info = event.info
            if not info.stored or info.sender == self._user:
                return []
            return [
                write_file(
                    OfferFile(info.sender, info.transfer, info.name, info.size, info.sha256), self.form
                )
            ]
        if kind is SessionKicked:
            return self._error(tables.NO_REQUEST, _KICK_CODES[event.reason], event.text)
        if kind is PresenceChanged and self._presence and self._framing is Framing.INT16:
            return [presence(event, self.form)]
        return []

    def shared(self, message: Message) -> Push:
        """The TEXTs that carry a message; none for one that was taken back."""
        return push(message, self.form, self._framing)

    def splice(self, shared: Push, seq: int) -> list[bytes]:
        """The same for every inbox, but none to the sender, whose recipient 000 cannot name."""
        return [] if shared.hidden_from == self._user else shared.frames

    def backlog(self, page: InboxPage) -> list[bytes]:
        """A message after the other."""
        frames: list[bytes] = []
        for row in page.rows:
            frames += self.splice(self.shared(row.message), row.seq)
        return frames
