"""Each content of docs/wire/content.md, sent by each format, arrives in every other as the page says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.content_table import Line, bodies, variations
from tests.e2e.people import Body, JsonLinePerson, Person
from tests.e2e.server import EVERY_FORMAT, NO_RATES, Server, sleep
from tests.e2e.variants import VARIANTS

ATTACHMENTS = [{"file_id": "f1", "name": "a 张.png", "size": 2048}, {"type": "image"}, {"file_name": "b"}]
META = {"reply_to": "m-0", "priority": "high", "n": [1, {"a": None}]}
EXTRA = {"k": "v", "键": "值 😀", "empty": ""}
SHOWN_ATTACHMENTS = ["[file] a 张.png", "[image]", "[file] b"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One process for all senders."""
    made = Server(tmp_path_factory.mktemp("contents") / "data", overrides=NO_RATES, listeners=EVERY_FORMAT)
    pytest_twisted.blockon(Deferred.fromCoroutine(made.start()))
    yield made
    if made.running:
        pytest_twisted.blockon(Deferred.fromCoroutine(made.stop()))
    made.close()


def cell(person: Person, line: Line) -> Any:
    """The line's body in a person's format."""
    return {
        "qdatastream": line.plain,
        "protobuf": line.numbered,
        "signalling": line.typed,
        "jsonline": line.json,
    }[person.format]


def body(person: Person, line: Line, sent: Body | None = None) -> Body:
    """The line as a person sends or sees it, with what is beside it."""
    sent = sent or Body(None)
    extra = dict(sent.extra or {})
    if line.beside and person.format == "protobuf":
        extra["im.content"] = line.beside
    return sent._replace(content=cell(person, line), extra=extra or None)


def shown(person: Person, body: Body) -> Body:
    """What a person sees of a body: the JSON formats find a file that is kept here in attachments, too."""
    content = body.content[1] if isinstance(body.content, tuple) else body.content
    if not isinstance(content, dict) or person.format == "protobuf" or body.attachments:
        return body
    if content.get("type") != "file-ref" or "message_type" not in content:
        return body
    file = {key: value for key, value in content.items() if key not in ("type", "message_type")}
    return body._replace(attachments=[file])


async def everybody(server: Server, sender: str, group: str) -> tuple[Person, list[Person]]:
    """A sender and, in a group with it, one member of every variant."""
    first = VARIANTS[sender](f"{group}-sends")
    others = [make(f"{group}-to-{name}") for name, make in VARIANTS.items()]
    for person in (first, *others):
        await person.log_in(server)
    owner = next(person for person in others if isinstance(person, JsonLinePerson))
    await owner.make_group(group, [person.user for person in (first, *others) if person is not owner])
    return first, others


async def arrives(people: list[Person], wanted: dict[Person, list[Body]]) -> None:
    """Everybody is pushed exactly what is wanted."""
    for person in people:
        for _ in range(4_000):
            if len(person.bodies()) >= len(wanted[person]):
                break
            await sleep(0.005)
        await person.barrier()
        assert person.bodies() == wanted[person], type(person).__name__


async def log_out(*people: Person) -> None:
    for person in people:
        await person.log_out()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("sender", VARIANTS)
async def test_bodies(server: Server, sender: str) -> None:
    group = f"bodies-{sender}"
    first, others = await everybody(server, sender, group)
    wanted: dict[Person, list[Body]] = {person: [] for person in others}
    lines = [line for line in bodies() if line.is_text or first.tells]
    assert len(lines) >= 4
    for number, line in enumerate(lines):
        sent = await first.send_body(f"b{number}", body(first, line), group=group)
        assert sent.error == 0, line.name
        for person in others:
            wanted[person].append(shown(person, body(person, line)))
    await arrives(others, wanted)
    await log_out(first, *others)
    server.assert_clean()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("sender", [name for name in VARIANTS if "framed" not in name])
async def test_what_belongs_to_a_message(server: Server, sender: str) -> None:
    group = f"more-{sender}"
    first, others = await everybody(server, sender, group)
    wanted: dict[Person, list[Body]] = {person: [] for person in others}
    lines = [line for line in bodies() if line.name in ("text", "text, empty", "emoji", "image of 001")]
    for number, line in enumerate(lines):
        body = Body(cell(first, line), ATTACHMENTS, META, EXTRA)
        sent = await first.send_body(f"m{number}", body, group=group)
        assert sent.error == 0, line.name
        for person in others:
            if person.tells:
                wanted[person].append(Body(cell(person, line), ATTACHMENTS, META, EXTRA))
            else:
                wanted[person] += [Body(text) for text in (line.plain, *SHOWN_ATTACHMENTS)]
    # One of the three alone does not bring the others with it.
    line = lines[0]
    alone = [
        Body(None, attachments=ATTACHMENTS[:1]),
        Body(None, meta=META),
        Body(None, extra=EXTRA),
    ]
    for number, body in enumerate(alone):
        sent = await first.send_body(f"a{number}", body._replace(content=cell(first, line)), group=group)
        assert sent.error == 0
        for person in others:
            if person.tells:
                wanted[person].append(body._replace(content=cell(person, line)))
            else:
                shown = SHOWN_ATTACHMENTS[:1] if body.attachments else []
                wanted[person] += [Body(text) for text in (line.plain, *shown)]
    await arrives(others, wanted)
    await log_out(first, *others)
    server.assert_clean()


@pytest_twisted.ensureDeferred
async def test_other_ways_to_say_it(server: Server) -> None:
    formats = {"001": "protobuf", "002": "signalling-msgpack", "004": "jsonline"}
    senders = {format: VARIANTS[name](f"varies-{format}") for format, name in formats.items()}
    witness = JsonLinePerson("witness")
    for person in (witness, *senders.values()):
        await person.log_in(server)
    wanted: list[Body] = []
    for number, variation in enumerate(variations()):
        sent = await senders[variation.format].send_body(
            f"v{number}", Body(variation.sent), user=witness.user
        )
        assert sent.error == 0, variation
        wanted.append(shown(witness, Body(variation.json)))
    await arrives([witness], {witness: wanted})
    await log_out(witness, *senders.values())
