"""Meeting rooms (CONTRACT §5): who is in them, who hears what, and who does not."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from imserver.model.errors import ErrorCode
from imserver.model.room_admin import ListRooms
from imserver.model.rooms import (
    AddStream,
    BroadcastInRoom,
    DeleteStream,
    DumpMediaServer,
    DumpRoom,
    EndpointRole,
    LeaveRoom,
    MediaServerReply,
    RoomError,
    RoomFault,
    RoomName,
    Stream,
    StreamType,
)
from imserver.services.room_requests import Act, Gone
from imserver.services.room_state import RoomSettings
from tests.unit.services.room_world import Endpoint, Pool, RoomCase, camera

NORMAL = EndpointRole.NORMAL
JANUS = {"wss": "wss://m1", "ws": "ws://m1", "rtsp": "rtsp://m1"}


class RoomTests(RoomCase):
    def test_whoever_is_there_hears_who_comes_publishes_and_goes(self) -> None:
        alice, bob = self.join("alice"), self.join("bob", device="phone")
        carol = self.join("carol", channel="other")
        self.assertEqual(self.heard(alice, bob, carol), [["bob join"], [], []])
        self.publish(bob, "s1")
        self.assertEqual(self.heard(alice, bob, carol), [["bob publish s1"], [], []])
        self.assertEqual(self.dump(alice), {"alice": ("alice", NORMAL, ""), "bob": ("phone", NORMAL, "s1")})
        self.unpublish(bob, "s1")
        self.publish(alice, "s1")  # the id is free again
        self.assertEqual(self.heard(alice, bob), [["bob unpublish s1"], ["alice publish s1"]])
        self.leave(alice)
        self.assertEqual(self.heard(alice, bob, carol), [[], ["alice unpublish s1", "alice leave"], []])
        self.assertEqual(alice.events[0].device, "phone")
        self.assertEqual(list(self.dump(bob)), ["bob"])

    def test_broadcasts_reach_all_others(self) -> None:
        people = [self.join(user) for user in ("alice", "bob", "carol")]
        stranger = self.join("dave", channel="other")
        self.heard(*people, stranger)
        self.say(people[0], b'{"a":1}')
        self.say(people[1], b"{}")
        told = self.heard(*people, stranger)
        self.assertEqual(told[0], ["bob says {}"])
        self.assertEqual(told[1], ['alice says {"a":1}'])
        self.assertEqual(told[2], ['alice says {"a":1}', "bob says {}"])
        self.assertEqual(told[3], [])

    def test_what_happens_in_one_turn_is_told_at_once_and_in_order(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        self.heard(alice)
        alice.batches.clear()
        running = [self.asking(bob, AddStream, camera("s")), self.asking(bob, BroadcastInRoom, b"{}")]
        for work in running:
            self.at_once(work)
        self.assertEqual(alice.heard, [])
        self.assertEqual(self.heard(alice), [["bob publish s", "bob says {}"]])
        self.assertEqual(alice.batches, [2])

    def test_a_dump_and_the_news_after_it_make_a_whole(self) -> None:
        alice = self.join("alice")
        for user in ("bob", "carol"):
            self.join(user, channel="other")  # they have accounts now
        self.heard(alice)
        self.at_once(self.joining(Endpoint(), "bob", "bob"))
        self.assertEqual(alice.heard, [])
        self.at_once(self.asking(alice, DumpRoom))
        self.assertEqual(alice.heard, ["bob join"])  # before the answer, and not again
        self.at_once(self.joining(Endpoint(), "carol", "carol"))
        self.assertEqual(self.heard(alice), [["bob join", "carol join"]])

    def test_a_newcomer_hears_nothing_of_what_was_before(self) -> None:
        alice = self.join("alice")
        self.join("bob", channel="other")  # he has an account now
        self.heard(alice)
        self.at_once(self.asking(alice, AddStream, camera("s")))
        bob = Endpoint()
        bob.place, bob.joined = self.at_once(self.joining(bob, "bob", "bob"))
        bob.place.start()
        self.assertEqual(self.heard(alice, bob), [["bob join"], []])

    def test_nothing_is_told_before_the_answer_to_the_join(self) -> None:
        alice = self.join("alice")
        bob = Endpoint()
        bob.place, bob.joined = self.wait(self.joining(bob, "bob", "bob"))
        self.publish(alice, "s1")
        self.assertEqual(self.heard(bob), [[]])
        bob.place.start()
        self.publish(bob, "s2")
        self.unpublish(alice, "s1")
        self.assertEqual(self.heard(bob), [["alice publish s1", "alice unpublish s1"]])

    def test_empty_rooms_are_gone(self) -> None:
        alice = self.join("alice")
        self.assertEqual(len(self.wait(self.hub.administration.operate(ListRooms())).rooms), 1)
        self.leave(alice)
        self.assertEqual(self.wait(self.hub.administration.operate(ListRooms())).rooms, [])
        counts = self.hub.rooms.counts
        self.assertEqual((counts.rooms, counts.endpoints, counts.streams), (0, 0, 0))
        self.assertEqual(len(self.hub.rooms.registry), 0)
        self.assertEqual(self.timers(), [])

    def test_an_endpoint_without_a_name_gets_one(self) -> None:
        alice, other = self.join("alice", ""), self.join("alice", "")
        self.assertEqual(len(alice.joined.endpoint), 32)
        self.assertNotEqual(alice.joined.endpoint, other.joined.endpoint)
        self.assertEqual(self.join("bob").joined.endpoint, "")
        self.assertEqual(self.dump(alice)[alice.joined.endpoint], (alice.joined.endpoint, NORMAL, ""))

    def test_rooms_of_two_apps_are_two(self) -> None:
        alice, bob = self.join("alice"), self.join("bob", app="b")
        self.assertEqual(self.heard(alice, bob), [[], []])
        self.assertEqual(list(self.dump(bob)), ["bob"])


class StreamTests(RoomCase):
    def test_one_stream_for_each_endpoint_and_no_id_twice(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        self.heard(alice, bob)
        self.publish(alice, "s1")
        self.publish(alice, "s1")  # asked again, since the answer was lost
        self.assertEqual(self.heard(alice, bob), [[], ["alice publish s1"]])
        for stream in (camera("s2"), Stream("s1", StreamType.DESKTOP, True, True)):
            self.assertEqual(self.fault(self.asking(alice, AddStream, stream)), RoomFault.CONFLICT)
        self.assertEqual(self.fault(self.asking(bob, AddStream, camera("s1"))), RoomFault.CONFLICT)
        self.assertEqual(self.heard(alice, bob), [[], []])

    def test_nobody_deletes_what_is_not_his(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        self.publish(alice, "s1")
        self.assertEqual(self.fault(self.asking(bob, DeleteStream, "s1")), RoomFault.UNAUTHORISED)
        self.assertEqual(self.fault(self.asking(bob, DeleteStream, "s2")), RoomFault.NOT_FOUND)
        self.assertEqual(self.dump(bob)["alice"][2], "s1")


class SessionTests(RoomCase):
    def test_every_command_needs_this_connections_session(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        second = self.join("alice", "a2", "other")
        self.heard(alice, bob)
        commands: list[Any] = [
            LeaveRoom(""), AddStream("", camera("s")), DeleteStream("", "s"), DumpRoom(""),
            DumpMediaServer(""), BroadcastInRoom("", b"{}"),
        ]  # fmt: skip
        for command in commands:
            for session in ("", bob.session, second.session, "0" * 32, alice.session.upper() + " "):
                work = self.hub.rooms.handle(alice.place, replace(command, session=session))
                self.assertEqual(self.fault(work), RoomFault.BAD_SESSION, command)
        self.assertEqual(self.heard(alice, bob), [[], []])
        self.assertEqual(list(self.dump(alice)), ["alice", "bob"])

    def test_the_home_knows_whose_connection_a_session_is(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        home = self.hub.rooms._home
        room = RoomName("app", "room")
        for seat, where in ((bob.place.seat, room), (alice.place.seat, RoomName("app", "other"))):
            with self.assertRaises(RoomError) as caught:
                home.answer(Act(where, seat, DumpRoom(alice.session)))
            self.assertEqual(caught.exception.fault, RoomFault.BAD_SESSION)
            home.answer(Gone(where, bob.place.seat, alice.session, True))
        self.assertEqual(list(self.dump(alice)), ["alice", "bob"])

    def test_sessions_are_128_bits_of_chance(self) -> None:
        sessions = {self.join("alice", name).session for name in "abc"}
        self.assertEqual(len(sessions), 3)
        self.assertTrue(all(len(bytes.fromhex(session)) == 16 for session in sessions))

    def test_a_lost_endpoint_is_kept_for_a_while_and_then_leaves(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        self.publish(alice, "s1")
        self.heard(alice, bob)
        alice.place.close()
        self.clock.advance(14.8)
        self.assertEqual(self.heard(bob), [[]])
        self.assertEqual(self.dump(bob)["alice"][2], "s1")
        self.assertEqual(self.connected(), {"alice": False, "bob": True})
        self.clock.advance(0.2)
        self.assertEqual(self.heard(bob), [["alice unpublish s1", "alice leave"]])
        self.assertEqual(list(self.dump(bob)), ["bob"])

    def test_a_lost_endpoint_comes_back_unnoticed(self) -> None:
        alice, bob = self.join("alice", device="phone"), self.join("bob")
        self.publish(alice, "s1")
        self.heard(alice, bob)
        alice.place.close()
        self.clock.advance(14)
        again = self.join("alice", session=alice.session, device="other")
        self.assertEqual(again.session, alice.session)
        self.clock.advance(60)
        self.assertEqual(self.heard(alice, again, bob), [[], [], []])
        self.assertEqual(self.dump(again)["alice"], ("phone", NORMAL, "s1"))
        self.publish(bob, "s2")
        self.assertEqual(self.heard(alice, again), [[], ["bob publish s2"]])

    def test_an_endpoint_moves_while_its_connection_looks_alive(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        self.publish(alice, "s1")
        self.heard(alice, bob)
        again = self.join("alice", "", session=alice.session)
        self.assertEqual((again.session, again.joined.endpoint), (alice.session, "alice"))
        self.assertEqual(alice.notice, "replaced")
        self.assertTrue(alice.place.closed)
        self.clock.advance(60)
        self.assertEqual(self.heard(alice, again, bob), [[], [], []])
        self.assertEqual(self.dump(again)["alice"][2], "s1")
        old = self.hub.rooms.handle(alice.place, DumpRoom(alice.session))
        self.assertEqual(self.fault(old), RoomFault.BAD_SESSION)

    def test_what_is_over_is_joined_anew(self) -> None:
        alice = self.join("alice")
        bob = self.join("bob")
        alice.place.close()
        self.clock.advance(20)
        self.heard(bob)
        again = self.join("alice", session=alice.session)
        self.assertNotEqual(again.session, alice.session)
        self.assertEqual(self.heard(bob), [["alice join"]])
        self.leave(again)
        once_more = self.join("alice", session=again.session)
        self.assertEqual(self.heard(bob), [["alice leave", "alice join"]])
        self.assertNotEqual(once_more.session, again.session)
        self.join("alice", "a9", session="never-given")

    def test_a_session_is_bound_to_account_room_and_endpoint(self) -> None:
        alice = self.join("alice")
        for user, name, channel in (
            ("bob", "alice", "room"),
            ("alice", "a2", "room"),
            ("alice", "alice", "b"),
        ):
            fault = self.no_join(user, name, channel, session=alice.session)
            self.assertEqual(fault, RoomFault.BAD_SESSION, (user, name, channel))
        self.assertIsNone(alice.notice)
        self.assertEqual(list(self.dump(alice)), ["alice"])


class ReplacedTests(RoomCase):
    def test_the_newcomer_wins(self) -> None:
        alice, bob = self.join("alice", device="old"), self.join("bob")
        self.publish(alice, "s1")
        self.heard(alice, bob)
        again = self.join("alice", role=EndpointRole.RECORDER, device="new")
        self.assertEqual((alice.notice, alice.place.closed), ("replaced", True))
        self.assertNotEqual(again.session, alice.session)
        self.clock.advance(60)
        self.assertEqual(self.heard(alice, again, bob), [[], [], ["alice unpublish s1"]])
        self.assertEqual(bob.events[-1].device, "old")
        self.assertEqual(self.dump(bob)["alice"], ("new", EndpointRole.RECORDER, ""))
        self.assertEqual(self.no_join("alice", session=alice.session), RoomFault.BAD_SESSION)
        self.assertEqual(list(self.dump(again)), ["bob", "alice"])

    def test_without_a_stream_nobody_notices(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        self.heard(alice, bob)
        self.join("alice")
        self.assertEqual(self.heard(bob), [[]])

    def test_during_the_grace_a_join_without_session_replaces(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        self.publish(alice, "s1")
        self.heard(alice, bob)
        alice.place.close()
        again = self.join("alice")
        self.assertIsNone(alice.notice)
        self.assertEqual(self.heard(bob), [["alice unpublish s1"]])
        self.clock.advance(60)
        self.assertEqual(self.heard(again, bob), [[], []])
        self.assertEqual(self.no_join("alice", session=alice.session), RoomFault.BAD_SESSION)

    def test_another_account_does_not_get_the_endpoint(self) -> None:
        alice = self.join("alice")
        self.assertEqual(self.no_join("bob", "alice"), RoomFault.CONFLICT)
        alice.place.close()
        self.assertEqual(self.no_join("bob", "alice"), RoomFault.CONFLICT)
        self.clock.advance(16)
        self.join("bob", "alice")


class LimitTests(RoomCase):
    rooms = RoomSettings(
        rooms=2, endpoints=2, streams=1, broadcast_bytes=10, endpoints_per_user=3, trusting=True
    )

    def test_rooms_endpoints_and_streams(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        self.assertEqual(self.no_join("carol"), RoomFault.FULL)
        self.join("alice")  # one that is there already needs no room
        self.join("carol", channel="b")
        self.assertEqual(self.no_join("carol", "c", "c"), RoomFault.FULL)
        self.publish(bob, "s1")
        again = self.join("alice")
        self.assertEqual(self.fault(self.asking(again, AddStream, camera("s2"))), RoomFault.FULL)
        self.unpublish(bob, "s1")
        self.publish(again, "s2")
        self.assertEqual(alice.notice, "replaced")

    def test_broadcasts_are_short_and_not_too_many(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        self.heard(alice, bob)
        too_long = self.asking(alice, BroadcastInRoom, b'{"abcd":12}')
        self.assertEqual(self.fault(too_long), RoomFault.BAD_REQUEST)
        for _ in range(20):
            self.say(alice, b'{"abc":12}')
        self.assertEqual(self.fault(self.asking(alice, BroadcastInRoom, b"{}")), RoomFault.TOO_FAST)
        self.say(bob)
        again = self.join("alice")  # no way around it
        self.assertEqual(self.fault(self.asking(again, BroadcastInRoom, b"{}")), RoomFault.TOO_FAST)
        self.clock.advance(0.05)
        self.say(again)
        self.assertEqual(self.fault(self.asking(again, BroadcastInRoom, b"{}")), RoomFault.TOO_FAST)
        self.assertEqual(len(self.heard(bob)[0]), 21)

    def test_dumps_of_large_rooms_are_not_too_many(self) -> None:
        alice = self.join("alice")
        self.join("bob")
        for _ in range(25_000):
            self.at_once(self.asking(alice, DumpRoom))
        self.assertEqual(self.fault(self.asking(alice, DumpRoom)), RoomFault.TOO_FAST)
        self.clock.advance(0.001)
        for _ in range(5):
            self.at_once(self.asking(alice, DumpRoom))
        self.assertEqual(self.fault(self.asking(alice, DumpRoom)), RoomFault.TOO_FAST)

    def test_endpoints_of_a_user(self) -> None:
        first = self.join("alice", "1")
        self.join("alice", "2")
        self.join("alice", "3", "b")
        self.join("alice", "4", "b")
        self.assertEqual((first.notice, list(self.connected())), ("logged_out", ["2"]))


class FanoutTests(RoomCase):
    rooms = RoomSettings(fanout_bytes_per_second=100.0, trusting=True)

    def test_what_a_whole_room_is_told_is_bounded(self) -> None:
        people = [self.join(user) for user in ("alice", "bob", "carol", "dave")]
        payload = b'{"a":"%b"}' % (b"x" * 22)
        self.say(people[0], payload)  # 30 bytes for four
        self.assertEqual(self.fault(self.asking(people[1], BroadcastInRoom, payload)), RoomFault.TOO_FAST)
        alone = self.join("alice", "a2", "other")
        self.say(alone, payload)
        self.clock.advance(1)
        self.say(people[1], payload)
        self.clock.advance(2)
        self.say(people[2], b'{"a":"%b"}' % (b"x" * 1000))  # more than the limit ever holds
        self.assertEqual(self.fault(self.asking(people[3], BroadcastInRoom, payload)), RoomFault.TOO_FAST)


class MediaTests(RoomCase):
    def setUp(self) -> None:
        self.pool = Pool(JANUS)
        self.media_servers = self.pool
        super().setUp()

    def test_addresses_by_protocol(self) -> None:
        alice = self.join("alice")
        self.assertEqual(alice.joined.media_server, JANUS)
        self.assertEqual(self.ask(alice, DumpMediaServer), MediaServerReply(JANUS))
        webrtc = self.ask(alice, DumpMediaServer, "webrtc").media_server
        self.assertEqual(webrtc, {"wss": "wss://m1", "ws": "ws://m1"})
        self.assertEqual(self.ask(alice, DumpMediaServer, "rtsp").media_server, {"rtsp": "rtsp://m1"})
        for protocol in ("WebRTC", "rtmp", "webrtc "):
            self.assertEqual(self.fault(self.asking(alice, DumpMediaServer, protocol)), RoomFault.BAD_REQUEST)

    def test_no_server_and_none_that_fits(self) -> None:
        self.pool.rooms["app/none"] = None
        self.pool.rooms["app/web"] = {"wss": "wss://m1"}
        alice, bob = self.join("alice", channel="none"), self.join("bob", channel="web")
        self.assertEqual(alice.joined.media_server, {})
        for endpoint, protocol in ((alice, ""), (alice, "webrtc"), (bob, "rtsp")):
            work = self.asking(endpoint, DumpMediaServer, protocol)
            self.assertEqual(self.fault(work), RoomFault.NO_MEDIA_SERVER)
        self.assertEqual(self.fault(self.asking(alice, DumpMediaServer, "x")), RoomFault.BAD_REQUEST)

    def test_rooms_whose_server_changed_are_told(self) -> None:
        alice, bob, carol = self.join("alice"), self.join("bob"), self.join("carol", channel="other")
        self.heard(alice, bob, carol)
        self.pool.changed()
        self.assertEqual(self.heard(alice, bob, carol), [[], [], []])
        self.pool.rooms["app/room"] = {"wss": "wss://m2"}
        self.pool.changed()
        told = ["error media_server_changed"]
        self.assertEqual(self.heard(alice, bob, carol), [told, told, []])
        self.assertEqual(self.ask(alice, DumpMediaServer).media_server, {"wss": "wss://m2"})
        self.pool.changed()
        self.assertEqual(self.heard(alice, bob, carol), [[], [], []])
        self.pool.rooms["app/room"] = None
        self.pool.changed()
        self.assertEqual(self.heard(alice, bob, carol), [told, told, []])
        self.assertEqual(self.fault(self.asking(alice, DumpMediaServer)), RoomFault.NO_MEDIA_SERVER)


class NoMediaTests(RoomCase):
    def test_a_server_without_media_servers(self) -> None:
        alice = self.join("alice")
        self.assertEqual(alice.joined.media_server, {})
        self.assertEqual(self.fault(self.asking(alice, DumpMediaServer)), RoomFault.NO_MEDIA_SERVER)


class ShutdownTests(RoomCase):
    def test_nobody_waits_any_more(self) -> None:
        alice, bob = self.join("alice"), self.join("bob")
        self.join("carol").place.close()
        self.at_once(self.asking(bob, BroadcastInRoom, b"{}"))
        self.hub.shut_down()
        self.assertEqual(alice.heard[-1], "bob says {}")
        alice.place.close()
        bob.place.close()
        refused = self.refusal(self.joining(Endpoint(), "dave", "dave"))
        self.assertEqual(refused.code, ErrorCode.UNAVAILABLE)
        self.assertEqual(self.timers(), [])
