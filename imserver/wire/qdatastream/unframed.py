"""Messages without any outer length, as deployed clients write them.

A message ends where its fields end, so it may come in any pieces and many may
come in one. Two things the bytes alone do not tell: whether CALL_REJECT has a
reason, and where MEDIA_DATA ends. Time helps with the first (`deadline`). MEDIA
takes the rest of the bytes received with it, and from then on, while the call
lasts, whatever cannot be read as messages of this call is more of it.

A call lasts here from the ACCEPT that is read (what answers it may be on its way
while media comes in already), and for a while after its end: what the peer wrote
before it could know of the end must not break its connection.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Final

from imserver.model.errors import ErrorCode
from imserver.wire.base import WireError
from imserver.wire.qdatastream import tables
from imserver.wire.qdatastream.grammar import Incomplete, Malformed, Mode, Parsed, Role, parse
from imserver.wire.qdatastream.ids import address_of
from imserver.wire.qdatastream.opening import MAX_SECRET_BYTES, NotAnOpening, read_id, read_token
from imserver.wire.qdatastream.scanner import CALL_ID_BYTES, Scanner
from imserver.wire.qdatastream.strings import NULL, StringForm, decode, encode

PATIENCE: Final = 0.5
"""Seconds a message that may be complete, or may be none, waits for more bytes."""
LINGER: Final = 5.0
"""Seconds after the end of a call, or after the latest media then, in which more of it may come."""
MAX_WAITING: Final = 512 * 1024
"""Bytes kept of an unfinished message; the fields' own limits are below it."""

Frames = list[bytes | WireError]

_CALL_FIRST: Final = frozenset({tables.CALL_ACCEPT, tables.CALL_REJECT, tables.CALL_END})
_ADDRESS_FIRST: Final = frozenset({tables.TEXT, tables.CALL_REQUEST})
_CALL_ID_HEADS: Final = (CALL_ID_BYTES.to_bytes(2, "big"), (2 * CALL_ID_BYTES).to_bytes(4, "big"))
_MEDIA_HEAD: Final = bytes((tables.MEDIA_DATA,))


class UnframedParser:
    """The incremental parse of one connection. Implements framing.Cutter.

    Attributes:
        deadline: see Cutter.

    Args:
        role: who writes what comes in here; a server's connection has no opening message.
        token_required: a registration by HEARTBEAT is followed by a token.
    """

    __slots__ = (
        "_buffer",
        "_call",
        "_dead",
        "_form",
        "_media",
        "_opening",
        "_read_at",
        "_role",
        "_token_required",
        "_until",
        "_waiting_since",
        "deadline",
    )

    def __init__(self, role: Role = Role.CLIENT, *, token_required: bool = False) -> None:
        self.deadline: float | None = None
        self._call = ""
        self._until = 0.0  # when that call is forgotten; infinite while it runs
        self._role = role
        self._token_required = token_required
        self._opening = role is Role.CLIENT
        self._form = StringForm.QSTRING
        self._media = ""  # the call in which MEDIA was received
        self._buffer = bytearray()
        self._read_at = 0.0
        self._waiting_since: float | None = None  # what is in the buffer, while a call runs
        self._dead = False

    def call_begins(self, call: str) -> None:
        """A call runs on this connection: its media may come in."""
        self._call = call
        self._until = math.inf

    def call_ends(self, call: str, now: float) -> None:
        """It runs no more; other calls' ends are of no matter."""
        if call == self._call:
            self._until = min(self._until, now + LINGER)

    def feed(self, data: bytes, now: float) -> Frames:
        """See Cutter. After a fatal WireError nothing more comes."""
        if self._dead:
            return []
        self._buffer += data
        self._read_at = now
        return self._parse(Mode.OPEN)

    def settle(self, now: float) -> Frames:
        """See Cutter."""
        if self._dead or self.deadline is None or now < self.deadline:
            return []
        return self._parse(Mode.SETTLED)

    def _parse(self, mode: Mode) -> Frames:
        self.deadline = None
        if self._call:
            if self._read_at >= self._until:
                self._call = ""
            elif self._media == self._call:
                return self._in_call(mode)
        frames: Frames = []
        buffer = self._buffer
        at = 0
        try:
            if self._opening:
                at = self._open(frames, mode)
            while at < len(buffer):
                parsed = parse(buffer, at, mode, self._form, self._role)
                frames.append(bytes(buffer[at : parsed.end]))
                at = parsed.end
                self._note(parsed)
        except Incomplete as more:
            if more.settles:
                self.deadline = self._read_at + PATIENCE
            elif len(buffer) - at > MAX_WAITING:
                frames.append(self._cannot_go_on("the message is too long", ErrorCode.TOO_LARGE))
        except Malformed as fault:
            frames.append(self._cannot_go_on(fault.text, fault.code))
        except NotAnOpening as fault:
            self._die()
            frames.append(fault.with_traceback(None))
        del buffer[:at]
        return frames

    def _note(self, parsed: Parsed) -> None:
        if parsed.form is not None:
            self._form = parsed.form
        if parsed.type == tables.MEDIA_DATA:
            self._media = self._call
        elif parsed.type == tables.CALL_ACCEPT and self._role is Role.CLIENT:
            self._accepted(parsed)

    def _accepted(self, parsed: Parsed) -> None:
        """The peer took a call: whether it has it will be known soon."""
        if self._until < math.inf and parsed.form is not None:
            with suppress(ValueError):
                self._call = decode(parsed.fields[0], parsed.form)
                self._until = self._read_at + LINGER

    def _die(self) -> None:
        self._dead = True
        self._buffer.clear()

    def _cannot_go_on(self, text: str, code: ErrorCode) -> WireError:
        self._die()
        return WireError(code, text, fatal=True)

    # The first message

    def _open(self, frames: Frames, mode: Mode) -> int:
        """Gives the opening message; returns where the next one begins."""
        buffer = self._buffer
        # A bare heartbeat before the registration: its successor is no length.
        bare = 0
        while bare + 1 < len(buffer) and buffer[bare] == tables.HEARTBEAT and buffer[bare + 1] != 0:
            bare += 1
        del buffer[:bare]
        scanner = Scanner(buffer, 0, mode, self._form)
        read_id(scanner)
        kind = buffer[0]
        if kind == tables.HEARTBEAT and self._token_required:
            try:
                read_token(scanner)
            except Malformed:
                # Whoever reads the opening message refuses it, and says why.
                frames.append(bytes(buffer))
                self._die()
                return 0
        elif kind in (tables.LOGIN, tables.REGISTER):
            scanner.u16_string(MAX_SECRET_BYTES)
        end = scanner.at
        frames.append(bytes(buffer[:end]))
        self._opening = False
        if kind >= tables.HEARTBEAT:
            return end
        # What follows is this type's own payload.
        buffer[:end] = bytes((kind,))
        return 0

    # While a call runs and media comes in

    def _in_call(self, mode: Mode) -> Frames:
        """All that waits is messages of this call, and perhaps the beginning of one, or it is media."""
        frames: Frames = []
        buffer, form = self._buffer, self._form
        call = self._call if self._until == math.inf else ""
        since, self._waiting_since = self._waiting_since, None
        at = 0
        try:
            while at < len(buffer):
                parsed = parse(buffer, at, mode, form, self._role)
                _check_ids(parsed, call)
                frames.append(bytes(buffer[at : parsed.end]))
                at = parsed.end
                form = parsed.form or form
                if parsed.type == tables.CALL_ACCEPT and not call:
                    # The next call: what follows belongs to that one.
                    self._form = form
                    self._accepted(parsed)
                    del buffer[:at]
                    return frames + self._parse(mode)
        except Malformed:
            return self._continuation()
        except Incomplete:
            if not _may_begin(buffer[at:], call, form):
                return self._continuation()
            if mode is Mode.OPEN and len(buffer) - at <= MAX_WAITING:
                # What is waiting already waits no longer for more of the same.
                since = self._read_at if at or since is None else since
                self._waiting_since = since
                self.deadline = since + PATIENCE
        self._form = form
        del buffer[:at]
        if buffer and self.deadline is None:
            frames += self._continuation()
        return frames

    def _continuation(self) -> Frames:
        if self._until < math.inf:
            self._until = self._read_at + LINGER
        media = _MEDIA_HEAD + bytes(self._buffer)
        self._buffer.clear()
        return [media]


def _may_begin(data: bytes | bytearray, call: str, last: StringForm) -> bool:
    """Whether an incomplete message may be one of this call's time, as far as it goes; "" = any call's."""
    kind = data[0]
    if kind in _CALL_FIRST:
        begun = bytes(data[1:])
        ids = [encode(call, form) for form in StringForm] if call else list(_CALL_ID_HEADS)
        if kind == tables.CALL_END:
            ids.append(NULL)
        return any(begun[: len(name)] == name[: len(begun)] for name in ids)
    if kind in _ADDRESS_FIRST:
        scanner = Scanner(data, 1, Mode.OPEN, last)
        try:
            raw = scanner.first_id()
            return address_of(decode(raw, scanner.form or last)) is not None
        except Incomplete:
            return True
        except ValueError:
            return False
    return True


def _check_ids(parsed: Parsed, call: str) -> None:
    """Raises Malformed unless the message may be one of this call's time; "" = any call's."""
    if parsed.form is None:
        return
    try:
        if parsed.type in _CALL_FIRST:
            named = decode(parsed.fields[0], parsed.form)
            if named and (named != call if call else not (named.isascii() and named.isprintable())):
                raise Malformed("another call")
        elif parsed.type in _ADDRESS_FIRST and address_of(decode(parsed.fields[0], parsed.form)) is None:
            raise Malformed("an id is not valid")
    except ValueError:
        raise Malformed("an id is not valid text") from None
