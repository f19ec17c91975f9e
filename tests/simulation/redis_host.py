"""The Redis that simulated nodes share: a real redis-server that does one thing at a time, when told to.

Three things of a real one depend on more than what it is asked, and are taken over here: its clock, the
order of its sets and hashes (it draws a seed when it starts), and what it is called. Scripts see
the world's time and sorted answers, by a few lines of Lua in front of each.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from hashlib import sha1
from typing import Any

from hiredis import Reader, ReplyError, pack_command

from tests.simulation.world import WALL_START, World

pack: Callable[[tuple[Any, ...]], bytes] = pack_command
"""Writes a command, or a list of words as an answer."""

Heard = Callable[[bytes, bytes], None]
"""Takes a channel and what was published on it."""

_CLOCK = "simulated:now"
_SHIM = f"""
local redis = setmetatable({{call = function(name, ...)
  if name == 'TIME' then
    local seconds, rest = string.match(redis.call('GET', '{_CLOCK}'), '(%d+) (%d+)')
    return {{seconds, rest}}
  elseif name == 'SPOP' then
    local key, count = ...
    local found = redis.call('SMEMBERS', key)
    table.sort(found)
    local taken = {{}}
    for index = 1, math.min(#found, tonumber(count)) do
      taken[index] = found[index]
      redis.call('SREM', key, found[index])
    end
    return taken
  end
  local found = redis.call(name, ...)
  if name == 'SMEMBERS' or name == 'HKEYS' or name == 'HVALS' then
    table.sort(found)
  elseif name == 'HGETALL' then
    local fields, values, sorted = {{}}, {{}}, {{}}
    for index = 1, #found, 2 do
      fields[#fields + 1] = found[index]
      values[found[index]] = found[index + 1]
    end
    table.sort(fields)
    for _, field in ipairs(fields) do
      sorted[#sorted + 1] = field
      sorted[#sorted + 1] = values[field]
    end
    return sorted
  end
  return found
end}}, {{__index = redis}})
""".replace("\n", " ").encode()
_NO_SCRIPT = b"-NOSCRIPT No matching script. Please use EVAL.\r\n"
_PONG = [b"pong", b""]


class RedisHost:
    """One Redis for one run.

    Args:
        port: where the redis-server is; it is emptied.

    Attributes:
        aged: days that have passed at once, in seconds.
        life: which process it is; another one after each restart.
        after: called after each script that ran, with its text.
    """

    def __init__(self, world: World, port: int) -> None:
        self.world = world
        self.aged = 0.0
        self.life = 1
        self.after: list[Callable[[bytes], None]] = []
        self._texts: dict[bytes, bytes] = {}  # what scripts are called -> as the product has them
        self._commands = _Line(port)
        self._channels = _Line(port)
        self._commands.ask(("FLUSHALL",), ("SCRIPT", "FLUSH", "SYNC"))
        self._channels.ask(("PSUBSCRIBE", "*"))
        self._told = -1.0

    def close(self) -> None:
        """The run is over."""
        self._commands.close()
        self._channels.close()

    def restart(self) -> None:
        """It ends and begins again with all it has acknowledged: only scripts and its name are gone."""
        self.life += 1
        self.forget()

    def forget(self) -> None:
        """It knows no script any more."""
        self._texts.clear()

    def time(self) -> float:
        """Its clock, float seconds."""
        return WALL_START + self.world.now + self.aged

    def do(self, words: Sequence[bytes]) -> bytes:
        """Does one command; the reply's bytes. What was published meanwhile waits for `publications`."""
        name = words[0].upper()
        if name in (b"EVAL", b"EVALSHA"):
            return self._script(name, words)
        if name == b"TIME":
            return pack(tuple(self._now()))
        if name == b"INFO":
            return bulk(f"run_id:life{self.life}\r\n".encode())
        if name == b"CONFIG":
            return pack(("appendonly", "yes", "appendfsync", "always"))
        if name == b"SCAN":
            # All at once; there are no others than lists under these names.
            keys = sorted(self.ask("KEYS", words[3]))
            return b"*2\r\n" + bulk(b"0") + pack(tuple(keys))
        (raw,) = self._commands.ask(words)
        if name in (b"SMEMBERS", b"HKEYS", b"HVALS"):
            return pack(tuple(sorted(_read(raw))))
        if name == b"HGETALL":
            return pack(_sorted_pairs(_read(raw)))
        return raw

    def ask(self, *words: Any) -> Any:
        """The harness asks something, of which no node knows."""
        found = _read(self._commands.ask(words)[0])
        if isinstance(found, ReplyError):
            raise found
        return found

    def publications(self, heard: Heard) -> None:
        """Hands over what was published since the last time, in order."""
        for reply in self._channels.until(("PING",), _PONG):
            heard(reply[2], reply[3])

    def _now(self) -> tuple[str, str]:
        microseconds = round(self.time() * 1e6)
        return str(microseconds // 1_000_000), f"{microseconds % 1_000_000:06}"

    def _script(self, name: bytes, words: Sequence[bytes]) -> bytes:
        if name == b"EVAL":
            text = words[1]
            self._texts[sha1(text, usedforsecurity=False).hexdigest().encode()] = text
        else:
            known = self._texts.get(words[1])
            if known is None:
                return _NO_SCRIPT
            text = known
        if self._told != self.time():
            self._told = self.time()
            self._commands.ask(("SET", _CLOCK, " ".join(self._now())))
        shimmed = _SHIM + text
        sha = sha1(shimmed, usedforsecurity=False).hexdigest()
        (raw,) = self._commands.ask(("EVALSHA", sha, *words[2:]))
        if raw.startswith(b"-NOSCRIPT"):
            (raw,) = self._commands.ask(("EVAL", shimmed, *words[2:]))
        for callback in self.after:
            callback(text)
        return raw


class _Line:
    """A connection to the real server that waits for each answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def ask(self, *commands: Sequence[Any]) -> list[bytes]:
        """The replies' bytes."""
        found = []
        for words in commands:
            self._socket.sendall(pack(tuple(words)))
            reader, raw = Reader(), b""
            reply: Any = False
            while reply is False:
                raw += self._receive(reader)
                reply = reader.gets()
            found.append(raw)
        return found

    def until(self, words: Sequence[Any], last: Any) -> list[Any]:
        """What came before the reply to a command."""
        self._socket.sendall(pack(tuple(words)))
        reader = Reader()
        found: list[Any] = []
        while True:
            reply = reader.gets()
            if reply is False:
                self._receive(reader)
            elif reply == last:
                return found
            else:
                found.append(reply)

    def _receive(self, reader: Reader) -> bytes:
        data = self._socket.recv(1 << 18)
        assert data, "the real Redis is gone"
        reader.feed(data)
        return data


def _read(raw: bytes) -> Any:
    reader = Reader()
    reader.feed(raw)
    return reader.gets()


def bulk(data: bytes) -> bytes:
    """A word as an answer."""
    return b"$%d\r\n%b\r\n" % (len(data), data)


def _sorted_pairs(found: list[bytes]) -> tuple[bytes, ...]:
    pairs = sorted(zip(found[::2], found[1::2], strict=True))
    return tuple(word for pair in pairs for word in pair)
