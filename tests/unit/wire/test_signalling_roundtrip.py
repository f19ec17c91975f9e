"""Whatever one role of document 002 writes, the other reads as the same thing, in JSON and in MessagePack."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import KickReason, LoggedIn, LogIn, Pong, SessionKicked
from imserver.model.call_records import CallMissed
from imserver.model.calls import (
    AnswerCall,
    CallAnswered,
    CallEnded,
    CallIncoming,
    CallSignal,
    CallStopped,
    EndCall,
    Ending,
    Signal,
    SignalCall,
    StartCall,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.model.friends import FriendChange, FriendChanged
from imserver.model.groups import GroupChange, GroupChanged
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
    MessagePage,
    MessageRevoked,
    MessageRevokedReply,
    MessagesMarked,
    MessagesRead,
    ReadHistory,
    Revocation,
    RevokeMessage,
    SendMessage,
    SetTyping,
    TypingChanged,
)
from imserver.model.presence import (
    ListPresence,
    PresenceChanged,
    PresenceList,
    PresenceState,
    SetPresence,
    UserPresence,
)
from imserver.wire import content as contents
from imserver.wire import extras as beside
from imserver.wire.base import Request
from imserver.wire.signalling import SignallingClientCodec, SignallingServerCodec
from imserver.wire.signalling.call_details import ANSWER_OWNED, END_OWNED, OFFER_OWNED, call_text
from tests.clients import msgpack

NOON = 1759838400.0
OWNED = OFFER_OWNED | ANSWER_OWNED | END_OWNED | {"ice_candidate", "ice_candidates", "network_stats"}

characters = st.characters(codec="utf-8")
word = st.text(characters, min_size=1, max_size=40)
user = word | st.integers(0, 2**54).map(str)
group = user.filter(lambda value: not value.startswith("group_"))
number = st.integers(1, 2**53 - 1)
seconds = st.integers(1, 253402300799).map(float)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(characters, max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(characters, max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.text(characters, max_size=8), json_values, max_size=4)
bodies: st.SearchStrategy[Content] = st.one_of(
    st.text(characters, max_size=60).map(lambda text: Content(Form.TEXT, text.encode())),
    st.builds(
        lambda value, kind: contents.from_json(
            {**value, **({"text": "a"} if kind == "text" else {}), "type": kind}
        ),
        objects,
        word | st.just("text"),
    ),
    st.builds(contents.from_numbered, st.integers(-(2**31), 2**31 - 1).filter(lambda n: n != 1), st.binary()),
)
attachments = st.lists(objects, max_size=3).map(beside.attachments_from_json)
metas = st.builds(
    lambda value, named: beside.meta_from_json({**value, **({"reply_to": named} if named else {})}),
    objects.map(lambda value: {k: v for k, v in value.items() if k not in ("reply_to", "priority")}),
    st.none() | word,
)
extras = st.dictionaries(word, st.text(characters, max_size=20), max_size=3).filter(
    lambda value: {*beside.RESERVED_KEYS, beside.REVOKED_KEY}.isdisjoint(value)
)
places: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(dict, conversation=word), st.builds(dict, recipient=user), st.builds(dict, group=group)
)
sends = st.builds(
    lambda place, **fields: SendMessage(**place, **fields),
    places,
    content=bodies,
    client_id=st.text(characters, max_size=60),
    sent_at=st.just(0.0) | seconds,
    extra=extras,
    attachments=attachments,
    meta=metas,
)
call_ids = st.one_of(
    st.integers(0, 2**53 - 1).map(call_text),
    st.text(characters, min_size=1, max_size=30)
    .filter(lambda value: value.isprintable() and value[0] != '"')
    .map(call_text),
)
descriptions = st.builds(
    lambda sdp, more: {"sdp": f"v=0{sdp}", **{k: v for k, v in more.items() if k not in OWNED}},
    st.text(characters, max_size=40),
    objects,
)


def json_detail(value: dict[str, Any]) -> bytes:
    """A detail as the codec writes it."""
    return contents.compact_json(value, "a detail") if value else b""


def _offer(callee: str, video: bool, call: str, detail: dict[str, Any]) -> StartCall:
    told = {"call_type": "video" if video else "audio", **detail}
    return StartCall(callee, video, call, json_detail(told))


answers = descriptions.map(json_detail)
own_fields = objects.map(lambda value: {k: v for k, v in value.items() if k not in OWNED})
details = own_fields.map(json_detail)
call_commands: st.SearchStrategy[Any] = st.one_of(
    st.builds(_offer, user, st.booleans(), st.just("") | call_ids, descriptions),
    st.builds(AnswerCall, call_ids, answers),
    st.builds(EndCall, st.just("") | call_ids, st.just("") | word, details),
    st.builds(
        lambda call, more: SignalCall(call, Signal.ICE, json_detail({"ice_candidate": None, **more})),
        call_ids,
        own_fields,
    ),
    st.builds(
        lambda call, more: SignalCall(call, Signal.STATUS, json_detail({"status": "connected", **more})),
        call_ids,
        own_fields,
    ),
    st.builds(
        lambda call, more: SignalCall(call, Signal.ERROR, json_detail({"error_code": "MEDIA_ERROR", **more})),
        call_ids,
        own_fields,
    ),
)
commands: st.SearchStrategy[Any] = st.one_of(
    sends,
    call_commands,
    st.builds(AckMessages, seq=number),
    st.builds(AckMessages, message_id=word),
    st.builds(MarkRead, st.lists(word, min_size=1, max_size=5).map(tuple), st.just("") | word),
    st.builds(RevokeMessage, word, st.just("") | word),
    st.builds(
        lambda place, since, limit: ReadHistory(since=since, limit=limit, **place),
        places | st.just({}),
        st.just("") | word,
        st.integers(0, 2**53 - 1),
    ),
    st.builds(lambda place, typing: SetTyping(typing, **place), places, st.booleans()),
    st.builds(SetPresence, st.sampled_from([PresenceState.ONLINE, PresenceState.AWAY, PresenceState.BUSY])),
    st.builds(ListPresence, st.lists(user, max_size=4).map(tuple)),
)
tags = st.none() | st.text(characters, min_size=1, max_size=60) | st.integers(0, 2**53 - 1)
revocations = st.builds(Revocation, user, seconds)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Messages as a client reads them back."""
    sender, kind = draw(user), draw(st.sampled_from(["single", "group", "broadcast"]))
    recipient = draw(user) if kind == "single" else ""
    to_group = draw(group) if kind == "group" else ""
    canonical = "broadcast"
    if recipient:
        canonical = single_name(sender, recipient)
    elif to_group:
        canonical = group_name(to_group)
    at = draw(seconds)
    message = Message(
        message_id=draw(word),
        conversation=draw(word),
        canonical=canonical,
        position=0,
        sender=sender,
        recipient=recipient,
        group=to_group,
        client_id=draw(st.just("") | word),
        content=draw(bodies),
        sent_at=at,
        server_at=at,
        extra=draw(extras),
        attachments=draw(attachments),
        meta=draw(metas),
    )
    if draw(st.integers(0, 4)) == 0:
        empty = Content(Form.TEXT, b"")
        return replace(message, content=empty, extra={}, attachments=b"", meta=b"", revoked=draw(revocations))
    return message


presences = st.builds(UserPresence, user, st.sampled_from(PresenceState), st.just(0.0) | seconds)
events: st.SearchStrategy[Any] = st.one_of(
    st.builds(MessageRevoked, word, word, st.just(""), user, seconds),
    st.builds(MessagesRead, st.lists(word, max_size=3).map(tuple), word, st.just(""), user, seconds),
    st.builds(TypingChanged, word, user, st.booleans()),
    st.builds(PresenceChanged, user, st.sampled_from(PresenceState), st.just(0.0) | seconds),
    st.builds(GroupChanged, st.sampled_from(GroupChange), group, user, user, seconds),
    st.builds(FriendChanged, st.sampled_from(FriendChange), user, user, seconds, st.integers(0, 2**53 - 1)),
    st.builds(
        SessionKicked,
        st.sampled_from(KickReason),
        st.text(characters, max_size=20),
        st.just(0.0) | st.integers(1, 10**7).map(lambda milliseconds: milliseconds / 1000),
    ),
    st.builds(CallIncoming, call_ids, user, user, st.booleans(), seconds, details),
    st.builds(
        CallSignal, call_ids, st.sampled_from([Signal.ICE, Signal.STATUS, Signal.ERROR]), user, user, details
    ),
    st.builds(CallStopped, call_ids, user, user, seconds),
    st.builds(CallMissed, call_ids, user, user, st.booleans(), seconds, seconds),
)


def codecs(binary: bool) -> tuple[SignallingServerCodec, SignallingClientCodec]:
    """Both roles."""
    server = SignallingServerCodec(lambda: NOON, binary=binary)
    server.reply(Request(LogIn(token="t"), None), LoggedIn("me", "", "", 0, 0, 0, "e"))
    return server, SignallingClientCodec(binary=binary)


class RoundTrips(SynchronousTestCase):
    @given(commands, tags, st.booleans())
    def test_commands(self, command: Any, tag: Any, binary: bool) -> None:
        server, client = codecs(binary)
        self.assertEqual(server.decode(client.request(command, tag)).command, command)

    @given(sends, tags, st.booleans(), number, seconds)
    def test_sends_are_answered(
        self, command: SendMessage, tag: Any, binary: bool, seq: int, at: float
    ) -> None:
        server, client = codecs(binary)
        request = server.decode(client.request(command, tag))
        reply = MessageAccepted("m", "c", seq, at)
        (frame,) = server.reply(request, reply)
        self.assertEqual(client.decode(frame), (tag, reply))
        (frame,) = server.refusal(request.tag, ImError(ErrorCode.TOO_FAST, "slow down"), command)
        told, error = client.decode(frame)
        self.assertEqual((told, error.code, error.text), (tag, ErrorCode.TOO_FAST, "slow down"))

    @given(messages(), number, st.booleans())
    def test_pushes(self, message: Message, seq: int, binary: bool) -> None:
        server, client = codecs(binary)
        frame = server.splice(server.shared(message), seq)
        self.assertEqual(client.decode(frame), (None, InboxRow(seq, message)))
        self.assertEqual(server.backlog(InboxPage([InboxRow(seq, message)], seq, 1, False, "e")), [frame])
        if binary:
            self.assertEqual(msgpack.pack(msgpack.unpack(frame)), frame)

    @given(st.lists(messages(), max_size=3), st.text(characters, max_size=9), st.booleans(), st.booleans())
    def test_history(self, some: list[Message], cursor: str, more: bool, binary: bool) -> None:
        server, client = codecs(binary)
        request = server.decode(client.request(ReadHistory(), "h"))
        page = MessagePage([InboxRow(index, message) for index, message in enumerate(some)], cursor, more)
        (frame,) = server.reply(request, page)
        self.assertEqual(client.decode(frame), ("h", page))

    @given(seconds, st.lists(presences, max_size=3), st.booleans())
    def test_other_answers(self, at: float, users: list[UserPresence], binary: bool) -> None:
        server, client = codecs(binary)
        for command, reply in (
            (RevokeMessage("m", "c"), MessageRevokedReply("m", at)),
            (MarkRead(("m",)), MessagesMarked(at)),
            (ListPresence(), PresenceList(users)),
        ):
            request = server.decode(client.request(command, 7))
            (frame,) = server.reply(request, reply)
            self.assertEqual(client.decode(frame), (7, reply))

    @given(events, st.booleans())
    def test_events(self, event: Any, binary: bool) -> None:
        server, client = codecs(binary)
        (frame,) = server.event(event)
        self.assertEqual(client.decode(frame), (None, event))

    @given(call_ids, user, user, seconds, details, st.booleans())
    def test_answers_to_calls(
        self, call: str, caller: str, callee: str, at: float, detail: bytes, binary: bool
    ) -> None:
        server, client = codecs(binary)
        event = CallAnswered(call, caller, callee, at, detail)
        answer, status = server.event(event)
        self.assertEqual(client.decode(answer), (None, event))
        self.assertEqual(client.decode(status)[1].call, call)

    @given(call_ids, user, st.sampled_from(Ending), st.integers(0, 10_000), st.booleans())
    def test_ends_of_calls(self, call: str, other: str, ending: Ending, length: int, binary: bool) -> None:
        server, client = codecs(binary)
        answered = NOON - length if length else 0.0
        (frame,) = server.event(CallEnded(call, "me", other, ending, NOON - 20_000, NOON, answered))
        _, ended = client.decode(frame)
        self.assertEqual((ended.call, ended.ended_at), (call, NOON))
        if ended.by:
            self.assertEqual((ended.by, ended.answered_at, ended.duration), (other, answered, length))

    @given(json_values, st.booleans())
    def test_pings_come_back(self, stamp: Any, binary: bool) -> None:
        server, client = codecs(binary)
        ping = {"type": "ping", "payload": {"timestamp": stamp}, "id": 1}
        frame = msgpack.pack(ping) if binary else contents.compact_json(ping, "a ping")
        (answer,) = server.reply(server.decode(frame), Pong(NOON))
        told = msgpack.unpack(answer) if binary else contents.parse_json(answer)
        self.assertEqual(told["payload"], {"timestamp": stamp})
        self.assertIs(type(client.decode(answer)[1]), Pong)

    @given(st.sampled_from(ErrorCode), st.text(characters, max_size=20))
    def test_errors_keep_their_code(self, code: ErrorCode, text: str) -> None:
        server, client = codecs(False)
        (frame,) = server.refusal(None, ImError(code, text))
        tag, error = client.decode(frame)
        self.assertEqual((tag, error.code, error.text), (None, code, text))
