"""What is wrong with `[store]`, beyond what types tell."""

from __future__ import annotations

from imserver.config.redis_urls import parse_address, parse_redis_url
from imserver.config.schema import StoreSettings


def store_fault(store: StoreSettings) -> str | None:
    """The key and what is wrong with it; None = nothing."""
    if store.engine != "redis":
        return None
    try:
        url = parse_redis_url(store.url)
    except ValueError as error:
        return f"url: {error}"
    if url.password and store.password_file is not None:
        return "password_file: there is a password in the URL already"
    if store.ca is not None and not url.tls:
        return "ca: is for rediss:// only"
    if store.ack == "replicated" and store.replicas_seconds >= store.timeout_seconds:
        return "replicas_seconds: must be less than store.timeout_seconds"
    return _sentinels_fault(store, in_socket=bool(url.path))


def _sentinels_fault(store: StoreSettings, *, in_socket: bool) -> str | None:
    if not store.sentinels:
        for key in ("sentinel_service", "sentinel_user", "sentinel_password_file"):
            if getattr(store, key) is not None:
                return f"{key}: is for store.sentinels only"
        return None
    for number, sentinel in enumerate(store.sentinels):
        try:
            parse_address(sentinel)
        except ValueError as error:
            return f"sentinels[{number}]: {sentinel!r} {error}"
    if len(set(store.sentinels)) < len(store.sentinels):
        return "sentinels: the same one is named twice"
    if store.sentinel_service is None:
        return "sentinel_service: is needed with store.sentinels"
    if in_socket:
        return "url: must start with redis:// or rediss:// where there are store.sentinels"
    if store.sentinel_user is not None and store.sentinel_password_file is None:
        return "sentinel_password_file: is needed with store.sentinel_user"
    return None
