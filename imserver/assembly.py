"""Puts the services together over one backend, for the server and for the command line."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from twisted.internet.interfaces import IReactorTime

from imserver.backends.embedded import EngineSettings
from imserver.backends.redis.settings import StoreSettings
from imserver.config import ConfigError, Configuration
from imserver.config.ice_urls import parse_ice_url
from imserver.config.loading import self_registration
from imserver.config.media_urls import addresses
from imserver.services.accounts import Accounts
from imserver.services.calls import CallSettings
from imserver.services.extensions import Workplace
from imserver.services.file_ports import Blobs, FileStore
from imserver.services.file_relays import RelaySettings
from imserver.services.file_rules import FileSettings
from imserver.services.files import Files
from imserver.services.friends import FriendSettings
from imserver.services.groups import GroupLimits, Groups
from imserver.services.hub import Hub, HubSettings
from imserver.services.ice import Ice, TurnServer
from imserver.services.key_admin import KeyAdministration
from imserver.services.keys import Key, KeyRingError, external_key, load_key_ring
from imserver.services.media_servers import Health, MediaServer
from imserver.services.message_keys import MessageKeys
from imserver.services.messages import MessageSettings
from imserver.services.passwords import PasswordHasher
from imserver.services.ports import Bus, Directory, MediaServers, Store, Threads
from imserver.services.ports.friends import FriendLimits
from imserver.services.replays import NonceMemory
from imserver.services.retries import AnswerMemory
from imserver.services.room_state import RoomSettings
from imserver.services.tokens import Tokens

KEYS_FILE = "token-keys.json"
DEMO_MEDIA_SERVER = MediaServer("demo", {"wss": "wss://127.0.0.1:8989/", "ws": "ws://127.0.0.1:8188/"})
"""Where a Janus of one's own listens, so that --demo shows document 003's answers in full."""
MESSAGE_KEYS_FILE = "message-keys.json"


def keys_directory(configuration: Configuration, data: Path) -> Path:
    """Where the files of keys are."""
    return Path(configuration.keys_dir) if configuration.keys_dir else data


def files_directory(configuration: Configuration, data: Path) -> Path:
    """Where the bytes of files are."""
    return Path(configuration.files.directory) if configuration.files.directory else data / "files"


def read_external_keys(configuration: Configuration) -> list[Key]:
    """The public keys of foreign token issuers.

    Raises:
        ConfigError: a file that cannot be read, or holds no such key.
    """
    keys = []
    for number, key in enumerate(configuration.auth.key):
        path = f"auth.key[{number}].public_key"
        try:
            keys.append(external_key(key.kid, key.algorithm, Path(key.public_key).read_bytes()))
        except OSError as error:
            raise ConfigError(f"{path}: {key.public_key}: {error.strerror}") from None
        except KeyRingError as error:
            raise ConfigError(f"{path}: {key.public_key}: {error}") from None
    return keys


def read_turn_servers(configuration: Configuration) -> list[TurnServer]:
    """The STUN and TURN servers, with their secrets.

    Raises:
        ConfigError: a secret that cannot be read, or is empty.
    """
    servers = []
    for number, turn in enumerate(configuration.turn):
        secret = b""
        if turn.secret_file is not None:
            path = f"turn[{number}].secret_file: {turn.secret_file}"
            try:
                # coturn takes a line of its configuration, so no secret ends in spaces.
                secret = Path(turn.secret_file).read_bytes().strip()
            except OSError as error:
                raise ConfigError(f"{path}: {error.strerror}") from None
            if not secret or b"\n" in secret:
                raise ConfigError(f"{path}: must hold the secret in one line, and nothing else")
        relays = [url for url in turn.urls if parse_ice_url(url).relays]
        others = [url for url in turn.urls if url not in relays]
        servers.append(TurnServer(turn.region, others, relays, secret, turn.credential_seconds))
    return servers


def media_servers(configuration: Configuration, *, demo: bool) -> list[MediaServer]:
    """The media servers; of --demo, where none is configured, one that nobody looks after."""
    servers = [
        MediaServer(
            one.name,
            addresses(one),
            one.weight,
            None
            if one.health is None
            else Health(
                one.health,
                one.health_interval_seconds,
                one.health_timeout_seconds,
                one.health_failures,
                one.health_successes,
            ),
        )
        for one in configuration.media_server
    ]
    return [DEMO_MEDIA_SERVER] if demo and not servers else servers


def engine_settings(configuration: Configuration) -> EngineSettings:
    """What the embedded engine is told of the configuration."""
    limits, retention = configuration.limits, configuration.retention
    return EngineSettings(
        sends_per_second=limits.sends_per_second,
        send_burst=float(limits.send_burst),
        flush_rows=configuration.store.flush_rows,
        dedupe_seconds=retention.dedupe_hours * 3600.0,
        retention_seconds=retention.days * 86400.0,
        group_members=limits.group_members,
        friends_only=configuration.friends.messages == "friends",
    )


def redis_settings(configuration: Configuration) -> StoreSettings:
    """What the store over Redis is told of the configuration."""
    limits, retention = configuration.limits, configuration.retention
    return StoreSettings(
        sends_per_second=limits.sends_per_second,
        send_burst=float(limits.send_burst),
        dedupe_seconds=retention.dedupe_hours * 3600.0,
        retention_seconds=retention.days * 86400.0,
        group_members=limits.group_members,
        friends_only=configuration.friends.messages == "friends",
    )


def friend_settings(configuration: Configuration) -> FriendSettings:
    """What only friends may do."""
    friends = configuration.friends
    return FriendSettings(
        messages=friends.messages == "friends",
        calls=friends.calls == "friends",
        presence=friends.presence == "friends",
        limits=FriendLimits(friends=friends.friends_per_user),
    )


def file_settings(configuration: Configuration) -> FileSettings:
    """What the file service is told of the configuration."""
    files = configuration.files
    return FileSettings(
        max_bytes=files.max_bytes,
        user_bytes=files.user_bytes,
        user_files=files.user_files,
        total_bytes=files.total_bytes,
        user_transfers=files.user_transfers,
        channels=files.channels,
        user_channels=files.user_channels,
        expiry_seconds=files.expiry_days * 86400.0,
        chunk_bytes=files.chunk_bytes,
        host=files.public_host,
        port=files.public_port,
        protocol=files.public_protocol,
    )


class Services:
    """The domain over one backend.

    Attributes:
        accounts: for the demo users, later for administration.
        hub: what sessions talk to.
        keys: the token keys.
        message_keys: the keys that protect messages.
        ice: the STUN and TURN servers.
        workplace: what extensions may do.
        files: where they are served.
    """

    def __init__(
        self,
        configuration: Configuration,
        data: Path,
        external_keys: Sequence[Key],
        store: Store,
        directory: Directory,
        bus: Bus,
        password_threads: Threads,
        clock: IReactorTime,
        *,
        demo: bool,
        turn_servers: Sequence[TurnServer] = (),
        media_servers: MediaServers | None = None,
        nonces: NonceMemory | None = None,
        answers: AnswerMemory | None = None,
        files: tuple[FileStore, Blobs] | None = None,
    ) -> None:
        """Args:
            clock: times calls, rooms and file channels.
            nonces / answers: see `Hub`.
            files: where files are kept; None = none are served.

        Raises:
            KeyRingError
        """
        limits, auth = configuration.limits, configuration.auth
        calls, rooms = configuration.calls, configuration.rooms
        hasher = PasswordHasher(
            password_threads, time_cost=auth.password_time_cost, memory_kib=auth.password_memory_kib
        )
        keys_place = keys_directory(configuration, data)
        self.keys = keys = load_key_ring(keys_place / KEYS_FILE, os.urandom, external=external_keys)
        self.message_keys = MessageKeys(keys_place / MESSAGE_KEYS_FILE, os.urandom)
        tokens = Tokens(keys, time.time, os.urandom, auth.access_token_seconds, auth.refresh_token_seconds)
        self.accounts = Accounts(
            directory,
            bus,
            hasher,
            tokens,
            time.time,
            os.urandom,
            demo=demo,
            self_registration=self_registration(configuration),
            clock=time.monotonic,
            failures_per_account=limits.failed_logins_per_account,
            failures_per_address=limits.failed_logins_per_address,
            registrations_per_minute=limits.registrations_per_minute,
        )
        groups = Groups(
            directory,
            bus,
            hasher,
            time.time,
            os.urandom,
            limits=GroupLimits(members=limits.group_members),
            clock=time.monotonic,
        )
        self.ice = Ice(time.time, turn_servers)
        self.hub = Hub(
            store,
            directory,
            bus,
            self.accounts,
            groups,
            time.time,
            os.urandom,
            clock,
            HubSettings(
                messages=MessageSettings(
                    content_bytes=limits.content_bytes,
                    revoke_seconds=configuration.retention.revoke_seconds,
                ),
                sessions_per_user=limits.sessions_per_user,
                calls=CallSettings(
                    ring_seconds=calls.ring_seconds,
                    grace_seconds=calls.grace_seconds,
                    max_seconds=calls.max_seconds,
                    media_bytes_per_second=calls.media_bytes_per_second,
                ),
                friends=friend_settings(configuration),
                relays=RelaySettings(
                    max_bytes=configuration.files.max_bytes,
                    offer_seconds=configuration.files.offer_seconds,
                    host=configuration.files.public_host,
                    port=configuration.files.public_port,
                    elsewhere=bool(configuration.files.public_protocol),
                ),
                rooms=RoomSettings(
                    rooms=rooms.rooms,
                    endpoints=rooms.endpoints,
                    streams=rooms.streams,
                    broadcast_bytes=rooms.broadcast_bytes,
                    broadcasts_per_second=rooms.broadcasts_per_second,
                    fanout_bytes_per_second=float(rooms.fanout_bytes_per_second),
                    grace_seconds=rooms.grace_seconds,
                    endpoints_per_user=rooms.endpoints_per_user,
                    trusting=demo,
                ),
            ),
            self.ice,
            media_servers,
            nonces,
            answers,
            keys=KeyAdministration(self.message_keys, time.time),
        )
        self.workplace = Workplace(self.hub.dispatch, bus)
        self.files: Files | None = None
        if files is not None:
            self.files = Files(
                *files,
                store,
                directory,
                bus,
                self.hub.messages.send,
                self.hub.friends.refusal,
                clock,
                time.time,
                os.urandom,
                self.hub.spawn,
                file_settings(configuration),
            )
            self.hub.add_files(self.files)
