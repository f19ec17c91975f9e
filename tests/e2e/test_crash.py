"""SIGKILL under load: what was acknowledged is there, once, in order, and a retry adds nothing.

Eight people of both formats send to one another and to two groups, several
sends at a time. The process dies at a random moment or at a named point of the
engine. After the restart everybody sends again whatever was not answered.
"""

from __future__ import annotations

import random
import signal
from collections import defaultdict
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.error import ConnectionLost

from tests.e2e.commands import verify
from tests.e2e.conftest import Serve
from tests.e2e.people import JsonLinePerson, Person, ProtobufPerson, Row, Sent
from tests.e2e.server import NO_RATES, Server, sleep
from tests.effort import effort, seeds

FAILPOINTS = (
    "before-insert",
    "after-insert",
    "before-commit",
    "after-commit",
    "before-ack",
    "after-ack",
    "before-push",
    "after-push",
    "before-index",
    "after-index",
)
USERS = tuple(f"user{number}" for number in range(8))
GROUPS = {"some": USERS[:4], "all": USERS}
WINDOW = 8
ROUNDS = effort(2, 4, 20)


class Sending:
    """One message somebody wants to send, and what became of it."""

    def __init__(self, sender: Person, number: int, user: str, group: str) -> None:
        self.sender = sender
        self.client_id = f"{sender.user}-{number}"
        self.text = f"{sender.user} #{number} 你好"
        self.user = user
        self.group = group
        self.answers: list[Sent] = []

    @property
    def recipients(self) -> set[str]:
        """Whose inboxes it goes to."""
        return {self.sender.user, *(GROUPS[self.group] if self.group else (self.user,))}

    def go(self) -> Deferred[Sent]:
        """Sends it (again)."""
        sent = self.sender.send(self.client_id, self.text, user=self.user, group=self.group)
        return sent.addCallback(self._answered)

    def _answered(self, sent: Sent) -> Sent:
        self.answers.append(sent)
        return sent


class Load:
    """Everybody sends, each with a window of unanswered messages, until the connections end."""

    def __init__(self, chance: random.Random, people: list[Person]) -> None:
        self.chance = chance
        self.people = people
        self.sendings: dict[str, list[Sending]] = {person.user: [] for person in people}

    def run(self, count: int) -> Deferred[Any]:
        """Everybody sends `count` messages; fires when all are answered or the connections are gone."""
        workers = [
            ensureDeferred(self._work(person, count // WINDOW))
            for person in self.people
            for _ in range(WINDOW)
        ]
        return gatherResults(workers, consumeErrors=True)

    async def _work(self, person: Person, count: int) -> None:
        mine = self.sendings[person.user]
        for _ in range(count):
            sending = Sending(person, len(mine), *self._target(person))
            mine.append(sending)
            try:
                await sending.go()
            except ConnectionLost:
                return

    def _target(self, person: Person) -> tuple[str, str]:
        if self.chance.random() < 0.3:
            return "", self.chance.choice([name for name in GROUPS if person.user in GROUPS[name]])
        return self.chance.choice(USERS), ""

    def unanswered(self, user: str) -> list[Sending]:
        """In the order in which they were first sent."""
        return [sending for sending in self.sendings[user] if not sending.answers]


async def set_up(server: Server) -> list[Person]:
    """Everybody logged in, both formats, groups made."""
    people: list[Person] = []
    for number, user in enumerate(USERS):
        person = ProtobufPerson(user) if number % 2 else JsonLinePerson(user)
        await person.log_in(server)
        people.append(person)
    owner = people[0]
    assert isinstance(owner, JsonLinePerson)
    for group, members in GROUPS.items():
        await owner.make_group(group, list(members))
    return people


async def check(server: Server, load: Load, pushed: dict[str, list[Row]]) -> None:
    """The promise, over every inbox in both formats."""
    inboxes: dict[str, list[Row]] = {}
    for user in USERS:
        views = []
        for reader in (ProtobufPerson(user), JsonLinePerson(user)):
            await reader.log_in(server)
            views.append(await reader.inbox())
            await reader.log_out()
        assert views[0] == views[1], f"{user}: sync and history differ"
        inboxes[user] = views[0]

    expected: dict[str, set[str]] = defaultdict(set)
    for user in USERS:
        for sending in load.sendings[user]:
            assert sending.answers, f"{sending.client_id} has no answer after the retry"
            assert {answer.error for answer in sending.answers} == {0}, sending.answers
            assert len(set(sending.answers)) == 1, sending.answers
            for recipient in sending.recipients:
                expected[recipient].add(sending.text)
            answer = sending.answers[0]
            row = inboxes[user][answer.seq - 1]
            assert (row.seq, row.message_id, row.text) == (answer.seq, answer.message_id, sending.text)

    for user, rows in inboxes.items():
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1)), f"{user}: numbers are not dense"
        assert len({row.message_id for row in rows}) == len(rows), f"{user}: a message twice"
        assert sorted(row.text for row in rows) == sorted(expected[user]), f"{user}: not what was sent"
        last: dict[str, int] = defaultdict(lambda: -1)
        for row in rows:
            number = int(row.text.split("#")[1].split()[0])
            assert number > last[row.sender], f"{user}: {row.sender}'s order was not kept"
            last[row.sender] = number
        # Nothing was pushed that the crash then took back.
        for row in pushed[user]:
            assert rows[row.seq - 1] == row, f"{user} was pushed {row}, which is not in the inbox"


async def crash_round(server: Server, seed: int, failpoint: str) -> None:
    """One life, death and second life."""
    chance = random.Random(seed)
    await server.start()
    people = await set_up(server)
    if failpoint:
        # The set-up passes the points too; the count begins with a second start.
        await server.stop()
        count = chance.randint(1, 3) if "index" in failpoint else chance.randint(1, 300)
        await server.start({"IMSERVER_FAILPOINT": f"{failpoint}:{count}"})
        for person in people:
            await person.log_in(server)

    load = Load(chance, people)
    if failpoint:
        await load.run(2_000)
        assert await server.ended() == -signal.SIGKILL, f"{failpoint} was not passed often enough"
    else:
        ended = load.run(1_000_000)
        await sleep(chance.uniform(0.2, 1.5))
        server.kill()
        await ended
    for person in people:
        await person.connection_gone()
    sent = sum(len(sendings) for sendings in load.sendings.values())
    assert sent, "nothing was sent before the end"

    pushed = {person.user: person.pushed() for person in people}
    await server.start()
    for person in people:
        await person.log_in(server)
    await gatherResults(
        [sending.go() for person in people for sending in load.unanswered(person.user)], consumeErrors=True
    )
    # One that was answered before is asked again too: the same answer, nothing new.
    again = [chance.choice(sendings) for sendings in load.sendings.values() if sendings]
    await gatherResults([sending.go() for sending in again], consumeErrors=True)
    await load.run(WINDOW)
    await check(server, load, pushed)
    for person in people:
        await person.log_out()
    await server.stop()
    verify(server.data)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("seed", seeds(ROUNDS))
@pytest.mark.parametrize("failpoint", ["", *FAILPOINTS], ids=["random", *FAILPOINTS])
async def test_nothing_acknowledged_is_lost(serve: Serve, failpoint: str, seed: int) -> None:
    print(f"crash {failpoint or 'at random'}: IMSERVER_SEED={seed}")
    overrides = [*NO_RATES, "store.flush_rows=100"]
    await crash_round(serve(overrides=overrides), seed, failpoint)
