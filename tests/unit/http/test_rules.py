"""Which requests are let in."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from imserver.http.rules import loopback_rule, origin_rule


class FakeRequest:
    """A request that has headers."""

    def __init__(self, **headers: str | list[str]) -> None:
        self.requestHeaders = Headers()
        for name, values in headers.items():
            for value in [values] if isinstance(values, str) else values:
                self.requestHeaders.addRawHeader(name.replace("_", "-"), value)


def request(**headers: str | list[str]) -> Any:
    return FakeRequest(**headers)


class Origins(SynchronousTestCase):
    """`origin_rule`: the own host, the origins named, and programs that send none."""

    def setUp(self) -> None:
        self.rule = origin_rule(["https://friend.example", "http://other.example:8000"])

    def test_let_in(self) -> None:
        for headers in (
            {"host": "chat.example"},
            {"host": "chat.example", "origin": "https://chat.example"},
            {"host": "chat.example", "origin": "http://chat.example:80"},
            {"host": "chat.example:8081", "origin": "http://chat.example:8081"},
            {"host": "CHAT.example:8081", "origin": "http://chat.EXAMPLE:8081"},
            {"host": "[::1]:8081", "origin": "http://[::1]:8081"},
            {"host": "chat.example", "origin": "https://friend.example"},
            {"host": "chat.example", "origin": "https://friend.example:443"},
            {"host": "chat.example", "origin": "http://other.example:8000"},
        ):
            self.assertIsNone(self.rule(request(**headers)), headers)

    def test_kept_out(self) -> None:
        for headers in (
            {"host": "chat.example", "origin": "https://evil.example"},
            {"host": "chat.example", "origin": "https://chat.example.evil.example"},
            {"host": "chat.example", "origin": "https://evil.example/chat.example"},
            {"host": "chat.example", "origin": "https://chat.example:444"},
            {"host": "chat.example", "origin": "http://friend.example"},
            {"host": "chat.example", "origin": "null"},
            {"host": "chat.example", "origin": ""},
            {"host": "chat.example", "origin": "https://"},
            {"host": "", "origin": "https://"},
            {"origin": "https://chat.example"},
            {"host": "chat.example", "origin": "http://chat.example:99999"},
            {"host": "chat.example", "origin": ["https://friend.example", "https://evil.example"]},
            {"host": ["chat.example", "evil.example"], "origin": "https://evil.example"},
        ):
            self.assertIsNotNone(self.rule(request(**headers)), headers)

    def test_null_may_be_named(self) -> None:
        self.assertIsNone(origin_rule(["null"])(request(host="x", origin="null")))


class Loopback(SynchronousTestCase):
    """`loopback_rule`, for demonstrations."""

    def test_let_in(self) -> None:
        for host in ("127.0.0.1", "127.0.0.1:8081", "localhost", "LOCALHOST:8081", "[::1]:8081", "127.1.2.3"):
            self.assertIsNone(loopback_rule(request(host=host)), host)

    def test_kept_out(self) -> None:
        for headers in (
            {},
            {"host": ""},
            {"host": "chat.example"},
            {"host": "localhost.evil.example"},
            {"host": "192.0.2.1:8081"},
            {"host": "127.0.0.1", "x_forwarded_for": "127.0.0.1"},
            {"host": ["127.0.0.1", "127.0.0.1"]},
        ):
            self.assertIsNotNone(loopback_rule(request(**headers)), headers)
