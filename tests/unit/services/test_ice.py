"""STUN and TURN servers, and the credentials for them."""

from __future__ import annotations

import base64
import hashlib
import hmac

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import Hello, LogIn
from imserver.model.calls import Media
from imserver.model.ice import GetIceServers, IceServer
from imserver.services.ice import Ice, TurnServer, turn_password, turn_user
from imserver.services.sessions import Client
from tests.unit.services.hub_world import HubCase, Peer

NORTH = TurnServer("north", ["stun:n"], ["turn:n", "turns:n"], b"north", 3600)
SOUTH = TurnServer("south", [], ["turn:s"], b"south", 60)
ANYWHERE = TurnServer("", ["stun:a", "stuns:a"], [], b"", 3600)
AT = 1759838400.9


class Credentials(SynchronousTestCase):
    def test_they_are_coturns(self) -> None:
        """As `printf 1759842000:1 | openssl dgst -sha1 -hmac north -binary | base64` has it."""
        self.assertEqual(turn_user("1", 1759842000), "1759842000:1")
        self.assertEqual(turn_password("1759842000:1", b"north"), "7VU1VaChsgij/pnYKj8R9qRPMoI=")

    @example("界" * 85)
    @example(" " * 133)
    @given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=255))
    def test_every_user_has_a_name_that_coturn_takes(self, user: str) -> None:
        name = turn_user(user, 1759842000)
        self.assertTrue(name.isascii() and name.isprintable() and " " not in name, name)
        self.assertLess(len(name), 509)
        self.assertTrue(name.startswith("1759842000:"))

    def test_users_have_different_names(self) -> None:
        users = [
            "a",
            "A",
            "a:b",
            "a%3Ab",
            "张三",
            "张四",
            "%E5%BC%A0%E4%B8%89",
            "界" * 85,
            "界" * 84,
            "a b",
            "a+b",
        ]
        self.assertEqual(len({turn_user(user, 5) for user in users}), len(users))
        self.assertEqual(turn_user("a:b@c+d", 5), "5:a:b@c+d")


class Servers(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = AT
        self.ice = Ice(lambda: self.now, [NORTH, SOUTH, ANYWHERE])

    def urls(self, region: str) -> list[list[str]]:
        return [list(server.urls) for server in self.ice.servers("bob", region).servers]

    def test_all_of_them(self) -> None:
        told = self.ice.servers("bob")
        self.assertEqual(
            told.servers,
            [
                IceServer(["stun:n"]),
                IceServer(["turn:n", "turns:n"], "1759842000:bob", self.password("1759842000:bob", b"north")),
                IceServer(["turn:s"], "1759838460:bob", self.password("1759838460:bob", b"south")),
                IceServer(["stun:a", "stuns:a"]),
            ],
        )
        self.assertEqual(told.expires_at, 1759838460.0)

    @staticmethod
    def password(username: str, secret: bytes) -> str:
        return base64.b64encode(hmac.new(secret, username.encode(), hashlib.sha1).digest()).decode()

    def test_regions(self) -> None:
        north, south, anywhere = [["stun:n"], ["turn:n", "turns:n"]], [["turn:s"]], [["stun:a", "stuns:a"]]
        self.assertEqual(self.urls("north"), north + anywhere)
        self.assertEqual(self.urls("south"), south + anywhere)
        self.assertEqual(self.urls("west"), north + south + anywhere)
        self.assertEqual(self.urls(""), north + south + anywhere)

    def test_none(self) -> None:
        told = Ice(lambda: AT).servers("bob")
        self.assertEqual((told.servers, told.expires_at), ([], 0.0))

    def test_a_new_secret_counts_from_now_on(self) -> None:
        self.ice.replace([TurnServer("north", [], ["turn:n"], b"new", 3600)])
        (server,) = self.ice.servers("bob").servers
        self.assertEqual(server.credential, self.password("1759842000:bob", b"new"))

    def test_secrets_are_not_written(self) -> None:
        secret = TurnServer("r", [], ["turn:n"], b"hush", 5)
        self.assertNotIn("hush", f"{secret!r} {secret} {[secret]}")


class Sessions(HubCase):
    """Who is told, and who may ask."""

    def setUp(self) -> None:
        super().setUp()
        self.hub._ice.replace([NORTH])
        self.wait(self.accounts.create_demo_users())

    def test_sessions_of_webrtc_are_told_at_their_log_in(self) -> None:
        for media in Media:
            client = Client(self.hub.new_session_id(), "f", "127.0.0.1", False, True, media=media)
            live, reply = self.wait(self.hub.log_in(client, Hello(), LogIn(token="demo_token_bob"), Peer()))
            live.close()
            self.assertEqual(bool(reply.ice_servers), media is Media.WEBRTC)
        told = self.wait(self.hub.dispatch.handle(live.principal, GetIceServers("north")))
        self.assertTrue(told.servers[1].username.endswith(":bob"))
