"""The table in docs/wire/content.md is the table in the code."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from imserver.model.messages import Content
from imserver.wire import content as table
from imserver.wire import extras
from imserver.wire.signalling.bodies import read_content, write_content
from tests.content_table import Line, bodies, variations


def read(line: Line) -> Content:
    """What document 001's cell says."""
    packed = {"im.content": line.beside} if line.beside else {}
    return extras.unpack_extra(packed, table.from_numbered(*line.numbered))[3]


class Bodies(SynchronousTestCase):
    def test_every_format_reads_one_and_the_same(self) -> None:
        for line in bodies():
            content = read(line)
            self.assertEqual(table.from_json(line.json), content, line.name)
            self.assertEqual(read_content(line.typed[1], line.typed[0]), content, line.name)

    def test_and_writes_it_again(self) -> None:
        for line in bodies():
            content = read(line)
            self.assertEqual(table.to_numbered(content), line.numbered, line.name)
            beside = {"im.content": line.beside} if line.beside else {}
            self.assertEqual(extras.pack_extra({}, b"", b"", content), beside, line.name)
            self.assertEqual(json.loads(table.to_json(content)), line.json, line.name)
            value, kind = write_content(content)
            self.assertEqual((json.loads(kind), json.loads(value)), line.typed, line.name)
            self.assertEqual(table.to_plain(content), line.plain, line.name)

    def test_other_ways_to_say_it(self) -> None:
        for variation in variations():
            if variation.format == "001":
                content = table.from_numbered(*variation.sent)
            elif variation.format == "002":
                content = read_content(variation.sent[1], variation.sent[0])
            else:
                content = table.from_json(variation.sent)
            self.assertEqual(json.loads(table.to_json(content)), variation.json, variation)

    def test_all_forms_and_named_kinds_are_in_it(self) -> None:
        lines = bodies()
        forms = {read(line).form for line in lines}
        self.assertEqual(forms, set(type(next(iter(forms)))))
        self.assertLessEqual({0, 1, 2, 3, 4, 5, 100}, {line.numbered[0] for line in lines})
        kinds = {line.json["type"] for line in lines}
        self.assertLessEqual({"text", "emoji", "markup", "custom", "voice", "command", "file-ref"}, kinds)
