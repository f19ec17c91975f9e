"""Who may enter rooms, what ends with a log-in, and what moderators do (CONTRACT §5)."""

from __future__ import annotations

from typing import Any

import jwt
from twisted.internet.defer import ensureDeferred

from imserver.model.accounts import LogIn, RefreshTokens, Role
from imserver.model.admin import DisableUser, EndSession, IssueTokens, KickUser, ListSessions
from imserver.model.errors import ErrorCode, ImError
from imserver.model.room_admin import CloseRoom, KickEndpoint, ListRooms, RoomInfo, ShowRoom
from imserver.model.rooms import (
    AddStream,
    DumpRoom,
    EndpointRole,
    RoomFault,
    RoomName,
    may_enter,
)
from imserver.services.room_state import RoomSettings
from tests.unit.services.room_world import Endpoint, RoomCase, camera
from tests.unit.services.world import key_ring

ROLES = tuple(EndpointRole)


class ClaimTests(RoomCase):
    def test_which_claims_let_in(self) -> None:
        room = RoomName("app", "room")
        for rooms in (None, ("app/room",), ("b/x", "app/*")):
            self.assertTrue(may_enter(room, EndpointRole.NORMAL, rooms, None))
            self.assertTrue(may_enter(room, EndpointRole.RECORDER, rooms, ("recorder",)))
            self.assertFalse(may_enter(room, EndpointRole.NORMAL, rooms, ("recorder",)))
            for role in (EndpointRole.RECORDER, EndpointRole.RELAYER):
                self.assertFalse(may_enter(room, role, rooms, None))
                self.assertTrue(may_enter(room, role, rooms, None, trusting=True))
                self.assertFalse(may_enter(room, role, rooms, (), trusting=True))
        others: list[tuple[str, ...]] = [
            (),
            ("app",),
            ("app/room2",),
            ("*",),
            ("ap*/room",),
            ("b/room",),
            ("app/",),
        ]
        for wrong in others:
            for role in ROLES:
                self.assertFalse(may_enter(room, role, wrong, ("normal", "recorder"), trusting=True), wrong)


class StrictTests(RoomCase):
    rooms = RoomSettings()

    def issue(self, rooms: Any = None, roles: Any = None) -> str:
        issued = self.wait(self.hub.administration.operate(IssueTokens("alice", "", rooms, roles)))
        self.refresh_token = issued.refresh_token
        token: str = issued.token
        return token

    def setUp(self) -> None:
        super().setUp()
        for user in ("alice", "bob"):
            self.wait(self.accounts.create_user(user, user))

    def test_roles_need_a_claim(self) -> None:
        plain, recorder = self.issue(), self.issue(roles=("recorder", "normal"))
        self.join("alice", "a1", token=plain)
        self.join("alice", "a2", token=recorder)
        self.join("alice", "a3", token=recorder, role=EndpointRole.RECORDER)
        for token, role in (
            (plain, EndpointRole.RECORDER),
            (recorder, EndpointRole.RELAYER),
            ("demo_token_alice", EndpointRole.RELAYER),
        ):
            self.assertEqual(self.no_join("alice", "a4", token=token, role=role), RoomFault.UNAUTHORISED)

    def test_a_token_may_be_for_some_rooms_only_and_stays_so_when_refreshed(self) -> None:
        token = self.issue(rooms=("app/room",), roles=("recorder",))
        refreshed = self.wait(self.accounts.refresh(RefreshTokens(self.refresh_token, "r")))
        again = self.wait(self.accounts.refresh(RefreshTokens(self.refresh_token, "r")))
        self.assertEqual(refreshed, again)
        for number, one in enumerate((token, refreshed.token)):
            self.join("alice", f"a{number}", token=one, role=EndpointRole.RECORDER)
            for fields in ({"channel": "room2"}, {"app": "b"}, {"role": EndpointRole.NORMAL}):
                asked: Any = {"role": EndpointRole.RECORDER, "token": one, **fields}
                self.assertEqual(self.no_join("alice", "a9", **asked), RoomFault.UNAUTHORISED, asked)

    def test_tokens_that_are_none(self) -> None:
        key = key_ring().signing_key(1_700_000_000.0)
        expired = jwt.encode({"user_id": "alice", "exp": 1}, key.material, key.algorithm, {"kid": key.kid})
        for token in ("", "x", "demo_token_", self.refresh_of("alice"), expired):
            self.assertEqual(self.no_join("alice", token=token), RoomFault.UNAUTHORISED, token)
        self.wait(self.hub.administration.operate(DisableUser("alice")))
        self.assertEqual(self.no_join("alice"), RoomFault.UNAUTHORISED)
        self.assertEqual(len(self.hub.rooms.registry), 0)
        self.assertEqual(self.hub.rooms.counts.rooms, 0)

    def refresh_of(self, user: str) -> str:
        issued = self.wait(self.hub.administration.operate(IssueTokens(user)))
        token: str = issued.refresh_token
        return token

    def test_claims_of_another_form_allow_nothing(self) -> None:
        ring = self.accounts._tokens.key_ring
        key = ring.signing_key(self.clock.seconds() + 1_700_000_000.0)
        sid = jwt.decode(self.issue(), options={"verify_signature": False})["sid"]
        for claim in (
            {"rooms": "app/room"},
            {"rooms": {"app/room": 1}},
            {"roles": "normal"},
            {"roles": [1, None]},
        ):
            token = jwt.encode(
                {"user_id": "alice", "exp": 4_000_000_000, "typ": "access", "sid": sid, **claim},
                key.material, key.algorithm, {"kid": key.kid},
            )  # fmt: skip
            self.assertEqual(self.no_join("alice", token=token), RoomFault.UNAUTHORISED, claim)
            self.log_in_with(token)  # for everything else it is a token like any other

    def log_in_with(self, token: str) -> None:
        self.wait(self.accounts.authenticate(LogIn(token=token), "127.0.0.1"))


class LogInTests(RoomCase):
    def test_an_endpoint_ends_with_its_log_in(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        self.ask(alice, AddStream, camera("s"))
        self.heard(alice, bob)
        self.wait(self.hub.administration.operate(KickUser("alice")))
        self.assertEqual((alice.notice, alice.place.closed), ("logged_out", True))
        self.assertEqual(self.heard(bob), [["alice unpublish s", "alice leave"]])  # nobody waits for it
        self.assertEqual(self.no_join("alice", session=alice.session), RoomFault.BAD_SESSION)
        self.join("alice")
        self.assertIsNone(bob.notice)

    def test_a_log_in_that_is_revoked_while_it_joins_gets_no_place(self) -> None:
        for user in ("alice", "bob"):
            self.join(user, channel="other").place.close()
        self.clock.advance(16)
        bob = self.join("bob")
        self.heard(bob)
        endpoint = Endpoint()
        # The account ends after the token was looked at, before the place is entered.
        authenticate = self.accounts.authenticate

        async def slow(command: Any, address: str) -> Any:
            known = await authenticate(command, address)
            if command.token.endswith("alice"):
                await self.accounts.disable("alice")
            return known

        self.patch(self.accounts, "authenticate", slow)
        self.assertEqual(self.fault(self.joining(endpoint, "alice", "alice")), RoomFault.UNAUTHORISED)
        self.assertEqual(self.heard(bob), [[]])
        self.assertEqual(list(self.dump_names(bob)), ["bob"])

    def dump_names(self, endpoint: Endpoint) -> list[str]:
        return [one.endpoint for one in self.ask(endpoint, DumpRoom).endpoints]

    def test_places_are_listed_and_ended_like_sessions(self) -> None:
        alice, bob = self.join("alice", device="phone"), self.join("bob")
        _, peer = self.log_in("alice")
        listed = self.wait(self.hub.administration.operate(ListSessions("alice"))).sessions
        self.assertEqual(sorted(one.format for one in listed), ["f", "meeting"])
        place = next(one for one in listed if one.format == "meeting")
        self.assertEqual((place.session, place.device), (alice.place.principal.session, "phone"))
        self.wait(self.hub.administration.operate(EndSession(place.session)))
        self.assertEqual((alice.notice, bob.notice, peer.kicks), ("logged_out", None, []))

    def test_places_are_no_chat_sessions(self) -> None:
        live, _ = self.log_in("bob")
        alice = self.join("alice")
        self.send(live, "hello", recipient="alice")
        self.assertEqual(self.heard(alice), [[]])
        self.assertEqual(self.hub.registry.of("alice"), ())


class ModerationTests(RoomCase):
    def operate(self, command: Any) -> Any:
        return self.wait(self.hub.administration.operate(command))

    def not_found(self, command: Any) -> None:
        self.assertEqual(self.refusal(self.hub.administration.operate(command)).code, ErrorCode.NOT_FOUND)

    def test_rooms_are_listed_by_name(self) -> None:
        for app, channel in (("b", "1"), ("a", "2"), ("a", "10"), ("a b", "1")):
            self.join("alice", f"{app}-{channel}", channel, app=app)
        self.join("bob", channel="1", app="b")
        names = [f"{one.app}/{one.channel}" for one in self.operate(ListRooms()).rooms]
        self.assertEqual(names, ["a/10", "a/2", "a b/1", "b/1"])
        page = self.operate(ListRooms("a/10", 2))
        self.assertEqual([f"{one.app}/{one.channel}" for one in page.rooms], ["a/2", "a b/1"])
        self.assertTrue(page.has_more)
        page = self.operate(ListRooms("a b/1", 1))
        self.assertEqual(page.rooms, [RoomInfo("b", "1", 2, 0, 1_700_000_000.0 + self.clock.seconds())])
        self.assertFalse(page.has_more)

    def test_a_room_is_shown(self) -> None:
        alice = self.join("alice", "a1", device="phone")
        self.publish(alice, "s")
        self.join("bob").place.close()
        reply = self.operate(ShowRoom("app", "room"))
        self.assertEqual((reply.room.endpoints, reply.room.streams), (2, 1))
        shown = [(one.info.endpoint, one.info.device, one.user, one.connected) for one in reply.endpoints]
        self.assertEqual(shown, [("a1", "phone", "alice", True), ("bob", "bob", "bob", False)])
        self.assertEqual(reply.endpoints[0].info.stream, camera("s"))
        self.not_found(ShowRoom("app", "other"))

    def test_an_endpoint_is_kicked(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        self.publish(alice, "s")
        self.heard(alice, bob)
        self.operate(KickEndpoint("app", "room", "alice"))
        self.assertEqual((alice.notice, alice.place.closed), ("kicked", True))
        self.assertEqual(self.heard(bob), [["alice unpublish s", "alice leave"]])
        self.clock.advance(60)
        self.assertEqual(self.heard(bob), [[]])
        self.assertEqual(self.no_join("alice", session=alice.session), RoomFault.BAD_SESSION)
        again = self.join("alice")
        again.place.close()
        self.operate(KickEndpoint("app", "room", "alice"))  # one that is lost, too
        self.assertEqual(self.timers(), [])
        self.not_found(KickEndpoint("app", "room", "alice"))
        self.not_found(KickEndpoint("app", "other", "alice"))

    def test_a_room_is_closed(self) -> None:
        alice, bob, carol = self.join("alice"), self.join("bob"), self.join("carol", channel="other")
        bob.place.close()
        self.operate(CloseRoom("app", "room"))
        self.assertEqual((alice.notice, bob.notice, carol.notice), ("room_closed", None, None))
        self.not_found(ShowRoom("app", "room"))
        self.assertEqual(self.timers(), [])
        self.assertEqual(self.no_join("alice", session=alice.session), RoomFault.BAD_SESSION)
        self.join("alice")
        self.assertEqual(list(self.connected()), ["alice"])

    def test_only_administrators_moderate(self) -> None:
        live, _ = self.log_in("alice")
        self.join("bob")
        for command in (ListRooms(), ShowRoom("app", "room"), KickEndpoint("app", "room", "bob"),
                        CloseRoom("app", "room")):  # fmt: skip
            error = self.refusal(self.hub.handle(live, command))
            self.assertEqual(error.code, ErrorCode.FORBIDDEN)
        self.wait(self.accounts.set_role("alice", Role.ADMIN))
        live, _ = self.log_in("alice")
        self.wait(self.hub.handle(live, KickEndpoint("app", "room", "bob")))
        running = ensureDeferred(self.hub.handle(live, ShowRoom("app", "room")))
        self.settle()
        self.failureResultOf(running, ImError)
