"""A hand-written client of the REST interface, over plain sockets or the standard library. It blocks."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, NamedTuple

SECONDS = 30.0


class Answer(NamedTuple):
    """An answer: header names in lower case; `body` as JSON where it is JSON."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The envelope, which is checked."""
        assert self.headers["content-type"] == "application/json", self
        body: dict[str, Any] = json.loads(self.raw)
        assert set(body) == {"success", "code", "message", "data"}, body
        assert body["code"] == self.status, self
        assert body["success"] is (self.status < 400), self
        assert isinstance(body["message"], str), body
        assert isinstance(body["data"], dict), body
        return body

    @property
    def data(self) -> dict[str, Any]:
        """What was asked for; the answer must be a good one."""
        assert self.status in (200, 202), self
        data: dict[str, Any] = self.body["data"]
        return data


class RestClient:
    """Somebody who asks; one connection, opened again where the server closed it."""

    def __init__(self, port: int, token: str = "", host: str = "127.0.0.1") -> None:
        self.port = port
        self.token = token
        self._connection = http.client.HTTPConnection(host, port, timeout=SECONDS)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        raw: bytes = b"",
    ) -> Answer:
        """Sends one request. `raw`: a body that is not made here."""
        sent = {} if headers is None else dict(headers)
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data:
            sent.setdefault("Content-Type", "application/json")
        self._connection.request(method, path, data or None, sent)
        response = self._connection.getresponse()
        return Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )

    def get(self, path: str) -> Answer:
        """GET."""
        return self.call("GET", path)

    def post(self, path: str, body: Any = None) -> Answer:
        """POST."""
        return self.call("POST", path, {} if body is None else body)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def exchange(port: int, data: bytes) -> bytes:
    """Sends bytes on a connection of their own; everything the server says until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        try:
            connection.sendall(data)
        except OSError:
            pass  # It closed before it had read all of it; what it said is still to be read.
        said = b""
        while chunk := connection.recv(65536):
            said += chunk
        return said


def parse(said: bytes) -> Answer:
    """The first answer in what was said."""
    head, _, rest = said.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Answer(int(lines[0].split()[1]), headers, rest[: int(headers.get("content-length", len(rest)))])
