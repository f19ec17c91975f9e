"""The examples of docs/wire/signalling.md are what the codec reads and writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from imserver.wire.base import WireError
from imserver.wire.signalling import SignallingClientCodec, SignallingServerCodec
from imserver.wire.signalling.requests import REQUESTS
from tests.clients.signalling_client import TYPES, check
from tests.unit.wire.test_signalling_golden import MSGPACK_PUSH

PAGE = (Path(__file__).parents[3] / "docs/wire/signalling.md").read_text()


def examples(arrow: str) -> list[str]:
    """The lines of one direction."""
    return re.findall(rf"^{arrow} (\{{.*\}})$", PAGE, re.MULTILINE)


class Examples(SynchronousTestCase):
    def test_what_clients_send_is_read(self) -> None:
        found = examples("→")
        for line in found:
            SignallingServerCodec(lambda: 1.0).decode(line.encode())
        self.assertEqual({json.loads(line)["type"] for line in found}, set(REQUESTS))

    def test_what_is_refused(self) -> None:
        (line,) = examples("→!")
        codec = SignallingServerCodec(lambda: 1759838400.0)
        with self.assertRaises(WireError) as caught:
            codec.decode(line.encode())
        (answer,) = codec.refusal(caught.exception.tag, caught.exception)
        self.assertIn(answer.decode(), examples("←"))

    def test_what_the_server_sends_is_as_clients_expect_it(self) -> None:
        found = examples("←")
        for line in found:
            message = check(json.loads(line))
            self.assertEqual(json.dumps(message, ensure_ascii=False, separators=(",", ":")), line)
            SignallingClientCodec().decode(line.encode() if "id" in message else self._answer(message))
        self.assertEqual({json.loads(line)["type"] for line in found}, TYPES)

    @staticmethod
    def _answer(message: dict[str, object]) -> bytes:
        """With an id where only an answer has this shape."""
        payload = message["payload"]
        assert isinstance(payload, dict)
        if message["type"] == "presence" and "last_seen" not in payload:
            message = {**message, "id": 1}
        return json.dumps(message).encode()

    def test_message_pack(self) -> None:
        self.assertIn(MSGPACK_PUSH.hex(), PAGE)
