"""The server as a Twisted service: opens everything or nothing, and closes in the right order."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from imserver import compiled
from imserver.assembly import Services, files_directory, media_servers, read_external_keys, read_turn_servers
from imserver.backends.common.data_directory import DataDirectoryError
from imserver.config import ConfigError, Configuration
from imserver.config.loading import data_directory
from imserver.configured_redis import Reach, read_redis
from imserver.http.api import Api
from imserver.http.health_check import HttpProbe
from imserver.http.vitals import Vitals
from imserver.model.errors import ImError
from imserver.protocols.control import ControlFactory
from imserver.protocols.doors import Doors
from imserver.protocols.extensions import ServerExtension, UnknownExtension, load_extensions
from imserver.protocols.formats import Format, UnknownFormat, load_formats
from imserver.protocols.tls import TlsContexts
from imserver.services.hub import Hub
from imserver.services.ice import Ice, TurnServer
from imserver.services.keys import Key, KeyRing, KeyRingError
from imserver.services.media_servers import MediaServerPool
from imserver.services.message_keys import MessageKeys
from imserver.services.protection import Protection
from imserver.services.sessions import SessionHub
from imserver.tap import autobahn_log, failpoints, fast_transport, garbage
from imserver.tap.control import ControlPort, open_control
from imserver.tap.filing import Filing
from imserver.tap.going import Departure
from imserver.tap.key_watch import KeyWatch
from imserver.tap.leaving import exit_with
from imserver.tap.listening import (
    OpenPort,
    StartError,
    channel_ports,
    close_ports,
    open_ports,
    parse_endpoints,
    remove_ports,
    write_ports,
)
from imserver.tap.options import Options
from imserver.tap.reloading import reload_files, warn_of_dates
from imserver.tap.stores import OpenStore, RedisStore, SqliteStore
from imserver.tap.systemd import Notifier
from imserver.tap.threads import BoundedThreads
from imserver.tap.wiring import (
    api_limits,
    check_demo,
    door_limits,
    listener_factory,
    tls_contexts,
    wrapped,
)
from imserver.wire.jsonline.extensions import Extensions
from imserver.wire.jsonline.sealing import Nonces

TRIM_SECONDS = 3600.0
"""How often what is beyond its time (retention, dedupe window, change log, dead grants) is removed."""
READ_THREADS = 4
READ_QUEUE = 10_000
PASSWORD_QUEUE = 500


class Server(Service):
    """One server over one data directory."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        data: Path,
        endpoints: list[IStreamServerEndpoint],
        external_keys: list[Key],
        failpoint: failpoints.KillAt | None,
        contexts: list[TlsContexts | None],
        formats: Mapping[str, Format],
        turn_servers: list[TurnServer],
        extensions: list[ServerExtension],
        redis: Reach | None,
        *,
        demo: bool,
    ) -> None:
        self._reactor = reactor
        self._configuration = configuration
        self._data = data
        self._endpoints = endpoints
        self._external_keys = external_keys
        self._failpoint = failpoint
        self._contexts = contexts
        self._formats = formats
        self._turn_servers = turn_servers
        self._extensions = extensions
        self._keys: KeyRing | None = None
        self._ice: Ice | None = None
        self._message_keys: MessageKeys | None = None
        self._notifier = Notifier(os.environ, reactor)
        self._demo = demo
        self._media_servers = MediaServerPool(
            reactor, HttpProbe(reactor), media_servers(configuration, demo=demo)
        )
        self._readers = BoundedThreads(reactor, READ_THREADS, READ_QUEUE, "imserver-read")
        self._hashers = BoundedThreads(
            reactor, configuration.auth.password_threads, PASSWORD_QUEUE, "imserver-hash"
        )
        self._filing = Filing(reactor, files_directory(configuration, data), configuration.files.threads)
        self._redis = redis
        self._cellar: OpenStore | None = None
        self._doors: Doors | None = None
        self._hub: Hub | None = None
        self._vitals: Vitals | None = None
        self._ports: list[OpenPort] = []
        self._control: ControlPort | None = None
        self._trimmer = LoopingCall(self._trim)
        self._trimmer.clock = reactor
        self._key_watch: KeyWatch | None = None

    def startService(self) -> None:
        """See IService. Opens everything once the reactor runs; ends the process if it cannot."""
        super().startService()  # type: ignore[no-untyped-call]
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        # Unhandled it would end the process.
        signal.signal(signal.SIGHUP, self._hang_up)
        ensureDeferred(self._start()).addErrback(self._not_started)

    async def _start(self) -> None:
        configuration, demo = self._configuration, self._demo
        self._readers.start()
        self._hashers.start()
        self._filing.start()
        cellar: OpenStore
        if self._redis is not None:
            cellar = RedisStore(self._reactor, configuration, self._data, self._redis)
        else:
            cellar = SqliteStore(self._reactor, configuration, self._data, self._readers, self._failpoint)
        self._cellar = cellar
        await cellar.open()
        services = Services(
            configuration,
            self._data,
            self._external_keys,
            cellar.store,
            cellar.directory,
            cellar.bus,
            self._hashers,
            self._reactor,
            demo=demo,
            turn_servers=self._turn_servers,
            media_servers=self._media_servers,
            files=(cellar.files, self._filing.blobs),
            nonces=cellar.nonces,
            answers=cellar.answers,
        )
        self._keys = services.keys
        self._ice = services.ice
        self._message_keys = services.message_keys
        self._hub = services.hub
        for extension in self._extensions:
            services.hub.dispatch.register(dict(extension.handlers(services.workplace)))
        if demo:
            await services.accounts.create_demo_users()
            self.log.warn(
                "DEMO: users alice, bob, carol, dave (password = name), group demo; tokens demo_token_<user>"
            )
            self.log.warn("DEMO: anybody on this machine may be anybody; never use this for real accounts")
        # The hub is handed back only the attachments it gave, so it may name their class.
        hub = cast(SessionHub, services.hub)
        self._doors = doors = Doors(hub, self._reactor, door_limits(configuration), services.hub.rooms)
        self._vitals = vitals = Vitals(
            services.hub,
            doors,
            time.monotonic,
            cellar.commits,
            cellar.sizes,
            cellar.store.check,
            self._media_servers.conditions,
            cellar.reads,
        )
        api = Api(services.accounts, vitals, self._reactor, api_limits(configuration))
        nonces = Nonces(os.urandom)
        extensions = Extensions(extension.wire for extension in self._extensions)
        factories = [
            listener_factory(
                listener,
                doors,
                demo=demo,
                formats=self._formats,
                api=api,
                protection=partial(Protection, services.message_keys, services.accounts.user_of, time.time),
                nonces=nonces,
                extensions=extensions if self._extensions else None,
                access_log=configuration.log.access,
                files=services.files,
                relays=services.hub.relays,
            )
            for listener in configuration.listener
        ]
        factories = [
            wrapped(factory, listener, contexts, doors)
            for factory, listener, contexts in zip(
                factories, configuration.listener, self._contexts, strict=True
            )
        ]
        self._ports = await open_ports(
            configuration.listener, self._endpoints, factories, garbage.Newcomers(self._reactor)
        )
        self._choose_transport()
        services.hub.relays.ports = channel_ports(self._ports)
        if services.files is not None:
            owned = await cellar.owns(self._filing.directory)
            await self._filing.open(services.files, self._ports, owned=owned)
        for opened in self._ports:
            self.log.info(
                "listening: {spoken} on {address}", spoken=opened.spoken(), address=opened.address()
            )
        operators = ControlFactory(services.hub.administration.operate, self._reactor)
        self._control = open_control(self._reactor, self._data, operators)
        vitals.listening = True
        self._media_servers.start()
        self._trimmer.start(TRIM_SECONDS, now=False)
        self._key_watch = KeyWatch(self._reactor, services.keys, services.message_keys)
        self._key_watch.start()
        garbage.settle()
        write_ports(self._data, self._ports)
        warn_of_dates(self._contexts, datetime.now(UTC))
        self._notifier.ready()

    def _choose_transport(self) -> None:
        self.log.info("code: {which}", which=compiled.why_not or "compiled")
        if self._configuration.performance.transport == "fast":
            autobahn_log.defer_texts()
            fault = fast_transport.fault(self._reactor)
            if not fault:
                fast_transport.install(self._reactor, [opened.port for opened in self._ports])
                self.log.info("transport: fast")
                return
            self.log.warn("transport: stock, for the fast one does not know this Twisted: {why}", why=fault)
        else:
            self.log.info("transport: stock")

    def _hang_up(self, number: int, frame: Any) -> None:
        self._reactor.callFromThread(self._reload)

    def _reload(self) -> None:
        if self._keys is None or self._message_keys is None or self._ice is None:
            return  # starting or stopping
        self._notifier.reloading()
        reload_files(self._configuration, self._contexts, self._keys, self._message_keys, self._ice)
        warn_of_dates(self._contexts, datetime.now(UTC))
        self._notifier.ready()

    async def _trim(self) -> None:
        assert self._cellar is not None
        try:
            await self._cellar.trim(time.time())
            await self._filing.round(time.time())
        except ImError as error:
            # The disk fails; the next round finds the same work.
            self.log.warn("nothing was trimmed: {text}", text=error.text)

    def _not_started(self, failure: Any) -> None:
        error = failure.value
        if isinstance(error, StartError | DataDirectoryError | KeyRingError | ImError):
            line = str(error)
        elif isinstance(error, OSError):
            line = f"{error.filename or self._data}: {error.strerror}"
        else:
            self.log.failure("the server cannot start", failure)
            line = f"cannot start: {type(error).__name__}"
        print(f"imserver: {line}", file=sys.__stderr__, flush=True)
        exit_with(1)
        self._reactor.stop()

    def stopService(self) -> Deferred[None]:
        """See IService: no new connections, goodbye to everybody, everything on disk."""
        super().stopService()  # type: ignore[no-untyped-call]
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        self._notifier.stopping()
        self._keys = None
        departure = Departure(self._reactor, self._configuration.shutdown)
        departure.begin()
        if self._cellar is not None:
            self._cellar.bus.retire()
        if self._vitals is not None and self._vitals.listening:
            self._vitals.listening = False
            await departure.notice()
        self._media_servers.stop()
        if self._trimmer.running:
            self._trimmer.stop()
        if self._key_watch is not None:
            self._key_watch.stop()
        if self._control is not None:
            await self._control.close()
        if self._ports:
            remove_ports(self._data)
            await close_ports(self._ports)
        if self._doors is not None:
            await departure.drain(self._doors)
        if self._hub is not None:
            self._hub.shut_down()
        await self._filing.close()
        if self._doors is not None:
            await self._doors.shut_down(self._configuration.shutdown.returns_per_second)
        if self._cellar is not None:
            await self._cellar.close()
        self._hashers.stop()
        self._readers.stop()
        self._filing.stop()
        self._notifier.close()


def makeService(options: Options) -> Server:
    """What twistd calls.

    Raises:
        SystemExit: with one line, for whatever can be known before anything is opened.
    """
    from twisted.internet import reactor

    configuration = options.configuration
    demo = bool(options["demo"])
    try:
        endpoints = parse_endpoints(reactor, configuration.listener)
        keys = read_external_keys(configuration)
        contexts = tls_contexts(configuration.listener)
        formats = load_formats(configuration.formats)
        extensions = load_extensions(configuration.extensions)
        turn_servers = read_turn_servers(configuration)
        redis = read_redis(configuration)
    except (ConfigError, UnknownFormat, UnknownExtension) as error:
        raise SystemExit(f"imserver: {options['config'] or 'configuration'}: {error}") from None
    try:
        if demo:
            check_demo(configuration.listener)
        failpoint = failpoints.armed(os.environ)
    except (ConfigError, ValueError) as error:
        raise SystemExit(f"imserver: {error}") from None
    if options["check-config"]:
        raise SystemExit(0)
    data = data_directory(options["data-dir"] or configuration.data_dir, os.environ).absolute()
    return Server(
        reactor,
        configuration,
        data,
        endpoints,
        keys,
        failpoint,
        contexts,
        formats,
        turn_servers,
        extensions,
        redis,
        demo=demo,
    )
