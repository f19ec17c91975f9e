"""A bot that says back what it is told, to users and in groups, in any format.

make run                                        # in another terminal
python examples/echo_bot.py --user dave
python examples/echo_bot.py --user dave --format protobuf --address ws://127.0.0.1:8080/im

Stop it, or the server, at any time: what came meanwhile is answered later, and once.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from imserver.client import Connected, Disconnected, ImError, connect, to_plain

ADDRESSES = {
    "jsonline": "tcp:127.0.0.1:8088",
    "qdatastream": "tcp:127.0.0.1:8888",
    "protobuf": "ws://127.0.0.1:8080/im",
    "signalling": "ws://127.0.0.1:8080/ws",
    "signalling+msgpack": "ws://127.0.0.1:8080/ws",
}
MARK = "echo: "


def show(event: Any) -> None:
    """Says how the connection is doing."""
    if isinstance(event, Connected):
        print(f"connected as {event.logged_in.user}", flush=True)
    elif isinstance(event, Disconnected):
        print(f"not connected ({event.reason}); again in {event.retry_in:.1f} s", flush=True)


async def run(options: argparse.Namespace) -> None:
    """Answers until the server sends it away."""
    client = await connect(
        options.format,
        options.address or ADDRESSES[options.format],
        options.user,
        password=options.password or options.user,
        device="echo-bot",
        on_event=show,
    )
    async for message in client:
        text = to_plain(message.content)
        # One's own messages from elsewhere come, too; and two bots should not talk for ever.
        if message.sender == client.user or message.revoked or text.startswith(MARK):
            continue
        print(f"{message.sender}: {text}", flush=True)
        # An id made from what is answered: however often the bot is started, one answer.
        answer_id = f"echo-{message.message_id}" if message.message_id else ""
        try:
            await client.send(client.answer_to(message), MARK + text, client_id=answer_id)
        except ImError as error:
            print(f"no answer to {message.sender}: {error.text}", flush=True)
    await client.ended


def main(reactor: Any, *arguments: str) -> Deferred[None]:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="says back what it is told")
    parser.add_argument("--format", choices=list(ADDRESSES), default="jsonline")
    parser.add_argument("--address", default="", help="default: where `make run` serves the format")
    parser.add_argument("--user", default="dave")
    parser.add_argument("--password", default="", help="default: the name, as demo users have it")
    return Deferred.fromCoroutine(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    react(main, sys.argv[1:])
