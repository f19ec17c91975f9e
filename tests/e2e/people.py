"""People with byte clients of documents 001 and 004: they send, remember the answers, read their inbox.

Those of the other formats are in `variants`.
"""

from __future__ import annotations

import contextlib
import json
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
    """A message in somebody's inbox, or on its way there; `text` is "" where the body is none."""

    seq: int
    message_id: str
    sender: str
    text: str
    group: str = ""
    revoked: bool = False


class Body(NamedTuple):
    """What a message carries: the body as the format writes it, and what belongs to it."""

    content: Any
    attachments: Any = None
    meta: Any = None
    extra: dict[str, str] | None = None


class Notice(NamedTuple):
    """Messages were taken back, or read, by somebody."""

    message_ids: tuple[str, ...]
    by: str


class Person:
    """Somebody with one connection at a time.

    Attributes:
        device: names the device at log-in.
        tells: the format shows message ids and numbers, and can retry, take back, mark as read.
    """

    format = ""
    tells = True

    def __init__(self, user: str, device: str = "test") -> None:
        self.user = user
        self.device = device
        self.connection: Any = None

    # What the conversations over every pair of formats need besides

    def send_body(self, client_id: str, body: Body, *, user: str = "", group: str = "") -> Deferred[Sent]:
        """Sends any body."""
        raise TypeError

    def bodies(self) -> list[Body]:
        """What this connection was pushed so far."""
        raise TypeError

    def shown(self, sender: str, text: str, group: str = "") -> list[tuple[str, str, str]]:
        """(sender, group, text) of what a text comes as."""
        return [(sender, group, text)]

    def longest(self, text: str, to: str) -> str:
        """As much of a text as one message to somebody can hold."""
        return text

    async def catch_up(self) -> None:
        """After a log-in: what it takes to get what was missed (`pushed` has it then)."""

    async def settle(self) -> None:
        """Sees to it that what was pushed is not delivered again."""
        raise TypeError

    def revoke(self, message_id: str) -> Deferred[bool]:
        """Takes a message back; whether that was accepted."""
        raise TypeError

    def mark_read(self, message_id: str) -> Deferred[bool]:
        """Tells that a message was read; whether that was accepted."""
        raise TypeError

    def revokes(self) -> list[Notice]:
        """Of what this connection was told that it was taken back."""
        return []

    def receipts(self) -> list[Notice]:
        """Of what this connection was told that it was read."""
        return []

    async def barrier(self) -> None:
        """Returns once everything is here that the server wrote before."""
        raise TypeError

    # What every test needs

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
            reactor, server.port(self.path), self.user, self.path, platform=self.device
        )
        self.connection.timeout = 60.0
        self._pulled: list[dict[str, Any]] = []

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
        return Row(
            push["seq"],
            push["message_id"],
            push["sender_id"],
            push["content"].decode(errors="replace"),
            push["group_id"],
            "revoked" in push["extra"],
        )

    def _pushes(self, command: str) -> list[dict[str, Any]]:
        return [push for push in self.connection.pushes if push["_command"] == command]

    def pushed(self) -> list[Row]:
        """See Person."""
        return [self._row(push) for push in self._pulled + self._pushes("PUSH_MSG")]

    async def inbox(self) -> list[Row]:
        """See Person."""
        return [self._row(push) for push in await self.connection.sync_all(limit=500)]

    def send_body(self, client_id: str, body: Body, *, user: str = "", group: str = "") -> Deferred[Sent]:
        """See Person; the content is (message_type, bytes)."""
        extra = dict(body.extra or {})
        for key, value in (("im.attachments", body.attachments), ("im.meta", body.meta)):
            if value:
                extra[key] = json.dumps(value)
        number, content = body.content
        answer: Deferred[dict[str, Any]] = self.connection.request(
            "SEND_MSG_REQ",
            receiver_id=user,
            group_id=group,
            message_type=number,
            content=content,
            client_msg_id=client_id,
            extra=extra,
        )
        return answer.addCallback(lambda got: Sent(got["error_code"], got["message_id"], got["seq"]))

    def bodies(self) -> list[Body]:
        """See Person."""
        found = []
        for push in self._pulled + self._pushes("PUSH_MSG"):
            extra = dict(push["extra"])
            attachments, meta = (extra.pop(key, None) for key in ("im.attachments", "im.meta"))
            found.append(
                Body(
                    (push["message_type"], push["content"]),
                    json.loads(attachments) if attachments else None,
                    json.loads(meta) if meta else None,
                    extra or None,
                )
            )
        return found

    async def catch_up(self) -> None:
        """Pulls what is newer than what the last `settle` saw."""
        self._pulled = await self.connection.sync_all(self._last)

    async def settle(self) -> None:
        """See Person."""
        self._last = max([0, *(row.seq for row in await self.inbox())])
        self.connection.send("MSG_ACK", seq=self._last)
        await self.barrier()

    def revoke(self, message_id: str) -> Deferred[bool]:
        """See Person."""
        answer: Deferred[dict[str, Any]] = self.connection.request("REVOKE_MSG_REQ", message_id=message_id)
        return answer.addCallback(lambda got: got["error_code"] == 0)

    def mark_read(self, message_id: str) -> Deferred[bool]:
        """See Person."""
        answer: Deferred[dict[str, Any]] = self.connection.request(
            "READ_RECEIPT_REQ", message_ids=[message_id]
        )
        return answer.addCallback(lambda got: got["error_code"] == 0)

    def revokes(self) -> list[Notice]:
        """See Person."""
        return [Notice((p["message_id"],), p["revoked_by"]) for p in self._pushes("REVOKE_MSG_PUSH")]

    def receipts(self) -> list[Notice]:
        """See Person."""
        return [Notice(tuple(p["message_ids"]), p["user_id"]) for p in self._pushes("READ_RECEIPT_PUSH")]

    async def barrier(self) -> None:
        """See Person."""
        await self.connection.request("HEARTBEAT_REQ")


class JsonLinePerson(Person):
    """Document 004."""

    format = "jsonline"

    async def log_in(self, server: Server) -> None:
        """See Person."""
        self.connection = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
        self.connection.timeout = 60.0
        answer = await self.connection.request(
            "auth/login", {"token": f"demo_token_{self.user}", "client_info": {"device": self.device}}
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
        target = message["target"]
        return Row(
            message["seq"],
            message["message_id"],
            message["sender_id"],
            message["content"].get("text", ""),
            target["id"] if target["type"] == "group" else "",
            message.get("revoked", False),
        )

    def _messages(self) -> list[dict[str, Any]]:
        found = []
        for line in self.connection.events:
            if line["command"] == "message/event":
                # The draft's object and the flat members say the same.
                draft = line["payload"]["message"]
                assert {key: line["payload"][key] for key in draft} == draft
                found.append(line["payload"])
            elif line["command"] == "message/offline":
                found += line["payload"]["messages"]
        return found

    def pushed(self) -> list[Row]:
        """See Person."""
        return [self._row(message) for message in self._messages()]

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

    def send_body(self, client_id: str, body: Body, *, user: str = "", group: str = "") -> Deferred[Sent]:
        """See Person; the content is the object."""
        more = {"attachments": body.attachments, "meta": body.meta, "extra": body.extra}
        answer: Deferred[dict[str, Any]] = self.connection.request(
            "message/send",
            {
                "target": {"type": "group", "id": group} if group else {"type": "user", "id": user},
                "content": body.content,
                **{name: value for name, value in more.items() if value is not None},
            },
            id=client_id,
        )
        return answer.addCallback(self._sent)

    def bodies(self) -> list[Body]:
        """See Person."""
        return [
            Body(m["content"], m.get("attachments"), m.get("meta"), m.get("extra")) for m in self._messages()
        ]

    async def settle(self) -> None:
        """See Person."""
        # What this connection sent itself was not pushed, but has its numbers, too.
        last = max([0, *(row.seq for row in await self.inbox())])
        if last:
            await self.connection.request("message/ack", {"seq": last})

    def _done(self, command: str, payload: dict[str, Any]) -> Deferred[bool]:
        answer: Deferred[dict[str, Any]] = self.connection.request(command, payload)
        return answer.addCallback(lambda line: line["payload"]["status"] == 200)

    def revoke(self, message_id: str) -> Deferred[bool]:
        """See Person."""
        return self._done("message/revoke", {"message_id": message_id})

    def mark_read(self, message_id: str) -> Deferred[bool]:
        """See Person."""
        return self._done("message/read", {"message_ids": [message_id]})

    def _notices(self, kind: str) -> list[dict[str, Any]]:
        events = [
            line["payload"] for line in self.connection.events if line["command"] == "notification/event"
        ]
        return [event for event in events if event["event_type"] == kind]

    def revokes(self) -> list[Notice]:
        """See Person."""
        return [Notice((e["message_id"],), e["revoked_by"]) for e in self._notices("message_revoked")]

    def receipts(self) -> list[Notice]:
        """See Person."""
        return [Notice(tuple(e["message_ids"]), e["reader_id"]) for e in self._notices("messages_read")]

    async def barrier(self) -> None:
        """See Person."""
        await self.connection.request("control/ping")

    async def make_group(self, group: str, members: list[str]) -> None:
        """Creates a group with these members at once."""
        answer = await self.connection.request("group/create", {"group_id": group, "members": members})
        assert answer["payload"]["status"] == 200, answer
