"""What a session says: answers, refusals, messages, events, and goodbye."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar, Protocol

from msgspec.structs import replace
from twisted.logger import Logger

from imserver.model.accounts import KickReason, SessionKicked
from imserver.model.call_records import CallMissed
from imserver.model.calls import CallEnded, CallMedia
from imserver.model.errors import ErrorCode, ImError
from imserver.model.friends import FriendChanged
from imserver.model.group_calls import GroupCallChange, GroupCallChanged
from imserver.model.messages import InboxPage, MessageRevoked, MessagesRead, TypingChanged
from imserver.model.presence import PresenceChanged
from imserver.protocols.outbox import Outbox
from imserver.protocols.tallies import Tally
from imserver.services.outgoing import UNENCODED, Outgoing, OutgoingRow
from imserver.wire.base import Request, ServerCodec, WireError

FRESH, LOGGING_IN, ACTIVE, ENDED, SHAKING = range(5)
"""A session's states. SHAKING: logging in within the handshake of the transport, so that
no frame may be written yet."""

NORMAL, GOING_AWAY, POLICY, BROKEN = 1000, 1001, 1008, 1011
"""WebSocket close codes (RFC 6455, 7.4.1)."""

# Events that the services tell again (or that nobody misses) when they are dropped.
_CHANGES = frozenset({MessageRevoked, MessagesRead, CallMissed, FriendChanged})
"""Events of the change log: told again until the peer's kernel has them."""
_DROPPABLE = frozenset({TypingChanged, PresenceChanged}) | _CHANGES


def _ends_call(event: Any) -> bool:
    """Whether a call is over, and nobody wants the media of it that still waits."""
    kind = type(event)
    return kind is CallEnded or (kind is GroupCallChanged and event.change is GroupCallChange.ENDED)


def _form(outgoing: Outgoing, codec: ServerCodec, profile: Hashable) -> Any:
    """What sessions of the profile share of a message."""
    if outgoing.profile is UNENCODED:
        form = outgoing.form = codec.shared(outgoing.message)
        outgoing.profile = profile
        return form
    if outgoing.profile == profile:
        return outgoing.form
    forms = outgoing.forms
    if forms is None:
        forms = outgoing.forms = {}
    form = forms.get(profile)
    if form is None:
        form = forms[profile] = codec.shared(outgoing.message)
    return form


class SessionLink(Protocol):
    """What a session needs of its connection."""

    outbox: Outbox

    @property
    def frame(self) -> Callable[[bytes], bytes]:
        """Makes a codec's frame one that goes over the transport."""

    def authenticated(self) -> None:
        """Somebody logged in here."""

    def pause_reading(self) -> None:
        """Stop reading. May be called again."""

    def resume_reading(self) -> None:
        """Go on reading. May be called again."""

    def close(self, code: int, text: str) -> None:
        """Say goodbye after everything that is queued, then close; calls `Session.ended`."""


class SessionOutput:
    """Turns what services and the session have to say into frames in the outbox. Nothing here raises."""

    log: ClassVar[Any] = Logger()

    __slots__ = ("_codec", "_frame", "_link", "_media_call", "_outbox", "_state", "_tally")

    def __init__(self, codec: ServerCodec, link: SessionLink, tally: Tally | None = None) -> None:
        self._codec = codec
        self._link = link
        self._outbox = link.outbox
        self._frame = link.frame
        self._media_call = ""  # the call whose media may wait in the outbox
        self._state = FRESH
        self._tally = Tally() if tally is None else tally

    def _put(self, frames: list[bytes]) -> None:
        for frame in frames:
            self._outbox.put(self._frame(frame))

    def _refuse(self, request: Request | None, error: ImError) -> None:
        if self._state == ENDED:
            return
        try:
            if request is None:
                self._put(self._codec.refusal(None, error))
            else:
                self._put(self._codec.refusal(request.tag, error, request.command))
        except Exception:
            self._broken("a refusal could not be encoded")

    def _wire_error(self, error: WireError) -> None:
        try:
            self._put(self._codec.refusal(error.tag, error))
        except Exception:
            self._broken("a refusal could not be encoded")
            return
        if error.fatal:
            self._link.close(error.close_code, error.text)

    def _internal_error(self, request: Request | None) -> None:
        """Called in an except block: logs, answers INTERNAL, closes."""
        name = "an undecoded frame" if request is None else type(request.command).__name__
        self.log.failure("{door}: {name} failed", door=self._codec.traits.name, name=name)
        self._refuse(request, ImError(ErrorCode.INTERNAL, "internal error"))
        self._link.close(BROKEN, "internal error")

    def _broken(self, what: str) -> None:
        """Called in an except block, where not even an answer can be made: logs and closes."""
        self.log.failure("{door}: {what}", door=self._codec.traits.name, what=what)
        self._link.close(BROKEN, "internal error")

    # services.sessions.Receiver

    @property
    def writable(self) -> bool:
        """See Receiver."""
        return self._state == ACTIVE and self._outbox.writable

    def push(self, outgoing: Outgoing, seq: int) -> None:
        """See Receiver."""
        if self._state == ENDED:
            return
        try:
            codec = self._codec
            frames = codec.splice(_form(outgoing, codec, codec.profile), seq)
            self._tally.delivered += 1
            if isinstance(frames, bytes):
                self._outbox.push(self._frame(frames), seq)
                return
            self._queue_parts([self._frame(frame) for frame in frames], seq)
        except Exception:
            self._broken("a message could not be encoded")

    def push_all(self, row: OutgoingRow, seq: int) -> int:
        """See Receiver."""
        room = self._outbox.room if self._state == ACTIVE else 0
        pushed = getattr(self._codec, "pushed", None)  # wire.base.PushesRows, which a codec may have
        if room <= 0 or pushed is None:
            return self._push_each(row.each(), seq, room)
        key = (self._codec.profile, seq)
        payloads = row.frames.get(key)
        if payloads is None:
            try:
                payloads = row.frames[key] = pushed(row.messages, seq)
            except Exception:
                # Which one it is shows by itself.
                return self._push_each(row.each(), seq, room)
        frames = [*map(self._frame, payloads)]
        size = sum(map(len, frames))
        while frames and size - len(frames[-1]) >= room:
            size -= len(frames.pop())
        self._queue(frames, size, seq)
        return len(frames)

    def _push_each(self, outgoings: Sequence[Outgoing], seq: int, room: int) -> int:
        """What is one frame, as nearly all are, is queued together with those after it."""
        codec, frame = self._codec, self._frame
        profile, splice = codec.profile, codec.splice
        frames: list[bytes] = []
        parts: list[bytes] | None = None
        size = 0
        try:
            for outgoing in outgoings:
                if size >= room:
                    break
                spliced = splice(_form(outgoing, codec, profile), seq + len(frames))
                if not isinstance(spliced, bytes):
                    if len(spliced) != 1:
                        parts = [frame(part) for part in spliced]
                        break
                    (spliced,) = spliced
                frames.append(frame(spliced))
                size += len(frames[-1])
        except Exception:
            self._queue(frames, size, seq)
            self._broken("a message could not be encoded")
            return len(frames)
        self._queue(frames, size, seq)
        if parts is None:
            return len(frames)
        self._tally.delivered += 1
        self._queue_parts(parts, seq + len(frames))
        return len(frames) + 1

    def _queue(self, frames: list[bytes], size: int, seq: int) -> None:
        """Messages, a frame each; the first one is `seq`."""
        if frames:
            self._tally.delivered += len(frames)
            self._outbox.push_all(frames, size, seq + len(frames) - 1)

    def _queue_parts(self, frames: list[bytes], seq: int) -> None:
        """One message, which may be several frames, or none."""
        left = len(frames)
        for frame in frames:
            left -= 1
            self._outbox.push(frame, 0 if left else seq)
        if not frames:
            self._outbox.pass_over()

    def push_backlog(self, page: InboxPage) -> None:
        """See Receiver."""
        if self._state == ENDED:
            return
        try:
            if self._codec.traits.acks:
                for frame in self._codec.backlog(page):
                    self._outbox.push(self._frame(frame))
            else:
                # Row by row, so that a part of the page can count as delivered.
                for row in page.rows:
                    frames = self._codec.backlog(replace(page, rows=[row]))
                    self._queue_parts([self._frame(frame) for frame in frames], row.seq)
                self._outbox.pass_over()
            self._tally.delivered += len(page.rows)
        except Exception:
            self._broken("a page of backlog could not be encoded")

    def media(self, event: CallMedia) -> None:
        """See Receiver."""
        if self._state != ACTIVE:
            return
        self._media_call = event.call
        try:
            for frame in self._codec.event(event):
                self._tally.media_dropped += self._outbox.put_media(self._frame(frame))
        except Exception:
            self._broken("media could not be encoded")

    def notify(self, event: Any) -> bool:
        """See Receiver."""
        if self._state == ENDED:
            return False
        if type(event) in _DROPPABLE and not self._outbox.writable:
            self._tally.dropped += 1
            return False
        if self._state == SHAKING:
            return False
        try:
            self._put(self._codec.event(event))
        except Exception:
            self._broken("an event could not be encoded")
            return False
        if type(event) in _CHANGES:
            self._outbox.confirm()
        elif _ends_call(event) and event.call == self._media_call:
            self._tally.media_dropped += self._outbox.drop_media()
        return True

    def kicked(self, event: SessionKicked) -> None:
        """See Receiver."""
        if self._state != ENDED:
            self.notify(event)
            code = GOING_AWAY if event.reason == KickReason.SHUTDOWN else POLICY
            self._link.close(code, event.text)

    # The reasons for which the connection ends it

    def slow(self) -> None:
        """The peer does not take what is queued for it: what can still be dropped is, then goodbye."""
        if self._state != ENDED:
            self._tally.slow += 1
            self._outbox.drop_unsent()
            self.kicked(SessionKicked(KickReason.SLOW, "you read too slowly"))

    def silent(self) -> None:
        """Nothing was received for too long."""
        self._link.close(POLICY, "no sign of life")

    def too_late(self) -> None:
        """Nobody logged in in time."""
        self._refuse(None, ImError(ErrorCode.AUTH_FAILED, "nobody logged in in time"))
        self._link.close(POLICY, "nobody logged in in time")
