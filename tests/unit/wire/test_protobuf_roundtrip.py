"""Document 001: whatever one role writes, the other reads."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import Disconnect, Hello, HelloReply, LoggedIn, LogIn, Ping, Pong
from imserver.model.ids import group_name, single_name
from imserver.model.messages import (
    AckMessages,
    Content,
    Form,
    InboxPage,
    InboxRow,
    MarkRead,
    Message,
    MessageAccepted,
    MessageRevoked,
    MessagesRead,
    Revocation,
    RevokeMessage,
    SendMessage,
    SetTyping,
    SyncInbox,
    TypingChanged,
)
from imserver.model.presence import ListPresence, PresenceChanged, PresenceList, PresenceState, UserPresence
from imserver.wire.content import from_numbered
from imserver.wire.extras import RESERVED_KEYS
from imserver.wire.protobuf import ProtobufClientCodec, ProtobufServerCodec
from imserver.wire.protobuf.encoding import from_client_ms, to_ms
from tests.clients import protobuf_client as by_hand

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = texts.filter(bool)
times = st.integers(0, 253_402_300_799_999).map(lambda milliseconds: milliseconds / 1000)
seqs = st.integers(1, 2**53 - 1)
contents = (
    st.builds(lambda text: from_numbered(1, text.encode()), texts)
    | st.builds(
        lambda number, data: Content(Form.OPAQUE, data, number),
        st.integers(-(2**31), 2**31 - 1).filter(lambda number: number not in (1, 100)),
        st.binary(max_size=40),
    )
    | st.sampled_from(
        [b'{"type":"emoji","id":7}', b'{"type":"x","y":[1,{"z":null}]}', b'{"type":"text","text":"a","b":1}']
    ).map(lambda data: Content(Form.JSON, data, 0))
)
extras = st.dictionaries(texts.filter(lambda key: key not in {*RESERVED_KEYS, "revoked"}), texts, max_size=3)
attachments = st.sampled_from([b"", b'[{"file_id":"f","size":2}]'])
metas = st.sampled_from([b"", b'{"reply_to":"m"}'])
states = st.sampled_from(PresenceState)

targets = names.map(lambda user: {"recipient": user}) | names.map(lambda group: {"group": group})
commands = st.one_of(
    st.builds(Hello, texts, texts, texts, texts, texts, extras),
    st.just(Disconnect()),
    st.builds(LogIn, user=texts, token=names, platform=texts),
    st.builds(Ping, times),
    st.builds(
        lambda target, **fields: SendMessage(**target, **fields),
        targets,
        content=contents,
        conversation=texts,
        client_id=texts,
        sent_at=times,
        extra=extras,
        attachments=attachments,
        meta=metas,
    ),
    st.builds(AckMessages, seqs, texts),
    st.builds(SyncInbox, seqs, seqs, st.integers(1, 500)),
    st.builds(MarkRead, st.lists(texts, max_size=5).map(tuple), texts),
    st.builds(RevokeMessage, texts, texts),
    st.builds(SetTyping, st.booleans(), names),
    st.builds(ListPresence, st.lists(texts, max_size=5).map(tuple)),
)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    sender, other, group = draw(names), draw(names), draw(st.booleans())
    content = draw(contents)
    revoked = draw(st.none() | st.builds(Revocation, names, times))
    if revoked is not None:
        content = Content(Form.TEXT, b"", 1)
    return Message(
        message_id=draw(texts),
        conversation=draw(texts),
        canonical=group_name(other) if group else single_name(sender, other),
        position=0,
        sender=sender,
        recipient="" if group else other,
        group=other if group else "",
        client_id=draw(texts),
        content=content,
        sent_at=draw(times),
        server_at=draw(times),
        extra={} if revoked else draw(extras),
        attachments=b"" if revoked else draw(attachments),
        meta=b"" if revoked else draw(metas),
        revoked=revoked,
    )


rows = st.builds(InboxRow, seqs, messages())
pages = st.builds(InboxPage, st.lists(rows, max_size=4), seqs, seqs, st.booleans(), texts)
presences = st.builds(UserPresence, texts, states, times)
events = st.one_of(
    st.builds(lambda i, c, by, at: MessageRevoked(i, c, c, by, at), texts, texts, texts, times),
    st.builds(
        lambda ids, c, reader, at: MessagesRead(tuple(ids), c, c, reader, at),
        st.lists(texts, max_size=4),
        texts,
        texts,
        times,
    ),
    st.builds(TypingChanged, texts, texts, st.booleans()),
    st.builds(PresenceChanged, texts, states, times),
)


class RoundTripTests(SynchronousTestCase):
    """Both codecs against each other."""

    def codecs(self) -> tuple[ProtobufClientCodec, ProtobufServerCodec]:
        return ProtobufClientCodec(lambda: 1.5), ProtobufServerCodec(lambda: 2.5)

    @given(commands, st.integers(0, 2**32 - 1))
    def test_commands(self, command: Any, sequence: int) -> None:
        client, server = self.codecs()
        request = server.decode(client.request(command, sequence))
        self.assertEqual((request.command, request.tag.sequence), (command, sequence))

    def answer(self, command: Any, reply: Any) -> Any:
        client, server = self.codecs()
        request = server.decode(client.request(command, 7))
        sequence, answer = client.decode(server.reply(request, reply)[0])
        self.assertEqual(sequence, 7)
        return answer

    @given(texts, times)
    def test_hello(self, session: str, at: float) -> None:
        self.assertEqual(self.answer(Hello(), HelloReply(session, at)), HelloReply(session, at))

    @given(times)
    def test_pong(self, at: float) -> None:
        self.assertEqual(self.answer(Ping(), Pong(at)), Pong(at))

    @given(names, seqs, texts)
    def test_logged_in(self, user: str, head: int, epoch: str) -> None:
        reply = LoggedIn(user, "", "", 0, head, 1, epoch)
        self.assertEqual(self.answer(LogIn(user=user, token="t"), reply), reply)

    @given(texts, seqs, times)
    def test_accepted(self, message_id: str, seq: int, at: float) -> None:
        reply = MessageAccepted(message_id, "", seq, at)
        command = SendMessage(Content(Form.TEXT, b"x"), recipient="bob")
        self.assertEqual(self.answer(command, reply), reply)

    @given(pages)
    def test_page(self, page: InboxPage) -> None:
        self.assertEqual(self.answer(SyncInbox(), page), page)

    @given(st.lists(presences, max_size=4))
    def test_presence(self, users: list[UserPresence]) -> None:
        self.assertEqual(self.answer(ListPresence(), PresenceList(users)), PresenceList(users))

    @given(events)
    def test_events(self, event: Any) -> None:
        client, server = self.codecs()
        (frame,) = server.event(event)
        self.assertEqual(client.decode(frame), (None, event))

    @given(rows)
    def test_pushes(self, row: InboxRow) -> None:
        client, server = self.codecs()
        frame = server.splice(server.shared(row.message), row.seq)
        self.assertEqual(client.decode(frame), (None, row))

    @given(rows)
    def test_spliced_bytes_read_by_hand(self, row: InboxRow) -> None:
        _, server = self.codecs()
        number, sequence, body, timestamp = by_hand.decode_envelope(
            server.splice(server.shared(row.message), row.seq)
        )
        self.assertEqual((number, sequence, timestamp), (202, 0, 2500))
        push = by_hand.decode("PUSH_MSG", body)
        self.assertEqual((push["seq"], push["sender_id"]), (row.seq, row.message.sender))
        self.assertEqual(push["server_time"], to_ms(row.message.server_at))

    @given(st.lists(rows, min_size=1, max_size=4))
    def test_batches(self, batch: list[InboxRow]) -> None:
        client, server = self.codecs()
        server.decode(client.request(Hello(extra={"batch": "1"}), 1))
        (frame,) = server.backlog(InboxPage(batch, batch[-1].seq, 1, False, "e"))
        self.assertEqual(client.decode(frame)[1].rows, batch)


class TimeTests(SynchronousTestCase):
    """Milliseconds outside, float seconds inside."""

    @given(st.integers(1, 253_402_300_799_999))
    def test_every_millisecond_survives(self, milliseconds: int) -> None:
        self.assertEqual(to_ms(from_client_ms(milliseconds)), milliseconds)

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_any_float_fits_the_field(self, seconds: float) -> None:
        self.assertTrue(0 <= to_ms(seconds) <= 253_402_300_799_999)
