"""A conversation of two people: everything any two formats can do, and what all of them must see."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, gatherResults

from tests.e2e.people import Notice, Person, Sent
from tests.e2e.server import Server, sleep
from tests.e2e.variants import VARIANTS

PAIRS = list(itertools.product(VARIANTS, repeat=2))
LONGEST = "x界😀" * 8_192
"""64 KiB in UTF-8 and in UTF-16."""
MANY = 20
Heard = list[tuple[str, str, str]]


def heard(person: Person) -> Heard:
    """(sender, group, text) of everything the person was pushed on this connection."""
    return [(row.sender, row.group, row.text) for row in person.pushed()]


async def until(holds: Callable[[], bool], what: Callable[[], object]) -> None:
    """Waits for something that comes by itself."""
    for _ in range(4_000):
        if holds():
            return
        await sleep(0.005)
    raise AssertionError(what())


async def hears(person: Person, wanted: Heard) -> None:
    """The person is pushed exactly this: in this order, nothing twice, nothing more."""
    await until(lambda: len(person.pushed()) >= len(wanted), lambda: (heard(person)[-5:], wanted[-5:]))
    await person.barrier()
    assert [(s, g, t[:40], len(t)) for s, g, t in heard(person)] == [
        (s, g, t[:40], len(t)) for s, g, t in wanted
    ]
    assert heard(person) == wanted


class Conversation:
    """Two people, and another device of the first one that speaks the second one's format.

    Args:
        server: for all of them, or one for each.
    """

    def __init__(self, server: Server | Sequence[Server], first: str, second: str) -> None:
        number = PAIRS.index((first, second))
        self.a = VARIANTS[first](f"甲{number}", "one")
        self.b = VARIANTS[second](f"b_{number}", "two")
        self.other = VARIANTS[second](self.a.user, "three")
        servers = [server] * 3 if isinstance(server, Server) else server
        self.servers = dict(zip((self.a, self.b, self.other), servers, strict=True))
        self.sent_by_a: list[Sent] = []
        self.wanted: dict[Person, Heard] = {self.a: [], self.b: [], self.other: []}
        self._ids = itertools.count(1)

    async def log_in(self) -> None:
        """Everybody."""
        for person, server in self.servers.items():
            await person.log_in(server)

    def sends(self, text: str) -> Deferred[Sent]:
        """The first one sends."""
        self._heard_from_a(text)
        return self._checked(self.a.send(self.new_id(), text, user=self.b.user), self.sent_by_a)

    def _heard_from_a(self, text: str) -> None:
        self.wanted[self.b] += self.b.shown(self.a.user, text)
        if self.other.tells:
            # Document 000 cannot say to whom one's own message went, so its devices are not sent it.
            self.wanted[self.other] += self.other.shown(self.a.user, text)

    def answers(self, text: str) -> Deferred[Sent]:
        """The second one sends."""
        for person in (self.a, self.other):
            self.wanted[person] += person.shown(self.b.user, text)
        return self._checked(self.b.send(self.new_id(), text, user=self.a.user), [])

    def new_id(self) -> str:
        return f"c{next(self._ids)}"

    @staticmethod
    def _checked(answer: Deferred[Sent], sent: list[Sent]) -> Deferred[Sent]:
        def check(got: Sent) -> Sent:
            assert got.error == 0, got
            sent.append(got)
            return got

        return answer.addCallback(check)

    async def arrives(self) -> None:
        """Everything that was sent is where it belongs."""
        for person, wanted in self.wanted.items():
            await hears(person, wanted)

    async def texts(self) -> None:
        """你好 😀, nothing, and the longest there is, there and back."""
        for text in ("hello", "你好 😀", "", self.a.longest(LONGEST, self.b.user)):
            await self.sends(text)
        # Document 000 answers nothing: wait, so that there is one order of both directions.
        await hears(self.b, self.wanted[self.b])
        for text in ("hello back", "你好 😀", "", self.b.longest(LONGEST, self.a.user)):
            await self.answers(text)
        await self.arrives()

    async def many(self) -> None:
        """Both send at once; each one's order is kept."""
        before = {person: len(wanted) for person, wanted in self.wanted.items()}
        everything = []
        for number in range(MANY):
            everything.append(self.sends(f"a#{number}"))
            everything.append(self.answers(f"b#{number}"))
        await gatherResults(everything, consumeErrors=True)
        for person, wanted in self.wanted.items():
            await until(lambda p=person, w=wanted: len(p.pushed()) >= len(w), lambda p=person: heard(p)[-50:])  # type: ignore[misc]
            await person.barrier()
            got = heard(person)
            for sender in (self.a.user, self.b.user):
                since = [item for item in got[before[person] :] if item[0] == sender]
                assert since == [item for item in wanted[before[person] :] if item[0] == sender]
            # How the two directions mixed is up to chance.
            assert len(got) == len(wanted)
            wanted[:] = got

    def numbers(self) -> None:
        """Ids and numbers are the same wherever a format shows them, and the numbers have no gaps."""
        of_a = {row.message_id for row in self.a.pushed()} | {sent.message_id for sent in self.sent_by_a}
        if self.a.tells:
            assert sorted(
                [row.seq for row in self.a.pushed()] + [sent.seq for sent in self.sent_by_a]
            ) == list(range(1, len(of_a) + 1))
        if self.other.tells:
            rows = self.other.pushed()
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
            if self.a.tells:
                own = [(row.message_id, row.seq) for row in rows if row.sender == self.a.user]
                assert own == [(sent.message_id, sent.seq) for sent in self.sent_by_a]
                assert [row for row in rows if row.sender == self.b.user] == self.a.pushed()
        if self.a.tells and self.b.tells:
            assert [row.message_id for row in self.b.pushed()] == [sent.message_id for sent in self.sent_by_a]

    async def retries(self) -> None:
        """The same client id: the same answer and no second message; or a conflict."""
        if not self.a.tells:
            return
        client_id = self.new_id()
        self._heard_from_a("once")
        first = await self.a.send(client_id, "once", user=self.b.user)
        assert first.error == 0
        self.sent_by_a.append(first)
        assert await self.a.send(client_id, "once", user=self.b.user) == first
        assert (await self.a.send(client_id, "twice", user=self.b.user)).error
        await self.arrives()

    async def receipts(self) -> None:
        """Reading and taking back are told to those whose format can show it."""
        if not (self.a.tells and self.b.tells):
            return
        last = self.b.pushed()[-1].message_id
        assert await self.b.mark_read(last)
        read = Notice((last,), self.b.user)
        for person in (self.a, self.other):
            await until(lambda p=person: read in p.receipts(), lambda p=person: p.receipts())  # type: ignore[misc]
            assert person.receipts() == [read]
        assert await self.a.revoke(last)
        taken = Notice((last,), self.a.user)
        for person in (self.b, self.other):
            await until(lambda p=person: taken in p.revokes(), lambda p=person: p.revokes())  # type: ignore[misc]
            assert person.revokes() == [taken]
        assert not await self.b.revoke(self.b.pushed()[0].message_id), "it is not theirs"

    async def offline(self) -> None:
        """What was missed comes at the next log-in: once, in order, without what was taken back."""
        await self.b.settle()
        await self.b.log_out()
        wanted: Heard = []
        for number in range(4):
            text = f"missed {number}"
            sent = await self.a.send(self.new_id(), text, user=self.b.user)
            if self.other.tells:
                self.wanted[self.other] += self.other.shown(self.a.user, text)
            if number == 1 and self.a.tells:
                assert await self.a.revoke(sent.message_id)
                wanted += [(self.a.user, "", "")] if self.b.tells else []
            else:
                wanted += self.b.shown(self.a.user, text)
        await self.a.barrier()
        if not self.a.tells:
            # Its sends are not answered; they are durable once another device has them, or soon.
            await sleep(0.2)
        await self.b.log_in(self.servers[self.b])
        await self.b.catch_up()
        await hears(self.b, wanted)
        if self.b.tells:
            assert [row.revoked for row in self.b.pushed()] == [False, self.a.tells, False, False]
        self.wanted[self.b] = wanted

    async def inboxes(self) -> None:
        """Both devices of the first one read one and the same inbox, as it was pushed."""
        if not self.other.tells:
            return
        inbox = await self.other.inbox()
        pushed = self.other.pushed()
        assert [row.message_id for row in inbox] == [row.message_id for row in pushed]
        if self.a.tells:
            assert await self.a.inbox() == inbox
            revoked = {notice.message_ids[0] for notice in self.other.revokes()}
            assert {row.message_id for row in inbox if row.revoked} == revoked

    async def run(self) -> None:
        """All of it."""
        await self.log_in()
        await self.texts()
        await self.many()
        await self.retries()
        self.numbers()
        await self.receipts()
        await self.arrives()
        await self.offline()
        await self.arrives()
        await self.inboxes()
        await self.close()

    async def close(self) -> None:
        """Everybody goes."""
        for person in (self.a, self.b, self.other):
            await person.log_out()
