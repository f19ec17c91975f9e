"""One body, every format: nothing is lost or changed on the way."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Content, Form
from imserver.wire import content as table
from imserver.wire import extras

numbers = st.integers(-(2**31), 2**31 - 1)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
typed_objects = st.builds(
    lambda kind, fields: {**fields, **({"text": "a"} if kind == "text" else {}), "type": kind},
    st.sampled_from(["text", "custom", "emoji", "file-ref"]) | keys,
    st.dictionaries(
        st.sampled_from(["text", "message_type", "data", "name"]) | keys, json_values, max_size=4
    ),
)


def over_001(content: Content) -> Content:
    """A body after a journey by document 001."""
    number, data = table.to_numbered(content)
    packed = extras.pack_extra({}, b"", b"", content)
    return extras.unpack_extra(packed, table.from_numbered(number, data))[3]


class JsonTests(SynchronousTestCase):
    """The JSON formats' `content`."""

    def test_text(self) -> None:
        content = table.from_json({"type": "text", "text": "你好"})
        self.assertEqual(content, Content(Form.TEXT, "你好".encode(), 1))
        self.assertEqual(table.to_json(content), '{"type":"text","text":"你好"}'.encode())

    def test_a_text_with_more_in_it_is_kept_whole(self) -> None:
        value = {"type": "text", "text": "a", "font": "b"}
        content = table.from_json(value)
        self.assertEqual((content.form, json.loads(content.data)), (Form.JSON, value))

    def test_opaque(self) -> None:
        content = Content(Form.OPAQUE, b"\x00\xff", 3)
        self.assertEqual(table.to_json(content), b'{"type":"custom","message_type":3,"data":"AP8="}')
        self.assertEqual(table.from_json(json.loads(table.to_json(content))), content)

    def test_custom_that_is_not_the_opaque_shape_stays_json(self) -> None:
        data = base64.b64encode(b"x").decode()
        values: tuple[Any, ...] = (
            {"type": "custom", "message_type": 3},
            {"type": "custom", "message_type": 3, "data": data, "more": 1},
            {"type": "custom", "message_type": "3", "data": data},
            {"type": "custom", "message_type": True, "data": data},
            {"type": "custom", "message_type": 2**31, "data": data},
            {"type": "custom", "message_type": 3, "data": "eA"},
            {"type": "custom", "message_type": 3, "data": "eB=="},
            {"type": "custom", "message_type": 3, "data": "é"},
            {"type": "custom", "message_type": 1, "data": data},
            {"type": "custom", "message_type": 100, "data": base64.b64encode(b'{"type":"a"}').decode()},
        )
        for value in values:
            content = table.from_json(value)
            self.assertEqual((content.form, content.number), (Form.JSON, 0), value)
            self.assertEqual(json.loads(table.to_json(content)), value)

    def test_refused(self) -> None:
        nested: Any = "x"
        for _ in range(100_000):
            nested = [nested]
        values: tuple[Any, ...] = (
            None,
            "text",
            [],
            {},
            {"text": "a"},
            {"type": ""},
            {"type": 1},
            {"type": "text"},
            {"type": "text", "text": 5},
            {"type": "text", "text": "\ud800"},
            {"type": "emoji", "a": "\udfff"},
            {"type": "emoji", "\ud800": 1},
            {"type": "\ud800"},
            {"type": "emoji", "a": nested},
            {"type": "emoji", "a": -(2**63) - 1},
            {"type": "emoji", "a": [2**64]},
        )
        for value in values:
            with self.assertRaises(ImError) as caught:
                table.from_json(value)
            self.assertEqual(caught.exception.code, ErrorCode.BAD_REQUEST)

    def test_revoked_bodies_are_still_objects(self) -> None:
        for form in Form:
            self.assertIs(type(json.loads(table.to_json(Content(form, b"", 1)))), dict)

    @given(typed_objects)
    def test_unchanged_between_json_formats(self, value: dict[str, Any]) -> None:
        self.assertEqual(json.loads(table.to_json(table.from_json(value))), value)

    @given(typed_objects)
    def test_never_breaks_a_line(self, value: dict[str, Any]) -> None:
        self.assertNotIn(b"\n", table.to_json(table.from_json(value)))

    @given(typed_objects)
    def test_unchanged_over_001(self, value: dict[str, Any]) -> None:
        self.assertEqual(over_001(table.from_json(value)), table.from_json(value))


class NumberedTests(SynchronousTestCase):
    """Document 001's message_type and content."""

    @given(numbers.filter(lambda number: number not in (1, 100)), st.binary())
    def test_opaque_unchanged_over_json(self, number: int, data: bytes) -> None:
        content = table.from_numbered(number, data)
        self.assertEqual(table.to_numbered(content), (number, data))
        self.assertEqual(table.from_json(json.loads(table.to_json(content))), content)

    @given(
        st.sampled_from([1, 100]), st.binary() | typed_objects.map(lambda value: json.dumps(value).encode())
    )
    def test_text_and_json_unchanged_over_json(self, number: int, data: bytes) -> None:
        try:
            content = table.from_numbered(number, data)
        except ImError:
            self.assertEqual(number, 1)
            self.assertRaises(UnicodeDecodeError, data.decode)
            return
        self.assertEqual(table.from_json(json.loads(table.to_json(content))), content)
        self.assertEqual(over_001(content), content)

    def test_one_form_per_body(self) -> None:
        """What another row of the table writes is read into that row."""
        self.assertEqual(table.from_numbered(100, b'{"type":"text","text":"a"}'), Content(Form.TEXT, b"a", 1))
        none = b'{"type":"text","text":5}'
        opaque = table.from_numbered(100, none)
        self.assertEqual(opaque, Content(Form.OPAQUE, none, 100))
        self.assertEqual(table.from_json(json.loads(table.to_json(opaque))), opaque)
        self.assertEqual(
            table.from_numbered(100, b'{"type":"custom","message_type":4,"data":"AA=="}'),
            Content(Form.OPAQUE, b"\x00", 4),
        )


class PlainTests(SynchronousTestCase):
    """What a format without types shows."""

    def test_kinds(self) -> None:
        for content, plain in (
            (Content(Form.TEXT, "你".encode(), 1), "你"),
            (Content(Form.JSON, b'{"type":"emoji"}', 0), "[emoji]"),
            (Content(Form.JSON, b'{"type":"markup","text":"hi"}', 0), "[markup] hi"),
            (Content(Form.JSON, b'{"type":"file-ref","text":"t","name":"a.png"}', 0), "[file-ref] a.png"),
            (Content(Form.JSON, b'{"type":"odd","name":7}', 0), "[odd]"),
            (Content(Form.OPAQUE, b"\xff", 2), "[image]"),
            (Content(Form.OPAQUE, b'{"name":"song.ogg","size":3}', 3), "[voice] song.ogg"),
            (Content(Form.OPAQUE, b"", 4), "[video]"),
            (Content(Form.OPAQUE, b"[]", 5), "[file]"),
            (Content(Form.OPAQUE, b"", 0), "[custom]"),
            (Content(Form.JSON, b"", 0), "[custom]"),
            (Content(Form.JSON, b'{"type":"text","text":"","lang":"en"}', 0), ""),
            (Content(Form.JSON, b'{"type":"markup","kind":"text"}', 0), "[markup]"),
        ):
            self.assertEqual(table.to_plain(content), plain)


class BesideTests(SynchronousTestCase):
    """Extra, attachments and meta."""

    def refused(self, function: Any, value: Any) -> None:
        with self.assertRaises(ImError) as caught:
            function(value)
        self.assertEqual(caught.exception.code, ErrorCode.BAD_REQUEST)

    def test_extra(self) -> None:
        self.assertEqual(extras.extra_from_json(None), {})
        self.assertEqual(extras.extra_from_json({"a": "b"}), {"a": "b"})
        values: tuple[Any, ...] = (
            [],
            "a",
            {"a": 1},
            {"a": None},
            {"a": "\ud800"},
            {"im.meta": "{}"},
            {"im.attachments": ""},
            {"im.content": ""},
            {"revoked": "1"},
        )
        for value in values:
            self.refused(extras.extra_from_json, value)

    def test_attachments(self) -> None:
        self.assertEqual(extras.attachments_from_json(None), b"")
        self.assertEqual(extras.attachments_from_json([]), b"")
        self.assertEqual(extras.attachments_from_json([{"size": 1}]), b'[{"size":1}]')
        values: tuple[Any, ...] = ({}, "a", [1], [[]], [{"a": "\ud800"}])
        for value in values:
            self.refused(extras.attachments_from_json, value)

    def test_meta(self) -> None:
        self.assertEqual(extras.meta_from_json(None), b"")
        self.assertEqual(extras.meta_from_json({}), b"")
        self.assertEqual(extras.meta_from_json({"a": [1]}), b'{"a":[1]}')
        values: tuple[Any, ...] = ([], "a", [{}], {"a": "\ud800"})
        for value in values:
            self.refused(extras.meta_from_json, value)

    texts = st.text(st.characters(exclude_categories=["Cs"]))
    objects = st.dictionaries(texts, json_values, max_size=3)

    @given(
        st.dictionaries(
            texts.filter(lambda key: key not in {*extras.RESERVED_KEYS, extras.REVOKED_KEY}),
            texts,
            max_size=3,
        ),
        st.lists(objects, max_size=3),
        objects,
    )
    def test_unchanged_over_001(self, extra: dict[str, str], attachments: list[Any], meta: Any) -> None:
        carried = (
            extra,
            extras.attachments_from_json(attachments),
            extras.meta_from_json(meta),
        )
        plain = Content(Form.TEXT, b"a", 1)
        self.assertEqual(extras.unpack_extra(extras.pack_extra(*carried, plain), plain), (*carried, plain))

    @given(
        st.dictionaries(
            st.sampled_from([*extras.RESERVED_KEYS, "k"]),
            texts | st.sampled_from(["[]", "{}", "[{}]", '{"type":"text","text":"a","b":1}']),
        ),
        st.sampled_from([(1, b"a"), (1, b""), (2, b"a"), (100, b'{"type":"emoji"}')]),
    )
    def test_001s_map_unchanged_over_the_model(
        self, packed: dict[str, str], numbered: tuple[int, bytes]
    ) -> None:
        read = extras.unpack_extra(packed, table.from_numbered(*numbered))
        self.assertEqual(extras.pack_extra(*read), packed)
        self.assertEqual(table.to_numbered(read[3]), numbered)

    def test_a_text_with_members_is_a_text_there(self) -> None:
        whole = '{"type":"text","text":"hi","mentions":["bob"]}'
        content = table.from_json(json.loads(whole))
        self.assertEqual(table.to_numbered(content), (1, b"hi"))
        self.assertEqual(extras.pack_extra({}, b"", b"", content), {"im.content": whole})
        read = table.from_numbered(1, b"hi")
        self.assertEqual(
            extras.unpack_extra({"im.content": whole, "k": "v"}, read), ({"k": "v"}, b"", b"", content)
        )

    def test_a_whole_text_that_is_none_stays_an_entry(self) -> None:
        text = table.from_numbered(1, b"hi")
        for value in (
            "",
            "{",
            "[]",
            '{"type":"text"}',
            '{"type":"text","text":"hi"}',
            '{"type":"text","text":"ho","b":1}',
            '{"type":"markup","text":"hi","b":1}',
            '{"type":"text","text":"\\ud800","b":1}',
        ):
            packed = {"im.content": value}
            self.assertEqual(extras.unpack_extra(packed, text), (packed, b"", b"", text), value)


FILE_ID = "f-" + "0123456789abcdef" * 2


class FileTests(SynchronousTestCase):
    """References to files that this server keeps."""

    def test_every_number_has_one_shape(self) -> None:
        for number in (2, 3, 4, 5):
            data = b'{"file_id":"%b","name":"a","width":7}' % FILE_ID.encode()
            content = table.from_numbered(number, data)
            self.assertEqual(content, Content(Form.OPAQUE, data, number))
            written = json.loads(table.to_json(content))
            self.assertEqual(
                written,
                {"type": "file-ref", "message_type": number, "file_id": FILE_ID, "name": "a", "width": 7},
            )
            self.assertEqual(table.from_json(written), content)
            self.assertEqual(table.to_numbered(content), (number, data))

    def test_what_is_no_reference_stays_what_it_is(self) -> None:
        for number, data in (
            (1, b'{"file_id":"%b"}' % FILE_ID.encode()),
            (6, b'{"file_id":"%b"}' % FILE_ID.encode()),
            (5, b'{"file_id":"f1"}'),
            (5, b'{"file_id":5}'),
            (5, b'{"file_id":"%b","type":"x"}' % FILE_ID.encode()),
            (5, b'{"file_id":"%b","n":100000000000000000000000}' % FILE_ID.encode()),
            (5, b'[{"file_id":"%b"}]' % FILE_ID.encode()),
        ):
            content = table.from_numbered(number, data)
            self.assertEqual(table.file_fields(content), b"", data)
            self.assertEqual(content.data, data)
            written = table.to_json(content)
            self.assertEqual(table.from_json(json.loads(written)), content, written)
        for value in (
            {"type": "file-ref", "file_id": "f1"},
            {"type": "file-ref", "file_id": FILE_ID, "message_type": 6},
            {"type": "file-ref", "file_id": FILE_ID, "message_type": True},
            {
                "type": "custom",
                "message_type": 5,
                "data": base64.b64encode(b'{"file_id":"%b"}' % FILE_ID.encode()).decode(),
            },
        ):
            content = table.from_json(value)
            self.assertEqual(content.form, Form.JSON)
            self.assertEqual(json.loads(table.to_json(content)), value)

    @given(
        st.sampled_from([2, 3, 4, 5]),
        st.dictionaries(
            keys.filter(lambda key: key not in ("type", "message_type")), json_values, max_size=4
        ),
    )
    def test_any_further_members_travel_with_it(self, number: int, more: dict[str, Any]) -> None:
        value = {"type": "file-ref", "message_type": number, **more, "file_id": FILE_ID}
        content = table.from_json(value)
        self.assertEqual((content.form, content.number), (Form.OPAQUE, number))
        self.assertEqual(json.loads(table.to_json(content)), value)
        self.assertEqual(over_001(content), content)
        self.assertEqual(table.from_json(json.loads(table.to_json(content))), content)
