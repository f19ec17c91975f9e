"""Our codecs, in both roles, against every vector of tests/vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import LoggedIn
from imserver.model.messages import InboxPage, InboxRow
from imserver.wire.base import Request, WireError
from imserver.wire.jsonline.chat_app import ChatAppClientCodec, ChatAppServerCodec
from imserver.wire.jsonline.client import JsonLineClientCodec
from imserver.wire.jsonline.server import JsonLineServerCodec
from imserver.wire.meeting import MeetingClientCodec, MeetingServerCodec
from imserver.wire.protobuf import ProtobufClientCodec, ProtobufServerCodec
from imserver.wire.qdatastream import (
    FrameCutter,
    Framing,
    InputStream,
    QDataStreamClientCodec,
    QDataStreamServerCodec,
    StringForm,
    UnframedParser,
    add_length,
)
from imserver.wire.qdatastream.grammar import Role
from imserver.wire.signalling import SignallingClientCodec, SignallingServerCodec
from tests.clients import chat_app_client, protobuf_client
from tests.clients.msgpack import unpack
from tests.clients.qdatastream_client import FORMS
from tests.unit.wire.vector_meanings import meaning_of, struct_of, told
from tests.vectors.generate import FILES, FOLDER, written

Vector = dict[str, Any]


HANDSHAKE: Vector = {"name": "the handshake", "meaning": {"is": "log_in"}}


def load(name: str) -> dict[str, Any]:
    """A format's file."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return content


def many(value: Any) -> list[Any]:
    """One or several, as a list."""
    return value if isinstance(value, list) else [value]


def write(codec: Any, request: Request | WireError | None, value: Any) -> list[bytes]:
    """What a server's codec writes to say something."""
    if isinstance(request, WireError):
        frames: list[bytes] = codec.refusal(request.tag, value)
    elif request is not None and isinstance(value, Exception):
        frames = codec.refusal(request.tag, value, request.command)
    elif request is not None:
        frames = codec.reply(request, value)
    elif isinstance(value, InboxRow):
        spliced = codec.splice(codec.shared(value.message), value.seq)
        frames = [spliced] if isinstance(spliced, bytes) else spliced
    elif isinstance(value, InboxPage):
        frames = codec.backlog(value)
    else:
        frames = codec.event(value)
    return frames


class Frames:
    """A format whose frames stand for themselves; subclasses are the test cases."""

    name: ClassVar[str]
    key: ClassVar[str] = "text"

    def new_server(self) -> Any:
        """A codec that knows nothing yet."""
        raise TypeError

    def new_client(self) -> Any:
        """A codec that knows nothing yet."""
        raise TypeError

    def before(self, vector: Vector) -> list[str]:
        """The client's vectors that come before a vector."""
        after: list[str] = vector.get("after", [])
        return after

    def server(self, vector: Vector) -> Any:
        """A codec that has read and answered what comes before."""
        codec = self.new_server()
        for name in self.before(vector):
            request = self.asked(codec, self.by_name.get(name, HANDSHAKE))
            answer = self.answer(name)
            codec.reply(request, struct_of(answer["source"] if "source" in answer else answer["meaning"]))
        return codec

    def client(self, vector: Vector) -> Any:
        """A codec that has written what comes before, and read the answers."""
        codec = self.new_client()
        for name in vector.get("after", []):
            codec.request(struct_of(self.by_name[name]["meaning"]), 1)
            codec.decode(self.bytes(self.answer(name))[0])
        return codec

    def answer(self, name: str) -> Vector:
        """The first vector that answers one."""
        return next(vector for vector in self.vectors if vector.get("answers") == name)

    def compared(self, frame: bytes, side: str) -> Any:
        """A frame without what may be written in several ways."""
        return json.loads(frame)

    def setUp(self) -> None:
        self.file = load(self.name)
        self.vectors: list[Vector] = self.file["vectors"]
        self.by_name = {vector["name"]: vector for vector in self.vectors}

    def now(self) -> float:
        clock: float = self.file["clock"]
        return clock

    def bytes(self, vector: Vector) -> list[bytes]:
        values = many(vector[self.key])
        return [value.encode() if self.key == "text" else bytes.fromhex(value) for value in values]

    def chosen(self, side: str, which: Callable[[Vector], bool]) -> list[Vector]:
        found = [vector for vector in self.vectors if vector["from"] == side and which(vector)]
        assert len(found) >= 8, f"only {len(found)}"
        return found

    def test_the_file_is_what_the_generator_writes(self: Any) -> None:
        self.assertEqual((FOLDER / f"{self.name}.json").read_text(encoding="utf-8"), written(self.name))

    def test_a_server_reads_what_clients_write(self: Any) -> None:
        for vector in self.chosen("client", lambda vector: "meaning" in vector):
            (frame,) = self.bytes(vector)
            request = self.server(vector).decode(frame)
            self.assertEqual(meaning_of(request.command), vector["meaning"], vector["name"])

    def test_a_server_refuses_what_is_wrong(self: Any) -> None:
        for vector in self.chosen("client", lambda vector: "error" in vector):
            (frame,) = self.bytes(vector)
            error = self.assertRaises(WireError, self.server(vector).decode, frame)
            self.assertEqual(error.code.value, vector["error"], vector["name"])
            self.assertEqual(error.fatal, "closes" in vector, vector["name"])
            if error.fatal:
                self.assertEqual(error.close_code, vector["closes"])

    def test_a_client_writes_it(self: Any) -> None:
        for vector in self.chosen("client", lambda vector: "meaning" in vector and "also" not in vector):
            codec = self.client(vector)
            frame = codec.request(struct_of(vector["meaning"]), vector.get("tag"))
            (wanted,) = self.bytes(vector)
            self.assertEqual(self.compared(frame, "client"), self.compared(wanted, "client"), vector["name"])

    def test_a_server_writes_it(self: Any) -> None:
        for vector in self.chosen("server", lambda vector: True):
            said = vector.get("source", many(vector["meaning"])[0])
            request = None
            if "answers" in vector:
                asked = self.by_name.get(vector["answers"], HANDSHAKE)
                codec = self.server({**asked, **vector, "meaning": asked.get("meaning", {})})
                request = self.asked(codec, asked)
            else:
                codec = self.server(vector)
            frames = write(codec, request, struct_of(said))
            self.assertEqual(
                [self.compared(frame, "server") for frame in frames],
                [self.compared(frame, "server") for frame in self.bytes(vector)],
                vector["name"],
            )

    def asked(self, codec: Any, asked: Vector) -> Request | WireError:
        """The request a server is to answer."""
        if self.key not in asked:
            return Request(struct_of(asked["meaning"]), None)
        try:
            request: Request = codec.decode(self.bytes(asked)[0])
        except WireError as error:
            return error
        return request

    def test_a_client_reads_it(self: Any) -> None:
        for vector in self.chosen("server", lambda vector: True):
            asked = self.by_name.get(vector.get("answers", ""), {})
            codec = self.client({**asked, **vector})
            if "meaning" in asked:
                codec.request(struct_of(asked["meaning"]), asked.get("tag"))
            for frame, wanted in zip(self.bytes(vector), many(vector["meaning"]), strict=True):
                tag, value = codec.decode(frame)
                read = meaning_of(value)
                self.assertEqual(told(read, wanted), wanted, vector["name"])
                if wanted is many(vector["meaning"])[0]:
                    self.assertEqual(tag or None, vector.get("tag"), vector["name"])


class JsonLines(Frames, SynchronousTestCase):
    name = "jsonline"

    def new_server(self) -> Any:
        return JsonLineServerCodec(self.now)

    def new_client(self) -> Any:
        return JsonLineClientCodec()


class ChatApp(Frames, SynchronousTestCase):
    name = "chat_app"

    def new_server(self) -> Any:
        return ChatAppServerCodec(self.now)

    def before(self, vector: Vector) -> list[str]:
        logging_in = many(vector.get("meaning", {}))[0].get("is") == "log_in"
        after: list[str] = vector.get("after", [] if logging_in else ["log in"])
        return after

    def new_client(self) -> Any:
        return ChatAppClientCodec(self.now)


class Signalling(Frames, SynchronousTestCase):
    name = "signalling"
    binary = False

    def new_server(self) -> Any:
        return SignallingServerCodec(self.now, binary=self.binary)

    def before(self, vector: Vector) -> list[str]:
        return ["the handshake"] if vector.get("meaning") != HANDSHAKE["meaning"] else []

    def new_client(self) -> Any:
        return SignallingClientCodec(binary=self.binary)


class Meeting(Frames, SynchronousTestCase):
    name = "meeting"

    def new_server(self) -> Any:
        return MeetingServerCodec()

    def new_client(self) -> Any:
        return MeetingClientCodec()


class MessagePack(Signalling):
    key = "msgpack"
    binary = True

    def compared(self, frame: bytes, side: str) -> Any:
        return unpack(frame)


class Protobuf(Frames, SynchronousTestCase):
    name = "protobuf"
    key = "hex"

    def new_server(self) -> Any:
        return ProtobufServerCodec(self.now)

    def new_client(self) -> Any:
        return ProtobufClientCodec(lambda: 0.0)

    def before(self, vector: Vector) -> list[str]:
        logging_in = many(vector.get("meaning", {}))[0].get("is") in ("log_in", "hello")
        after: list[str] = vector.get("after", [] if logging_in else ["auth of alice"])
        return after

    def compared(self, frame: bytes, side: str) -> Any:
        command, sequence, body, timestamp = protobuf_client.decode_envelope(frame)
        fields = protobuf_client.decode(protobuf_client.NAMES[command], body)
        # The entries of a map and the fields of a push come in an order of their own.
        exact = frame.hex() if side == "client" and len(fields.get("extra", ())) < 2 else ""
        return command, sequence, timestamp, fields, exact


class QDataStream(Frames, SynchronousTestCase):
    """Here bytes are pieces of a stream, read with what came before."""

    name = "qdatastream"
    key = "hex"

    def stream(self, vector: Vector) -> tuple[Any, InputStream]:
        """A server's codec and input, registered as alice unless the vector does that itself."""
        auth = vector.get("auth", "none")
        codec = QDataStreamServerCodec(auth, presence=vector.get("presence", False))
        stream = InputStream(token_required=auth == "token")
        if not vector.get("opening"):
            string = FORMS[vector["form"]]
            before = [b"\x07\x00\x05alice", b"\x00" + string("bob") + string("before")]
            framed = vector["framing"] == "int16"
            data = b"".join(add_length(message) if framed else message for message in before)
            for request in self._feed(codec, stream, data):
                assert isinstance(request, Request), request
        return codec, stream

    def _feed(self, codec: Any, stream: InputStream, data: bytes) -> list[Request | WireError]:
        frames = stream.feed(data, 0.0)
        while stream.deadline is not None:
            frames += stream.settle(stream.deadline)
        found: list[Request | WireError] = []
        for frame in frames:
            if isinstance(frame, WireError):
                found.append(frame)
                continue
            if codec.framing is None:
                assert stream.framing is not None
                codec.framing = stream.framing
            try:
                request = codec.decode(frame)
            except WireError as error:
                found.append(error)
                continue
            if request.command.__class__.__name__ == "LogIn":
                codec.reply(request, LoggedIn("alice", "tok", "", 0, 0, 1, ""))
            found.append(request)
        return found

    def read_all(self, vector: Vector) -> list[Request | WireError]:
        codec, stream = self.stream(vector)
        return self._feed(codec, stream, self.bytes(vector)[0])

    def test_a_server_reads_what_clients_write(self) -> None:
        for vector in self.chosen("client", lambda vector: "meaning" in vector):
            read = [
                meaning_of(one.command if isinstance(one, Request) else one) for one in self.read_all(vector)
            ]
            self.assertEqual(read, many(vector["meaning"]), vector["name"])

    def test_a_server_refuses_what_is_wrong(self) -> None:
        for vector in self.chosen("client", lambda vector: "error" in vector):
            (error,) = self.read_all(vector)
            assert isinstance(error, WireError), vector["name"]
            self.assertEqual(error.code.value, vector["error"], vector["name"])
            self.assertEqual(error.fatal, "closes" in vector, vector["name"])

    def client_of(self, vector: Vector) -> QDataStreamClientCodec:
        return QDataStreamClientCodec(StringForm.UTF8 if vector["form"] == "utf8" else StringForm.QSTRING)

    def wrapped(self, message: bytes, vector: Vector) -> str:
        return (add_length(message) if vector["framing"] == "int16" else message).hex()

    def test_a_client_writes_it(self) -> None:
        for vector in self.chosen("client", lambda vector: "meaning" in vector and "also" not in vector):
            message = self.client_of(vector).request(struct_of(vector["meaning"]), None)
            self.assertEqual(self.wrapped(message, vector), vector["hex"], vector["name"])

    def test_a_server_writes_it(self) -> None:
        for vector in self.chosen("server", lambda vector: True):
            request = None
            if "answers" in vector:
                asked = self.by_name.get(vector["answers"]) or self._login(vector)
                codec, stream = self.stream({**asked, "form": vector["form"]})
                (request,) = self._feed(codec, stream, self.bytes(asked)[0])
            else:
                codec, _ = self.stream(vector)
            said = vector.get("source") or many(vector["meaning"])[0]
            frames = write(codec, request, struct_of(said))
            self.assertEqual(
                [self.wrapped(frame, vector) for frame in frames], many(vector["hex"]), vector["name"]
            )

    def _login(self, vector: Vector) -> Vector:
        raise LookupError(vector["answers"])

    def test_a_client_reads_it(self) -> None:
        for vector in self.chosen("server", lambda vector: True):
            codec = self.client_of(vector)
            for name in vector.get("after", []):
                codec.request(struct_of(self.by_name[name]["meaning"]), None)
            if "answers" in vector:
                codec.request(struct_of(many(self.by_name[vector["answers"]]["meaning"])[0]), "tag")
            cutter = (
                FrameCutter(opening=False) if vector["framing"] == "int16" else UnframedParser(Role.SERVER)
            )
            read = []
            for data in self.bytes(vector):
                frames = cutter.feed(data, 0.0)
                if cutter.deadline is not None:
                    frames += cutter.settle(cutter.deadline)
                for frame in frames:
                    assert isinstance(frame, bytes), frame
                    tag, value = codec.decode(frame)
                    read.append(meaning_of(value))
                    answered = many(vector["meaning"])[0]["is"] in ("pong", "logged_in")
                    if answered:
                        self.assertEqual(tag, "tag", vector["name"])
            self.assertEqual(told(read, many(vector["meaning"])), many(vector["meaning"]), vector["name"])


class Coverage(SynchronousTestCase):
    """Every command, both directions, both framings and forms, errors."""

    def test_enough(self) -> None:
        for name in FILES:
            vectors = load(name)["vectors"]
            self.assertGreaterEqual(len(vectors), 25, name)
            self.assertGreaterEqual(sum("error" in vector for vector in vectors), 8, name)
            self.assertEqual({vector["from"] for vector in vectors}, {"client", "server"})

    def test_every_command_of_document_001(self) -> None:
        seen = {
            dict(protobuf_client.fields(bytes.fromhex(data))).get(1, 0)
            for vector in load("protobuf")["vectors"]
            for data in many(vector["hex"])
            if "error" not in vector
        }
        self.assertEqual(seen, set(protobuf_client.COMMANDS.values()))

    def test_every_command_that_is_the_dialect_s_own(self) -> None:
        lines = [
            (vector["from"], json.loads(line)["command"])
            for vector in load("chat_app")["vectors"]
            if "error" not in vector
            for line in many(vector["text"])
        ]
        asked = {command for side, command in lines if side == "client"}
        told = {command for side, command in lines if side == "server"}
        own = {"auth/login", "auth/register", "auth/refresh", "message/send"}
        own |= {f"friend/{name}" for name in ("request", "accept", "reject", "delete", "list")}
        own |= {f"file/{name}" for name in ("request", "accept", "reject", "complete", "error")}
        own |= {f"voice/{name}" for name in ("call", "answer", "reject", "end", "data")}
        self.assertEqual(own - asked, set())
        events = {"friend/event", "voice/event", "voice/data", "message/event", "presence/event"}
        events |= {f"file/{name}" for name in ("request", "accept", "reject", "complete", "error")}
        answers = {name for name in chat_app_client.ACKS.values() if "block" not in name}
        self.assertEqual((events | answers) - told, set())

    def test_every_type_of_document_000(self) -> None:
        seen = set()
        for vector in load("qdatastream")["vectors"]:
            for data in map(bytes.fromhex, many(vector["hex"])):
                if "error" not in vector:
                    seen.add((data[2:] if vector["framing"] == "int16" else data)[0])
        self.assertEqual(seen, set(range(13)))

    def test_framing(self) -> None:
        self.assertEqual(
            {Framing.INT16.value, Framing.NONE.value}, {v["framing"] for v in load("qdatastream")["vectors"]}
        )
