"""What may be passed on from user to user, and to whom (`file_relays`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from imserver.model.calls import Media
from imserver.model.errors import ErrorCode, ImError, raise_if
from imserver.model.file_relays import RequestRelay
from imserver.services.file_rules import check_name
from imserver.services.ports import Bus, Seat
from imserver.services.together import together

MAX_MEMBERS = 100
"""Files to larger groups are refused: each member has a channel of its own."""
MAX_CHECKSUM_BYTES = 255
MAX_REASON_BYTES = 512


class RelaySettings(Struct, frozen=True):
    """Limits on relayed files.

    Attributes:
        max_bytes: one file.
        offer_seconds: in which an offer has to be answered.
        join_seconds: from then on, in which both have to connect.
        host / port: told to clients as the channel's; "" and 0 = as it is.
        elsewhere: TLS ends before this server, so the one port there is will do for everybody.
    """

    max_bytes: int = 4 * 1024**3
    offer_seconds: float = 600.0
    join_seconds: float = 60.0
    host: str = ""
    port: int = 0
    elsewhere: bool = False


class Audience:
    """Whom files can be passed on to.

    Args:
        members / refusal: see `Relays`.
    """

    def __init__(
        self,
        bus: Bus,
        members: Callable[[str], Awaitable[Sequence[str]]],
        refusal: Callable[[str, str], Awaitable[ImError | None]],
    ) -> None:
        self._bus = bus
        self._members = members
        self._refusal = refusal

    async def of(self, user: str, command: RequestRelay) -> list[tuple[str, list[Seat]]]:
        """Whom a file is for, and where they can be told: nobody is left out but who is not there."""
        if command.group:
            members = await self._members(command.group)
            if user not in members:
                raise ImError(ErrorCode.NOT_FOUND, "there is no such group")
            if len(members) > MAX_MEMBERS:
                raise ImError(ErrorCode.CONFLICT, f"files go to groups of at most {MAX_MEMBERS}")
            people = [member for member in members if member != user]
        elif command.recipient == user:
            raise ImError(ErrorCode.BAD_REQUEST, "that is you yourself")
        else:
            raise_if(await self._refusal(user, command.recipient))
            people = [command.recipient]
        found = []
        for one, seats in zip(people, await together(self._bus.seats, people), strict=True):
            devices = [seat for seat in seats if can(seat.media)]
            if devices:
                found.append((one, devices))
        if not found:
            raise ImError(ErrorCode.NOT_FOUND, "nobody is there to take it")
        return found


def check(command: RequestRelay, settings: RelaySettings) -> None:
    """Raises ImError for what cannot be offered."""
    check_name(command.name)
    if not 0 <= command.size <= settings.max_bytes:
        raise ImError(ErrorCode.TOO_LARGE, f"a file has at most {settings.max_bytes} bytes")
    if len(command.checksum.encode("utf-8", "replace")) > MAX_CHECKSUM_BYTES:
        raise ImError(ErrorCode.BAD_REQUEST, "the checksum is too long")


def can(media: Media) -> bool:
    """Whether sessions with such calls pass on files: the one dialect that has the one has the other."""
    return media is Media.VOICE


def short(reason: str) -> str:
    """What somebody says of a file, as far as it is told to the others."""
    return reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")


def unknown() -> ImError:
    """The refusal of what names no relay of one's own."""
    return ImError(ErrorCode.NOT_FOUND, "there is no such file transfer")
