"""JSON log lines: what is in them, and what never is."""

from __future__ import annotations

import io
import json
from typing import Any

from twisted.logger import Logger, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from imserver.tap.json_log import JsonObserver, as_object


class JsonLines(SynchronousTestCase):
    """`JsonObserver`."""

    def setUp(self) -> None:
        self.stream = io.StringIO()
        self.logger = Logger(namespace="test", observer=LogPublisher(JsonObserver(self.stream)))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def test_an_event(self) -> None:
        self.logger.warn("user {user} did {count}\nthings", user="眉", count=3, ok=True, what=ValueError("x"))
        (line,) = self.lines()
        self.assertEqual(
            ("warn", "test", "user 眉 did 3\nthings"), (line["level"], line["namespace"], line["message"])
        )
        self.assertEqual({"user": "眉", "count": 3, "ok": True, "what": "x"}, line["fields"])
        self.assertTrue(line["time"].endswith("+00:00"), line["time"])

    def test_a_failure_with_its_traceback(self) -> None:
        try:
            raise ZeroDivisionError("nothing")
        except ZeroDivisionError:
            self.logger.failure("it failed")
        (line,) = self.lines()
        self.assertEqual("critical", line["level"])
        self.assertIn("ZeroDivisionError: nothing", line["traceback"])

    def test_secrets_are_no_fields(self) -> None:
        self.logger.info(
            "x", token="T1", access_token="T2", password="T3", Authorization="T4", content="T5", text="T6"
        )
        self.assertNotIn("fields", self.lines()[0])
        self.assertNotIn("T", self.stream.getvalue().replace("+00:00", "").split('"level"')[1])

    def test_fields_are_bounded(self) -> None:
        self.logger.info("x", path="p" * 5000)
        self.assertEqual(1000, len(self.lines()[0]["fields"]["path"]))

    def test_what_json_cannot_write(self) -> None:
        class Awkward:
            def __str__(self) -> str:
                raise ValueError("no")

        self.logger.info("{x}", x="\ud800")
        self.logger.info("awkward", x=Awkward())
        first, second = self.lines()
        self.assertEqual("?", first["message"])
        self.assertEqual("an event could not be written", second["message"])

    def test_legacy_events(self) -> None:
        written = as_object(
            {
                "log_format": "starting",
                "log_namespace": "log_legacy",
                "isError": 0,
                "message": (),
                "time": 1.0,
            }
        )
        self.assertEqual({"time", "level", "namespace", "message"}, set(written))
        self.assertEqual(("starting", "info"), (written["message"], written["level"]))

    def test_a_stream_that_is_gone(self) -> None:
        self.stream.close()
        self.logger.info("nobody hears it")
