"""An extension of document 004: a command `chess/move`, an event of the same name, and a content type.

    twistd -n imserver --demo --data-dir ./data --set extensions.chess=examples.chess:EXTENSION

    {"id":"1","command":"chess/move","payload":{"opponent":"bob","game":"g1","move":"e2e4"}}

See docs/extending.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.extensions import OwnEvent, OwnReply
from imserver.protocols.extensions import ServerExtension
from imserver.services.dispatch import Handler
from imserver.services.extensions import Workplace
from imserver.wire.jsonline.extensions import Extension, OwnCommand, OwnContent

Square = Annotated[str, Meta(pattern="^[a-h][1-8][a-h][1-8]$")]


class Move(Struct, frozen=True):
    """The payload of chess/move."""

    opponent: str
    game: str
    move: Square


class Position(Struct):
    """A content of type `chess-position`: {"type": "chess-position", "fen": "…"}."""

    type: Literal["chess-position"]
    fen: Annotated[str, Meta(min_length=1, max_length=100)]


class Chess:
    """Counts the moves of each game, and tells the opponent."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._moves: dict[str, int] = {}

    async def move(self, principal: Principal, command: Move) -> OwnReply:
        """Handles chess/move."""
        if command.opponent == principal.user:
            raise ImError(ErrorCode.FORBIDDEN, "nobody plays against oneself")
        number = self._moves[command.game] = self._moves.get(command.game, 0) + 1
        told = {"game": command.game, "move": command.move, "by": principal.user, "number": number}
        self._workplace.tell([command.opponent], OwnEvent("chess/move", told))
        return OwnReply({"number": number})


def handlers(workplace: Workplace) -> Mapping[type, Handler]:
    """What does the work."""
    return {Move: Chess(workplace).move}


EXTENSION = ServerExtension(
    Extension(
        commands=(OwnCommand("chess/move", Move, once=True),),
        contents=(OwnContent("chess-position", Position),),
    ),
    handlers,
)
