"""The examples of docs/wire/meeting.md are what the codec reads and writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from imserver.config.limits import RoomLimits
from imserver.model.rooms import Notice, RoomFault
from imserver.services.room_state import RoomSettings
from imserver.wire.base import WireError
from imserver.wire.meeting import MeetingClientCodec, MeetingServerCodec
from imserver.wire.meeting.errors import NUMBERS
from imserver.wire.meeting.requests import METHODS
from tests.clients.meeting_client import ERRORS, EVENT_DATA, check_answer, check_event

PAGE = (Path(__file__).parents[3] / "docs/wire/meeting.md").read_text()
LINES = re.findall(r"^(→!?|←) (\{.*\})$", PAGE, re.MULTILINE)
SESSION = "5f0c9d2ab1e84c7790a3d6f1e2b4c8d7"


class Examples(SynchronousTestCase):
    def test_every_request_is_read_and_every_answer_is_its_own(self) -> None:
        asked: dict[int, str] = {}
        client = MeetingClientCodec()
        server = MeetingServerCodec()
        methods, events = set(), set()
        for arrow, line in LINES:
            message = json.loads(line)
            self.assertEqual(json.dumps(message, ensure_ascii=False, separators=(",", ":")), line)
            if arrow == "→":
                methods.add(message["method"])
                asked[message["cseq"]] = message["method"]
                command = server.decode(line.encode()).command
                client.request(command, message["cseq"])
            elif arrow == "→!":
                with self.assertRaises(WireError) as caught:
                    server.decode(line.encode())
                (refused,) = server.refusal(caught.exception.tag, caught.exception)
                self.assertIn(("←", refused.decode()), LINES)
            elif "event" in message:
                events.add(message["event"])
                check_event(message, SESSION)
                client.decode(line.encode())
            else:
                check_answer(message, "" if message["err"] else asked.get(message["cseq"], ""))
                client.decode(line.encode())
        self.assertEqual(methods, set(METHODS))
        self.assertEqual(events, set(EVENT_DATA))

    def test_every_number_and_every_notice(self) -> None:
        rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", PAGE, re.MULTILINE)
        self.assertEqual(
            {(int(number), word) for number, word in rows}, {(n, f.value) for f, n in NUMBERS.items()}
        )
        self.assertEqual(set(NUMBERS), set(RoomFault))
        self.assertEqual(ERRORS, {notice.value for notice in Notice})
        for notice in Notice:
            self.assertIn(f"`{notice.value}`", PAGE)

    def test_the_limits(self) -> None:
        limits, settings = RoomLimits(), RoomSettings()
        for name in RoomLimits.__struct_fields__:
            self.assertIn(f"rooms.{name}", PAGE)
            self.assertEqual(getattr(limits, name), getattr(settings, name), name)
