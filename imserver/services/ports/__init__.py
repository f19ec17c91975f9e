"""What the services need from a backend ("cellar"): store, feed, directory, bus.

Every backend (embedded, Redis) implements these over its own set of
connections and passes the same contract suite (tests/contracts/). Methods that
may wait are coroutines.
"""

from imserver.services.ports.attendance import Attendance
from imserver.services.ports.bus import Bus, Watcher
from imserver.services.ports.directory import Directory, GroupRecord
from imserver.services.ports.feed import Change, Entry, EntryRow, FeedSink
from imserver.services.ports.media import MediaServers
from imserver.services.ports.seats import Seat
from imserver.services.ports.store import Conversation, DeviceCursor, Store
from imserver.services.ports.threads import Threads

__all__ = [
    "Attendance",
    "Bus",
    "Change",
    "Conversation",
    "DeviceCursor",
    "Directory",
    "Entry",
    "EntryRow",
    "FeedSink",
    "GroupRecord",
    "MediaServers",
    "Seat",
    "Store",
    "Threads",
    "Watcher",
]
