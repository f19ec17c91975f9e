"""Redis' refusals, and its absence, as refusals of ours."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
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


class Forgotten(ImError):
    """Redis did not run a script because it does not know it."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.UNAVAILABLE, "the message store cannot write now")


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


TELL_SECONDS = 60.0
"""How often people are told of Redis' state."""


class Complaints:
    """Tells people why Redis refuses: that it is full, say, or cannot write its file."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._told_at = float("-inf")

    def heard(self, error: BaseException) -> None:
        """Redis refused something."""
        text = str(error)
        now = self._clock.seconds()
        if now - self._told_at >= TELL_SECONDS and _is_passing(text) and not is_no_script(error):
            self._told_at = now
            _log.error("Redis refuses: {text}", text=_harmless(text))


def refusal(error: BaseException) -> ImError:
    """What to tell whoever asked: UNAVAILABLE if it may pass, else INTERNAL."""
    if isinstance(error, ImError):
        return error
    text = str(error)
    if _is_passing(text):
        return unavailable("the message store cannot write now")
    _log.error("Redis refused a command: {error}", error=_harmless(text))
    return ImError(ErrorCode.INTERNAL, "the message store failed")


def _is_passing(text: str) -> bool:
    # A script's failure names the reason of the command it called somewhere inside.
    return not _PASSING.isdisjoint(text.replace(":", " ").split())


def _harmless(text: str) -> str:
    # What follows a comma may be what somebody has written.
    return text.split(",")[0][:200]


def is_no_script(error: BaseException) -> bool:
    """Whether a script was not run because Redis has forgotten it."""
    return str(error).startswith("NOSCRIPT")


def is_demoted(error: BaseException) -> bool:
    """Whether this Redis takes no writes any more: another one may be the master now."""
    return "READONLY" in str(error)
