"""Reads `strace -f -y` output: what reached the disk before which bytes went to a socket."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_TELLING = ("sendto", "send", "sendmsg", "write", "writev")
_CALL = re.compile(r"^(\d+)\s+(?:<\.\.\. )?(\w+)(.*)$")


def unproven(lines: Iterable[str], rows: Mapping[str, str]) -> list[str]:
    """What was told to a peer before it was safe.

    Args:
        lines: the trace, in its order.
        rows: for each message a text that stands in its row and in the pushes
            of it, and a text that stands in its acknowledgement.

    Returns:
        one sentence for each fault: something was written to a socket without a
        completed fdatasync of the write-ahead log after the row was written to
        it; or a message that was never seen on its way.
    """
    written: set[str] = set()
    syncing: dict[str, set[str]] = {}
    safe: set[str] = set()
    told: set[str] = set()
    faults = []
    for line in lines:
        match = _CALL.match(line)
        if match is None:
            continue
        thread, call, rest = match.groups()
        begins = "resumed>" not in rest
        ends = "unfinished ...>" not in rest
        if call == "pwrite64" and begins and "-wal>" in rest:
            written.update(mark for mark in rows if mark in rest)
        elif call in ("fdatasync", "fsync"):
            if begins and "-wal>" in rest:
                # Only what was written before the call began is covered by it.
                syncing[thread] = set(written)
            if ends and thread in syncing:
                covered = syncing.pop(thread)
                if rest.rstrip().endswith("= 0"):
                    safe |= covered
        elif call in _TELLING and begins and ("socket:" in rest or "TCP" in rest):
            for mark, acknowledgement in rows.items():
                if mark in rest or acknowledgement in rest:
                    told.add(mark)
                    if mark not in safe:
                        faults.append(f"{mark} was told to a peer before it was synced")
    faults += [f"{mark} was never written to the log" for mark in rows if mark not in written]
    faults += [f"{mark} was never told to anybody" for mark in rows if mark not in told]
    return faults
