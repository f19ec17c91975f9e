"""Redis' refusals, and its absence, as refusals of ours."""

from __future__ import annotations

from twisted.logger import Logger

from imserver.model.errors import ErrorCode, ImError

_log = Logger()


def unavailable(text: str = "the message store cannot be reached now") -> ImError:
    """The refusal of everything while Redis is away."""
    return ImError(ErrorCode.UNAVAILABLE, text)


class RedisLost(ImError):
    """The connection was lost, or given up, before the answer came: it may have been done or not."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.UNAVAILABLE, "the message store did not answer")


_PASSING = frozenset(
    {
        "BUSY",
        "CLUSTERDOWN",
        "EXECABORT",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "NOAUTH",
        "NOPERM",
        "NOREPLICAS",
        "NOSCRIPT",
        "OOM",
        "READONLY",
        "TRYAGAIN",
        "UNKILLABLE",
        "WRONGPASS",
    }
)
"""First words of refusals that say something about Redis' state, not about the command."""


def refusal(error: BaseException) -> ImError:
    """What to tell whoever asked: UNAVAILABLE if it may pass, else INTERNAL."""
    if isinstance(error, ImError):
        return error
    text = str(error)
    words = text.replace(":", " ").split()
    # A script's failure names the reason of the command it called somewhere inside.
    if _PASSING.intersection(words):
        return unavailable("the message store cannot write now")
    # What follows a comma may be what somebody has written.
    _log.error("Redis refused a command: {error}", error=text.split(",")[0][:200])
    return ImError(ErrorCode.INTERNAL, "the message store failed")


def is_no_script(error: BaseException) -> bool:
    """Whether a script was not run because Redis has forgotten it."""
    return str(error).startswith("NOSCRIPT")


def is_demoted(error: BaseException) -> bool:
    """Whether this Redis takes no writes any more: another one may be the master now."""
    return "READONLY" in str(error)
