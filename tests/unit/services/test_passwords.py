"""Password hashing: real argon2id with weak parameters."""

from __future__ import annotations

import hashlib

from imserver.model.errors import ErrorCode, ImError
from imserver.services.passwords import PasswordHasher, digest
from tests.unit.services.world import HeldThreads, InlineThreads, ServiceCase, weak_hasher


class DigestTests(ServiceCase):
    def test_the_plain_password_and_its_hash_are_one(self) -> None:
        plain = "pässword"
        hex_form = hashlib.sha256(plain.encode()).hexdigest()
        self.assertEqual(digest(plain, False), hex_form)
        self.assertEqual(digest(hex_form, True), hex_form)

    def test_a_plain_password_that_looks_like_a_hash_is_hashed(self) -> None:
        self.assertNotEqual(digest("a" * 64, False), "a" * 64)

    def test_what_is_no_password(self) -> None:
        good = "a" * 64
        for password, hashed in (
            ("", False),
            ("x" * 1025, False),
            ("ä" * 513, False),
            ("\ud800", False),
            ("", True),
            (good[1:], True),
            (good + "a", True),
            (good + "\n", True),
            ("A" * 64, True),
            ("g" * 64, True),
        ):
            with self.assertRaises(ImError, msg=f"{password[:10]!r} {hashed}") as caught:
                digest(password, hashed)
            self.assertEqual(caught.exception.code, ErrorCode.BAD_REQUEST)
        self.assertEqual(len(digest("x" * 1024, False)), 64)


class HasherTests(ServiceCase):
    def setUp(self) -> None:
        self.threads = InlineThreads()
        self.hasher = weak_hasher(self.threads)

    def test_hash_and_verify(self) -> None:
        right, wrong = digest("right", False), digest("wrong", False)
        stored = self.run_now(self.hasher.hash(right))
        self.assertTrue(stored.startswith("$argon2id$"))
        self.assertNotIn(right, stored)
        self.assertTrue(self.run_now(self.hasher.verify(stored, right)))
        self.assertFalse(self.run_now(self.hasher.verify(stored, wrong)))

    def test_every_hash_has_a_salt_of_its_own(self) -> None:
        one, two = (self.run_now(self.hasher.hash("a" * 64)) for _ in range(2))
        self.assertNotEqual(one, two)

    def test_nothing_stored_is_never_right_but_costs_the_same_work(self) -> None:
        self.assertFalse(self.run_now(self.hasher.verify("", "a" * 64)))
        self.assertEqual(self.threads.calls, 1)

    def test_a_damaged_stored_hash_is_not_right(self) -> None:
        for stored in ("nonsense", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv"):
            self.assertFalse(self.run_now(self.hasher.verify(stored, "a" * 64)))

    def test_hashes_of_other_parameters_still_verify_and_ask_for_a_new_one(self) -> None:
        stored = self.run_now(self.hasher.hash("a" * 64))
        stronger = PasswordHasher(self.threads, time_cost=2, memory_kib=16, parallelism=1)
        self.assertFalse(self.hasher.needs_rehash(stored))
        self.assertTrue(stronger.needs_rehash(stored))
        self.assertTrue(stronger.needs_rehash("nonsense"))
        self.assertTrue(self.run_now(stronger.verify(stored, "a" * 64)))

    def test_a_full_queue_is_unavailable(self) -> None:
        threads = HeldThreads(limit=1)
        hasher = weak_hasher(threads)
        first = self.start(hasher.hash("a" * 64))
        self.refused(ErrorCode.UNAVAILABLE, hasher.verify("", "a" * 64))
        self.assertNoResult(first)
        threads.run()
        self.assertTrue(self.successResultOf(first).startswith("$argon2id$"))

    def test_the_default_cost_is_owasps(self) -> None:
        hasher = PasswordHasher(self.threads)
        stored = self.run_now(hasher.hash("a" * 64))
        self.assertIn("$m=19456,t=2,p=1$", stored)
