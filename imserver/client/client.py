"""What a program sees of its client: one interface over all formats."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from imserver.client.connection import ConnectionGone
from imserver.client.delivery import OnMessage
from imserver.client.inbox import Position
from imserver.client.keeper import Keeper
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import GROUP_PREFIX, group_name, single_name
from imserver.model.messages import (
    Content,
    Form,
    MarkRead,
    Message,
    MessageAccepted,
    MessagePage,
    MessageRevokedReply,
    MessagesMarked,
    ReadHistory,
    RevokeMessage,
    SendMessage,
    SetTyping,
)
from imserver.model.presence import ListPresence, PresenceState, SetPresence, UserPresence


class Client(Keeper):
    """One user's client; `imserver.client.connect` makes it.

    Attributes:
        user: the user id.
        on_event: called with every event that is not a message: `TypingChanged`, `MessagesRead`,
            `MessageRevoked`, `PresenceChanged`, `GroupChanged`, `FriendChanged`, those of calls, and
            `Connected`, `Disconnected`, `EpochChanged` of `imserver.client`.
        ended: fires with None after `close()`; fails with an ImError if the server does not
            want this client any more (kicked, disabled, token expired).
    """

    def send(
        self,
        to: str,
        content: str | Content,
        *,
        client_id: str = "",
        extra: dict[str, str] | None = None,
        attachments: bytes = b"",
        meta: bytes = b"",
    ) -> Deferred[MessageAccepted]:
        """Sends a message; fires once the server has it on its disk.

        Unanswered messages are sent again after a reconnect, under the same client id, so
        that the server has each of them once. Document 000 has no such ids: there a message
        whose connection was lost fails with UNAVAILABLE, and is not sent again.

        Args:
            to: a user id, or `group_<id>`.
            client_id: "" = a new one. Another program's send under the same id is answered
                like this one, and nothing is sent.
            attachments / meta: compact JSON, an array of objects and an object.

        The Deferred fails with an ImError: what the server refused it with, TOO_FAST if too
        many messages are unanswered, UNAVAILABLE if the client ends before the answer.
        """
        if self._over:
            gone: Deferred[MessageAccepted] = Deferred()
            gone.errback(ImError(ErrorCode.UNAVAILABLE, "the client was closed"))
            return gone
        if isinstance(content, str):
            content = Content(Form.TEXT, content.encode())
        recipient, group = _place(to)
        command = SendMessage(
            content,
            client_id=client_id or self._new_id(),
            sent_at=self._wall_time(),
            extra=extra or {},
            attachments=attachments,
            meta=meta,
            recipient=recipient,
            group=group,
        )
        answer = self._sends.add(command)
        self._look_at_room()
        return answer

    def request(self, command: Any) -> Deferred[Any]:
        """Asks for anything else of `imserver.model`; fires with the reply.

        The Deferred fails with an ImError: the refusal; UNKNOWN_COMMAND if the format has no
        such command; UNAVAILABLE if nobody is connected, or the connection ends before the answer.
        """
        if self._connection is None:
            failed: Deferred[Any] = Deferred()
            failed.errback(ConnectionGone("not connected"))
            return failed
        answer = self._connection.ask(command)
        self._look_at_room()
        return answer

    def history(self, of: str = "", *, since: str = "", limit: int = 0) -> Deferred[MessagePage]:
        """A page of a conversation with a user or group (`of`), or of the whole inbox."""
        recipient, group = _place(of) if of else ("", "")
        return self.request(ReadHistory(recipient=recipient, group=group, since=since, limit=limit))

    def typing(self, to: str, typing: bool = True) -> None:
        """Tells that the user is typing. Raises ImError as `request`."""
        recipient, group = _place(to)
        if self._connection is None:
            raise ConnectionGone("not connected")
        # By its canonical name, since document 001 can say nothing else.
        conversation = group_name(group) if group else single_name(self.user, recipient)
        self._connection.post(SetTyping(typing, conversation))

    def tell(self, command: Any) -> None:
        """Says something that has no answer: `StartCall` and the other commands of calls.

        What comes of it comes to `on_event`: `CallRinging`, `CallAnswered`, `CallEnded` and so on, an
        ImError where it was refused. Document 000 takes `CallMedia`, too. Raises ImError as `request`.
        """
        if self._connection is None:
            raise ConnectionGone("not connected")
        self._connection.post(command, tagged=False)

    def mark_read(self, *messages: Message) -> Deferred[MessagesMarked]:
        """Sends read receipts, for messages of one conversation."""
        ids = tuple(message.message_id for message in messages)
        return self.request(MarkRead(ids, messages[0].conversation if messages else ""))

    def revoke(self, message_id: str, conversation: str = "") -> Deferred[MessageRevokedReply]:
        """Takes a message back."""
        return self.request(RevokeMessage(message_id, conversation))

    def set_presence(self, state: PresenceState) -> Deferred[Any]:
        """Sets this session's state."""
        return self.request(SetPresence(state))

    async def presence(self, *users: str) -> list[UserPresence]:
        """The presence of users, or of everybody one shares a conversation with."""
        found: list[UserPresence] = (await self.request(ListPresence(users))).users
        return found

    def answer_to(self, message: Message) -> str:
        """Whom to send an answer to: `group_<id>`, or the other one of the two."""
        if message.group:
            return group_name(message.group)
        return message.recipient if message.sender == self.user else message.sender

    # Messages as they come

    @property
    def on_message(self) -> OnMessage | None:
        """Called with each message; a message is acknowledged once it returned (or its awaitable fired)."""
        return self._delivery.on_message

    @on_message.setter
    def on_message(self, callback: OnMessage | None) -> None:
        self._delivery.on_message = callback

    def __aiter__(self) -> Client:
        """Iterates over messages instead; each is acknowledged when the next one is asked for.

        It stops when the client ends; awaiting `ended` then says why.
        """
        return self

    async def __anext__(self) -> Message:
        message = await self._delivery.next()
        if message is None:
            raise StopAsyncIteration
        return message

    @property
    def connected(self) -> bool:
        """See the class."""
        return self._connection is not None

    @property
    def position(self) -> Position:
        """See the class."""
        return self._inbox.position

    # The end

    def close(self) -> Deferred[None]:
        """Closes the connection, after everything that was sent; fires when it is gone.

        Unanswered messages fail with UNAVAILABLE.
        """
        gone: Deferred[None] = Deferred()

        def tell(result: Any) -> Any:
            gone.callback(None)
            return result

        self.ended.addBoth(tell)
        self._shut(ImError(ErrorCode.UNAVAILABLE, "the client was closed"))
        return gone


def _place(to: str) -> tuple[str, str]:
    """Recipient and group, one of them ""; no user id begins like a group's conversation."""
    if not to:
        raise ImError(ErrorCode.BAD_REQUEST, "this needs a user or a group")
    if to.startswith(GROUP_PREFIX):
        return "", to[len(GROUP_PREFIX) :]
    return to, ""
