"""Rooms whose endpoints are on several nodes."""

from __future__ import annotations

from twisted.internet.defer import ensureDeferred

from imserver.model.admin import KickUser
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Done
from imserver.model.room_admin import CloseRoom, KickEndpoint, ListRooms, ShowRoom
from imserver.model.rooms import AddStream, BroadcastInRoom, DumpRoom, JoinRoom, LeaveRoom, Notice, RoomName
from imserver.services.homes import marked_home
from imserver.services.rendezvous import draw
from imserver.services.room_requests import room_key, room_slot
from imserver.services.sessions import Client
from tests.redis.house_world import House, HouseCase
from tests.unit.services.room_world import Endpoint, camera

ROOM = RoomName("app", "room")


class RoomsOverNodes(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.one, self.two, self.three = self.open_houses("one", "two", "three")

    def home(self, room: RoomName = ROOM) -> House:
        """Where a room lives."""
        house = next(house for house in self.houses if not house.clock.dead and not house.way.mute)
        mark = self.wait_for(house.cellar.bus.holder(room_slot(room)))
        return next(house for house in self.houses if house.node == marked_home(mark))

    def away(self) -> list[House]:
        """Nodes that will not be the room's home."""
        home = self.one.cellar.bus.home(room_key(ROOM))
        return [house for house in self.houses if house.node != home]

    def heard(self, *endpoints: Endpoint) -> list[list[str]]:
        """What each heard since it was last asked."""
        self.pass_time(0.2, 0.1)
        told = [endpoint.heard for endpoint in endpoints]
        for endpoint in endpoints:
            endpoint.heard = []
        return told

    def dump(self, house: House, endpoint: Endpoint) -> list[str]:
        return [one.endpoint for one in house.ask_room(endpoint, DumpRoom).endpoints]

    def operate(self, command: object, house: House | None = None) -> object:
        found = self.wait_for((house or self.one).hub.administration.operate(command))
        self.settle()
        return found

    def rooms(self, house: House) -> int:
        return house.hub.rooms.counts.rooms

    def test_everybody_hears_everybody(self) -> None:
        alice, bob, carol = self.one.join("alice"), self.two.join("bob"), self.three.join("carol")
        self.assertEqual([["bob join", "carol join"], ["carol join"], []], self.heard(alice, bob, carol))
        self.assertEqual(Done(), self.two.ask_room(bob, AddStream, camera("s1")))
        self.assertEqual(Done(), self.three.ask_room(carol, BroadcastInRoom, b"{}"))
        self.assertEqual(
            [["bob publish s1", "carol says {}"], ["carol says {}"], ["bob publish s1"]],
            self.heard(alice, bob, carol),
        )
        self.assertEqual(["alice", "bob", "carol"], self.dump(self.three, carol))
        self.two.ask_room(bob, LeaveRoom)
        self.assertEqual(["bob unpublish s1", "bob leave"], self.heard(alice, carol)[1])
        self.assertEqual([1, 1], sorted([sum(map(self.rooms, self.houses)), self.rooms(self.home())]))

    def test_what_a_dump_shows_is_not_told_again(self) -> None:
        """A newcomer's view is its dump and the news after it, over nodes too."""
        first, second = self.away()
        alice = first.join("alice")
        for number in range(5):
            second.join("bob", name=f"bob{number}")
        self.assertEqual([f"bob{number} join" for number in range(5)], self.heard(alice)[0])
        carol = first.join("carol")
        dump = self.dump(first, carol)
        self.assertEqual(["alice", *(f"bob{number}" for number in range(5)), "carol"], dump)
        self.assertEqual([], self.heard(carol)[0])

    def test_a_connection_is_lost_and_comes_back_elsewhere(self) -> None:
        first, second = self.away()
        alice, bob = first.join("alice"), second.join("bob")
        second.ask_room(bob, AddStream, camera("s1"))
        self.heard(alice, bob)
        bob.place.close()
        self.settle()
        again = first.join("bob", session=bob.session)
        self.assertEqual(bob.session, again.session)
        self.assertEqual([[]], self.heard(alice))
        again.place.close()
        self.pass_time(16.0)
        self.assertEqual([["bob unpublish s1", "bob leave"]], self.heard(alice))

    def test_the_newcomer_replaces_whoever_is_elsewhere(self) -> None:
        first, second = self.away()
        old = first.join("alice")
        second.join("alice")
        self.assertIs(Notice.REPLACED, old.notice)

    def test_moderation_and_kicks(self) -> None:
        first, second = self.away()
        alice, bob = first.join("alice"), second.join("bob")
        carol = second.join("carol", channel="another")
        for house in self.houses:
            listed = self.operate(ListRooms(), house)
            self.assertEqual(["another", "room"], [room.channel for room in listed.rooms])  # type: ignore[attr-defined]
            page = self.operate(ListRooms(limit=1), house)
            self.assertEqual((1, True), (len(page.rooms), page.has_more))  # type: ignore[attr-defined]
            shown = self.operate(ShowRoom("app", "room"), house)
            self.assertEqual(2, shown.room.endpoints)  # type: ignore[attr-defined]
        self.operate(KickEndpoint("app", "room", "alice"), second)
        self.assertIs(Notice.KICKED, alice.notice)
        self.operate(KickUser("carol"), first)
        self.assertIs(Notice.LOGGED_OUT, carol.notice)
        self.operate(CloseRoom("app", "room"), first)
        self.assertIs(Notice.ROOM_CLOSED, bob.notice)
        self.assertEqual([0, 0, 0], [self.rooms(house) for house in self.houses])
        self.assertEqual([], self.wait_for(self.link.call("KEYS", "t:sl:*")))

    def test_a_room_stays_where_it_is_when_nodes_come(self) -> None:
        alice = self.one.join("alice")
        home = self.home()
        key = room_key(ROOM)
        name = next(f"n{n}" for n in range(1000) if draw(f"n{n}:1", key) < draw(home.node, key))
        self.open_house(name)
        self.pass_time(2.0)
        self.assertEqual(f"{name}:1", self.one.cellar.bus.home(key))
        self.houses[-1].join("bob")
        self.assertIs(home, self.home())
        self.assertEqual([["bob join"]], self.heard(alice))

    def test_two_nodes_that_see_things_differently_make_one_room(self) -> None:
        """A node that knows of no others yet thinks that it is everybody's home."""
        first, second = self.away()
        alice = first.join("alice")
        second.cellar.bus.members._candidates = []  # as before its first look
        second.join("bob")
        self.assertEqual(["alice", "bob"], self.dump(first, alice))

    def test_at_the_same_moment(self) -> None:
        homes = {house: house.cellar.bus.home for house in self.houses}
        for house in self.houses:
            house.cellar.bus.home = lambda key, house=house: house.node  # type: ignore[method-assign,misc]
        joins = []
        for house, user in zip(self.houses, ("alice", "bob", "carol"), strict=True):
            client = Client(house.hub.rooms.new_session_id(), "meeting", "127.0.0.1", False, True)
            command = JoinRoom("app", "room", user, token=f"demo_token_{user}")
            joins.append(ensureDeferred(house.hub.rooms.join(client, command, Endpoint())))
        self.settle()
        for join in joins:
            self.successResultOf(join)
        for house in self.houses:
            house.cellar.bus.home = homes[house]  # type: ignore[method-assign]
        self.assertEqual(1, sum(map(self.rooms, self.houses)))
        shown = self.operate(ShowRoom("app", "room"))
        self.assertEqual(3, shown.room.endpoints)  # type: ignore[attr-defined]

    # Nodes that are lost

    def test_a_node_that_is_lost_takes_its_endpoints_along(self) -> None:
        first, second = self.away()
        alice, bob = first.join("alice"), second.join("bob")
        self.heard(alice)
        second.die()
        self.pass_time(9.0)
        again = first.join("bob", session=bob.session)  # within the grace
        self.assertEqual(bob.session, again.session)
        self.assertEqual([[]], self.heard(alice))

    def test_and_if_they_do_not_come_back(self) -> None:
        first, second = self.away()
        alice, _ = first.join("alice"), second.join("bob")
        self.heard(alice)
        second.die()
        self.pass_time(26.0)
        self.assertEqual([["bob leave"]], self.heard(alice))

    def test_a_room_whose_home_is_lost_is_made_anew(self) -> None:
        first, second = self.away()
        alice, bob = first.join("alice"), second.join("bob")
        home = self.home()
        self.assertNotIn(home, (first, second))
        home.die()
        self.pass_time(10.0)
        self.assertEqual((Notice.SHUTDOWN, Notice.SHUTDOWN), (alice.notice, bob.notice))
        again = first.join("alice", session=alice.session)
        self.assertNotEqual(alice.session, again.session)
        other = second.join("bob", session=bob.session)
        self.assertEqual(["alice", "bob"], self.dump(second, other))
        self.assertIn(self.home(), (first, second))

    def test_the_home_was_cut_off(self) -> None:
        first, _ = self.away()
        alice = first.join("alice")
        home = self.home()
        carol = home.join("carol")
        home.way.mute = True
        self.pass_time(10.0)
        self.assertEqual((Notice.SHUTDOWN, None), (alice.notice, carol.notice))
        first.join("alice")
        home.way.mute = False
        home.way.cut()
        self.pass_time(4.0)
        self.assertIs(Notice.SHUTDOWN, carol.notice)
        self.assertEqual(1, sum(map(self.rooms, self.houses)))
        again = home.join("carol")
        self.assertEqual(["alice", "carol"], self.dump(home, again))

    def test_redis_was_away_and_the_room_goes_on(self) -> None:
        first, second = self.away()
        alice, bob = first.join("alice"), second.join("bob")
        self.heard(alice, bob)
        for house in self.houses:
            house.way.mute = True
            house.way.cut()
        self.pass_time(2.0)
        bob.place.close()  # what the home cannot be told now
        try:
            first.ask_room(alice, BroadcastInRoom, b"{}")
        except ImError as error:
            self.assertEqual(ErrorCode.UNAVAILABLE, error.code)
        for house in self.houses:
            house.way.mute = False
            house.way.cut()
        self.pass_time(5.0)
        self.assertIsNone(alice.notice)
        self.assertEqual(["alice", "bob"], self.dump(first, alice))
        self.pass_time(20.0)
        self.assertEqual(["alice"], self.dump(first, alice))

    def test_a_join_whose_answer_is_lost_leaves_nobody_behind(self) -> None:
        first, second = self.away()
        alice = first.join("alice")
        home = self.home()
        said = home.cellar.bus._exchange._publish
        home.cellar.bus._exchange._publish = lambda node, payload: True  # type: ignore[method-assign]
        client = Client(second.hub.rooms.new_session_id(), "meeting", "127.0.0.1", False, True)
        command = JoinRoom("app", "room", "bob", token="demo_token_bob")
        joining = ensureDeferred(second.hub.rooms.join(client, command, Endpoint()))
        self.pass_time(5.5)
        error = self.failureResultOf(joining, ImError).value
        self.assertEqual(ErrorCode.UNAVAILABLE, error.code)
        home.cellar.bus._exchange._publish = said  # type: ignore[method-assign]
        self.pass_time(18.0)
        self.assertEqual(["alice"], self.dump(first, alice))

    def test_rooms_missed_something(self) -> None:
        first, second = self.away()
        alice, bob = first.join("alice"), second.join("bob")
        first.cellar.bus._consumers.watcher.missed(self.home().node)
        self.settle()
        self.assertEqual((Notice.SHUTDOWN, None), (alice.notice, bob.notice))
        again = first.join("alice", session=alice.session)
        self.assertEqual(alice.session, again.session)  # the room itself went on
        self.assertEqual(["alice", "bob"], self.dump(first, again))
