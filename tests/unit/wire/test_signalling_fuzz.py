"""Nothing that a client writes may end in anything but a request or a WireError that can be answered."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.wire.base import Request, WireError
from imserver.wire.signalling import SignallingClientCodec, SignallingServerCodec
from imserver.wire.signalling.requests import REQUESTS
from tests.clients import msgpack
from tests.clients.signalling_client import check
from tests.effort import effort, seeds
from tests.unit.wire import test_signalling_calls as calls
from tests.unit.wire import test_signalling_golden as golden

FRAMES = [frame.encode() for _, frame, _ in golden.REQUESTS]
CALLS = []
for _message in calls.DOCUMENT["messages"]:
    _short = json.loads(json.dumps(_message))
    if "sdp" in _short["payload"]:
        _short["payload"]["sdp"]["sdp"] = "v=0\r\n"
    CALLS.append(json.dumps(_short).encode())
FRAMES += CALLS
PUSHES = [text.encode() for _, text in golden.EVENTS] + CALLS
PUSHES += [text.encode() for *_, text in [*golden.ANSWERS, *golden.PUSHES]] + [golden.CONNECT.encode()]
FRAGMENTS = [
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"null", b"true", b"-1", b"0", b"1e999", b"9" * 400,
    b'"\\ud800"', b"\xff", b"\xe7\x95", b"{}", b"[]", b'""', b"1.5", b" ", b"\x00", b"NaN", b"[" * 100,
    b'"id":null,', b'"payload":', b'"message.send"', b'"call.offer"', b'"content":', b'"timestamp":',
    b"\x80", b"\x9f", b"\xc1", b"\xc4\x01\x00", b"\xd6\xff\0\0\0\0", b"\xdf\xff\xff\xff\xff",
    b"\xcb\x7f\xf8\0\0\0\0\0\0",
]  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["text", "custom", "image", "online", "high", "2025-10-07T12:00:00Z", "revoked", "v=0", "audio"]
    )
)
names = st.sampled_from(
    ["type", "text", "content", "to_user", "group_id", "conversation_id", "message_type", "client_msg_id",
     "reply_to_id", "attachments", "meta", "extra", "message_id", "message_ids", "seq", "since", "limit",
     "state", "users", "is_typing", "timestamp", "call_id", "reply_to", "priority", "data",
     "sdp", "call_type", "ice_candidate", "ice_candidates", "reason", "status", "network_stats", "rtt"]
)  # fmt: skip
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=20,
)
frames = st.fixed_dictionaries(
    {"type": st.sampled_from([*sorted(REQUESTS), "call.hold", "connect", "x"]) | scalars},
    optional={"id": scalars, "timestamp": scalars, "payload": values},
)


def judge(codec: SignallingServerCodec, frame: bytes, binary: bool) -> None:
    """Decodes a message; what refuses it must be answerable as the contract allows."""
    try:
        request = codec.decode(frame)
    except WireError as error:
        if error.fatal:
            raise
        for answer in codec.refusal(error.tag, error):
            check(msgpack.unpack(answer) if binary else json.loads(answer))
    else:
        assert type(request) is Request
        repr(request.command).encode()  # fails if a lone surrogate went in


def server(binary: bool = False) -> SignallingServerCodec:
    """A codec."""
    return SignallingServerCodec(lambda: 5.0, binary=binary)


def mutate(chance: random.Random, frame: bytes) -> bytes:
    """A few cuts, swaps and insertions."""
    mutant = bytearray(frame)
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
            mutant[at : at + chance.randint(1, 30)] = chance.choice(FRAGMENTS)
        else:
            other = chance.randrange(len(mutant) + 1)
            mutant[at:at] = mutant[other : other + chance.randint(1, 30)]
    return bytes(mutant)


class Fuzz(SynchronousTestCase):
    @given(st.binary(max_size=200), st.booleans())
    def test_any_bytes(self, frame: bytes, binary: bool) -> None:
        judge(server(binary), frame, binary)

    @given(frames)
    def test_any_fields(self, frame: dict[str, Any]) -> None:
        judge(server(), json.dumps(frame).encode(), False)
        judge(server(True), msgpack.pack(frame), True)

    def test_mutants(self) -> None:
        for seed in seeds(1):
            chance = random.Random(seed)
            for binary in (False, True):
                codec = server(binary)
                originals = [msgpack.pack(json.loads(frame)) if binary else frame for frame in FRAMES]
                for number in range(effort(10_000, 500_000, 500_000)):
                    frame = mutate(chance, chance.choice(originals))
                    try:
                        judge(codec, frame, binary)
                    except Exception as fault:
                        raise AssertionError(f"seed {seed}, frame {number}: {frame!r}") from fault

    def test_mutants_of_the_server(self) -> None:
        for seed in seeds(1):
            chance = random.Random(seed)
            for binary in (False, True):
                client = SignallingClientCodec(binary=binary)
                originals = [msgpack.pack(json.loads(frame)) if binary else frame for frame in PUSHES]
                for number in range(effort(5_000, 100_000, 100_000)):
                    frame = mutate(chance, chance.choice(originals))
                    try:
                        client.decode(frame)
                    except WireError:
                        pass
                    except Exception as fault:
                        raise AssertionError(f"seed {seed}, frame {number}: {frame!r}") from fault

    def test_every_prefix(self) -> None:
        for frame in FRAMES:
            packed = msgpack.pack(json.loads(frame))
            for end in range(len(frame)):
                with self.assertRaises(WireError):
                    server().decode(frame[:end])
            for end in range(len(packed)):
                with self.assertRaises(WireError):
                    server(True).decode(packed[:end])
