"""The server's role in document 001."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError

from imserver.model.accounts import Hello, LoggedIn
from imserver.model.errors import ErrorCode, ImError
from imserver.model.message_rows import MessageRow
from imserver.model.messages import InboxPage, Message, MessageAccepted
from imserver.wire.base import Request, Traits, WireError
from imserver.wire.protobuf import im_protocol_pb2 as pb
from imserver.wire.protobuf import tables
from imserver.wire.protobuf.encoding import (
    Push,
    accepted_frame,
    envelope,
    error_body,
    push_row,
    shared_push,
    splice_push,
    timestamp,
    to_ms,
)
from imserver.wire.protobuf.plain_sends import HEAD, plain_send
from imserver.wire.protobuf.pushes import EVENTS
from imserver.wire.protobuf.replies import REPLIES
from imserver.wire.protobuf.requests import READERS, read_send, send_command
from imserver.wire.protobuf.rows import accepted_row, pushed_row
from imserver.wire.protobuf.tags import Tag

TRAITS: Final = Traits(
    name="protobuf",
    pulls=True,
    acks=True,
    close_on_refused_login=True,
    answers_before_login=True,
    reauthenticates=True,
)

_Envelope = pb.WebSocketMessage
_SendResponse = pb.SendMessageResponse
_SEND_REQ: Final = tables.SEND_MSG_REQ


class ProtobufServerCodec:
    """One connection of a document 001 client.

    Args:
        clock: the server's clock, float seconds since the epoch.
        echo_client_id: answer SEND_MSG_REQ with the client's own message id in
            `message_id`, for the deployed client, which dequeues by it.
        traits: as the listener is configured (the largest frame, the deadlines).
    """

    __slots__ = ("_batch", "_clock", "_echo", "_hello", "_user", "traits")

    profile: Final = "protobuf"

    def __init__(
        self, clock: Callable[[], float], *, echo_client_id: bool = False, traits: Traits = TRAITS
    ) -> None:
        self.traits = traits
        self._clock = clock
        self._echo = echo_client_id
        self._user = ""
        self._hello = False
        self._batch = False

    def decode(self, frame: bytes) -> Request:
        """Reads one WebSocketMessage.

        Raises:
            WireError: fatal (1007) for an undecodable envelope, fatal (1009) for one
                over the limit; otherwise with the tag of the refusal.
        """
        if len(frame) > self.traits.max_frame:
            raise WireError(ErrorCode.TOO_LARGE, "the frame is too large", fatal=True, close_code=1009)
        if frame[:3] == HEAD:
            plain = plain_send(frame, self._user)
            if plain is not None:
                sequence, command = plain
                return Request(command, Tag(sequence, _SEND_REQ, command.client_id))
        try:
            message = _Envelope.FromString(frame)
        except DecodeError:
            raise WireError(
                ErrorCode.BAD_REQUEST, "this is not a WebSocketMessage", fatal=True, close_code=1007
            ) from None
        number: int = message.command
        if number == _SEND_REQ:
            return self._decode_send(message.sequence, message.body)
        tag = Tag(message.sequence, number)
        reader = READERS.get(number)
        if reader is None:
            raise WireError(ErrorCode.UNKNOWN_COMMAND, f"there is no request {number}", tag=tag)
        try:
            command = reader(message.body)
        except DecodeError:
            raise self._undecodable(tag) from None
        except ImError as error:
            raise self._refused(tag, error) from None
        if type(command) is Hello:
            self._hello = True
            self._batch = command.extra.get("batch") == "1"
        return Request(command, tag)

    def _decode_send(self, sequence: int, body: bytes) -> Request:
        try:
            request = read_send(body)
        except DecodeError:
            raise self._undecodable(Tag(sequence, _SEND_REQ)) from None
        tag = Tag(sequence, _SEND_REQ, request.client_msg_id)
        try:
            return Request(send_command(request, self._user), tag)
        except ImError as error:
            raise self._refused(tag, error) from None

    def _undecodable(self, tag: Tag) -> WireError:
        name = tables.COMMAND_NAMES[tag.command]
        return self._refused(tag, ImError(ErrorCode.BAD_REQUEST, f"the body is not one of {name}"))

    def _refused(self, tag: Tag, error: ImError) -> WireError:
        code, text = error.code, error.text
        if not self._user and tag.command not in tables.BEFORE_LOG_IN:
            code, text = ErrorCode.AUTH_FAILED, "log in first"
        return WireError(code, text, tag=tag, command=tables.COMMAND_NAMES[tag.command])

    def reply(self, request: Request, reply: Any) -> list[bytes]:
        """The RSP of a request; SYNC_FINISHED after the last SYNC_RSP, to clients that said CONNECT."""
        tag: Tag = request.tag
        if type(reply) is MessageAccepted:
            return [self._accepted(tag, reply, timestamp(self._clock()))]
        now = to_ms(self._clock())
        if type(reply) is LoggedIn:
            self._user = reply.user
        number = tables.RESPONSES.get(tag.command)
        writer = REPLIES.get(type(reply))
        if number is None or writer is None:
            return []
        frames = [envelope(number, tag.sequence, writer(reply), now)]
        if number == tables.SYNC_RSP and self._hello and not reply.has_more:
            frames.append(envelope(tables.SYNC_FINISHED, 0, b"", now))
        return frames

    def accepted(self, requests: Sequence[Request], replies: Sequence[MessageAccepted]) -> list[bytes]:
        """See AnswersRows: SEND_MSG_RSPs."""
        return accepted_row(requests, replies, self._echo, self._clock())

    def _accepted(self, tag: Tag, reply: MessageAccepted, end: bytes) -> bytes:
        message_id = tag.client_id if self._echo and tag.client_id else reply.message_id
        return accepted_frame(tag.sequence, message_id.encode(), reply.seq, reply.server_at, end)

    def refusal(self, tag: Any, error: ImError | WireError, command: Any = None) -> list[bytes]:
        """The request's RSP with an error code; UNKNOWN where it has none that could carry one."""
        if tag is None or tag.command in tables.UNANSWERED:
            return []
        number = tables.RESPONSES.get(tag.command, tables.UNKNOWN)
        if number in tables.ERRORLESS:
            number = tables.UNKNOWN
        body = error_body(error.code, error.text)
        if number == tables.SEND_MSG_RSP and self._echo and tag.client_id:
            body += _SendResponse(message_id=tag.client_id).SerializeToString()
        return [envelope(number, tag.sequence, body, to_ms(self._clock()))]

    def event(self, event: Any) -> list[bytes]:
        """The push of an event; [] for what the document has no command for."""
        writer = EVENTS.get(type(event))
        if writer is None:
            return []
        pushed = writer(event)
        if pushed is None:
            return []
        number, body = pushed
        return [envelope(number, 0, body, to_ms(self._clock()))]

    def shared(self, message: Message) -> Push:
        """The body of PUSH_MSG without its seq, and the end of the envelope."""
        return shared_push(message, self._clock())

    def splice(self, shared: Push, seq: int) -> bytes:
        """The PUSH_MSG frame for one inbox."""
        return splice_push(shared, seq)

    def pushed(self, messages: MessageRow, seq: int) -> list[bytes]:
        """See PushesRows: PUSH_MSGs."""
        return pushed_row(messages, seq, self._clock())

    def backlog(self, page: InboxPage) -> list[bytes]:
        """A PUSH_MSG a row, or one BATCH_MSG to a client that announced `batch`."""
        if not page.rows:
            return []
        if not self._batch:
            return [splice_push(self.shared(row.message), row.seq) for row in page.rows]
        body = pb.BatchMessages(messages=[push_row(row) for row in page.rows]).SerializeToString()
        return [envelope(tables.BATCH_MSG, 0, body, to_ms(self._clock()))]
