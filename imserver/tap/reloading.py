"""Reads certificates, keys and secrets again while everything goes on (SIGHUP)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from twisted.logger import Logger

from imserver.assembly import read_external_keys, read_turn_servers
from imserver.config import ConfigError, Configuration
from imserver.protocols.tls import TlsContexts
from imserver.services.ice import Ice
from imserver.services.keys import KeyRing, KeyRingError
from imserver.services.message_keys import MessageKeys
from imserver.tap.json_log import make_observer

_log = Logger()


def reload_files(
    configuration: Configuration,
    listeners: Sequence[TlsContexts | None],
    keys: KeyRing,
    message_keys: MessageKeys,
    ice: Ice,
) -> None:
    """Takes up what the files hold now; of those that cannot be used the old content stays.

    Args:
        listeners: the certificates of each listener, in the configuration's order.
    """
    whole = True
    try:
        make_observer.reopen()
    except OSError as error:
        whole = False
        _log.error("the log goes on in the old file: {reason}", reason=error.strerror)
    for number, contexts in enumerate(listeners):
        try:
            if contexts is not None:
                contexts.reload()
        except ConfigError as error:
            whole = False
            _log.error(
                "listener[{number}].tls: {reason}; the certificates read before stay in use",
                number=number,
                reason=str(error),
            )
    try:
        keys.reload(read_external_keys(configuration))
    except (ConfigError, KeyRingError) as error:
        whole = False
        _log.error("{reason}; the token keys read before stay in use", reason=str(error))
    try:
        message_keys.reload()
    except KeyRingError as error:
        whole = False
        _log.error("{reason}; the message keys read before stay in use", reason=str(error))
    try:
        ice.replace(read_turn_servers(configuration))
    except ConfigError as error:
        whole = False
        _log.error("{reason}; the TURN secrets read before stay in use", reason=str(error))
    if whole:
        _log.info("certificates, keys and secrets were read again")


def warn_of_dates(listeners: Sequence[TlsContexts | None], now: datetime) -> None:
    """Says which certificates are not valid at present. They are shown all the same: better than none."""
    for number, contexts in enumerate(listeners):
        for certificate in () if contexts is None else contexts.certificates:
            if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
                _log.warn(
                    "listener[{number}].tls: {subject} is valid from {since} to {until}",
                    number=number,
                    subject=certificate.subject.rfc4514_string(),
                    since=certificate.not_valid_before_utc.isoformat(),
                    until=certificate.not_valid_after_utc.isoformat(),
                )
