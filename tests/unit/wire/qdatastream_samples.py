"""Messages of document 000, put together by hand, with what a server reads in them."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from imserver.model.accounts import Ping
from imserver.model.calls import AnswerCall, CallMedia, EndCall, RejectCall, StartCall
from imserver.model.files import AckChunks, CancelFile, CompleteFile, OfferFile, SendChunk
from imserver.model.messages import Content, Form, SendMessage
from tests.clients.qdatastream_client import qstring, utf8

CALL = "6f1a2b3c-0d4e-4f5a-8b6c-7d8e9fa0b1c2"
SHA256 = "0123456789abcdef" * 4
NULL = b"\xff\xff\xff\xff"
STRINGS = {"utf8": utf8, "qstring": qstring}


class Sample(NamedTuple):
    """A message and its meaning."""

    data: bytes
    command: Any


def text(words: str, **target: Any) -> SendMessage:
    return SendMessage(Content(Form.TEXT, words.encode()), **target)


def samples(form: str) -> list[Sample]:
    """One of every kind whose end the bytes tell, MEDIA excepted."""
    s = STRINGS[form]
    end = b"\x05\x00\x00" if form == "utf8" else b"\x05\x00\x00\x00\x00"
    found = [
        Sample(b"\x00" + s("bob") + s("hello"), text("hello", recipient="bob")),
        Sample(b"\x00" + s("张三😀") + s(""), text("", recipient="张三😀")),
        Sample(b"\x00" + s("group_demo") + s("你好 😀"), text("你好 😀", group="demo")),
        Sample(b"\x00" + s("group_demo/bob") + s("back"), text("back", group="demo")),
        Sample(b"\x00" + s("x" * 255) + s("a"), text("a", recipient="x" * 255)),
        Sample(
            b"\x01\x00" + s("bob") + s("t1") + s("名.txt") + struct.pack(">Q", 2**40) + s(SHA256),
            OfferFile("bob", "t1", "名.txt", 2**40, SHA256),
        ),
        Sample(
            b"\x01\x01" + s("t1") + struct.pack(">QI", 7, 3) + b"\x07\x00\x05",
            SendChunk("t1", 7, b"\x07\x00\x05"),
        ),
        Sample(b"\x01\x02" + s("t1") + struct.pack(">Q", 9), AckChunks("t1", 9)),
        Sample(b"\x01\x03" + s("t1") + s("no"), CancelFile("t1", "no")),
        Sample(b"\x01\x04" + s("t1"), CompleteFile("t1")),
        Sample(b"\x02" + s("targetUser") + b"\x01", StartCall("targetUser", True)),
        Sample(b"\x02" + s("bob") + b"\x00", StartCall("bob", False)),
        Sample(b"\x03" + s(CALL), AnswerCall(CALL)),
        Sample(b"\x04" + s(CALL) + NULL, RejectCall(CALL)),
        Sample(b"\x04" + s(CALL) + s("busy now"), RejectCall(CALL, "busy now")),
        Sample(b"\x05" + s(CALL), EndCall(CALL)),
        Sample(end, EndCall()),
        Sample(b"\x07", Ping()),
    ]
    if form == "qstring":
        found.append(Sample(b"\x00" + s("bob") + NULL, text("", recipient="bob")))
        found.append(Sample(b"\x05" + NULL, EndCall()))
    return found


REJECT = {form: Sample(b"\x04" + string(CALL), RejectCall(CALL)) for form, string in STRINGS.items()}
"""Without a reason: followed by another message, or by nothing for half a second."""
MEDIA = Sample(b"\x06\x00\x01\x02\xff", CallMedia(b"\x00\x01\x02\xff"))
REGISTRATION = b"\x07\x00\x07user123"
