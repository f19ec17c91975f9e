"""The part of `verify` that looks at files: their records, and whether their bytes are there."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from imserver.services.file_ports import Delivery, State

_VALUES = {"states": json.dumps(list(State)), "deliveries": json.dumps(list(Delivery))}
_TABLES = (
    (
        "a transfer is in a state that is none",
        "SELECT no, state FROM transfers WHERE state NOT IN (SELECT value FROM json_each(:states)) LIMIT 5",
    ),
    (
        "a transfer has a user without an account",
        "SELECT no, id FROM transfers WHERE owner NOT IN (SELECT name FROM users)"
        " OR (recipient <> '' AND recipient NOT IN (SELECT name FROM users)) LIMIT 5",
    ),
    (
        "a transfer has two targets",
        "SELECT no, id FROM transfers WHERE recipient <> '' AND group_id <> '' LIMIT 5",
    ),
    (
        "a stored file has no hash",
        "SELECT no, id FROM transfers WHERE state = 'stored' AND length(sha256) <> 64 LIMIT 5",
    ),
    (
        "one hash has files of two sizes",
        "SELECT sha256, count(DISTINCT size) FROM transfers WHERE state = 'stored'"
        " GROUP BY sha256 HAVING count(DISTINCT size) > 1 LIMIT 5",
    ),
    (
        "a delivery is of no transfer",
        "SELECT no, user FROM deliveries WHERE no NOT IN (SELECT no FROM transfers) LIMIT 5",
    ),
    (
        "a delivery is in a state that is none",
        "SELECT no, user FROM deliveries"
        " WHERE state NOT IN (SELECT value FROM json_each(:deliveries)) LIMIT 5",
    ),
)


def check_files(connection: sqlite3.Connection, blobs: Path | None) -> list[str]:
    """The faults, one line each.

    Args:
        blobs: where the bytes are; None = they are not looked at (a backup has none).
    """
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'transfers'").fetchone():
        return []  # of an older version
    faults = []
    for what, sql in _TABLES:
        faults += [f"{what}: {' '.join(map(str, row))}" for row in connection.execute(sql, _VALUES)]
    if blobs is not None:
        stored = "SELECT DISTINCT sha256, size FROM transfers WHERE state = 'stored'"
        for sha256, size in connection.execute(stored):
            try:
                found = (blobs / sha256[:2] / sha256).stat().st_size
            except OSError:
                faults.append(f"the bytes of a file are not there: {sha256}")
            else:
                if found != size:
                    faults.append(f"a file has {found} bytes instead of {size}: {sha256}")
    return faults
