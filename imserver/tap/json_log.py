"""Logs for programs: one JSON object a line."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
from twisted.logger import ILogObserver, LogEvent, eventAsText, formatEvent
from twisted.python.logfile import LogFile
from zope.interface import implementer

MAX_FIELD = 1000
"""Characters of a field's text."""
# Nothing logs these; should somebody once do so, they still do not get out.
_SECRET = ("token", "password", "secret", "authorization", "content", "text", "body")
_LEGACY = frozenset(
    {"format", "message", "time", "system", "isError", "why", "failure", "debug", "printed", "log_io"}
)


@implementer(ILogObserver)
class JsonObserver:
    """Writes events: time, level, namespace, message, the event's own fields, a failure's traceback.

    Args:
        stream: where the lines go.
    """

    def __init__(self, stream: TextIO | LogFile) -> None:
        self._stream: Any = stream

    def reopen(self) -> None:
        """Goes on in a new file of the same name, if it is a file: somebody may have moved the old one."""
        if isinstance(self._stream, LogFile):
            self._stream.reopen()

    def __call__(self, event: LogEvent) -> None:
        """See ILogObserver. Never raises: there is nobody to tell."""
        try:
            line = msgspec.json.encode(as_object(event)).decode()
        except Exception:
            line = '{"level":"error","namespace":"imserver.tap","message":"an event could not be written"}'
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass


def as_object(event: LogEvent) -> dict[str, Any]:
    """An event as it is written."""
    level = event.get("log_level")
    written: dict[str, Any] = {
        "time": datetime.fromtimestamp(event.get("log_time", 0.0), UTC).isoformat(timespec="milliseconds"),
        "level": getattr(level, "name", "info"),
        "namespace": str(event.get("log_namespace") or "-"),
        "message": _clean(formatEvent(event)),
    }
    fields = {
        key: _field(value)
        for key, value in event.items()
        if not key.startswith("log_") and key not in _LEGACY and not _is_secret(key)
    }
    if fields:
        written["fields"] = fields
    if "log_failure" in event:
        written["traceback"] = _clean(eventAsText(event, includeTimestamp=False, includeSystem=False))
    return written


def _field(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return _clean(str(value))[:MAX_FIELD]


def _is_secret(key: str) -> bool:
    lowered = key.lower()
    return any(word in lowered for word in _SECRET)


def _clean(text: str) -> str:
    """Without surrogates that JSON cannot write."""
    return text.encode("utf-8", "replace").decode()


class ObserverMaker:
    """Makes the observer that twistd is given by name, since it takes no object.

    Attributes:
        logfile: as twistd's --logfile; None or "-" = standard output. Set before twistd asks.
    """

    def __init__(self) -> None:
        self.logfile: str | None = None
        self._made: JsonObserver | None = None

    def __call__(self) -> JsonObserver:
        """What twistd calls."""
        if self.logfile is None or self.logfile == "-":
            self._made = JsonObserver(sys.stdout)
        else:
            self._made = JsonObserver(LogFile.fromFullPath(self.logfile))
        return self._made

    def reopen(self) -> None:
        """See JsonObserver. Raises OSError."""
        if self._made is not None:
            self._made.reopen()


make_observer = ObserverMaker()
OBSERVER_NAME = f"{__name__}.make_observer"
"""What stands for it on twistd's command line."""
