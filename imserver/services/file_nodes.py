"""What nodes that share the place for bytes tell each other of files.

An upload is at one node at a time: whoever is to go on with it has the others let go of it, and the
place for bytes itself gives a part to one server only (`Blobs.part`). What is told here may be
lost: then who waits looks again when something was missed, and a transfer that is over is found out by
its record.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct
from twisted.logger import Logger

from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Done
from imserver.services.file_channels import Channels
from imserver.services.file_news import FileNews
from imserver.services.file_ports import FileStore
from imserver.services.ports import Bus

UNSENT = 200
"""Messages that a lost node has left unsent, sent at once; the rest at the next round (`file_keeping`)."""


class What(enum.StrEnum):
    """What is said of a transfer."""

    LET_GO = "let_go"
    """Another node goes on with the upload."""
    STORED = "stored"
    OVER = "over"
    GIVEN_UP = "given_up"
    """Its recipient takes nothing more of it."""


class FileNote(Struct, frozen=True, gc=False):
    """From node to node. `user`: who gave it up; `text`: why it is over."""

    what: What
    transfer: str
    user: str = ""
    text: str = ""


class FileNodes:
    """See the module. On one node nobody is told anything.

    Args:
        spawn: runs a coroutine on its own and logs what it raises.
    """

    log = Logger()

    def __init__(
        self,
        bus: Bus,
        store: FileStore,
        news: FileNews,
        spawn: Callable[[Coroutine[Any, Any, Any]], None],
    ) -> None:
        self._bus = bus
        self._store = store
        self._news = news
        self._spawn = spawn
        self.channels: Channels | None = None

    def say(self, note: FileNote) -> None:
        """Tells it to all other nodes."""
        for node in self._bus.nodes:
            if node != self._bus.node:
                self._spawn(self._say(node, note))

    async def _say(self, node: str, note: FileNote) -> None:
        try:
            await self._bus.ask(node, note)
        except ImError as error:
            self.log.debug("a node was not told of a file: {code}", code=error.code)

    def let_go(self, transfer: str) -> None:
        """The others are to let go of an upload."""
        self.say(FileNote(What.LET_GO, transfer))

    def stored(self, transfer: str) -> None:
        """The file is whole."""
        self.say(FileNote(What.STORED, transfer))

    async def requested(self, note: FileNote) -> Done:
        """See `Bus.serve`: another node says something."""
        assert self.channels is not None
        channels = self.channels
        match note.what:
            case What.LET_GO:
                # Not waited for: who asks holds a lock of its own, and may be asked the same.
                self._spawn(channels.let_go(note.transfer))
            case What.STORED:
                channels.wake(note.transfer)
            case What.OVER:
                self._spawn(self._end(channels, note))
            case What.GIVEN_UP:
                channels.end_downloads(note.transfer, note.user)
        return Done()

    async def _end(self, channels: Channels, note: FileNote) -> None:
        try:
            await channels.end(note.transfer, ImError(ErrorCode.NOT_FOUND, note.text))
        except ImError as error:
            self.log.warn("the part of a file could not be removed yet: {code}", code=error.code)

    # ports.Watcher

    def node_lost(self, node: str) -> None:
        """See `ports.Watcher`: what it had stored may not have been told to anybody."""
        self.missed(node)
        self._spawn(self._send_messages())

    async def _send_messages(self) -> None:
        try:
            for transfer in await self._store.unsent(UNSENT):
                await self._news.send_message(transfer)
        except ImError as error:
            self.log.warn("messages of files were not sent yet: {code}", code=error.code)

    def cut_off(self) -> None:
        """See `ports.Watcher`: nothing. What goes on here is this node's as long as it holds the part."""

    def missed(self, node: str) -> None:
        """See `ports.Watcher`: who waits for a file looks again."""
        assert self.channels is not None
        self.channels.wake()
