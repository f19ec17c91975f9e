"""The rules of groups, as a table of who may do what, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imserver.model.accounts import Account, Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import (
    CreateGroup,
    DeleteGroup,
    GetGroup,
    GroupChange,
    GroupChanged,
    GroupRole,
    InviteMember,
    JoinGroup,
    KickMember,
    LeaveGroup,
    ListGroups,
    ListMembers,
)
from imserver.model.messages import Done
from imserver.services.groups import GroupLimits, Groups
from tests.unit.services.cellar_world import CellarCase
from tests.unit.services.world import START, Chance, HeldThreads, InlineThreads, weak_hasher

USERS = ("owner", "member", "invited", "stranger", "eve")
Outcomes = dict[str, tuple[ErrorCode | None, ...]]
JOINS: Outcomes = {
    "closed": (None, None, None, ErrorCode.NOT_FOUND),
    "secret": (None, None, None, None),
    "open": (None, None, None, None),
}


class GroupCase(CellarCase):
    def setUp(self) -> None:
        super().setUp()
        self.groups = self.make()
        for user in USERS:
            self.run_now(self.directory.create_account(Account(user, "")))

    def make(self, threads: Any = None, **limits: int) -> Groups:
        return Groups(
            self.directory,
            self.bus,
            weak_hasher(InlineThreads() if threads is None else threads),
            self.time,
            Chance(),
            limits=GroupLimits(**limits),
        )

    def call(self, user: str, command: Any) -> Any:
        return self.groups.handle(Principal(user, f"{user}-session", "jsonline"), command)

    def do(self, user: str, command: Any) -> Any:
        return self.run_now(self.call(user, command))

    def no(self, code: ErrorCode, user: str, command: Any) -> ImError:
        return self.refused(code, self.call(user, command))

    def members(self, group: str) -> list[str]:
        record = self.run_now(self.directory.group(group))
        return [] if record is None else [member.user for member in record.group.members]

    def told(self) -> list[tuple[GroupChange, str, str, list[str], str]]:
        """What went over the bus since the last look."""
        events, self.events = self.events, []
        told = []
        for users, event, origin in events:
            assert isinstance(event, GroupChanged)
            self.assertEqual(event.at, self.time.now)
            told.append((event.change, event.user, event.by, sorted(users), origin))
        return told


class CreateTests(GroupCase):
    def test_a_group_with_its_members(self) -> None:
        reply = self.do("owner", CreateGroup("g", "Title", members=("member", "eve", "member", "owner")))
        group = reply.group
        self.assertEqual(
            (group.group, group.name, group.owner, group.open, group.has_password, group.created_at),
            ("g", "Title", "owner", False, False, START),
        )
        self.assertEqual(
            [(member.user, member.role) for member in group.members],
            [("eve", GroupRole.MEMBER), ("member", GroupRole.MEMBER), ("owner", GroupRole.OWNER)],
        )
        self.assertEqual(
            self.told(),
            [(GroupChange.CREATED, "owner", "owner", ["eve", "member", "owner"], "owner-session")],
        )

    def test_minted_ids_and_names(self) -> None:
        one, two = (self.do("owner", CreateGroup()).group for _ in range(2))
        self.assertRegex(one.group, r"\Ag[0-9a-f]{20}\Z")
        self.assertNotEqual(one.group, two.group)
        self.assertEqual(one.name, one.group)

    def test_what_is_refused(self) -> None:
        self.do("owner", CreateGroup("taken"))
        for code, command in (
            (ErrorCode.CONFLICT, CreateGroup("taken")),
            (ErrorCode.CONFLICT, CreateGroup("taken", password="x")),
            (ErrorCode.BAD_REQUEST, CreateGroup("group_x")),
            (ErrorCode.BAD_REQUEST, CreateGroup("a/b")),
            (ErrorCode.BAD_REQUEST, CreateGroup("g", "n" * 256)),
            (ErrorCode.BAD_REQUEST, CreateGroup("g", "ä" * 128)),
            (ErrorCode.BAD_REQUEST, CreateGroup("g", "\ud800")),
            (ErrorCode.BAD_REQUEST, CreateGroup("g", open=True, password="x")),
            (ErrorCode.BAD_REQUEST, CreateGroup("g", password="x" * 1025)),
            (ErrorCode.BAD_REQUEST, CreateGroup("g", members=("a/b",))),
            (ErrorCode.USER_NOT_FOUND, CreateGroup("g", members=("nobody",))),
        ):
            self.no(code, "owner", command)
        self.assertEqual(self.members("g"), [])
        self.assertEqual(len(self.told()), 1)
        self.do("owner", CreateGroup("g", "n" * 255))

    def test_a_deleted_groups_id_is_never_used_again(self) -> None:
        self.do("owner", CreateGroup("g"))
        self.do("owner", DeleteGroup("g"))
        self.no(ErrorCode.CONFLICT, "eve", CreateGroup("g"))

    def test_limits(self) -> None:
        self.groups = self.make(members=3, groups=2)
        self.no(ErrorCode.CONFLICT, "owner", CreateGroup(members=("member", "eve", "stranger")))
        self.do("owner", CreateGroup("g1", members=("member", "eve")))
        self.do("owner", CreateGroup("g2", members=("member",)))
        self.no(ErrorCode.CONFLICT, "owner", CreateGroup("g3"))
        self.no(ErrorCode.CONFLICT, "stranger", CreateGroup("g3", members=("member",)))
        self.do("stranger", CreateGroup("g3", members=("eve",)))


class RuleTests(GroupCase):
    """Everybody tries everything with a closed group, one with a password, and an open one."""

    def build(self) -> None:
        self.setUp()
        for group, open, password in (("closed", False, ""), ("secret", False, "sesame"), ("open", True, "")):
            self.do("owner", CreateGroup(group, open=open, password=password, members=("member",)))
            self.do("member", InviteMember(group, "invited"))
        self.told()

    def test_table(self) -> None:
        ok, none, no, bad = None, ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN, ErrorCode.BAD_REQUEST
        conflict, unknown = ErrorCode.CONFLICT, ErrorCode.USER_NOT_FOUND
        missing = {"missing": (none, none, none, none)}

        def each(*outcomes: ErrorCode | None) -> Outcomes:
            return dict.fromkeys(("closed", "secret", "open"), outcomes) | missing

        # What, and by group how it ends for the owner, a member, an invited user, a stranger.
        table: list[tuple[str, Callable[[str], Any], Outcomes]] = [
            ("join", lambda g: JoinGroup(g), JOINS | missing | {"secret": (ok, ok, ok, no)}),
            ("join, password", lambda g: JoinGroup(g, "sesame"), JOINS | missing),
            (
                "join, wrong password",
                lambda g: JoinGroup(g, "Sesame"),
                JOINS | missing | {"secret": (ok, ok, ok, no)},
            ),
            ("get", lambda g: GetGroup(g), each(ok, ok, ok, none) | {"open": (ok, ok, ok, ok)}),
            ("members", lambda g: ListMembers(g), each(ok, ok, none, none)),
            ("leave", lambda g: LeaveGroup(g), each(ok, ok, none, none)),
            ("invite", lambda g: InviteMember(g, "eve"), each(ok, ok, none, none)),
            ("invite a member", lambda g: InviteMember(g, "member"), each(conflict, conflict, none, none)),
            ("invite nobody", lambda g: InviteMember(g, "nobody"), each(unknown, unknown, none, none)),
            ("invite nonsense", lambda g: InviteMember(g, "a/b"), each(bad, bad, none, none)),
            ("kick a member", lambda g: KickMember(g, "member"), each(ok, no, none, none)),
            ("kick the owner", lambda g: KickMember(g, "owner"), each(bad, no, none, none)),
            ("kick a stranger", lambda g: KickMember(g, "stranger"), each(none, no, none, none)),
            ("delete", lambda g: DeleteGroup(g), each(ok, no, none, none)),
        ]
        tried = 0
        for name, command, groups in table:
            for group, outcomes in groups.items():
                for user, outcome in zip(("owner", "member", "invited", "stranger"), outcomes, strict=True):
                    self.build()
                    try:
                        self.do(user, command(group))
                        happened = None
                    except self.failureException:
                        happened = self.no(outcome or none, user, command(group)).code
                    self.assertEqual(happened, outcome, f"{name} {group} by {user}")
                    if outcome is not None:
                        self.assertEqual(self.told(), [], f"{name} {group} by {user}")
                        if group != "missing":
                            self.assertEqual(self.members(group), ["member", "owner"])
                    tried += 1
        self.assertGreater(tried, 120)

    def test_a_stranger_cannot_tell_a_closed_group_from_none(self) -> None:
        self.build()
        for make in (JoinGroup, GetGroup, ListMembers, LeaveGroup, DeleteGroup):
            closed = self.no(ErrorCode.NOT_FOUND, "stranger", make("closed"))
            missing = self.no(ErrorCode.NOT_FOUND, "stranger", make("missing"))
            invalid = self.no(ErrorCode.NOT_FOUND, "stranger", make("a/b" * 100))
            self.assertEqual({closed.text, missing.text}, {invalid.text})

    def test_who_sees_the_members(self) -> None:
        self.build()
        for user, group, seen in (
            ("owner", "closed", 2),
            ("member", "closed", 2),
            ("invited", "closed", 0),
            ("invited", "secret", 0),
            ("stranger", "open", 0),
        ):
            described = self.do(user, GetGroup(group)).group
            self.assertEqual((described.member_count, len(described.members)), (2, seen))
        listed = self.do("member", ListMembers("closed")).members
        self.assertEqual([member.user for member in listed], ["member", "owner"])

    def test_listing_ones_groups(self) -> None:
        self.build()
        listed = self.do("member", ListGroups()).groups
        self.assertEqual([group.group for group in listed], ["closed", "open", "secret"])
        self.assertEqual(self.do("invited", ListGroups()).groups, [])

    def test_unknown_commands(self) -> None:
        self.no(ErrorCode.UNKNOWN_COMMAND, "owner", Done())


class MembershipTests(GroupCase):
    def setUp(self) -> None:
        super().setUp()
        self.do("owner", CreateGroup("g", members=("member",)))
        self.told()

    def test_by_invitation(self) -> None:
        self.do("member", InviteMember("g", "invited"))
        self.assertEqual(
            self.told(),
            [(GroupChange.INVITED, "invited", "member", ["invited", "member", "owner"], "member-session")],
        )
        self.do("member", InviteMember("g", "invited"))
        self.assertEqual(self.told(), [], "a second invitation is no news")
        self.time.now += 5
        joined = self.do("invited", JoinGroup("g")).group
        self.assertEqual([m.user for m in joined.members], ["invited", "member", "owner"])
        self.assertEqual(joined.members[0].joined_at, START + 5)
        self.assertEqual(
            self.told(),
            [(GroupChange.JOINED, "invited", "invited", ["invited", "member", "owner"], "invited-session")],
        )
        self.assertEqual(self.do("invited", JoinGroup("g")).group, joined)
        self.assertEqual(self.told(), [], "joining twice is no news")

    def test_an_invitation_is_good_once(self) -> None:
        self.do("owner", InviteMember("g", "invited"))
        self.do("invited", JoinGroup("g"))
        self.do("owner", KickMember("g", "invited"))
        self.no(ErrorCode.NOT_FOUND, "invited", JoinGroup("g"))
        self.no(ErrorCode.NOT_FOUND, "invited", ListMembers("g"))

    def test_kicking_is_told_to_the_kicked(self) -> None:
        self.do("owner", KickMember("g", "member"))
        self.assertEqual(
            self.told(), [(GroupChange.KICKED, "member", "owner", ["member", "owner"], "owner-session")]
        )
        self.assertEqual(self.members("g"), ["owner"])

    def test_leaving(self) -> None:
        self.do("member", LeaveGroup("g"))
        self.assertEqual(
            self.told(), [(GroupChange.LEFT, "member", "member", ["member", "owner"], "member-session")]
        )
        self.no(ErrorCode.NOT_FOUND, "member", LeaveGroup("g"))

    def test_the_owner_leaves_and_the_eldest_follows(self) -> None:
        for user in ("stranger", "eve"):
            self.do("owner", InviteMember("g", user))
            self.do(user, JoinGroup("g"))
        self.told()
        self.do("owner", LeaveGroup("g"))
        rest = ["eve", "member", "stranger"]
        self.assertEqual(
            self.told(),
            [
                (GroupChange.LEFT, "owner", "owner", sorted([*rest, "owner"]), "owner-session"),
                (GroupChange.OWNER_CHANGED, "member", "owner", rest, "owner-session"),
            ],
        )
        self.do("member", KickMember("g", "eve"))
        self.no(ErrorCode.NOT_FOUND, "owner", DeleteGroup("g"))

    def test_the_last_one_takes_the_group_along(self) -> None:
        self.do("owner", LeaveGroup("g"))
        self.told()
        self.do("member", LeaveGroup("g"))
        self.assertEqual(self.told(), [(GroupChange.LEFT, "member", "member", ["member"], "member-session")])
        self.assertIsNone(self.run_now(self.directory.group("g")))
        self.no(ErrorCode.NOT_FOUND, "member", GetGroup("g"))

    def test_deleting_is_told_to_all_members(self) -> None:
        self.do("owner", DeleteGroup("g"))
        self.assertEqual(
            self.told(), [(GroupChange.DELETED, "owner", "owner", ["member", "owner"], "owner-session")]
        )
        self.no(ErrorCode.NOT_FOUND, "member", ListMembers("g"))


class PasswordTests(GroupCase):
    def setUp(self) -> None:
        super().setUp()
        self.do("owner", CreateGroup("g", password="sesame"))
        self.told()

    def test_it_is_stored_as_argon2id(self) -> None:
        record = self.run_now(self.directory.group("g"))
        assert record is not None
        self.assertTrue(record.password_hash.startswith("$argon2id$"))
        self.assertTrue(record.group.has_password)

    def test_ten_guesses_a_minute(self) -> None:
        for _ in range(10):
            self.no(ErrorCode.FORBIDDEN, "eve", JoinGroup("g", "wrong"))
        self.no(ErrorCode.TOO_FAST, "eve", JoinGroup("g", "sesame"))
        self.do("stranger", JoinGroup("g", "sesame"))
        self.do("owner", InviteMember("g", "eve"))
        self.do("eve", JoinGroup("g"))
        self.do("eve", LeaveGroup("g"))
        self.time.now += 60
        self.do("eve", JoinGroup("g", "sesame"))

    def test_guesses_sent_all_at_once_are_not_worth_more(self) -> None:
        threads = HeldThreads()
        self.groups = self.make(threads)
        guesses = [f"wrong{number}" for number in range(20)] + ["sesame"]
        outcomes = [self.start(self.call("eve", JoinGroup("g", guess))) for guess in guesses]
        threads.run()
        self.settle()
        codes = [self.failureResultOf(outcome, ImError).value.code for outcome in outcomes]
        self.assertEqual(codes, [ErrorCode.FORBIDDEN] * 10 + [ErrorCode.TOO_FAST] * 11)
        self.assertEqual(self.members("g"), ["owner"])

    def test_a_group_deleted_while_the_password_is_checked(self) -> None:
        threads = HeldThreads()
        slow = self.make(threads)
        join = self.start(slow.handle(Principal("eve", "s", "jsonline"), JoinGroup("g", "sesame")))
        self.do("owner", DeleteGroup("g"))
        threads.run()
        self.settle()
        self.refused(ErrorCode.NOT_FOUND, join)


class LimitTests(GroupCase):
    def test_a_full_group(self) -> None:
        self.groups = self.make(members=2)
        self.do("owner", CreateGroup("g", open=True, members=("member",)))
        self.no(ErrorCode.CONFLICT, "eve", JoinGroup("g"))
        self.do("member", JoinGroup("g"))
        self.do("member", LeaveGroup("g"))
        self.do("eve", JoinGroup("g"))

    def test_too_many_groups_of_one_user(self) -> None:
        self.groups = self.make(groups=1)
        self.do("owner", CreateGroup("g", open=True))
        self.do("eve", CreateGroup("h", open=True))
        self.no(ErrorCode.CONFLICT, "eve", JoinGroup("g"))
        self.do("eve", LeaveGroup("h"))
        self.do("eve", JoinGroup("g"))

    def test_too_many_invitations(self) -> None:
        self.groups = self.make(members=2)
        self.do("owner", CreateGroup("g"))
        self.do("owner", InviteMember("g", "invited"))
        self.do("owner", InviteMember("g", "eve"))
        self.no(ErrorCode.CONFLICT, "owner", InviteMember("g", "stranger"))
        self.do("owner", InviteMember("g", "eve"))

    def test_naming_very_many_members_is_paced(self) -> None:
        self.groups = self.make(members=3, named_per_second=1)
        crowd = ("member", "eve")
        self.do("owner", CreateGroup("g1", members=crowd))
        self.no(ErrorCode.USER_NOT_FOUND, "owner", CreateGroup("g2", members=("member", "nobody")))
        self.no(ErrorCode.TOO_FAST, "owner", CreateGroup("g3", members=crowd))
        self.do("stranger", CreateGroup("g3", members=crowd))
        self.time.now += 3
        self.do("owner", CreateGroup("g4", members=crowd))

    def test_large_groups_hear_only_what_concerns_them(self) -> None:
        self.groups = self.make(told=3)
        self.do("owner", CreateGroup("g", open=True, members=("member", "invited")))
        self.assertEqual(self.told()[0][3], ["invited", "member", "owner"])
        self.do("eve", JoinGroup("g"))
        self.assertEqual(self.told()[0][3], ["eve", "owner"])
        self.do("eve", InviteMember("g", "stranger"))
        self.assertEqual(self.told()[0][3], ["owner", "stranger"])
        self.do("stranger", JoinGroup("g"))
        self.told()
        self.do("owner", KickMember("g", "eve"))
        self.assertEqual(self.told()[0][3], ["eve", "owner"])
        self.do("stranger", LeaveGroup("g"))
        self.assertEqual(self.told()[0][3], ["invited", "member", "owner", "stranger"])
        self.do("owner", DeleteGroup("g"))
        self.assertEqual(self.told()[0][3], ["invited", "member", "owner"])
