"""Connections that are lost, refused, silent, and the end of it all."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.client import Connected, Disconnected
from imserver.client.backoff import Backoff
from imserver.client.formats import FORMATS
from imserver.client.http import refusal
from imserver.model.accounts import KickReason, SessionKicked
from imserver.model.errors import ErrorCode, ImError
from tests.unit.client.bench import ClientCase, row

ALL = sorted(FORMATS)


class Delays(SynchronousTestCase):
    """`Backoff`."""

    def test_they_double_up_to_the_limit_and_vary(self) -> None:
        for seed in range(20):
            backoff = Backoff(Random(seed), 1.0, 10.0)
            for ceiling in (1.0, 2.0, 4.0, 8.0, 10.0, 10.0):
                delay = backoff.next()
                self.assertTrue(ceiling / 2 <= delay <= ceiling, delay)
            backoff.reset()
            self.assertLessEqual(backoff.next(), 1.0)
        self.assertEqual(len({Backoff(Random(seed)).next() for seed in range(20)}), 20)

    def test_years_of_attempts(self) -> None:
        backoff = Backoff(Random(1), 1e-9)
        for _ in range(5_000):
            self.assertLessEqual(backoff.next(), 30.0)


class Refusals(SynchronousTestCase):
    """What a refused WebSocket handshake or log-in over HTTP says."""

    def test_the_body_else_the_status(self) -> None:
        body = b'{"success":false,"message":"old","data":{"error_code":"TOKEN_EXPIRED"}}'
        for status, data, code, text in (
            (401, body, ErrorCode.TOKEN_EXPIRED, "old"),
            (401, b'{"success":false,"message":"no","data":{}}', ErrorCode.AUTH_FAILED, "no"),
            (403, b"<html>", ErrorCode.FORBIDDEN, "reason"),
            (502, b"", ErrorCode.UNAVAILABLE, "reason"),
            (0, b"[]", ErrorCode.UNAVAILABLE, "reason"),
        ):
            error = refusal(status, data, "reason")
            self.assertEqual((error.code, error.text), (code, text), status)


class Kept(ClientCase):
    """The connection."""

    def test_attempts_go_on_until_somebody_answers(self) -> None:
        for format in ALL:
            with self.subTest(format=format):
                client = self.start(format)
                self.server.down = True
                self.server.link.lose("power cut")
                for _ in range(10):
                    self.come_back()
                delays = [event.retry_in for event in self.events if isinstance(event, Disconnected)]
                self.assertGreater(len(delays), 8)
                self.assertTrue(all(after > before for before, after in pairwise(delays[:7])), delays)
                self.assertFalse(client.connected)
                self.server.down = False
                self.come_back()
                self.assertTrue(client.connected)
                self.assertIsInstance(self.events[-1], Connected)
                self.finish()

    def test_refusals_that_may_pass_are_waited_for_others_end_it(self) -> None:
        for format in ALL:
            with self.subTest(format=format):
                client = self.start(format)
                if format == "qdatastream":
                    # Document 000's answer to a log-in has no code: it is AUTH_FAILED for all there is.
                    codes = [ErrorCode.AUTH_FAILED]
                else:
                    codes = [ErrorCode.UNAVAILABLE, ErrorCode.TOO_FAST, ErrorCode.AUTH_FAILED]
                for code in codes:
                    self.assertNoResult(client.ended)
                    self.server.refuses = ImError(code, "no")
                    if client.connected:
                        self.server.link.lose()
                    self.come_back()
                self.assertEqual(self.refusal_of(client.ended), ErrorCode.AUTH_FAILED)
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_first_refusal_is_the_callers(self) -> None:
        for format in ALL:
            with self.subTest(format=format):
                self.start(format)
                self.finish()
                self.server.refuses = ImError(ErrorCode.AUTH_FAILED, "no")
                client = self.make(FORMATS[format])
                failure = self.failureResultOf(ensureDeferred(client.start()), ImError)
                self.assertEqual(failure.value.code, ErrorCode.AUTH_FAILED)
                self.server.down = True
                failure = self.failureResultOf(ensureDeferred(self.make(FORMATS[format]).start()), ImError)
                self.assertEqual(failure.value.code, ErrorCode.UNAVAILABLE)
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_is_sent_away_stays_away_who_is_told_to_come_back_comes(self) -> None:
        for format in ALL:
            for reason, code in (
                (KickReason.OTHER_DEVICE, ErrorCode.CONFLICT),
                (KickReason.ACCOUNT, ErrorCode.AUTH_FAILED),
                (KickReason.SHUTDOWN, None),
                (KickReason.SLOW, None),
            ):
                with self.subTest(format=format, reason=reason):
                    client = self.start(format)
                    link = self.server.link
                    link.event(SessionKicked(reason, "go"))
                    link.lose()
                    self.come_back()
                    if code is None:
                        self.assertTrue(client.connected)
                        self.finish()
                    else:
                        self.assertEqual(self.refusal_of(client.ended), code)
                        self.assertEqual(len(self.server.links), 1)
                        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_server_that_goes_down_says_when_to_come_back(self) -> None:
        client = self.start("jsonline")
        link = self.server.link
        link.event(SessionKicked(KickReason.SHUTDOWN, "go", 90.0))
        link.lose()
        for _ in range(9):
            self.clock.advance(10.0)
            self.assertFalse(client.connected)
        self.clock.advance(1.0)
        self.assertTrue(client.connected)
        # It was for that one time.
        self.server.link.lose()
        self.clock.advance(1.0)
        self.assertTrue(client.connected)
        self.finish()

    def test_a_silent_client_shows_that_it_lives(self) -> None:
        for format in ALL:
            with self.subTest(format=format):
                client = self.start(format)
                for _ in range(100):
                    self.clock.advance(5.0)
                self.assertEqual(len(self.server.links), 1)
                self.assertTrue(client.connected)
                self.finish()

    def test_a_server_that_does_not_answer_is_left(self) -> None:
        for format in ALL:
            with self.subTest(format=format):
                self.start(format)
                self.server.pings = False
                for _ in range(13):
                    self.clock.advance(5.0)
                self.assertTrue(self.server.links[0].gone)
                reasons = [event.reason for event in self.events if isinstance(event, Disconnected)]
                self.assertEqual(reasons, ["the server does not answer"])
                self.server.pings = True
                self.finish()

    def test_a_paused_connection_is_not_taken_for_dead(self) -> None:
        self.start("jsonline", on_message=None, queue=1)
        self.server.link.push(row(1))
        self.assertTrue(self.server.link.paused)
        self.server.pings = False
        for _ in range(60):
            self.clock.advance(5.0)
        self.assertEqual([link.gone for link in self.server.links], [False])
        self.finish()

    def test_closing_between_two_connections(self) -> None:
        client = self.start("jsonline")
        self.server.link.lose()
        self.finish()
        self.come_back()
        self.assertEqual(len(self.server.links), 1)
        self.assertFalse(client.connected)
        self.assertIsNone(self.successResultOf(client.ended))

    def test_a_server_that_does_not_close_its_end(self) -> None:
        self.start("jsonline")
        self.server.link.close = lambda: None  # type: ignore[method-assign]
        closed = self.client.close()
        self.assertNoResult(closed)
        self.clock.advance(5.0)
        self.successResultOf(closed)
        self.assertTrue(self.server.link.gone)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_cannot_be_understood_ends_the_connection(self) -> None:
        for format in ALL:
            with self.subTest(format=format):
                self.start(format)
                self.server.link.write(b"\xff\xff nonsense")
                self.assertTrue(self.server.links[0].gone)
                self.come_back()
                self.assertTrue(self.client.connected)
                self.finish()
