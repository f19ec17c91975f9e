"""A retried id over reconnects: what the hub does again and what not."""

from __future__ import annotations

from imserver.model.errors import ErrorCode
from imserver.model.groups import CreateGroup, DeleteGroup, GetGroup
from imserver.model.presence import PresenceState, SetPresence
from tests.unit.services.hub_world import HubCase, Peer


class Retried(HubCase):
    def test_over_a_reconnect(self) -> None:
        self.wait(self.accounts.create_demo_users())
        first, _ = self.enter("alice", Peer())
        made = self.wait(self.hub.handle(first, CreateGroup("team"), "group/create 1"))
        first.close()
        second, _ = self.enter("alice", Peer())
        again = self.wait(self.hub.handle(second, CreateGroup("team"), "group/create 1"))
        self.assertEqual(again, made)
        # Without an id, or under another one, it is done again.
        for id in ("", "group/create 2"):
            error = self.refusal(self.hub.handle(second, CreateGroup("team"), id))
            self.assertIs(error.code, ErrorCode.CONFLICT)
        # Nor is it another user's, or another format's.
        other, _ = self.enter("bob", Peer())
        self.refusal(self.hub.handle(other, CreateGroup("team"), "group/create 1"))
        other, _ = self.enter("alice", Peer(), format="g")
        self.refusal(self.hub.handle(other, CreateGroup("team"), "group/create 1"))

    def test_answered_again_whatever_came_after_it(self) -> None:
        self.wait(self.accounts.create_demo_users())
        live, _ = self.enter("alice", Peer())
        self.wait(self.hub.handle(live, CreateGroup("team"), "1"))
        self.wait(self.hub.handle(live, DeleteGroup("team"), "2"))
        self.wait(self.hub.handle(live, CreateGroup("team"), "1"))
        self.refusal(self.hub.handle(live, GetGroup("team")))

    def test_what_is_of_one_session_is_done_in_the_next_one_too(self) -> None:
        self.wait(self.accounts.create_demo_users())
        for _ in range(2):
            live, _ = self.log_in("alice")
            for state in (PresenceState.AWAY, PresenceState.BUSY):
                self.wait(self.hub.handle(live, SetPresence(state), state.value))
            self.wait(self.hub.handle(live, SetPresence(PresenceState.AWAY), "away"))
            self.assertEqual(2, self.hub.presence.rank("alice"))  # busy
            live.close()
