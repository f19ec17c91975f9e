"""etc/imserver.toml: every key, production listeners, the defaults as they are."""

from __future__ import annotations

import re
import tempfile
import tomllib
import typing
from pathlib import Path
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from imserver.config import Configuration, Listener, load

ETC = Path(__file__).parents[3] / "etc"
_COMMENTED = re.compile(r"# (\[\[?[a-z_.]+\]\]?|[a-z_]+ = .*)")


def struct_of(annotation: Any) -> Any:
    """The struct inside an annotation such as `tuple[Listener, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    for argument in typing.get_args(annotation):
        found = struct_of(argument)
        if found is not None:
            return found
    return None


def keys_of(struct: Any, prefix: str = "") -> set[str]:
    """Every key that the schema knows, dotted."""
    keys = set()
    for name, annotation in typing.get_type_hints(struct, include_extras=True).items():
        keys.add(prefix + name)
        inner = struct_of(annotation)
        if inner is not None:
            keys |= keys_of(inner, f"{prefix}{name}.")
    return keys


def keys_in(tree: Any, prefix: str = "") -> set[str]:
    """Every key of a file, dotted; tables with free keys count as values."""
    keys = set()
    for name, value in tree.items():
        keys.add(prefix + name)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict) and prefix + name not in ("listener.paths", "formats", "extensions"):
                keys |= keys_in(item, f"{prefix}{name}.")
    return keys


class Example(SynchronousTestCase):
    def setUp(self) -> None:
        self.text = (ETC / "imserver.toml").read_text()
        lines = [
            match[1] if (match := _COMMENTED.fullmatch(line)) else line for line in self.text.splitlines()
        ]
        self.everything = "\n".join(lines)

    def test_no_key_is_missing_and_none_is_unknown(self) -> None:
        self.assertEqual(keys_in(tomllib.loads(self.everything)), keys_of(Configuration))

    def test_it_is_a_configuration_with_and_without_the_comments(self) -> None:
        load(str(ETC / "imserver.toml"))
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(self.everything)
            file.flush()
            uncommented = load(file.name)
        default = Configuration()
        for section in ("limits", "retention", "log"):
            self.assertEqual(getattr(uncommented, section), getattr(default, section), section)
        store = msgspec.structs.replace(
            uncommented.store,
            password_file=None,
            ca=None,
            sentinels=(),
            sentinel_service=None,
            sentinel_user=None,
            sentinel_password_file=None,
        )
        self.assertEqual(store, default.store)
        auth = msgspec.structs.replace(uncommented.auth, self_registration=None, key=())
        self.assertEqual(auth, default.auth)

    def test_production_is_encrypted_on_the_ports_of_the_contract(self) -> None:
        listeners = load(str(ETC / "imserver.toml")).listener
        spoken = {
            (listener.endpoint.split(":")[1], *sorted((listener.paths or {}).values()))
            for listener in listeners
        }
        self.assertEqual(
            spoken,
            {
                ("8444", "protobuf"),
                ("8443", "meeting", "protobuf", "signalling"),
                ("8089",),
                ("8889",),
                ("9501",),
            },
        )
        self.assertTrue(all(listener.tls for listener in listeners))

    def test_a_key_taken_out_would_be_noticed(self) -> None:
        tree = tomllib.loads(self.everything)
        del tree["listener"][1]["tls"]["sni"]
        self.assertNotEqual(keys_in(tree), keys_of(Configuration))
        self.assertIn("listener.tls.sni.key", keys_of(Configuration))
        self.assertIn("endpoint", keys_of(Listener))


class BalancerTest(SynchronousTestCase):
    """etc/haproxy.cfg."""

    def test_a_file_channel_is_opened_at_the_node_that_gave_its_token(self) -> None:
        text = (ETC / "haproxy.cfg").read_text()
        blocks = [block for block in re.split(r"^(?=listen )", text, flags=re.M) if ":9500" in block]
        self.assertEqual(2, len(blocks))
        for block in blocks:
            self.assertEqual(1, len(re.findall(r"^ +server ", block, flags=re.M)), block)
