"""Takes up keys that another server over the same store has added or withdrawn."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from imserver.services.keys import KeyRing, KeyRingError
from imserver.services.message_keys import MessageKeys

LOOK_SECONDS = 2.0


class KeyWatch:
    """Looks at the files of keys again and again. Whoever changes one does not have to tell the others."""

    log = Logger()

    def __init__(self, clock: IReactorTime, keys: KeyRing, message_keys: MessageKeys) -> None:
        self._watched = (keys, message_keys)
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock

    def start(self) -> None:
        """From now on."""
        self._loop.start(LOOK_SECONDS, now=False)

    def stop(self) -> None:
        """No more."""
        if self._loop.running:
            self._loop.stop()

    def _look(self) -> None:
        for keys in self._watched:
            try:
                keys.look()
            except KeyRingError as error:
                self.log.error("{reason}; the keys read before stay in use", reason=str(error))
