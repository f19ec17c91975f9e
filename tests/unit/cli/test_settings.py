"""`imserver config`."""

from __future__ import annotations

import tomllib

from imserver.cli.settings import MASK, _masked
from imserver.config import load
from tests.unit.cli.running import CliCase


class ConfigTests(CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.file = self.folder / "im.toml"
        self.file.write_text("[limits]\nconnections = 77\n")

    def test_what_is_shown_can_be_read_and_means_the_same(self) -> None:
        code, text, _ = self.run_command("config", "show", str(self.file))
        self.assertEqual(code, 0)
        self.assertEqual(tomllib.loads(text)["limits"]["connections"], 77)
        again = self.folder / "again.toml"
        again.write_text(text)
        loaded = load(str(again))
        self.assertEqual(loaded.limits, load(str(self.file)).limits)
        self.assertEqual(loaded.listener, load(str(self.file)).listener)
        self.assertEqual(self.run_command("config", "show", str(again))[1], text)

    def test_overrides_and_the_directory_in_use(self) -> None:
        shown = self.json("config", "show", "--config", str(self.file), "--set", "limits.send_burst=5")
        self.assertEqual((shown["limits"]["send_burst"], shown["limits"]["connections"]), (5, 77))
        self.assertEqual(shown["data_dir"], str(self.data))
        self.assertIs(shown["auth"]["self_registration"], True)

    def test_check(self) -> None:
        self.assertIn("good", self.imserver("config", "check", str(self.file)))
        self.set_environment("IMSERVER_CONFIG", str(self.file))
        self.assertEqual(self.json("config", "check")["config"], str(self.file))
        for text, word in (
            ("[limits]\nconnection = 1\n", "limits.connection: unknown key"),
            ("nonsense", "im.toml"),
            ("[[listener]]\nformat = 'jsonline'\nendpoint = 'tcp:x'\n", "listener[0].endpoint"),
            ("[[auth.key]]\nkid='a'\nalgorithm='RS256'\npublic_key='/none.pem'\n", "/none.pem"),
        ):
            self.file.write_text(text)
            self.assertIn(word, self.imserver("config", "check", str(self.file), code=1))
        self.assertIn("No such file", self.imserver("config", "check", "/none.toml", code=1))

    def test_secrets_are_masked(self) -> None:
        tree = {
            "turn_secret": "s3cret",
            "password": "s3cret",
            "api_tokens": ["s3cret"],
            "url": "redis://user:s3cret@host:1/0",
            "nested": {"passphrase": "s3cret", "none": None},
            "secret": "",
            "public_key": "/etc/key.pem",
            "private_key_file": "/etc/key.pem",
            "password_time_cost": 2,
            "access_token_seconds": 3600,
            "endpoint": "tcp:1:interface=127.0.0.1",
        }
        shown = _masked("", tree)
        self.assertNotIn("s3cret", repr(shown))
        self.assertEqual(shown["url"], f"redis://user:{MASK}@host:1/0")
        for key in ("secret", "public_key", "private_key_file", "password_time_cost", "endpoint"):
            self.assertEqual(shown[key], tree[key])
        self.assertEqual(shown["access_token_seconds"], 3600)
        self.assertEqual(shown["nested"], {"passphrase": MASK})
