"""The Redis backend passes the contract, over a real Redis."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.contracts.bus_suite import BusSuite
from tests.contracts.calls_suite import CallSuite
from tests.contracts.changes_suite import DeviceSuite, ReceiptSuite, RevokeSuite
from tests.contracts.directory_suite import AccountSuite, GroupSuite
from tests.contracts.files_suite import FileSuite
from tests.contracts.friends_suite import BlockSuite, FriendSuite
from tests.contracts.listing_suite import ListingSuite
from tests.contracts.store_suite import AppendSuite, BroadcastSuite, HistorySuite, NamesSuite, RetrySuite
from tests.redis.cellar_world import RedisCase


class AppendTest(AppendSuite, RedisCase, SynchronousTestCase):
    pass


class RetryTest(RetrySuite, RedisCase, SynchronousTestCase):
    pass


class NamesTest(NamesSuite, RedisCase, SynchronousTestCase):
    pass


class HistoryTest(HistorySuite, RedisCase, SynchronousTestCase):
    pass


class BroadcastTest(BroadcastSuite, RedisCase, SynchronousTestCase):
    pass


class DeviceTest(DeviceSuite, RedisCase, SynchronousTestCase):
    pass


class RevokeTest(RevokeSuite, RedisCase, SynchronousTestCase):
    pass


class ReceiptTest(ReceiptSuite, RedisCase, SynchronousTestCase):
    pass


class CallTest(CallSuite, RedisCase, SynchronousTestCase):
    pass


class ListingTest(ListingSuite, RedisCase, SynchronousTestCase):
    pass


class AccountTest(AccountSuite, RedisCase, SynchronousTestCase):
    pass


class GroupTest(GroupSuite, RedisCase, SynchronousTestCase):
    pass


class FriendTest(FriendSuite, RedisCase, SynchronousTestCase):
    pass


class BlockTest(BlockSuite, RedisCase, SynchronousTestCase):
    pass


class FileTest(FileSuite, RedisCase, SynchronousTestCase):
    pass


class BusTest(BusSuite, RedisCase, SynchronousTestCase):
    pass
