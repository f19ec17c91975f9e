"""`imserver send` and `imserver chat`: a small client in a terminal."""

from __future__ import annotations

import argparse
import ipaddress
import json
import ssl
import sys
from pathlib import Path
from typing import Any

from imserver.cli import secrets
from imserver.cli.chat import Chat
from imserver.cli.client import FORMATS, Address, Client, log_in, message, missed
from imserver.cli.errors import REFUSED, USAGE, CommandError
from imserver.cli.output import Output
from imserver.cli.parsing import Parsers, add_command, add_file
from imserver.cli.place import configuration, data_path
from imserver.model.accounts import LoggedIn, LogIn
from imserver.model.errors import ImError

PORTS_FILE = "ports.json"


def add_commands(parsers: Parsers) -> None:
    """Adds them."""
    command = add_command(
        parsers,
        "send",
        _send,
        "send one message",
        "Logs in, sends one message, and returns once the server has it on its disk.",
        'imserver send --user alice --to bob "hello"\n'
        "df -h | imserver send --user bot --token-file bot.token --group ops -",
    )
    _add_log_in(command)
    target = command.add_mutually_exclusive_group(required=True)
    target.add_argument("--to", metavar="USER", default="", help="send to a user")
    target.add_argument("--group", metavar="GROUP", default="", help="send to a group")
    command.add_argument("text", metavar="TEXT", help="what to say; - = all of stdin")

    command = add_command(
        parsers,
        "chat",
        _chat,
        "talk in a terminal",
        "Shows what comes in and sends what is typed. /help lists what else can be typed; Ctrl-D leaves.",
        "imserver chat --user alice --to bob\nimserver chat --user alice --format protobuf --group demo",
    )
    _add_log_in(command)
    target = command.add_mutually_exclusive_group()
    target.add_argument("--to", metavar="USER", default="", help="talk to a user")
    target.add_argument("--group", metavar="GROUP", default="", help="talk in a group")


def _add_log_in(command: argparse.ArgumentParser) -> None:
    command.add_argument("--user", "-u", metavar="USER", required=True, help="who to log in as")
    add_file(
        command,
        "--password-file",
        metavar="FILE",
        help=f"its first line is the password; - = stdin (or {secrets.PASSWORD_VARIABLE}, or a prompt)",
    )
    add_file(
        command,
        "--token-file",
        metavar="FILE",
        help=f"its first line is an access token (or {secrets.TOKEN_VARIABLE})",
    )
    command.add_argument("--format", "-f", choices=list(FORMATS), default="jsonline", help="the wire format")
    command.add_argument("--host", default="127.0.0.1", help="the server (default: this machine)")
    command.add_argument("--port", type=int, default=0, help="default: where the server has the format")
    command.add_argument("--path", default="", help="of a WebSocket (default: likewise)")
    command.add_argument(
        "--login-port",
        metavar="PORT",
        type=int,
        default=0,
        help="a jsonline port, to get a token by password for formats that take tokens only",
    )
    command.add_argument("--tls", action="store_true", help="encrypt, and check the server's certificate")
    add_file(command, "--ca", metavar="FILE", help="certificates to trust instead of the system's")
    command.add_argument("--device", default="imserver-cli", help="the device name, which has its own cursor")


def find(options: argparse.Namespace, format: str, port: int, path: str) -> Address:
    """Where to connect to: as told; on this machine where `ports.json` says; else the default ports."""
    known = FORMATS[format]
    tls: ssl.SSLContext | None = None
    if options.tls:
        try:
            tls = ssl.create_default_context(cafile=options.ca)
        except (OSError, ssl.SSLError) as error:
            raise CommandError(USAGE, f"{options.ca}: {error.strerror or error}") from None
    if not port and _is_here(options.host):
        data = data_path(options, configuration(options))
        for listener in _open_listeners(data / PORTS_FILE):
            paths = [key for key, spoken in listener.get("paths", {}).items() if spoken == format]
            if path in paths or (paths and not path):
                return Address(options.host, listener["port"], path or paths[0], tls)
            if listener.get("format") == format and listener.get("dialect", "") in ("", "draft"):
                return Address(options.host, listener["port"], "", tls)
    return Address(options.host, port or known.port, path or known.path, tls)


def _open_listeners(file: Path) -> list[dict[str, Any]]:
    try:
        listeners: list[dict[str, Any]] = json.loads(file.read_bytes())["listeners"]
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return listeners


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def connect(options: argparse.Namespace) -> tuple[Client, LoggedIn]:
    """Logs in as the options say. Raises CommandError."""
    address = find(options, options.format, options.port, options.path)
    if address.tls is None and not _is_here(options.host):
        print(f"imserver: warning: nothing is encrypted on the way to {options.host}", file=sys.stderr)
    token = secrets.secret_from(options.token_file, secrets.TOKEN_VARIABLE)
    password = ""
    if not token:
        password = secrets.known_password(options.password_file, f"password of {options.user}")
    if password and not FORMATS[options.format].password:
        desk = find(options, "jsonline", options.login_port, "")
        command = LogIn(user=options.user, password=password, device=f"{options.device}-log-in")
        client, logged_in = log_in("jsonline", desk, command)
        client.close()
        token, password = logged_in.token, ""
    command = LogIn(user=options.user, token=token, password=password, platform="cli", device=options.device)
    return log_in(options.format, address, command)


def _send(options: argparse.Namespace, output: Output) -> int:
    text = options.text
    if text == "-":
        if "-" in (options.password_file, options.token_file):
            raise CommandError(USAGE, "stdin cannot be both the text and a secret")
        text = sys.stdin.read().rstrip("\n")
    if not text:
        raise CommandError(USAGE, "there is nothing to send")
    client, _ = connect(options)
    try:
        reply = client.request(message(text, options.to, options.group))
    except ImError as error:
        raise CommandError(REFUSED, error.text, error.code.value) from None
    finally:
        client.close()
    output.result(reply, f"sent: {reply.message_id}")
    return 0


def _chat(options: argparse.Namespace, output: Output) -> int:
    if output.json:
        raise CommandError(USAGE, "chat is for people; it has no --json")
    client, logged_in = connect(options)
    try:
        missed(client, options.format, logged_in, 20)
        return Chat(client, options.user, options.to, options.group).run()
    except ImError as error:
        raise CommandError(REFUSED, error.text, error.code.value) from None
    finally:
        client.close()
