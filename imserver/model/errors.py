"""One list of error codes for all formats; each codec maps it to its own numbers."""

from __future__ import annotations

import enum
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


class ErrorCode(enum.StrEnum):
    """Why a request was refused. The mapping to each format is in docs/wire/."""

    BAD_REQUEST = "BAD_REQUEST"
    AUTH_FAILED = "AUTH_FAILED"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105 - a code, not a secret
    FORBIDDEN = "FORBIDDEN"
    USER_NOT_FOUND = "USER_NOT_FOUND"
    USER_EXISTS = "USER_EXISTS"
    CONVERSATION_NOT_FOUND = "CONVERSATION_NOT_FOUND"
    NOT_FOUND = "NOT_FOUND"
    UNKNOWN_COMMAND = "UNKNOWN_COMMAND"
    CONFLICT = "CONFLICT"
    TOO_LARGE = "TOO_LARGE"
    TOO_FAST = "TOO_FAST"
    VERSION = "VERSION"
    SIGNATURE = "SIGNATURE"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


RETRYABLE = frozenset({ErrorCode.TOO_FAST, ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL})


class ImError(Exception):
    """A refusal: the request was understood and is answered with this error.

    Args:
        code: why.
        text: one sentence for the person at the other end; never message text,
            a token or a password.
    """

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later, unchanged."""
        return self.code in RETRYABLE

    def __repr__(self) -> str:
        return f"ImError({self.code.value}, {self.text!r})"


def alone(error: E) -> E:
    """An error without the stack on which it was raised: for one that is kept, as an answer is.

    Its traceback holds the variables of all functions on that stack, and one of them mostly holds it:
    a cycle, and one that the collector does not see where it leads through a struct that is exempt.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def raise_if(refusal: ImError | None) -> None:
    """Raises it, if there is one.

    A variable of the function that raises it would make a cycle with its traceback, and keep the whole
    request until the collector comes.
    """
    if refusal is not None:
        try:
            raise refusal
        finally:
            del refusal
