"""What commands print: for people, or with `--json` for programs."""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec


def printable(text: str) -> str:
    """The text on one line, without what could steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if unicodedata.category(c)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for c in text)


def moment(at: float) -> str:
    """Float seconds since the epoch as local time."""
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S%z")
    except (OverflowError, OSError, ValueError):
        return f"{at:.0f}"


class Output:
    """Writes results to stdout.

    Attributes:
        json: print one JSON document instead of text.
    """

    def __init__(self, json: bool) -> None:
        self.json = json

    def result(self, value: Any, text: str) -> None:
        """One result: a struct, list or dict for programs, a line (or lines) for people."""
        if self.json:
            encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
            sys.stdout.write(encoded.decode() + "\n")
        else:
            sys.stdout.write(text + "\n")

    def table(
        self, rows: Sequence[Any], headers: Sequence[str], cells: Callable[[Any], Sequence[str]]
    ) -> None:
        """A list of structs as aligned columns."""
        if self.json:
            self.result(list(rows), "")
            return
        lines = [tuple(headers), *(tuple(map(printable, cells(row))) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            sys.stdout.write("  ".join(padded).rstrip() + "\n")


@contextmanager
def progress_bar(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on a terminal's stderr, nothing elsewhere.

    Gives a function to call with what is being done, how far it is, and the whole (0 = unknown).
    """
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from tqdm import tqdm

    bar: Any = tqdm(unit=unit, unit_scale=True, leave=False, file=sys.stderr, dynamic_ncols=True)

    def tell(what: str, done: int, total: int) -> None:
        if what != bar.desc.removesuffix(": "):
            bar.reset()
            bar.set_description(what, refresh=False)
        bar.total = total or None
        bar.n = done
        bar.refresh()

    try:
        yield tell
    finally:
        bar.close()


@contextmanager
def progress_lines(unit: str, seconds: float = 10.0) -> Iterator[Callable[[str, int, int], None]]:
    """As `progress_bar`; where stderr is no terminal, a line whenever something begins, and now and then."""
    if sys.stderr.isatty():
        with progress_bar(unit) as bar:
            yield bar
        return
    last, at = "", 0.0

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last, at
        now = time.monotonic()
        if what != last or now - at >= seconds:
            last, at = what, now
            print(f"{what}: {done} of {total or '?'}", file=sys.stderr, flush=True)

    yield tell
