"""Whatever one role of the dialect chat-app writes, the other reads as the same thing."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import LogIn, Register, RenewToken
from imserver.model.calls import AnswerCall, CallMedia, EndCall, RejectCall, StartCall
from imserver.model.friends import (
    AcceptFriend,
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
)
from imserver.model.group_calls import StartGroupCall
from imserver.model.groups import (
    CreateGroup,
    DeleteGroup,
    GetGroup,
    InviteMember,
    JoinGroup,
    KickMember,
    LeaveGroup,
    ListGroups,
    ListMembers,
)
from imserver.model.messages import MarkRead, MessagePage, ReadHistory, RevokeMessage, SendMessage
from imserver.protocols.formats import FORMATS, CodecOptions, stream_factory
from imserver.wire.jsonline.chat_app import ChatAppClientCodec, ChatAppServerCodec
from imserver.wire.jsonline.chat_app.pages import ITEM_BYTES
from imserver.wire.jsonline.chat_app.parts import whole_id
from tests.clients import chat_app_client
from tests.unit.protocols.stub import StubHub, doors
from tests.unit.wire.test_jsonline_roundtrip import (
    name,
    number,
    places,
    plain,
    rows,
    seconds,
    sends,
    text,
    word,
)

# An id with ".2" at its end would be a piece of a message.
message_id = word.filter(lambda value: whole_id(value) == value)
call_id = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
request_number = st.integers(1, 2**53 - 1)

commands: st.SearchStrategy[Any] = st.one_of(
    st.builds(LogIn, user=word, password=hashes, hashed=st.just(True), device=st.just("chat-app")),
    st.builds(Register, word, hashes, st.just(True)),
    st.builds(RenewToken, word),
    st.builds(
        lambda place, **fields: ReadHistory(**place, **fields, page_bytes=ITEM_BYTES),
        places(True),
        since=text.filter(lambda value: "~" not in value),
        limit=number,
    ),
    st.builds(MarkRead, st.lists(message_id, min_size=1, max_size=3, unique=True).map(tuple), text),
    st.builds(RevokeMessage, message_id, text),
    st.builds(
        lambda group, title, password, members, encrypted: CreateGroup(
            group, title, not password, password, members, encrypted
        ),
        name,
        text,
        text,
        st.lists(word, max_size=3).map(tuple),
        st.booleans(),
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
    st.builds(AcceptFriend, request=request_number),
    st.builds(AcceptFriend, user=word),
    st.builds(RejectFriend, request=request_number),
    st.builds(DeleteFriend, word),
    st.builds(ListFriends),
    st.builds(StartCall, name, st.just(False), call_id),
    st.builds(StartGroupCall, name, call_id),
    st.builds(AnswerCall, word),
    st.builds(RejectCall, word, text),
    st.builds(EndCall, word, text),
    st.builds(CallMedia, st.binary(max_size=50), word),
)


def codecs() -> tuple[ChatAppServerCodec, ChatAppClientCodec]:
    return ChatAppServerCodec(lambda: 7.0), ChatAppClientCodec()


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
        read = server.decode(client.request(command, command.client_id)).command
        # Nothing depends on the client's clock, and the deployed client's lines have another one.
        self.assertEqual(plain(replace(read, sent_at=command.sent_at)), plain(command))

    @given(rows)
    def test_pushes(self, row: Any) -> None:
        server, client = codecs()
        line = server.splice(server.shared(row.message), row.seq)
        chat_app_client.decode(line)
        self.assertEqual(json.loads(line)["id"], row.message.message_id)
        tag, read = client.decode(line)
        self.assertEqual((tag, read.seq, plain(read.message)), (None, row.seq, plain(row.message)))

    @given(st.lists(rows, max_size=3), text, st.booleans())
    def test_history(self, page: list[Any], cursor: str, more: bool) -> None:
        server, client = codecs()
        request = server.decode(client.request(ReadHistory(), "5"))
        (line,) = server.reply(request, MessagePage(page, cursor, more))
        chat_app_client.decode(line)
        tag, read = client.decode(line)
        self.assertEqual((tag, read.next_cursor, read.has_more), ("5", cursor, more))
        self.assertEqual([row.seq for row in read.rows], [row.seq for row in page])
        self.assertEqual([plain(row.message) for row in read.rows], [plain(row.message) for row in page])

    @given(
        st.lists(st.builds(Friend, word, seconds), max_size=3),
        st.lists(st.builds(FriendRequest, number, word, text, seconds), max_size=3),
        st.builds(FriendReply, word, st.sampled_from(Standing), number),
    )
    def test_friends(
        self, friends: list[Friend], requests: list[FriendRequest], standing: FriendReply
    ) -> None:
        server, client = codecs()
        for command, reply in (
            (ListFriends(), FriendList(friends, requests, requests[:1], [])),
            (RequestFriend("b"), standing),
        ):
            request = server.decode(client.request(command, "t"))
            (line,) = server.reply(request, reply)
            chat_app_client.decode(line)
            self.assertEqual(client.decode(line), ("t", reply))

    @given(st.builds(FriendChanged, st.sampled_from(FriendChange), word, word, seconds, number))
    def test_news_of_friends(self, event: FriendChanged) -> None:
        server, client = codecs()
        (line,) = server.event(event)
        chat_app_client.decode(line)
        self.assertEqual(client.decode(line), (None, event))


class Streams(SynchronousTestCase):
    """The door's lines, wherever they are cut."""

    STREAM = (
        b'{"id":"1","type":"request","command":"voice/event","payload":{}}\n'
        + '{"id":"二","command":"auth/login","payload":{}}\r\n\n'.encode()
        + b'{"id":"3","type":"event","command":"presence/heartbeat","payload":{"seq":1}}\nnonsense\n'
    )

    def answers(self, *pieces: bytes) -> list[tuple[str, str]]:
        """(id, command) of what is answered to pieces of a stream."""
        self.assertIn("jsonline/chat-app", FORMATS)
        clock = Clock()
        shared = doors(StubHub(), clock)
        factory = stream_factory("jsonline/chat-app", shared, CodecOptions(lambda: 7.0))
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        transport = StringTransport()
        protocol.makeConnection(transport)
        for piece in pieces:
            protocol.dataReceived(piece)
            clock.advance(0)
        clock.advance(0)
        found = []
        for line in transport.value().splitlines():
            told = chat_app_client.decode(line)
            found.append((told["id"], told["command"]))
        return found

    def test_every_split_point(self) -> None:
        wanted = [("1", "voice/event"), ("二", "auth/login_ack"), ("", "control/error")]
        self.assertEqual(self.answers(self.STREAM), wanted)
        for point in range(1, len(self.STREAM)):
            self.assertEqual(self.answers(self.STREAM[:point], self.STREAM[point:]), wanted, point)
        self.assertEqual(self.answers(*(bytes([byte]) for byte in self.STREAM)), wanted)
