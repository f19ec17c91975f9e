"""Nothing that the engines keep is forgotten by a migration: it is carried, or listed here with the reason.

Who adds a table, a column or a key carries it over as well (`backends/common/portable.py`), or says here why
not.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

import imserver.backends.embedded
import imserver.backends.redis
from imserver.backends.embedded.database import DATABASE_NAME, connect
from imserver.backends.embedded.exporting import SqliteSource
from imserver.backends.redis import keys
from imserver.backends.redis.exporting import RedisSource
from imserver.backends.redis.records import decode_stored
from imserver.cli.migration_redis import FORMATS as SENT_IN
from imserver.protocols.formats import FORMATS
from imserver.services import file_news
from tests.unit.backends.test_migration import MigrationCase

DAY = 86400.0

COLUMNS = {
    "client_ids": "made of the log's client ids",
    "broadcasts": "made of the log; those that are not at their end are waited for",
    "fanouts": "made of the log",
    "inbox_index.last_offset": "the last of its offsets",
    "conversation_index.last_offset": "the last of its offsets",
    "calls.missed": "made of the changes that tell of calls",
    "memberships.left_at": "Redis knows the positions alone, and nobody asks",
    "invitations.invited_by": "Redis does not know it, and nobody asks",
    "invitations.at": "Redis does not know it, and nobody asks",
    "deliveries.at": "Redis does not know it, and nobody asks",
}
"""What SQLite keeps and the export does not read: a table, or one column."""

META = {
    "epoch": "carried",
    "floor": "carried",
    "indexed_upto": "carried, as the last number",
    "trimmed_to": "made of the floor",
    "restored": "of a backup: opening the store makes a new epoch of it",
    "calls_at": "of calls that last: they are ended first",
}
"""Rows of the table `meta`."""

FAMILIES = {
    # Other views of what is carried.
    "groups": "of g:", "ug:": "of gm:", "bb:": "of bl:", "pn:": "of an:", "cl:": "of call:", "ci": "of call:",
    "calls": "of call:", "hours": "of m:", "bs": "of m:", "bf:": "of m:",
    "mc:": "of c:", "tri": "of tr:", "trf": "of tr:", "trc:": "of tr:", "tru:": "of tr:", "tro:": "of tr:",
    "trg:": "of tr:", "tre": "of tr:", "trz": "of tr:", "trm": "of tr:", "trh:": "of tr:", "tra:": "of tr:",
    # What was begun comes to its end first.
    "bc": "broadcasts", "oc:": "calls that last", "oca": "calls that last",
    # Of nodes that are up, of which there is none.
    "nodes": "nodes", "retired": "nodes", "dead": "nodes", "sl:": "nodes", "ns:": "nodes", "at:": "sessions",
    "nu:": "sessions", "shown": "sessions", "late": "sessions", "hosts": "sessions", "told:": "sessions",
    "migrating": "the mark", "mark": "replicas",
    # Documented as not carried.
    "ra:": "answers of ten minutes", "rz:": "answers of ten minutes", "nonces": "nonces", "no:": "nonces",
}  # fmt: skip
"""What Redis keeps and the export does not read."""


UNLIKE: dict[str, tuple[str, ...]] = {
    "u:": ("tat", "bat"),
    "g:": ("standing",),
    "epoch": ("run", "at"),
    "log": ("cfloor",),
    "d:": (),
    "c:": (),
    "call:": (),
}
"""Fields that are not carried; texts that may be written in another way."""


def number(value: bytes) -> Any:
    """However it is written."""
    try:
        return float(value)
    except ValueError:
        return value


def sources(package: Any, pattern: str) -> str:
    """All that a package's files say."""
    folder = Path(package.__file__).parent
    return "\n".join(path.read_text() for path in sorted(folder.glob(pattern)))


def columns(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """(table, column) of the whole schema."""
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    return {
        (table, str(row[1]))
        for (table,) in tables
        for row in connection.execute(f"PRAGMA table_info({table})")
    }


def forgotten(schema: set[tuple[str, str]], read: set[tuple[str, str]]) -> set[str]:
    """Columns that are neither read nor listed."""
    return {
        f"{table}.{column}"
        for table, column in schema - read
        if table not in COLUMNS and f"{table}.{column}" not in COLUMNS
    }


def families() -> set[str]:
    """Those in the table of keys: "u:" for u:<user>, "users" for one key."""
    assert keys.__doc__ is not None
    table = keys.__doc__.partition("\nChannels\n")[0]
    found: set[str] = set()
    for line in re.findall(r"^  ([a-z].*)", table, re.MULTILINE):
        names = re.split(r"  +| +(?=[a-z]+ [a-z])", line)[0]
        found |= {name.partition("<")[0] for name in names.split(", ")}
    return found


def family(key: bytes) -> str:
    """Of a key without the prefix, or of its beginning."""
    name, colon, _ = key.partition(b":")
    return (name + colon).decode()


class _Listening:
    """A connection that remembers which keys were asked for."""

    def __init__(self, redis: Any, prefix: str) -> None:
        self._redis = redis
        self.prefix = prefix
        self.asked: set[str] = set()

    def call(self, command: str, key: str | bytes, *words: Any) -> Any:
        name = key if isinstance(key, bytes) else key.encode()
        self.asked.add(family(name.removeprefix(self.prefix.encode())))
        return self._redis.call(command, key, *words)


class SqliteGuard(MigrationCase):
    """The schema, column by column."""

    def read(self) -> tuple[set[tuple[str, str]], set[tuple[str, str]], set[str]]:
        """(the schema, what the export reads of it, tables without a row)"""
        cellar = self.open_sqlite("one", fanout_users=3)
        self.live()
        self.wait_for(cellar.close())
        read: set[tuple[str, str]] = set()

        def authorise(action: int, table: str | None, column: str | None, *_: Any) -> int:
            if action == sqlite3.SQLITE_READ:
                read.add((str(table), str(column)))
            return sqlite3.SQLITE_OK

        with closing(connect(self.folder / "one" / DATABASE_NAME, read_only=True)) as connection:
            schema = columns(connection)
            empty = {
                table
                for table in {table for table, _ in schema}
                if connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is None
            }
            connection.set_authorizer(authorise)

            async def everything() -> None:
                async for _ in SqliteSource(connection).everything():
                    pass

            self.wait_for(ensureDeferred(everything()))
            connection.set_authorizer(None)
        return schema, read, empty

    def test_every_column(self) -> None:
        schema, read, empty = self.read()
        self.assertEqual(set(), forgotten(schema, read))
        # A life without it would not notice that it is carried wrongly.
        self.assertEqual(set(), empty)
        # What is listed is there, and is not read after all.
        known = {table for table, _ in schema} | {f"{table}.{column}" for table, column in schema}
        self.assertEqual(set(), COLUMNS.keys() - known)
        self.assertEqual(set(), COLUMNS.keys() & {f"{table}.{column}" for table, column in read})
        # It would be seen.
        self.assertEqual({"stars.no"}, forgotten(schema | {("stars", "no")}, read))
        self.assertEqual({"groups.topic"}, forgotten(schema | {("groups", "topic")}, read))


class SourceGuard(SynchronousTestCase):
    """What the sources say."""

    def test_meta(self) -> None:
        text = sources(imserver.backends.embedded, "*.py")
        written = set(re.findall(r"INTO meta VALUES \('(\w+)'", text))
        self.assertLessEqual({"floor", "epoch", "calls_at"}, written)
        self.assertEqual(set(), written - META.keys())

    def test_every_key_is_in_the_table(self) -> None:
        lua = sources(imserver.backends.redis, "lua/*.lua")
        python = sources(imserver.backends.redis, "*.py")
        written = set(re.findall(r"\bP \.\. '([a-z]+:?)", lua)) | set(
            re.findall(r"prefix\}([a-z]+:?)", python)
        )
        self.assertGreater(len(written), 60)
        self.assertEqual(set(), written - families())

    def test_formats(self) -> None:
        """Redis knows client ids by the formats alone in which they came."""
        built_in = {key.partition("/")[0] for key in FORMATS}
        self.assertLessEqual(built_in | {"rest", file_news.FORMAT}, set(SENT_IN))


class RedisGuard(MigrationCase):
    """The table of keys."""

    def test_every_family(self) -> None:
        redis = self.open_redis()
        redis.settings.fanout_users = 3
        self.live()
        self.wait_for(redis.close())
        there = {family(key[2:]) for key in self.wait_for(self.link.call("KEYS", "t:*"))}
        self.assertEqual(set(), there - families())
        listening = _Listening(self.link, "t:")

        async def everything() -> None:
            source = RedisSource(listening, self.wall, DAY, DAY, SENT_IN)  # type: ignore[arg-type]
            async for _ in source.everything():
                pass

        self.wait_for(ensureDeferred(everything()))
        self.assertEqual(set(), families() - listening.asked - FAMILIES.keys())
        # What is listed is there, and is not read after all.
        self.assertEqual(set(), FAMILIES.keys() - families())
        self.assertEqual(set(), FAMILIES.keys() & listening.asked)
        # A life without it would not notice that it is carried wrongly.
        self.assertEqual({"base"}, listening.asked - there, "base: test_after_retention has it")

    def test_the_same_keys(self) -> None:
        """From Redis to Redis by way of SQLite: it is as if the nodes had written it."""
        redis = self.open_redis()
        redis.settings.fanout_users = 3
        self.live()
        self.wait_for(redis.close())
        self.assertEqual([], self.to_sqlite("two").faults)
        before = self.contents()
        self.wait_for(self.link.call("FLUSHALL"))
        self.assertEqual([], self.to_redis("two").faults)
        after = self.contents()
        self.assertEqual([], [name for name in sorted(before | after) if before.get(name) != after.get(name)])

    def contents(self) -> dict[bytes, Any]:
        """Everything that is not of nodes, by keys."""
        found = {}
        for key in self.wait_for(self.link.call("KEYS", "t:*")):
            name = key[2:]
            if FAMILIES.get(family(name), "").startswith(("of ", "made")) or family(name) not in FAMILIES:
                found[name] = self.content(key, family(name))
        return found

    def content(self, key: bytes, of: str) -> Any:
        """What is at a key, without what is not carried and what may be in any order."""
        kind = self.wait_for(self.link.call("TYPE", key))
        kind = kind if isinstance(kind, str) else kind.decode()
        if kind == "string":
            value = self.wait_for(self.link.call("GET", key))
            return None if of in UNLIKE else value
        if kind == "list":
            return self.wait_for(self.link.call("LRANGE", key, 0, -1))
        if kind == "set":
            return sorted(self.wait_for(self.link.call("SMEMBERS", key)))
        if kind == "zset":
            if of == "gm:":
                return self.wait_for(self.link.call("ZRANGE", key, 0, -1))
            rows = self.wait_for(self.link.call("ZRANGE", key, 0, -1, "WITHSCORES"))
            return {name: float(score) for name, score in zip(rows[::2], rows[1::2], strict=True)}
        fields = self.wait_for(self.link.call("HGETALL", key))
        if of == "m:":
            return {no: decode_stored(row) for no, row in zip(fields[::2], fields[1::2], strict=True)}
        pairs = zip(fields[::2], fields[1::2], strict=True)
        return {
            name: number(value)
            for name, value in pairs
            if name.decode(errors="replace") not in UNLIKE.get(of, ())
        }
