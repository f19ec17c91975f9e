"""What comes from other nodes, handed to those on this one whom it is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from imserver.backends.redis import talk
from imserver.backends.redis.asking import Asking
from imserver.backends.redis.crossing import Unpackable, pack, unpack
from imserver.backends.redis.link import Redis
from imserver.model.accounts import SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.services.ports import Watcher

OnEvent = Callable[[Iterable[str], Any, str], None]
OnKick = Callable[[str, str, str, SessionKicked], None]
OnTell = Callable[[str, str, Any, str], None]


class Deaf:
    """Who consumes before anybody is named: nobody."""

    def event(self, users: Iterable[str], event: Any, origin: str) -> None:
        """See `Bus.attach`."""

    def kick(self, user: str, sid: str, session: str, event: SessionKicked) -> None:
        """See `Bus.attach`."""

    def tell(self, user: str, session: str, event: Any, node: str) -> None:
        """See `Bus.serve`."""

    async def handle(self, request: Any) -> Any:
        """See `Bus.serve`."""
        raise ImError(ErrorCode.UNAVAILABLE, "this node is not ready yet")

    def node_lost(self, node: str) -> None:
        """See Watcher."""

    def cut_off(self) -> None:
        """See Watcher."""

    def rejoined(self) -> None:
        """See Watcher."""

    def missed(self, node: str) -> None:
        """See Watcher."""

    def attendance_changed(self, users: Sequence[str]) -> None:
        """See Watcher."""

    def came_late(self, users: Sequence[str], event: Any) -> None:
        """See Watcher."""


class Consumers:
    """Who consumes on this node."""

    __slots__ = ("on_event", "on_kick", "on_request", "on_tell", "watcher")

    def __init__(self) -> None:
        nobody = Deaf()
        self.on_event: OnEvent = nobody.event
        self.on_kick: OnKick = nobody.kick
        self.on_tell: OnTell = nobody.tell
        self.on_request: Callable[[Any], Awaitable[Any]] = nobody.handle
        self.watcher: Watcher = nobody


class Hearing:
    """See `exchange.Heard`.

    Args:
        redis: knows the time.
        say: sends a frame to a node.
    """

    log = Logger()

    def __init__(
        self, consumers: Consumers, asking: Asking, redis: Redis, say: Callable[[str, bytes], None]
    ) -> None:
        self._consumers = consumers
        self._asking = asking
        self._redis = redis
        self._say = say

    def frame(self, node: str, body: bytes, late: bool) -> None:
        """See Heard."""
        try:
            self._handle(node, talk.read(body), late)
        except Unpackable as error:
            self._not_understood(node, error)
        except Exception:
            self.log.failure("what node {node} said could not be handled", node=node)

    def loose(self, node: str, body: bytes) -> None:
        """See Heard."""
        try:
            session, media = talk.read_media(body)
            self._consumers.on_tell("", session, media, node)
        except Unpackable as error:
            self._not_understood(node, error)
        except Exception:
            self.log.failure("media from node {node} could not be handled", node=node)

    def missed(self, node: str) -> None:
        """See Heard."""
        self._asking.refuse(lambda asked: asked == node)
        self._consumers.watcher.missed(node)

    def _handle(self, node: str, frame: Any, late: bool) -> None:
        consumers = self._consumers
        match frame:
            case talk.Tell():
                consumers.on_tell(frame.user, frame.session, unpack(frame.event), node)
            case talk.Ask():
                ensureDeferred(self._answer(node, frame)).addErrback(self._failed, node)
            case talk.Answer():
                self._asking.answered(frame.number, unpack(frame.reply))
            case talk.Publish():
                event = unpack(frame.event)
                consumers.on_event(frame.users, event, frame.origin)
                if late:
                    consumers.watcher.came_late(frame.users, event)
            case talk.Kick():
                consumers.on_kick(frame.user, frame.sid, frame.session, unpack(frame.event))

    async def _answer(self, node: str, ask: talk.Ask) -> None:
        if self._redis.server_time() > ask.until:
            return  # nobody waits any more
        try:
            reply = pack(await self._consumers.on_request(unpack(ask.request)))
        except ImError as error:
            reply = pack(error)
        except Unpackable as error:
            reply = pack(ImError(ErrorCode.UNAVAILABLE, "the nodes do not understand each other"))
            self._not_understood(node, error)
        except Exception:
            reply = pack(ImError(ErrorCode.INTERNAL, "internal error"))
            self.log.failure("a request of node {node} could not be handled", node=node)
        self._say(node, talk.write(talk.Answer(ask.number, reply)))

    def _not_understood(self, node: str, error: Unpackable) -> None:
        self.log.warn("node {node} said what this one does not know: {error}", node=node, error=str(error))

    def _failed(self, failure: Any, node: str) -> None:
        self.log.failure("a request of node {node} could not be answered", failure, node=node)
