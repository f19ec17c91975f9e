"""Tokens under attack, and the key file."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from imserver.model.errors import ErrorCode, ImError
from imserver.services.keys import Key, KeyRing, KeyRingError, external_key, load_key_ring, new_key
from imserver.services.tokens import MAX_TOKEN_BYTES, Tokens
from tests.unit.services.world import START, Chance, ServiceCase, Time, key_ring

RSA = generate_private_key(public_exponent=65537, key_size=2048)
ED = Ed25519PrivateKey.generate()


def pem(private: Any) -> bytes:
    public: bytes = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: Any, claims: Any, secret: bytes) -> str:
    """An HS256 token that no library had a say in."""
    body = b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())
    return body + "." + b64(hmac.digest(secret, body.encode(), hashlib.sha256))


class TokenCase(ServiceCase):
    def setUp(self) -> None:
        self.time = Time()
        self.ring = key_ring()
        self.key = self.ring.current
        self.tokens = Tokens(self.ring, self.time, Chance())
        self.claims: dict[str, Any] = {
            "user_id": "alice",
            "sub": "alice",
            "platform": "web",
            "iat": START,
            "exp": START + 3600,
            "sid": "s1",
            "typ": "access",
        }
        self.header = {"alg": "HS256", "typ": "JWT", "kid": self.key.kid}

    def code(self, token: str, *, refresh: bool = False) -> ErrorCode | None:
        try:
            if refresh:
                self.tokens.verify_refresh(token)
            else:
                self.tokens.verify_access(token)
        except ImError as error:
            return error.code
        return None

    def with_claims(self, **changes: Any) -> str:
        claims = {name: value for name, value in (self.claims | changes).items() if value is not ...}
        return by_hand(self.header, claims, self.key.material)

    def external(self, *keys: Key) -> None:
        self.ring = KeyRing([self.key], Chance(), external=keys)
        self.tokens = Tokens(self.ring, self.time, Chance())


class OwnTokenTests(TokenCase):
    def test_an_issued_pair(self) -> None:
        issued = self.tokens.issue("alice", "web", "s1", "r1", START + 0.75)
        self.assertEqual(issued.expires_in, 3600)
        access = self.tokens.verify_access(issued.access)
        self.assertEqual(
            (access.user, access.sid, access.platform, access.expires_at, access.external),
            ("alice", "s1", "web", START + 3600, False),
        )
        refresh = self.tokens.verify_refresh(issued.refresh)
        self.assertEqual((refresh.user, refresh.sid, refresh.refresh_id), ("alice", "s1", "r1"))
        self.assertEqual(issued.refresh_expires_at, START + 30 * 86400)

    def test_the_claims_and_header_that_foreign_programs_read(self) -> None:
        issued = self.tokens.issue("alice", "web", "s1", "r1", START)
        header, payload, _ = issued.access.split(".")
        decoded = json.loads(base64.urlsafe_b64decode(payload + "=="))
        self.assertEqual(decoded, self.claims)
        self.assertEqual(json.loads(base64.urlsafe_b64decode(header + "==")), self.header)
        refresh = json.loads(base64.urlsafe_b64decode(issued.refresh.split(".")[1] + "=="))
        self.assertEqual(refresh, self.claims | {"typ": "refresh", "jti": "r1", "exp": START + 30 * 86400})

    def test_the_token_made_by_hand_is_good(self) -> None:
        self.assertIsNone(self.code(self.with_claims()))

    def test_minted_again_they_are_the_same_bytes_even_after_a_rotation(self) -> None:
        first = self.tokens.issue("alice", "web", "s1", "r1", START)
        self.time.now += 10
        self.ring.rotate(self.time.now)
        self.assertEqual(self.tokens.issue("alice", "web", "s1", "r1", START), first)
        later = self.tokens.issue("alice", "web", "s1", "r1", self.time.now)
        self.assertEqual(jwt.get_unverified_header(later.access)["kid"], self.ring.current.kid)

    def test_life_ends_on_the_second(self) -> None:
        issued = self.tokens.issue("alice", "web", "s1", "r1", START)
        self.time.now = START + 3599.9
        self.assertIsNone(self.code(issued.access))
        self.time.now = START + 3600
        self.assertEqual(self.code(issued.access), ErrorCode.TOKEN_EXPIRED)
        self.assertEqual(self.code(issued.access), ErrorCode.TOKEN_EXPIRED, "not from the cache either")
        self.assertIsNone(self.code(issued.refresh, refresh=True))
        self.time.now = START + 30 * 86400
        self.assertEqual(self.code(issued.refresh, refresh=True), ErrorCode.TOKEN_EXPIRED)

    def test_access_and_refresh_are_not_exchangeable(self) -> None:
        issued = self.tokens.issue("alice", "web", "s1", "r1", START)
        self.assertEqual(self.code(issued.refresh), ErrorCode.AUTH_FAILED)
        self.assertEqual(self.code(issued.access, refresh=True), ErrorCode.AUTH_FAILED)

    def test_rotation_keeps_old_tokens_unless_told_otherwise(self) -> None:
        old = self.tokens.issue("alice", "web", "s1", "r1", START).access
        self.assertIsNone(self.code(old))
        self.ring.rotate(START + 1)
        self.assertIsNone(self.code(old))
        self.ring.rotate(START + 2, keep_old=False)
        self.assertEqual(self.code(old), ErrorCode.AUTH_FAILED, "the cache forgets it too")

    def test_next_refresh_id_depends_on_token_and_request(self) -> None:
        issued = self.tokens.issue("alice", "web", "s1", "r1", START)
        claims = self.tokens.verify_refresh(issued.refresh)
        self.assertEqual(self.tokens.next_refresh_id(claims, "q1"), self.tokens.next_refresh_id(claims, "q1"))
        self.assertNotEqual(
            self.tokens.next_refresh_id(claims, "q1"), self.tokens.next_refresh_id(claims, "q2")
        )
        self.assertNotEqual(self.tokens.next_refresh_id(claims, ""), self.tokens.next_refresh_id(claims, ""))


class AttackTests(TokenCase):
    def refused(  # type: ignore[override]
        self, name: str, token: str, code: ErrorCode = ErrorCode.AUTH_FAILED
    ) -> None:
        self.assertEqual(self.code(token), code, name)
        self.assertEqual(self.code(token, refresh=True), ErrorCode.AUTH_FAILED, f"{name} as refresh")

    def test_headers(self) -> None:
        secret, kid = self.key.material, self.key.kid
        for name, header, key in (
            ("none", {"alg": "none"}, secret),
            ("none with kid", {"alg": "none", "kid": kid}, b""),
            ("None", {"alg": "None", "kid": kid}, b""),
            ("empty alg", {"alg": "", "kid": kid}, secret),
            ("no alg", {"kid": kid}, secret),
            ("HS512", {"alg": "HS512", "kid": kid}, secret),
            ("RS256", {"alg": "RS256", "kid": kid}, secret),
            ("lower case", {"alg": "hs256", "kid": kid}, secret),
            ("unknown kid", {"alg": "HS256", "kid": "other"}, secret),
            ("kid of a path", {"alg": "HS256", "kid": "../../dev/null"}, b""),
            ("kid no string", {"alg": "HS256", "kid": 1}, secret),
            ("alg no string", {"alg": 1, "kid": kid}, secret),
            ("unknown crit", {"alg": "HS256", "kid": kid, "crit": ["x"], "x": 1}, secret),
            ("detached", {"alg": "HS256", "kid": kid, "b64": False, "crit": ["b64"]}, secret),
            ("embedded key", {"alg": "HS256", "kid": kid, "jwk": {"kty": "oct", "k": "AA"}}, b"\0"),
            ("header a list", ["HS256"], secret),
            ("wrong secret", self.header, b"x" * 32),
            ("empty secret", self.header, b""),
        ):
            self.refused(name, by_hand(header, self.claims, key))

    def test_without_a_signature(self) -> None:
        good = self.with_claims()
        body = good.rpartition(".")[0]
        unsigned = b64(b'{"alg":"none"}') + "." + good.split(".")[1]
        for token in (body, body + ".", unsigned, unsigned + ".", good + "A", good[:-2], good + "."):
            self.refused(token[-8:], token)

    def test_every_single_changed_character_is_noticed(self) -> None:
        good = self.with_claims()
        # The last character of a part carries bits that base64 ignores.
        for index in range(len(good)):
            if good[index] == "." or good[index + 1 : index + 2] in (".", ""):
                continue
            changed = good[:index] + ("A" if good[index] != "A" else "B") + good[index + 1 :]
            self.assertEqual(self.code(changed), ErrorCode.AUTH_FAILED, f"at {index}")

    def test_claims(self) -> None:
        for name, changes in (
            ("no exp", {"exp": ...}),
            ("exp null", {"exp": None}),
            ("exp text", {"exp": "tomorrow"}),
            ("exp a list", {"exp": [START + 10]}),
            ("not yet", {"nbf": START + 61}),
            ("from the future", {"iat": START + 61}),
            ("no user", {"user_id": ..., "sub": ...}),
            ("empty user", {"user_id": "", "sub": ""}),
            ("a user with a slash", {"user_id": "a/b"}),
            ("a user that is a group", {"user_id": "group_a"}),
            ("a control character", {"user_id": "a\n"}),
            ("a long user", {"user_id": "a" * 256}),
            ("a negative user", {"user_id": -1}),
            ("a huge user", {"user_id": 2**53}),
            ("a fraction of a user", {"user_id": 1.5}),
            ("a boolean user", {"user_id": True}),
            ("no typ", {"typ": ...}),
            ("another typ", {"typ": "id"}),
            ("no sid", {"sid": ...}),
            ("sid a number", {"sid": 1}),
        ):
            self.refused(name, self.with_claims(**changes))
        self.assertEqual(self.code(self.with_claims(exp=START - 1)), ErrorCode.TOKEN_EXPIRED)
        self.assertEqual(self.code(self.with_claims(exp=-1)), ErrorCode.TOKEN_EXPIRED)

    def test_an_infinite_life(self) -> None:
        body = b64(json.dumps(self.header).encode()) + "."
        for exp in ("1e400", "Infinity", "NaN", "1" + "0" * 4000):
            payload = json.dumps(self.claims | {"exp": 0}).replace('"exp": 0', f'"exp": {exp}')
            signed = body + b64(payload.encode())
            signature = hmac.digest(self.key.material, signed.encode(), hashlib.sha256)
            self.refused(exp[:9], signed + "." + b64(signature))

    def test_small_differences_of_clocks_are_forgiven(self) -> None:
        self.assertIsNone(self.code(self.with_claims(iat=START + 59, nbf=START + 59)))

    def test_garbage(self) -> None:
        deep = b64(b'{"alg":"HS256","x":' + b"[" * 5000)
        deep_claims = b64(json.dumps(self.header).encode()) + "." + b64(b"[" * 5000)
        deep_claims += "." + b64(hmac.digest(self.key.material, deep_claims.encode(), hashlib.sha256))
        for token in (
            "",
            ".",
            "..",
            "...",
            "a.b.c",
            "\0",
            "é.é.é",
            "\ud800",
            "=.=.=",
            " " + self.with_claims(),
            self.with_claims() + "\n",
            deep,
            deep + ".e30.AA",
            deep_claims,
            b64(b"\xff\xfe") + ".e30.AA",
        ):
            self.refused(repr(token[:20]), token)

    def test_size(self) -> None:
        padded = self.with_claims(pad="x" * 4000)
        self.assertIsNone(self.code(padded))
        huge = self.with_claims(pad="x" * MAX_TOKEN_BYTES)
        self.refused("huge", huge)
        self.refused("many megabytes", "a." * 1_000_000)

    def test_no_input_raises_anything_else(self) -> None:
        part = st.one_of(st.text(max_size=20), st.binary(max_size=60).map(b64))
        json_part = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=5,
        )

        @settings(max_examples=200, deadline=None)
        @given(st.lists(part, max_size=5).map(".".join))
        def texts(token: str) -> None:
            self.assertEqual(self.code(token), ErrorCode.AUTH_FAILED)

        @settings(max_examples=200, deadline=None)
        @given(
            st.dictionaries(st.sampled_from(("alg", "kid", "typ", "crit", "b64", "cty")), json_part),
            st.dictionaries(st.sampled_from(tuple(self.claims)), json_part),
        )
        def signed(header: dict[str, Any], claims: dict[str, Any]) -> None:
            # Signed rightly, so that the claims are reached; most fail one check or another.
            token = by_hand(self.header | header, self.claims | claims, self.key.material)
            self.assertIn(self.code(token), (None, ErrorCode.AUTH_FAILED, ErrorCode.TOKEN_EXPIRED))

        texts()
        signed()


class ForeignTokenTests(TokenCase):
    def setUp(self) -> None:
        super().setUp()
        self.rs = external_key("partner", "RS256", pem(RSA))
        self.ed = external_key("other", "EdDSA", pem(ED))
        self.external(self.rs, self.ed)
        self.foreign = {"sub": "alice", "exp": int(START) + 600}

    def test_good_ones(self) -> None:
        for key, alg, kid, claims in (
            (RSA, "RS256", "partner", self.foreign),
            (RSA, "RS256", None, self.foreign),
            (ED, "EdDSA", "other", self.foreign),
            (ED, "EdDSA", "other", self.foreign | {"user_id": "alice", "sub": "0b5e"}),
            (RSA, "RS256", "partner", self.foreign | {"platform": 5, "sid": ["x"]}),
        ):
            token = jwt.encode(claims, key, alg, headers={"kid": kid} if kid else None)
            access = self.tokens.verify_access(token)
            self.assertEqual(
                (access.user, access.sid, access.external, access.expires_at),
                ("alice", "", True, START + 600),
            )

    def test_integer_users(self) -> None:
        for claims in ({"user_id": 10001}, {"sub": "x", "user_id": 10001}):
            token = jwt.encode(self.foreign | claims, RSA, "RS256", headers={"kid": "partner"})
            self.assertEqual(self.tokens.verify_access(token).user, "10001")
        body = {"sub": 10001, "exp": START + 600}
        token = jwt.api_jws.encode(json.dumps(body).encode(), ED, "EdDSA", headers={"kid": "other"})
        self.assertEqual(self.tokens.verify_access(token).user, "10001")
        self.assertEqual(self.code(self.with_claims(user_id=7, sub=7)), None)

    def test_the_algorithm_belongs_to_the_key(self) -> None:
        public = pem(RSA)
        for kid in ("partner", "other", self.key.kid):
            token = by_hand({"alg": "HS256", "kid": kid}, self.claims, public)
            self.assertEqual(self.code(token), ErrorCode.AUTH_FAILED, f"public key as secret, {kid}")
        for key, alg, kid in (
            (RSA, "RS512", "partner"),
            (RSA, "PS256", "partner"),
            (ED, "EdDSA", "partner"),
            (RSA, "RS256", "other"),
            (RSA, "RS256", self.key.kid),
            (generate_private_key(public_exponent=65537, key_size=2048), "RS256", "partner"),
        ):
            token = jwt.encode(self.foreign, key, alg, headers={"kid": kid})
            self.assertEqual(self.code(token), ErrorCode.AUTH_FAILED, f"{alg} {kid}")

    def test_a_foreign_issuer_makes_no_refresh_tokens(self) -> None:
        claims = self.foreign | {"typ": "refresh", "jti": "r1", "sid": "s1"}
        token = jwt.encode(claims, RSA, "RS256", headers={"kid": "partner"})
        self.assertEqual(self.code(token), ErrorCode.AUTH_FAILED)
        self.assertEqual(self.code(token, refresh=True), ErrorCode.AUTH_FAILED)

    def test_a_kid_is_needed_where_several_keys_fit(self) -> None:
        self.external(self.rs, external_key("partner2", "RS256", pem(RSA)))
        bare = jwt.encode(self.foreign, RSA, "RS256")
        self.assertEqual(self.code(bare), ErrorCode.AUTH_FAILED)
        named = jwt.encode(self.foreign, RSA, "RS256", headers={"kid": "partner2"})
        self.assertIsNone(self.code(named))

    def test_life(self) -> None:
        expired = jwt.encode(self.foreign | {"exp": int(START)}, RSA, "RS256", headers={"kid": "partner"})
        self.assertEqual(self.code(expired), ErrorCode.TOKEN_EXPIRED)
        endless = jwt.encode({"sub": "alice"}, RSA, "RS256", headers={"kid": "partner"})
        self.assertEqual(self.code(endless), ErrorCode.AUTH_FAILED)

    def test_keys_that_are_refused(self) -> None:
        small = generate_private_key(public_exponent=65537, key_size=1024)
        for algorithm, text in (
            ("HS256", pem(RSA)),
            ("none", pem(RSA)),
            ("RS256", pem(ED)),
            ("EdDSA", pem(RSA)),
            ("RS256", pem(ec.generate_private_key(ec.SECP256R1()))),
            ("RS256", pem(small)),
            ("RS256", b"nonsense"),
            ("EdDSA", b""),
        ):
            self.assertRaises(KeyRingError, external_key, "k", algorithm, text)
        self.assertRaises(KeyRingError, KeyRing, [self.key], Chance(), external=[self.rs, self.rs])
        self.assertRaises(KeyRingError, KeyRing, [], Chance())


class KeyFileTests(ServiceCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "token-keys.json"

    def test_created_once_with_mode_0600(self) -> None:
        mask = os.umask(0)
        try:
            ring = load_key_ring(self.path, os.urandom)
        finally:
            os.umask(mask)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(len(ring.current.material), 32)
        again = load_key_ring(self.path, os.urandom)
        self.assertEqual(again.current, ring.current)
        self.assertEqual(os.listdir(self.path.parent), ["token-keys.json"])

    def test_rotation_is_on_disk_before_it_is_used(self) -> None:
        ring = load_key_ring(self.path, os.urandom)
        first = ring.current
        second = ring.rotate(START)
        again = load_key_ring(self.path, os.urandom)
        self.assertEqual(again.current, second)
        self.assertEqual(again.find(first.kid, "HS256"), first)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        for number in range(20):
            ring.rotate(START + number + 1)
        again = load_key_ring(self.path, os.urandom)
        self.assertEqual(again.current, ring.current)
        self.assertIsNone(again.find(first.kid, "HS256"), "sixteen are kept")

    def test_a_rotation_that_cannot_be_saved_changes_nothing(self) -> None:
        def fail(keys: Any) -> None:
            raise KeyRingError("disk full")

        ring = KeyRing([new_key(Chance())], os.urandom, save=fail)
        before = ring.current
        self.assertRaises(KeyRingError, ring.rotate, START)
        self.assertEqual(ring.current, before)

    def test_what_is_wrong_is_said_with_the_path_and_without_the_secret(self) -> None:
        load_key_ring(self.path, os.urandom)
        good = self.path.read_text()
        secret = json.loads(good)["keys"][0]["secret"]
        for text in (
            "",
            "nonsense",
            "[]",
            "[" * 100_000,
            good[:-20],
            good.replace(secret, secret[:-8]),
            good.replace(secret, "!" + secret[1:]),
            good.replace('"version": 1', '"version": 2'),
            '{"version":1,"keys":[]}',
        ):
            self.path.write_text(text)
            with self.assertRaises(KeyRingError) as caught:
                load_key_ring(self.path, os.urandom)
            self.assertIn(str(self.path), str(caught.exception))
            self.assertNotIn(secret[:-8], str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))
            self.assertEqual(self.path.read_text(), text, "the file is left as it is")

    def test_a_file_that_others_may_read_is_refused(self) -> None:
        load_key_ring(self.path, os.urandom)
        self.path.chmod(0o640)
        with self.assertRaisesRegex(KeyRingError, "0640"):
            load_key_ring(self.path, os.urandom)

    def test_a_missing_folder_or_a_folder_in_its_place(self) -> None:
        self.assertRaises(KeyRingError, load_key_ring, self.path / "no" / "file", os.urandom)
        self.path.mkdir()
        self.assertRaises(KeyRingError, load_key_ring, self.path, os.urandom)
