"""Messages on their way out, with what the sessions that get them share."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final

from imserver.model.message_rows import MessageRow
from imserver.model.messages import Message

UNENCODED: Final = object()


class Outgoing:
    """A message on its way out, with the encoded forms that sessions of one profile share.

    Services never look into the forms; the sessions keep there what their codec's
    `shared` gave.

    Attributes:
        profile: of the first session that encoded it; `UNENCODED` = none did.
        form: what that gave.
        forms: the same for other profiles; None = there are none, as for most messages.
    """

    __slots__ = ("form", "forms", "message", "profile")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.profile: Hashable = UNENCODED
        self.form: Any = None
        self.forms: dict[Hashable, Any] | None = None


class OutgoingRow:
    """Messages of one session to one user that were committed in a row, on their way out.

    Attributes:
        frames: what sessions keep here of them: a frame each, by profile and the first one's number.
    """

    __slots__ = ("_each", "frames", "messages")

    def __init__(self, messages: MessageRow) -> None:
        self.messages = messages
        self.frames: dict[tuple[Hashable, int], Sequence[bytes]] = {}
        self._each: list[Outgoing] | None = None

    def each(self) -> Sequence[Outgoing]:
        """The same, each by itself."""
        if self._each is None:
            self._each = [Outgoing(message) for message in self.messages.each()]
        return self._each
