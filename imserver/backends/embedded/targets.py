"""Which conversation does a command mean? CONTRACT.md "Conversations".

Internally a conversation is a pair or a group; names are aliases, resolved
only among the asking user's own conversations.
"""

from __future__ import annotations

from imserver.backends.common.names import own_name
from imserver.backends.embedded.entities import GroupState, User
from imserver.backends.embedded.state import State
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import (
    GROUP_PREFIX,
    SINGLE_PREFIX,
    group_name,
    peers_in_single_name,
)

Target = tuple[User | None, GroupState | None, str]
"""(the other user, or None) or (None, the group), and the own name to use for it ("" = the canonical one)."""


def resolve(state: State, asker: User, conversation: str, recipient: str, group: str) -> Target:
    """Finds the one conversation that is meant; creates nothing.

    Raises:
        ImError: BAD_REQUEST, USER_NOT_FOUND, CONVERSATION_NOT_FOUND, CONFLICT or FORBIDDEN.
    """
    if recipient:
        if group:
            raise ImError(ErrorCode.BAD_REQUEST, "both a recipient and a group are named")
        peer = state.user(recipient)
        if peer is None:
            raise ImError(ErrorCode.USER_NOT_FOUND, "the recipient has no account")
        return peer, None, own_name(conversation, asker.name, recipient) if conversation else ""
    if group:
        if conversation.startswith((SINGLE_PREFIX, GROUP_PREFIX)) and conversation != group_name(group):
            raise ImError(ErrorCode.BAD_REQUEST, "the conversation id denotes another conversation")
        return None, own_group(state, asker, group), ""
    if not conversation:
        raise ImError(ErrorCode.BAD_REQUEST, "neither a recipient nor a group nor a conversation is named")
    if conversation.startswith(GROUP_PREFIX):
        return None, own_group(state, asker, conversation[len(GROUP_PREFIX) :]), ""
    if conversation.startswith(SINGLE_PREFIX):
        return _split(state, asker, conversation), None, ""
    return _by_own_name(state, asker, conversation)


def own_group(state: State, asker: User, gid: str) -> GroupState:
    """The group, of which the asker must be a member."""
    group = state.group(gid)
    if group is None:
        raise ImError(ErrorCode.CONVERSATION_NOT_FOUND, "there is no such group")
    if asker.no not in group.members:
        raise ImError(ErrorCode.FORBIDDEN, "not a member of the group")
    return group


def _split(state: State, asker: User, name: str) -> User:
    peers = [peer for peer in map(state.user, peers_in_single_name(name, asker.name)) if peer is not None]
    if len(peers) > 1:
        existing = [peer for peer in peers if state.pair(asker.no, peer.no) is not None]
        if len(existing) != 1:
            raise ImError(
                ErrorCode.CONFLICT, "the conversation id can be read in two ways: name the recipient"
            )
        return existing[0]
    if not peers:
        raise ImError(ErrorCode.CONVERSATION_NOT_FOUND, "there is no such conversation")
    return peers[0]


def _by_own_name(state: State, asker: User, name: str) -> Target:
    pairs = state.names_of(asker, name)
    group = state.group(name)
    if group is not None and asker.no not in group.members:
        group = None
    if len(pairs) + (group is not None) > 1:
        raise ImError(
            ErrorCode.CONFLICT, "the conversation id denotes several conversations: name the recipient"
        )
    if group is not None:
        return None, group, ""
    if not pairs:
        raise ImError(ErrorCode.CONVERSATION_NOT_FOUND, "there is no such conversation")
    pair = state.pair_by_no(pairs[0])
    return state.user_by_no(pair.b if pair.a == asker.no else pair.a), None, name
