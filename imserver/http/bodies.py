"""What REST requests carry, as structs. Unknown fields are refused: a misspelt one never passes silently."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from imserver.model.ids import MAX_CLIENT_ID_BYTES

Id = Annotated[str, Meta(min_length=1, max_length=255)]
Password = Annotated[str, Meta(min_length=1, max_length=1024)]
Token = Annotated[str, Meta(min_length=1, max_length=8192)]
Limit = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Text = Annotated[str, Meta(max_length=255)]
Name = Annotated[str, Meta(min_length=1, max_length=1024)]
"""A conversation's name, or a cursor."""
Content = Annotated[
    Any,
    Meta(
        description="A text, or an object with a string `type`.",
        extra_json_schema={
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "required": ["type"],
                    "properties": {"type": {"type": "string", "minLength": 1}},
                },
            ]
        },
    ),
]
Objects = Annotated[Any, Meta(extra_json_schema={"type": ["array", "null"], "items": {"type": "object"}})]
OptionalObject = Annotated[Any, Meta(extra_json_schema={"type": ["object", "null"]})]


class Body(Struct, frozen=True, forbid_unknown_fields=True):
    """A body or a query."""


class LoginBody(Body, frozen=True):
    """A log-in by password; `phone` is another name for `username`, one of them is needed."""

    password: Password
    username: Id | None = None
    phone: Id | None = None
    platform: Text = ""


class RegisterBody(Body, frozen=True):
    """A new account, logged in at once."""

    password: Password
    username: Id | None = None
    phone: Id | None = None
    platform: Text = ""


class RefreshBody(Body, frozen=True):
    """A refresh token; it is spent by the answer."""

    refresh_token: Token


class PageQuery(Body, frozen=True):
    """Where a list goes on, and how long it may be (0 = the default)."""

    after: Annotated[str, Meta(max_length=1024)] = ""
    limit: Limit = 0


class HistoryQuery(Body, frozen=True):
    """`since`: a `next_cursor`, or for the whole inbox also a seq; exclusive. limit 0 = the default."""

    since: Annotated[str, Meta(max_length=1024)] = ""
    limit: Limit = 0


class SessionsQuery(Body, frozen=True):
    """`user`: only this user's sessions."""

    user: Annotated[str, Meta(max_length=255)] = ""
    after: Annotated[str, Meta(max_length=255)] = ""
    limit: Limit = 0


class IceQuery(Body, frozen=True):
    """`region`: only servers of this region, and those of none; absent or unknown = all."""

    region: Annotated[str, Meta(max_length=255)] = ""


class TargetBody(Body, frozen=True):
    """Whom a message is for; `room` is another name for `group`, a broadcast has no id."""

    type: Literal["user", "group", "room", "broadcast"]
    id: Annotated[str, Meta(max_length=255)] = ""


class SendBody(Body, frozen=True):
    """A message. `target` or `conversation_id` is needed; a repeated `client_id` gets the first answer."""

    content: Content
    target: TargetBody | None = None
    conversation_id: Annotated[str, Meta(max_length=1024)] = ""
    client_id: Annotated[str, Meta(max_length=MAX_CLIENT_ID_BYTES)] = ""
    attachments: Objects = None
    meta: OptionalObject = None
    extra: dict[str, str] = {}


class CreateGroupBody(Body, frozen=True):
    """A new group; without `group_id` the server makes one up."""

    group_id: Annotated[str, Meta(max_length=255)] = ""
    name: Text = ""
    open: bool = False
    password: Annotated[str, Meta(max_length=1024)] = ""
    members: Annotated[tuple[Id, ...], Meta(max_length=500)] = ()


class JoinBody(Body, frozen=True):
    """The group's password, where it has one."""

    password: Annotated[str, Meta(max_length=1024)] = ""


class InviteBody(Body, frozen=True):
    """Who is invited."""

    user_id: Id


class RequestFriendBody(Body, frozen=True):
    """Who is asked, with a greeting of at most 512 bytes."""

    user_id: Id
    message: Annotated[str, Meta(max_length=512)] = ""


class CreateUserBody(Body, frozen=True):
    """A new account; without a password it cannot log in by one."""

    username: Id
    password: Annotated[str, Meta(max_length=1024)] = ""
    role: Literal["user", "admin"] = "user"


class PasswordBody(Body, frozen=True):
    """Another password."""

    password: Password


class RoleBody(Body, frozen=True):
    """Another role."""

    role: Literal["user", "admin"]


class KickBody(Body, frozen=True):
    """What the user is told."""

    reason: Text = ""
