"""What every store must do: records of files that are sent."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred

from imserver.model.files import Kind
from imserver.services.file_ports import Delivery, FileStore, NoRoom, Quota, Quotas, State, Transfer, Usage
from imserver.services.ports.friends import FriendLimits
from tests.contracts.cellar_case import CellarCase

AT = 1_700_000_000.0
HASH = "ab" * 32


def transfer(number: int, **fields: Any) -> Transfer:
    """A new transfer of alice to bob."""
    values: dict[str, Any] = {
        "no": 0,
        "id": f"tr-{number}",
        "file": f"f-{number}",
        "owner": "alice",
        "format": "f",
        "client_id": "",
        "name": f"{number}.txt",
        "size": 100,
        "sha256": HASH,
        "kind": Kind.FILE,
        "recipient": "bob",
        "group": "",
        "conversation": "",
        "state": State.OPEN,
        "created_at": AT + number,
        "expires_at": AT + 1000 + number,
    }
    return Transfer(**{**values, **fields})


class FileSuite(CellarCase):
    """`services.file_ports.FileStore`."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol")

    @property
    def files(self) -> FileStore:
        files: FileStore = self.cellar.files  # type: ignore[attr-defined]
        return files

    def add(self, number: int, **fields: Any) -> Transfer:
        return self.wait_for(self.files.add_transfer(transfer(number, **fields)))

    def move(self, number: int, before: State, after: State, **fields: str) -> bool:
        return self.wait_for(self.files.move_transfer(f"tr-{number}", before, after, **fields))

    def offers(self, user: str, limit: int = 100) -> list[str]:
        return [one.id for one in self.wait_for(self.files.offers(user, limit))]

    def test_it_is_found_by_each_of_its_ids(self) -> None:
        kept = self.add(1, client_id="c1", kind=Kind.VIDEO, conversation="ours", name="张三😀.mp4")
        self.assertGreater(kept.no, 0)
        self.assertEqual(
            kept,
            transfer(1, no=kept.no, client_id="c1", kind=Kind.VIDEO, conversation="ours", name="张三😀.mp4"),
        )
        for found in (
            self.files.transfer("tr-1"),
            self.files.transfer_of_file("f-1"),
            self.files.transfer_of("alice", "f", "c1"),
        ):
            self.assertEqual(self.wait_for(found), kept)
        for missing in (
            self.files.transfer("tr-2"),
            self.files.transfer_of_file("tr-1"),
            self.files.transfer_of("bob", "f", "c1"),
            self.files.transfer_of("alice", "g", "c1"),
            self.files.transfer_of("alice", "f", ""),
        ):
            self.assertIsNone(self.wait_for(missing))

    def test_the_same_client_id_is_the_same_transfer(self) -> None:
        first = self.add(1, client_id="c1")
        self.assertEqual(self.add(2, client_id="c1"), first)
        self.assertEqual(self.add(3, client_id="c1", format="g").id, "tr-3")
        self.assertEqual(self.add(4, client_id="c1", owner="bob").id, "tr-4")
        for number in (5, 6):
            self.assertEqual(self.add(number).id, f"tr-{number}")
        self.wait_for(self.files.free_client_id("tr-1"))
        self.assertEqual(self.add(7, client_id="c1").id, "tr-7")

    def test_states_move_from_what_they_are(self) -> None:
        self.add(1, sha256="")
        self.assertFalse(self.move(1, State.STORED, State.EXPIRED))
        self.assertFalse(self.move(2, State.OPEN, State.STORED))
        self.assertTrue(self.move(1, State.OPEN, State.STORED, sha256=HASH))
        self.assertFalse(self.move(1, State.OPEN, State.CANCELLED))
        self.assertTrue(self.move(1, State.STORED, State.STORED, message_id="m1"))
        kept = self.wait_for(self.files.transfer("tr-1"))
        assert kept is not None
        self.assertEqual((kept.state, kept.sha256, kept.message_id), (State.STORED, HASH, "m1"))

    def test_lists(self) -> None:
        numbers = {f"tr-{number}": self.add(number).no for number in range(1, 4)}
        numbers["tr-4"] = self.add(4, owner="bob", recipient="carol").no
        self.add(5, owner="carol", recipient="", group="g")

        def of(user: str, before: int = 10**18, limit: int = 10) -> list[str]:
            return [one.id for one in self.wait_for(self.files.transfers(user, before, limit))]

        self.assertEqual(of("alice"), ["tr-3", "tr-2", "tr-1"])
        self.assertEqual(of("bob"), ["tr-4", "tr-3", "tr-2", "tr-1"])
        self.assertEqual(of("bob", numbers["tr-4"], 2), ["tr-3", "tr-2"])
        self.assertEqual(of("carol"), ["tr-5", "tr-4"])
        self.assertEqual(of("nobody"), [])

    def test_offers_are_what_one_has_not_dealt_with(self) -> None:
        self.add_group("g", "alice", "bob")
        self.add_group("other", "alice")
        for number in (1, 2, 3):
            self.add(number)
        self.add(4, recipient="", group="g")
        self.add(5, recipient="", group="other")
        self.add(6, recipient="", group="g", owner="bob")
        self.add(7, recipient="bob", owner="bob")
        self.move(2, State.OPEN, State.STORED)
        self.move(3, State.OPEN, State.CANCELLED)
        self.assertEqual(self.offers("bob"), ["tr-1", "tr-2", "tr-4"])
        self.assertEqual(self.offers("bob", limit=2), ["tr-1", "tr-2"])
        self.assertEqual(self.offers("alice"), ["tr-6"])
        self.assertEqual(self.offers("carol"), [])
        self.assertEqual(self.offers("nobody"), [])
        one, two = (self.wait_for(self.files.transfer(f"tr-{number}")) for number in (1, 2))
        assert one is not None
        assert two is not None
        self.wait_for(self.files.set_delivery(one.no, "bob", Delivery.REJECTED, AT))
        self.wait_for(self.files.set_delivery(two.no, "bob", Delivery.ACCEPTED, AT))
        self.assertEqual(self.offers("bob"), ["tr-2", "tr-4"])

    def test_offers_to_a_group_are_for_those_who_were_in_it(self) -> None:
        directory = self.cellar.directory
        self.add_group("g", "alice", "bob")
        self.add(1, recipient="", group="g")
        self.wait_for(directory.add_member("g", "carol", AT + 1.5))
        self.add(2, recipient="", group="g")
        self.assertEqual(self.offers("bob"), ["tr-1", "tr-2"])
        self.assertEqual(self.offers("carol"), ["tr-2"])
        self.wait_for(directory.remove_member("g", "carol", AT + 3))
        self.assertEqual(self.offers("carol"), [])
        self.wait_for(directory.add_member("g", "carol", AT + 4))
        self.assertEqual(self.offers("carol"), [])

    def test_offers_of_the_blocked_are_not_told(self) -> None:
        self.add_group("g", "alice", "bob")
        self.add(1)
        self.add(2, recipient="", group="g")
        self.add(3, owner="carol")

        def block(user: str, other: str, blocked: bool) -> None:
            limits = FriendLimits()
            self.wait_for(self.cellar.directory.block_user(self.principal(user), other, blocked, limits, AT))

        block("bob", "alice", True)
        block("carol", "bob", True)
        self.assertEqual(self.offers("bob"), ["tr-2", "tr-3"])
        block("bob", "alice", False)
        self.assertEqual(self.offers("bob"), ["tr-1", "tr-2", "tr-3"])

    def test_a_delivery_stays_delivered(self) -> None:
        no = self.add(1).no

        def told(delivery: Delivery) -> bool:
            return self.wait_for(self.files.set_delivery(no, "bob", delivery, AT))

        self.assertIsNone(self.wait_for(self.files.delivery(no, "bob")))
        self.assertEqual([told(Delivery.ACCEPTED), told(Delivery.ACCEPTED)], [True, False])
        self.assertEqual([told(Delivery.REJECTED), told(Delivery.DELIVERED)], [True, True])
        self.assertEqual([told(Delivery.ACCEPTED), told(Delivery.DELIVERED)], [False, False])
        self.assertEqual(self.wait_for(self.files.delivery(no, "bob")), Delivery.DELIVERED)
        self.assertIsNone(self.wait_for(self.files.delivery(no, "carol")))

    def test_quotas(self) -> None:
        # What is asked for at the same moment is too much together.
        for quotas, quota in (
            (Quotas(2, 9, 900), Quota.OPEN),
            (Quotas(9, 2, 900), Quota.FILES),
            (Quotas(9, 9, 299), Quota.BYTES),
        ):
            with self.subTest(quota):
                owner = {Quota.OPEN: "alice", Quota.FILES: "bob", Quota.BYTES: "carol"}[quota]
                asked = [
                    self.files.add_transfer(
                        transfer(number, owner=owner, id=f"{owner}{number}", file=f"{owner}{number}"), quotas
                    )
                    for number in range(3)
                ]
                outcomes = [self.outcome_of(one) for one in [ensureDeferred(one) for one in asked]]
                self.assertEqual([quota], [one for one in outcomes if one is not None])
                self.assertEqual(2, self.wait_for(self.files.usage(owner)).files)

    def outcome_of(self, adding: Any) -> Quota | None:
        try:
            self.wait_for(adding)
        except NoRoom as error:
            return error.quota
        return None

    def test_quotas_are_free_again(self) -> None:
        quotas = Quotas(1, 9, 900)
        first = self.wait_for(self.files.add_transfer(transfer(1, client_id="c"), quotas))
        again = self.wait_for(self.files.add_transfer(transfer(2, client_id="c"), quotas))
        self.assertEqual(first, again, "a repeated request needs no room")
        self.assertIs(Quota.OPEN, self.outcome_of(self.files.add_transfer(transfer(3), quotas)))
        self.assertTrue(self.move(1, State.OPEN, State.STORED))
        self.assertIsNone(self.outcome_of(self.files.add_transfer(transfer(3), quotas)))

    def test_the_quota_of_all(self) -> None:
        quotas = Quotas(9, 9, 900, 250)
        self.add(1)
        self.assertIsNone(self.outcome_of(self.files.add_transfer(transfer(2, owner="bob"), quotas)))
        self.assertIs(
            Quota.TOTAL, self.outcome_of(self.files.add_transfer(transfer(3, owner="carol"), quotas))
        )
        small = transfer(4, owner="carol", size=50)
        self.assertIsNone(self.outcome_of(self.files.add_transfer(small, quotas)))
        self.assertEqual(250, self.wait_for(self.files.total_bytes()))

    def test_usage(self) -> None:
        self.assertEqual(self.wait_for(self.files.usage("alice")), Usage(0, 0, 0))
        for number in range(1, 5):
            self.add(number)
        self.add(5, owner="bob", size=7)
        self.move(1, State.OPEN, State.STORED)
        self.move(2, State.OPEN, State.CANCELLED)
        self.assertEqual(self.wait_for(self.files.usage("alice")), Usage(2, 3, 300))
        self.assertEqual(self.wait_for(self.files.usage("bob")), Usage(1, 1, 7))
        self.assertEqual(self.wait_for(self.files.total_bytes()), 307)

    def test_messages_that_are_still_to_be_sent(self) -> None:
        for number in range(1, 5):
            self.add(number, **({"recipient": ""} if number == 2 else {}))
        for number in (1, 2, 3):
            self.move(number, State.OPEN, State.STORED)
        self.move(3, State.STORED, State.STORED, message_id="m")
        self.assertEqual([one.id for one in self.wait_for(self.files.unsent(10))], ["tr-1"])

    def test_time(self) -> None:
        for number in range(1, 4):
            self.add(number)
        self.move(2, State.OPEN, State.STORED)
        self.move(3, State.OPEN, State.REJECTED)
        self.wait_for(self.files.set_delivery(self.add(4).no, "bob", Delivery.ACCEPTED, AT))
        self.assertEqual(self.wait_for(self.files.expire(AT + 1000, 10)), [])
        first = self.wait_for(self.files.expire(AT + 1002, 1))
        self.assertEqual([(one.id, one.state) for one in first], [("tr-1", State.OPEN)])
        second = self.wait_for(self.files.expire(AT + 1002, 10))
        self.assertEqual([(one.id, one.state) for one in second], [("tr-2", State.STORED)])
        self.assertEqual(self.wait_for(self.files.forget(AT + 1003, 2)), 2)
        self.assertEqual(self.wait_for(self.files.forget(AT + 1003, 2)), 1)
        self.assertEqual(self.wait_for(self.files.forget(AT + 9999, 9)), 0)  # tr-4 has not expired
        self.assertIsNotNone(self.wait_for(self.files.transfer("tr-4")))

    def test_what_is_referred_to(self) -> None:
        self.add(1)
        self.add(2, sha256="cd" * 32)
        self.move(1, State.OPEN, State.STORED)
        hashes, parts = self.wait_for(self.files.kept({HASH, "cd" * 32, "ef" * 32}, {"tr-1", "tr-2", "tr-3"}))
        self.assertEqual((hashes, parts), ({HASH}, {"tr-2"}))
