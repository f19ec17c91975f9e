"""Whatever one role of document 004 writes, the other reads as the same thing."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import LogIn, LogOut, Ping, RefreshTokens, Register
from imserver.model.friends import (
    AcceptFriend,
    BlockedUser,
    BlockUser,
    DeleteFriend,
    Friend,
    FriendChange,
    FriendChanged,
    FriendList,
    FriendReply,
    FriendRequest,
    ListFriends,
    RejectFriend,
    RequestFriend,
    Standing,
    UnblockUser,
)
from imserver.model.groups import (
    CreateGroup,
    DeleteGroup,
    GetGroup,
    Group,
    GroupList,
    GroupMember,
    GroupReply,
    GroupRole,
    InviteMember,
    JoinGroup,
    KickMember,
    LeaveGroup,
    ListGroups,
    ListMembers,
    MemberList,
)
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
    ReadHistory,
    Revocation,
    RevokeMessage,
    SendMessage,
    SetTyping,
)
from imserver.model.presence import ListPresence, PresenceState, SetPresence
from imserver.wire.extras import REVOKED_KEY
from imserver.wire.jsonline import JsonLineClientCodec, JsonLineServerCodec, LineBuffer

text = st.text(st.characters(codec="utf-8"), max_size=40)
word = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
name = word.filter(lambda value: not value.startswith("group_"))
number = st.integers(0, 2**53 - 1)
seconds = st.integers(1, 253402300799).map(float)
device = st.text(st.characters(codec="utf-8"), max_size=60)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(text, json_values, min_size=1, max_size=4)


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def opaque(data: bytes, form_number: int) -> Content:
    return Content(Form.OPAQUE, data, form_number)


def structured(fields: dict[str, Any], kind: str) -> Content:
    return Content(Form.JSON, compact({**fields, "type": kind}), 0)


contents = st.one_of(
    text.map(lambda value: Content(Form.TEXT, value.encode())),
    st.builds(opaque, st.binary(max_size=60), st.integers(2, 99)),
    st.builds(structured, objects, st.sampled_from(["emoji", "markup", "voice", "file-ref", "x y"])),
)
attachments = st.just(b"") | st.lists(objects, min_size=1, max_size=3).map(compact)
metas = st.just(b"") | objects.filter(lambda value: not {"reply_to", "priority"} & value.keys()).map(compact)
extras = st.dictionaries(
    text.filter(lambda key: not key.startswith("im.") and key != REVOKED_KEY), text, max_size=3
)


@st.composite
def places(draw: st.DrawFn, anywhere: bool = False) -> dict[str, str]:
    """Exactly one of conversation, recipient and group; or, if `anywhere`, none."""
    choices = ["conversation", "recipient", "group"] + (["none"] if anywhere else [])
    chosen = draw(st.sampled_from(choices))
    return {} if chosen == "none" else {chosen: draw(name)}


@st.composite
def sends(draw: st.DrawFn) -> SendMessage:
    target = draw(st.sampled_from(["recipient", "group", "broadcast", "none"]))
    return SendMessage(
        content=draw(contents),
        conversation=draw(word) if target == "none" else draw(text),
        recipient=draw(name) if target == "recipient" else "",
        group=draw(name) if target == "group" else "",
        broadcast=target == "broadcast",
        client_id=draw(word),
        sent_at=draw(st.just(0.0) | seconds),
        extra=draw(extras),
        attachments=draw(attachments),
        meta=draw(metas),
    )


commands: st.SearchStrategy[Any] = st.one_of(
    st.builds(LogIn, user=text, token=word, platform=device, device=device),
    st.builds(LogIn, user=word, password=word, platform=device, device=device),
    st.builds(
        LogIn, user=word, password=st.text("0123456789abcdef", min_size=64, max_size=64), hashed=st.just(True)
    ),
    st.builds(Register, user=word, password=word, platform=device),
    st.builds(RefreshTokens, refresh_token=word, request_id=st.just("tag")),
    st.builds(LogOut),
    st.builds(Ping, time=seconds, seq=st.none() | number),
    st.builds(SetPresence, st.sampled_from([PresenceState.ONLINE, PresenceState.AWAY, PresenceState.BUSY])),
    st.builds(ListPresence, st.lists(word, max_size=3).map(tuple)),
    st.builds(AckMessages, seq=st.integers(1, 2**53 - 1)),
    st.builds(AckMessages, message_id=word),
    st.builds(lambda place, **fields: ReadHistory(**place, **fields), places(True), since=text, limit=number),
    st.builds(MarkRead, st.lists(word, min_size=1, max_size=3).map(tuple), text),
    st.builds(RevokeMessage, word, text),
    st.builds(lambda typing, place: SetTyping(typing, **place), st.booleans(), places()),
    st.builds(
        CreateGroup,
        group=st.just("") | name,
        name=text,
        open=st.booleans(),
        password=text,
        members=st.lists(word, max_size=3).map(tuple),
    ),
    st.builds(JoinGroup, name, text),
    st.builds(LeaveGroup, name),
    st.builds(ListGroups),
    st.builds(ListMembers, name),
    st.builds(GetGroup, name),
    st.builds(InviteMember, name, word),
    st.builds(KickMember, name, word),
    st.builds(DeleteGroup, name),
    st.builds(RequestFriend, word, text),
    st.builds(AcceptFriend, word, number),
    st.builds(RejectFriend, text, st.integers(1, 2**53 - 1)),
    st.builds(DeleteFriend, word),
    st.builds(ListFriends),
    st.builds(BlockUser, word),
    st.builds(UnblockUser, word),
)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Messages as far as this format carries them: whole seconds, no position."""
    kind = draw(st.sampled_from(["single", "group", "broadcast"]))
    sender, other = draw(name), draw(name)
    at = draw(seconds)
    revoked = draw(st.none() | st.builds(Revocation, word, seconds))
    return Message(
        message_id=draw(word),
        conversation=draw(word),
        canonical={
            "single": single_name(sender, other),
            "group": group_name(other),
            "broadcast": "broadcast",
        }[kind],
        position=0,
        sender=sender,
        recipient=other if kind == "single" else "",
        group=other if kind == "group" else "",
        client_id=draw(text),
        content=Content(Form.TEXT, b"") if revoked else draw(contents),
        sent_at=at,
        server_at=at,
        extra={} if revoked else draw(extras),
        attachments=b"" if revoked else draw(attachments),
        meta=b"" if revoked else draw(metas),
        revoked=revoked,
    )


rows = st.builds(InboxRow, st.integers(1, 2**53 - 1), messages())
groups = st.builds(Group, name, text, word, st.booleans(), st.booleans(), seconds, number)
members = st.lists(st.builds(GroupMember, word, st.sampled_from(GroupRole), seconds), max_size=4)


def codecs() -> tuple[JsonLineServerCodec, JsonLineClientCodec]:
    return JsonLineServerCodec(lambda: 7.0), JsonLineClientCodec()


def plain(value: Any) -> Any:
    """A struct with its JSON bytes as objects, so that another spelling of a number is no difference."""
    if isinstance(value, Message | SendMessage):
        return {
            **{field: getattr(value, field) for field in value.__struct_fields__},
            "content": plain(value.content),
            "attachments": json.loads(value.attachments or b"null"),
            "meta": json.loads(value.meta or b"null"),
        }
    if isinstance(value, Content) and value.form is Form.JSON:
        return json.loads(value.data)
    if isinstance(value, Content):
        return (value.form, base64.b64encode(value.data), value.number)
    return value


class RoundTrips(SynchronousTestCase):
    @given(commands)
    def test_commands(self, command: Any) -> None:
        server, client = codecs()
        line = client.request(command, "tag")
        self.assertNotIn(b"\n", line)
        self.assertEqual(server.decode(line).command, command)

    @given(sends())
    def test_sends(self, command: SendMessage) -> None:
        server, client = codecs()
        line = client.request(command, command.client_id)
        self.assertNotIn(b"\n", line)
        self.assertEqual(plain(server.decode(line).command), plain(command))

    @given(rows)
    def test_pushes(self, row: InboxRow) -> None:
        server, client = codecs()
        line = server.splice(server.shared(row.message), row.seq)
        self.assertNotIn(b"\n", line)
        self.assertEqual(json.loads(line)["id"], row.message.message_id)
        tag, read = client.decode(line)
        self.assertEqual((tag, read.seq, plain(read.message)), (None, row.seq, plain(row.message)))

    @given(st.lists(rows, max_size=3), number, number, st.booleans(), text)
    def test_backlog(self, page: list[InboxRow], head: int, first: int, more: bool, epoch: str) -> None:
        server, client = codecs()
        (line,) = server.backlog(InboxPage(page, head, first, more, epoch))
        _, read = client.decode(line)
        self.assertEqual((read.head, read.first_seq, read.has_more, read.epoch), (head, first, more, epoch))
        self.assertEqual([plain(row.message) for row in read.rows], [plain(row.message) for row in page])

    @given(st.lists(rows, max_size=3), text, st.booleans())
    def test_history(self, page: list[InboxRow], cursor: str, more: bool) -> None:
        server, client = codecs()
        request = server.decode(client.request(ReadHistory(), 5))
        (line,) = server.reply(request, MessagePage(page, cursor, more))
        tag, read = client.decode(line)
        self.assertEqual((tag, read.next_cursor, read.has_more), (5, cursor, more))
        self.assertEqual([row.seq for row in read.rows], [row.seq for row in page])
        self.assertEqual([plain(row.message) for row in read.rows], [plain(row.message) for row in page])

    @given(word, word, st.integers(0, 2**53 - 1), seconds, st.booleans())
    def test_accepted(self, id: str, conversation: str, seq: int, at: float, pending: bool) -> None:
        server, client = codecs()
        request = server.decode(
            client.request(SendMessage(Content(Form.TEXT, b"x"), recipient="b", client_id=id), id)
        )
        reply = MessageAccepted(id, conversation, seq, at, pending)
        (line,) = server.reply(request, reply)
        self.assertEqual(client.decode(line), (id, reply))

    @given(groups, members)
    def test_groups(self, group: Group, some: list[GroupMember]) -> None:
        server, client = codecs()
        for command, reply in (
            (GetGroup("g"), GroupReply(group)),
            (ListGroups(), GroupList([group])),
            (ListMembers("g"), MemberList(group.group, some)),
        ):
            request = server.decode(client.request(command, "t"))
            (line,) = server.reply(request, reply)
            self.assertEqual(client.decode(line), ("t", reply))

    @given(
        st.lists(st.builds(Friend, word, seconds), max_size=3),
        st.lists(st.builds(FriendRequest, number, word, text, seconds), max_size=3),
        st.lists(st.builds(BlockedUser, word, seconds), max_size=3),
        st.builds(FriendReply, word, st.sampled_from(Standing), number),
    )
    def test_friends(
        self,
        friends: list[Friend],
        requests: list[FriendRequest],
        blocked: list[BlockedUser],
        standing: FriendReply,
    ) -> None:
        server, client = codecs()
        for command, reply in (
            (ListFriends(), FriendList(friends, requests, requests[:1], blocked)),
            (RequestFriend("b"), standing),
        ):
            request = server.decode(client.request(command, "t"))
            (line,) = server.reply(request, reply)
            self.assertEqual(client.decode(line), ("t", reply))

    @given(st.builds(FriendChanged, st.sampled_from(FriendChange), word, word, seconds, number))
    def test_news_of_friends(self, event: FriendChanged) -> None:
        server, client = codecs()
        (line,) = server.event(event)
        self.assertEqual(client.decode(line), (None, event))

    @given(word | st.integers(-(2**53) + 1, 2**53 - 1), json_values)
    def test_ids_and_traces_come_back(self, id: str | int, trace: Any) -> None:
        server, _ = codecs()
        line = {"id": id, "command": "group/list", "headers": {"trace": trace}, "payload": {}}
        request = server.decode(compact(line))
        answer = json.loads(server.reply(request, GroupList([]))[0])
        self.assertEqual(answer["id"], id)
        self.assertIs(type(answer["id"]), type(id))
        self.assertEqual(answer.get("headers", {"trace": None})["trace"], trace)


class Streams(SynchronousTestCase):
    LINES = (
        b'{"id":"1","command":"control/ping"}',
        '{"id":"二","command":"control/ping","payload":{"x":"界"}}'.encode(),
        b'{"id":"3","command":"control/ping"}  ',
    )
    STREAM = LINES[0] + b"\n" + LINES[1] + b"\r\n\n \r\n" + LINES[2] + b"\n" + b"{"

    def test_every_pair_of_split_points(self) -> None:
        size = len(self.STREAM)
        for first in range(size + 1):
            for second in range(first, size + 1, 7):
                buffer = LineBuffer()
                lines = [
                    *buffer.feed(self.STREAM[:first]),
                    *buffer.feed(self.STREAM[first:second]),
                    *buffer.feed(self.STREAM[second:]),
                ]
                self.assertEqual(lines, list(self.LINES), (first, second))

    def test_byte_by_byte(self) -> None:
        buffer = LineBuffer()
        lines = [line for byte in self.STREAM for line in buffer.feed(bytes([byte]))]
        self.assertEqual(lines, list(self.LINES))

    @given(st.lists(st.binary(max_size=12), max_size=12), st.integers(1, 10))
    def test_cutting_does_not_depend_on_the_pieces(self, pieces: list[bytes], limit: int) -> None:
        whole, parted = LineBuffer(limit), LineBuffer(limit)
        expected = whole.feed(b"".join(pieces) + b"\n")
        found = [line for piece in [*pieces, b"\n"] for line in parted.feed(piece)]
        self.assertEqual(found, expected)
        lines = b"".join(pieces).split(b"\n")
        model = [line.removesuffix(b"\r") for line in lines]
        self.assertEqual(
            expected,
            [line if len(line) <= limit else None for line in model if len(line) > limit or line.strip()],
        )
