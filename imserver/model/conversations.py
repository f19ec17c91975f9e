"""The list of a user's conversations."""

from __future__ import annotations

from msgspec import Struct

from imserver.model.messages import Message


class Summary(Struct, frozen=True):
    """A conversation as it stands.

    Attributes:
        conversation: the canonical name.
        peer: the other user of a single conversation (oneself for notes to oneself); "" for a group.
        group: the group id; "" for a single conversation.
        title: for people: the group's name, or the peer.
        position: the place of the newest message; 0 if there never was one.
        last: the newest message as far as the asker may see it; None where there is none to see.
    """

    conversation: str
    peer: str
    group: str
    title: str
    position: int
    last: Message | None


# Commands


class ListConversations(Struct, frozen=True, gc=False):
    """List one's conversations, the one with the newest message first.

    Attributes:
        after: a `next_cursor`; "" = from the start. Conversations that moved up
            meanwhile are not told again.
        limit: 0 = the default.
    """

    after: str = ""
    limit: int = 0


# Replies


class ConversationPage(Struct, frozen=True):
    """Single conversations with at least one message, and the groups one is a member of."""

    conversations: list[Summary]
    next_cursor: str
    has_more: bool
