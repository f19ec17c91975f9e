"""People with byte clients of either format: they send, remember the answers, and read their inbox."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tests.clients import jsonline_client, protobuf_client
from tests.e2e.server import Server


class Sent(NamedTuple):
    """The answer to a send: `error` is 0 for an accepted one, else the format's code."""

    error: int
    message_id: str
    seq: int


class Row(NamedTuple):
    """A message in somebody's inbox, or on its way there."""

    seq: int
    message_id: str
    sender: str
    text: str


class Person:
    """Somebody with one connection at a time."""

    format = ""

    def __init__(self, user: str) -> None:
        self.user = user
        self.connection: Any = None

    async def log_in(self, server: Server) -> None:
        """Connects and logs in with a demo token."""
        raise TypeError

    def send(self, client_id: str, text: str, *, user: str = "", group: str = "") -> Deferred[Sent]:
        """Sends; fails with ConnectionLost if the connection ends before the answer."""
        raise TypeError

    def pushed(self) -> list[Row]:
        """Everything this connection was pushed so far, in the order of its coming."""
        raise TypeError

    async def inbox(self) -> list[Row]:
        """The whole inbox, read page by page in this format."""
        raise TypeError

    async def log_out(self) -> None:
        """Closes the connection."""
        await self.connection.close()

    async def connection_gone(self) -> None:
        """Waits for the end of a connection whose server died, perhaps in the middle of a frame."""
        with contextlib.suppress(Exception):
            await self._ended()

    def _ended(self) -> Deferred[Any]:
        raise TypeError


class ProtobufPerson(Person):
    """Document 001."""

    format = "protobuf"
    path = "/ws"

    async def log_in(self, server: Server) -> None:
        """See Person."""
        self.connection = await protobuf_client.connect_user(
            reactor, server.port(self.path), self.user, self.path
        )
        self.connection.timeout = 60.0

    def send(self, client_id: str, text: str, *, user: str = "", group: str = "") -> Deferred[Sent]:
        """See Person."""
        answer: Deferred[dict[str, Any]] = self.connection.request(
            "SEND_MSG_REQ",
            receiver_id=user,
            group_id=group,
            message_type=1,
            content=text.encode(),
            client_msg_id=client_id,
        )
        return answer.addCallback(lambda got: Sent(got["error_code"], got["message_id"], got["seq"]))

    def _ended(self) -> Deferred[Any]:
        ended: Deferred[Any] = self.connection.closed
        return ended

    @staticmethod
    def _row(push: dict[str, Any]) -> Row:
        return Row(push["seq"], push["message_id"], push["sender_id"], push["content"].decode())

    def pushed(self) -> list[Row]:
        """See Person."""
        return [self._row(push) for push in self.connection.pushes if push["_command"] == "PUSH_MSG"]

    async def inbox(self) -> list[Row]:
        """See Person."""
        return [self._row(push) for push in await self.connection.sync_all(limit=500)]


class JsonLinePerson(Person):
    """Document 004."""

    format = "jsonline"

    async def log_in(self, server: Server) -> None:
        """See Person."""
        self.connection = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
        self.connection.timeout = 60.0
        answer = await self.connection.request(
            "auth/login", {"token": f"demo_token_{self.user}", "client_info": {"device": "test"}}
        )
        assert answer["payload"]["status"] == 200, answer

    def send(self, client_id: str, text: str, *, user: str = "", group: str = "") -> Deferred[Sent]:
        """See Person."""
        answer: Deferred[dict[str, Any]] = self.connection.send_text(user, text, group=group, id=client_id)
        return answer.addCallback(self._sent)

    def _ended(self) -> Deferred[Any]:
        ended: Deferred[Any] = self.connection.ended
        return ended

    @staticmethod
    def _sent(line: dict[str, Any]) -> Sent:
        payload = line["payload"]
        accepted = payload["status"] == 200
        return Sent(
            0 if accepted else payload["status"], payload.get("message_id", ""), payload.get("seq", 0)
        )

    @staticmethod
    def _row(message: dict[str, Any]) -> Row:
        return Row(
            message["seq"], message["message_id"], message["sender_id"], message["content"].get("text", "")
        )

    def pushed(self) -> list[Row]:
        """See Person."""
        rows = []
        for line in self.connection.events:
            if line["command"] == "message/event":
                payload = line["payload"]
                rows.append(self._row({**payload["message"], "seq": payload["seq"]}))
            elif line["command"] == "message/offline":
                rows += [self._row(message) for message in line["payload"]["messages"]]
        return rows

    async def inbox(self) -> list[Row]:
        """See Person."""
        rows: list[Row] = []
        query: dict[str, Any] = {"limit": 500}
        while True:
            page = (await self.connection.request("message/history", query))["payload"]
            assert page["status"] == 200, page
            rows += [self._row(message) for message in page["messages"]]
            if not page["has_more"]:
                return rows
            query["since"] = page["next_cursor"]

    async def make_group(self, group: str, members: list[str]) -> None:
        """Creates a group with these members at once."""
        answer = await self.connection.request("group/create", {"group_id": group, "members": members})
        assert answer["payload"]["status"] == 200, answer
