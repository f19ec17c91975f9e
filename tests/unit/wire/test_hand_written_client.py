"""The hand-written test client against the examples of its standards, so that it can be believed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.clients import protobuf_client, websocket_client
from tests.clients.websocket_client import Frame, FrameReader, ServerViolation, encode_frame


class WebSocketTests(SynchronousTestCase):
    """RFC 6455, section 5.7."""

    def test_masked_text(self) -> None:
        frame = encode_frame(websocket_client.TEXT, b"Hello", mask=bytes.fromhex("37fa213d"))
        self.assertEqual(frame.hex(), "818537fa213d7f9f4d5158")

    def test_unmasked_text(self) -> None:
        octets = bytes.fromhex("810548656c6c6f")
        self.assertEqual(encode_frame(websocket_client.TEXT, b"Hello", mask=None), octets)
        self.assertEqual(FrameReader().feed(octets), [Frame(True, 0, 1, b"Hello")])

    def test_fragments(self) -> None:
        self.assertEqual(
            FrameReader().feed(bytes.fromhex("010348656c80026c6f")),
            [Frame(False, 0, 1, b"Hel"), Frame(True, 0, 0, b"lo")],
        )

    def test_long_forms(self) -> None:
        for size, head in ((256, "827e0100"), (65536, "827f0000000000010000")):
            octets = encode_frame(websocket_client.BINARY, b"x" * size, mask=None)
            self.assertTrue(octets.hex().startswith(head))
            reader = FrameReader()
            frames = [frame for octet in octets for frame in reader.feed(bytes((octet,)))]
            self.assertEqual([len(frame.payload) for frame in frames], [size])

    def test_fresh_mask(self) -> None:
        first, second = (encode_frame(websocket_client.PING, b"") for _ in range(2))
        self.assertNotEqual(first, second)

    def test_violations(self) -> None:
        for octets in (
            "818537fa213d7f9f4d5158",
            "827e000161",
            "897e0080",
            "0900",
            "827f0000000000000001",
        ):
            with self.assertRaises(ServerViolation):
                FrameReader().feed(bytes.fromhex(octets))


class ProtobufTests(SynchronousTestCase):
    """The examples of protobuf's encoding guide."""

    def test_varints(self) -> None:
        self.assertEqual(protobuf_client.varint(150).hex(), "9601")
        self.assertEqual(protobuf_client.varint(-2).hex(), "feffffffffffffffff01")
        self.assertEqual(protobuf_client.read_varint(bytes.fromhex("9601"), 0), (150, 2))

    def test_fields(self) -> None:
        self.assertEqual(protobuf_client.varint_field(1, 150).hex(), "089601")
        self.assertEqual(protobuf_client.bytes_field(2, b"testing").hex(), "120774657374696e67")

    def test_negative_numbers_and_maps(self) -> None:
        body = protobuf_client.encode("SEND_MSG_REQ", message_type=-1, extra={"": "v", "k": ""})
        fields = protobuf_client.decode("SEND_MSG_REQ", body)
        self.assertEqual((fields["message_type"], fields["extra"]), (-1, {"": "v", "k": ""}))
