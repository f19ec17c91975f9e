"""The key file is read again while tokens are checked against it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from imserver.services.keys import Key, KeyRing, KeyRingError, load_key_ring
from imserver.services.message_keys import MessageKeys


def foreign(kid: str) -> Key:
    return Key(kid, "EdDSA", Ed25519PrivateKey.generate().public_key(), external=True)


class Reloading(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "token-keys.json"
        self.ring = load_key_ring(self.path, os.urandom, external=[foreign("a")])

    def test_a_key_that_somebody_else_added_is_taken_up(self) -> None:
        old, version = self.ring.current, self.ring.version
        new = load_key_ring(self.path, os.urandom).rotate(10.0)
        self.assertEqual(self.ring.current, old)
        self.ring.reload([foreign("b")])
        self.assertEqual(self.ring.current, new)
        self.assertEqual(self.ring.find(old.kid, "HS256"), old)
        self.assertIsNone(self.ring.find("a", "EdDSA"))
        self.assertIsNotNone(self.ring.find("b", "EdDSA"))
        self.assertGreater(self.ring.version, version)

    def test_a_key_that_is_gone_verifies_no_more(self) -> None:
        old = self.ring.current
        load_key_ring(self.path, os.urandom).rotate(10.0, keep_old=False)
        self.ring.reload([])
        self.assertIsNone(self.ring.find(old.kid, "HS256"))

    def test_what_cannot_be_used_changes_nothing(self) -> None:
        old, version = self.ring.current, self.ring.version

        def damage() -> None:
            self.path.write_text("{")

        def expose() -> None:
            self.path.chmod(0o644)

        for fault in (expose, damage, self.path.unlink):
            fault()
            self.assertRaises(KeyRingError, self.ring.reload, [])
        self.assertEqual((self.ring.current, self.ring.version), (old, version))
        self.assertIsNotNone(self.ring.find("a", "EdDSA"))

    def test_two_keys_of_one_id_change_nothing(self) -> None:
        self.assertRaises(KeyRingError, self.ring.reload, [foreign("b"), foreign("b")])
        self.assertIsNotNone(self.ring.find("a", "EdDSA"))
        self.assertIsNone(self.ring.find("b", "EdDSA"))


class Shared(SynchronousTestCase):
    """Two servers with one file."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "token-keys.json"
        self.one = load_key_ring(self.path, os.urandom)
        self.other = load_key_ring(self.path, os.urandom)

    def test_a_token_of_the_others_new_key_is_known_at_once(self) -> None:
        new = self.one.rotate(10.0)
        version = self.other.version
        self.assertEqual(self.other.find(new.kid, "HS256"), new)
        self.assertGreater(self.other.version, version)
        self.assertIsNone(self.other.find("nonsense", "HS256"))

    def test_what_the_other_withdrew_is_gone_after_a_look(self) -> None:
        old = self.one.current
        self.one.rotate(10.0, keep_old=False)
        self.assertEqual(self.other.find(old.kid, "HS256"), old)
        self.other.look()
        self.assertIsNone(self.other.find(old.kid, "HS256"))

    def test_rotations_in_turn_lose_none(self) -> None:
        kids = [ring.rotate(10.0 + n).kid for n in range(3) for ring in (self.one, self.other)]
        for ring in (self.one, self.other):
            self.assertTrue(all(ring.find(kid, "HS256") for kid in kids))

    def test_a_damaged_file_is_told_once_and_never_to_a_tokens_sender(self) -> None:
        self.path.write_text("{")
        self.assertIsNone(self.other.find("nonsense", "HS256"))
        self.path.chmod(0o644)
        self.assertRaises(KeyRingError, self.other.look)
        self.other.look()

    def test_both_begin_at_the_same_time(self) -> None:
        self.path.unlink()
        rings: list[KeyRing] = []

        def chance(count: int) -> bytes:
            # While the one makes its key, the other is faster.
            if not rings:
                rings.append(load_key_ring(self.path, os.urandom))
            return os.urandom(count)

        slower = load_key_ring(self.path, chance)
        self.assertEqual(slower.current, rings[0].current)
        self.assertEqual(os.listdir(self.folder), ["token-keys.json"])

    def test_message_keys(self) -> None:
        path = self.folder / "message-keys.json"
        one, other = MessageKeys(path, os.urandom), MessageKeys(path, os.urandom)
        alice = one.add_preshared("alice", 1.0)
        bob = other.add_preshared("bob", 1.0)
        one.look()
        self.assertEqual([key.kid for key in one.stored()], sorted([alice.kid, bob.kid]))
        self.assertEqual(one.public_key(), other.public_key())
        one.remove(bob.kid)
        other.look()
        self.assertIsNone(other.preshared(bob.kid))

    def test_the_servers_own_key_is_made_once(self) -> None:
        path = self.folder / "message-keys.json"
        other = MessageKeys(path, os.urandom)

        def chance(count: int) -> bytes:
            other.public_key()
            return os.urandom(count)

        one = MessageKeys(path, chance)
        self.assertEqual(one.public_key(), other.public_key())
