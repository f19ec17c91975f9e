"""Alice (protobuf over WebSocket) and Bob (JSON lines over TCP) talk over a server started with --demo.

python examples/conversation.py [WebSocket port] [JSON lines port]
"""

from __future__ import annotations

import sys
import time
import uuid
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver

from imserver.model.accounts import LogIn
from imserver.model.errors import ImError
from imserver.model.messages import Content, Form, InboxPage, InboxRow, SendMessage
from imserver.wire.jsonline import JsonLineClientCodec
from imserver.wire.protobuf import ProtobufClientCodec


class Person:
    """One person's client: commands out, replies and messages in, whatever the format.

    Subclasses carry the frames: `write` sends one.
    """

    write: Any

    def __init__(self, name: str, codec: Any) -> None:
        self.name = name
        self.ready: Deferred[Person] = Deferred()
        self.heard: Deferred[str] = Deferred()
        self._codec = codec
        self._waiting: dict[Any, Deferred[Any]] = {}
        self._sequence = 0

    def ask(self, command: Any) -> Deferred[Any]:
        """Sends a command; fires with its reply."""
        tag = self.new_tag()
        answer: Deferred[Any] = Deferred()
        self._waiting[tag] = answer
        self.write(self._codec.request(command, tag))
        return answer

    def new_tag(self) -> Any:
        """What tells the answer to one request from others."""
        self._sequence += 1
        return self._sequence

    def say(self, to: str, text: str) -> Deferred[Any]:
        """Sends a text; fires once the server has it on disk."""
        print(f"{self.name} to {to}: {text}")
        return self.ask(SendMessage(Content(Form.TEXT, text.encode()), recipient=to))

    def received(self, frame: bytes) -> None:
        """A frame of the server."""
        tag, what = self._codec.decode(frame)
        if tag is not None:
            answer = self._waiting.pop(tag)
            if isinstance(what, ImError):
                answer.errback(what)
            else:
                answer.callback(what)
        for row in what.rows if isinstance(what, InboxPage) else [what]:
            if tag is None and isinstance(row, InboxRow):
                text = row.message.content.data.decode()
                print(f"    {self.name} got #{row.seq} from {row.message.sender}: {text}")
                if not self.heard.called:
                    self.heard.callback(text)


class Alice(Person, WebSocketClientProtocol):  # type: ignore[misc]
    """Document 001."""

    def __init__(self) -> None:
        Person.__init__(self, "alice", ProtobufClientCodec(time.time))
        WebSocketClientProtocol.__init__(self)

    def onOpen(self) -> None:
        """See Autobahn."""
        self.ready.callback(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """See Autobahn."""
        self.received(payload)

    def write(self, frame: bytes) -> None:
        """One binary message a frame."""
        self.sendMessage(frame, isBinary=True)  # type: ignore[no-untyped-call]


class Bob(Person, LineReceiver):
    """Document 004."""

    transport: Any
    delimiter = b"\n"
    MAX_LENGTH = 512 * 1024

    def __init__(self) -> None:
        Person.__init__(self, "bob", JsonLineClientCodec(time.time))

    def connectionMade(self) -> None:
        """See IProtocol."""
        self.ready.callback(self)

    def lineReceived(self, line: bytes) -> None:
        """See LineReceiver."""
        self.received(line)

    def new_tag(self) -> str:
        """An id for ever: the server takes a second send with the same one for a retry."""
        return str(uuid.uuid4())

    def write(self, frame: bytes) -> None:
        """One line a frame."""
        self.sendLine(frame.rstrip(b"\n"))  # type: ignore[no-untyped-call]


async def main(reactor: Any, web_port: str = "8081", line_port: str = "8088") -> None:
    """The conversation."""
    web = WebSocketClientFactory(f"ws://127.0.0.1:{web_port}/ws", reactor=reactor)
    web.protocol = Alice
    alice: Any = await HostnameEndpoint(reactor, "127.0.0.1", int(web_port)).connect(web)
    bob: Any = await HostnameEndpoint(reactor, "127.0.0.1", int(line_port)).connect(Factory.forProtocol(Bob))
    await alice.ready
    await bob.ready
    await alice.ask(LogIn("alice", "demo_token_alice"))
    await bob.ask(LogIn("bob", password="bob"))
    await alice.say("bob", "Hello Bob, do you read me? 你好 😀")
    await bob.heard
    await bob.say("alice", "Loud and clear, Alice.")
    await alice.heard


if __name__ == "__main__":
    react(lambda *arguments: Deferred.fromCoroutine(main(*arguments)), sys.argv[1:])
