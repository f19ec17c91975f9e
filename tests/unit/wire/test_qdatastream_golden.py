"""Document 000's samples and the contract's bytes, literally."""

from __future__ import annotations

import unicodedata
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import KickReason, LoggedIn, LogIn, Ping, Pong, SessionKicked
from imserver.model.call_records import CallMissed, ListCalls
from imserver.model.calls import (
    AnswerCall,
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallError,
    CallFault,
    CallIncoming,
    CallMedia,
    CallRinging,
    CallSignal,
    CallStopped,
    EndCall,
    Ending,
    RejectCall,
    Signal,
    SignalCall,
    StartCall,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import AckChunks, CancelFile, CompleteFile, OfferFile, SendChunk
from imserver.model.messages import Content, Form, InboxPage, InboxRow, Message, MessageAccepted, Revocation
from imserver.model.presence import PresenceChanged, PresenceState
from imserver.wire.base import WireError
from imserver.wire.qdatastream import Framing, QDataStreamClientCodec, QDataStreamServerCodec, StringForm
from imserver.wire.qdatastream.server import REGISTRATION as REGISTRATION_TAG
from imserver.wire.qdatastream.strings import cut, encode
from imserver.wire.qdatastream.tables import REJECT_REASONS
from tests.unit.wire.qdatastream_samples import CALL, NULL, REGISTRATION, STRINGS, samples

LOGGED_IN = LoggedIn("user123", "tok", "r", 60, 0, 1, "e")


def codec(framing: Framing = Framing.INT16, opened: bool = True, **options: Any) -> QDataStreamServerCodec:
    """A codec, registered as user123 unless a test wants to see that."""
    made = QDataStreamServerCodec(**options)
    made.framing = framing
    if opened:
        made.reply(made.decode(REGISTRATION), LOGGED_IN)
    return made


def ended(ending: Ending, **fields: Any) -> CallEnded:
    values = {"caller": "bob", "callee": "alice", "created_at": 1.0, "ended_at": 3.0}
    return CallEnded(CALL, ending=ending, **{**values, **fields})


def message(text: str = "hi", sender: str = "bob", **fields: Any) -> Message:
    values: dict[str, Any] = {
        "message_id": "m", "conversation": "c", "canonical": "c", "position": 1, "sender": sender,
        "recipient": "user123", "group": "", "client_id": "", "content": Content(Form.TEXT, text.encode()),
        "sent_at": 0.0, "server_at": 0.0,
    }  # fmt: skip
    return Message(**{**values, **fields})


def pushed(made: QDataStreamServerCodec, sent: Message) -> list[bytes]:
    return made.splice(made.shared(sent), 7)


class Documents(SynchronousTestCase):
    """The samples of document 000 and the golden bytes of the contract."""

    def test_registration(self) -> None:
        self.assertEqual(REGISTRATION.hex(), "070007" + "75736572313233")
        request = codec(opened=False).decode(bytes.fromhex("07000775736572313233"))
        self.assertEqual(request.command, LogIn(user="user123", unproven=True))
        self.assertTrue(request.close_if_refused)

    def test_call_request_video(self) -> None:
        data = bytes.fromhex("02000000140074006100720067006500740055007300650072" + "01")
        self.assertEqual(codec().decode(data).command, StartCall("targetUser", True))
        # And as the tables of the document say it.
        self.assertEqual(codec().decode(b"\x02\x00\x0atargetUser\x01").command, StartCall("targetUser", True))

    def test_qstring(self) -> None:
        self.assertEqual(encode("张三😀", StringForm.QSTRING).hex(), "000000085f204e09d83dde00")

    def test_call_accept(self) -> None:
        self.assertEqual(codec().decode(b"\x03" + STRINGS["qstring"](CALL)).command, AnswerCall(CALL))

    def test_media(self) -> None:
        self.assertEqual(codec().decode(b"\x06\x01\x02").command, CallMedia(b"\x01\x02"))

    def test_heartbeat(self) -> None:
        made = codec()
        request = made.decode(b"\x07")
        self.assertEqual(request.command, Ping())
        self.assertEqual(made.reply(request, Pong(1.0)), [b"\x07"])

    def test_server_to_client(self) -> None:
        made = codec()
        call = b"\x00\x24" + CALL.encode()
        for event, data in (
            (CallIncoming(CALL, "bob", "alice", True, 1.0, b"{}"), b"\x02" + call + b"\x00\x03bob\x01"),
            (CallAnswered(CALL, "bob", "alice", 2.0, b"{}"), b"\x03" + call),
            (CallAccepted(CALL, "bob", "alice", 2.0), b"\x03" + call),
            (ended(Ending.REJECTED, reason="not now"), b"\x04" + call + b"\x00\x07not now"),
            (ended(Ending.BUSY), b"\x04" + call + b"\x00\x09user busy"),
            (ended(Ending.HANGUP), b"\x05" + call),
            (CallStopped(CALL, "bob", "alice", 3.0), b"\x05" + call),
            (CallMedia(b"\x00\xff", CALL), b"\x06" + call + b"\x00\xff"),
        ):
            self.assertEqual(made.event(event), [data])
        self.assertEqual(pushed(made, message("hi")), [b"\x00\x00\x03bob\x00\x02hi"])


class Requests(SynchronousTestCase):
    """Every kind of message in every form."""

    def test_samples(self) -> None:
        for form in STRINGS:
            for framing in Framing:
                for sample in samples(form):
                    request = codec(framing).decode(sample.data)
                    self.assertEqual(request.command, sample.command)
                    self.assertEqual(request.tag, sample.data[0])

    def test_truncated_or_longer_they_are_refused(self) -> None:
        for form in STRINGS:
            for sample in samples(form):
                for end in range(len(sample.data)):
                    try:
                        codec().decode(sample.data[:end])
                    except WireError as error:
                        self.assertFalse(error.fatal)
                        self.assertIn(error.code, (ErrorCode.BAD_REQUEST, ErrorCode.TOO_LARGE))
                    else:
                        # A REJECT may end before its reason; and this is an END with an empty id.
                        head = sample.data[:end]
                        self.assertTrue(head[0] == 4 or head == b"\x05\x00\x00", head)
                self.assertRaises(WireError, codec().decode, sample.data + b"\x00")

    def test_reject_by_length(self) -> None:
        for form, string in STRINGS.items():
            head = b"\x04" + string(CALL)
            for rest, reason in (
                (b"", ""), (NULL, ""), (string(""), ""), (string("n"), "n"), (string("忙"), "忙"),
                (string("x" * 255), "x" * 255),
            ):  # fmt: skip
                self.assertEqual(codec().decode(head + rest).command, RejectCall(CALL, reason), (form, rest))
            self.assertRaises(WireError, codec().decode, head + string("x" * 256))

    def test_the_end_without_a_call_id(self) -> None:
        for data in (b"\x05\x00\x00", b"\x05\x00\x00\x00\x00", b"\x05" + NULL):
            self.assertEqual(codec().decode(data).command, EndCall())
        for data in (b"\x05", b"\x05\x00", b"\x05\x00\x00\x00", b"\x05\x00\x00\x00\x00\x00", b"\x05\xff\xff"):
            self.assertRaises(WireError, codec().decode, data)

    def test_ids(self) -> None:
        longest = "group_" + "g" * 255 + "/" + "s" * 255
        for string in STRINGS.values():
            command = codec().decode(b"\x00" + string(longest) + string("a")).command
            self.assertEqual(command.group, "g" * 255)
            for bad in ("", " a", "a/b", "single_a", "group_", "group_a/", "group_a/b/c", "a\n", "x" * 256):
                error = self.assertRaises(WireError, codec().decode, b"\x00" + string(bad) + string("a"))
                self.assertEqual((error.code, error.tag, error.fatal), (ErrorCode.BAD_REQUEST, 0, False))
        decomposed = unicodedata.normalize("NFD", "é")
        self.assertRaises(WireError, codec().decode, b"\x00" + STRINGS["utf8"](decomposed) + b"\x00\x01a")

    def test_text_that_is_none(self) -> None:
        for data in (
            b"\x00\x00\x03bob\x00\x01\xff",
            b"\x00\x00\x00\x00\x02\x00b\x00\x00\x00\x02\xd8\x00",
            b"\x00\x00\x00\x00\x02\x00b\x00\x00\x00\x01\x00",
        ):
            self.assertRaises(WireError, codec().decode, data)

    def test_unknown_types(self) -> None:
        for number in (*range(10, 256),):
            error = self.assertRaises(WireError, codec().decode, bytes((number,)))
            self.assertEqual((error.code, error.tag), (ErrorCode.UNKNOWN_COMMAND, number))


class LoggingIn(SynchronousTestCase):
    """The first message."""

    def first(self, data: bytes, auth: Any = "none") -> Any:
        return codec(opened=False, auth=auth).decode(data)

    def test_login_and_register(self) -> None:
        for kind, register in ((b"\x08", False), (b"\x09", True)):
            for auth in ("none", "token", "password"):
                request = self.first(kind + b"\x00\x05alice\x00\x02pw", auth)
                self.assertEqual(request.command, LogIn(user="alice", password="pw", register=register))
                self.assertFalse(request.close_if_refused)

    def test_answers_of_login(self) -> None:
        made = codec(opened=False)
        request = made.decode(b"\x08\x00\x05alice\x00\x02pw")
        self.assertEqual(
            made.refusal(request.tag, ImError(ErrorCode.AUTH_FAILED, "no"), request.command),
            [b"\x0a\x00\x00\x02no"],
        )
        again = made.decode(b"\x08\x00\x07user123\x00\x02pw")
        self.assertEqual(again.command, LogIn(user="user123", password="pw"))
        self.assertEqual(made.reply(again, LOGGED_IN), [b"\x0a\x01\x00\x03tok\x00\x07user123"])

    def test_a_registration_has_no_answer_but_a_refusal(self) -> None:
        for framing in Framing:
            made = codec(framing, opened=False)
            request = made.decode(REGISTRATION)
            self.assertEqual(made.reply(request, LOGGED_IN), [])
            refusal = made.refusal(request.tag, ImError(ErrorCode.AUTH_FAILED, "no"))
            self.assertEqual(refusal, [b"\x0a\x00\x00\x02no"])

    def test_tokens(self) -> None:
        for auth in ("none", "token", "password"):
            for token in (b"\x00\x03abc", b"\x00\x00\x00\x06\x00a\x00b\x00c"):
                request = self.first(REGISTRATION + token, auth)
                self.assertEqual(request.command, LogIn(user="user123", token="abc"))
                self.assertTrue(request.close_if_refused)

    def test_what_the_listener_asks_for(self) -> None:
        for auth in ("token", "password"):
            for kind in range(8):
                error = self.assertRaises(WireError, self.first, bytes((kind,)) + REGISTRATION[1:], auth)
                self.assertEqual(
                    (error.code, error.tag, error.fatal), (ErrorCode.AUTH_FAILED, REGISTRATION_TAG, True)
                )


class Answers(SynchronousTestCase):
    """What is told, to whom, in which form."""

    def test_text_is_not_answered(self) -> None:
        made = codec()
        request = made.decode(b"\x00\x00\x03bob\x00\x01a")
        self.assertEqual(made.reply(request, MessageAccepted("m", "c", 1, 0.0)), [])

    def test_errors_go_to_framed_peers(self) -> None:
        error = ImError(ErrorCode.USER_NOT_FOUND, "no")
        self.assertEqual(codec().refusal(0, error), [b"\x0b\x00\x01\x94\x00\x02no"])
        self.assertEqual(codec().refusal(None, error), [b"\x0b\xff\x01\x94\x00\x02no"])
        unframed = codec(Framing.NONE)
        self.assertEqual(unframed.refusal(0, error), [])
        self.assertEqual(unframed.unanswered, 1)
        # A call is answered in words that the document has: no such call, "no".
        zeros = "00000000-0000-0000-0000-000000000000".encode("utf-16-be")
        reject = b"\x04\x00\x00\x00\x48" + zeros + b"\x00\x00\x00\x04\x00n\x00o"
        self.assertEqual(unframed.refusal(2, error), [reject])
        self.assertEqual(codec().refusal(2, error), [b"\x0b\x02\x01\x94\x00\x02no"])
        told = codec(Framing.NONE, errors=True)
        self.assertEqual(told.refusal(2, error)[0][:2], b"\x0b\x02")
        self.assertEqual(told.refusal(0, error), [b"\x0b\x00\x01\x94\x00\x00\x00\x04\x00n\x00o"])

    def test_what_a_file_waits_for_is_called_off_by_its_name(self) -> None:
        error = ImError(ErrorCode.FORBIDDEN, "no")
        for command in (OfferFile("bob", "t1", "a", 5, "0" * 64), CompleteFile("t1"), AckChunks("t1", 0)):
            cancel = b"\x01\x03\x00\x02t1\x00\x02no"
            self.assertEqual(codec().refusal(1, error, command), [b"\x0b\x01\x01\x93\x00\x02no", cancel])
            unframed = codec(Framing.NONE)
            wide = b"\x01\x03\x00\x00\x00\x04\x00t\x001\x00\x00\x00\x04\x00n\x00o"
            self.assertEqual(unframed.refusal(1, error, command), [wide])
            self.assertEqual(unframed.unanswered, 0)
        for quiet in (SendChunk("t1", 0, b"x"), CancelFile("t1")):
            self.assertEqual(codec().refusal(1, error, quiet), [b"\x0b\x01\x01\x93\x00\x02no"])
            self.assertEqual(codec(Framing.NONE).refusal(1, error, quiet), [])

    def test_every_code_has_a_status(self) -> None:
        for code in ErrorCode:
            status = int.from_bytes(codec().refusal(0, ImError(code, ""))[0][2:4], "big")
            self.assertIn(status, (400, 401, 403, 404, 409, 413, 426, 429, 500, 503))

    def test_nothing_is_said_before_the_framing_is_known(self) -> None:
        made = QDataStreamServerCodec(errors=True)
        self.assertEqual(made.refusal(None, ImError(ErrorCode.AUTH_FAILED, "late")), [])

    def test_goodbyes(self) -> None:
        kicked = SessionKicked(KickReason.SHUTDOWN, "bye")
        self.assertEqual(codec().event(kicked), [b"\x0b\xff\x01\xf7\x00\x03bye"])
        self.assertEqual(codec(Framing.NONE).event(kicked), [])

    def test_presence(self) -> None:
        event = PresenceChanged("bob", PresenceState.AWAY, 0.0)
        self.assertEqual(codec(presence=True).event(event), [b"\x0c\x00\x03bob\x02"])
        self.assertEqual(codec().event(event), [])
        self.assertEqual(codec(Framing.NONE, presence=True).event(event), [])

    def test_the_form_the_peer_last_used(self) -> None:
        for framing, first in ((Framing.INT16, "utf8"), (Framing.NONE, "qstring")):
            made = codec(framing)
            self.assertEqual(pushed(made, message()), [b"\0" + b"".join(map(STRINGS[first], ("bob", "hi")))])
            for form in ("utf8", "qstring", "utf8"):
                made.decode(b"\x00" + STRINGS[form]("bob") + STRINGS[form]("x"))
                made.decode(b"\x07")
                expected = b"\0" + b"".join(map(STRINGS[form], ("bob", "hi")))
                self.assertEqual(pushed(made, message()), [expected])

    def test_groups(self) -> None:
        sent = message(group="demo", recipient="")
        self.assertEqual(pushed(codec(), sent), [b"\x00\x00\x0egroup_demo/bob\x00\x02hi"])

    def test_what_is_passed_over(self) -> None:
        self.assertEqual(pushed(codec(), message(sender="user123", recipient="bob")), [])
        self.assertEqual(pushed(codec(), message(sender="user123", recipient="", group="g")), [])
        self.assertEqual(pushed(codec(), message(revoked=Revocation("bob", 0.0))), [])
        to_self = pushed(codec(), message(sender="user123"))
        self.assertEqual(to_self, [b"\x00\x00\x07user123\x00\x02hi"])

    def test_backlog(self) -> None:
        rows = [
            InboxRow(1, message("a")),
            InboxRow(2, message("b", revoked=Revocation("bob", 0.0))),
            InboxRow(3, message("c", sender="user123", recipient="bob")),
            InboxRow(4, message("d")),
        ]
        page = InboxPage(rows, 4, 1, False, "e")
        self.assertEqual(codec().backlog(page), [b"\x00\x00\x03bob\x00\x01a", b"\x00\x00\x03bob\x00\x01d"])

    def test_other_content(self) -> None:
        for content, text in (
            (Content(Form.JSON, b'{"type":"emoji","name":"smile"}', 0), "[emoji] smile"),
            (Content(Form.OPAQUE, b"\xff", 3), "[voice]"),
            (Content(Form.OPAQUE, b'{"file_id":"f","name":"a.png"}', 2), "[image] a.png"),
        ):
            expected = b"\x00\x00\x03bob" + STRINGS["utf8"](text)
            self.assertEqual(pushed(codec(), message(content=content)), [expected])
        attached = message(attachments=b'[{"type":"file","name":"a.txt"},{"x":1}]')
        self.assertEqual(
            [frame[6:] for frame in pushed(codec(), attached)],
            [b"\x00\x02hi", b"\x00\x0c[file] a.txt", b"\x00\x06[file]"],
        )


class Calls(SynchronousTestCase):
    """What events of calls look like; the model's are richer than the document's."""

    def test_every_ending_is_a_reject_or_an_end(self) -> None:
        call = b"\x00\x24" + CALL.encode()
        reasons = {
            Ending.REJECTED: b"", Ending.BUSY: b"user busy", Ending.OFFLINE: b"user offline",
            Ending.NO_ANSWER: b"no answer", Ending.NO_DEVICE: b"no compatible device",
        }  # fmt: skip
        for ending in Ending:
            expected = b"\x05" + call
            if ending in reasons:
                expected = b"\x04" + call + bytes((0, len(reasons[ending]))) + reasons[ending]
            # A person's words belong to a rejection alone.
            words = "" if ending is Ending.REJECTED else "words"
            self.assertEqual(codec().event(ended(ending, reason=words, glare=True)), [expected], ending)
            self.assertEqual(codec().event(CallStopped(CALL, "a", "b", 1.0, ending)), [b"\x05" + call])

    def test_what_the_document_has_no_message_for(self) -> None:
        for event in (
            CallRinging(CALL, "bob", "alice", True, 1.0),
            CallSignal(CALL, Signal.ICE, "bob", "alice", b"{}"),
            CallMissed(CALL, "bob", "alice", True, 1.0, 2.0),
        ):
            self.assertEqual(codec().event(event), [])
        client = QDataStreamClientCodec()
        for command in (SignalCall(CALL, Signal.ICE), ListCalls(), StartCall("bob", True, CALL)):
            self.assertRaises(ValueError, client.request, command, None)

    def test_a_reason_is_cut_between_characters(self) -> None:
        for form, codec_name, most in (("utf8", "utf-8", 255), ("qstring", "utf-16-be", 510)):
            made = codec()
            made.decode(b"\x03" + STRINGS[form](CALL))
            head = b"\x04" + STRINGS[form](CALL)
            for reason in ("x" * 300, "界" * 300, "a" + "😀" * 300, "xy" + "é" * 300):
                (data,) = made.event(ended(Ending.REJECTED, reason=reason))
                written = data[len(head) + (2 if form == "utf8" else 4) :]
                self.assertTrue(most - 3 <= len(written) <= most)
                self.assertTrue(reason.startswith(written.decode(codec_name)))
                # And it is one that may be read again.
                self.assertEqual(codec().decode(data).command.reason, written.decode(codec_name))

    def test_media_fits_into_frames(self) -> None:
        data = bytes(range(256)) * 300
        for string in STRINGS.values():
            for framing in Framing:
                made = codec(framing)
                made.decode(b"\x03" + string(CALL))
                head = b"\x06" + string(CALL)
                frames = made.event(CallMedia(data, CALL))
                self.assertEqual(len(frames), 2 if framing is Framing.INT16 else 1)
                self.assertTrue(all(frame.startswith(head) for frame in frames))
                self.assertEqual(b"".join(frame[len(head) :] for frame in frames), data)
                self.assertEqual(made.event(CallMedia(data[:65_000], CALL)), [head + data[:65_000]])
                self.assertEqual(made.event(CallMedia(b"", CALL)), [head])

    def test_media_of_one_call_after_the_other(self) -> None:
        made = codec()
        for form, string in [*STRINGS.items(), *STRINGS.items()]:
            made.decode(b"\x03" + STRINGS[form](CALL))
            for call in (CALL, CALL, "0" * 36):
                self.assertEqual(made.event(CallMedia(b"m", call)), [b"\x06" + string(call) + b"m"])

    def test_media_that_is_too_long(self) -> None:
        self.assertEqual(codec().decode(b"\x06" + bytes(65_000)).command, CallMedia(bytes(65_000)))
        error = self.assertRaises(WireError, codec().decode, b"\x06" + bytes(65_001))
        self.assertEqual((error.code, error.tag, error.fatal), (ErrorCode.TOO_LARGE, 6, False))
        # What came in one read without frames is one piece, however long.
        self.assertEqual(
            codec(Framing.NONE).decode(b"\x06" + bytes(99_999)).command, CallMedia(bytes(99_999))
        )

    def test_who_reads_the_media_hears_when_a_call_runs(self) -> None:
        made = codec(Framing.NONE)
        heard: list[tuple[str, bool]] = []
        made.on_call = lambda call, runs: heard.append((call, runs))
        made.event(CallIncoming(CALL, "bob", "user123", True, 1.0))
        made.event(CallStopped(CALL, "bob", "user123", 1.0))
        made.event(CallMedia(b"x", CALL))
        self.assertEqual(heard, [])
        made.event(CallAccepted(CALL, "bob", "user123", 1.0))
        made.event(ended(Ending.HANGUP))
        made.event(CallAnswered("other", "bob", "user123", 1.0))
        self.assertEqual(heard, [(CALL, True), (CALL, False), ("other", True)])

    def test_a_client_knows_which_accept_is_its_own(self) -> None:
        client = QDataStreamClientCodec()
        accept = b"\x03\x00\x24" + CALL.encode()
        self.assertEqual(client.decode(accept), (None, CallAnswered(CALL, "", "", 0.0)))
        self.assertEqual(client.request(AnswerCall(CALL), None), accept)
        self.assertEqual(client.decode(accept), (None, CallAccepted(CALL, "", "", 0.0)))


class Cutting(SynchronousTestCase):
    """Texts that do not fit."""

    def test_every_room_keeps_characters_whole(self) -> None:
        text = "ab😀c界é" * 3
        for form, kind, head in (("utf8", StringForm.UTF8, 2), ("qstring", StringForm.QSTRING, 4)):
            codec_name = "utf-8" if form == "utf8" else "utf-16-be"
            for room in range(8, 80):
                pieces = cut(text, kind, room)
                self.assertTrue(all(len(piece) <= room for piece in pieces))
                self.assertTrue(all(int.from_bytes(p[:head], "big") == len(p) - head for p in pieces))
                self.assertEqual("".join(str(piece[head:], codec_name) for piece in pieces), text)

    def test_the_largest_that_fits(self) -> None:
        for framing, form, size in (
            (Framing.INT16, "utf8", 65535 - 1 - 5 - 2),
            (Framing.INT16, "qstring", (65535 - 1 - 10 - 4) // 2),
            (Framing.NONE, "utf8", 65535),
        ):
            made = codec(framing)
            made.decode(b"\x03" + STRINGS[form](CALL))
            self.assertEqual(len(pushed(made, message("x" * size))), 1)
            frames = pushed(made, message("x" * (size + 1)))
            self.assertEqual(len(frames), 2)
            self.assertTrue(all(len(frame) <= 65535 for frame in frames) or framing is Framing.NONE)
        made = codec(Framing.NONE)
        self.assertEqual(len(pushed(made, message("x" * 65536))), 1)


class Clients(SynchronousTestCase):
    """The client's role reads what the server writes, and the other way round."""

    def test_commands(self) -> None:
        for form, kind in (("utf8", StringForm.UTF8), ("qstring", StringForm.QSTRING)):
            client = QDataStreamClientCodec(kind)
            for sample in samples(form):
                data = client.request(sample.command, None)
                self.assertEqual(codec().decode(data).command, sample.command)

    def test_log_in(self) -> None:
        client = QDataStreamClientCodec()
        for command in (
            LogIn(user="alice", password="pw"),
            LogIn(user="alice", password="pw", register=True),
            LogIn(user="alice", token="t"),
        ):
            self.assertEqual(codec(opened=False).decode(client.request(command, 1)).command, command)
        bare = client.request(LogIn(user="alice", unproven=True), 1)
        self.assertEqual(bare, b"\x07\x00\x05alice")

    def test_events(self) -> None:
        for form, kind in (("utf8", StringForm.UTF8), ("qstring", StringForm.QSTRING)):
            client = QDataStreamClientCodec(kind)
            made = codec(presence=True)
            made.decode(b"\x03" + STRINGS[form](CALL))
            for event in (
                CallIncoming(CALL, "bob", "", True, 0.0), CallAnswered(CALL, "", "", 0.0),
                *(CallEnded(CALL, "", "", ending, 0.0, 0.0) for ending in Ending
                  if ending in (Ending.REJECTED, Ending.HANGUP, *REJECT_REASONS)),
                CallEnded(CALL, "", "", Ending.REJECTED, 0.0, 0.0, reason="忙"),
                CallMedia(b"\x07", CALL),
                PresenceChanged("bob", PresenceState.BUSY, 0.0),
            ):  # fmt: skip
                (data,) = made.event(event)
                self.assertEqual(client.decode(data), (None, event))
            (data,) = pushed(made, message("你好", group="g", recipient=""))
            _, row = client.decode(data)
            self.assertEqual(
                (row.message.sender, row.message.group, row.message.content.data.decode()),
                ("bob", "g", "你好"),
            )
            (data,) = made.refusal(0, ImError(ErrorCode.TOO_FAST, ""))
            _, error = client.decode(data)
            self.assertEqual((error.code, error.text), (ErrorCode.TOO_FAST, ""))

    def test_answers_carry_their_tags(self) -> None:
        client = QDataStreamClientCodec()
        client.request(LogIn(user="alice", password="pw"), "l")
        client.request(Ping(), "p")
        self.assertEqual(client.decode(b"\x07"), ("p", Pong(0.0)))
        tag, reply = client.decode(b"\x0a\x01\x00\x03tok\x00\x05alice")
        self.assertEqual((tag, reply.user, reply.token), ("l", "alice", "tok"))
        client.request(LogIn(user="alice", password="pw"), "m")
        tag, error = client.decode(b"\x0a\x00\x00\x02no")
        self.assertEqual((tag, error.code, error.text), ("m", ErrorCode.AUTH_FAILED, "no"))

    def test_errors_go_to_whom_they_concern(self) -> None:
        client = QDataStreamClientCodec()
        client.request(Ping(), "p")
        tag, error = client.decode(bytes.fromhex("0b 07 01ad 0004 736c6f77"))
        self.assertEqual((tag, error.code, error.text), ("p", ErrorCode.TOO_FAST, "slow"))
        tag, error = client.decode(bytes.fromhex("0b 00 01ad 0004 736c6f77"))
        self.assertEqual((tag, type(error)), (None, ImError))
        for status, reason in (
            ("0199", KickReason.OTHER_DEVICE),
            ("0191", KickReason.ACCOUNT),
            ("01f7", KickReason.SHUTDOWN),
            ("01ad", KickReason.SLOW),
        ):
            goodbye = client.decode(bytes.fromhex(f"0b ff {status} 0003 627965"))
            self.assertEqual(goodbye, (None, SessionKicked(reason, "bye")))
        tag, error = client.decode(bytes.fromhex("0b 03 0194 0002 6e6f"))
        self.assertEqual((tag, type(error), error.fault), (None, CallError, CallFault.UNKNOWN_CALL))
        # A message without a type is answered like that, and is no goodbye.
        self.assertEqual(client.decode(bytes.fromhex("0b ff 0190 0000"))[1].code, ErrorCode.BAD_REQUEST)
