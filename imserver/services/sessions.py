"""Where services and live sessions meet: what each may ask of the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from imserver.model.accounts import Hello, LoggedIn, LogIn, Principal, SessionKicked
from imserver.model.calls import CallMedia, Media
from imserver.model.errors import ImError
from imserver.model.messages import InboxPage, MessageAccepted
from imserver.model.protection import Once
from imserver.services.outgoing import Outgoing, OutgoingRow


class Receiver(Protocol):
    """A live session as the services see it. None of these ever raises or waits."""

    @property
    def writable(self) -> bool:
        """Whether the outbox takes more messages now. False: they are read from the store later."""

    def push(self, outgoing: Outgoing, seq: int) -> None:
        """Queue one message under its inbox number; called in order, without gaps."""

    def push_all(self, row: OutgoingRow, seq: int) -> int:
        """Queue messages under `seq` and the numbers after it, as long as the outbox takes them.

        Returns:
            how many were queued; the rest is to be offered again, one by one.
        """

    def push_backlog(self, page: InboxPage) -> None:
        """Queue a page of what was missed before the log-in."""

    def notify(self, event: Any) -> bool:
        """Queue an event that is not a message; False if it was dropped (the peer is slow)."""

    def media(self, event: CallMedia) -> None:
        """Queue a piece of a call's media behind everything else; the oldest that wait are dropped for it."""

    def answer(self, tags: Sequence[Any], outcomes: Sequence[MessageAccepted | ImError]) -> None:
        """The outcomes of sends, in their order; `tags` as given to `SessionHub.send`."""

    def kicked(self, event: SessionKicked) -> None:
        """Say goodbye in the format's terms, flush, close. Called at most once."""


class Client(Struct, frozen=True, gc=False):
    """What the session knows about its peer before anybody logged in.

    Attributes:
        session: id of this session, minted by the hub.
        format: the format key.
        address: the peer's IP address, for the limits.
        pulls: the format's clients fetch their backlog themselves.
        acks: the format's clients acknowledge; otherwise the session calls
            `Attachment.delivered` when the peer's kernel has the bytes.
        secure: the link is encrypted.
        media: how the format's calls travel.
        transfers: the format has words for file transfers.
    """

    session: str
    format: str
    address: str
    pulls: bool
    acks: bool
    secure: bool = False
    media: Media = Media.NONE
    transfers: bool = False


class Attachment(Protocol):
    """A logged-in session's place in the registry."""

    principal: Principal

    def start(self) -> None:
        """Begin delivery: call it once, after the answer to the log-in was queued."""

    def drained(self) -> None:
        """The outbox has room again: go on reading what was not pushed. Cheap to call."""

    def delivered(self, messages: bool) -> None:
        """The peer's kernel has everything that was queued so far.

        Args:
            messages: that acknowledges messages, too (formats without acks).
        """

    def passed(self, seq: int) -> None:
        """The peer's kernel has the messages pushed up to this number (formats without acks)."""

    def close(self) -> None:
        """The connection is gone. Idempotent; removes this session and no other."""


class SessionHub(Protocol):
    """The services' one entrance for sessions; an `attachment` is what this hub's `log_in` gave."""

    def new_session_id(self) -> str:
        """An id for a new connection, unguessable, unique over all nodes."""

    async def log_in(
        self, client: Client, hello: Hello, command: LogIn, receiver: Receiver
    ) -> tuple[Attachment, LoggedIn]:
        """Authenticates and enters the registry. Raises ImError; then nothing was entered.

        If the connection is lost meanwhile, the caller closes the attachment it gets.
        """

    async def before_log_in(self, client: Client, command: Any) -> Any:
        """Hello, Register, RefreshTokens, Ping: what may be asked without a principal. Raises ImError."""

    def send(self, attachment: Any, command: Any, tag: Any) -> None:
        """SendMessage: a plain call; the outcome comes through `Receiver.answer`, in order."""

    def send_delay(self, attachment: Any) -> float:
        """Seconds until the user's send rate lets a message through; 0.0: a `send` in this very turn."""

    def acknowledge(self, attachment: Any, command: Any) -> None:
        """AckMessages: a plain call without outcome."""

    def media(self, attachment: Any, command: CallMedia) -> None:
        """A piece of the media of the call that runs here: a plain call without outcome."""

    async def admit(self, once: Once) -> None:
        """Lets an encrypted message through that comes for the first time. Raises ImError SIGNATURE."""

    async def handle(self, attachment: Any, command: Any, retry_id: str = "") -> Any:
        """Every other command. Raises ImError.

        A `retry_id` that the same user sent before, in whatever session of the format, is
        answered again and not done again.

        LogOut revokes the grant; the session closes itself afterwards.
        """

    def authorizes(self, attachment: Any, token: str) -> bool:
        """Whether a bearer token sent along with a request is a valid one of this very user."""
