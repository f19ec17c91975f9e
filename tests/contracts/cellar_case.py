"""What the contract suites need of a backend, and how they speak to it."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from imserver.model.accounts import Account, Principal, Role
from imserver.model.errors import ErrorCode, ImError
from imserver.model.groups import GroupMember
from imserver.model.messages import Content, Form, InboxPage, MessageAccepted, ReadHistory, SendMessage
from imserver.services.ports import Bus, Change, Directory, Entry, EntryRow, GroupRecord, Store

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase as _Base
else:
    # Were the suites test cases themselves, they would be run without a backend.
    _Base = object

T = TypeVar("T")

BIG = 10**9


class Cellar(Protocol):
    """Store, directory and bus of one backend."""

    @property
    def store(self) -> Store: ...
    @property
    def directory(self) -> Directory: ...
    @property
    def bus(self) -> Bus: ...


def each_entry(entries: Sequence[Entry | EntryRow]) -> Iterator[Entry]:
    """Entries of what is on the feed; of rows, as they would be by themselves."""
    for entry in entries:
        if isinstance(entry, Entry):
            yield entry
        else:
            for number, message in enumerate(entry.messages.each()):
                recipients = tuple((user, seq + number) for user, seq in entry.recipients)
                yield Entry(message, recipients, frozenset(), entry.origin)


class Answer(NamedTuple):
    """The outcome of one `append` or `refuse`."""

    ticket: Any
    outcome: MessageAccepted | ImError


class Recorder:
    """A feed sink that keeps everything."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.entries: list[Entry] = []
        self.changes: list[Change] = []
        self.times_missed = 0

    def answered(self, tickets: Sequence[Any], outcomes: Sequence[MessageAccepted | ImError]) -> None:
        self.answers.extend(Answer(*both) for both in zip(tickets, outcomes, strict=True))

    def committed(self, entries: Sequence[Entry | EntryRow]) -> None:
        self.entries.extend(each_entry(entries))

    def changed(self, changes: Sequence[Change]) -> None:
        self.changes.extend(changes)

    def interrupted(self) -> None:
        pass

    def missed(self) -> None:
        self.times_missed += 1

    def outcome(self, ticket: Any) -> MessageAccepted | ImError | None:
        """The one answer to a ticket; None if there is none yet."""
        found = [answer.outcome for answer in self.answers if answer.ticket == ticket]
        assert len(found) <= 1, f"{ticket} was answered {len(found)} times"
        return found[0] if found else None


class InOrder(Recorder):
    """Keeps the order in which messages and revokes are told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def committed(self, entries: Sequence[Entry | EntryRow]) -> None:
        super().committed(entries)
        for entry in each_entry(entries):
            users = [user for user, _ in entry.recipients]
            self.told.append(f"{'revoked' if entry.message.revoked else 'content'} to {' '.join(users)}")

    def changed(self, changes: Sequence[Change]) -> None:
        super().changed(changes)
        self.told += ["news of the revoke" for _ in changes]


class CellarCase(_Base):
    """The base of the suites; mixed into a SynchronousTestCase together with a way to make a backend.

    A backend's test implements `make_cellar`, `wait_for` and `settle`.
    """

    cellar: Cellar
    sink: Recorder

    def make_cellar(self, **settings: Any) -> Cellar:
        """A fresh, open backend; settings as `EngineSettings`. Its clean-up is the case's affair."""
        raise AssertionError("implemented by each backend's test")

    def wait_for(self, awaitable: Awaitable[T] | Coroutine[Any, Any, T]) -> T:
        """Runs it to its end."""
        raise AssertionError("implemented by each backend's test")

    def settle(self) -> None:
        """Lets everything submitted be committed and told."""
        raise AssertionError("implemented by each backend's test")

    def later(self, seconds: float) -> None:
        """Lets time pass."""
        raise AssertionError("implemented by each backend's test")

    def open_cellar(self, *users: str, **settings: Any) -> None:
        """A fresh backend with these accounts."""
        self.cellar = self.make_cellar(**settings)
        self.sink = Recorder()
        self.cellar.store.attach(self.sink)
        self._tickets = 0
        self.add_users(*users)

    def add_users(self, *users: str) -> None:
        """Accounts without passwords."""
        for user in users:
            self.wait_for(self.cellar.directory.create_account(Account(user, "")))

    def add_group(self, group: str, owner: str, *members: str) -> None:
        """An open group."""
        self.wait_for(self.cellar.directory.create_group(group, group, owner, True, "", members, 1.0))

    def code(self, ticket: Any) -> ErrorCode | None:
        """The code of the refusal a ticket was answered with; None for an acceptance."""
        outcome = self.sink.outcome(ticket)
        assert outcome is not None, f"{ticket} was not answered"
        return outcome.code if isinstance(outcome, ImError) else None

    def accepted(self, ticket: Any) -> MessageAccepted:
        """The acceptance a ticket was answered with."""
        outcome = self.sink.outcome(ticket)
        assert isinstance(outcome, MessageAccepted), outcome
        return outcome

    def record(self, group: str) -> GroupRecord:
        """A group that must exist."""
        record = self.wait_for(self.cellar.directory.group(group))
        assert record is not None
        return record

    # Sending

    def principal(self, user: str, *, role: Role = Role.USER, format: str = "jsonline") -> Principal:
        """A user's session."""
        return Principal(user, f"session-{user}", format, "device", "test", role)

    def submit(
        self,
        user: str,
        text: str = "hello",
        *,
        role: Role = Role.USER,
        format: str = "jsonline",
        **command: Any,
    ) -> int:
        """Sends without waiting; returns the ticket."""
        self._tickets += 1
        content = command.pop("content", Content(Form.TEXT, text.encode()))
        send = SendMessage(content, **command)
        self.cellar.store.append(self.principal(user, role=role, format=format), send, self._tickets)
        return self._tickets

    def send(self, user: str, text: str = "hello", **command: Any) -> MessageAccepted:
        """Sends; returns the answer, which must not be a refusal."""
        outcome = self.outcome(self.submit(user, text, **command))
        assert isinstance(outcome, MessageAccepted), outcome
        return outcome

    def refused(self, user: str, text: str = "hello", **command: Any) -> ErrorCode:
        """Sends; returns why it was refused."""
        outcome = self.outcome(self.submit(user, text, **command))
        assert isinstance(outcome, ImError), outcome
        return outcome.code

    def outcome(self, ticket: int) -> MessageAccepted | ImError:
        """The answer, after everything has settled."""
        self.settle()
        outcome = self.sink.outcome(ticket)
        assert outcome is not None, "not answered"
        return outcome

    def error_of(self, awaitable: Awaitable[Any]) -> ErrorCode:
        """The refusal a coroutine ends with."""
        try:
            result = self.wait_for(awaitable)
        except ImError as error:
            return error.code
        raise AssertionError(f"not refused: {result!r}")

    # Reading

    def inbox(
        self, user: str, after: int = 0, at_least: int = 0, limit: int = 1000, size: int = BIG
    ) -> InboxPage:
        """A page of an inbox."""
        return self.wait_for(self.cellar.store.inbox(user, after, at_least, limit, size))

    def texts(self, user: str) -> list[tuple[int, str]]:
        """(seq, text) of everything in an inbox."""
        return [(row.seq, row.message.content.data.decode()) for row in self.inbox(user).rows]

    def names(self, user: str) -> list[str]:
        """The conversation names of everything in an inbox."""
        return [row.message.conversation for row in self.inbox(user).rows]

    def history(self, user: str, limit: int = 1000, size: int = BIG, **query: Any) -> list[str]:
        """The texts of a page of history."""
        page = self.wait_for(self.cellar.store.history(user, ReadHistory(**query), limit, size))
        return [row.message.content.data.decode() for row in page.rows]

    def members(self, group: str) -> list[GroupMember]:
        """A group's members."""
        return self.record(group).group.members
