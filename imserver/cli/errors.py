"""How commands end."""

from __future__ import annotations

from imserver.model.errors import ErrorCode, ImError

OK = 0
REFUSED = 1
"""Refused, not found, or it could not be done."""
USAGE = 2
UNREACHABLE = 3
"""No server, or no usable data directory."""
FAULTS = 4
"""verify or doctor found something wrong."""

EXIT_CODES = """\
exit codes:
  0  done
  1  refused, or not found
  2  wrong usage
  3  the server or the data directory cannot be reached
  4  verify or doctor found faults
"""


class CommandError(Exception):
    """A command ends with one line and an exit code.

    Attributes:
        kind: a word for programs: an error code of `model.errors`, or one of this module's in capitals.
    """

    def __init__(self, code: int, text: str, kind: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.kind = kind or {USAGE: "USAGE", UNREACHABLE: "UNREACHABLE"}.get(code, "REFUSED")


def refusal(error: ImError) -> CommandError:
    """What a refusal of the services is for the command line."""
    code = UNREACHABLE if error.code in (ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL) else REFUSED
    return CommandError(code, error.text, error.code.value)
