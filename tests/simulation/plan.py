"""What one run is made of, drawn from its seed.

Every run switches some kinds of actions and faults off and others up, so that
rare combinations get runs of their own instead of drowning in an average.
"""

from __future__ import annotations

from random import Random

from imserver.backends.embedded import EngineSettings
from tests.simulation.callers import QDATASTREAM, SIGNALLING
from tests.simulation.client import JSONLINE, PROTOBUF, Habits

_WEIGHTS = {
    "send": 40.0,
    "burst": 6.0,
    "duplicate": 4.0,
    "conflict": 3.0,
    "ack": 6.0,
    "sync": 5.0,
    "history": 5.0,
    "read": 4.0,
    "revoke": 6.0,
    "presence": 2.0,
    "typing": 2.0,
    "group": 10.0,
    "leave": 6.0,
    "idle": 2.0,
}
FAULTS = {
    "cut": 6.0,
    "crash": 3.0,
    "failpoint": 3.0,
    "restart": 1.0,
    "disk-full": 2.0,
    "slow-disk": 3.0,
    "slow-reads": 2.0,
    "slow-reader": 3.0,
    "clock": 2.0,
    "age": 1.0,
}


class Plan:
    """The draws.

    Attributes:
        users: how many people.
        devices: (user's index, format, name) of every device.
        telephones: the same of those that call, who are other people.
        actions: how many things are done.
        pause: mean seconds between two actions of a device.
        faults: weight of each kind.
        fault_pause: mean seconds between two faults; 0 = none at all.
        settings: the engine's.
        page_bytes / page_rows / writable_below: small ones make pages and back-pressure happen.
        latency / piece / window: of the connections, see network.Manner.
        commit_delay / read_delay: longest, seconds.
        retention: seconds messages are kept; 0 = for ever.
    """

    def __init__(self, chance: Random) -> None:
        self.users = chance.randint(3, 5)
        self.devices: list[tuple[int, str, str]] = []
        for index in range(self.users):
            for number in range(chance.choice((1, 1, 2, 2, 3))):
                format = chance.choice((PROTOBUF, JSONLINE))
                self.devices.append((index, format, f"d{number}"))
        # Groups are made by document 004, so somebody must speak it.
        if all(format == PROTOBUF for _, format, _ in self.devices):
            self.devices[0] = (0, JSONLINE, "d0")
        self.actions = chance.choice((25, 60, 60, 120))
        self.pause = chance.choice((0.05, 0.3, 1.0))
        self._weights = {
            name: weight * chance.choice((0.0, 0.5, 1.0, 1.0, 1.0, 3.0)) for name, weight in _WEIGHTS.items()
        }
        self._weights["send"] = max(self._weights["send"], 10.0)
        self.faults = {name: weight * chance.choice((0.0, 0.0, 1.0, 2.0)) for name, weight in FAULTS.items()}
        self.fault_pause = chance.choice((0.0, 0.4, 1.0, 3.0)) * (10 * self.pause)
        self.broadcasts = chance.choice((0.0, 0.0, 0.05))
        self.to_groups = chance.choice((0.2, 0.5, 0.8))
        self.names = chance.choice((0.0, 0.2, 0.6))
        self.large = chance.choice((0.0, 0.0, 0.05, 0.3))
        self.latency = chance.choice((0.0, 0.01, 0.1, 0.5))
        self.piece = chance.choice((0, 0, 1, 40))
        self.window = chance.choice((700, 4096, 64 * 1024))
        self.commit_delay = chance.choice((0.0, 0.01, 0.2))
        self.read_delay = chance.choice((0.0, 0.01, 0.2))
        self.page_bytes = chance.choice((1500, 20_000, 192 * 1024))
        self.page_rows = chance.choice((2, 10, 200))
        self.writable_below = chance.choice((600, 5000, 64 * 1024))
        self.retention = chance.choice((0.0, 0.0, 86_400.0))
        self.settings = EngineSettings(
            broadcast_seconds=chance.choice((0.5, 60.0)),
            sends_per_second=chance.choice((100.0, 100.0, 3.0)),
            send_burst=chance.choice((200.0, 8.0)),
            flush_rows=chance.choice((2, 7, 30, 20_000)),
            flush_entries=chance.choice((5, 100_000)),
            # By what is known already: one more choice would make other histories of all seeds.
            ids_together_from=1 if self.actions == 60 else 4096,
            idle_flush_seconds=chance.choice((2.0, 300.0)),
            slice_entries=chance.choice((1, 5, 2000)),
            slice_pause=chance.choice((0.0, 0.01)),
            dedupe_seconds=86_400.0,
            retention_seconds=self.retention,
            conversation_names=chance.choice((2, 64)),
            fanout_users=chance.choice((1, 2, 500)),
            cached_users=chance.choice((1, 3, 50_000)),
            queue_rows=chance.choice((4, 100_000, 100_000)),
            tick_seconds=chance.choice((0.2, 1.0)),
        )
        self._chance = chance
        self.telephones: list[tuple[int, str, str]] = []
        self.call_actions = 0
        self.call_pause = 1.0

    def draw_telephones(self, chance: Random) -> None:
        """Whether anybody calls; from a chance of its own, so that it leaves the rest as it is."""
        if chance.random() < 0.6:
            return
        mostly = chance.choice((SIGNALLING, QDATASTREAM))
        for index in range(chance.choice((2, 3, 3))):
            for number in range(chance.choice((1, 1, 2, 3))):
                # Document 000 has one device per user, however many connections.
                format = mostly if chance.random() < 0.8 else chance.choice((SIGNALLING, QDATASTREAM))
                self.telephones.append((index, format, f"t{number}"))
        self.call_actions = chance.choice((30, 80, 150))
        self.call_pause = chance.choice((0.1, 0.5))

    def weight(self, action: str) -> float:
        """How often an action is chosen."""
        return self._weights[action]

    def habits(self) -> Habits:
        """Those of the next device."""
        chance = self._chance
        return Habits(
            ack=chance.choice((0.0, 0.3, 0.9)),
            ack_by_id=chance.choice((0.0, 0.5)),
            retry=chance.choice((0.5, 1.0)),
            sync=chance.choice((0.7, 1.0)),
            token=chance.choice((0.0, 0.5)),
        )
