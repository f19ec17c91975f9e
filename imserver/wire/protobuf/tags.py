"""What becomes of a request until it is answered."""

from __future__ import annotations

from msgspec import Struct


class Tag(Struct, frozen=True, gc=False):
    """What an answer needs to know of its request.

    Attributes:
        sequence: echoed.
        command: the request's number, which decides the answer's.
        client_id: the client's message id, for listeners that echo it.
    """

    sequence: int
    command: int
    client_id: str = ""
