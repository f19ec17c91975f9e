"""Large rooms: a storm of joins is told in few batches, and everybody's view comes out right."""

from __future__ import annotations

from imserver.model.rooms import EndpointChanged, StreamChanged
from imserver.services.room_state import RoomSettings
from tests.unit.services.room_world import Endpoint, RoomCase

STORM = 1000


class PaceTests(RoomCase):
    rooms = RoomSettings(fanout_bytes_per_second=1e12, trusting=True)

    def setUp(self) -> None:
        super().setUp()
        for number in range(STORM):
            self.create(f"u{number}")

    def create(self, user: str) -> None:
        self.wait(self.accounts.create_user(user))

    def enter(self, number: int) -> Endpoint:  # type: ignore[override]
        """Joins within the turn."""
        endpoint = Endpoint()
        user = f"u{number}"
        endpoint.place, endpoint.joined = self.at_once(self.joining(endpoint, user, user))
        endpoint.place.start()
        return endpoint

    def storm(self) -> list[Endpoint]:
        """STORM joins within a second, each in a turn of its own."""
        people = []
        for number in range(STORM):
            people.append(self.enter(number))
            self.clock.advance(1 / STORM)
        return people

    def test_a_storm_costs_a_bounded_number_of_wakes(self) -> None:
        people = self.storm()
        self.tell()
        self.assertEqual([sum(one.batches) for one in people], [STORM - 1 - n for n in range(STORM)])
        wakes = sum(len(one.batches) for one in people)
        self.assertLess(wakes, 22_000)  # 20,000 a second; told one by one they would be 499,500
        self.assertGreater(wakes, 5_000)  # and nobody waits for long

    def test_in_a_small_room_nobody_waits(self) -> None:
        alice = self.enter(0)
        for number in range(1, 10):
            self.enter(number)
            self.clock.advance(0)
            self.assertEqual(len(alice.heard), number)

    def test_after_a_pause_nobody_waits_in_a_large_room(self) -> None:
        people = self.storm()
        self.tell()
        self.clock.advance(1)
        before = len(people[0].heard)
        self.say(people[1])
        self.clock.advance(0)
        self.assertEqual(len(people[0].heard), before + 1)

    def test_heavy_news_do_not_wait(self) -> None:
        people = self.storm()
        self.tell()
        self.clock.advance(1)
        self.say(people[0])
        self.clock.advance(0)
        before = len(people[1].heard)
        for number in range(2, 7):
            self.say(people[number], b'{"a":"%b"}' % (b"x" * 60_000))
        self.assertEqual(len(people[1].heard), before + 5)

    def test_every_view_is_the_dump(self) -> None:
        people = []
        views: list[dict[str, str]] = []
        for number in range(STORM):
            one = self.enter(number)
            people.append(one)
            dump = self.dump(one)
            one.events.clear()
            views.append({name: stream for name, (_, _, stream) in dump.items()})
            if number % 3 == 0:
                self.publish(one, f"s{number}")
            if number % 5 == 1 and (number - 1) % 7:
                self.leave(people[number - 1])
            if number % 7 == 0:
                one.place.close()
            self.clock.advance(0.004)
        self.clock.advance(20)
        self.tell()
        gone = {n for n in range(STORM) if n % 7 == 0 or (n % 5 == 0 and n + 1 < STORM)}
        remaining = [n for n in range(STORM) if n not in gone]
        last = people[remaining[-1]]
        expected = {name: stream for name, (_, _, stream) in self.dump(last).items()}
        self.assertEqual(list(expected), [f"u{n}" for n in remaining])
        for number in remaining:
            view = views[number]
            for event in people[number].events:
                if isinstance(event, EndpointChanged):
                    if event.joined:
                        self.assertNotIn(event.endpoint, view)
                        view[event.endpoint] = ""
                    else:
                        self.assertEqual(view.pop(event.endpoint), "")
                elif isinstance(event, StreamChanged):
                    view[event.endpoint] = event.stream_id if event.published else ""
            if number % 3 == 0:
                view[f"u{number}"] = f"s{number}"  # nobody hears of himself
            self.assertEqual(view, expected, number)
