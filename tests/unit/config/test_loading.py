"""The configuration: defaults, overrides, and one line that names the faulty key."""

import os
import shutil
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from imserver.config import ConfigError, load
from imserver.config.endpoints import is_loopback, port_fault
from imserver.config.ice_urls import parse_ice_url
from imserver.config.loading import data_directory, self_registration
from imserver.config.redis_urls import parse_address, parse_redis_url


class Defaults(SynchronousTestCase):
    def test_development_listeners_are_those_of_the_contract_and_loopback(self) -> None:
        listeners = load().listener
        self.assertEqual(
            [(listener.format, listener.endpoint, listener.paths) for listener in listeners],
            [
                ("http", "tcp:8081:interface=127.0.0.1", {"/ws": "protobuf"}),
                (
                    "http",
                    "tcp:8080:interface=127.0.0.1",
                    {"/ws": "signalling", "/meeting": "meeting", "/im": "protobuf"},
                ),
                ("jsonline", "tcp:8088:interface=127.0.0.1", None),
                ("qdatastream", "tcp:8888:interface=127.0.0.1", None),
                ("files", "tcp:9500:interface=127.0.0.1", None),
            ],
        )
        self.assertTrue(all(is_loopback(listener.endpoint) for listener in listeners))

    def test_limits_of_the_contract(self) -> None:
        limits = load().limits
        self.assertEqual(
            (limits.sends_per_second, limits.send_burst, limits.content_bytes, limits.outbox_bytes),
            (100, 200, 65536, 1048576),
        )
        self.assertEqual((limits.connections, limits.unauthenticated_per_address), (100_000, 1024))


class Overrides(SynchronousTestCase):
    def test_typed_values(self) -> None:
        configuration = load(
            None,
            ["limits.sends_per_second=1000", "auth.self_registration=false", "data_dir=/srv/im"],
        )
        self.assertEqual(configuration.limits.sends_per_second, 1000.0)
        self.assertIs(configuration.auth.self_registration, False)
        self.assertEqual(configuration.data_dir, "/srv/im")

    def test_one_field_of_a_default_listener(self) -> None:
        configuration = load(None, ["listener.2.endpoint=tcp:0:interface=127.0.0.1"])
        self.assertEqual(configuration.listener[2].endpoint, "tcp:0:interface=127.0.0.1")
        self.assertEqual(configuration.listener[0], load().listener[0])

    def test_the_file_is_read_and_the_override_wins(self) -> None:
        file = self.write("[limits]\nsends_per_second = 5\nsend_burst = 6\n")
        limits = load(file, ["limits.send_burst=7"]).limits
        self.assertEqual((limits.sends_per_second, limits.send_burst), (5, 7))

    def write(self, text: str) -> str:
        handle, path = tempfile.mkstemp(suffix=".toml")
        self.addCleanup(os.unlink, path)
        with open(handle, "w") as stream:
            stream.write(text)
        return path


class Faults(SynchronousTestCase):
    def refused(self, *overrides: str) -> str:
        return str(self.assertRaises(ConfigError, load, None, overrides))

    def test_the_path_of_the_fault_is_named(self) -> None:
        for override, path in (
            ("nonsense=1", "nonsense: unknown key"),
            ("limits.nonsense=1", "limits.nonsense: unknown key"),
            ("listener.1.nonsense=1", "listener[1].nonsense: unknown key"),
            ("limits.sends_per_second=fast", "limits.sends_per_second: expected"),
            ("limits.sends_per_second=-1", "limits.sends_per_second: expected"),
            ("limits.connections=0.5", "limits.connections: expected"),
            ("limits.content_bytes=65537", "limits.content_bytes: expected"),
            ("store.engine=oracle", "store.engine: "),
            ("store.prefix='{a}'", "store.prefix: expected"),
            ("node='a b'", "node: expected"),
            ("retention.days=1", "retention.days: is shorter"),
            ("limits.outbox_bytes=300000000", "limits.outbox_bytes: is larger"),
            ("auth.key=[{kid=1}]", "auth.key[0].kid: "),
            ("listener.0.paths={'/ws'='irc'}", "listener[0].paths[...]: invalid"),
            ("listener.0.paths={'ws'='protobuf'}", "listener[0].paths: expected"),
            ("listener=[]", "listener: "),
            ("listener.0.tls={certificate='a.pem'}", "listener[0].tls: object missing"),
            ("listener.0.tls={certificate='a',key='b',ciphers='x'}", "listener[0].tls.ciphers: unknown key"),
            ("listener.0.proxy_protocol={trusted=[]}", "listener[0].proxy_protocol.trusted: expected"),
            ("listener.0.proxy_protocol={trusted=['lb']}", "listener[0].proxy_protocol.trusted[0]: 'lb'"),
            ("listener.2.forwarded_for={trusted=['::1']}", "listener[2].forwarded_for: is for"),
        ):
            self.assertIn(path, self.refused(override))

    def test_redis(self) -> None:
        def redis(*overrides: str) -> list[str]:
            return ["store.engine=redis", *overrides]

        load(None, redis())
        load(None, redis("store.url=redis://10.0.0.1", "store.password_file=/p"))
        load(None, redis("store.url=rediss://user:p%40ss@r.example:1/2", "store.ca=/ca.pem"))
        load(None, redis("store.url=unix:///run/redis.sock?db=3"))
        # Nobody reads the URL of another engine.
        load(None, ["store.url=nonsense"])
        for overrides, path in (
            (["store.url=http://a"], "store.url: must start with"),
            (["store.url=redis://"], "store.url: names no host"),
            (["store.url=redis://a/b"], "store.url: the database"),
            (["store.url=redis://a/0?x=1"], "store.url: must end"),
            (["store.url=redis://a:x"], "store.url: is not a URL"),
            (["store.url=unix://run/redis.sock"], "store.url: must name a socket"),
            (["store.url=redis://:s3cret@a", "store.password_file=/p"], "store.password_file: there is"),
            (["store.ca=/ca.pem"], "store.ca: is for rediss"),
        ):
            with self.assertRaises(ConfigError) as caught:
                load(None, redis(*overrides))
            self.assertIn(path, str(caught.exception))
            self.assertNotIn("s3cret", str(caught.exception))

    def test_sentinels(self) -> None:
        def redis(*overrides: str) -> list[str]:
            return ["store.engine=redis", *overrides]

        ask, service = 'store.sentinels=["a:1","[::1]","b"]', "store.sentinel_service=im"
        store = load(None, redis(ask, service)).store
        self.assertEqual(
            [("a", 1), ("::1", 26379), ("b", 26379)], [parse_address(one) for one in store.sentinels]
        )
        load(None, redis(ask, service, "store.sentinel_user=u", "store.sentinel_password_file=/p"))
        load(None, redis("store.ack=replicated", "store.replicas=2", "store.replicas_seconds=0.5"))
        load(None, ["store.ack=replicated", "store.replicas_seconds=9"])
        for overrides, path in (
            ([ask], "store.sentinel_service: is needed"),
            ([service], "store.sentinel_service: is for store.sentinels"),
            (["store.sentinel_user=u"], "store.sentinel_user: is for"),
            (["store.sentinel_password_file=/p"], "store.sentinel_password_file: is for"),
            (['store.sentinels=["a","b:x"]', service], "store.sentinels[1]: 'b:x' is not host:port"),
            (['store.sentinels=["redis://b"]', service], "store.sentinels[0]:"),
            (['store.sentinels=[":5"]', service], "store.sentinels[0]:"),
            (['store.sentinels=["a","a"]', service], "store.sentinels: the same"),
            ([ask, service, "store.url=unix:///run/redis.sock"], "store.url: must start with redis:// or"),
            ([ask, service, "store.sentinel_user=u"], "store.sentinel_password_file: is needed"),
            (["store.ack=all"], "store.ack"),
            (["store.replicas=0"], "store.replicas"),
            (["store.ack=replicated", "store.replicas_seconds=5"], "store.replicas_seconds: must be less"),
        ):
            with self.assertRaises(ConfigError) as caught:
                load(None, redis(*overrides))
            self.assertIn(path, str(caught.exception))

    def test_redis_urls(self) -> None:
        url = parse_redis_url("rediss://im:p%40ss@r.example:7000/2")
        self.assertEqual(("r.example", 7000, "", True), (url.host, url.port, url.path, url.tls))
        self.assertEqual(("im", "p@ss", 2), (url.user, url.password, url.database))
        url = parse_redis_url("redis://:secret@[::1]")
        self.assertEqual(
            ("::1", 6379, "", "secret", 0), (url.host, url.port, url.user, url.password, url.database)
        )
        url = parse_redis_url("unix:///run/a%20b.sock?db=3")
        self.assertEqual(("/run/a b.sock", 3, "", 0), (url.path, url.database, url.host, url.port))

    def test_turn(self) -> None:
        def turn(urls: str, more: str = "") -> str:
            return f"turn=[{{urls=[{urls}]{more}}}]"

        secret = ', secret_file="/s"'
        load(None, [turn('"stun:a.example", "stuns:[::1]:53"')])
        load(
            None, [turn('"turn:a:1?transport=udp", "turns:1.2.3.4?transport=tcp"', secret + ', region="eu"')]
        )
        for url in (
            *(
                "",
                "a",
                "http:a",
                "turn:",
                "turn:a:",
                "turn:a:0",
                "turn:a:65536",
                "turn:[a]",
                "turn:[1::2::3]",
            ),
            *("turn:a?transport=tls", "stun:a?transport=udp", "turn://a", "turn:a b", "turn:a ", "TURN:a"),
        ):
            told = self.refused(turn(f'"turn:a", "{url}"', secret))
            self.assertIn("turn[0].urls[1]: ", told.replace("`", ""), url)
        self.assertIn("turn[0].secret_file: is needed", self.refused(turn('"stun:a", "turn:a"')))
        self.assertIn("turn[0].urls: expected", self.refused(turn("")))
        self.assertIn("turn[0].credential_seconds", self.refused(turn('"stun:a"', ", credential_seconds=59")))
        self.assertIn("turn[0].secret: unknown key", self.refused(turn('"stun:a"', ', secret="x"')))

    def test_addresses_of_turn_servers(self) -> None:
        for text, url in (
            ("stun:a", ("stun", "a", 3478, "udp", False, False)),
            ("stuns:a:9", ("stuns", "a", 9, "tcp", False, True)),
            ("turn:a", ("turn", "a", 3478, "udp", True, False)),
            ("turn:a:1?transport=tcp", ("turn", "a", 1, "tcp", True, False)),
            ("turns:[::1]", ("turns", "::1", 5349, "tcp", True, True)),
            ("turns:a?transport=udp", ("turns", "a", 5349, "udp", True, True)),
        ):
            one = parse_ice_url(text)
            self.assertEqual(
                (one.scheme, one.host, one.port, one.transport, one.relays, one.encrypted), url, text
            )

    def test_options_of_another_format(self) -> None:
        self.assertIn("listener[2].paths: is for", self.refused("listener.2.paths={'/a'='protobuf'}"))
        self.assertIn("listener[2].framing: is for", self.refused("listener.2.framing=auto"))
        self.assertIn("listener[0].dialect: is for", self.refused("listener.0.dialect=draft"))
        self.assertIn("listener[0].paths: an http", self.refused("listener.0.paths={}"))
        self.assertIn("listener[2].dialect: ", self.refused("listener.2.dialect=other"))
        for option in ("signature=verify", "encryption=allowed"):
            overrides = ("listener.2.dialect=chat-app", f"listener.2.{option}")
            self.assertIn(f"{option.partition('=')[0]}: the dialect", self.refused(*overrides))
        overrides = ("listener.2.dialect=chat-app", "listener.2.signature=off")
        self.assertEqual(load(None, overrides).listener[2].dialect, "chat-app")

    def test_overrides_that_are_none(self) -> None:
        for override in ("limits", "=3", ".=3", "listener.9.endpoint=x", "listener.x.endpoint=x"):
            self.assertIn(f"--set {override}", self.refused(override))

    def test_files_that_cannot_be_used(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        for name, content in (("a", b"[limits"), ("b", b"\xff\xfe"), ("c", b"x = " + b"[" * 10_000)):
            path = os.path.join(folder, name)
            with open(path, "wb") as stream:
                stream.write(content)
            self.assertIn(path, str(self.assertRaises(ConfigError, load, path)))
        missing = os.path.join(folder, "missing")
        self.assertIn("No such file", str(self.assertRaises(ConfigError, load, missing)))
        self.assertIn("directory", str(self.assertRaises(ConfigError, load, folder)))


class Ports(SynchronousTestCase):
    def test_what_is_no_port(self) -> None:
        for endpoint in (
            "tcp:65536",
            "tcp6:99999999:interface=127.0.0.1",
            "tcp:interface=127.0.0.1:port=70000",
        ):
            self.assertIn("there is no port", port_fault(endpoint) or "", endpoint)

    def test_what_is(self) -> None:
        for endpoint in (
            "tcp:0",
            "tcp:65535",
            "tcp:port=8080:backlog=70000",
            "unix:/99999",
            "systemd:index=0",
        ):
            self.assertIsNone(port_fault(endpoint), endpoint)


class Reach(SynchronousTestCase):
    def test_loopback(self) -> None:
        for endpoint in (
            "tcp:8080:interface=127.0.0.1",
            "tcp:8080:interface=127.9.9.9:backlog=5",
            r"tcp6:8080:interface=\:\:1",
            "unix:/run/im.sock",
        ):
            self.assertTrue(is_loopback(endpoint), endpoint)

    def test_everything_else_may_be_reached(self) -> None:
        for endpoint in (
            "tcp:8080",
            "tcp:8080:interface=0.0.0.0",
            "tcp:8080:interface=localhost.example",
            r"tcp6:8080:interface=\:\:",
            "systemd:domain=INET:index=0",
            "ssl:443:interface=127.0.0.1",
            "",
        ):
            self.assertFalse(is_loopback(endpoint), endpoint)

    def test_self_registration_is_on_by_default_on_loopback_only(self) -> None:
        open_to_all = "listener.2.endpoint=tcp:8088"
        self.assertTrue(self_registration(load()))
        self.assertFalse(self_registration(load(None, [open_to_all])))
        proxied = "listener.2.proxy_protocol={trusted=['127.0.0.1']}"
        self.assertFalse(self_registration(load(None, [proxied])))
        self.assertTrue(self_registration(load(None, [open_to_all, "auth.self_registration=true"])))
        self.assertFalse(self_registration(load(None, ["auth.self_registration=false"])))


class DataDirectory(SynchronousTestCase):
    def test_order(self) -> None:
        environment = {"HOME": "/home/a", "XDG_DATA_HOME": "/x", "STATE_DIRECTORY": "/var/lib/imserver:/b"}
        self.assertEqual(str(data_directory("/d", environment)), "/d")
        self.assertEqual(str(data_directory("", environment)), "/var/lib/imserver")
        del environment["STATE_DIRECTORY"]
        self.assertEqual(str(data_directory("", environment)), "/x/imserver")
        del environment["XDG_DATA_HOME"]
        self.assertEqual(str(data_directory("", environment)), "/home/a/.local/share/imserver")


class Formats(SynchronousTestCase):
    """Formats that other programs bring."""

    def test_a_listener_may_speak_a_format_that_is_named(self) -> None:
        configuration = load(None, ["formats.irc=examples.irc:FORMAT", "listener.2.format=irc"])
        self.assertEqual(configuration.formats, {"irc": "examples.irc:FORMAT"})
        self.assertEqual(configuration.listener[2].format, "irc")

    def test_faults_are_named(self) -> None:
        for overrides, told in (
            (
                ["listener.2.format=irc"],
                "listener[2].format: 'irc' is none of qdatastream, jsonline, files, http",
            ),
            (["formats.jsonline=a:b"], "formats.jsonline: is built in"),
            (["formats.signalling=a:b"], "formats.signalling: is built in"),
            (["formats.irc=no place"], "formats"),
        ):
            with self.subTest(overrides=overrides):
                error = self.assertRaises(ConfigError, load, None, overrides)
                self.assertIn(told, str(error))
