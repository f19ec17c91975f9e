"""Document 001, frame by frame: model, and the bytes a client or server without our code would write.

The bytes are literal on purpose: they stay what they are whatever happens to
the codec, the schema or the hand-written encoder in tests/clients.
"""

from __future__ import annotations

from typing import Any

from imserver.model.accounts import (
    Disconnect,
    Hello,
    HelloReply,
    KickReason,
    LoggedIn,
    LogIn,
    Ping,
    Pong,
    SessionKicked,
)
from imserver.model.messages import (
    AckMessages,
    Content,
    Done,
    Form,
    InboxPage,
    InboxRow,
    MarkRead,
    Message,
    MessageAccepted,
    MessageRevoked,
    MessageRevokedReply,
    MessagesMarked,
    MessagesRead,
    RevokeMessage,
    SendMessage,
    SetTyping,
    SyncInbox,
    TypingChanged,
)
from imserver.model.presence import (
    ListPresence,
    PresenceChanged,
    PresenceList,
    PresenceState,
    UserPresence,
)

NOW_MS = 1730795220123
NOW = NOW_MS / 1000
TEXT = Content(Form.TEXT, "你好".encode(), 1)

MESSAGE = Message(
    message_id="m-1",
    conversation="single_alice_bob",
    canonical="single_alice_bob",
    position=7,
    sender="alice",
    recipient="bob",
    group="",
    client_id="c-1",
    content=TEXT,
    sent_at=1730795220.0,
    server_at=NOW,
)

_EMPTY = Content(Form.OPAQUE, b"", 0)


def bare(message_id: str) -> Message:
    """A message with nothing but an id (no server sends one: it keeps the vectors readable)."""
    return Message(message_id, "", "", 0, "", "", "", "", _EMPTY, 0.0, 0.0)


REQUESTS: dict[str, tuple[int, Any, str]] = {
    "CONNECT_REQ": (
        1,
        Hello("phone-1", "iOS", "1.0", "2.0", "iPhone", {"batch": "1"}),
        "080110011a2c0a0770686f6e652d311203694f531a03312e302203322e302a066950686f6e65520a0a056261746368120131",
    ),
    "DISCONNECT_REQ": (9, Disconnect(), "08031009"),
    "HEARTBEAT_REQ": (2, Ping(1730795220.0), "080510021a0708a0d8bcdbaf32"),
    "AUTH_REQ": (
        1,
        LogIn(user="user123", token="demo_token_user123", platform="iOS"),
        "086410011a220a0775736572313233121264656d6f5f746f6b656e5f757365723132331a03694f53",
    ),
    "SEND_MSG_REQ": (
        3,
        SendMessage(TEXT, "single_alice_bob", "bob", client_id="c-1", sent_at=1730795220.0, extra={"k": "v"}),
        "08c80110031a350a03632d31121073696e676c655f616c6963655f626f622203626f6230013a06e4bda0e5a5bd"
        "40a0d8bcdbaf3252060a016b120176",
    ),
    "MSG_ACK": (4, AckMessages(300, "m-1"), "08cb0110041a080a036d2d3110ac02"),
    "REVOKE_MSG_REQ": (
        9,
        RevokeMessage("m-1", "single_alice_bob"),
        "08cd0110091a170a036d2d31121073696e676c655f616c6963655f626f62",
    ),
    "SYNC_REQ": (5, SyncInbox(300, 1, 50), "08ac0210051a07080110ac021832"),
    "ONLINE_STATUS_REQ": (
        6,
        ListPresence(("bob", "carol")),
        "08900310061a0c0a03626f620a056361726f6c",
    ),
    "READ_RECEIPT_REQ": (
        7,
        MarkRead(("m-1", "m-2"), "single_alice_bob"),
        "08f40310071a1c0a036d2d310a036d2d32121073696e676c655f616c6963655f626f62",
    ),
    "TYPING_STATUS_REQ": (
        8,
        SetTyping(True, "single_alice_bob"),
        "08d80410081a140a1073696e676c655f616c6963655f626f621001",
    ),
}
"""Name -> (sequence, command, bytes as the client writes them without a timestamp)."""

REAUTH_REQUEST = (
    3,
    LogIn(user="user123", token="t", platform="iOS"),
    "086610031a110a07757365723132331201741a03694f53",
)

SEND_WITH_SENDER = (
    "08c80110031a3c0a03632d31121073696e676c655f616c6963655f626f621a05616c6963652203626f6230013a06"
    "e4bda0e5a5bd40a0d8bcdbaf3252060a016b120176"
)
"""SEND_MSG_REQ as above, with sender_id = alice."""

ANSWERS: dict[str, tuple[str, Any, str]] = {
    "CONNECT_RSP": (
        "CONNECT_REQ",
        HelloReply("s-1", NOW),
        "080210011a0c189bd9bcdbaf322203732d31209bd9bcdbaf32",
    ),
    "DISCONNECT_RSP": ("DISCONNECT_REQ", Done(), "08041009209bd9bcdbaf32"),
    "HEARTBEAT_RSP": ("HEARTBEAT_REQ", Pong(NOW), "080610021a07089bd9bcdbaf32209bd9bcdbaf32"),
    "AUTH_RSP": (
        "AUTH_REQ",
        LoggedIn("user123", "", "", 3600, 41, 1, "e1"),
        "086510011a06182922026531209bd9bcdbaf32",
    ),
    "SEND_MSG_RSP": (
        "SEND_MSG_REQ",
        MessageAccepted("m-1", "single_alice_bob", 42, NOW),
        "08c90110031a0e1a036d2d31202a289bd9bcdbaf32209bd9bcdbaf32",
    ),
    "REVOKE_MSG_RSP": ("REVOKE_MSG_REQ", MessageRevokedReply("m-1", NOW), "08ce011009209bd9bcdbaf32"),
    "SYNC_RSP": (
        "SYNC_REQ",
        InboxPage([InboxRow(301, bare("m-1"))], 301, 1, True, "e1"),
        "08ad0210051a151a080a036d2d3158ad0220ad02280130013a026531209bd9bcdbaf32",
    ),
    "ONLINE_STATUS_RSP": (
        "ONLINE_STATUS_REQ",
        PresenceList(
            [
                UserPresence("bob", PresenceState.ONLINE, NOW),
                UserPresence("carol", PresenceState.OFFLINE, 0.0),
            ]
        ),
        "08910310061a191a0e0a03626f621001189bd9bcdbaf321a070a056361726f6c209bd9bcdbaf32",
    ),
    "READ_RECEIPT_RSP": ("READ_RECEIPT_REQ", MessagesMarked(NOW), "08f5031007209bd9bcdbaf32"),
}
"""Name -> (its request, the reply, bytes)."""

REAUTH_ANSWER = "086710031a06182922026531209bd9bcdbaf32"
AUTH_REFUSED = "086510011a06086412026e6f209bd9bcdbaf32"
"""AUTH_FAILED, "no"."""
UNKNOWN_COMMAND = "104d1a1b080212177468657265206973206e6f207265717565737420393939209bd9bcdbaf32"
"""The answer to command 999, sequence 77."""
SYNC_FINISHED = "08ae02209bd9bcdbaf32"

PUSH_SEQ = 300
PUSH = (
    "08ca011a430a036d2d311203632d311a1073696e676c655f616c6963655f626f622205616c6963652a03626f6238"
    "014206e4bda0e5a5bd48a0d8bcdbaf32509bd9bcdbaf3258ac02209bd9bcdbaf32"
)
"""MESSAGE pushed under PUSH_SEQ."""
BATCH = "08cc011a120a070a036d2d3158010a070a036d2d325802209bd9bcdbaf32"
"""bare("m-1") under 1 and bare("m-2") under 2."""

EVENTS: dict[str, tuple[Any, str]] = {
    "KICK_OUT": (
        SessionKicked(KickReason.OTHER_DEVICE, "bye"),
        "08681a0708011203627965209bd9bcdbaf32",
    ),
    "REVOKE_MSG_PUSH": (
        MessageRevoked("m-1", "single_alice_bob", "single_alice_bob", "alice", NOW),
        "08cf011a250a036d2d31121073696e676c655f616c6963655f626f621a05616c696365209bd9bcdbaf32209bd9bcdbaf32",
    ),
    "STATUS_CHANGE_PUSH": (
        PresenceChanged("bob", PresenceState.AWAY, NOW),
        "0892031a0e0a03626f621002189bd9bcdbaf32209bd9bcdbaf32",
    ),
    "READ_RECEIPT_PUSH": (
        MessagesRead(("m-1", "m-2"), "single_alice_bob", "single_alice_bob", "bob", NOW),
        "08f6031a280a036d2d310a036d2d32121073696e676c655f616c6963655f626f621a03626f62209bd9bcdbaf32"
        "209bd9bcdbaf32",
    ),
    "TYPING_STATUS_PUSH": (
        TypingChanged("single_alice_bob", "alice", True),
        "08d9041a1b0a1073696e676c655f616c6963655f626f621205616c6963651801209bd9bcdbaf32",
    ),
}
"""Name -> (event, bytes)."""
