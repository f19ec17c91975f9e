"""The media servers' health, and what it does to the rooms."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.services.media_servers import Health, MediaServer, MediaServerPool, ProbeError
from imserver.services.ports import MediaServers

ROOMS = [f"app/{number}" for number in range(60)]


def server(name: str, *, weight: float = 1.0, checked: bool = True) -> MediaServer:
    """One with a health URL, and thresholds other than the defaults."""
    health = Health(f"http://{name}/info", interval=10.0, timeout=4.0, failures=2, successes=3)
    return MediaServer(name, {"wss": f"wss://{name}/"}, weight, health if checked else None)


class Probes:
    """What is asked; answers by hand."""

    def __init__(self) -> None:
        self.open: dict[str, Deferred[None]] = {}
        self.asked: list[str] = []
        self.cancelled: list[str] = []

    def __call__(self, url: str) -> Deferred[None]:
        name = url.removeprefix("http://").removesuffix("/info")
        assert name not in self.open, "a second check of one server"
        self.asked.append(name)

        def cancel(answer: Deferred[None]) -> None:
            self.cancelled.append(name)
            del self.open[name]

        answer: Deferred[None] = Deferred(cancel)
        self.open[name] = answer
        return answer

    def well(self, name: str) -> None:
        """It is."""
        self.open.pop(name).callback(None)

    def ill(self, name: str, error: Exception | None = None) -> None:
        """It is not."""
        self.open.pop(name).errback(error or ProbeError("it says 503"))


class Checks(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.probes = Probes()
        self.changes = 0

    def pool(self, *servers: MediaServer) -> MediaServerPool:
        pool = MediaServerPool(self.clock, self.probes, servers)
        as_rooms_see_it: MediaServers = pool
        as_rooms_see_it.watch(self.changed)
        pool.start()
        self.addCleanup(pool.stop)
        return pool

    def changed(self) -> None:
        self.changes += 1

    def homes(self, pool: MediaServerPool) -> dict[str, str | None]:
        found = {}
        for room in ROOMS:
            urls = pool.pick(room)
            found[room] = None if urls is None else urls["wss"]
        return found

    def test_none_is_configured(self) -> None:
        self.assertIsNone(self.pool().pick("app/room"))

    def test_one_without_a_url_is_not_asked_and_always_healthy(self) -> None:
        pool = self.pool(server("a", checked=False))
        self.assertEqual(pool.pick("app/room"), {"wss": "wss://a/"})
        self.assertEqual((self.probes.asked, self.clock.getDelayedCalls()), ([], []))

    def test_healthy_until_the_first_check_which_decides_alone(self) -> None:
        pool = self.pool(server("a"))
        self.assertIsNotNone(pool.pick("app/room"))
        self.probes.ill("a")
        self.assertIsNone(pool.pick("app/room"))
        self.assertEqual(self.changes, 1)

    def test_thresholds(self) -> None:
        pool = self.pool(server("a"))
        (condition,) = pool.conditions
        self.probes.well("a")
        # F = failed, . = good; after each: is it healthy? One in between begins the count anew.
        told = ""
        for outcome in "F.FF..F...F.F.FF":
            self.clock.advance(10)
            (self.probes.ill if outcome == "F" else self.probes.well)("a")
            told += "y" if condition.healthy else "n"
            self.assertEqual(pool.pick("app/room") is not None, condition.healthy)
        self.assertEqual(told, "yyynnnnnnyyyyyyn")
        self.assertEqual(self.changes, 3)
        self.assertEqual((condition.passed, condition.failed), (9, 8))

    def test_any_error_counts(self) -> None:
        pool = self.pool(server("a"))
        self.probes.ill("a", OSError("no route to host"))
        self.assertIsNone(pool.pick("app/room"))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_checks_never_pile_up(self) -> None:
        self.pool(server("a"))
        self.clock.advance(3.9)
        self.assertEqual((self.probes.asked, self.probes.cancelled), (["a"], []))
        self.clock.advance(0.1)
        self.assertEqual(self.probes.cancelled, ["a"])
        self.clock.advance(9.9)
        self.assertEqual(len(self.probes.asked), 1)
        self.clock.advance(0.1)
        self.assertEqual(len(self.probes.asked), 2)
        # However long nothing runs, one check follows and not a hundred.
        self.probes.well("a")
        self.clock.advance(1000)
        self.assertEqual(len(self.probes.asked), 3)

    def test_silence_is_a_failure(self) -> None:
        pool = self.pool(server("a"), server("b", checked=False))
        self.probes.well("a")
        self.assertEqual(len(set(self.homes(pool).values())), 2)
        for changes in (0, 1):
            self.clock.advance(10)
            self.clock.advance(4)
            self.assertEqual(self.changes, changes)
        self.assertEqual(set(self.homes(pool).values()), {"wss://b/"})

    def test_a_server_that_is_ill_moves_only_its_own_rooms_and_gets_them_back(self) -> None:
        pool = self.pool(server("a"), server("b"), server("c"))
        for name in "abc":
            self.probes.well(name)
        before = self.homes(pool)
        self.assertEqual(len(set(before.values())), 3)
        for _ in range(2):
            self.clock.advance(10)
            self.probes.ill("b")
            self.probes.well("a")
            self.probes.well("c")
        after = self.homes(pool)
        for room, home in before.items():
            if home == "wss://b/":
                self.assertIn(after[room], ("wss://a/", "wss://c/"))
            else:
                self.assertEqual(after[room], home)
        for _ in range(3):
            self.assertEqual(self.homes(pool), after)
            self.clock.advance(10)
            for name in "abc":
                self.probes.well(name)
        self.assertEqual(self.homes(pool), before)
        self.assertEqual(self.changes, 2)

    def test_a_watcher_that_throws_harms_nobody(self) -> None:
        pool = MediaServerPool(self.clock, self.probes, [server("a")])

        def throws() -> None:
            raise ZeroDivisionError

        pool.watch(throws)
        pool.watch(self.changed)
        pool.start()
        self.probes.ill("a")
        self.assertEqual(self.changes, 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(10)
        self.assertEqual(self.probes.asked, ["a", "a"])
        pool.stop()

    def test_stopping_ends_everything_and_changes_nothing(self) -> None:
        pool = self.pool(server("a"), server("b"))
        self.probes.well("a")
        pool.stop()
        self.assertEqual(self.probes.cancelled, ["b"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((len(set(self.homes(pool).values())), self.changes), (2, 0))

    def test_a_cancelled_probe_is_no_error(self) -> None:
        pool = self.pool(server("a"))
        pool.stop()
        self.assertEqual(self.flushLoggedErrors(CancelledError), [])
