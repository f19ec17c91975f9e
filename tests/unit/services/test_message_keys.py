"""The keys that protect messages: their file, and the operator's commands."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode, ImError
from imserver.model.key_admin import (
    AddMessageKey,
    ListMessageKeys,
    MessageKeyAdded,
    MessageKeyInfo,
    RemoveMessageKey,
)
from imserver.services.key_admin import KeyAdministration
from imserver.services.message_keys import MessageKeys
from imserver.services.private_files import KeyRingError
from tests.unit.services.world import START, Chance

PUBLIC = base64.b64encode(
    Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
).decode()


class KeysCase(SynchronousTestCase):
    def setUp(self) -> None:
        directory = TemporaryDirectory(ignore_cleanup_errors=True)
        self.addCleanup(directory.cleanup)
        folder = Path(directory.name)
        self.path = folder / "message-keys.json"
        self.keys = MessageKeys(self.path, Chance())


class File(KeysCase):
    def test_there_is_none_until_there_is_a_key(self) -> None:
        self.assertFalse(self.path.exists())
        self.keys.add_preshared("alice", START)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual([entry.name for entry in self.path.parent.iterdir()], [self.path.name])

    def test_read_again(self) -> None:
        added = self.keys.add_preshared("alice", START, kid="k")
        self.keys.add_registered("bob", PUBLIC, START)
        again = MessageKeys(self.path, Chance())
        self.assertEqual(again.stored(), self.keys.stored())
        found = again.preshared("k")
        assert found is not None
        self.assertEqual((found.user, base64.b64encode(found.secret).decode()), ("alice", added.material))
        self.assertEqual(again.public_key(), self.keys.public_key())

    def test_taken_up_while_the_server_runs(self) -> None:
        self.keys.add_preshared("alice", START)
        running = MessageKeys(self.path, Chance())
        self.keys.add_preshared("bob", START)
        self.assertIsNone(running.preshared_of("bob"))
        running.reload()
        self.assertIsNotNone(running.preshared_of("bob"))
        self.path.unlink()
        self.assertIn("gone", str(self.assertRaises(KeyRingError, running.reload)))
        self.assertIsNotNone(running.preshared_of("bob"))

    def test_nodes_that_share_the_file(self) -> None:
        other = MessageKeys(self.path, Chance())
        self.keys.add_preshared("alice", START, kid="a")
        other.add_preshared("bob", START, kid="b")
        self.keys.add_preshared("carol", START, kid="c")
        other.remove("a")
        self.assertEqual(["b", "c"], [key.kid for key in other.stored()])
        self.keys.reload()
        self.assertEqual(other.stored(), self.keys.stored())
        self.assertEqual(other.public_key(), self.keys.public_key())

    def test_unusable_files(self) -> None:
        self.keys.add_preshared("alice", START, kid="k")
        good = self.path.read_text()
        one = good[good.index('{\n      "kid"') : good.rindex("}\n  ]") + 1]
        for text in (
            "",
            "[]",
            good.replace('"version": 1', '"version": 2'),
            good.replace('"preshared"', '"rsa"'),
            good.replace('"material": "', '"material": "*'),
            good.replace('"server": "', '"server": "AAAA'),
            good.replace(one, one + "," + one),
            good.replace(one, one + "," + one.replace('"k"', '"k2"')),
        ):
            self.path.write_text(text)
            error = self.assertRaises(KeyRingError, MessageKeys, self.path, Chance())
            self.assertIn(str(self.path), str(error))
            self.assertNotIn("\n", str(error))
        self.path.write_text(good)
        self.path.chmod(0o640)
        self.assertIn("chmod 600", str(self.assertRaises(KeyRingError, MessageKeys, self.path, Chance())))

    def test_what_cannot_be_saved_is_not_used(self) -> None:
        self.keys.add_preshared("alice", START, kid="k")
        self.path.unlink()
        self.path.parent.rmdir()
        self.assertRaises(KeyRingError, self.keys.add_preshared, "bob", START)
        self.assertRaises(KeyRingError, self.keys.remove, "k")
        self.assertEqual([key.kid for key in self.keys.stored()], ["k"])

    def test_no_secret_in_what_might_be_logged(self) -> None:
        stored = self.keys.add_preshared("alice", START, kid="k")
        for thing in (
            stored,
            self.keys.preshared("k"),
            AddMessageKey("alice", material=stored.material),
            MessageKeyAdded(MessageKeyInfo("k", "alice", "preshared", 0.0), stored.material),
        ):
            text = repr(thing)
            self.assertIn("alice", text)
            self.assertNotIn(stored.material, text)
            self.assertNotIn(repr(base64.b64decode(stored.material)), text)

    def test_the_servers_signature(self) -> None:
        _, public = self.keys.public_key()
        kind, kid, signature = self.keys.sign(b"data").split(":")
        self.assertEqual((kind, kid), ("ed25519", "server"))
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public)).verify(
            base64.b64decode(signature), b"data"
        )


class Commands(KeysCase):
    def setUp(self) -> None:
        super().setUp()
        self.administration = KeyAdministration(self.keys, lambda: START)

    def perform(self, command: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(self.administration.perform(command)))

    def refused(self, code: ErrorCode, command: Any) -> None:
        failure = self.failureResultOf(Deferred.fromCoroutine(self.administration.perform(command)), ImError)
        self.assertIs(failure.value.code, code)

    def test_a_user_has_one_pre_shared_key(self) -> None:
        first = self.perform(AddMessageKey("alice"))
        self.assertEqual(len(base64.b64decode(first.secret)), 32)
        second = self.perform(AddMessageKey("alice", kid="second"))
        self.assertNotEqual(first.secret, second.secret)
        self.assertIsNone(self.keys.preshared(first.key.kid))
        found = self.keys.preshared_of("alice")
        assert found is not None
        self.assertEqual(found.kid, "second")

    def test_a_user_may_register_several(self) -> None:
        for kid in ("laptop", "phone"):
            added = self.perform(AddMessageKey("alice", "ed25519", kid, PUBLIC))
            self.assertEqual(added.secret, "")
        self.perform(AddMessageKey("bob"))
        listed = self.perform(ListMessageKeys("alice"))
        self.assertEqual(
            [(key.kid, key.kind) for key in listed.keys], [("laptop", "ed25519"), ("phone", "ed25519")]
        )
        self.assertEqual(len(self.perform(ListMessageKeys()).keys), 3)
        self.perform(RemoveMessageKey("laptop"))
        self.assertIsNone(self.keys.registered("laptop"))
        self.assertIsNotNone(self.keys.registered("phone"))

    def test_refused(self) -> None:
        self.perform(AddMessageKey("alice", kid="k"))
        for command in (
            AddMessageKey("a/b"),
            AddMessageKey("bob", kid="a:b"),
            AddMessageKey("bob", kid="x" * 65),
            AddMessageKey("bob", kid="server"),
            AddMessageKey("bob", material="AAAA"),
            AddMessageKey("bob", material="*"),
            AddMessageKey("bob", "ed25519"),
            AddMessageKey("bob", "ed25519", material="A" * 44),
        ):
            self.refused(ErrorCode.BAD_REQUEST, command)
        self.refused(ErrorCode.CONFLICT, AddMessageKey("bob", kid="k"))
        self.refused(ErrorCode.NOT_FOUND, RemoveMessageKey("unknown"))
        self.path.unlink()
        self.path.parent.rmdir()
        self.refused(ErrorCode.UNAVAILABLE, AddMessageKey("bob"))
        self.assertEqual([key.kid for key in self.keys.stored()], ["k"])
