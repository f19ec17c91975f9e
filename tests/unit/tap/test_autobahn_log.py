"""Texts for Autobahn's debug lines are made where one is written."""

from __future__ import annotations

from typing import Any

from autobahn.websocket import protocol as _protocol
from twisted.trial.unittest import SynchronousTestCase

from imserver.tap.autobahn_log import defer_texts

protocol: Any = _protocol


class DeferTexts(SynchronousTestCase):
    def setUp(self) -> None:
        for name in ("hltype", "hlval", "pformat"):
            self.patch(protocol, name, getattr(protocol, name))

    def test_names_are_plain_and_values_stay_what_they_are(self) -> None:
        defer_texts()
        value = object()
        self.assertIs(protocol.hlval(value, color="green"), value)
        self.assertIs(protocol.pformat(value), value)
        self.assertEqual(protocol.hltype(self.setUp), "DeferTexts.setUp")
        self.assertIn("object", protocol.hltype(value))

    def test_where_there_is_nothing_to_replace(self) -> None:
        del protocol.hltype  # patched in setUp, which puts it back
        defer_texts()
        self.assertFalse(hasattr(protocol, "hltype"))
