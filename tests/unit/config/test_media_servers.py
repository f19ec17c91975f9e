"""`[[media_server]]`: what is taken, and what is refused with its path."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imserver.config import ConfigError, load
from imserver.config.media_urls import addresses


def entry(keys: str) -> str:
    """An override."""
    return f"media_server=[{{{keys}}}]"


class MediaServers(SynchronousTestCase):
    def refused(self, override: str) -> str:
        return str(self.assertRaises(ConfigError, load, None, [override])).replace("`", "")

    def test_defaults(self) -> None:
        self.assertEqual(load().media_server, ())
        (server,) = load(None, [entry('name="a", wss="wss://a/"')]).media_server
        self.assertEqual(addresses(server), {"wss": "wss://a/"})
        self.assertEqual((server.weight, server.health), (1.0, None))

    def test_everything(self) -> None:
        urls = {
            "wss": "wss://media.example.org/janus-ws",
            "ws": "ws://[fd00::1]:8188",
            "https": "https://media.example.org:8443/janus",
            "http": "http://10.0.0.1:8088/janus",
            "rtsp": "rtsp://media.example.org/live?a=b",
        }
        keys = ", ".join(f'{protocol}="{url}"' for protocol, url in urls.items())
        more = 'name="a.b-1_2", weight=3, health="https://10.0.0.1/janus/info", health_failures=1'
        (server,) = load(None, [entry(f"{keys}, {more}")]).media_server
        self.assertEqual(addresses(server), urls)
        self.assertEqual((server.weight, server.health_failures), (3.0, 1))

    def test_addresses(self) -> None:
        for key, url in (
            ("wss", ""),
            ("wss", "a"),
            ("wss", "ws://a/"),
            ("ws", "wss://a/"),
            ("wss", "wss:a"),
            ("wss", "wss:///a"),
            ("wss", "wss://a:0/"),
            ("wss", "wss://a:65536/"),
            ("wss", "wss://a:b/"),
            ("wss", "wss://[::1/"),
            ("wss", "wss://user:secret@a/"),
            ("wss", "wss://a/#b"),
            ("wss", "wss://a/ b"),
            ("wss", "wss://ä/"),
            ("rtsp", "rtsps://a/"),
            ("http", "https://a/"),
            ("https", "http://a/"),
            ("health", "ws://a/"),
            ("health", "a/janus/info"),
            ("health", "http://user@a/"),
        ):
            own = "" if key == "ws" else 'ws="ws://a/", '
            told = self.refused(entry(f'name="a", {own}{key}="{url}"'))
            self.assertIn(f"media_server[0].{key}: ", told, url)

    def test_bounds_and_what_is_missing(self) -> None:
        good = 'name="a", ws="ws://a/"'
        for keys, words in (
            ('ws="ws://a/"', "media_server[0]: object missing required field name"),
            ('name="a"', "media_server[0].wss: at least one of wss, ws, https, http, rtsp"),
            ('name="a", health="http://a/"', "media_server[0].wss: at least one"),
            ('name="", ws="ws://a/"', "media_server[0].name"),
            ('name="a b", ws="ws://a/"', "media_server[0].name"),
            (f"{good}, weight=0", "media_server[0].weight"),
            (f"{good}, weight=-1", "media_server[0].weight"),
            (f"{good}, weight=nan", "media_server[0].weight"),
            (f"{good}, weight=inf", "media_server[0].weight"),
            (f'{good}, weight="1"', "media_server[0].weight"),
            (f"{good}, health_interval_seconds=0", "media_server[0].health_interval_seconds"),
            (f"{good}, health_timeout_seconds=61", "media_server[0].health_timeout_seconds"),
            (f"{good}, health_failures=0", "media_server[0].health_failures"),
            (f"{good}, health_successes=1.5", "media_server[0].health_successes"),
            (f'{good}, url="x"', "media_server[0].url: unknown key"),
        ):
            self.assertIn(words, self.refused(entry(keys)), keys)

    def test_a_name_is_given_once(self) -> None:
        told = self.refused('media_server=[{name="a", ws="ws://a/"}, {name="a", ws="ws://b/"}]')
        self.assertIn("media_server[1].name: 'a' has been given already", told)
