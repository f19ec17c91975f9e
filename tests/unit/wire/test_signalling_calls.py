"""Calls in document 002: its own messages, what the server makes of events, and hostile fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.call_records import CallMissed
from imserver.model.calls import (
    AnswerCall,
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallIncoming,
    CallQuality,
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
from imserver.wire.signalling import SignallingClientCodec
from tests.clients import msgpack
from tests.clients.signalling_client import check
from tests.unit.wire.test_signalling_golden import NOON, server

DOCUMENT = json.loads((Path(__file__).parent / "signalling_document.json").read_text(encoding="utf-8"))
OFFER, ANSWER, ICE, END, STATUS, *ERRORS = DOCUMENT["messages"]
ID = "call_123456789"
SERVERS = {"call_id", "from_user", "to_user"}


def read(kind: str, payload: Any, binary: bool = False) -> Any:
    """The command in a message."""
    frame = {"type": kind, "payload": payload}
    return server(binary).decode(msgpack.pack(frame) if binary else json.dumps(frame).encode()).command


def written(event: Any, user: str = "1", binary: bool = False) -> list[dict[str, Any]]:
    """The messages that tell an event, judged by the client written by hand."""
    codec = server(binary)
    codec._user = user
    frames = codec.event(event)
    return [check(msgpack.unpack(frame) if binary else json.loads(frame)) for frame in frames]


def each(*values: Any) -> tuple[Any, ...]:
    """Values of any types."""
    return values


def compact(value: Any) -> bytes:
    """JSON as a detail."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def rest(message: dict[str, Any], *owned: str) -> bytes:
    """The clients' part of a payload."""
    return compact({k: v for k, v in message["payload"].items() if k not in SERVERS | set(owned)})


class Document(SynchronousTestCase):
    """Every message of the document, as a client sends it and as the other one gets it."""

    def test_the_server_reads_them(self) -> None:
        for binary in (False, True):
            offer = read("call.offer", OFFER["payload"], binary)
            detail = rest(OFFER, "created_at")
            self.assertEqual(offer, StartCall("2", True, ID, detail))
            self.assertTrue(detail.startswith(b'{"call_type":"video","sdp":{"type":"offer","sdp":"v=0\\r\\n'))
            answer = read("call.answer", ANSWER["payload"], binary)
            self.assertEqual(answer, AnswerCall(ID, rest(ANSWER, "answered_at")))
            self.assertEqual(read("call.ice", ICE["payload"], binary), SignalCall(ID, Signal.ICE, rest(ICE)))
            self.assertEqual(read("call.end", END["payload"], binary), EndCall(ID, "user_hangup"))
            for word in ("user_rejected", "user_busy", "timeout"):
                # Where it rings this rejects; it must not end what another device has answered.
                self.assertEqual(
                    read("call.end", {"call_id": ID, "reason": word}, binary), RejectCall(ID, word)
                )
                self.assertEqual(read("call.end", {"reason": word}, binary), EndCall("", word))
            self.assertEqual(
                read("call.status", STATUS["payload"], binary),
                SignalCall(ID, Signal.STATUS, rest(STATUS), CallQuality(0.01, 0.005, 0.05)),
            )
            for error in ERRORS:
                self.assertEqual(
                    read("call.error", error["payload"], binary), SignalCall(ID, Signal.ERROR, rest(error))
                )

    def test_the_server_writes_them(self) -> None:
        self.assertEqual(len(ERRORS), 3)
        at = {"call_id": ID, "from_user": 1, "to_user": 2}
        for event, user, told in (
            (CallIncoming(ID, "1", "2", True, NOON, rest(OFFER, "created_at")), "2", OFFER),
            (CallSignal(ID, Signal.ICE, "1", "2", rest(ICE)), "2", ICE),
            (
                CallSignal(ID, Signal.STATUS, "1", "2", rest(STATUS)),
                "2",
                {**STATUS, "payload": {**at, **STATUS["payload"]}},
            ),
            *(
                (
                    CallSignal(ID, Signal.ERROR, "1", "2", rest(error)),
                    "2",
                    {**error, "payload": {**at, **error["payload"]}},
                )
                for error in ERRORS
            ),
            (
                CallEnded(ID, "1", "2", Ending.HANGUP, NOON - 5, NOON + 120, NOON, "1", "user_hangup"),
                "2",
                END,
            ),
        ):
            for binary in (False, True):
                (message,) = written(event, user, binary)
                self.assertEqual(list(message["payload"]), list(told["payload"]))
                self.assertEqual({**message, "timestamp": told["timestamp"]}, told)
        answer, status = written(CallAnswered(ID, "1", "2", NOON, rest(ANSWER, "answered_at")))
        self.assertEqual((answer, list(answer["payload"])), (ANSWER, list(ANSWER["payload"])))
        self.assertEqual(status["payload"]["status"], "answered")

    def test_media_constraints_go_as_they_are(self) -> None:
        for constraints in (DOCUMENT["constraints"], *DOCUMENT["constraints"].values(), None, [], "opaque"):
            payload = {**OFFER["payload"], "constraints": constraints}
            detail = read("call.offer", payload).detail
            (message,) = written(CallIncoming(ID, "1", "2", True, NOON, detail), "2")
            self.assertEqual(message["payload"], payload)

    def test_the_client_writes_them(self) -> None:
        client = SignallingClientCodec()
        for command, told in (
            (StartCall("2", True, ID, rest(OFFER, "created_at", "call_type")), OFFER),
            (AnswerCall(ID, rest(ANSWER, "answered_at")), ANSWER),
            (SignalCall(ID, Signal.ICE, rest(ICE)), ICE),
            (EndCall(ID, "user_hangup"), END),
            (RejectCall(ID, "user_hangup"), END),
            (SignalCall(ID, Signal.STATUS, rest(STATUS)), STATUS),
            *((SignalCall(ID, Signal.ERROR, rest(error)), error) for error in ERRORS),
        ):
            message = json.loads(client.request(command, None))
            self.assertEqual(message["type"], told["type"])
            servers = {"from_user", "to_user", "created_at", "answered_at", "ended_at"} | (
                {"duration"} if told is END else set()
            )
            wanted = {k: v for k, v in told["payload"].items() if k not in servers}
            got = {k: v for k, v in message["payload"].items() if k != "to_user"}
            self.assertEqual(got, wanted)
        for signal in (Signal.OFFER, Signal.ANSWER):
            self.assertRaises(ValueError, client.request, SignalCall(ID, signal), None)


class Events(SynchronousTestCase):
    """Events to messages, and back."""

    def test_ringing(self) -> None:
        (message,) = written(CallRinging(ID, "1", "2", True, NOON))
        self.assertEqual(message["type"], "call.status")
        self.assertEqual(
            message["payload"], {"call_id": ID, "status": "ringing", "created_at": "2025-10-07T12:00:00Z"}
        )

    def test_the_answer_comes_before_its_status(self) -> None:
        told = written(CallAnswered(ID, "1", "bob", NOON, b'{"sdp":"v=0"}'))
        self.assertEqual([one["type"] for one in told], ["call.answer", "call.status"])
        self.assertEqual(
            told[0]["payload"],
            {
                "call_id": ID,
                "from_user": "bob",
                "to_user": 1,
                "sdp": "v=0",
                "answered_at": "2025-10-07T12:00:00Z",
            },
        )
        self.assertEqual(
            told[1]["payload"], {"call_id": ID, "status": "answered", "answered_at": "2025-10-07T12:00:00Z"}
        )
        self.assertEqual(written(CallAccepted(ID, "1", "2", NOON), "2"), [])

    def test_renegotiation(self) -> None:
        detail = b'{"call_type":"audio","sdp":"v=0 a"}'
        (message,) = written(CallSignal(ID, Signal.OFFER, "2", "1", detail))
        self.assertEqual(
            (message["type"], message["payload"]),
            (
                "call.offer",
                {
                    "call_id": ID,
                    "from_user": 2,
                    "to_user": 1,
                    "call_type": "audio",
                    "sdp": "v=0 a",
                    "created_at": "2025-10-07T12:00:00Z",
                },
            ),
        )
        (message,) = written(CallSignal(ID, Signal.ANSWER, "1", "2", b'{"sdp":"v=0 b"}'))
        self.assertEqual(message["type"], "call.answer")
        self.assertEqual(message["payload"]["answered_at"], "2025-10-07T12:00:00Z")

    def ended(self, ending: Ending, user: str = "1", **more: Any) -> dict[str, Any]:
        (message,) = written(CallEnded(ID, "1", "2", ending, NOON - 60, NOON, **more), user)
        return message

    def test_all_endings_have_their_reason(self) -> None:
        for ending, reason in {
            Ending.HANGUP: "user_hangup",
            Ending.CANCELLED: "user_hangup",
            Ending.REJECTED: "user_rejected",
            Ending.BUSY: "user_busy",
            Ending.NO_ANSWER: "timeout",
            Ending.TOO_LONG: "timeout",
            Ending.LOST: "network_error",
            Ending.SHUTDOWN: "server_error",
        }.items():
            message = self.ended(ending)
            self.assertEqual(message["type"], "call.end", ending)
            self.assertEqual(
                message["payload"],
                {
                    "call_id": ID,
                    "from_user": 2,
                    "to_user": 1,
                    "reason": reason,
                    "duration": 0,
                    "ended_at": "2025-10-07T12:00:00Z",
                },
            )
            (stopped,) = written(CallStopped(ID, "1", "2", NOON, ending), "2")
            self.assertEqual(stopped["payload"]["reason"], reason)
        for ending, reason in {
            Ending.OFFLINE: "user_offline",
            Ending.NO_DEVICE: "no_compatible_device",
        }.items():
            message = self.ended(ending)
            self.assertEqual(message["type"], "call.error", ending)
            self.assertEqual(message["payload"]["details"], {"reason": reason})
            self.assertEqual(message["payload"]["call_id"], ID)
        (stopped,) = written(CallStopped(ID, "1", "2", NOON), "2")
        self.assertEqual(
            stopped["payload"],
            {
                "call_id": ID,
                "from_user": 1,
                "to_user": 2,
                "reason": "answered_elsewhere",
                "duration": 0,
                "ended_at": "2025-10-07T12:00:00Z",
            },
        )

    def test_who_ended_it(self) -> None:
        for user, by, parties in (
            ("1", "2", (2, 1)),
            ("1", "1", (1, 2)),
            ("2", "1", (1, 2)),
            ("2", "2", (2, 1)),
            ("1", "", (2, 1)),
            ("2", "", (1, 2)),
        ):
            payload = self.ended(Ending.LOST, user, by=by)["payload"]
            self.assertEqual((payload["from_user"], payload["to_user"]), parties, (user, by))

    def test_durations_are_the_servers(self) -> None:
        self.assertEqual(
            self.ended(Ending.HANGUP, answered_at=NOON - 59.5, by="2")["payload"]["duration"], 59
        )

    def test_a_persons_word_is_passed_on_if_the_document_has_it(self) -> None:
        for ending, given, told in (
            (Ending.HANGUP, "network_error", "network_error"),
            (Ending.HANGUP, "gone fishing", "user_hangup"),
            (Ending.HANGUP, "server_error", "user_hangup"),
            (Ending.HANGUP, "answered_elsewhere", "user_hangup"),
            (Ending.CANCELLED, "timeout", "timeout"),
            (Ending.REJECTED, "user_busy", "user_busy"),
            (Ending.REJECTED, "user_hangup", "user_rejected"),
            (Ending.REJECTED, "", "user_rejected"),
            (Ending.LOST, "user_hangup", "network_error"),
            (Ending.SHUTDOWN, "user_hangup", "server_error"),
        ):
            self.assertEqual(self.ended(ending, reason=given)["payload"]["reason"], told, (ending, given))

    def test_glare_and_details_of_an_end(self) -> None:
        self.assertEqual(self.ended(Ending.BUSY, glare=True)["payload"]["details"], {"glare": True})
        payload = self.ended(Ending.HANGUP, by="2", detail=b'{"note":[1],"details":{"a":2}}')["payload"]
        self.assertEqual((payload["note"], payload["details"]), ([1], {"a": 2}))

    def test_a_missed_call(self) -> None:
        event = CallMissed(ID, "1", "bob", False, NOON - 30, NOON)
        for binary in (False, True):
            (message,) = written(event, "bob", binary)
            self.assertEqual(message["type"], "notification")
            self.assertEqual(
                message["payload"],
                {
                    "event_type": "missed_call",
                    "call_id": ID,
                    "from_user": 1,
                    "to_user": "bob",
                    "call_type": "audio",
                    "created_at": "2025-10-07T11:59:30Z",
                    "ended_at": "2025-10-07T12:00:00Z",
                },
            )
        (frame,) = server().event(event)
        self.assertEqual(SignallingClientCodec().decode(frame), (None, event))

    def test_the_client_reads_what_it_can_know(self) -> None:
        client = SignallingClientCodec()

        def told(event: Any, user: str = "1") -> list[Any]:
            codec = server()
            codec._user = user
            return [client.decode(frame)[1] for frame in codec.event(event)]

        detail = b'{"sdp":"v=0"}'
        incoming = CallIncoming(ID, "1", "2", True, NOON, detail)
        self.assertEqual(told(incoming, "2"), [incoming])
        answered = CallAnswered(ID, "1", "2", NOON, detail)
        status = CallSignal(
            ID, Signal.STATUS, "", "", b'{"status":"answered","answered_at":"2025-10-07T12:00:00Z"}'
        )
        self.assertEqual(told(answered), [answered, status])
        self.assertEqual(told(CallRinging(ID, "1", "2", True, NOON)), [CallRinging(ID, "", "", False, NOON)])
        for signal in (Signal.ICE, Signal.STATUS, Signal.ERROR):
            event = CallSignal(ID, signal, "2", "1", b'{"status":"ringing"}')
            self.assertEqual(told(event), [event])
        ended = CallEnded(ID, "1", "2", Ending.BUSY, NOON - 9, NOON, glare=True)
        self.assertEqual(told(ended), [CallEnded(ID, "", "", Ending.BUSY, 0.0, NOON, by="2", glare=True)])
        ended = CallEnded(ID, "1", "2", Ending.HANGUP, NOON - 9, NOON, NOON - 5, "1", detail=b'{"a":1}')
        self.assertEqual(
            told(ended), [CallEnded(ID, "", "", Ending.HANGUP, 0.0, NOON, NOON - 5, "1", detail=b'{"a":1}')]
        )
        for ending in (Ending.OFFLINE, Ending.NO_DEVICE):
            ended = CallEnded(ID, "1", "2", ending, NOON, NOON)
            self.assertEqual(told(ended), [CallEnded(ID, "", "", ending, 0.0, NOON)])
        stopped = CallStopped(ID, "1", "2", NOON)
        self.assertEqual(told(stopped), [stopped])
