"""Every message of document 001, both roles, against literal bytes."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import imserver
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Done, InboxPage, InboxRow
from imserver.wire.base import WireError
from imserver.wire.protobuf import ProtobufClientCodec, ProtobufServerCodec, SyncFinished
from imserver.wire.protobuf.tables import COMMAND_NAMES
from tests.clients import protobuf_client as by_hand
from tests.unit.wire import protobuf_vectors as vectors


def server() -> ProtobufServerCodec:
    return ProtobufServerCodec(lambda: vectors.NOW)


def client() -> ProtobufClientCodec:
    """Without a clock: as short as the document's example."""
    return ProtobufClientCodec(lambda: 0.0)


class RequestTests(SynchronousTestCase):
    """What clients send."""

    def test_server_reads_every_request(self) -> None:
        for name, (sequence, command, octets) in vectors.REQUESTS.items():
            request = server().decode(bytes.fromhex(octets))
            self.assertEqual(request.command, command, name)
            self.assertEqual(request.tag.sequence, sequence, name)

    def test_client_writes_every_request(self) -> None:
        for name, (sequence, command, octets) in vectors.REQUESTS.items():
            self.assertEqual(client().request(command, sequence).hex(), octets, name)

    def test_hand_written_encoder_agrees(self) -> None:
        frame = by_hand.encode_envelope(
            by_hand.COMMANDS["AUTH_REQ"],
            1,
            by_hand.encode("AUTH_REQ", user_id="user123", token="demo_token_user123", platform="iOS"),
        )
        self.assertEqual(frame.hex(), vectors.REQUESTS["AUTH_REQ"][2])

    def test_reauth(self) -> None:
        sequence, command, octets = vectors.REAUTH_REQUEST
        codec = server()
        request = codec.decode(bytes.fromhex(octets))
        self.assertEqual(request.command, command)
        reply = vectors.ANSWERS["AUTH_RSP"][1]
        self.assertEqual([frame.hex() for frame in codec.reply(request, reply)], [vectors.REAUTH_ANSWER])
        peer = client()
        peer.decode(bytes.fromhex(vectors.ANSWERS["AUTH_RSP"][2]))
        self.assertEqual(peer.request(command, sequence).hex(), octets)

    def test_sender_id_of_ones_own(self) -> None:
        codec = server()
        log_in = codec.decode(
            by_hand.encode_envelope(100, 1, by_hand.encode("AUTH_REQ", user_id="alice", token="t"))
        )
        reply = vectors.ANSWERS["AUTH_RSP"][1].__class__("alice", "", "", 0, 0, 1, "e")
        codec.reply(log_in, reply)
        request = codec.decode(bytes.fromhex(vectors.SEND_WITH_SENDER))
        self.assertEqual(request.command, vectors.REQUESTS["SEND_MSG_REQ"][1])


class AnswerTests(SynchronousTestCase):
    """What servers answer."""

    def test_server_writes_every_answer(self) -> None:
        for name, (asked, reply, octets) in vectors.ANSWERS.items():
            codec = server()
            request = codec.decode(bytes.fromhex(vectors.REQUESTS[asked][2]))
            self.assertEqual([frame.hex() for frame in codec.reply(request, reply)], [octets], name)

    def test_client_reads_every_answer(self) -> None:
        for name, (asked, reply, octets) in vectors.ANSWERS.items():
            sequence, answer = client().decode(bytes.fromhex(octets))
            self.assertEqual(sequence, vectors.REQUESTS[asked][0], name)
            self.assertIs(type(answer), type(reply), name)

    def test_client_reads_what_the_answers_say(self) -> None:
        def read(name: str) -> object:
            return client().decode(bytes.fromhex(vectors.ANSWERS[name][2]))[1]

        for name in ("CONNECT_RSP", "DISCONNECT_RSP", "HEARTBEAT_RSP", "ONLINE_STATUS_RSP"):
            self.assertEqual(read(name), vectors.ANSWERS[name][1], name)
        accepted = read("SEND_MSG_RSP")
        self.assertEqual((accepted.message_id, accepted.seq), ("m-1", 42))  # type: ignore[attr-defined]
        page = read("SYNC_RSP")
        assert isinstance(page, InboxPage)
        self.assertEqual((page.head, page.first_seq, page.has_more, page.epoch), (301, 1, True, "e1"))
        self.assertEqual([(row.seq, row.message.message_id) for row in page.rows], [(301, "m-1")])

    def test_refused_log_in(self) -> None:
        codec = server()
        request = codec.decode(bytes.fromhex(vectors.REQUESTS["AUTH_REQ"][2]))
        frames = codec.refusal(request.tag, ImError(ErrorCode.AUTH_FAILED, "no"), request.command)
        self.assertEqual([frame.hex() for frame in frames], [vectors.AUTH_REFUSED])
        sequence, error = client().decode(frames[0])
        self.assertEqual((sequence, error.code, error.text), (1, ErrorCode.AUTH_FAILED, "no"))

    def test_unknown_command(self) -> None:
        codec = server()
        with self.assertRaises(WireError) as caught:
            codec.decode(by_hand.encode_envelope(999, 77, b"whatever"))
        frames = codec.refusal(caught.exception.tag, caught.exception)
        self.assertFalse(caught.exception.fatal)
        self.assertEqual([frame.hex() for frame in frames], [vectors.UNKNOWN_COMMAND])
        sequence, error = client().decode(frames[0])
        self.assertEqual((sequence, error.code), (77, ErrorCode.BAD_REQUEST))

    def test_sync_finished(self) -> None:
        self.assertEqual(client().decode(bytes.fromhex(vectors.SYNC_FINISHED)), (None, SyncFinished()))


class PushTests(SynchronousTestCase):
    """What servers send unasked."""

    def test_every_event(self) -> None:
        for name, (event, octets) in vectors.EVENTS.items():
            self.assertEqual([frame.hex() for frame in server().event(event)], [octets], name)
            self.assertEqual(client().decode(bytes.fromhex(octets)), (None, event), name)

    def test_message(self) -> None:
        codec = server()
        frame = codec.splice(codec.shared(vectors.MESSAGE), vectors.PUSH_SEQ)
        self.assertEqual(frame.hex(), vectors.PUSH)
        tag, row = client().decode(frame)
        self.assertIsNone(tag)
        self.assertEqual((row.seq, row.message.content), (vectors.PUSH_SEQ, vectors.TEXT))
        self.assertEqual((row.message.sent_at, row.message.server_at), (1730795220.0, vectors.NOW))

    def test_batch(self) -> None:
        codec = server()
        codec.decode(bytes.fromhex(vectors.REQUESTS["CONNECT_REQ"][2]))
        rows = [InboxRow(1, vectors.bare("m-1")), InboxRow(2, vectors.bare("m-2"))]
        frames = codec.backlog(InboxPage(rows, 2, 1, False, "e1"))
        self.assertEqual([frame.hex() for frame in frames], [vectors.BATCH])
        _, page = client().decode(frames[0])
        self.assertEqual([(row.seq, row.message.message_id) for row in page.rows], [(1, "m-1"), (2, "m-2")])


class CompletenessTests(SynchronousTestCase):
    """Nothing of the document is left out."""

    def test_every_command_has_a_vector(self) -> None:
        with_vectors = {
            *vectors.REQUESTS,
            *vectors.ANSWERS,
            *vectors.EVENTS,
            *("REAUTH_REQ", "REAUTH_RSP", "PUSH_MSG", "BATCH_MSG", "SYNC_FINISHED", "UNKNOWN"),
        }
        self.assertEqual(with_vectors, {name.removeprefix("CMD_") for name in COMMAND_NAMES.values()})
        self.assertEqual({number: "CMD_" + name for number, name in by_hand.NAMES.items()}, COMMAND_NAMES)

    def test_the_page_for_client_authors_shows_these_bytes(self) -> None:
        page = Path(imserver.__file__).parent.parent / "docs" / "wire" / "protobuf.md"
        text = "".join(page.read_text("utf-8").split())
        shown = [octets for _, _, octets in vectors.REQUESTS.values()]
        shown += [octets for _, _, octets in vectors.ANSWERS.values()]
        shown += [octets for _, octets in vectors.EVENTS.values()]
        shown += [vectors.PUSH, vectors.BATCH, vectors.UNKNOWN_COMMAND, vectors.SYNC_FINISHED]
        self.assertEqual([octets for octets in shown if octets not in text], [])

    def test_a_client_refuses_what_the_document_cannot_carry(self) -> None:
        with self.assertRaises(ValueError):
            client().request(Done(), 1)
