"""Nothing that a client writes may end in anything but a request or a WireError that can be answered."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.wire.base import ClientCodec, Request, WireError
from imserver.wire.jsonline import COMMAND_MAP, JsonLineClientCodec, JsonLineServerCodec
from tests.effort import effort, seeds
from tests.unit.wire import test_jsonline_golden as golden

SEEDS = [
    golden.LOGIN,
    golden.HEARTBEAT,
    golden.SEND,
    b'{"id":1,"command":"room.create","payload":{"room_id":"r","members":["a",2],"open":true}}',
    b'{"id":"h","command":"message/history","headers":{"version":"1.0","trace":{"a":[1]},'
    b'"Authorization":"Bearer x"},"payload":{"target":{"type":"group","id":"g"},"since":5,"limit":3}}',
    b'{"id":"r","type":"event","command":"message/read","payload":{"message_ids":["a","b"]}}',
]
PUSHES = [
    golden.PUSH,
    b'{"id":"ev-1","type":"event","timestamp":1,"command":"message/offline","payload":{"status":200,'
    b'"messages":[],"has_more":false,"first_seq":1,"max_seq":1,"epoch":"e"}}',
    b'{"id":"q","type":"response","timestamp":1,"command":"group/list","payload":{"status":200,"groups":[]}}',
    b'{"id":"q","type":"response","timestamp":1,"command":"auth/login","payload":{"status":401,"error_code":1001}}',
]
FRAGMENTS = [
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"null", b"true", b"-1", b"0", b"1e999", b"9" * 400,
    b'"\\ud800"', b"\xff", b"\xe7\x95", b"{}", b"[]", b'""', b"1.5", b"\r", b" ", b"\x00", b"NaN",
    b'"type":"event",', b'"id":null,', b"[" * 100, b'"payload":', b'"message/send"', b'"target":',
]  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["user", "group", "broadcast", "text", "custom", "online", "high", "event", "request"])
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "id", "text", "target", "content", "conversation_id", "seq", "message_id", "token",
                 "username", "password", "group_id", "user_id", "since", "limit", "meta", "extra",
                 "attachments", "client_info", "device", "state", "typing", "members", "version", "trace"]
            )
            | st.text(max_size=5),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)  # fmt: skip
lines = st.fixed_dictionaries(
    {"command": st.sampled_from([*COMMAND_MAP, "room/join", "message.delete", "x"]) | scalars},
    optional={"id": scalars, "type": scalars, "timestamp": scalars, "headers": values, "payload": values},
)


def judge(codec: JsonLineServerCodec, line: bytes) -> None:
    """Decodes a line; what refuses it must be answerable in whole lines of JSON."""
    try:
        request = codec.decode(line)
    except WireError as error:
        for answer in codec.refusal(error.tag, error):
            assert b"\n" not in answer
            assert json.loads(answer)["payload"]["error_code"] in range(1001, 1013)
    else:
        assert type(request) is Request
        repr(request.command).encode()  # fails if a lone surrogate went in


def mutate(chance: random.Random, line: bytes) -> bytes:
    """A few cuts, swaps and insertions."""
    mutant = bytearray(line)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(mutant) + 1)
        action = chance.randrange(5)
        if action == 0:
            mutant[at:at] = chance.choice(FRAGMENTS)
        elif action == 1:
            del mutant[at : at + chance.randint(1, 20)]
        elif action == 2 and at < len(mutant):
            mutant[at] = chance.randrange(256)
        elif action == 3:
            end = at + chance.randint(1, 30)
            mutant[at:end] = chance.choice(FRAGMENTS)
        else:
            other = chance.randrange(len(mutant) + 1)
            mutant[at:at] = mutant[other : other + chance.randint(1, 30)]
    return bytes(mutant)


def try_mutants(count: int, originals: Sequence[bytes], read: Callable[[bytes], object]) -> None:
    """Has mutants of these lines read. AssertionError, with seed and line, for whatever goes wrong."""
    for seed in seeds(1):
        chance = random.Random(seed)
        for number in range(count):
            line = mutate(chance, chance.choice(originals))
            try:
                read(line)
            except Exception as fault:
                raise AssertionError(f"seed {seed}, line {number}: {line!r}") from fault


def read_by_client(codec: Callable[[], ClientCodec], line: bytes) -> None:
    """A client of its own for each line, which may find it wrong."""
    with contextlib.suppress(WireError):
        codec().decode(line)


class Fuzz(SynchronousTestCase):
    @given(st.binary(max_size=200))
    def test_any_bytes(self, line: bytes) -> None:
        judge(JsonLineServerCodec(lambda: 5.0), line)

    @given(lines)
    def test_any_fields(self, line: dict[str, Any]) -> None:
        judge(JsonLineServerCodec(lambda: 5.0), json.dumps(line).encode())
        judge(JsonLineServerCodec(lambda: 5.0), json.dumps(line, ensure_ascii=False).encode(errors="replace"))

    def test_mutants(self) -> None:
        codec = JsonLineServerCodec(lambda: 5.0)
        try_mutants(effort(20_000, 1_000_000, 1_000_000), SEEDS, partial(judge, codec))

    def test_mutants_of_the_server(self) -> None:
        try_mutants(effort(10_000, 100_000, 100_000), PUSHES, partial(read_by_client, JsonLineClientCodec))

    def test_every_prefix(self) -> None:
        codec = JsonLineServerCodec(lambda: 5.0)
        for line in SEEDS:
            for end in range(1, len(line)):
                if line[:end].strip():
                    with self.assertRaises(WireError):
                        codec.decode(line[:end])
