"""Calls: one call state for document 000 (types 2 to 6) and document 002 (call.*).

A call has a caller and a callee, each a user; the **parties** are the two sessions
that hold it: the caller's, and the callee's that answered. Formats differ in how
media travels, so only sessions of one `Media` can call each other.

`detail` is what a client sent beside what the server knows (session description,
candidates, constraints, whatever it likes): a compact JSON object that nobody here
looks into, b"" = nothing. It goes to the peer unchanged.
"""

from __future__ import annotations

import enum

from msgspec import Struct

from imserver.model.errors import ErrorCode, ImError

MAX_CALL_ID_BYTES = 128
"""Longest call id a client may choose, bytes of UTF-8 (contract, signalling)."""


class Media(enum.StrEnum):
    """How the media of a format's calls travels."""

    NONE = ""
    """The format has no calls."""
    RELAY = "relay"
    """Through this server (document 000, MSG_MEDIA_DATA)."""
    WEBRTC = "webrtc"
    """From peer to peer; only its signalling comes through here (document 002)."""
    VOICE = "voice"
    """Through this server, to one or to several others (document 004, dialect chat-app)."""

    @property
    def relayed(self) -> bool:
        """Whether it comes through this server, and is cut with a party's connection."""
        return self in (Media.RELAY, Media.VOICE)


class Ending(enum.StrEnum):
    """How a call ended."""

    HANGUP = "hangup"
    """A participant ended the running call."""
    CANCELLED = "cancelled"
    """The caller ended it before the answer."""
    REJECTED = "rejected"
    BUSY = "busy"
    """One of the two was in another call."""
    OFFLINE = "offline"
    """The callee has no session (or is not to be reached by this caller)."""
    NO_DEVICE = "no_device"
    """The callee has sessions, but none that can take this call."""
    NO_ANSWER = "no_answer"
    LOST = "lost"
    """A party's connection was gone for longer than the grace."""
    TOO_LONG = "too_long"
    """It had lasted as long as a call may."""
    SHUTDOWN = "shutdown"
    """The server went down."""


class CallFault(enum.StrEnum):
    """Why a command about a call was refused (document 002: details.reason of call.error)."""

    UNKNOWN_CALL = "unknown_call"
    NOT_PARTICIPANT = "not_participant"
    CALL_ID_IN_USE = "call_id_in_use"
    BAD_SDP = "bad_sdp"
    BAD_REQUEST = "bad_request"


FAULT_CODES = {
    CallFault.UNKNOWN_CALL: ErrorCode.NOT_FOUND,
    CallFault.NOT_PARTICIPANT: ErrorCode.FORBIDDEN,
    CallFault.CALL_ID_IN_USE: ErrorCode.CONFLICT,
    CallFault.BAD_SDP: ErrorCode.BAD_REQUEST,
    CallFault.BAD_REQUEST: ErrorCode.BAD_REQUEST,
}


class CallError(ImError):
    """A refused command about a call.

    Args:
        fault: why.
        text: one sentence.
        call: the call's id, where one was named.
    """

    def __init__(self, fault: CallFault, text: str, call: str = "") -> None:
        super().__init__(FAULT_CODES[fault], text)
        self.fault = fault
        self.call = call


class Signal(enum.StrEnum):
    """What one party tells the other during a call."""

    OFFER = "offer"
    """Renegotiation of a running call."""
    ANSWER = "answer"
    ICE = "ice"
    STATUS = "status"
    ERROR = "error"


# Commands; a session must be live to give them


class StartCall(Struct, frozen=True, gc=False):
    """Call somebody; with the id of a call one is in, an offer to renegotiate it.

    Attributes:
        callee: whom; only looked at for a new call.
        call: the id the client wishes; "" = the server mints one.
    """

    callee: str
    video: bool
    call: str = ""
    detail: bytes = b""


class AnswerCall(Struct, frozen=True, gc=False):
    """Accept a call that rings here; in a running call, an answer to a renegotiation."""

    call: str
    detail: bytes = b""


class RejectCall(Struct, frozen=True, gc=False):
    """Reject a call that rings here.

    Attributes:
        reason: the person's words; "" = none given.
    """

    call: str
    reason: str = ""
    detail: bytes = b""


class EndCall(Struct, frozen=True, gc=False):
    """End a call, or stop calling; call "" = one's own current one, whatever its id.

    Attributes:
        reason: the client's own word for it (document 002, `reason`); "" = none given.
    """

    call: str = ""
    reason: str = ""
    detail: bytes = b""


class CallQuality(Struct, frozen=True, gc=False):
    """How well a client hears the other; None = not told.

    Attributes:
        packet_loss: fraction, 0 to 1.
        jitter: seconds.
        round_trip: seconds.
    """

    packet_loss: float | None = None
    jitter: float | None = None
    round_trip: float | None = None


class SignalCall(Struct, frozen=True, gc=False):
    """Tell the other side something: a candidate, a status, an error.

    Attributes:
        quality: figures that stand in the detail of a status, for the metrics.
    """

    call: str
    signal: Signal
    detail: bytes = b""
    quality: CallQuality | None = None


class CallMedia(Struct, frozen=True, gc=False):
    """A piece of the running call's media, opaque.

    Attributes:
        call: as a command "" = the one running here.
        sender: as an event, the user it comes from.
    """

    data: bytes
    call: str = ""
    sender: str = ""


# Events


class CallIncoming(Struct, frozen=True, gc=False):
    """A call rings here (to every capable session of the callee). Times are float seconds."""

    call: str
    caller: str
    callee: str
    video: bool
    created_at: float
    detail: bytes = b""


class CallRinging(Struct, frozen=True, gc=False):
    """To the caller: it rings."""

    call: str
    caller: str
    callee: str
    video: bool
    created_at: float


class CallAnswered(Struct, frozen=True, gc=False):
    """To the caller: it was answered."""

    call: str
    caller: str
    callee: str
    answered_at: float
    detail: bytes = b""


class CallAccepted(Struct, frozen=True, gc=False):
    """To the session that answered: the call is its own."""

    call: str
    caller: str
    callee: str
    answered_at: float


class CallSignal(Struct, frozen=True, gc=False):
    """The other side told something."""

    call: str
    signal: Signal
    sender: str
    recipient: str
    detail: bytes = b""


class CallEnded(Struct, frozen=True, gc=False):
    """To a party, and to the session that rejected: the call is over.

    Attributes:
        ending: why.
        by: the user who ended it; "" = nobody did.
        reason: the words given with it (RejectCall.reason, EndCall.reason).
        answered_at: 0 = never.
        glare: of BUSY: both called each other, and the other call stands.
    """

    call: str
    caller: str
    callee: str
    ending: Ending
    created_at: float
    ended_at: float
    answered_at: float = 0.0
    by: str = ""
    reason: str = ""
    glare: bool = False
    detail: bytes = b""

    @property
    def duration(self) -> int:
        """Whole seconds from the answer to the end."""
        return int(self.ended_at - self.answered_at) if self.answered_at else 0


class CallStopped(Struct, frozen=True, gc=False):
    """To a session at which it rang and that took no part: it rings no more.

    Attributes:
        ending: how the call ended; None = it was answered elsewhere.
    """

    call: str
    caller: str
    callee: str
    at: float
    ending: Ending | None = None
