"""Calls through the client: what it says, and what its program hears."""

from __future__ import annotations

from typing import Any

from imserver.model.calls import (
    AnswerCall,
    CallEnded,
    CallError,
    CallFault,
    CallIncoming,
    CallMedia,
    EndCall,
    Ending,
    RejectCall,
    StartCall,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import SendMessage
from imserver.wire.base import Request
from tests.unit.client.bench import ClientCase

CALL = "6f1a2b3c-0d4e-4f5a-8b6c-7d8e9fa0b1c2"


class Calls(ClientCase):
    def calls(self) -> list[Any]:
        """The events of calls that the program heard."""
        return [event for event in self.events if "Call" in type(event).__name__]

    def test_what_is_said(self) -> None:
        client = self.start("qdatastream")
        commands = [
            StartCall("bob", True), AnswerCall(CALL), RejectCall(CALL, "no"), EndCall(), CallMedia(b"\xff"),
        ]  # fmt: skip
        for command in commands:
            client.tell(command)
        self.assertEqual(self.server.asked, commands)
        self.finish()
        self.assertRaises(ImError, client.tell, EndCall())

    def test_a_format_without_calls(self) -> None:
        client = self.start("jsonline")
        error = self.assertRaises(ImError, client.tell, StartCall("bob", True))
        self.assertEqual(error.code, ErrorCode.UNKNOWN_COMMAND)
        self.finish()

    def test_what_is_heard(self) -> None:
        self.start("qdatastream")
        incoming = CallIncoming(CALL, "bob", "", False, 0.0)
        media, ended = CallMedia(b"\x00\xff", CALL), CallEnded(CALL, "", "", Ending.NO_ANSWER, 0.0, 0.0)
        for event in (incoming, media, ended):
            self.server.link.event(event)
        self.assertEqual(self.calls(), [incoming, media, ended])
        self.finish()

    def test_a_refusal_is_an_event_and_no_fault_of_a_message(self) -> None:
        client = self.start("qdatastream")
        self.server.pings = False
        answer = client.send("bob", "hi")
        client.tell(AnswerCall(CALL))
        link = self.server.link
        link.reply(Request(AnswerCall(CALL), 3), CallError(CallFault.UNKNOWN_CALL, "no such call", CALL))
        (error,) = self.calls()
        self.assertEqual((error.fault, error.text), (CallFault.UNKNOWN_CALL, "no such call"))
        self.assertNoResult(answer)
        link.reply(Request(SendMessage, 0), ImError(ErrorCode.NOT_FOUND, "no such user"))
        link.write(b"\x07")
        self.assertEqual(self.refusal_of(answer), ErrorCode.NOT_FOUND)
        self.assertEqual(self.calls(), [error])
        self.finish()
