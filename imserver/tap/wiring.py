"""What listens, in front of the services (`imserver.assembly`); a wiring diagram in code."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.protocol import Factory

from imserver.config import ConfigError, Configuration, Listener
from imserver.config.endpoints import is_local
from imserver.http.api import Api, ApiLimits
from imserver.http.files import FileSite
from imserver.http.rules import Rule, loopback_rule, origin_rule
from imserver.http.site import ImSite
from imserver.model.protection import EncryptionMode, SignatureMode
from imserver.protocols.channelswitch import ChannelSwitchFactory
from imserver.protocols.connections import DoorLimits
from imserver.protocols.doors import Doors
from imserver.protocols.filechannel import FileChannelFactory
from imserver.protocols.formats import FORMATS, CodecOptions, Format, stream_factory, websocket_factory
from imserver.protocols.proxy import ProxyFactory, Trusted
from imserver.protocols.tls import TlsContexts, TlsFactory
from imserver.services.file_relays import Relays
from imserver.services.files import Files
from imserver.wire.jsonline.extensions import Extensions
from imserver.wire.jsonline.guard import Guard
from imserver.wire.jsonline.sealing import Nonces


def check_demo(listeners: Sequence[Listener]) -> None:
    """Demo users have no secrets, so nobody else may reach them.

    Raises:
        ConfigError: a listener that other machines may reach.
    """
    for number, listener in enumerate(listeners):
        if not is_local(listener):
            raise ConfigError(
                f"--demo: listener[{number}] ({listener.endpoint}) is not on the loopback interface,"
                " or behind a proxy"
            )


def door_limits(configuration: Configuration) -> DoorLimits:
    """What connections may take."""
    limits = configuration.limits
    return DoorLimits(
        connections=limits.connections,
        unauthenticated_per_address=limits.unauthenticated_per_address,
        outbox_bytes=limits.outbox_bytes,
        outboxes_bytes=limits.all_outboxes_bytes,
        media_bytes=configuration.calls.media_buffer_bytes,
        commands_per_second=limits.commands_per_second,
        command_burst=float(limits.command_burst),
    )


def api_limits(configuration: Configuration) -> ApiLimits:
    """How often REST may be asked: as often as a connection of another format."""
    limits = configuration.limits
    return ApiLimits(limits.commands_per_second, float(limits.command_burst))


def tls_contexts(listeners: Sequence[Listener]) -> list[TlsContexts | None]:
    """The certificates of each listener; None where it is not encrypted.

    Raises:
        ConfigError: with the path of a listener whose files cannot be used.
    """
    contexts: list[TlsContexts | None] = []
    for number, listener in enumerate(listeners):
        try:
            contexts.append(
                None
                if listener.tls is None
                else TlsContexts(listener.tls, [b"http/1.1"] if listener.format == "http" else ())
            )
        except ConfigError as error:
            raise ConfigError(f"listener[{number}].tls: {error}") from None
    return contexts


def wrapped(factory: Factory, listener: Listener, contexts: TlsContexts | None, doors: Doors) -> Factory:
    """The factory behind what its listener needs: the PROXY header comes first, then TLS."""
    outer: Any = factory
    if contexts is not None:
        outer = TlsFactory(contexts, outer, doors)
    if listener.proxy_protocol is not None:
        outer = ProxyFactory(Trusted(listener.proxy_protocol.trusted), outer, doors)
    return outer  # type: ignore[no-any-return]


def listener_factory(
    listener: Listener,
    doors: Doors,
    *,
    demo: bool,
    formats: Mapping[str, Format] = FORMATS,
    api: Api | None = None,
    protection: Callable[[SignatureMode, EncryptionMode], Guard] | None = None,
    nonces: Nonces | None = None,
    extensions: Extensions | None = None,
    access_log: bool = False,
    files: Files | None = None,
    relays: Relays | None = None,
) -> Factory:
    """What answers on a listener.

    Args:
        protection: makes the rules of a listener where messages may be signed or encrypted.
        nonces: the server's.
        extensions: for listeners of document 004.
    """
    guard = None
    signature, encryption = listener.signature or "off", listener.encryption or "off"
    if protection is not None and (signature, encryption) != ("off", "off"):
        guard = protection(signature, encryption)
    options = CodecOptions(
        time.time,
        compression=bool(listener.compression),
        echo_client_id=bool(listener.echo_client_id),
        require_authorization=bool(listener.require_authorization),
        auth=listener.auth or ("none" if is_local(listener) else "password"),
        framing=listener.framing or "auto",
        presence=bool(listener.presence),
        unframed_errors=bool(listener.unframed_errors),
        guard=guard,
        nonces=nonces,
        extensions=extensions,
        private=listener.tls is not None or listener.endpoint.startswith("ssl:"),
    )
    if listener.format == "files":
        assert files is not None
        channels = FileChannelFactory(doors, files)
        return channels if relays is None else ChannelSwitchFactory(channels, relays)
    if listener.format != "http":
        dialect = "" if listener.dialect in (None, "draft") else f"/{listener.dialect}"
        return stream_factory(listener.format + dialect, doors, options, formats)
    sockets = {
        path: websocket_factory(format, doors, options) for path, format in (listener.paths or {}).items()
    }
    rules: list[Rule] = [origin_rule(listener.allowed_origins or ())]
    if demo:
        rules.append(loopback_rule)
    site: Any = ImSite(
        doors,
        sockets,
        rules,
        None if listener.rest is False else api,
        proxied=listener.proxy_protocol is not None or listener.forwarded_for is not None,
        trusted=None if listener.forwarded_for is None else Trusted(listener.forwarded_for.trusted),
        access_log=access_log,
        files=None if files is None or api is None or listener.rest is False else FileSite(files, api, doors),
    )
    return site  # type: ignore[no-any-return]
