"""Administration of groups and sessions, and who may ask for what."""

from __future__ import annotations

from typing import Any

from imserver.model import admin, group_admin, room_admin
from imserver.model.accounts import KickReason, LogIn, Principal, Role
from imserver.model.errors import ErrorCode
from imserver.model.groups import Group, GroupChange, GroupChanged, GroupRole
from imserver.model.ids import MAX_ID_BYTES
from imserver.services.administration import ADMIN_COMMANDS, OPERATOR_COMMANDS
from tests.unit.services.hub_world import HubCase


class AdministrationCase(HubCase):
    def setUp(self) -> None:
        super().setUp()
        for user in ("alice", "bob", "carol"):
            self.wait(self.accounts.create_user(user, "pw"))
        self.administration = self.hub.administration

    def operate(self, command: Any) -> Any:
        return self.wait(self.administration.operate(command))

    def not_done(self, code: ErrorCode, command: Any) -> None:
        error = self.refusal(self.administration.operate(command))
        self.assertEqual(error.code, code, error.text)

    def members(self, group: str) -> dict[str, GroupRole]:
        found: Group = self.operate(group_admin.DescribeGroup(group)).group
        return {member.user: member.role for member in found.members}


class RightsTests(AdministrationCase):
    EXAMPLES: dict[type, Any] = {
        admin.ChangePassword: admin.ChangePassword("bob", "x"),
        admin.CreateUser: admin.CreateUser("eve"),
        admin.ListUsers: admin.ListUsers(),
        admin.ListSessions: admin.ListSessions(),
        admin.RotateTokenKeys: admin.RotateTokenKeys(),
        admin.SetRole: admin.SetRole("bob", Role.ADMIN),
        group_admin.AddMember: group_admin.AddMember("g", "bob"),
        group_admin.RemoveMember: group_admin.RemoveMember("g", "bob"),
        group_admin.ListAllGroups: group_admin.ListAllGroups(),
        room_admin.ShowRoom: room_admin.ShowRoom("app", "room"),
        room_admin.KickEndpoint: room_admin.KickEndpoint("app", "room", "bob"),
        room_admin.CloseRoom: room_admin.CloseRoom("app", "room"),
    }

    def command(self, kind: type) -> Any:
        return self.EXAMPLES.get(kind) or kind("bob")

    def test_users_may_nothing(self) -> None:
        me = Principal("alice", "s", "f", role=Role.ADMIN)  # as a log-in before the role was taken away
        for kind in ADMIN_COMMANDS:
            error = self.refusal(self.hub.dispatch.handle(me, self.command(kind)))
            self.assertEqual(error.code, ErrorCode.FORBIDDEN, kind)

    def test_administrators_may_not_become_anybody(self) -> None:
        self.wait(self.accounts.set_role("alice", Role.ADMIN))
        me = Principal("alice", "s", "f", role=Role.ADMIN)
        listed = self.wait(self.hub.dispatch.handle(me, admin.ListSessions()))
        self.assertEqual(listed, admin.SessionList([], False))
        for kind in set(OPERATOR_COMMANDS) - set(ADMIN_COMMANDS):
            command = self.command(kind)
            error = self.refusal(self.hub.dispatch.handle(me, command))
            self.assertEqual(error.code, ErrorCode.UNKNOWN_COMMAND, kind)
            for entrance in (self.administration.administer, self.accounts.administer):
                self.assertEqual(self.refusal(entrance(me, command)).code, ErrorCode.FORBIDDEN, kind)

    def test_what_is_no_command(self) -> None:
        self.not_done(ErrorCode.UNKNOWN_COMMAND, LogIn("alice"))


class TokenTests(AdministrationCase):
    def test_an_issued_token_logs_in_until_it_is_revoked(self) -> None:
        issued = self.operate(admin.IssueTokens("bob", "web"))
        known = self.wait(self.accounts.authenticate(LogIn(token=issued.token), "::1"))
        self.assertEqual((known.account.user, known.sid, known.platform), ("bob", issued.sid, "web"))
        reply = self.operate(admin.InspectToken(issued.token))
        self.assertEqual((reply.user, reply.sid, reply.platform), ("bob", issued.sid, "web"))
        self.assertFalse(reply.external)
        self.assertGreater(reply.expires_at, 1_700_000_000.0)
        self.operate(admin.KickUser("bob"))
        self.not_done(ErrorCode.AUTH_FAILED, admin.InspectToken(issued.token))

    def test_no_token_for_strangers_and_disabled_accounts(self) -> None:
        self.not_done(ErrorCode.USER_NOT_FOUND, admin.IssueTokens("eve"))
        self.not_done(ErrorCode.USER_NOT_FOUND, admin.IssueTokens("x" * (MAX_ID_BYTES + 1)))
        issued = self.operate(admin.IssueTokens("bob"))
        self.operate(admin.DisableUser("bob"))
        self.not_done(ErrorCode.FORBIDDEN, admin.IssueTokens("bob"))
        self.not_done(ErrorCode.AUTH_FAILED, admin.InspectToken(issued.token))
        for nonsense in ("", "x", issued.refresh_token, "é"):
            self.not_done(ErrorCode.AUTH_FAILED, admin.InspectToken(nonsense))


class SessionTests(AdministrationCase):
    def test_sessions_are_listed_page_by_page(self) -> None:
        for user, device in (("alice", "phone"), ("alice", "desk"), ("bob", "")):
            self.log_in(user, device)
        first = self.operate(admin.ListSessions(limit=2))
        self.assertTrue(first.has_more)
        rest = self.operate(admin.ListSessions(after=first.sessions[-1].session))
        self.assertFalse(rest.has_more)
        everybody = first.sessions + rest.sessions
        self.assertEqual(
            sorted((info.user, info.device) for info in everybody),
            [("alice", "desk"), ("alice", "phone"), ("bob", "")],
        )
        self.assertEqual({(info.format, info.address) for info in everybody}, {("f", "127.0.0.1")})
        mine = self.operate(admin.ListSessions("alice")).sessions
        self.assertEqual({info.device for info in mine}, {"desk", "phone"})

    def test_one_session_is_ended_and_no_other(self) -> None:
        live, phone = self.log_in("alice", "phone")
        _, desk = self.log_in("alice", "desk")
        self.operate(admin.EndSession(live.principal.session, "lost device"))
        (kick,) = phone.kicks
        self.assertEqual((kick.reason, kick.text), (KickReason.ACCOUNT, "lost device"))
        self.assertEqual(desk.kicks, [])
        self.not_done(ErrorCode.NOT_FOUND, admin.EndSession(live.principal.session))
        self.not_done(ErrorCode.NOT_FOUND, admin.EndSession(""))


class GroupTests(AdministrationCase):
    def test_a_group_for_somebody(self) -> None:
        _, peer = self.log_in("bob")
        create = group_admin.CreateGroupFor("alice", "team", "The Team", members=("bob",))
        group = self.operate(create).group
        self.assertEqual((group.group, group.name, group.owner), ("team", "The Team", "alice"))
        self.assertEqual(self.members("team"), {"alice": GroupRole.OWNER, "bob": GroupRole.MEMBER})
        self.assertEqual([event.change for event in peer.events], [GroupChange.CREATED])
        self.not_done(ErrorCode.CONFLICT, create)
        self.not_done(ErrorCode.USER_NOT_FOUND, group_admin.CreateGroupFor("eve", "other"))
        self.not_done(ErrorCode.BAD_REQUEST, group_admin.CreateGroupFor("", "other"))
        self.not_done(ErrorCode.BAD_REQUEST, group_admin.CreateGroupFor("alice", "group_x"))

    def test_members_come_and_go(self) -> None:
        self.operate(group_admin.CreateGroupFor("alice", "team"))
        _, peer = self.log_in("alice")
        self.operate(group_admin.AddMember("team", "bob"))
        self.not_done(ErrorCode.CONFLICT, group_admin.AddMember("team", "bob"))
        self.not_done(ErrorCode.USER_NOT_FOUND, group_admin.AddMember("team", "eve"))
        self.not_done(ErrorCode.NOT_FOUND, group_admin.AddMember("none", "bob"))
        self.operate(group_admin.RemoveMember("team", "alice"))
        self.assertEqual(self.members("team"), {"bob": GroupRole.OWNER})
        told = [(event.change, event.user) for event in peer.events if isinstance(event, GroupChanged)]
        self.assertEqual(told, [(GroupChange.JOINED, "bob"), (GroupChange.KICKED, "alice")])
        self.not_done(ErrorCode.NOT_FOUND, group_admin.RemoveMember("team", "alice"))
        self.operate(group_admin.RemoveMember("team", "bob"))
        self.not_done(ErrorCode.NOT_FOUND, group_admin.DescribeGroup("team"))

    def test_deleting_and_listing(self) -> None:
        for group in ("c", "a", "b"):
            self.operate(group_admin.CreateGroupFor("alice", group, open=group == "b"))
        _, peer = self.log_in("alice")
        page = self.operate(group_admin.ListAllGroups(limit=2))
        self.assertEqual(([group.group for group in page.groups], page.has_more), (["a", "b"], True))
        self.assertEqual([group.open for group in page.groups], [False, True])
        page = self.operate(group_admin.ListAllGroups("b"))
        self.assertEqual(([group.group for group in page.groups], page.has_more), (["c"], False))
        self.operate(group_admin.RemoveGroup("b"))
        self.assertEqual([event.change for event in peer.events], [GroupChange.DELETED])
        self.not_done(ErrorCode.NOT_FOUND, group_admin.RemoveGroup("b"))
        page = self.operate(group_admin.ListAllGroups())
        self.assertEqual([group.group for group in page.groups], ["a", "c"])
        self.not_done(ErrorCode.BAD_REQUEST, group_admin.ListAllGroups("a/b"))
