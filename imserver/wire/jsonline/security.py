"""What one session signs and encrypts, and what it makes of signed and encrypted lines (§5).

The bytes are here; who may do what with which key is for the `Guard` to say.
"""

from __future__ import annotations

import base64
import enum
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from imserver.model.errors import ErrorCode, ImError
from imserver.model.protection import (
    Evidence,
    PresharedKey,
)
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.compression import check_encoding, inflate, unpack
from imserver.wire.jsonline.guard import Guard
from imserver.wire.jsonline.messages import Envelope
from imserver.wire.jsonline.sealing import Nonces, Sealed, nonce_of, seal, unseal
from imserver.wire.jsonline.signing import (
    C2S,
    KEY_BYTES,
    S2C,
    associated_data,
    derived_key,
    ed25519_parts,
    hmac_signature,
    is_ed25519_of,
    is_hmac_of,
    signed_bytes,
)
from imserver.wire.jsonline.validator import bad

_CREDENTIALS: Final = frozenset({MsgType.LOGIN, MsgType.REGISTER, MsgType.REFRESH})
_OPENING: Final = _CREDENTIALS | {MsgType.HEARTBEAT}

_encode: Final = msgspec.json.Encoder().encode
_fields: Final = msgspec.json.Decoder(dict[str, Any]).decode
_sealed: Final = msgspec.json.Decoder(Sealed).decode


class Seal(NamedTuple):
    """What an encrypted line was sealed with, and when (float seconds)."""

    kid: str
    nonce: bytes
    at: float


class _Probe(Struct):
    enc: Any = None


class _Line(Struct):
    """A line of the server, on its way out."""

    id: Any
    type: str
    timestamp: int
    command: str
    payload: Raw
    headers: Raw = Raw(b"")


_probe: Final = msgspec.json.Decoder(_Probe).decode
_line: Final = msgspec.json.Decoder(_Line).decode


class SessionSecurity:
    """One connection's keys and states.

    Args:
        guard: the listener's.
        nonces: the server's, shared by all connections.
        random_bytes: makes signing keys.
        private: whether the link hides what it carries (TLS), so that a key may be sent.
    """

    __slots__ = (
        "_guard",
        "_issued",
        "_nonces",
        "_private",
        "_proven",
        "_random_bytes",
        "_sealed",
        "_sign",
        "_user",
    )

    def __init__(
        self, guard: Guard, nonces: Nonces, random_bytes: Callable[[int], bytes], *, private: bool
    ) -> None:
        self._guard = guard
        self._nonces = nonces
        self._random_bytes = random_bytes
        self._private = private
        self._user = ""
        self._issued = b""  # the signing key that the log-in was answered with
        self._proven = False  # the peer has shown that it has a pre-shared key
        self._sealed: PresharedKey | None = None  # encrypts, from the first encrypted message on
        self._sign: Callable[[bytes], str] | None = None  # signs what goes out

    # Lines in

    def open(self, envelope: Envelope, name: enum.StrEnum | None) -> Seal | None:
        """Checks a line; `envelope.payload` becomes the clear payload.

        Returns:
            of an encrypted line what must not come again.

        Raises:
            ImError: SIGNATURE where it must not pass; BAD_REQUEST; TOO_LARGE.
        """
        guard = self._guard
        before = self._sealed is not None
        key, once = self._unseal(envelope)
        if key is None and envelope.headers is not None and envelope.headers.encoding is not None:
            unpack(envelope)
        fields: dict[str, Any] = {}
        if guard.signature != "off" or (not self._user and name in _CREDENTIALS):
            fields = _object(envelope.payload)
        speaker = self._user or self._named(name, fields)
        signed, signer = False, ""
        if guard.signature != "off" and fields.get("signature") is not None:
            signer = self._verify(envelope, fields, speaker, key)
            signed = True
            # What was verified is what is done, should there ever be two ways to read the line.
            del fields["signature"]
            envelope.payload = Raw(_encode(fields))
        guard.check(
            Evidence(
                speaker=speaker,
                opening=not self._user and name in _OPENING,
                credentials=name in _CREDENTIALS,
                signed=signed,
                signer=signer,
                sealer="" if key is None else key.user,
                sealed_before=before,
                at=envelope.timestamp or 0.0,
            )
        )
        return once

    def _unseal(self, envelope: Envelope) -> tuple[PresharedKey | None, Seal | None]:
        if self._guard.encryption == "off" or not _is_sealed(envelope.payload):
            return None, None
        at = envelope.timestamp
        if at is None:
            raise _refused("an encrypted message needs its timestamp")
        try:
            sealed = _sealed(envelope.payload)
            key = self._guard.preshared(sealed.kid)
            nonce = nonce_of(sealed)
            bound_to = associated_data(C2S, envelope.id, envelope.type, envelope.command, at)
            clear = unseal(sealed, key.secret, bound_to) if key is not None else None
        except (msgspec.MsgspecError, ValueError) as fault:
            raise bad(f"payload: {fault}") from None
        if key is None or clear is None:
            # Which of the two it was is nobody's business.
            raise _refused("the payload was not encrypted for this message with a key known here")
        if not self._user or key.user == self._user:
            self._sealed = key
            self._proven = True
        if envelope.headers is not None and envelope.headers.encoding is not None:
            check_encoding(envelope.headers.encoding)
            clear = inflate(clear)
        envelope.payload = Raw(clear)
        return key, Seal(key.kid, nonce, float(at))

    def _named(self, name: enum.StrEnum | None, fields: dict[str, Any]) -> str:
        """Whom a command before the log-in names; the command itself may yet turn out wrong."""
        if name not in _CREDENTIALS:
            return ""
        user, token = fields.get("username"), fields.get("token")
        if name is MsgType.REFRESH:
            user, token = None, fields.get("refresh_token")
        if type(user) in (str, int) and user != "":
            return str(user)
        return self._guard.user_of(token) if isinstance(token, str) else ""

    def _verify(
        self, envelope: Envelope, fields: dict[str, Any], speaker: str, sealer: PresharedKey | None
    ) -> str:
        """The owner of the pre-shared or registered key that signed; "" for the session's own key.

        Raises:
            ImError: SIGNATURE.
        """
        signature = fields["signature"]
        if not isinstance(signature, str) or not signature.isascii():
            raise _refused("payload.signature must be a signature")
        at = envelope.timestamp
        if at is None:
            raise _refused("a signed message needs its timestamp")
        try:
            data = signed_bytes(C2S, envelope.id, envelope.type, envelope.command, at, fields)
            parts = ed25519_parts(signature)
        except ValueError as fault:
            raise _refused(f"payload.signature: {fault}") from None
        if parts is not None:
            registered = self._guard.registered(parts[0])
            if registered is None or not is_ed25519_of(parts[1], registered.public, data):
                raise _wrong()
            self._sign = self._own_signature(speaker)
            return registered.user
        signature = signature.lower()
        if self._issued and is_hmac_of(signature, self._issued, data):
            self._sign = _signer(self._issued)
            return ""
        preshared = sealer or (self._guard.preshared_of(speaker) if speaker else None)
        if preshared is not None:
            derived = derived_key(preshared.secret)
            if is_hmac_of(signature, derived, data):
                self._sign = _signer(derived)
                self._proven = True
                return preshared.user
        raise _wrong()

    def _own_signature(self, speaker: str) -> Callable[[bytes], str]:
        """How a peer is answered that signs with a key of its own."""
        if self._issued:
            return _signer(self._issued)
        preshared = self._guard.preshared_of(speaker) if speaker else None
        return self._guard.sign if preshared is None else _signer(derived_key(preshared.secret))

    # Lines out

    @property
    def sealed(self) -> bool:
        """Whether what goes out is encrypted."""
        return self._sealed is not None

    @property
    def active(self) -> bool:
        """Whether `close` changes what goes out."""
        return self._sign is not None or self._sealed is not None

    def logged_in(self, user: str, lines: list[bytes]) -> list[bytes]:
        """The answer to the log-in, with a key to sign with where the session needs one."""
        self._user = user
        if self._guard.signature == "off" or self._proven or not self._private or not lines:
            return [self.close(line) for line in lines]
        issued = self._random_bytes(KEY_BYTES)
        lines = [with_member(line, "signing_key", base64.b64encode(issued).decode()) for line in lines]
        lines = [self.close(line) for line in lines]
        self._issued = issued
        if self._sign is not None or self._guard.signature == "required":
            self._sign = _signer(issued)
        return lines

    def close(self, line: bytes) -> bytes:
        """A line as it goes out: signed, then encrypted, as far as this session is."""
        sign, key = self._sign, self._sealed
        if sign is None and key is None:
            return line
        out = _line(line)
        envelope = out.id, out.type, out.command, out.timestamp
        payload = bytes(out.payload)
        if sign is not None:
            try:
                data = signed_bytes(S2C, *envelope, _fields(payload))
            except ValueError:
                pass  # somebody's content has no canonical form; who insists on a signature drops it
            else:
                payload = _added(payload, "signature", sign(data))
        if key is not None:
            sealed = seal(payload, key.kid, key.secret, self._nonces.next(), associated_data(S2C, *envelope))
            payload = _encode(sealed)
        head = b'{"id":%b,"type":"%b","timestamp":%d,"command":%b,' % (
            _encode(out.id),
            out.type.encode(),
            out.timestamp,
            _encode(out.command),
        )
        headers = bytes(out.headers)
        return b'%b%b"payload":%b}' % (head, b'"headers":%b,' % headers if headers else b"", payload)


def with_member(line: bytes, name: str, value: Any) -> bytes:
    """A line of the server with one more member of its payload, which stands last."""
    return _added(line[:-1], name, value) + b"}"


def _added(payload: bytes, name: str, value: Any) -> bytes:
    comma = b"" if payload.endswith(b"{}") else b","
    return b'%b%b"%b":%b}' % (payload[:-1], comma, name.encode(), _encode(value))


def _signer(key: bytes) -> Callable[[bytes], str]:
    return lambda data: hmac_signature(key, data)


def _is_sealed(payload: Raw) -> bool:
    try:
        return _probe(payload).enc is not None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False  # it is nothing else, either, as will be found


def _object(payload: Raw) -> dict[str, Any]:
    """The payload's members; none where it is absent or null."""
    try:
        return _fields(payload) if bytes(payload) != b"null" else {}
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise bad("the payload is not an object, or cannot be read") from None


def _refused(text: str) -> ImError:
    return ImError(ErrorCode.SIGNATURE, text)


def _wrong() -> ImError:
    return _refused("the signature is wrong, or under a key that is not known here")
