"""Commands and content types of other programs."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from examples.chess import EXTENSION, Move
from imserver.model.errors import ErrorCode
from imserver.model.extensions import OwnEvent, OwnReply
from imserver.model.messages import SendMessage
from imserver.protocols.extensions import UnknownExtension, load_extensions
from imserver.wire.base import WireError
from imserver.wire.jsonline import Extension, JsonLineServerCodec, OwnCommand, OwnContent
from imserver.wire.jsonline.extensions import Extensions

MOVE = {"opponent": "bob", "game": "g", "move": "e2e4"}


class Codec(SynchronousTestCase):
    def setUp(self) -> None:
        self.codec = JsonLineServerCodec(lambda: 5.0, Extensions([EXTENSION.wire]))

    def line(self, command: str, payload: Any, **form: Any) -> bytes:
        return json.dumps({"id": "1", "command": command, "payload": payload, **form}).encode()

    def refused(self, line: bytes, code: ErrorCode = ErrorCode.BAD_REQUEST) -> None:
        error = self.assertRaises(WireError, self.codec.decode, line)
        self.assertIs(error.code, code)
        self.assertEqual(json.loads(self.codec.refusal(error.tag, error)[0])["id"], "1")

    def test_a_command(self) -> None:
        for spelling in ("chess/move", "chess.move"):
            request = self.codec.decode(self.line(spelling, MOVE))
            self.assertEqual(request.command, Move("bob", "g", "e2e4"))
            self.assertEqual((request.dedupe, request.retry_id), (True, "chess/move 1"))
            (answer,) = self.codec.reply(request, OwnReply({"number": 3}))
            self.assertEqual(
                json.loads(answer),
                {
                    "id": "1",
                    "type": "response",
                    "timestamp": 5,
                    "command": spelling,
                    "payload": {"number": 3, "status": 200},
                },
            )
        self.assertEqual(
            self.codec.reply(self.codec.decode(self.line("chess/move", MOVE, type="event")), OwnReply()), []
        )

    def test_payloads_that_do_not_fit(self) -> None:
        payloads: tuple[Any, ...] = ({}, None, [], 5, {**MOVE, "move": "z9"}, {**MOVE, "game": 5})
        for payload in payloads:
            self.refused(self.line("chess/move", payload))

    def test_other_commands_stay_unknown(self) -> None:
        for command in ("chess/resign", "chess", "Chess/move"):
            self.refused(self.line(command, MOVE), ErrorCode.UNKNOWN_COMMAND)
        plain = JsonLineServerCodec(lambda: 5.0)
        self.assertRaises(WireError, plain.decode, self.line("chess/move", MOVE))

    def test_an_event(self) -> None:
        (line,) = self.codec.event(OwnEvent("chess/move", {"game": "g"}))
        self.assertEqual(json.loads(line)["command"], "chess/move")
        self.assertEqual(json.loads(line)["payload"], {"game": "g"})

    def test_contents(self) -> None:
        def send(content: Any) -> bytes:
            return self.line("message/send", {"target": {"type": "user", "id": "bob"}, "content": content})

        for content in (
            {"type": "chess-position", "fen": "8/8/8"},
            {"type": "chess-position", "fen": "8/8/8", "more": 1},
            {"type": "checkers-position"},
            {"type": "text", "text": "x"},
        ):
            self.assertIsInstance(self.codec.decode(send(content)).command, SendMessage)
        for content in ({"type": "chess-position"}, {"type": "chess-position", "fen": 5}):
            self.refused(send(content))


class Names(SynchronousTestCase):
    def test_taken_or_impossible(self) -> None:
        for name in ("message/send", "room/join", "chess", "", "chess.move", "/chess"):
            extension = Extension(commands=(OwnCommand(name, Move),))
            self.assertRaises(ValueError, Extensions, [extension])
        for type in ("text", "revoked"):
            self.assertRaises(ValueError, Extensions, [Extension(contents=(OwnContent(type, Move),))])
        self.assertRaises(ValueError, Extensions, [EXTENSION.wire, EXTENSION.wire])

    def test_what_is_not_there_is_named(self) -> None:
        self.assertEqual(load_extensions({"chess": "examples.chess:EXTENSION"}), [EXTENSION])
        for place in ("examples.nothing:EXTENSION", "examples.chess:NOTHING", "examples.chess:Chess"):
            error = self.assertRaises(UnknownExtension, load_extensions, {"chess": place})
            self.assertIn(f"extensions.chess: {place}", str(error))
        twice = {"a": "examples.chess:EXTENSION", "b": "examples.chess:EXTENSION"}
        self.assertIn("taken", str(self.assertRaises(UnknownExtension, load_extensions, twice)))
