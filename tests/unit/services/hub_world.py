"""A whole service floor over the real engine on one thread, with sessions that only remember."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from imserver.backends.embedded.memory import InlineThreads, ScheduledCommitter, deterministic_cellar
from imserver.backends.embedded.settings import EngineSettings
from imserver.model.accounts import Hello, LoggedIn, LogIn, SessionKicked
from imserver.model.calls import CallMedia, Media
from imserver.model.errors import ImError
from imserver.model.messages import Content, Form, InboxPage, MessageAccepted, SendMessage
from imserver.services.accounts import Accounts
from imserver.services.delivery import LiveSession
from imserver.services.friends import FriendSettings
from imserver.services.groups import Groups
from imserver.services.hub import Hub, HubSettings
from imserver.services.outgoing import Outgoing, OutgoingRow
from imserver.services.ports import MediaServers, Store
from imserver.services.room_state import RoomSettings
from imserver.services.sessions import Client
from imserver.services.tokens import Tokens
from tests.unit.services.world import Chance, ServiceCase, key_ring, weak_hasher


class Peer:
    """A receiver that keeps what it is given; `room` messages fit before it says it is full."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, str]] = []
        self.names: list[str] = []
        self.backlog: list[list[int]] = []
        self.events: list[Any] = []
        self.answers: list[tuple[Any, MessageAccepted | ImError]] = []
        self.kicks: list[SessionKicked] = []
        self.pieces: list[CallMedia] = []
        self.order: list[str] = []
        self.room: int | None = None
        self.deaf = False

    @property
    def writable(self) -> bool:
        return self.room is None or self.room > 0

    def _take(self, count: int) -> None:
        if self.room is not None:
            self.room -= count

    def push(self, outgoing: Outgoing, seq: int) -> None:
        self._take(1)
        self.messages.append((seq, outgoing.message.content.data.decode()))
        self.names.append(outgoing.message.conversation)
        self.order.append(f"push {seq}")

    def push_all(self, row: OutgoingRow, seq: int) -> int:
        common = row.messages
        for message in common.each():  # which codecs do not look at again
            assert (message.conversation, message.canonical) == (common.conversation, common.canonical)
            assert (message.sender, message.recipient) == (common.sender, common.recipient)
            assert not message.group
            assert not message.revoked
        for taken, outgoing in enumerate(row.each()):
            if not self.writable:
                return taken
            self.push(outgoing, seq + taken)
        return len(row.messages)

    def push_backlog(self, page: InboxPage) -> None:
        self._take(len(page.rows))
        self.backlog.append([row.seq for row in page.rows])
        self.messages.extend((row.seq, row.message.content.data.decode()) for row in page.rows)

    def notify(self, event: Any) -> bool:
        if self.deaf:
            return False
        self.events.append(event)
        return True

    def media(self, event: CallMedia) -> None:
        self.pieces.append(event)

    def answer(self, tags: Sequence[Any], outcomes: Sequence[MessageAccepted | ImError]) -> None:
        for tag, outcome in zip(tags, outcomes, strict=True):
            self.answers.append((tag, outcome))
            self.order.append(f"answer {tag}")

    def kicked(self, event: SessionKicked) -> None:
        self.kicks.append(event)

    @property
    def seqs(self) -> list[int]:
        return [seq for seq, _ in self.messages]


def text(words: str, **fields: Any) -> SendMessage:
    """A text message."""
    return SendMessage(content=Content(Form.TEXT, words.encode()), **fields)


class HubCase(ServiceCase):
    """A hub with demo accounts."""

    sessions_per_user = 64
    friends = FriendSettings()
    rooms = RoomSettings(trusting=True)
    media_servers: MediaServers | None = None

    def setUp(self) -> None:
        self.clock = Clock()
        self.committer = ScheduledCommitter(self.clock)
        self.cellar = deterministic_cellar(
            self.clock,
            committer=self.committer,
            settings=EngineSettings(failure_pause=0.0, slice_pause=0.0, friends_only=self.friends.messages),
        )
        self.cellar.open()
        chance = Chance()

        def wall() -> float:
            return 1_700_000_000.0 + self.clock.seconds()

        hasher = weak_hasher(InlineThreads())
        directory, bus = self.cellar.directory, self.cellar.bus
        self.accounts = Accounts(
            directory, bus, hasher, Tokens(key_ring(), wall, chance), wall, chance, demo=True
        )
        self.hub = Hub(
            self.store(),
            directory,
            bus,
            self.accounts,
            Groups(directory, bus, hasher, wall, chance),
            wall,
            chance,
            self.clock,
            HubSettings(sessions_per_user=self.sessions_per_user, friends=self.friends, rooms=self.rooms),
            media_servers=self.media_servers,
        )

    def store(self) -> Store:
        """What the hub is given."""
        return self.cellar.store

    def settle(self) -> None:
        """Lets everything happen that waits for nothing but a turn or a commit."""
        for _ in range(8):
            self.clock.advance(0)

    def wait(self, work: Any) -> Any:
        """Runs a coroutine over as many commits as it needs."""
        running: Deferred[Any] = ensureDeferred(work)
        self.settle()
        return self.successResultOf(running)

    def refusal(self, work: Any) -> ImError:
        """Runs a coroutine that must be refused."""
        running: Deferred[Any] = ensureDeferred(work)
        self.settle()
        error: ImError = self.failureResultOf(running, ImError).value
        return error

    def enter(
        self,
        user: str,
        peer: Peer,
        device: str = "",
        *,
        pulls: bool = False,
        format: str = "f",
        media: Media = Media.NONE,
        transfers: bool = False,
    ) -> tuple[LiveSession, LoggedIn]:
        """Logs in without starting delivery."""
        client = Client(
            self.hub.new_session_id(), format, "127.0.0.1", pulls, True, media=media, transfers=transfers
        )
        command = LogIn(user=user, token=f"demo_token_{user}", device=device)
        result: tuple[LiveSession, LoggedIn] = self.wait(self.hub.log_in(client, Hello(), command, peer))
        return result

    def log_in(self, user: str, device: str = "", **options: Any) -> tuple[LiveSession, Peer]:
        """Logs in and starts delivery."""
        peer = Peer()
        live, _ = self.enter(user, peer, device, **options)
        live.start()
        self.settle()
        return live, peer

    def send(self, live: LiveSession, words: str, tag: Any = None, **fields: Any) -> MessageAccepted:
        """Sends and waits for the answer, which must be good."""
        self.hub.send(live, text(words, **fields), tag or words)
        self.settle()
        receiver = live.receiver
        assert isinstance(receiver, Peer)
        outcome = receiver.answers[-1][1]
        assert isinstance(outcome, MessageAccepted), outcome
        return outcome
