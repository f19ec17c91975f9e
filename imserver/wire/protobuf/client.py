"""The client's role in document 001."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from imserver.model.accounts import LoggedIn, LogIn
from imserver.model.errors import ErrorCode, ImError
from imserver.wire.base import WireError
from imserver.wire.protobuf import im_protocol_pb2 as pb
from imserver.wire.protobuf import tables
from imserver.wire.protobuf.answers import ANSWERS, PUSHES, error_of
from imserver.wire.protobuf.commands import command_body
from imserver.wire.protobuf.encoding import envelope, to_ms


class ProtobufClientCodec:
    """One connection to a server that speaks document 001. The tag of a request is its `sequence`.

    A LogIn after the first successful one goes out as REAUTH_REQ. What the format
    does not tell stays at its neutral value: tokens, MessageAccepted.conversation,
    Message.position, LoggedIn.first_seq (1), the ids and times of bare successes.

    Args:
        clock: the client's clock, float seconds since the epoch.
    """

    __slots__ = ("_clock", "_logged_in", "_user")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged_in = False
        self._user = ""

    def request(self, command: Any, tag: Any) -> bytes:
        """The frame that sends a command under `tag` (the sequence, 0 to 2^32-1).

        Raises:
            ValueError: document 001 cannot carry the command.
        """
        number, body = command_body(command)
        if type(command) is LogIn:
            self._user = command.user
            if self._logged_in:
                number = tables.REAUTH_REQ
        return envelope(number, tag, body, to_ms(self._clock()))

    def decode(self, frame: bytes) -> tuple[Any, Any]:
        """Reads one frame of the server.

        Returns:
            (sequence, reply or ImError) for an answer; (None, event, InboxRow or InboxPage) for a push.

        Raises:
            WireError: it is no WebSocketMessage, or not one that servers send.
        """
        try:
            message = pb.WebSocketMessage.FromString(frame)
            return self._read(message.command, message.sequence, message.body)
        except DecodeError:
            raise WireError(
                ErrorCode.BAD_REQUEST, "this is not a message of the server", fatal=True
            ) from None

    def _read(self, number: int, sequence: int, body: bytes) -> tuple[Any, Any]:
        push = PUSHES.get(number)
        if push is not None:
            return None, push(body)
        if number == tables.UNKNOWN:
            return sequence, error_of(body) or ImError(ErrorCode.INTERNAL, "an error without a code")
        answer = ANSWERS.get(number)
        if answer is None:
            raise WireError(ErrorCode.UNKNOWN_COMMAND, f"servers do not send command {number}")
        error = None if number in tables.ERRORLESS else error_of(body)
        if error is not None:
            return sequence, error
        reply = answer(body)
        if type(reply) is LoggedIn:
            self._logged_in = True
            return sequence, LoggedIn(self._user, "", "", 0, reply.head, reply.first_seq, reply.epoch)
        return sequence, reply
