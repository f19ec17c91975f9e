"""Where messages begin and end: the two framings, told apart by a connection's first four bytes.

The fourth byte is 0 where a length frame comes first (it is the high byte of
the registration id's length), and is the id's first character otherwise.

Both kinds give whole messages. The first message of a connection says who it
comes from and may say something else besides; it is given as two: type and id
(with a token or password), then type and payload.
"""

from __future__ import annotations

import enum
from typing import Final, Protocol

from imserver.wire.base import WireError
from imserver.wire.qdatastream.opening import OPENING_HEAD, NotAnOpening, check_beginning, split_opening
from imserver.wire.qdatastream.unframed import UnframedParser

HEAD: Final = 4
"""Bytes by which the framing is told."""
MAX_MESSAGE: Final = 0xFFFF
"""Bytes of the largest message in a length frame."""

Frames = list[bytes | WireError]


class Framing(enum.Enum):
    """How messages are told apart."""

    INT16 = "int16"
    """Each after its length, u16 big-endian."""
    NONE = "none"
    """By their fields alone."""


def detect(head: bytes) -> Framing:
    """The framing of a connection that begins with these four bytes."""
    return Framing.INT16 if head[3] == 0 else Framing.NONE


def add_length(message: bytes) -> bytes:
    """A message in its length frame.

    Raises:
        ValueError: it is longer than 65,535 bytes.
    """
    if len(message) > MAX_MESSAGE:
        raise ValueError("the message does not fit into a frame")
    return len(message).to_bytes(2, "big") + message


class Cutter(Protocol):
    """What turns the bytes of one framing into messages.

    Attributes:
        deadline: when `settle` should be called unless bytes come before it; None = never.
    """

    deadline: float | None

    def feed(self, data: bytes, now: float) -> Frames:
        """Takes the next bytes received; gives the messages now complete, in order."""

    def settle(self, now: float) -> Frames:
        """Nothing came until `deadline`."""


class FrameCutter:
    """Cuts length frames. At most one unfinished frame is kept.

    Args:
        opening: the first message says who the peer is (False in the client's role).
    """

    __slots__ = ("_kept", "_opening", "deadline")

    def __init__(self, opening: bool = True) -> None:
        self.deadline: float | None = None
        self._opening = opening
        self._kept: bytearray | None = None

    def feed(self, data: bytes, now: float = 0.0) -> Frames:
        """See Cutter. A first message that is none ends with a `NotAnOpening`."""
        kept = self._kept
        if kept is not None:
            kept += data
            if len(kept) < 2 or len(kept) < 2 + (kept[0] << 8 | kept[1]):
                return self._unfinished(kept)
            data = bytes(kept)
            self._kept = None
        frames: Frames = []
        at, end = 0, len(data)
        while end - at >= 2:
            stop = at + 2 + (data[at] << 8 | data[at + 1])
            if stop > end:
                break
            frame = data[at + 2 : stop]
            at = stop
            if self._opening:
                try:
                    frames += split_opening(frame)
                except NotAnOpening as error:
                    frames.append(error.with_traceback(None))
                    return frames
                self._opening = False
            else:
                frames.append(frame)
        if at < end:
            self._kept = kept = bytearray(data[at:])
            frames += self._unfinished(kept)
        return frames

    def _unfinished(self, kept: bytearray) -> Frames:
        # Who sends no frames at all is told from the first bytes, not by a long wait for the "frame's" end.
        if self._opening and len(kept) > 2:
            try:
                check_beginning(bytes(kept[2 : 2 + OPENING_HEAD]))
            except NotAnOpening as error:
                return [error.with_traceback(None)]
        return []

    def settle(self, now: float) -> Frames:
        """See Cutter."""
        return []


class InputStream:
    """What a server receives on one connection.

    Attributes:
        framing: how the messages are told apart; None until it is known.

    Args:
        framing: None = to be told by the first four bytes.
        token_required: an unframed registration by HEARTBEAT is followed by a token.
    """

    __slots__ = ("_cutter", "_head", "_token_required", "framing")

    def __init__(self, framing: Framing | None = None, *, token_required: bool = False) -> None:
        self.framing: Framing | None = None
        self._token_required = token_required
        self._head = b""
        self._cutter: FrameCutter | UnframedParser | None = None
        if framing is not None:
            self._decide(framing)

    def _decide(self, framing: Framing) -> Cutter:
        self.framing = framing
        if framing is Framing.INT16:
            self._cutter = FrameCutter()
        else:
            self._cutter = UnframedParser(token_required=self._token_required)
        return self._cutter

    @property
    def unframed(self) -> UnframedParser | None:
        """The parser of an unframed connection, which wants to be told of running calls."""
        return self._cutter if isinstance(self._cutter, UnframedParser) else None

    @property
    def deadline(self) -> float | None:
        """See Cutter."""
        return None if self._cutter is None else self._cutter.deadline

    def feed(self, data: bytes, now: float) -> Frames:
        """See Cutter.

        The last item may be a fatal WireError, after which nothing more comes: a
        `NotAnOpening`, or an unframed stream that cannot go on.
        """
        cutter: Cutter | None = self._cutter
        if cutter is None:
            data = self._head + data
            if len(data) < HEAD:
                self._head = data
                return []
            self._head = b""
            cutter = self._decide(detect(data[:HEAD]))
        return cutter.feed(data, now)

    def settle(self, now: float) -> Frames:
        """See Cutter."""
        return [] if self._cutter is None else self._cutter.settle(now)
