"""Signatures and encryption of document 004, line by line, against a client written by hand."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import LoggedIn, LogIn, Ping, Pong, RefreshTokens
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import CreateGroup
from imserver.model.messages import Content, Form, Message, SendMessage
from imserver.model.presence import PresenceChanged, PresenceState
from imserver.model.protection import EncryptionMode, Once, SignatureMode
from imserver.services.message_keys import MessageKeys
from imserver.services.protection import Protection
from imserver.wire.base import Request, WireError
from imserver.wire.jsonline import JsonLineClientCodec, JsonLineServerCodec
from imserver.wire.jsonline.canonical import canonical
from imserver.wire.jsonline.sealing import Nonces
from imserver.wire.jsonline.secured import SecuredJsonLineServerCodec
from imserver.wire.jsonline.security import SessionSecurity
from tests.clients import jsonline_security as by_hand
from tests.clients.jsonline_security import Keys
from tests.effort import effort, seeds
from tests.unit.services.world import Chance
from tests.unit.wire.test_jsonline_fuzz import mutate

NOW = 1730795174.9
HELLO = {"target": {"type": "user", "id": "bob"}, "content": {"type": "text", "text": "héllo 😀"}}


class Canonical(SynchronousTestCase):
    """RFC 8785."""

    def test_the_documents_own_example(self) -> None:
        value = {
            "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": '€$\u000f\u000aA\'B"\\\\"/',
            "literals": [None, True, False],
        }
        self.assertEqual(
            canonical(value),
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'.encode(),
        )

    def test_names_in_the_order_of_utf16(self) -> None:
        names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
        ordered = json.loads(canonical(dict.fromkeys(names)))
        self.assertEqual(list(ordered), ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"])

    def test_large_integers_are_doubles(self) -> None:
        self.assertEqual(
            canonical([2**53 - 1, -(2**53), 10**20, 10**21]),
            b"[9007199254740991,-9007199254740992,100000000000000000000,1e+21]",
        )
        self.assertEqual(canonical({"a": [10**30, 1.0]}), b'{"a":[1e+30,1]}')

    def test_what_has_none(self) -> None:
        deep: Any = []
        for _ in range(100_000):
            deep = [deep]
        for value in (10**400, float("inf"), "\ud800", deep):
            self.assertRaises(ValueError, canonical, value)

    def test_the_hand_written_one_agrees(self) -> None:
        for value in (
            HELLO,
            ["c2s", None, 1730795173, 1730795173.5, 2.0, True],
            {"\U0001f600": 1, "\ufb33": []},
        ):
            self.assertEqual(by_hand.canonical(value), canonical(value))


class World(SynchronousTestCase):
    """One session's codec with the rules of a listener, and a client's keys."""

    def setUp(self) -> None:
        self.now = NOW
        directory = TemporaryDirectory(ignore_cleanup_errors=True)
        self.addCleanup(directory.cleanup)
        folder = Path(directory.name)
        self.keys = MessageKeys(folder / "keys.json", Chance())
        self.psk = base64.b64decode(self.keys.add_preshared("alice", NOW, kid="k-alice").material)
        other = self.keys.add_preshared("bob", NOW, kid="k-bob").material
        self.other = base64.b64decode(other)
        self.nonces = Nonces(Chance())
        self.random = Chance()

    def codec(
        self, signature: SignatureMode = "off", encryption: EncryptionMode = "off", *, private: bool = False
    ) -> JsonLineServerCodec:
        guard = Protection(
            self.keys,
            lambda token: token.removeprefix("token-of-") if token.startswith("token-of-") else "",
            lambda: self.now,
            signature,
            encryption,
        )
        security = SessionSecurity(guard, self.nonces, self.random, private=private)
        return SecuredJsonLineServerCodec(lambda: self.now, security)

    def client(self, **options: Any) -> Keys:
        return Keys(self.psk, "k-alice", **options)

    def line(self, keys: Keys, command: str, payload: Any = None, **form: Any) -> bytes:
        return json.dumps(
            keys.line(command, payload, **{"id": "1", "timestamp": 1730795173, **form})
        ).encode()

    def decode(
        self, codec: JsonLineServerCodec, keys: Keys, command: str, payload: Any = None, **form: Any
    ) -> Request:
        return codec.decode(self.line(keys, command, payload, **form))

    def refused(
        self, codec: JsonLineServerCodec, line: bytes, code: ErrorCode = ErrorCode.SIGNATURE
    ) -> dict[str, Any]:
        """What a line is answered that must not pass; as it goes out."""
        error = self.assertRaises(WireError, codec.decode, line)
        self.assertIs(error.code, code, error)
        lines = codec.refusal(error.tag, error)
        answer: dict[str, Any] = json.loads(lines[0]) if lines else {}
        return answer

    def log_in(
        self, codec: JsonLineServerCodec, keys: Keys | None = None, user: str = "alice"
    ) -> dict[str, Any]:
        keys = keys or Keys()
        request = self.decode(codec, keys, "auth/login", {"username": user, "password": "p"})
        self.assertIsInstance(getattr(request.command, "command", request.command), LogIn)
        (line,) = codec.reply(request, LoggedIn(user, "t", "r", 60, 0, 1, "e"))
        return keys.opened(json.loads(line))

    def ping(self, codec: JsonLineServerCodec, keys: Keys) -> dict[str, Any]:
        """A ping and its answer."""
        request = self.decode(codec, keys, "control/ping")
        return keys.opened(json.loads(codec.reply(request, Pong(NOW))[0]))


class Signatures(World):
    def test_off(self) -> None:
        codec = self.codec("off", "allowed", private=True)
        self.assertNotIn("signing_key", self.log_in(codec)["payload"])
        request = self.decode(codec, Keys(), "control/ping", {"signature": "nonsense"})
        self.assertEqual(request.command, Ping(1730795173.0))
        self.assertNotIn("signature", json.loads(codec.reply(request, Pong(NOW))[0])["payload"])

    def test_over_tls_the_log_in_brings_the_key(self) -> None:
        for mode in ("verify", "required"):
            codec, keys = self.codec(mode, private=True), Keys()
            answer = self.log_in(codec, keys, "carol")
            self.assertEqual(len(base64.b64decode(answer["payload"]["signing_key"])), 32)
            self.assertEqual(keys.signed, 0, "the answer that brings the key is exempt")
            self.assertEqual(self.ping(codec, keys)["payload"]["status"], 200)
            self.assertEqual(keys.signed, 1)

    def test_each_log_in_has_a_key_of_its_own(self) -> None:
        keys = [Keys(), Keys()]
        for one in keys:
            self.log_in(self.codec("verify", private=True), one, "carol")
        self.assertNotEqual(keys[0].signing_key, keys[1].signing_key)
        self.refused(self.signed_in("required", keys[0]), self.line(keys[1], "control/ping"))

    def signed_in(self, mode: SignatureMode, keys: Keys) -> JsonLineServerCodec:
        codec = self.codec(mode, private=True)
        keys.signing_key = None
        self.log_in(codec, keys, "carol")
        return codec

    def test_without_tls_no_key_is_sent(self) -> None:
        for mode in ("verify", "required"):
            self.assertNotIn("signing_key", self.log_in(self.codec(mode), user="carol")["payload"])

    def test_verify_lets_unsigned_lines_pass_and_wrong_ones_not(self) -> None:
        codec, keys = self.codec("verify", private=True), Keys()
        self.log_in(codec, keys, "carol")
        unsigned = Keys()
        self.assertNotIn("signature", self.ping(codec, unsigned)["payload"])
        answer = self.refused(codec, self.line(Keys(bytes(32)), "control/ping"))
        self.assertEqual(answer["payload"]["status"], 401)
        self.assertEqual(answer["payload"]["error_code"], 1003)
        self.assertEqual(answer["payload"]["server_time"], 1730795174)

    def test_required(self) -> None:
        codec, keys = self.codec("required", private=True), Keys()
        for line in (b'{"command":"control/ping"}', b'{"command":"no/such"}', b'{"command":"group/list"}'):
            self.refused(codec, line)
        self.log_in(codec, keys, "carol")
        for payload in (
            "{}",
            '{"signature":null}',
            '{"signature":7}',
            '{"signature":""}',
            '{"signature":"é"}',
        ):
            text = f'{{"id":"1","command":"control/ping","timestamp":1730795173,"payload":{payload}}}'
            answer = self.refused(codec, text.encode())
            self.assertEqual(keys.opened(answer)["payload"]["error"], "SIGNATURE")
        self.assertEqual(keys.signed, 5, "refusals are signed, too")
        # Blank lines carry nothing that could be signed.
        self.assertEqual(codec.decode(b"").command, Ping())

    def test_exempt_is_what_begins_a_session_of_somebody_without_a_psk(self) -> None:
        codec = self.codec("required", private=True)
        keys = Keys()
        self.decode(codec, keys, "auth/register", {"username": "carol", "password": "p"})
        self.decode(codec, keys, "auth/refresh", {"refresh_token": "token-of-carol"})
        self.decode(codec, keys, "auth/login", {"token": "unreadable"})
        self.decode(codec, keys, "presence/heartbeat", {"seq": 1}, type="event")
        for command, payload in (
            ("auth/register", {"username": "alice", "password": "p"}),
            ("auth/login", {"username": "alice", "password": "p"}),
            ("auth/login", {"token": "token-of-alice"}),
            ("auth/refresh", {"refresh_token": "token-of-alice"}),
        ):
            self.refused(codec, self.line(Keys(), command, payload))
            self.decode(self.codec("required"), self.client(), command, payload)
        self.log_in(codec, keys, "carol")
        self.refused(codec, self.line(Keys(), "auth/refresh", {"refresh_token": "token-of-carol"}))
        self.refused(codec, self.line(Keys(), "presence/heartbeat", {"seq": 1}, type="event"))

    def test_with_a_psk_the_log_in_and_its_answer_are_signed(self) -> None:
        for mode in ("verify", "required"):
            for private in (False, True):
                codec, keys = self.codec(mode, private=private), self.client()
                answer = self.log_in(codec, keys)
                self.assertEqual(keys.signed, 1)
                self.assertNotIn("signing_key", answer["payload"])
                self.ping(codec, keys)
                self.assertEqual(keys.signed, 2)

    def test_a_psk_signs_for_its_user_only(self) -> None:
        codec = self.codec("verify")
        mallory = Keys(self.other, "k-bob")
        self.refused(codec, self.line(mallory, "auth/login", {"username": "alice", "password": "p"}))
        self.log_in(codec, self.client())
        self.refused(codec, self.line(mallory, "control/ping"))

    def test_a_signature_needs_its_timestamp(self) -> None:
        codec, keys = self.codec("verify"), self.client()
        self.log_in(codec, keys)
        line = keys.line("control/ping", id="1")
        del line["timestamp"]
        line["payload"].clear()
        keys.sign_line(line)
        self.refused(codec, json.dumps(line).encode())

    def test_tampered(self) -> None:
        codec, keys = self.codec("verify"), self.client()
        self.log_in(codec, keys)
        good = keys.line("message/send", HELLO, id="1", timestamp=1730795173)
        codec.decode(json.dumps(good).encode())
        payload = good["payload"]
        for change in (
            {"id": "2"},
            {"id": None},
            {"type": "event"},
            {"command": "message.send"},
            {"timestamp": 1730795172},
            {"payload": {**payload, "meta": {}}},
            {"payload": {**payload, "target": {"type": "user", "id": "carol"}}},
            {"payload": {**payload, "signature": payload["signature"][:-1] + "f"}},
            {"payload": {**payload, "signature": payload["signature"][:-2]}},
        ):
            changed = {**good, **change}
            if changed["payload"].get("signature") == payload["signature"] and changed == good:
                continue
            self.refused(codec, json.dumps(changed).encode())

    def test_the_form_of_the_json_does_not_matter(self) -> None:
        codec, keys = self.codec("required"), self.client()
        self.log_in(codec, keys)
        line = keys.line("message/send", HELLO, id="1", timestamp=1730795173)
        written = json.dumps(dict(reversed(line.items())), indent=1, ensure_ascii=False).encode()
        command = codec.decode(written).command
        self.assertIsInstance(command, SendMessage)
        self.assertEqual(command.content.data.decode(), "héllo 😀")

    def test_of_duplicate_members_the_one_that_was_signed_counts(self) -> None:
        codec, keys = self.codec("required"), self.client()
        self.log_in(codec, keys)
        line = self.line(keys, "group/create", {"group_id": "signed"})
        written = line.replace(b'"payload": {', b'"payload": {"group_id": "forged", ')
        self.assertEqual(codec.decode(written).command, CreateGroup("signed"))
        written = line.replace(b', "signature"', b', "group_id": "forged", "signature"')
        self.refused(codec, written)

    def test_a_line_cannot_be_sent_back(self) -> None:
        codec, keys = self.codec("verify"), self.client()
        answer = self.log_in(codec, keys)
        request = self.decode(codec, keys, "presence/heartbeat", {"seq": 1}, type="event")
        (echo,) = codec.reply(request, Pong(NOW, 0.0, 1))
        self.refused(codec, echo)
        self.assertEqual(answer["payload"]["status"], 200)

    def test_old_signatures_of_lasting_keys_are_refused(self) -> None:
        codec, keys = self.codec("verify"), self.client()
        self.log_in(codec, keys)
        for offset, passes in ((-299, True), (300, True), (-300, False), (301, False)):
            line = self.line(keys, "control/ping", timestamp=1730795174 + offset)
            if passes:
                codec.decode(line)
            else:
                answer = self.refused(codec, line)
                self.assertEqual(answer["payload"]["server_time"], 1730795174)

    def test_digital_signatures(self) -> None:
        private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
        self.keys.add_registered("carol", public, NOW, kid="laptop")
        keys = Keys(private=private, private_kid="laptop")
        keys.server_public = base64.b64decode(self.keys.public_key()[1])
        codec = self.codec("required")
        self.log_in(codec, keys, "carol")
        self.ping(codec, keys)
        self.assertEqual(keys.signed, 2)
        # A key of somebody else, an unknown one, none at all.
        self.keys.add_registered("bob", public, NOW, kid="bobs")
        for kid in ("bobs", "unknown", ""):
            self.refused(codec, self.line(Keys(private=private, private_kid=kid), "control/ping"))
        for signature in ("ed25519:laptop", "ed25519:laptop:***", "ed25519:laptop:AAAA"):
            self.refused(
                codec,
                json.dumps(
                    {"command": "control/ping", "timestamp": 1730795174, "payload": {"signature": signature}}
                ).encode(),
            )

    def test_digital_signatures_over_tls_are_answered_under_the_log_ins_key(self) -> None:
        private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
        self.keys.add_registered("carol", public, NOW, kid="laptop")
        keys = Keys(private=private, private_kid="laptop")
        keys.server_public = base64.b64decode(self.keys.public_key()[1])
        codec = self.codec("verify", private=True)
        self.log_in(codec, keys, "carol")
        assert keys.signing_key is not None
        self.assertNotIn(
            "ed25519",
            json.loads(codec.reply(self.decode(codec, keys, "control/ping"), Pong(NOW))[0])["payload"][
                "signature"
            ],
        )

    def test_everything_the_server_says_is_signed(self) -> None:
        codec, keys = self.codec("required"), self.client()
        self.log_in(codec, keys)
        message = Message("m", "c", "c", 1, "bob", "alice", "", "", Content(Form.TEXT, b"hi"), 1.0, 1.0)
        lines = [
            codec.splice(codec.shared(message), 7),
            *codec.event(PresenceChanged("bob", PresenceState.ONLINE, 1.0)),
            *codec.refusal(None, ImError(ErrorCode.INTERNAL, "x")),
        ]
        before = keys.signed
        for line in lines:
            keys.opened(json.loads(line))
        self.assertEqual(keys.signed, before + 3)
        # The client library's codec does not mind.
        JsonLineClientCodec().decode(lines[0])

    def test_content_without_a_canonical_form_is_carried_all_the_same(self) -> None:
        codec, keys = self.codec("required"), self.client()
        self.log_in(codec, keys)
        content = Content(Form.JSON, b'{"type":"custom","n":%s}' % (b"9" * 400))
        message = Message("m", "c", "c", 1, "bob", "alice", "", "", content, 1.0, 1.0)
        self.assertNotIn("signature", json.loads(codec.splice(codec.shared(message), 7))["payload"])


class Encryption(World):
    def sealed_in(self, signature: SignatureMode = "off") -> tuple[JsonLineServerCodec, Keys]:
        codec, keys = self.codec(signature, "allowed"), self.client(sign=signature != "off", seal=True)
        self.log_in(codec, keys)
        return codec, keys

    def test_both_ways(self) -> None:
        modes: tuple[tuple[SignatureMode, int], ...] = (("off", 0), ("verify", 1), ("required", 1))
        for signature, signed in modes:
            codec, keys = self.sealed_in(signature)
            self.assertEqual((keys.sealed, keys.signed), (1, signed))
            request = self.decode(codec, keys, "message/send", HELLO, id="m1")
            once = request.command
            self.assertIsInstance(once, Once)
            self.assertEqual((once.kid, once.at, len(once.nonce)), ("k-alice", 1730795173.0, 12))
            self.assertEqual(once.command.content.data.decode(), "héllo 😀")
            self.assertEqual(once.command.client_id, "m1")

    def test_nothing_of_the_payload_is_to_be_seen(self) -> None:
        codec, keys = self.sealed_in("verify")
        line = self.line(keys, "message/send", HELLO)
        message = Message("m", "c", "c", 1, "bob", "alice", "", "", Content(Form.TEXT, b"secret"), 1.0, 1.0)
        pushed = codec.splice(codec.shared(message), 7)
        self.assertNotIn(b"signature", line + pushed)
        self.assertNotIn(b"secret", pushed)
        self.assertEqual(keys.opened(json.loads(pushed))["payload"]["content"]["text"], "secret")

    def test_no_downgrade(self) -> None:
        codec, keys = self.sealed_in()
        answer = self.refused(codec, b'{"id":"1","command":"control/ping"}')
        self.assertEqual(set(answer["payload"]), {"enc", "kid", "nonce", "data"})
        payload = keys.opened(answer)["payload"]
        self.assertEqual((payload["status"], payload["server_time"]), (401, 1730795174))
        # Not even by a clear payload that looks encrypted.
        self.refused(
            codec,
            b'{"id":"1","command":"control/ping","timestamp":1730795173,"payload":{"enc":"none"}}',
            ErrorCode.BAD_REQUEST,
        )
        self.ping(codec, keys)

    def test_also_before_the_log_in(self) -> None:
        codec, keys = self.codec("off", "allowed"), self.client(sign=False, seal=True)
        self.decode(codec, keys, "presence/heartbeat", {"seq": 1}, type="event")
        self.refused(codec, self.line(Keys(), "auth/login", {"username": "alice", "password": "p"}))
        self.log_in(codec, keys)

    def test_tampered_and_moved_payloads(self) -> None:
        codec, keys = self.sealed_in()
        good = keys.line("message/send", HELLO, id="1", timestamp=1730795173)
        other = keys.line("message/send", HELLO, id="2", timestamp=1730795174)
        payload = good["payload"]
        flipped = base64.b64encode(
            bytes([base64.b64decode(payload["data"])[0] ^ 1]) + base64.b64decode(payload["data"])[1:]
        ).decode()
        for change in (
            {"id": "2"},
            {"id": None},
            {"type": "event"},
            {"type": None},
            {"command": "message/revoke"},
            {"timestamp": 1730795174},
            {"payload": other["payload"]},
            {"payload": {**payload, "nonce": other["payload"]["nonce"]}},
            {"payload": {**payload, "data": flipped}},
            {"payload": {**payload, "kid": "k-bob"}},
            {"payload": {**payload, "kid": "unknown"}},
        ):
            answer = self.refused(codec, json.dumps({**good, **change}).encode())
            self.assertEqual(keys.opened(answer)["payload"]["error_code"], 1003, change)
        line = dict(good)
        del line["timestamp"]
        self.refused(codec, json.dumps(line).encode())
        codec.decode(json.dumps(good).encode())

    def test_what_is_no_encrypted_payload(self) -> None:
        codec, _ = self.sealed_in()
        good = self.client(sign=False, seal=True).line("control/ping", id="1", timestamp=1730795173)
        payload = good["payload"]
        for change in (
            {"enc": "aes-128-gcm"},
            {"enc": 1},
            {"nonce": "AAAA"},
            {"nonce": "*"},
            {"data": "*"},
            {"kid": None},
            {"more": 1},
        ):
            self.refused(
                codec, json.dumps({**good, "payload": {**payload, **change}}).encode(), ErrorCode.BAD_REQUEST
            )

    def test_a_key_counts_for_its_user_only(self) -> None:
        mallory = Keys(self.other, "k-bob", sign=False, seal=True)
        codec = self.codec("off", "allowed")
        self.refused(codec, self.line(mallory, "auth/login", {"username": "alice", "password": "p"}))
        self.refused(codec, self.line(mallory, "auth/login", {"token": "token-of-alice"}))
        codec, keys = self.sealed_in()
        answer = self.refused(codec, self.line(mallory, "control/ping"))
        self.assertEqual(keys.opened(answer)["payload"]["error_code"], 1003)

    def test_sent_back(self) -> None:
        codec, keys = self.sealed_in()
        request = self.decode(codec, keys, "presence/heartbeat", {"seq": 1}, type="event")
        (echo,) = codec.reply(request, Pong(NOW, 0.0, 1))
        self.refused(codec, echo)

    def test_required_encryption(self) -> None:
        codec, keys = self.codec("off", "required"), self.client(sign=False, seal=True)
        self.decode(codec, Keys(), "presence/heartbeat", {"seq": 1}, type="event")
        for command, payload in (
            ("auth/login", {"username": "carol", "password": "p"}),
            ("auth/refresh", {"refresh_token": "x"}),
            ("control/ping", {}),
        ):
            self.refused(codec, self.line(Keys(), command, payload))
        self.log_in(codec, keys)

    def test_required_signatures_are_required_inside_too(self) -> None:
        codec, keys = self.sealed_in("required")
        keys.sign = False
        self.refused(codec, self.line(keys, "control/ping"))

    def test_off(self) -> None:
        codec, keys = self.codec("verify", "off"), self.client(sign=False, seal=True)
        self.refused(
            codec,
            self.line(keys, "auth/login", {"username": "alice", "password": "p"}),
            ErrorCode.BAD_REQUEST,
        )

    def test_a_removed_key_opens_nothing(self) -> None:
        codec, keys = self.sealed_in()
        self.keys.remove("k-alice")
        self.refused(codec, self.line(keys, "control/ping"))

    def test_refresh_under_the_users_key(self) -> None:
        codec, keys = self.codec("off", "allowed"), self.client(sign=False, seal=True)
        request = self.decode(codec, keys, "auth/refresh", {"refresh_token": "token-of-alice"})
        self.assertEqual(request.command.command, RefreshTokens("token-of-alice", "1"))

    def test_nonces_never_repeat(self) -> None:
        nonces: set[bytes] = set()
        for _ in range(20):
            codec, keys = self.codec("off", "allowed"), self.client(sign=False, seal=True, nonces=nonces)
            self.log_in(codec, keys)
            for _ in range(20):
                self.ping(codec, keys)  # the client counts a nonce that comes twice as a violation
        self.assertEqual(len(nonces), 2 * 20 * 21)

    def test_nonces_go_on_after_the_last_count(self) -> None:
        nonces = Nonces(Chance())
        found = {nonces.next()}
        nonces._count = (1 << 32) - 1
        found |= {nonces.next() for _ in range(3)}
        self.assertEqual(len(found), 4)
        self.assertEqual({len(nonce) for nonce in found}, {12})


class Mutants(World):
    """Nothing that a client writes may end in anything but a request or a WireError that can be answered."""

    def test_mutants(self) -> None:
        sealing = self.client(seal=True)
        signing = self.client()
        lines = [
            self.line(keys, command, payload)
            for keys in (sealing, signing)
            for command, payload in (
                ("auth/login", {"username": "alice", "password": "p"}),
                ("auth/refresh", {"refresh_token": "token-of-alice"}),
                ("message/send", HELLO),
            )
        ]
        lines.append(
            b'{"command":"control/ping","timestamp":1,"payload":{"signature":"ed25519:k-alice:AAAA"}}'
        )
        lines.append(
            b'{"command":"control/ping","headers":{"encoding":"zlib"},"payload":{"data":"eJyrrgUAAXUA+Q=="}}'
        )
        for seed in seeds(1):
            chance = random.Random(seed)
            for number in range(effort(5_000, 200_000, 200_000)):
                if not number % 50:
                    modes: tuple[SignatureMode, ...] = ("off", "verify", "required")
                    codec = self.codec(chance.choice(modes), "allowed", private=chance.random() < 0.5)
                    if chance.random() < 0.7:
                        # By either way, or not at all.
                        self.log_in(codec, chance.choice((self.client(), self.client(seal=True))))
                line = mutate(chance, chance.choice(lines))
                try:
                    self.judge(codec, line)
                except Exception as fault:
                    raise AssertionError(f"seed {seed}, line {number}: {line!r}") from fault

    def judge(self, codec: JsonLineServerCodec, line: bytes) -> None:
        try:
            request = codec.decode(line)
        except WireError as error:
            for answer in codec.refusal(error.tag, error):
                assert b"\n" not in answer
                payload = json.loads(answer)["payload"]
                assert payload.get("enc") == "aes-256-gcm" or payload["error_code"] in range(1001, 1013)
        else:
            assert type(request) is Request
