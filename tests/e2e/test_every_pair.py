"""One conversation, for every ordered pair of formats, through one real process.

Both framings and both string forms of document 000, both encodings of
document 002 and both dialects of document 004 count as formats of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.e2e.conversations import LONGEST, PAIRS, Conversation, Heard, hears
from tests.e2e.people import JsonLinePerson, Person
from tests.e2e.server import EVERY_FORMAT, NO_RATES, Server
from tests.e2e.variants import VARIANTS

NEVER_TOO_LONG = ("framed-u16", "framed-qstring", "unframed-u16")
"""Their messages cannot be longer than 65,535 bytes."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One process for all pairs."""
    made = Server(
        tmp_path_factory.mktemp("pairs") / "data",
        overrides=[*NO_RATES, "limits.unauthenticated_per_address=0"],
        listeners=EVERY_FORMAT,
    )
    pytest_twisted.blockon(Deferred.fromCoroutine(made.start()))
    yield made
    if made.running:
        pytest_twisted.blockon(Deferred.fromCoroutine(made.stop()))
    made.close()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{a}-to-{b}" for a, b in PAIRS])
async def test_a_conversation(server: Server, first: str, second: str) -> None:
    await Conversation(server, first, second).run()
    server.assert_clean()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("first", [name for name in VARIANTS if name not in NEVER_TOO_LONG])
async def test_one_byte_too_many(server: Server, first: str) -> None:
    """Refused whole: nothing of it arrives."""
    sender, reader = VARIANTS[first](f"long-{first}"), JsonLinePerson(f"reader-{first}")
    for person in (sender, reader):
        await person.log_in(server)
    sent = await sender.send("long", LONGEST + "x", user=reader.user)
    assert bool(sent.error) == sender.tells
    assert (await sender.send("right", "right", user=reader.user)).error == 0
    await hears(reader, [(sender.user, "", "right")])
    for person in (sender, reader):
        await person.log_out()


@pytest_twisted.ensureDeferred
async def test_a_group_of_everybody(server: Server) -> None:
    """Two members of each variant: what each of them says, all the others hear, in one order."""
    people = [make(f"{name}-{place}") for place in "ab" for name, make in VARIANTS.items()]
    for person in people:
        await person.log_in(server)
    owner = next(person for person in people if isinstance(person, JsonLinePerson))
    await owner.make_group("各位", [person.user for person in people if person is not owner])
    wanted: dict[Person, Heard] = {person: [] for person in people}
    for number, speaker in enumerate(people):
        text = f"你好 😀 {number}" if number % 5 else speaker.longest(LONGEST, "group_各位")
        sent = await speaker.send(f"g{number}", text, group="各位")
        assert sent.error == 0
        for person in people:
            if person is not speaker:
                wanted[person] += person.shown(speaker.user, text, "各位")
        await hears(people[number - 1], wanted[people[number - 1]])
    for person in people:
        await hears(person, wanted[person])
    ids = [{row.message_id: row.seq for row in person.pushed()} for person in people if person.tells]
    for seen in ids:
        assert all(seen[key] == ids[0][key] for key in seen.keys() & ids[0].keys())
        assert len(seen) == len(people) - 1
    for person in people:
        await person.log_out()
    server.assert_clean()
