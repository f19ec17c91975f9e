"""Payloads of voice."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from imserver.wire.jsonline.chat_app.described.base import Ok
from imserver.wire.jsonline.described.base import Text

CallId = Annotated[str, Meta(min_length=1, max_length=128)]
Hex = Annotated[str, Meta(pattern="^([0-9a-fA-F]{2})*$", max_length=60_000)]


class CallTarget(Struct):
    """Whom to call."""

    type: Literal["user", "group", "room"]
    id: Text


class Call(Struct):
    """A call of two, or of the members of a room. The id of the request is that of the call."""

    call_type: Literal["direct", "group"]
    target: CallTarget


class AboutCall(Struct):
    """Which call."""

    call_id: CallId


class CallAnswer(Ok):
    """It is done, or on its way: what comes of it is told by events."""

    call_id: CallId


class CallEvent(Struct):
    """What happened to a call. `user_id` did it; `ended` has the last three."""

    event_type: Literal["incoming", "connected", "member_joined", "member_left", "rejected", "ended"]
    call_id: CallId
    call_type: Literal["direct", "group"]
    target_type: Literal["user", "group"]
    target_id: Text
    initiator: Text
    user_id: Text
    participants: list[Text] | UnsetType = UNSET
    duration: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    reason: Text | UnsetType = UNSET


class Data(Struct):
    """A piece of what one says, in hex."""

    call_id: CallId
    data: Hex


class Heard(Data):
    """A piece of what somebody says."""

    from_user: Text
