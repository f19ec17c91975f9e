"""The key file is read again while tokens are checked against it."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from imserver.services.keys import Key, KeyRingError, load_key_ring
from imserver.services.private_files import create_private


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
        self.assertIsNone(self.ring.find(new.kid, "HS256"))
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

    def test_nodes_that_share_the_file_and_rotate_in_turn(self) -> None:
        other = load_key_ring(self.path, os.urandom)
        keys = [self.ring.current, other.rotate(10.0), self.ring.rotate(20.0), other.rotate(30.0)]
        for ring in (other, load_key_ring(self.path, os.urandom)):
            for key in keys:
                self.assertEqual(key, ring.find(key.kid, "HS256"))

    def test_nodes_that_make_the_file_at_once(self) -> None:
        data = self.path.read_bytes()
        self.assertFalse(create_private(self.path, b"other"))
        self.assertEqual(data, self.path.read_bytes())
        self.assertEqual([self.path], list(self.path.parent.iterdir()))
        fresh = self.path.with_name("fresh")
        self.assertTrue(create_private(fresh, b"x"))
        self.assertEqual((b"x", 0o600), (fresh.read_bytes(), stat.S_IMODE(fresh.stat().st_mode)))
