"""Was this very send accepted before? Then it is answered again and not done again."""

from __future__ import annotations

from functools import partial

from imserver.backends.common.digests import payload_digest
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.entities import User
from imserver.backends.embedded.log_rows import LogReader
from imserver.backends.embedded.records import MessageRecord, decode, digest_of, first_answer
from imserver.backends.embedded.state import State
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MessageAccepted, SendMessage


class Retries:
    """Looks for a client id in the log's tail, then on the disk."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def known(
        self, state: State, sender: User, format: str, hashed: int, canonical: str, command: SendMessage
    ) -> MessageAccepted | None:
        """The first answer, if this client id was used before in the window. CONFLICT for another payload.

        Args:
            hashed: of sender, format and client id; the filters have let it through.
        """
        first = self._first(state, sender, format, hashed, command.client_id)
        if first is None:
            return None  # nearly always
        if digest_of(first) != payload_digest(canonical, command):
            raise ImError(ErrorCode.CONFLICT, "this client id was used for another message")
        return first_answer(first)

    def _first(
        self, state: State, sender: User, format: str, hashed: int, client_id: str
    ) -> MessageRecord | None:
        dedupe, reader, journal = state.dedupe, self._core.reader, self._core.journal
        for older in (dedupe.in_tail, partial(dedupe.on_disk, reader, self._core.wall)):
            for offset in older(hashed):
                body = journal.body(offset) or LogReader(reader).body(offset)
                if body is None:
                    continue
                record = decode(body)
                if (
                    isinstance(record, MessageRecord)
                    and record.client_id == client_id
                    and record.format == format
                    and state.user(record.sender) is sender
                ):
                    return record
        return None
