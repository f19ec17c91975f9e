"""Files on a disk that is full."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.utils import getProcessValue

from tests.clients import filechannel_client as channel
from tests.clients.filechannel_client import END, ERROR, Content
from tests.e2e.conftest import Serve
from tests.e2e.server import Server
from tests.e2e.test_file_faults import ask
from tests.e2e.test_files import client, download, upload

MIB = 1024 * 1024


@pytest_twisted.ensureDeferred
async def test_a_full_disk_is_answered_and_recovered_from(serve: Serve) -> None:
    server = await serve().start()
    alice = await client(server, "alice")
    bob = await client(server, "bob")
    content = Content(12 * MIB)
    answer = await ask(alice, content)
    before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (4 * MIB, before[1]))
    line = await channel.connect(reactor, answer)
    await line.hello(answer)
    sending = line.upload(content.read, content.size, 0, answer["chunk_size"])
    kind, error = await line.expect(END, ERROR)
    assert (kind, error["status"], error["retryable"]) == (ERROR, 503, True)
    await line.ended
    await sending
    acked = line.acked
    assert 0 < acked <= 4 * MIB
    # The server goes on with everything else.
    assert (await alice.send_text("bob", "still here"))["payload"]["status"] == 200
    assert (await bob.expect("message/event"))["payload"]["content"]["text"] == "still here"
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)
    answer = await ask(alice, content, resume={"transfer_id": answer["transfer_id"], "offset": acked})
    assert acked <= answer["resume_offset"] <= 4 * MIB
    end = await upload(answer, content)
    accepted = (await bob.request("file/accept", {"file_id": end["file_id"]}))["payload"]
    await download(accepted, content)
    for one in (alice, bob):
        await one.close()
    output = server.output()
    assert "Traceback" not in output, output
    await server.stop()


async def enlarge(server: Server, place: Path, size: str) -> None:
    """Gives the file system of the server's files room."""
    options = ["-o", f"remount,size={size}", str(place)]
    command = [f"--mount=/proc/{server.pid}/ns/mnt", "mount", *options]
    assert await getProcessValue("nsenter", command, os.environ) == 0


@pytest_twisted.ensureDeferred
async def test_a_file_system_without_room(serve: Serve, tmp_path: Path) -> None:
    """Files are on a file system of their own, small at first."""
    place = tmp_path / "data" / "files"
    place.mkdir(mode=0o700, parents=True)
    place.parent.chmod(0o700)
    mount = 'mount -t tmpfs -o size=4m,mode=0700 none "$0" && exec "$@"'
    apart = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, str(place)]
    server = await serve(wrapper=apart).start()
    alice = await client(server, "alice")
    content = Content(7 * MIB)
    answer = await ask(alice, content, user="")
    line = await channel.connect(reactor, answer)
    await line.hello(answer)
    sending = line.upload(content.read, content.size, 0, answer["chunk_size"])
    kind, error = await line.expect(END, ERROR)
    assert (kind, error["status"], error["retryable"]) == (ERROR, 503, True)
    await line.ended
    await sending
    assert 0 < line.acked <= 4 * MIB
    # Not even an empty part fits beside it, or else no byte of it; nothing breaks.
    other = Content(2 * MIB, 2)
    second = await ask(alice, other, user="", file_name="b")
    if second["status"] == 200:
        more = await channel.connect(reactor, second)
        await more.hello(second)
        sending = more.upload(other.read, other.size, 0, second["chunk_size"])
        kind, error = await more.expect(END, ERROR)
        assert (kind, error["status"]) == (ERROR, 503)
        await more.ended
        await sending
    else:
        assert second["status"] == 503
    await enlarge(server, place, "32m")
    answer = await ask(alice, content, user="", resume={"transfer_id": answer["transfer_id"], "offset": 0})
    assert line.acked <= answer["resume_offset"] <= 4 * MIB
    await upload(answer, content)
    await upload(await ask(alice, other, user="", file_name="b"), other)
    await alice.close()
    output = server.output()
    assert "Traceback" not in output, output
    await server.stop()
