"""Sessions, as other nodes address them."""

from __future__ import annotations

from msgspec import Struct

from imserver.model.calls import Media


class Seat(Struct, frozen=True, gc=False):
    """A live session as other nodes can address it.

    Attributes:
        node: the node it is connected to.
        media: how its format's calls travel.
        device: its device's name within the user and the format; "" = none was named.
    """

    user: str
    session: str
    node: str
    media: Media
    device: str = ""
