"""The Redis that is configured: where it is, and with which secrets.

txredisapi takes the reactor as it is when it is imported; so nothing here imports it before it is asked to.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from imserver.config import ConfigError, Configuration
from imserver.config.redis_urls import RedisUrl, parse_address, parse_redis_url
from imserver.config.schema import StoreSettings

Reach = Callable[[Any], Any]
"""Says how a reactor reaches the Redis that is configured."""


def read_redis(configuration: Configuration) -> Reach | None:
    """What is configured of Redis, with its secrets; None if another engine is.

    Raises:
        ConfigError: a file that cannot be read.
    """
    store = configuration.store
    if store.engine != "redis":
        return None
    url = parse_redis_url(store.url)
    password = url.password
    if store.password_file is not None:
        password = _read_password("store.password_file", store.password_file)
    sentinel_password = ""
    if store.sentinel_password_file is not None:
        sentinel_password = _read_password("store.sentinel_password_file", store.sentinel_password_file)
    ca = None if store.ca is None else Path(store.ca)
    if ca is not None:
        try:
            ca.read_bytes()
        except OSError as error:
            raise ConfigError(f"store.ca: {store.ca}: {error.strerror}") from None
    return partial(_reach, store, url, password, sentinel_password, ca)


def _read_password(key: str, file: str) -> str:
    path = f"{key}: {file}"
    try:
        password = Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise ConfigError(f"{path}: {reason}") from None
    if not password:
        raise ConfigError(f"{path}: is empty")
    return password


def link_settings(store: StoreSettings) -> Any:
    """Limits and periods of the connections."""
    from imserver.backends.redis.settings import LinkSettings

    fails_over = bool(store.sentinels) or store.ack == "replicated"
    return LinkSettings(timeout=store.timeout_seconds, fails_over=fails_over)


def _reach(
    store: StoreSettings, url: RedisUrl, password: str, sentinel_password: str, ca: Path | None, reactor: Any
) -> Any:
    from imserver.backends.redis.address import socket_endpoint, tcp_endpoint
    from imserver.backends.redis.cellar import Place
    from imserver.backends.redis.connection import Greeting, at
    from imserver.backends.redis.sentinels import Sentinels

    greeting = Greeting(url.user, password, url.database)
    reach = partial(tcp_endpoint, reactor, tls=url.tls, ca=ca)
    if store.sentinels:
        sentinels = Sentinels(
            [parse_address(sentinel) for sentinel in store.sentinels],
            store.sentinel_service or "",
            Greeting(store.sentinel_user or "", sentinel_password),
            reach,
            reactor,
            time.monotonic,
            Random(os.urandom(16)),  # noqa: S311 - it draws delays
            link_settings(store),
        )
        return Place(sentinels.where, greeting, store.prefix, sentinels)
    endpoint = socket_endpoint(reactor, url.path) if url.path else reach(url.host, url.port)
    return Place(at(endpoint), greeting, store.prefix)
