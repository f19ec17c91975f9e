"""Input no client of document 000 should send: what a connection may begin with, and what may follow."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from tests.clients.qdatastream_client import qstring, utf8

Maker = Callable[[random.Random], bytes]
StringMaker = Callable[[str], bytes]
BodyMaker = Callable[[random.Random, StringMaker], bytes]

NULL = b"\xff\xff\xff\xff"
CALL = "6f1a2b3c-0d4e-4f5a-8b6c-7d8e9fa0b1c2"
STRANGE_IDS = (
    "", "a/b", "group_", "group_/x", "group_no such", "group_x/", "single_a_b", " x", "x ", "\u0000",
    "\u200b", "e\u0301", "x" * 256, "x" * 600, "界" * 86, "nobody",
)  # fmt: skip
BAD_STRINGS = (
    b"",
    b"\x00",
    b"\xff\xff",
    b"\xff\xff\xff\xfe",
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\x00\x00\x00\x03abc",
    b"\x00\x02\xff\xfe",
    b"\x00\x03\xed\xa0\x80",
    b"\x00\x00\x00\x02\xd8\x3d",
    b"\x00\x00\x00\x04\xde\x00\xd8\x3d",
    b"\x00\x00\x00\x00",
    NULL,
)
HOSTILE_NUMBERS = (0, 1, 2**31, 2**32 - 1)


def _text(chance: random.Random, s: StringMaker) -> bytes:
    return b"\x00" + s(chance.choice(STRANGE_IDS)) + s("hello")


def _file(chance: random.Random, s: StringMaker) -> bytes:
    number, length = chance.choice(HOSTILE_NUMBERS), chance.choice(HOSTILE_NUMBERS)
    return chance.choice(
        [
            b"\x01" + bytes((chance.randrange(256),)),
            b"\x01\x00" + s("bob") + s("t") + s("../../etc/passwd") + b"\xff" * 8 + s("no hash"),
            b"\x01\x01" + s("t") + struct.pack(">QI", number, length) + b"abc",
            b"\x01\x02" + s("") + struct.pack(">Q", number),
            b"\x01\x03" + s("t" * 300) + s("\u0000"),
        ]
    )


BODIES: tuple[BodyMaker, ...] = (
    lambda chance, s: chance.randbytes(chance.randrange(1, 3_000)),
    lambda chance, s: bytes((chance.randrange(256),)) + chance.randbytes(chance.randrange(40)),
    _text,
    lambda chance, s: _text(chance, s)[: chance.randrange(1, 12)],
    lambda chance, s: b"\x00" + chance.choice(BAD_STRINGS) + s("hello"),
    lambda chance, s: b"\x00" + s("nobody") + chance.choice(BAD_STRINGS),
    lambda chance, s: b"\x00" + NULL + NULL,
    lambda chance, s: b"\x00" + s("nobody") + s("x" * 30_000),
    _file,
    lambda chance, s: b"\x02" + chance.choice(BAD_STRINGS) + b"\x02",
    lambda chance, s: bytes((chance.choice((3, 4, 5)),)) + s(chance.choice(["", "no id", CALL, CALL * 2])),
    lambda chance, s: b"\x04" + s(CALL) + s("x" * 300),
    lambda chance, s: b"\x06" + chance.randbytes(chance.choice((0, 1, 60_000))),
    lambda chance, s: b"\x07" + chance.choice(BAD_STRINGS),
    lambda chance, s: bytes((chance.choice((8, 9)),)) + utf8("carol") + utf8("again"),
    lambda chance, s: bytes((chance.randrange(10, 256),)) + s("bob") + s("what?"),
)
"""Single messages, by the form of their strings."""

STREAMS: tuple[Maker, ...] = (
    lambda chance: b"",
    lambda chance: b"\x00\x00" * chance.randrange(1, 50),
    lambda chance: b"\xff\xff" + b"x" * 70_000,
    lambda chance: b"\xff\xff" + b"y" * chance.randrange(1, 60_000),
    lambda chance: b"\x00\xff" + b"z" * 100,
    lambda chance: b"\x00" + qstring("nobody") + struct.pack(">I", 250_002) + b"\x00x" * 40_000,
    lambda chance: b"\x00" + qstring("nobody") + struct.pack(">I", 250_000) + b"\x00x" * 40_000,
    lambda chance: b"\x07" * chance.randrange(1, 100),
    lambda chance: b"\x00\x01\x07" * chance.randrange(1, 100),
    lambda chance: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
)
"""What is no message at all, whatever the framing."""


def message(chance: random.Random, framed: bool) -> bytes:
    """Garbage for a connection that is logged in."""
    if chance.random() < 0.2:
        return chance.choice(STREAMS)(chance)
    body = chance.choice(BODIES)(chance, chance.choice((utf8, qstring)))[:65_535]
    return in_frame(body) if framed else body


def in_frame(body: bytes) -> bytes:
    """A message in its length frame."""
    return struct.pack(">H", len(body)) + body


def registration(framed: bool, token: bool) -> bytes:
    """A good one, of carol."""
    body = b"\x07" + utf8("carol") + (utf8("demo_token_carol") if token else b"")
    return in_frame(body) if framed else body


def _opening(chance: random.Random) -> bytes:
    head = bytes((chance.randrange(11),))
    return chance.choice(
        [
            head + utf8(chance.choice(STRANGE_IDS[:-1])),
            head + chance.choice(BAD_STRINGS),
            b"\x08" + utf8("carol") + utf8("x" * 300),
            b"\x08" + utf8("carol") + chance.choice(BAD_STRINGS),
            b"\x09" + utf8("carol") + utf8("taken"),
            b"\x09" + utf8("") + utf8(""),
            b"\x07" + utf8("carol") + chance.choice(BAD_STRINGS),
            b"\x07" + utf8("carol") + utf8("no token"),
            b"\x07" + utf8("carol") + utf8("t" * 20_000),
            b"\x00" + utf8("carol") + chance.choice(BAD_STRINGS) + utf8("hello"),
            b"\x00" + utf8("carol") + utf8("nobody") + utf8("hello"),
            b"\x00" + qstring("carol") + qstring("nobody"),
        ]
    )


OPENINGS: tuple[Maker, ...] = (
    lambda chance: chance.randbytes(chance.randrange(1, 300)),
    lambda chance: b"\x07" * chance.randrange(1, 100),
    lambda chance: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    lambda chance: b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
    lambda chance: b"\x00" + qstring("bob") + qstring("from nobody"),
    lambda chance: struct.pack(">H", chance.randrange(65_536)) + _opening(chance),
    lambda chance: in_frame(_opening(chance)),
    lambda chance: _opening(chance),
    lambda chance: in_frame(_opening(chance))[: chance.randrange(1, 20)],
    lambda chance: _opening(chance)[: chance.randrange(1, 20)],
)
"""First bytes of a connection that should not be a log-in."""
