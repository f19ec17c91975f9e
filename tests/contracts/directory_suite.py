"""What every directory must do: accounts, grants, groups."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from imserver.model.accounts import Account, Grant, Role
from imserver.model.errors import ErrorCode
from imserver.model.groups import GroupRole
from tests.contracts.cellar_case import CellarCase


class AccountSuite(CellarCase):
    """Accounts and grants."""

    def setUp(self) -> None:
        self.open_cellar()
        self.directory = self.cellar.directory

    def account(self, user: str) -> Account:
        account = self.wait_for(self.directory.account(user))
        assert account is not None
        return account

    def grant(self, sid: str) -> Grant:
        grant = self.wait_for(self.directory.grant(sid))
        assert grant is not None
        return grant

    def test_an_account(self) -> None:
        account = Account("alice", "hash", Role.ADMIN, False, 5.0, 3)
        self.assertIsNone(self.wait_for(self.directory.account("alice")))
        self.wait_for(self.directory.create_account(account))
        self.assertEqual(account, self.wait_for(self.directory.account("alice")))
        self.assertIsNone(self.wait_for(self.directory.account("Alice")))
        self.assertEqual(
            ErrorCode.USER_EXISTS, self.error_of(self.directory.create_account(Account("alice", "")))
        )
        self.assertEqual(account, self.wait_for(self.directory.account("alice")))

    def test_changes_grow_the_generation(self) -> None:
        self.add_users("alice")
        changed = self.wait_for(self.directory.change_account("alice", password_hash="h", role=Role.ADMIN))
        self.assertEqual(Account("alice", "h", Role.ADMIN, False, 0.0, 1), changed)
        changed = self.wait_for(self.directory.change_account("alice", disabled=True))
        self.assertEqual(Account("alice", "h", Role.ADMIN, True, 0.0, 2), changed)
        changed = self.wait_for(self.directory.change_account("alice", disabled=False))
        self.assertFalse(changed.disabled)
        self.assertEqual(4, self.wait_for(self.directory.bump_generation("alice")).generation)
        self.assertEqual(4, self.account("alice").generation)
        for refused in (self.directory.change_account("bob"), self.directory.bump_generation("bob")):
            self.assertEqual(ErrorCode.USER_NOT_FOUND, self.error_of(refused))

    def test_changes_are_counted_before_they_are_told_or_not_at_all(self) -> None:
        self.add_users("alice", "bob")
        self.wait_for(self.directory.create_grant(Grant("s1", "alice", "", "r", 1.0, 100.0)))
        known = self.directory.account_changes is not None
        for change in (
            lambda: self.directory.change_account("alice", password_hash="h"),
            lambda: self.directory.change_account("bob", disabled=True),
            lambda: self.directory.bump_generation("alice"),
            lambda: self.directory.revoke_grants("alice", "s1"),
            lambda: self.directory.revoke_grants("bob"),
        ):
            before = self.directory.account_changes

            async def changed(change: Callable[[], Awaitable[Any]] = change) -> int | None:
                await change()
                return self.directory.account_changes

            after = self.wait_for(changed())
            self.assertEqual((before is None, after is None), (not known, not known))
            if before is not None and after is not None:
                self.assertGreater(after, before)

    def test_accounts_are_listed_in_byte_order(self) -> None:
        self.add_users("b", "é", "a", "Z", "中", "😀")
        listed = [account.user for account in self.wait_for(self.directory.accounts("", 4))]
        self.assertEqual(["Z", "a", "b", "é"], listed)
        listed = [account.user for account in self.wait_for(self.directory.accounts("é", 4))]
        self.assertEqual(["中", "😀"], listed)

    def test_last_seen(self) -> None:
        self.add_users("alice", "bob")
        self.directory.seen("alice", 12.5)
        self.assertEqual({"alice": 12.5}, self.wait_for(self.directory.last_seen(["alice", "bob", "nobody"])))
        self.later(5.0)
        self.settle()
        self.assertEqual({"alice": 12.5}, self.wait_for(self.directory.last_seen(["alice", "bob", "nobody"])))

    def test_grants_rotate_once(self) -> None:
        self.add_users("alice")
        grant = Grant("s1", "alice", "web", "r1", 1.0, 100.0)
        self.wait_for(self.directory.create_grant(grant))
        self.assertEqual(grant, self.wait_for(self.directory.grant("s1")))
        self.assertIsNone(self.wait_for(self.directory.grant("s2")))
        rotated = self.wait_for(self.directory.rotate_grant("s1", "r1", "r2", "digest", 5.0, 200.0))
        expected = Grant("s1", "alice", "web", "r2", 1.0, 200.0, "r1", "digest", 5.0)
        self.assertEqual(expected, rotated)
        self.assertEqual(expected, self.wait_for(self.directory.grant("s1")))
        self.assertIsNone(self.wait_for(self.directory.rotate_grant("s1", "r1", "r3", "", 6.0, 300.0)))
        self.assertIsNone(self.wait_for(self.directory.rotate_grant("s9", "r1", "r3", "", 6.0, 300.0)))
        self.assertEqual(expected, self.wait_for(self.directory.grant("s1")))

    def test_grants_are_revoked_one_by_one_or_all(self) -> None:
        self.add_users("alice", "bob")
        for sid, user in (("s1", "alice"), ("s2", "alice"), ("s3", "alice"), ("s4", "bob")):
            self.wait_for(self.directory.create_grant(Grant(sid, user, "", "r", 1.0, 100.0)))
        self.assertEqual([], self.wait_for(self.directory.revoke_grants("bob", "s1")))
        self.assertEqual(["s1"], self.wait_for(self.directory.revoke_grants("alice", "s1")))
        self.assertEqual([], self.wait_for(self.directory.revoke_grants("alice", "s1")))
        self.assertEqual(["s2", "s3"], sorted(self.wait_for(self.directory.revoke_grants("alice"))))
        self.assertTrue(self.grant("s2").revoked)
        self.assertFalse(self.grant("s4").revoked)
        self.assertIsNone(self.wait_for(self.directory.rotate_grant("s1", "r", "r2", "", 6.0, 300.0)))


class GroupSuite(CellarCase):
    """Groups."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol", "dave", group_members=3)
        self.directory = self.cellar.directory

    def test_a_group(self) -> None:
        created = self.wait_for(
            self.directory.create_group(
                "team", "The Team", "bob", False, "hash", ["alice", "bob"], 7.0, encrypted=True
            )
        )
        self.assertEqual(created, self.wait_for(self.directory.group("team")))
        group = created.group
        self.assertEqual(("team", "The Team", "bob"), (group.group, group.name, group.owner))
        self.assertEqual(
            (False, True, 7.0, 2), (group.open, group.has_password, group.created_at, group.member_count)
        )
        self.assertEqual(
            [("alice", GroupRole.MEMBER, 7.0), ("bob", GroupRole.OWNER, 7.0)],
            [(member.user, member.role, member.joined_at) for member in group.members],
        )
        self.assertEqual(("hash", frozenset()), (created.password_hash, created.invited))
        self.assertTrue(group.encrypted)
        self.assertEqual([True], [one.encrypted for one in self.wait_for(self.directory.groups_of("alice"))])
        self.assertEqual([True], [one.encrypted for one in self.wait_for(self.directory.groups("", 9))])
        self.add_group("plain", "alice")
        plain = self.wait_for(self.directory.group("plain"))
        assert plain is not None
        self.assertFalse(plain.group.encrypted)
        self.assertIsNone(self.wait_for(self.directory.group("other")))

    def test_an_id_is_taken_for_ever(self) -> None:
        self.add_group("team", "alice")
        again = self.directory.create_group("team", "", "bob", True, "", [], 1.0)
        self.assertEqual(ErrorCode.CONFLICT, self.error_of(again))
        deleted = self.wait_for(self.directory.delete_group("team"))
        self.assertEqual("alice", deleted.group.owner)
        self.assertIsNone(self.wait_for(self.directory.group("team")))
        self.assertEqual(ErrorCode.NOT_FOUND, self.error_of(self.directory.delete_group("team")))
        again = self.directory.create_group("team", "", "bob", True, "", [], 1.0)
        self.assertEqual(ErrorCode.CONFLICT, self.error_of(again))
        self.assertEqual([], self.wait_for(self.directory.groups_of("alice")))

    def test_all_groups_are_listed_in_byte_order(self) -> None:
        for group in ("b", "é", "a", "gone", "Z"):
            self.add_group(group, "bob", "alice")
        self.wait_for(self.directory.delete_group("gone"))
        self.wait_for(self.directory.remove_member("a", "bob", 2.0))
        listed = self.wait_for(self.directory.groups("", 3))
        self.assertEqual(["Z", "a", "b"], [group.group for group in listed])
        self.assertEqual([("bob", 2), ("alice", 1)], [(g.owner, g.member_count) for g in listed[:2]])
        of_alice = {group.group: group for group in self.wait_for(self.directory.groups_of("alice"))}
        self.assertEqual([of_alice[group.group] for group in listed], listed)
        self.assertEqual(["é"], [group.group for group in self.wait_for(self.directory.groups("b", 9))])

    def test_members_need_accounts_and_room(self) -> None:
        create = self.directory.create_group("team", "", "alice", True, "", ["nobody"], 1.0)
        self.assertEqual(ErrorCode.USER_NOT_FOUND, self.error_of(create))
        self.assertIsNone(self.wait_for(self.directory.group("team")))
        self.add_group("team", "alice", "bob")
        self.assertEqual(
            ErrorCode.USER_NOT_FOUND, self.error_of(self.directory.add_member("team", "nobody", 1.0))
        )
        self.assertEqual(ErrorCode.NOT_FOUND, self.error_of(self.directory.add_member("other", "carol", 1.0)))
        self.assertTrue(self.wait_for(self.directory.add_member("team", "carol", 2.0)))
        self.assertFalse(self.wait_for(self.directory.add_member("team", "carol", 3.0)))
        self.assertEqual(ErrorCode.CONFLICT, self.error_of(self.directory.add_member("team", "dave", 4.0)))

    def test_the_owner_is_followed_by_the_member_of_longest_standing(self) -> None:
        self.add_group("team", "alice")
        for user, at in (("dave", 2.0), ("bob", 3.0)):
            self.wait_for(self.directory.add_member("team", user, at))
        self.wait_for(self.directory.remove_member("team", "alice", 4.0))
        record = self.record("team")
        self.assertEqual("dave", record.group.owner)
        self.assertEqual(["bob", "dave"], [member.user for member in record.group.members])
        self.assertEqual(
            ErrorCode.NOT_FOUND, self.error_of(self.directory.remove_member("team", "alice", 5.0))
        )
        left = self.wait_for(self.directory.remove_member("team", "bob", 6.0))
        assert left is not None
        self.assertEqual("dave", left.group.owner)
        record = self.record("team")
        self.assertEqual("dave", record.group.owner)
        self.assertIsNone(self.wait_for(self.directory.remove_member("team", "dave", 7.0)))
        self.assertIsNone(self.wait_for(self.directory.group("team")))
        self.assertEqual(
            ErrorCode.NOT_FOUND, self.error_of(self.directory.remove_member("team", "dave", 8.0))
        )

    def test_an_invitation_is_spent_by_joining(self) -> None:
        self.add_group("team", "alice")
        self.wait_for(self.directory.invite("team", "bob", "alice", 2.0))
        self.wait_for(self.directory.invite("team", "bob", "alice", 3.0))
        self.assertEqual({"bob"}, self.record("team").invited)
        self.wait_for(self.directory.add_member("team", "bob", 4.0))
        self.assertEqual(set(), self.record("team").invited)
        self.assertEqual(
            ErrorCode.USER_NOT_FOUND, self.error_of(self.directory.invite("team", "nobody", "alice", 1.0))
        )
        self.assertEqual(
            ErrorCode.NOT_FOUND, self.error_of(self.directory.invite("other", "bob", "alice", 1.0))
        )

    def test_the_groups_of_a_user(self) -> None:
        for group in ("zoo", "abc"):
            self.add_group(group, "alice", "bob")
        self.add_group("mine", "carol")
        groups = self.wait_for(self.directory.groups_of("bob"))
        self.assertEqual(["abc", "zoo"], [group.group for group in groups])
        self.assertEqual([(2, [])] * 2, [(group.member_count, group.members) for group in groups])
        self.wait_for(self.directory.remove_member("abc", "bob", 2.0))
        self.assertEqual(["zoo"], [group.group for group in self.wait_for(self.directory.groups_of("bob"))])
        self.assertEqual([], self.wait_for(self.directory.groups_of("nobody")))

    def test_who_is_in_small_groups_with_a_user(self) -> None:
        self.add_group("three", "alice", "bob", "dave")
        self.add_group("two", "bob", "carol")
        self.add_group("mine", "carol")
        for user, largest, expected in (
            ("bob", 3, {"alice", "carol", "dave"}),
            ("bob", 2, {"carol"}),
            ("bob", 1, set()),
            ("bob", 0, set()),
            ("carol", 1, set()),
            ("nobody", 9, set()),
        ):
            self.assertEqual(expected, self.wait_for(self.directory.circle(user, largest)).met)
        self.wait_for(self.directory.remove_member("two", "bob", 2.0))
        self.assertEqual({"alice", "dave"}, self.wait_for(self.directory.circle("bob", 9)).met)
        self.wait_for(self.directory.delete_group("three"))
        self.assertEqual(set(), self.wait_for(self.directory.circle("bob", 9)).met)
