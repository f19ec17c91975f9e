"""`python -m benchmarks.evalsha PORT SECONDS`: the bare loop that nodes are compared with.

One connection of txredisapi keeps 256 calls of a script that sets one key under way. Prints how many
were answered, and the seconds of processor time that took.
"""

from __future__ import annotations

import itertools
import sys
import time
from typing import Any

import txredisapi
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred

reactor: Any = _reactor
WINDOW = 256
SCRIPT = "return redis.call('SET', KEYS[1], ARGV[1])"


class Loop:
    """Calls again for every answer, until the time is over."""

    def __init__(self, connection: Any, digest: str, seconds: float) -> None:
        self._connection = connection
        self._digest = digest
        self._numbers = itertools.count()
        self._until = time.perf_counter() + seconds
        self._waiting = 0
        self.answered = 0
        self.ended: Deferred[None] = Deferred()

    def call(self) -> None:
        """One call."""
        self._waiting += 1
        key = f"bare:{next(self._numbers)}"
        self._connection.evalsha(self._digest, keys=[key], args=["m" * 100]).addCallback(self._answered)

    def _answered(self, _: Any) -> None:
        self._waiting -= 1
        if time.perf_counter() < self._until:
            self.answered += 1
            self.call()
        elif not self._waiting:
            self.ended.callback(None)


async def run(port: int, seconds: float) -> None:
    """The whole of it."""
    connection = await txredisapi.Connection("127.0.0.1", port, reconnect=False)
    digest = await connection.script_load(SCRIPT)
    begun = time.process_time()
    loop = Loop(connection, digest, seconds)
    for _ in range(WINDOW):
        loop.call()
    await loop.ended
    print(loop.answered, time.process_time() - begun)
    await connection.disconnect()


def main() -> None:
    """The command."""
    done = Deferred.fromCoroutine(run(int(sys.argv[1]), float(sys.argv[2])))
    done.addErrback(lambda failure: failure.printTraceback(sys.stderr))
    done.addBoth(lambda _: reactor.callLater(0, reactor.stop))
    reactor.run()


if __name__ == "__main__":
    main()
