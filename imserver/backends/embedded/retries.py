"""Was this very send accepted before? Then it is answered again and not done again."""

from __future__ import annotations

from imserver.backends.common.digests import payload_digest
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.dedupe import Key
from imserver.backends.embedded.records import MessageRecord, decode, digest_of, first_answer
from imserver.backends.embedded.state import State
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MessageAccepted, SendMessage


class Retries:
    """Looks for a client id in memory (`dedupe`), then on the disk."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def known(
        self, state: State, key: Key, hashed: int, canonical: str, command: SendMessage
    ) -> MessageAccepted | None:
        """The first answer, if this client id was used before in the window. CONFLICT for another payload."""
        kept = state.dedupe.recent.get(key)
        if kept is not None:
            first, answer = self._in_tail(kept.offset), kept.answer
        else:
            if not state.dedupe.may_be_on_disk(hashed):
                return None
            first = self._on_disk(state, key, hashed)
            if first is None:
                return None
            answer = first_answer(first)
        if first is not None and digest_of(first) != payload_digest(canonical, command):
            raise ImError(ErrorCode.CONFLICT, "this client id was used for another message")
        return answer

    def _in_tail(self, offset: int) -> MessageRecord | None:
        """The row of a send that is remembered; None if retention was faster than the indexes."""
        body = self._core.journal.body(offset)
        if body is None:
            found = self._core.reader.execute("SELECT body FROM log WHERE offset = ?", (offset,)).fetchone()
            if found is None:
                return None
            (body,) = found
        record = decode(body)
        return record if isinstance(record, MessageRecord) else None

    def _on_disk(self, state: State, key: Key, hashed: int) -> MessageRecord | None:
        connection = self._core.reader
        offsets = state.dedupe.candidates(connection, hashed, self._core.wall)
        if not offsets:
            return None  # nearly always
        for offset in offsets:
            row = connection.execute("SELECT body FROM log WHERE offset = ?", (offset,)).fetchone()
            if row is None:
                continue
            record = decode(row[0])
            if (
                isinstance(record, MessageRecord)
                and record.client_id == key[2]
                and record.format == key[1]
                and state.user(record.sender) is state.users_by_no.get(key[0])
            ):
                return record
        return None
