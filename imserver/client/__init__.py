"""Clients of an imserver for Twisted programs, in four formats with one interface.

    from imserver.client import connect

    client = await connect("jsonline", "tcp:127.0.0.1:8088", "alice", password="alice")
    accepted = await client.send("bob", "Hello Bob")
    async for message in client:
        ...

A client keeps its connection: it comes back after a loss, sends again what was not
answered, and goes on in the inbox where it stopped. docs/client.md tells the rest.
"""

from imserver.client.accounts import TokenSource
from imserver.client.client import Client
from imserver.client.connecting import FormatName, connect
from imserver.client.delivery import OnMessage
from imserver.client.events import Connected, Disconnected, EpochChanged
from imserver.client.inbox import Position
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Content, Form, Message, MessageAccepted
from imserver.wire.content import to_plain

__all__ = [
    "Client",
    "Connected",
    "Content",
    "Disconnected",
    "EpochChanged",
    "ErrorCode",
    "Form",
    "FormatName",
    "ImError",
    "Message",
    "MessageAccepted",
    "OnMessage",
    "Position",
    "TokenSource",
    "connect",
    "to_plain",
]
