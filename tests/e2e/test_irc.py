"""`examples/irc.py`: a sixth door by one line of configuration, for irssi and whoever speaks IRC."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
from pathlib import Path

import pytest_twisted
from twisted.internet import reactor

from tests.clients import irc_client
from tests.clients.qdatastream_client import connect_user
from tests.e2e.conftest import Serve
from tests.e2e.server import Server, sleep

ROOT = Path(__file__).parents[2]
CONFIGURATION = """
formats = { irc = "examples.irc:FORMAT" }

[[listener]]
format = "qdatastream"
endpoint = "tcp:0:interface=127.0.0.1"

[[listener]]
format = "irc"
endpoint = "tcp:0:interface=127.0.0.1"
"""


def with_irc(serve: Serve, tmp_path: Path) -> Server:
    """A server with the sixth door."""
    file = tmp_path / "imserver.toml"
    file.write_text(CONFIGURATION)
    return serve(arguments=["--config", str(file)], listeners=())


def test_it_is_small() -> None:
    assert len((ROOT / "examples/irc.py").read_text().splitlines()) <= 200


@pytest_twisted.ensureDeferred
async def test_with_a_qdatastream_client(serve: Serve, tmp_path: Path) -> None:
    server = await with_irc(serve, tmp_path).start()
    alice = await connect_user(reactor, server.port("qdatastream"), "alice", framed=False, form="qstring")
    alice.send_text("bob", "while you were away")
    await sleep(0.2)
    bob = await irc_client.connect(reactor, server.port("irc"), "bob", "bob")
    await bob.hears(" 451 ")
    await bob.hears(":imserver 001 bob :Welcome")
    assert await bob.hears("PRIVMSG") == ":alice!alice@imserver PRIVMSG bob :while you were away"

    bob.say("PRIVMSG alice :你好 😀: how are you?")
    got = await alice.expect("text")
    assert (got["sender"], got["text"]) == ("bob", "你好 😀: how are you?")
    alice.send_text("bob", "two\nlines")
    assert await bob.hears("PRIVMSG") == ":alice!alice@imserver PRIVMSG bob :two"
    assert await bob.hears("PRIVMSG") == ":alice!alice@imserver PRIVMSG bob :lines"
    long = "界" * 2000
    alice.send_text("bob", long)
    heard = ""
    while len(heard) < len(long):
        heard += (await bob.hears("PRIVMSG")).partition(" PRIVMSG bob ")[2].removeprefix(":")
    assert heard == long
    assert not bob.too_long

    # The demo group: what is said there opens the channel, and members are named.
    alice.send_text("group_demo", "hello all")
    assert await bob.hears("JOIN") == ":bob!bob@imserver JOIN #demo"
    assert await bob.hears("PRIVMSG") == ":alice!alice@imserver PRIVMSG #demo :hello all"
    bob.say("PRIVMSG #demo :hello alice")
    assert (await alice.expect("text"))["sender"] == "group_demo/bob"
    bob.say("NAMES #demo")
    named = [await bob.hears(" 353 ") for _ in range(4)]
    assert {line.split(":")[-1].strip() for line in named} == {"alice", "bob", "carol", "dave"}
    await bob.hears(" 366 ")
    bob.say("PART #demo :enough")
    assert await bob.hears("PART") == ":bob!bob@imserver PART #demo"
    bob.say("PRIVMSG #demo :still there?")
    await bob.hears(" 404 bob #demo ")

    # What goes wrong is said in IRC's terms.
    for said, answer in (
        ("PRIVMSG nobody :hm", " 401 bob nobody "),
        ("JOIN #nowhere", " 403 bob #nowhere "),
        ("PRIVMSG alice", " 421 bob PRIVMSG "),
        ("KNOCK #x", " 421 bob KNOCK "),
        ("PING :token 1", "PONG imserver :token 1"),
        ("MODE #demo", " 324 bob #demo "),
        ("MODE #demo b", " 368 bob #demo "),
        ("WHO #demo", " 315 bob #demo "),
        ("NICK robert", " 484 bob "),
    ):
        bob.say(said)
        await bob.hears(answer)
    bob.say("QUIT :bye")
    await bob.hears("ERROR")
    await bob.ended

    wrong = await irc_client.connect(reactor, server.port("irc"), "bob", "bobby")
    await wrong.hears(" 464 bob ")
    await wrong.ended
    await alice.close()
    await server.stop()


class Irssi:
    """Debian's irssi on a terminal of its own."""

    def __init__(self, home: Path, port: int, nick: str) -> None:
        program = shutil.which("irssi")
        assert program is not None, "irssi is not installed: run tests/system_packages.sh"
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        home.mkdir()
        self.screen = ""
        self._master = master
        os.set_blocking(master, False)
        self._process = subprocess.Popen(
            [program, f"--home={home}", "-c", "127.0.0.1", "-p", str(port), "-w", nick, "-n", nick],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", "HOME": str(home)},
            start_new_session=True,
        )
        os.close(slave)

    def _read(self) -> None:
        try:
            while data := os.read(self._master, 65_536):
                self.screen += data.decode(errors="replace")
        except OSError:
            pass

    async def shows(self, pattern: str) -> None:
        """Waits until the screen had this on it, after what was waited for before."""
        for _ in range(1_500):
            self._read()
            found = re.search(pattern, self.screen)
            if found is not None:
                self.screen = self.screen[found.end() :]
                return
            await sleep(0.02)
        raise AssertionError(f"irssi never showed {pattern!r}:\n{self.screen}")

    def types(self, text: str) -> None:
        """And Enter."""
        os.write(self._master, f"{text}\n".encode())

    def close(self) -> None:
        """For the end, whatever happened."""
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@pytest_twisted.ensureDeferred
async def test_irssi_talks_to_a_qdatastream_client(serve: Serve, tmp_path: Path) -> None:
    server = await with_irc(serve, tmp_path).start()
    alice = await connect_user(reactor, server.port("qdatastream"), "alice", framed=False, form="qstring")
    irssi = Irssi(tmp_path / "irssi", server.port("irc"), "bob")
    try:
        await irssi.shows("Welcome")
        irssi.types("/query alice")
        irssi.types("Hello from irssi 你好")
        got = await alice.expect("text")
        assert (got["sender"], got["text"]) == ("bob", "Hello from irssi 你好")
        alice.send_text("bob", "Greetings你好")
        await irssi.shows("Greetings你好")

        irssi.types("/join #demo")
        await irssi.shows("#demo")
        irssi.types("Hello group")
        got = await alice.expect("text")
        assert (got["sender"], got["text"]) == ("group_demo/bob", "Hello group")
        alice.send_text("group_demo", "Everybody-reads-this")
        await irssi.shows("Everybody-reads-this")
        irssi.types("/quit")
        for _ in range(500):
            if irssi._process.poll() is not None:
                break
            await sleep(0.02)
        assert irssi._process.returncode == 0
    finally:
        irssi.close()
    await alice.close()
    await server.stop()
