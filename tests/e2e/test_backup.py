"""`imserver verify` and `imserver backup` beside a running server and over what it left."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest_twisted
from twisted.internet import reactor

from tests.clients import protobuf_client
from tests.e2e.commands import imserver, verify
from tests.e2e.conftest import Serve
from tests.e2e.people import JsonLinePerson, ProtobufPerson


@pytest_twisted.ensureDeferred
async def test_a_backup_of_a_running_server_can_be_served(serve: Serve, tmp_path: Path) -> None:
    server = await serve().start()
    alice = ProtobufPerson("alice")
    await alice.log_in(server)
    first = await protobuf_client.connect(reactor, server.port("/ws"))
    epoch = (await first.log_in("bob"))["epoch"]
    await first.close()
    for number in range(20):
        assert (await alice.send(f"c{number}", f"kept {number}", user="bob")).error == 0
    verify(server.data)

    copy = tmp_path / "copy.db"
    result = imserver("backup", str(server.data), str(copy))
    assert result.returncode == 0, result.stderr
    verify(copy)
    assert (await alice.send("later", "not in the copy", user="bob")).error == 0
    again = imserver("backup", str(server.data), str(copy))
    assert (again.returncode, again.stderr) == (1, f"imserver: {copy}: exists already\n")
    await alice.log_out()
    await server.stop()
    verify(server.data)

    restored = serve("restored")
    restored.data.mkdir(mode=0o700)
    shutil.copy(copy, restored.data / "imserver.db")
    await restored.start()
    bob = JsonLinePerson("bob")
    await bob.log_in(restored)
    assert [row.text for row in await bob.inbox()] == [f"kept {number}" for number in range(20)]
    await bob.log_out()
    # Numbers after the copy will be given anew: clients are told by another epoch.
    second = await protobuf_client.connect(reactor, restored.port("/ws"))
    assert (await second.log_in("bob"))["epoch"] != epoch
    await second.close()
    await restored.stop()


@pytest_twisted.ensureDeferred
async def test_verify_finds_what_was_tampered_with(serve: Serve) -> None:
    server = await serve().start()
    alice = ProtobufPerson("alice")
    await alice.log_in(server)
    for number in range(5):
        await alice.send(f"c{number}", f"text {number}", user="bob")
    await alice.log_out()
    await server.stop()
    verify(server.data)
    connection = sqlite3.connect(server.data / "imserver.db")
    connection.execute("DELETE FROM log WHERE rowid = (SELECT max(rowid) - 2 FROM log)")
    connection.commit()
    connection.close()
    result = imserver("verify", str(server.data))
    assert result.returncode == 4
    assert result.stdout.strip()


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    for command in (["verify", str(tmp_path)], ["backup", str(tmp_path), str(tmp_path / "x")]):
        result = imserver(*command)
        assert result.returncode == 3
        assert "no such database" in result.stdout + result.stderr
        assert "Traceback" not in result.stderr
    assert imserver("nonsense").returncode == 2
