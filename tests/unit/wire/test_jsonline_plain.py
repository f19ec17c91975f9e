"""Lines that are read in one go come to what the general way makes of them; unusual ones are left to it."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.wire.base import Request, WireError
from imserver.wire.jsonline import JsonLineServerCodec, server
from imserver.wire.jsonline.plain import read_plain

TEXTS = st.one_of(st.sampled_from(["", "a", '"\\\x7f é😀', "\ud800", "x" * 70]), st.text(max_size=8))
ODD: st.SearchStrategy[Any] = st.sampled_from([None, 0, 7, -1, 2**53, 1.5, True, "", [], {}])
TIMES = st.sampled_from([0, 1, 1763716000, 1763716000.5, -1, 253402300800, 2**53, 2**70, None, "1"])
TYPES = st.sampled_from(["request", "request", "event", "event", "response", None, 5])
NOTHING: st.SearchStrategy[dict[str, Any]] = st.just({})
MORE = st.integers(0, 5).flatmap(
    lambda chance: (
        NOTHING
        if chance
        else st.dictionaries(
            st.sampled_from(["x", "trace", "meta", "id", "conversation_id"]), ODD, max_size=1
        )
    )
)
HEADERS = st.sampled_from(
    [
        None,
        {},
        {"version": "1.0"},
        {"version": "1"},
        {"version": "9"},
        {"trace": 1},
        {"Authorization": "Bearer t"},
    ]
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with all of these, but one at times."""
    missing = st.sampled_from([*[""] * 15, *fields])
    return st.tuples(st.fixed_dictionaries(fields), missing).map(
        lambda both: {key: value for key, value in both[0].items() if key != both[1]}
    )


TO_BOB = {"type": "user", "id": "bob"}
HI = {"type": "text", "text": "h\u00e9"}
TARGETS = st.one_of(
    *[st.just(TO_BOB)] * 6,
    ODD,
    some(type=st.sampled_from(["user", "user", "group", 1]), id=st.one_of(TEXTS, ODD)),
)
CONTENTS = st.one_of(
    *[st.just(HI)] * 6, ODD, some(type=st.sampled_from(["text", "text", "image"]), text=st.one_of(TEXTS, ODD))
)
SENDS = st.one_of(
    *[st.just({"target": TO_BOB, "content": HI})] * 3,
    st.builds(lambda fields, more: {**fields, **more}, some(target=TARGETS, content=CONTENTS), MORE),
)
ACKS = st.builds(
    lambda fields, more: {**fields, **more}, some(seq=st.one_of(ODD), message_id=st.one_of(TEXTS, ODD)), MORE
)


def lines(command: str, payloads: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Lines of one command, with and without faults, their members in any order."""
    whole = some(
        id=st.integers(0, 5).flatmap(lambda chance: TEXTS if chance else ODD),
        type=TYPES,
        command=st.sampled_from([command, command, command.replace("/", "."), "auth/login"]),
        payload=st.integers(0, 9).flatmap(lambda chance: payloads if chance else ODD),
    )
    beside = st.one_of(st.just({}), some(timestamp=TIMES), some(headers=HEADERS), MORE)
    return st.builds(lambda a, b: {**a, **b}, whole, beside).flatmap(
        lambda line: st.permutations(sorted(line)).map(lambda order: {key: line[key] for key in order})
    )


def outcome(line: bytes, *, plain: bool) -> Any:
    """What the codec makes of a line."""
    codec = JsonLineServerCodec(lambda: 5.0)
    with mock.patch.object(server, "read_plain", read_plain if plain else lambda frame: None):
        try:
            return codec.decode(line)
        except WireError as error:
            return error.code, error.text, error.tag


GOOD = {
    "id": "1",
    "type": "request",
    "command": "message/send",
    "payload": {"target": TO_BOB, "content": HI},
}


class PlainLines(SynchronousTestCase):
    @given(lines("message/send", SENDS))
    def test_sends(self, line: dict[str, Any]) -> None:
        self.check(json.dumps(line).encode())

    @given(lines("message/ack", ACKS))
    def test_acknowledgements(self, line: dict[str, Any]) -> None:
        self.check(json.dumps(line).encode())

    def check(self, line: bytes) -> None:
        self.assertEqual(outcome(line, plain=False), outcome(line, plain=True), line)

    def test_what_is_usual_is_plain(self) -> None:
        ack = {"type": "event", "command": "message/ack"}
        usual: list[dict[str, Any]] = [
            GOOD,
            {**GOOD, "timestamp": 1763716000, "headers": {"version": "1.0"}},
            {**ack, "payload": {"seq": 5}},
            {**ack, "id": "2", "type": "request", "payload": {"message_id": "m"}, "timestamp": 5},
        ]
        for line in usual:
            self.assertIsInstance(read_plain(json.dumps(line).encode()), Request, line)
            self.check(json.dumps(line).encode())

    def test_what_is_said_twice_or_in_bytes_that_are_no_text(self) -> None:
        good = json.dumps(GOOD).encode()
        for line in (
            good.replace(b'"id": "1"', b'"id": "1", "id": "2"'),
            good.replace(b'"id": "1"', b'"id": 5, "id": "2"'),
            good.replace(b'"type": "text"', b'"type": "image", "type": "text"'),
            good.replace(b'"type": "user"', b'"type": "user", "type": "group"'),
            good.replace(b'"command": "message/send"', b'"command": "auth/login", "command": "message/send"'),
            good.replace(b'"command": "message/send"', b'"command": "message/send", "command": "auth/login"'),
            good.replace(b'"request"', b'"request", "payload": {}'),
            good.replace(b'"1"', b'"\xff"'),
            good.replace(b"h\\u00e9", b"\xff"),
            good.replace(b"h\\u00e9", "h\u00e9".encode()),
            good.replace(b'"id": "1"', b'"\xff": 1, "id": "1"'),
            good[:-1],
            good + b"}",
            b" " + good + b"\t",
        ):
            self.check(line)
