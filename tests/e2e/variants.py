"""People of every format, with both framings, string forms and encodings counted as formats of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tests.clients import jsonline_client, qdatastream_client, signalling_client
from tests.clients.chat_app_client import ChatAppClient, join_parts
from tests.e2e.people import Body, JsonLinePerson, Notice, Person, ProtobufPerson, Row, Sent
from tests.e2e.server import Server, sleep

# The server asks a connection's kernel every 50 ms whether everything has arrived, at the latest before
# it answers a request that comes after that; a kernel may delay what it answers by 40 ms.
KERNEL_SECONDS = 0.15


class SignallingPerson(Person):
    """Document 002, in JSON or MessagePack."""

    format = "signalling"
    binary = False

    async def log_in(self, server: Server) -> None:
        """See Person."""
        self.connection = await signalling_client.connect_user(
            reactor, server.port("/im"), self.user, device=self.device, binary=self.binary
        )
        self.connection.timeout = 60.0

    def send(self, client_id: str, text: str, *, user: str = "", group: str = "") -> Deferred[Sent]:
        """See Person."""
        return self.send_body(client_id, Body(("text", text)), user=user, group=group)

    def send_body(self, client_id: str, body: Body, *, user: str = "", group: str = "") -> Deferred[Sent]:
        """See Person; the content is (message_type or None, content)."""
        kind, content = body.content
        more = {
            "message_type": kind,
            "attachments": body.attachments,
            "meta": body.meta,
            "extra": body.extra,
        }
        answer: Deferred[dict[str, Any]] = self.connection.request(
            "message.send",
            {
                **({"group_id": group} if group else {"to_user": user}),
                "content": content,
                "client_msg_id": client_id,
                **{name: value for name, value in more.items() if value is not None},
            },
        )
        return answer.addCallback(self._sent)

    @staticmethod
    def _sent(message: dict[str, Any]) -> Sent:
        payload = message["payload"]
        if message["type"] == "error":
            return Sent(1, "", 0)
        return Sent(0, payload["message_id"], payload["seq"])

    def _ended(self) -> Deferred[Any]:
        ended: Deferred[Any] = self.connection.closed
        return ended

    def _payloads(self, kind: str) -> list[dict[str, Any]]:
        return [message["payload"] for message in self.connection.pushes if message["type"] == kind]

    @staticmethod
    def _row(item: dict[str, Any]) -> Row:
        content = item["content"]
        return Row(
            item["seq"],
            item["message_id"],
            str(item["from_user"]),
            content if type(content) is str else content.get("text", ""),
            str(item.get("group_id", "")),
            item["message_type"] == "revoked",
        )

    def pushed(self) -> list[Row]:
        """See Person."""
        return [self._row(payload) for payload in self._payloads("message.new")]

    def bodies(self) -> list[Body]:
        """See Person."""
        return [
            Body((p["message_type"], p["content"]), p.get("attachments"), p.get("meta"), p.get("extra"))
            for p in self._payloads("message.new")
        ]

    async def inbox(self) -> list[Row]:
        """See Person."""
        rows: list[Row] = []
        query: dict[str, Any] = {"limit": 500}
        while True:
            page = (await self.connection.request("message.history", query))["payload"]
            rows += [self._row(item) for item in page["messages"]]
            if not page["has_more"]:
                return rows
            query["since"] = page["next_cursor"]

    async def settle(self) -> None:
        """It never acknowledges here: what the kernel has counts."""
        await sleep(KERNEL_SECONDS)
        await self.barrier()

    def _done(self, kind: str, payload: dict[str, Any]) -> Deferred[bool]:
        answer: Deferred[dict[str, Any]] = self.connection.request(kind, payload)
        return answer.addCallback(lambda message: message["type"] == kind)

    def revoke(self, message_id: str) -> Deferred[bool]:
        """See Person."""
        return self._done("message.delete", {"message_id": message_id})

    def mark_read(self, message_id: str) -> Deferred[bool]:
        """See Person."""
        return self._done("message.read", {"message_ids": [message_id]})

    def revokes(self) -> list[Notice]:
        """See Person."""
        return [Notice((p["message_id"],), str(p["from_user"])) for p in self._payloads("message.delete")]

    def receipts(self) -> list[Notice]:
        """See Person."""
        return [Notice(tuple(p["message_ids"]), str(p["from_user"])) for p in self._payloads("message.read")]

    async def barrier(self) -> None:
        """See Person."""
        await self.connection.request("ping")


class MessagePackPerson(SignallingPerson):
    """Document 002 in MessagePack."""

    binary = True


@functools.cache
def pieces(text: str, head: int, form: str, framed: bool) -> tuple[str, ...]:
    """A text as the TEXTs it needs behind `head` bytes of type and id: cut between characters."""
    prefix, encoding = (2, "utf-8") if form == "utf8" else (4, "utf-16-be")
    limit = 0xFFFF - head - prefix if framed else 1 << 31
    if form == "utf8":
        limit = min(limit, 0xFFFF)
    found, start, size = [], 0, 0
    for index, character in enumerate(text):
        width = len(character.encode(encoding))
        if size + width > limit:
            found.append(text[start:index])
            start, size = index, 0
        size += width
    return (*found, text[start:])


class QDataStreamPerson(Person):
    """Document 000, of one framing and string form. It shows no ids and answers no sends."""

    format = "qdatastream"
    tells = False
    framed = True
    form = "utf8"

    async def log_in(self, server: Server) -> None:
        """See Person."""
        self.connection = await qdatastream_client.connect_user(
            reactor, server.port("qdatastream"), self.user, framed=self.framed, form=self.form
        )
        self.connection.timeout = 60.0

    def send(self, client_id: str, text: str, *, user: str = "", group: str = "") -> Deferred[Sent]:
        """See Person; fires once the server has read it, with nothing in the answer."""
        self.connection.send_text(f"group_{group}" if group else user, text)
        answer: Deferred[Any] = self.connection.heartbeat()
        return answer.addCallback(lambda _: Sent(0, "", 0))

    def send_body(self, client_id: str, body: Body, *, user: str = "", group: str = "") -> Deferred[Sent]:
        """See Person; the content must be a text, and nothing may belong to it."""
        assert body[1:] == (None, None, None), body
        return self.send(client_id, body.content, user=user, group=group)

    def _ended(self) -> Deferred[Any]:
        ended: Deferred[Any] = self.connection.ended
        return ended

    def pushed(self) -> list[Row]:
        """See Person; one for each TEXT."""
        rows = []
        for message in self.connection.messages:
            if message["type"] == "text":
                sender, group = message["sender"], ""
                if sender.startswith("group_"):
                    group, _, sender = sender.removeprefix("group_").partition("/")
                rows.append(Row(0, "", sender, message["text"], group))
        return rows

    def bodies(self) -> list[Body]:
        """See Person."""
        return [Body(row.text) for row in self.pushed()]

    def _pieces(self, text: str, name: str) -> tuple[str, ...]:
        return pieces(text, 1 + len(self.connection.string(name)), self.form, self.framed)

    def shown(self, sender: str, text: str, group: str = "") -> list[tuple[str, str, str]]:
        """See Person."""
        name = f"group_{group}/{sender}" if group else sender
        return [(sender, group, piece) for piece in self._pieces(text, name)]

    def longest(self, text: str, to: str) -> str:
        """See Person."""
        return self._pieces(text, to)[0]

    async def settle(self) -> None:
        """There are no acknowledgements: what the kernel has counts."""
        await sleep(KERNEL_SECONDS)
        await self.barrier()

    async def barrier(self) -> None:
        """See Person."""
        await self.connection.heartbeat()


class FramedQString(QDataStreamPerson):
    """Length frames, QStrings."""

    form = "qstring"


class UnframedUtf8(QDataStreamPerson):
    """Bare messages, UTF-8."""

    framed = False


class UnframedQString(QDataStreamPerson):
    """What the deployed program speaks."""

    framed = False
    form = "qstring"


class ChatAppPerson(JsonLinePerson):
    """Document 004's dialect chat-app. What was cut is put together again; nothing is acknowledged."""

    async def log_in(self, server: Server) -> None:
        """See Person."""
        client = ChatAppClient(reactor)
        client.timeout = 60.0
        self.connection = await jsonline_client.connect_tcp(reactor, server.port("chat-app"), client)
        payload = {"token": f"demo_token_{self.user}", "client_info": {"device": self.device}}
        await client.ask("auth/login", payload)

    def _messages(self) -> list[dict[str, Any]]:
        lines = self.connection.events
        return join_parts([line["payload"] for line in lines if line["command"] == "message/event"])

    async def inbox(self) -> list[Row]:
        """See Person."""
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 500}
        while True:
            page = await self.connection.ask("message/history", query)
            found += page["messages"]
            if not page["has_more"]:
                return [self._row(message) for message in join_parts(found)]
            query["since"] = page["next_cursor"]

    async def settle(self) -> None:
        """There are no acknowledgements: what the kernel has counts."""
        await sleep(KERNEL_SECONDS)
        await self.barrier()


VARIANTS: dict[str, Callable[..., Person]] = {
    "framed-u16": QDataStreamPerson,
    "framed-qstring": FramedQString,
    "unframed-u16": UnframedUtf8,
    "unframed-qstring": UnframedQString,
    "protobuf": ProtobufPerson,
    "signalling-json": SignallingPerson,
    "signalling-msgpack": MessagePackPerson,
    "jsonline": JsonLinePerson,
    "chat-app": ChatAppPerson,
}
