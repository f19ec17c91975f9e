"""The embedded engine passes the contract: as it is, and with every index written at once."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import EmbeddedCellar
from imserver.backends.embedded.verify import verify_connection
from tests.contracts.bus_suite import BusSuite
from tests.contracts.calls_suite import CallSuite
from tests.contracts.changes_suite import DeviceSuite, ReceiptSuite, RevokeSuite
from tests.contracts.directory_suite import AccountSuite, GroupSuite
from tests.contracts.files_suite import FileSuite
from tests.contracts.friends_suite import BlockSuite, FriendSuite
from tests.contracts.store_suite import AppendSuite, BroadcastSuite, HistorySuite, NamesSuite, RetrySuite
from tests.unit.backends.engine import EngineCase


class _Sound(EngineCase):
    """Whatever a test did, the store must be sound in the end."""

    def tearDown(self) -> None:
        self.wait_for(self.embedded.close())
        now = self.embedded.core.wall()
        assert verify_connection(self.database.reader(), now=now) == []


class AppendTest(_Sound, AppendSuite, SynchronousTestCase):
    pass


class RetryTest(_Sound, RetrySuite, SynchronousTestCase):
    pass


class NamesTest(_Sound, NamesSuite, SynchronousTestCase):
    pass


class HistoryTest(_Sound, HistorySuite, SynchronousTestCase):
    pass


class BroadcastTest(_Sound, BroadcastSuite, SynchronousTestCase):
    pass


class DeviceTest(_Sound, DeviceSuite, SynchronousTestCase):
    pass


class RevokeTest(_Sound, RevokeSuite, SynchronousTestCase):
    pass


class ReceiptTest(_Sound, ReceiptSuite, SynchronousTestCase):
    pass


class FileTest(_Sound, FileSuite, SynchronousTestCase):
    pass


class CallTest(_Sound, CallSuite, SynchronousTestCase):
    pass


class AccountTest(_Sound, AccountSuite, SynchronousTestCase):
    pass


class GroupTest(_Sound, GroupSuite, SynchronousTestCase):
    pass


class FriendTest(_Sound, FriendSuite, SynchronousTestCase):
    pass


class BlockTest(_Sound, BlockSuite, SynchronousTestCase):
    pass


class BusTest(_Sound, BusSuite, SynchronousTestCase):
    pass


class _Restless(_Sound):
    """Writes the indexes after every message, one entry at a time, and keeps almost nothing in memory."""

    def make_cellar(self, **settings: Any) -> EmbeddedCellar:
        return super().make_cellar(flush_rows=1, slice_entries=1, cached_users=1, **settings)


class RestlessAppendTest(_Restless, AppendSuite, SynchronousTestCase):
    pass


class RestlessRetryTest(_Restless, RetrySuite, SynchronousTestCase):
    pass


class RestlessNamesTest(_Restless, NamesSuite, SynchronousTestCase):
    pass


class RestlessHistoryTest(_Restless, HistorySuite, SynchronousTestCase):
    pass


class RestlessBroadcastTest(_Restless, BroadcastSuite, SynchronousTestCase):
    pass


class RestlessDeviceTest(_Restless, DeviceSuite, SynchronousTestCase):
    pass


class RestlessRevokeTest(_Restless, RevokeSuite, SynchronousTestCase):
    pass


class RestlessCallTest(_Restless, CallSuite, SynchronousTestCase):
    pass


class RestlessFriendTest(_Restless, FriendSuite, SynchronousTestCase):
    pass


class RestlessBlockTest(_Restless, BlockSuite, SynchronousTestCase):
    pass


class RestartingCase(_Sound):
    """Starts anew before every read: what is read back is what was there."""

    def inbox(
        self, user: str, after: int = 0, at_least: int = 0, limit: int = 1000, size: int = 10**9
    ) -> Any:
        entries = self.sink.entries
        answers = self.sink.answers
        self.settle()
        self.reopen()
        self.sink.entries, self.sink.answers = entries, answers
        return super().inbox(user, after, at_least, limit, size)


class RestartingNamesTest(RestartingCase, NamesSuite, SynchronousTestCase):
    pass


class RestartingHistoryTest(RestartingCase, HistorySuite, SynchronousTestCase):
    pass


class RestartingBroadcastTest(RestartingCase, BroadcastSuite, SynchronousTestCase):
    pass
