"""Which conversation does a command mean, as far as that can be said without asking Redis.

lua/targets.lua says the rest.
"""

from __future__ import annotations

from imserver.backends.common.names import own_name
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import GROUP_PREFIX, SINGLE_PREFIX, group_name, peers_in_single_name

Target = tuple[str, str, str]
"""(kind, value, own name to use, "" = the canonical one); kinds are in lua/targets.lua."""

_REFUSALS: dict[str, tuple[ErrorCode, str]] = {
    "no-sender": (ErrorCode.USER_NOT_FOUND, "the sender has no account"),
    "no-recipient": (ErrorCode.USER_NOT_FOUND, "the recipient has no account"),
    "no-group": (ErrorCode.CONVERSATION_NOT_FOUND, "there is no such group"),
    "no-member": (ErrorCode.FORBIDDEN, "not a member of the group"),
    "no-conversation": (ErrorCode.CONVERSATION_NOT_FOUND, "there is no such conversation"),
    "no-message": (ErrorCode.NOT_FOUND, "there is no such message"),
    "two-readings": (
        ErrorCode.CONFLICT,
        "the conversation id can be read in two ways: name the recipient",
    ),
    "several": (
        ErrorCode.CONFLICT,
        "the conversation id denotes several conversations: name the recipient",
    ),
    "other-payload": (ErrorCode.CONFLICT, "this client id was used for another message"),
    "blocks": (ErrorCode.FORBIDDEN, "you have blocked this user"),
    "blocked": (ErrorCode.FORBIDDEN, "this user takes no messages from you"),
    "broadcasts": (ErrorCode.TOO_FAST, "broadcasts are limited"),
    "too-fast": (ErrorCode.TOO_FAST, "too many messages"),
    "not-yours": (ErrorCode.FORBIDDEN, "only its sender or the group's owner may take a message back"),
    "too-old": (ErrorCode.FORBIDDEN, "the message is too old to be taken back"),
    "foreign": (ErrorCode.FORBIDDEN, "a message is none of the reader's"),
    "elsewhere": (ErrorCode.FORBIDDEN, "a message is in another conversation"),
    "late": (ErrorCode.UNAVAILABLE, "the message store did not answer in time"),
}


def refusal_of(word: bytes) -> ImError:
    """The refusal a script means by a word (more words may follow it)."""
    code, text = _REFUSALS[word.split(b" ", 1)[0].decode()]
    return ImError(code, text)


def target_of(asker: str, conversation: str, recipient: str, group: str) -> Target:
    """Reads what a command names.

    Raises:
        ImError: BAD_REQUEST or FORBIDDEN, as `Store.append`.
    """
    if recipient:
        if group:
            raise ImError(ErrorCode.BAD_REQUEST, "both a recipient and a group are named")
        return "u", recipient, own_name(conversation, asker, recipient) if conversation else ""
    if group:
        if conversation.startswith((SINGLE_PREFIX, GROUP_PREFIX)) and conversation != group_name(group):
            raise ImError(ErrorCode.BAD_REQUEST, "the conversation id denotes another conversation")
        return "g", group, ""
    if not conversation:
        raise ImError(ErrorCode.BAD_REQUEST, "neither a recipient nor a group nor a conversation is named")
    if conversation.startswith(GROUP_PREFIX):
        return "g", conversation[len(GROUP_PREFIX) :], ""
    if conversation.startswith(SINGLE_PREFIX):
        return "s", "/".join(peers_in_single_name(conversation, asker)), ""
    return "n", conversation, ""
