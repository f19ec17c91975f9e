"""The bound that pages are cut by holds for what the formats really write."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.common.page_bytes import page_bytes
from imserver.backends.embedded.records import MessageRecord, message_of
from imserver.model.messages import Content, InboxRow
from imserver.wire.content import from_json
from imserver.wire.jsonline.pushes import item
from imserver.wire.protobuf.encoding import push_row

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
contents = st.one_of(
    st.builds(lambda text: from_json({"type": "text", "text": text}), words),
    st.builds(lambda text: from_json({"type": "emoji", "text": text}), words),
    st.builds(lambda text: from_json({"type": "text", "text": 20 * text, "lang": text}), words),
    st.builds(
        lambda data: from_json({"type": "custom", "message_type": 7, "data": data}),
        st.sampled_from(["", "AA==", "AAECAwQFBgcICQ=="]),
    ),
)
texts = st.tuples(words, words, words, words)


class PageBytesTests(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(contents, texts, st.dictionaries(words, words, max_size=3), st.booleans())
    def test_no_format_writes_more(
        self, content: Content, strings: tuple[str, str, str, str], extra: dict[str, str], in_group: bool
    ) -> None:
        sender, other, name, client_id = strings
        record = MessageRecord(
            "0" * 28, 1, 2**40, name, sender, "" if in_group else other, other if in_group else "",
            [1, 1], client_id, "f", b"", content.form, content.number, content.data, 2.0**33, 2.0**33,
            extra, b'[{"file_id":"f"}]', b'{"reply_to":"m"}', [],
        )  # fmt: skip
        row = InboxRow(2**40, message_of(record, 1))
        self.assertLessEqual(len(item(row)), page_bytes(row.message))
        self.assertLessEqual(push_row(row).ByteSize(), page_bytes(row.message))
