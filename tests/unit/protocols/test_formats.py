"""The table of formats, and what other programs add to it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.config import Listener
from imserver.model.protection import EncryptionMode, SignatureMode
from imserver.protocols.formats import (
    FORMATS,
    CodecOptions,
    Door,
    UnknownFormat,
    load_formats,
    stream_factory,
)
from imserver.services.message_keys import MessageKeys
from imserver.services.protection import Protection
from imserver.tap.wiring import listener_factory
from imserver.wire.jsonline import JsonLineServerCodec
from imserver.wire.jsonline.chat_app import ChatAppServerCodec
from imserver.wire.jsonline.secured import SecuredJsonLineServerCodec
from tests.unit.protocols.stub import StubHub, doors


class LoadFormats(SynchronousTestCase):
    """`load_formats`."""

    def test_one_line_adds_a_format(self) -> None:
        formats = load_formats({"irc": "examples.irc:FORMAT"})
        self.assertEqual({*formats} - {*FORMATS}, {"irc"})
        self.assertIs(formats["irc"].door, Door.LINES)
        factory = stream_factory("irc", doors(StubHub()), CodecOptions(lambda: 0.0), formats)
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        self.assertNotIn("irc", FORMATS)

    def test_what_is_not_there_is_named(self) -> None:
        for place in (
            "examples.nothing:FORMAT",
            "examples.irc:NOTHING",
            "examples.irc:IrcCodec",
        ):
            with self.subTest(place=place):
                error = self.assertRaises(UnknownFormat, load_formats, {"irc": place})
                self.assertIn(f"formats.irc: {place}", str(error))


class Dialects(SynchronousTestCase):
    """`listener.dialect`."""

    def codec(self, **options: Any) -> Any:
        listener = Listener("jsonline", "tcp:0:interface=127.0.0.1", **options)
        factory: Any = listener_factory(listener, doors(StubHub()), demo=False)
        protocol = factory.buildProtocol(None)
        return protocol._codec

    def test_which_codec_sessions_get(self) -> None:
        self.assertIs(type(self.codec()), JsonLineServerCodec)
        self.assertIs(type(self.codec(dialect="draft")), JsonLineServerCodec)
        codec = self.codec(dialect="chat-app", require_authorization=True)
        self.assertIs(type(codec), ChatAppServerCodec)
        self.assertEqual(
            (codec.traits.name, codec.traits.acks, codec.traits.requires_authorization),
            ("jsonline", False, True),
        )
        self.assertFalse(self.codec(dialect="chat-app").traits.requires_authorization)


class Secured(SynchronousTestCase):
    """Which codec the sessions of document 004 get."""

    def codec(self, options: CodecOptions) -> type:
        return type(FORMATS["jsonline"].codec(options))

    def test_without_signatures_and_encryption_the_plain_one(self) -> None:
        self.assertIs(self.codec(CodecOptions(lambda: 0.0)), JsonLineServerCodec)
        with TemporaryDirectory() as folder:
            keys = MessageKeys(Path(folder) / "keys.json", lambda size: bytes(size))
            guard = Protection(keys, lambda token: "", lambda: 0.0, "verify")
            self.assertIs(self.codec(CodecOptions(lambda: 0.0, guard=guard)), SecuredJsonLineServerCodec)

    def test_a_listener_that_asks_for_nothing_makes_no_guard(self) -> None:
        asked: list[object] = []

        def protection(signature: SignatureMode, encryption: EncryptionMode) -> Any:
            asked.append((signature, encryption))
            raise ZeroDivisionError

        def make(**options: Any) -> None:
            listener = Listener("jsonline", "tcp:0", **options)
            listener_factory(listener, doors(StubHub()), demo=False, protection=protection)

        make()
        make(signature="off", encryption="off")
        self.assertEqual(asked, [])
        for options in ({"signature": "verify"}, {"encryption": "required"}):
            self.assertRaises(ZeroDivisionError, make, **options)
        self.assertEqual(asked, [("verify", "off"), ("off", "required")])
