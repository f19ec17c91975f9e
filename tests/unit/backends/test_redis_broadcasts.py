"""Broadcasts over Redis: what is taken back while it is fanned out."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.redis.broadcasts import FANOUT
from imserver.model.accounts import Role
from imserver.model.messages import MessageAccepted, RevokeMessage
from tests.contracts.cellar_case import InOrder
from tests.redis.cellar_world import RedisCase


class RevokedBroadcastTest(RedisCase, SynchronousTestCase):
    def test_its_content_does_not_come_after_the_news_of_the_revoke(self) -> None:
        """Each step reads the message anew, in the one moment in which it is told."""
        self.open_cellar("alice", "bob", "carol", "dave", fanout_users=2)
        sink = InOrder()
        self.cellar.store.attach(sink)
        broadcasts = self.redis_cellar._broadcasts
        broadcasts._stopped = True
        ticket = self.submit("alice", "all", broadcast=True, role=Role.ADMIN)
        self.settle()
        accepted = sink.outcome(ticket)
        assert isinstance(accepted, MessageAccepted)
        redis = self.redis_cellar.redis
        (number,) = self.wait_for(redis.call("HKEYS", f"{redis.prefix}bc"))
        self.wait_for(redis.script(FANOUT, (), (number, 2, "node1")))
        revoke = RevokeMessage(accepted.message_id)
        self.wait_for(self.cellar.store.revoke(self.principal("alice"), revoke, 120.0))
        broadcasts._stopped = False
        broadcasts.start()
        self.settle()
        self.assertEqual(
            ["content to alice", "content to bob", "news of the revoke", "revoked to carol dave"], sink.told
        )
        self.assertEqual([[(1, "")]] * 3, [self.texts(user) for user in ("bob", "carol", "dave")])
