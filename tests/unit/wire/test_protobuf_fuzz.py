"""Bad bytes: both roles of document 001 raise WireError and nothing else, and go on working."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.messages import Message, SendMessage
from imserver.wire.base import WireError
from imserver.wire.content import to_json, to_plain
from imserver.wire.protobuf import ProtobufClientCodec, ProtobufServerCodec
from tests.clients import protobuf_client as by_hand
from tests.effort import effort, seeds
from tests.unit.wire import protobuf_vectors as vectors

FROM_CLIENTS = [
    *(bytes.fromhex(octets) for _, _, octets in vectors.REQUESTS.values()),
    bytes.fromhex(vectors.SEND_WITH_SENDER),
    by_hand.encode_envelope(
        200,
        8,
        by_hand.encode(
            "SEND_MSG_REQ",
            receiver_id="bob",
            message_type=100,
            content=b'{"type":"emoji","name":"smile"}',
            send_time=2**62,
            extra={"im.attachments": '[{"file_id":"f"}]', "im.meta": '{"a":"b"}', "k": "v"},
        ),
    ),
]
FROM_SERVERS = [
    *(bytes.fromhex(octets) for _, _, octets in vectors.ANSWERS.values()),
    *(bytes.fromhex(octets) for _, octets in vectors.EVENTS.values()),
    *(
        bytes.fromhex(octets)
        for octets in (vectors.PUSH, vectors.BATCH, vectors.UNKNOWN_COMMAND, vectors.SYNC_FINISHED)
    ),
    by_hand.encode_envelope(
        202,
        0,
        by_hand.encode(
            "PUSH_MSG",
            message_id="m",
            message_type=1,
            seq=4,
            extra={"revoked": "1", "revoked_by": "alice", "revoked_time": "1730795220123"},
        ),
    ),
]


def feed_server(codec: ProtobufServerCodec, frame: bytes) -> None:
    """What a session would do with it; every refusal must be readable."""
    try:
        request = codec.decode(frame)
    except WireError as error:
        for answer in codec.refusal(error.tag, error):
            number, _, body, _ = by_hand.decode_envelope(answer)
            assert by_hand.decode(by_hand.NAMES[number], body)["error_code"] > 0
        return
    command = request.command
    if type(command) is SendMessage:
        message = Message(
            message_id="m",
            conversation=command.conversation,
            canonical="c",
            position=1,
            sender="alice",
            recipient=command.recipient,
            group=command.group,
            client_id=command.client_id,
            content=command.content,
            sent_at=command.sent_at,
            server_at=vectors.NOW,
            extra=command.extra,
            attachments=command.attachments,
            meta=command.meta,
        )
        _, _, body, _ = by_hand.decode_envelope(codec.splice(codec.shared(message), 5))
        assert by_hand.decode("PUSH_MSG", body)["seq"] == 5
        to_json(command.content)
        to_plain(command.content)


def feed_client(codec: ProtobufClientCodec, frame: bytes) -> None:
    try:
        codec.decode(frame)
    except WireError:
        pass


def mutated(random: random.Random, corpus: list[bytes]) -> bytes:
    """A frame with a few faults in it."""
    octets = bytearray(random.choice(corpus))
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(octets) + 1)
        kind = random.randrange(6)
        if kind == 0 and at < len(octets):
            octets[at] ^= 1 << random.randrange(8)
        elif kind == 1 and at < len(octets):
            octets[at] = random.randrange(256)
        elif kind == 2:
            octets[at:at] = random.randbytes(random.randint(1, 12))
        elif kind == 3:
            del octets[at : at + random.randint(1, 5)]
        elif kind == 4:
            other = random.choice(corpus)
            octets[at:] = other[random.randrange(len(other)) :]
        else:
            octets = octets[:at] * random.randint(1, 3)
    return bytes(octets)


def fuzz(count: int, seed: int) -> None:
    """Feeds `count` frames to either role, three quarters of them nearly right."""
    source = random.Random(seed)
    server = ProtobufServerCodec(lambda: vectors.NOW)
    client = ProtobufClientCodec(lambda: vectors.NOW)
    for number in range(count):
        frame = b""
        try:
            if number % 4 == 0:
                frame = source.randbytes(source.randrange(60))
                feed_server(server, frame)
                feed_client(client, frame)
            else:
                frame = mutated(source, FROM_CLIENTS)
                feed_server(server, frame)
                frame = mutated(source, FROM_SERVERS)
                feed_client(client, frame)
        except Exception as fault:
            raise AssertionError(f"seed {seed}, round {number}: {frame.hex()}: {fault!r}") from fault
    for frame in FROM_CLIENTS[:4]:
        server.decode(frame)


class FuzzTests(SynchronousTestCase):
    """A taste of it on every run."""

    def test_mutated_frames(self) -> None:
        fuzz(10_000, seeds(1)[0])

    @given(st.binary(max_size=200))
    def test_random_bytes(self, frame: bytes) -> None:
        feed_server(ProtobufServerCodec(lambda: vectors.NOW), frame)
        feed_client(ProtobufClientCodec(lambda: vectors.NOW), frame)

    @given(st.sampled_from(sorted(by_hand.COMMANDS.values())), st.binary(max_size=100))
    def test_random_bodies(self, command: int, body: bytes) -> None:
        frame = by_hand.encode_envelope(command, 1, body)
        feed_server(ProtobufServerCodec(lambda: vectors.NOW), frame)
        feed_client(ProtobufClientCodec(lambda: vectors.NOW), frame)

    def test_truncated_everywhere(self) -> None:
        for frame in FROM_CLIENTS:
            for length in range(len(frame)):
                feed_server(ProtobufServerCodec(lambda: vectors.NOW), frame[:length])
        for frame in FROM_SERVERS:
            for length in range(len(frame)):
                feed_client(ProtobufClientCodec(lambda: vectors.NOW), frame[:length])

    def test_truncated_bodies_are_answered(self) -> None:
        """Cut anywhere inside a field, the body is refused in the request's own answer."""
        for name, (sequence, _, octets) in vectors.REQUESTS.items():
            number, _, body, _ = by_hand.decode_envelope(bytes.fromhex(octets))
            if name in ("DISCONNECT_REQ", "HEARTBEAT_REQ", "TYPING_STATUS_REQ", "MSG_ACK") or not body:
                continue
            codec = ProtobufServerCodec(lambda: vectors.NOW)
            frame = by_hand.encode_envelope(number, sequence, body[:-1])
            with self.assertRaises(WireError, msg=name) as caught:
                codec.decode(frame)
            (answer,) = codec.refusal(caught.exception.tag, caught.exception)
            answered, echoed, _, _ = by_hand.decode_envelope(answer)
            self.assertEqual((by_hand.NAMES[answered], echoed), (name[:-3] + "RSP", sequence))

    def test_deep_nesting(self) -> None:
        """Groups (wire type 3) inside one another, in an unknown field."""
        for octets in (b"\x7b" * 100_000, b"\x7b" * 100_000 + b"\x7c" * 100_000):
            feed_server(ProtobufServerCodec(lambda: vectors.NOW), octets)
            feed_client(ProtobufClientCodec(lambda: vectors.NOW), octets)


@pytest.mark.prove
class LongFuzzTests(SynchronousTestCase):
    """Many more."""

    def test_mutated_frames(self) -> None:
        (seed,) = seeds(1)
        print(f"seed {seed}")
        fuzz(effort(1_000, 100_000, 1_000_000), seed)
