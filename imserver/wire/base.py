"""What every codec offers to the session that holds it.

A codec turns whole frames into model commands and model replies, refusals and
events into whole frames. It never sees a socket, keeps no message, takes no
policy decision beyond what its format dictates, and never blocks. One instance
serves one connection, since formats remember small things about their peer
(protocol version, announced abilities).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from imserver.model.accounts import LogIn
from imserver.model.calls import Media
from imserver.model.errors import ErrorCode, ImError
from imserver.model.message_rows import MessageRow
from imserver.model.messages import InboxPage, Message, MessageAccepted


class WireError(Exception):
    """The peer broke the format.

    Args:
        code: which error to answer with.
        text: one sentence; never bytes of the peer's message.
        tag: what the answer must echo (a codec's `Request.tag`), or None if unknown.
        fatal: the stream cannot go on: answer if the format can, then close.
        close_code: the WebSocket close code to use then.
        command: the failed command's name where known, for the log and the metrics.
    """

    def __init__(
        self,
        code: ErrorCode,
        text: str,
        *,
        tag: Any = None,
        fatal: bool = False,
        close_code: int = 1007,
        command: str = "",
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.tag = tag
        self.fatal = fatal
        self.close_code = close_code
        self.command = command


class Request(Struct, frozen=True, gc=False):
    """One decoded frame.

    Attributes:
        command: a command struct of `imserver.model`.
        tag: whatever the codec needs to answer (sequence, id, trace, …); opaque
            to everyone else, never leaves the session.
        authorization: a bearer token that came with this very frame ("" = none);
            the session checks that it belongs to its principal.
        dedupe: True if a retry of this frame (same `retry_id`, from the same user in the same
            format) must be answered from memory instead of done again.
        retry_id: the id by which retries are recognised; "" = none.
        close_if_refused: a LogIn whose refusal ends the connection after its answer,
            whatever the format's traits say.
    """

    command: Any
    tag: Any
    authorization: str = ""
    dedupe: bool = False
    retry_id: str = ""
    close_if_refused: bool = False


class Traits(Struct, frozen=True):
    """What the session must know about a format without knowing which it is.

    Attributes:
        name: the format key used in configuration, logs and metrics.
        pulls: the client fetches its backlog itself (SyncInbox); nothing older
            than the log-in is pushed.
        acks: clients confirm what they received with AckMessages. Otherwise a
            device's cursor advances when the peer's kernel has the bytes.
        close_on_refused_login: a refused log-in ends the connection after its answer.
        answers_before_login: requests before log-in are answered AUTH_FAILED
            (False: the connection is closed).
        login_deadline: seconds a connection may stay without logging in …
        login_deadline_alive: … and while it sends heartbeats meanwhile.
        max_frame: bytes of the largest inbound frame.
        page_bytes: where pages (backlog, sync, history) end.
        reauthenticates: a LogIn on a live session authenticates the same user again
            (another user: AUTH_FAILED); False: it is refused with CONFLICT.
        requires_authorization: every request after the log-in, Ping excepted, must
            carry a bearer token (`Request.authorization`).
        acks_by_choice: with `acks` False: once a session has sent its first AckMessages,
            only those advance its device's cursor.
        ping_follows_sends: a Ping is answered after the sends before it (they are durable or
            refused by then): where nothing else tells a client what became of them.
        waits_for_rate: the peer cannot be told that it is too fast, so what it asks then waits
            until its rate allows it, everything behind it, too, and nothing more is read.
        media: how this format's calls travel; NONE = it has none.
        transfers: it has words for file transfers; waiting offers are told at the log-in.
        skips_oversize: a WebSocket message longer than `max_frame` is skipped to its
            end and answered TOO_LARGE; False: the connection is closed with 1009.
        rooms: its clients are in meeting rooms, and have no inbox.
    """

    name: str
    pulls: bool = False
    acks: bool = True
    close_on_refused_login: bool = False
    answers_before_login: bool = True
    login_deadline: float = 10.0
    login_deadline_alive: float = 10.0
    max_frame: int = 256 * 1024
    page_bytes: int = 192 * 1024
    reauthenticates: bool = False
    requires_authorization: bool = False
    acks_by_choice: bool = False
    skips_oversize: bool = False
    ping_follows_sends: bool = False
    waits_for_rate: bool = False
    transfers: bool = False
    media: Media = Media.NONE
    rooms: bool = False


class ServerCodec(Protocol):
    """The server's role. Every method that encodes returns whole frames, without transport framing."""

    traits: Traits

    @property
    def profile(self) -> Hashable:
        """Sessions with equal profiles get equal bytes from `shared`, so they are encoded once."""

    def decode(self, frame: bytes) -> Request:
        """Reads one frame.

        Raises:
            WireError: with the tag to answer, where one could be read.
        """

    def reply(self, request: Request, reply: Any) -> list[bytes]:
        """Frames that answer a request; [] where the format has no answer for it."""

    def refusal(self, tag: Any, error: ImError | WireError, command: Any = None) -> list[bytes]:
        """Frames that refuse a request (`command`: as decoded, None if it was not).

        [] if the format has none.
        """

    def event(self, event: Any) -> list[bytes]:
        """Frames for an event that is not a message; [] if this format cannot carry it."""

    def shared(self, message: Message) -> Any:
        """The part of a pushed message that is the same for every session of this profile."""

    def splice(self, shared: Any, seq: int) -> bytes | list[bytes]:
        """The frame that pushes it under its number in one user's inbox.

        A list where this format may need several frames, or none.
        """

    def backlog(self, page: InboxPage) -> list[bytes]:
        """Frames that carry a page of backlog after log-in."""


class AnswersRows(Protocol):
    """What a server's codec may have besides, where answering several sends at once costs less."""

    def accepted(self, requests: Sequence[Request], replies: Sequence[MessageAccepted]) -> list[bytes]:
        """The frames that `reply` gives to each of these sends, which were accepted."""


class PushesRows(Protocol):
    """What a server's codec may have besides, where pushing several messages at once costs less.

    Only codecs may have it whose sessions of one profile all push the same bytes under the same number;
    where each session's are its own (sealed, say), `pushed` is None.
    """

    def pushed(self, messages: MessageRow, seq: int) -> list[bytes]:
        """The frames, one for each, that push messages under `seq` and the numbers after it; as `splice`."""


def each_accepted(
    codec: ServerCodec, requests: Sequence[Request], replies: Sequence[MessageAccepted]
) -> list[bytes]:
    """`AnswersRows.accepted` where nothing is gained by it."""
    answers: list[bytes] = []
    for request, reply in zip(requests, replies, strict=True):
        answers += codec.reply(request, reply)
    return answers


class Upgrade(Struct, frozen=True):
    """What a WebSocket handshake says besides itself.

    Attributes:
        query: the parameters of the query string, percent-decoded; each may be given more than once.
        authorization: the header of this name; "" = none.
        subprotocols: as offered, in order.
    """

    query: dict[str, list[str]] = {}
    authorization: str = ""
    subprotocols: tuple[str, ...] = ()


class Negotiated(Struct, frozen=True):
    """What a format makes of an `Upgrade` (it raises ImError to refuse it).

    Attributes:
        codec: the codec of this connection.
        binary: whether its frames are binary messages (else text).
        subprotocol: the one to select, of those offered; None = none.
        log_in: the session logs in with it before the handshake is answered: refused,
            the answer is an HTTP error; accepted, the first frame is `codec.reply` to it,
            with a tag of None. None: the session begins with nobody logged in.
    """

    codec: ServerCodec
    binary: bool
    subprotocol: str | None = None
    log_in: LogIn | None = None


class ClientCodec(Protocol):
    """The client's role, for client programs, tests and the simulation."""

    def request(self, command: Any, tag: Any) -> bytes:
        """The frame that sends a command."""

    def decode(self, frame: bytes) -> tuple[Any, Any]:
        """Reads one frame of the server.

        Returns:
            (tag, reply) for an answer: a reply struct or an ImError; (None, event)
            for a push: an event struct, an `InboxRow`, or an `InboxPage` of backlog.
        """
