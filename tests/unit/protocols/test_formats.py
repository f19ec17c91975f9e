"""The table of formats, and what other programs add to it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imserver.protocols.formats import (
    FORMATS,
    CodecOptions,
    Door,
    UnknownFormat,
    load_formats,
    stream_factory,
)
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
