"""Calls in document 002: what is refused, and in which words; ids, sizes and hostile fields."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.calls import (
    CallAnswered,
    CallEnded,
    CallError,
    CallFault,
    CallIncoming,
    CallQuality,
    CallSignal,
    EndCall,
    Ending,
    Media,
    Signal,
    StartCall,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Done
from imserver.wire.base import WireError
from imserver.wire.signalling import SignallingClientCodec
from imserver.wire.signalling.call_details import call_text, call_value
from tests.clients.signalling_client import check
from tests.unit.wire.test_signalling_calls import DOCUMENT, ICE, ID, OFFER, compact, each, read, written
from tests.unit.wire.test_signalling_golden import NOON, server
from tests.unit.wire.test_signalling_rules import refused


class Refusals(SynchronousTestCase):
    def test_every_fault_has_its_reason(self) -> None:
        codec = server()
        request = codec.decode(compact({"type": "call.ice", "payload": ICE["payload"], "id": "q"}))
        for fault in CallFault:
            (frame,) = codec.refusal(request.tag, CallError(fault, "no", ID), request.command)
            message = check(json.loads(frame))
            self.assertEqual((message["type"], message["id"]), ("call.error", "q"))
            self.assertEqual(
                message["payload"],
                {
                    "call_id": ID,
                    "error_code": "SIGNALING_ERROR",
                    "error_message": "no",
                    "details": {"reason": fault.value},
                },
            )
            tag, error = SignallingClientCodec().decode(frame)
            self.assertEqual((tag, error.fault, error.text, error.call), ("q", fault, "no", ID))
        for code in (ErrorCode.TOO_FAST, ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL, ErrorCode.TOO_LARGE):
            (frame,) = codec.refusal(request.tag, ImError(code, "no"), request.command)
            self.assertEqual(check(json.loads(frame))["payload"]["details"], {"reason": code.value.lower()})
            self.assertIs(SignallingClientCodec().decode(frame)[1].code, code)

    def test_nothing_is_answered_but_refusals(self) -> None:
        for message in DOCUMENT["messages"]:
            codec = server()
            self.assertEqual(codec.reply(codec.decode(compact({**message, "id": 1})), Done()), [])

    def test_unknown_types(self) -> None:
        for kind in ("call.", "call.hold", "call.OFFER"):
            answer = refused({"type": kind, "payload": {"call_id": 5}})
            self.assertEqual((answer["type"], answer["payload"]["call_id"]), ("call.error", 5))
            self.assertEqual(answer["payload"]["details"], {"reason": "unknown_command"})

    def test_the_format_says_how_its_media_travels(self) -> None:
        self.assertIs(server().traits.media, Media.WEBRTC)


class Ids(SynchronousTestCase):
    def test_call_ids_come_back_as_they_were(self) -> None:
        for given in (
            "call_1",
            "7",
            "007",
            "0",
            0,
            7,
            2**53 - 1,
            str(2**53),
            "x" * 128,
            "界" * 42,
            "a b",
            "{}",
        ):
            call = read("call.ice", {"call_id": given}).call
            self.assertIs(type(call), str)
            for binary in (False, True):
                (message,) = written(CallSignal(call, Signal.ICE, "1", "2"), "2", binary)
                told = message["payload"]["call_id"]
                self.assertEqual((told, type(told)), (given, type(given)))
            self.assertEqual(call_text(call_value(call)), call)
        self.assertNotEqual(call_text("7"), call_text(7))

    def test_ids_that_cannot_be(self) -> None:
        for kind in ("call.offer", "call.answer", "call.ice", "call.end", "call.status", "call.error"):
            for wrong in each(
                True,
                1.5,
                [],
                {},
                -1,
                2**53,
                "x" * 129,
                "界" * 43,
                '"',
                '"7"',
                "a\nb",
                "\x00",
                "a\u202eb",
            ):
                payload = {
                    "call_id": wrong,
                    "to_user": 2,
                    "call_type": "audio",
                    "sdp": "v=0",
                    "status": "x",
                    "error_code": "x",
                }
                for binary in (False, True):
                    answer = refused({"type": kind, "payload": payload, "id": "q"}, binary)
                    self.assertEqual((answer["type"], answer["id"]), ("call.error", "q"), wrong)
                    self.assertEqual(answer["payload"]["details"], {"reason": "bad_request"}, wrong)
            if kind not in ("call.offer", "call.end"):
                for none in each({}, {"call_id": None}, {"call_id": ""}):
                    self.assertEqual(
                        refused(
                            {
                                "type": kind,
                                "payload": {"sdp": "v=0", "status": "x", "error_code": "x", **none},
                            }
                        )["payload"]["details"],
                        {"reason": "bad_request"},
                    )

    def test_ids_that_need_not_be(self) -> None:
        self.assertEqual(read("call.end", {}), EndCall())
        self.assertEqual(read("call.end", {"call_id": None, "reason": ""}), EndCall())
        offer = {"to_user": "bob", "call_type": "audio", "sdp": "v=0"}
        detail = b'{"call_type":"audio","sdp":"v=0"}'
        self.assertEqual(read("call.offer", offer), StartCall("bob", False, "", detail))
        offer = {"call_id": ID, "call_type": "audio", "sdp": "v=0"}
        self.assertEqual(read("call.offer", offer), StartCall("", False, ID, detail))
        for callee in (2, "2"):
            self.assertEqual(read("call.offer", {**offer, "to_user": callee}).callee, "2")
        for nobody in ({}, {"to_user": None}, {"to_user": ""}):
            refused({"type": "call.offer", "payload": {"call_type": "audio", "sdp": "v=0", **nobody}})


WITHOUT_SDP: list[dict[str, Any]] = [
    {},
    {"sdp": None},
    {"constraints": {}, "ice_candidates": []},
    {"created_at": 1, "answered_at": 2},
]


class Hostile(SynchronousTestCase):
    """What a client must not be able to say."""

    def reason(self, kind: str, **payload: Any) -> str:
        told = None
        for binary in (False, True):
            given = {
                "call_id": ID,
                "to_user": 2,
                "call_type": "audio",
                "sdp": "v=0",
                "status": "s",
                "error_code": "e",
                **payload,
            }
            answer = refused({"type": kind, "payload": given}, binary)
            reason = answer["payload"]["details"]["reason"]
            assert told in (None, reason)
            told = reason
            self.assertEqual(answer["payload"]["call_id"], ID)
        assert isinstance(told, str)
        return told

    def test_descriptions(self) -> None:
        for kind in ("call.offer", "call.answer"):
            for wrong in each(
                1,
                True,
                [],
                ["v=0"],
                {},
                {"sdp": 1},
                {"sdp": None},
                {"sdp": ["v=0"]},
                {"type": "v=0"},
                "",
                "v = 0",
                {"sdp": ""},
                {"sdp": {"sdp": "v=0"}},
            ):
                self.assertEqual(self.reason(kind, sdp=wrong), "bad_sdp", wrong)
            for right in each("v=0", "xv=0", {"sdp": "v=0"}, {"type": "pranswer", "sdp": "v=0", "x": [1]}):
                self.assertIn(compact(right), self.detail(kind, sdp=right))

    def detail(self, kind: str, **payload: Any) -> bytes:
        detail: bytes = read(kind, {"call_id": ID, "to_user": 2, "call_type": "audio", **payload}).detail
        return detail

    def test_a_description_may_be_a_secret(self) -> None:
        for kind in ("call.offer", "call.answer"):
            self.assertIn(b'"sealed":"c2VjcmV0"', self.detail(kind, sealed="c2VjcmV0"))
            for more in WITHOUT_SDP:
                self.assertEqual(self.refused_without(kind, more), "bad_sdp")

    def refused_without(self, kind: str, more: dict[str, Any]) -> str:
        payload = {"call_id": ID, "to_user": 2, "call_type": "audio", **more}
        reason: str = refused({"type": kind, "payload": payload})["payload"]["details"]["reason"]
        return reason

    def test_call_types(self) -> None:
        for wrong in each(None, "", "Video", "screen", 1, True, [], {}, ["audio"]):
            self.assertEqual(self.reason("call.offer", call_type=wrong), "bad_request", wrong)
        self.assertEqual(
            refused({"type": "call.offer", "payload": {"to_user": 2, "sdp": "v=0"}})["type"], "call.error"
        )

    def test_callees(self) -> None:
        for wrong in each(True, 1.5, [], {}, -1, 2**53):
            self.assertEqual(self.reason("call.offer", to_user=wrong), "bad_request", wrong)

    def test_sizes(self) -> None:
        fits, beyond = "v=0" + "x" * 65533, "v=0" + "x" * 65534
        for kind in ("call.offer", "call.answer"):
            for wrap in (lambda text: text, lambda text: {"sdp": text}):
                self.detail(kind, sdp=wrap(fits))
                self.assertEqual(self.reason(kind, sdp=wrap(beyond)), "too_large")
            self.assertEqual(self.reason(kind, sdp="v=0" + "界" * 22000), "too_large")
            # A byte in MessagePack may be six in JSON.
            self.assertEqual(self.reason(kind, sdp="v=0" + "\x00" * 33000), "too_large")
            self.assertEqual(self.reason(kind, other="x" * 200_000), "too_large")
        candidate = {"candidate": "x" * (2048 - len('{"candidate":""}'))}
        large = {"candidate": candidate["candidate"] + "x"}
        for kind in ("call.offer", "call.answer"):
            self.detail(kind, sdp="v=0", ice_candidates=[candidate] * 80)
            self.assertEqual(self.reason(kind, ice_candidates=[candidate, large]), "too_large")
        read("call.ice", {"call_id": ID, "ice_candidate": candidate})
        self.assertEqual(self.reason("call.ice", ice_candidate=large), "too_large")
        self.assertEqual(self.reason("call.ice", ice_candidates=[large]), "too_large")
        self.assertEqual(self.reason("call.ice", ice_candidates=[candidate] * 3), "too_large")
        self.assertEqual(self.reason("call.ice", other="x" * 4096), "too_large")
        for kind in ("call.end", "call.status", "call.error"):
            read(kind, {"call_id": ID, "status": "s", "error_code": "e", "other": "x" * 16_000})
            self.assertEqual(self.reason(kind, other="x" * 16_384), "too_large")

    def test_candidates(self) -> None:
        for right in each(None, "", "candidate:1", {}, {"candidate": ""}):
            read("call.ice", {"call_id": ID, "ice_candidate": right})
        for wrong in each(1, True, [], 1.5):
            self.assertEqual(self.reason("call.ice", ice_candidate=wrong), "bad_request")
            self.assertEqual(self.reason("call.offer", ice_candidates=[wrong]), "bad_request")
        for wrong in each(1, True, {}, "x"):
            self.assertEqual(self.reason("call.answer", ice_candidates=wrong), "bad_request")

    def test_words(self) -> None:
        for wrong in each(1, True, [], {}, "x" * 256):
            self.assertEqual(self.reason("call.end", reason=wrong), "bad_request")
        for wrong in each(None, "", 1, True, [], {}, "x" * 256):
            self.assertEqual(self.reason("call.status", status=wrong), "bad_request")
            self.assertEqual(self.reason("call.error", error_code=wrong), "bad_request")

    def test_nesting(self) -> None:
        deep: Any = 1
        for _ in range(65):
            deep = [deep]
        for kind in ("call.offer", "call.answer", "call.ice", "call.end", "call.status", "call.error"):
            self.assertEqual(self.reason(kind, other=deep), "bad_request")
            for wrong in each(b"[]", b"5", b'"x"', b'{"call_id":"c","x":"\\ud800"}', b'{"x":1e999}'):
                frame = b'{"type":"%b","payload":%b}' % (kind.encode(), wrong)
                self.assertEqual(refused(frame)["payload"]["details"], {"reason": "bad_request"}, frame)

    def test_what_the_server_owns_is_never_the_clients(self) -> None:
        """Also not under a name written otherwise, or written twice."""
        for kind, event in (
            ("call.offer", lambda detail: CallIncoming(ID, "1", "2", False, NOON, detail)),
            ("call.answer", lambda detail: CallAnswered(ID, "2", "1", NOON, detail)),
            ("call.ice", lambda detail: CallSignal(ID, Signal.ICE, "1", "2", detail)),
            ("call.status", lambda detail: CallSignal(ID, Signal.STATUS, "1", "2", detail)),
            ("call.error", lambda detail: CallSignal(ID, Signal.ERROR, "1", "2", detail)),
            (
                "call.end",
                lambda detail: CallEnded(
                    ID, "1", "2", Ending.HANGUP, NOON, NOON, 0.0, "1", "", detail=detail
                ),
            ),
        ):
            frame = (
                b'{"type":"%b","payload":{"call_id":"x","call_id":"y","c\\u0061ll_id":"z","from_user":9,'
                b'"from\\u005fuser":"eve","to_user":2,"call_type":"audio","created_at":"x","answered_at":[],'
                b'"ended_at":5,"duration":-1,"sdp":"v=0","status":"s","error_code":"e","details":{}}}'
            ) % kind.encode()
            (frame_out, *_) = server().event(event(server().decode(frame).command.detail))
            pairs = json.loads(frame_out, object_pairs_hook=lambda pairs: pairs)
            payload = dict(pairs)["payload"]
            names = [name for name, _ in payload]
            self.assertEqual(len(names), len(set(names)), names)
            told = dict(payload)
            self.assertEqual((told["call_id"], told["from_user"], told["to_user"]), (ID, 1, 2))

    def test_figures(self) -> None:
        def quality(stats: Any) -> Any:
            payload = {"call_id": ID, "status": "s", "network_stats": stats}
            return read("call.status", payload).quality

        self.assertEqual(quality({"rtt": 250}), CallQuality(None, None, 0.25))
        self.assertEqual(
            quality({"packet_loss": 1, "jitter": 0, "rtt": 60000.0}), CallQuality(1.0, 0.0, 60.0)
        )
        for none in each(
            None,
            {},
            [],
            "x",
            5,
            {"rtt": -1},
            {"rtt": 60001},
            {"rtt": 10**400},
            {"jitter": "5"},
            {"packet_loss": 1.01},
            {"rtt": True},
            {"rtt": [1]},
            {"rtt": 2**63},
        ):
            self.assertIs(quality(none), None, none)

    def test_wire_errors_say_why(self) -> None:
        error = self.assertRaises(WireError, read, "call.offer", {**OFFER["payload"], "sdp": "x"})
        self.assertEqual(
            (error.code, error.fatal, error.tag.fault), (ErrorCode.BAD_REQUEST, False, CallFault.BAD_SDP)
        )
