"""The API over a memory transport: what a real process can hardly be brought to do."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace
from twisted.internet.address import IPv4Address
from twisted.internet.defer import ensureDeferred
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from imserver.backends.embedded.metering import MeteredCommitter
from imserver.http.api import READY_SECONDS, Api
from imserver.http.site import ImSite
from imserver.http.vitals import Vitals
from imserver.model.accounts import Role
from imserver.model.call_records import CallRecord
from imserver.model.calls import CallQuality, Ending
from imserver.model.errors import ErrorCode, ImError
from imserver.protocols.doors import Doors
from imserver.services.ice import TurnServer
from tests.unit.services.hub_world import HubCase


class ApiCase(HubCase):
    """A site on a memory transport."""

    def setUp(self) -> None:
        super().setUp()
        hub: Any = self.hub
        self.doors = Doors(hub, self.clock)
        self.commits = MeteredCommitter(self.committer, self.clock.seconds)
        self.vitals = Vitals(
            self.hub,
            self.doors,
            self.clock.seconds,
            self.commits,
            lambda: {"imserver.db": 7},
            self.cellar.store.check,
        )
        self.vitals.listening = True
        self.api = Api(self.accounts, self.vitals, self.clock)
        self.site: Any = ImSite(self.doors, {}, (), self.api)
        self.proxied: Any = ImSite(self.doors, {}, (), self.api, proxied=True)

    def begin(self, path: str, site: Any = None, host: str = "127.0.0.1", **headers: str) -> StringTransport:
        """Sends a request; the transport holds the answer once there is one."""
        peer = IPv4Address("TCP", host, 1234)
        channel = (site or self.site).buildProtocol(peer)
        transport = StringTransport(peerAddress=peer)
        channel.makeConnection(transport)
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        channel.dataReceived(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.settle()
        return transport

    def status(self, transport: StringTransport) -> int:
        """The status of the answer; 0 if there is none yet."""
        said = transport.value()
        return int(said.split()[1]) if said else 0

    def body(self, transport: StringTransport) -> dict[str, Any]:
        """The envelope."""
        body: dict[str, Any] = json.loads(transport.value().partition(b"\r\n\r\n")[2])
        return body


class IceServers(ApiCase):
    """/api/webrtc/config, in the shape of the contract."""

    def setUp(self) -> None:
        super().setUp()
        self.wait(self.accounts.create_demo_users())
        servers = [
            TurnServer("north", ["stun:n"], ["turn:n"], b"north", 3600),
            TurnServer("south", [], ["turn:s"], b"south", 3600),
        ]
        self.hub._ice.replace(servers)

    def test_each_user_gets_credentials_of_his_own(self) -> None:
        answer = self.begin("/api/webrtc/config", Authorization="Bearer demo_token_bob")
        self.assertEqual(200, self.status(answer))
        body = self.body(answer)
        self.assertIs(body["success"], True)
        stun, north, south = body["data"].pop("ice_servers")
        self.assertEqual(body["data"], {})
        self.assertEqual(stun, {"urls": ["stun:n"]})
        self.assertEqual(north.keys(), {"urls", "username", "credential"})
        self.assertEqual(north["username"], f"{1_700_000_000 + 3600}:bob")
        self.assertEqual(south["urls"], ["turn:s"])

    def test_a_region(self) -> None:
        answer = self.begin("/api/webrtc/config?region=south", Authorization="Bearer demo_token_bob")
        self.assertEqual([one["urls"] for one in self.body(answer)["data"]["ice_servers"]], [["turn:s"]])
        answer = self.begin("/api/webrtc/config?regoin=x", Authorization="Bearer demo_token_bob")
        self.assertEqual(400, self.status(answer))

    def test_nobody_else(self) -> None:
        self.assertEqual(401, self.status(self.begin("/api/webrtc/config")))
        self.assertEqual(401, self.status(self.begin("/api/webrtc/config", Authorization="Bearer nonsense")))


class CallList(ApiCase):
    """/api/calls."""

    def setUp(self) -> None:
        super().setUp()
        self.wait(self.accounts.create_demo_users())
        call = CallRecord("c1", "alice", "bob", True, 100.25)
        for record in (
            replace(call, ended_at=130.0, ending=Ending.NO_ANSWER),
            CallRecord("c1", "bob", "alice", False, 200.0, 203.5, 268.25, Ending.HANGUP, "alice"),
            CallRecord("c3", "alice", "bob", True, 300.0, 301.0),
            CallRecord("c4", "carol", "alice", True, 400.0),
        ):
            self.wait(self.cellar.store.record_call(record))

    def ask(self, user: str, query: str = "") -> dict[str, Any]:
        answer = self.begin(f"/api/calls{query}", Authorization=f"Bearer demo_token_{user}")
        self.assertEqual(200, self.status(answer), answer.value())
        data: dict[str, Any] = self.body(answer)["data"]
        return data

    def ids(self, user: str, query: str = "") -> list[str]:
        return [call["call_id"] for call in self.ask(user, query)["calls"]]

    def test_what_is_said_of_a_call(self) -> None:
        data = self.ask("bob")
        self.assertEqual(("", False), (data["next_cursor"], data["has_more"]))
        lasts, over, missed = data["calls"]
        self.assertEqual(
            {
                "call_id": "c1", "caller_id": "bob", "callee_id": "alice", "call_type": "audio",
                "created_at": 200.0, "answered_at": 203.5, "ended_at": 268.25, "duration": 64,
                "ending": "hangup", "ended_by": "alice", "missed": False,
            },
            over,
        )  # fmt: skip
        self.assertEqual(
            {
                "call_id": "c1", "caller_id": "alice", "callee_id": "bob", "call_type": "video",
                "created_at": 100.25, "answered_at": None, "ended_at": 130.0, "duration": 0,
                "ending": "no_answer", "ended_by": None, "missed": True,
            },
            missed,
        )  # fmt: skip
        self.assertEqual((301.0, None, None, 0), tuple(lasts[key] for key in (
            "answered_at", "ended_at", "ending", "duration",
        )))  # fmt: skip

    def test_each_sees_his_own(self) -> None:
        self.assertEqual(["c4", "c3", "c1", "c1"], self.ids("alice"))
        self.assertEqual(["c3", "c1", "c1"], self.ids("bob"))
        self.assertEqual(["c4"], self.ids("carol"))
        self.assertEqual(401, self.status(self.begin("/api/calls")))

    def test_pages(self) -> None:
        first = self.ask("alice", "?limit=3")
        self.assertEqual(
            (["c4", "c3", "c1"], True), ([call["call_id"] for call in first["calls"]], first["has_more"])
        )
        self.assertEqual(["c1"], self.ids("alice", f"?after={first['next_cursor']}"))
        self.assertEqual(4, len(self.ids("alice", "?limit=100000")))
        for query in ("?after=x", "?limit=-1", "?limit=x", "?before=1"):
            answer = self.begin(f"/api/calls{query}", Authorization="Bearer demo_token_alice")
            self.assertEqual(400, self.status(answer), query)

    def test_no_more_than_two_hundred(self) -> None:
        for number in range(201):
            self.wait(self.cellar.store.record_call(CallRecord(f"n{number}", "bob", "carol", True, 1.0)))
        self.assertEqual(50, len(self.ids("carol")))
        self.assertEqual(200, len(self.ids("carol", "?limit=100000")))


class Readiness(ApiCase):
    """/readyz and /healthz."""

    def test_ready(self) -> None:
        self.assertEqual(200, self.status(self.begin("/readyz")))

    def test_not_while_listeners_are_closed(self) -> None:
        self.vitals.listening = False
        transport = self.begin("/readyz")
        self.assertEqual(503, self.status(transport))
        self.assertIn(b"Retry-After: 1", transport.value())
        self.assertEqual(200, self.status(self.begin("/healthz")))

    def test_not_while_going_down(self) -> None:
        channels = self.site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        transport = StringTransport()
        channels.makeConnection(transport)
        self.doors.shut_down()
        channels.dataReceived(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        self.settle()
        self.assertEqual(503, self.status(transport))

    def test_not_while_the_disk_fails(self) -> None:
        self.committer.failures = 1
        transport = self.begin("/readyz")
        self.assertEqual(503, self.status(transport))
        self.assertNotIn("disk", json.dumps(self.body(transport)))
        self.assertEqual(200, self.status(self.begin("/readyz")))

    def test_not_while_the_writer_is_silent(self) -> None:
        self.committer.held = True
        transport = self.begin("/readyz")
        self.assertEqual(0, self.status(transport))
        self.clock.advance(READY_SECONDS)
        self.assertEqual(503, self.status(transport))
        self.committer.held = False
        self.assertEqual(200, self.status(self.begin("/readyz")))


class Scraping(ApiCase):
    """Who may read /metrics without a token."""

    def test_this_machine_only(self) -> None:
        self.assertEqual(200, self.status(self.begin("/metrics")))
        self.assertEqual(401, self.status(self.begin("/metrics", host="192.0.2.1")))
        self.assertEqual(401, self.status(self.begin("/metrics", self.proxied)))
        self.assertEqual(401, self.status(self.begin("/metrics", **{"X-Forwarded-For": "127.0.0.1"})))
        self.assertEqual(200, self.status(self.begin("/metrics", self.site, "127.3.2.1")))

    def test_what_is_counted_is_told(self) -> None:
        self.commits.unconfirmed = 7
        self.doors.tallies["jsonline"].delivered = 5
        self.doors.tallies["jsonline"].refuse(ErrorCode.TOO_FAST)
        counts = self.hub.calls.counts
        counts.ended[Ending.BUSY] = 3
        counts.media_dropped["rate"] = 4
        self.doors.tallies["qdatastream"].media_dropped = 6
        counts.quality.observe(CallQuality(jitter=0.015))
        text = self.begin("/metrics").value().decode()
        self.assertIn('imserver_calls_ended_total{ending="busy"} 3.0', text)
        self.assertIn('imserver_calls_ended_total{ending="lost"} 0.0', text)
        self.assertIn('imserver_calls_media_dropped_total{reason="rate"} 4.0', text)
        self.assertIn("imserver_nodes 1.0", text)
        self.assertIn("imserver_messages_unconfirmed_total 7.0", text)
        self.assertIn("imserver_node_cut_offs_total 0.0", text)
        self.assertIn('imserver_calls_media_dropped_total{reason="slow"} 6.0', text)
        self.assertIn('imserver_calls_jitter_seconds_bucket{le="0.01"} 0.0', text)
        self.assertIn('imserver_calls_jitter_seconds_bucket{le="0.02"} 1.0', text)
        self.assertIn("imserver_calls_packet_loss_count 0.0", text)
        self.assertIn('imserver_deliveries_total{format="jsonline"} 5.0', text)
        self.assertIn('imserver_messages_refused_total{code="TOO_FAST",format="jsonline"} 1.0', text)
        self.assertIn('imserver_store_bytes{file="imserver.db"} 7.0', text)
        self.assertIn("imserver_connections 1.0", text)


class Faults(ApiCase):
    """What goes wrong on our side."""

    def setUp(self) -> None:
        super().setUp()
        # Log-in of a demo user creates the account, which needs commits.
        self.assertEqual(
            200, self.status(self.begin("/api/users/me", Authorization="Bearer demo_token_alice"))
        )

    def test_no_details_get_out(self) -> None:
        async def broken(*arguments: Any) -> Any:
            raise RuntimeError("the secret of the house")

        self.patch(self.cellar.store, "inbox", broken)
        self.patch(self.hub.messages._store, "history", broken)
        transport = self.begin("/api/messages", Authorization="Bearer demo_token_alice")
        self.assertEqual(500, self.status(transport))
        self.assertEqual(
            {"success": False, "code": 500, "message": "internal error", "data": {}}, self.body(transport)
        )
        (logged,) = self.flushLoggedErrors(RuntimeError)
        self.assertEqual("the secret of the house", str(logged.value))

    def test_a_store_that_is_away(self) -> None:
        async def away(*arguments: Any) -> Any:
            raise ImError(ErrorCode.UNAVAILABLE, "not now")

        self.patch(self.hub.messages._store, "history", away)
        transport = self.begin("/api/messages", Authorization="Bearer demo_token_alice")
        self.assertEqual((503, True), (self.status(transport), self.body(transport)["data"]["retryable"]))

    def test_whoever_hung_up_is_not_answered(self) -> None:
        self.committer.held = True
        transport = self.begin("/readyz")
        channel: Any = transport.producer
        channel.connectionLost(Failure(ConnectionLost()))
        self.committer.held = False
        self.clock.advance(READY_SECONDS)
        self.settle()
        self.assertEqual(b"", transport.value())
        self.assertEqual([], self.flushLoggedErrors())

    def test_roles_are_read_anew(self) -> None:
        headers = {"Authorization": "Bearer demo_token_alice"}
        self.assertEqual(403, self.status(self.begin("/api/admin/stats", **headers)))
        ensureDeferred(self.cellar.directory.change_account("alice", role=Role.ADMIN))
        self.settle()
        self.assertEqual(200, self.status(self.begin("/api/admin/stats", **headers)))
        ensureDeferred(self.cellar.directory.change_account("alice", disabled=True))
        self.settle()
        self.assertEqual(403, self.status(self.begin("/api/users/me", **headers)))
