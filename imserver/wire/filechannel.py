"""The binary channel of document 004 (2.4): frames of file bytes, in both roles.

A frame is u8 type, u32 little-endian length, payload. The server's offset in its HELLO
rules where DATA begins. With a key every DATA is sealed (`Seal`).

====  =====  =====================================================================
0x01  DATA   u64 big-endian offset, bytes; sealed: offset, nonce, ciphertext, tag
0x02  ACK    JSON {transfer_id, offset, status}
0x03  HELLO  JSON {transfer_id, token, role, offset}; the server's without a token
0x04  END    JSON {sha256}; the server's also transfer_id, file_id, status
0x05  ERROR  JSON {transfer_id, status, error_code, error, error_message, retryable}
====  =====  =====================================================================

docs/wire/filechannel.md describes the conversation.
"""

from __future__ import annotations

import enum
import struct
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from imserver.model.errors import ErrorCode, ImError
from imserver.wire.base import WireError
from imserver.wire.jsonline.errors import ProtocolError, error_from_payload

OVERHEAD: Final = 64
"""A payload may have this many bytes more than a chunk."""
MAX_JSON: Final = 4096
"""Bytes of the longest JSON payload, where a chunk is not shorter."""
MAX_OFFSET: Final = 2**63 - 1
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16

_HEAD: Final = struct.Struct("<BI")
_OFFSET: Final = struct.Struct(">Q")
_encode: Final = msgspec.json.Encoder().encode


class FrameType(enum.IntEnum):
    """The first byte of a frame."""

    DATA = 1
    ACK = 2
    HELLO = 3
    END = 4
    ERROR = 5


class Data(Struct, frozen=True, gc=False):
    """Bytes of the file from `offset` on; sealed ones where the channel has a key."""

    offset: int
    data: bytes | memoryview


class Ack(Struct, frozen=True, gc=False):
    """Everything below `offset` is kept."""

    transfer: str
    offset: int
    status: int = 200


class Hello(Struct, frozen=True, gc=False):
    """Opens the channel; the server's answer has no token."""

    transfer: str
    role: str
    offset: int = 0
    token: str = ""


class End(Struct, frozen=True, gc=False):
    """All was sent (the sending side), all is verified (the answer)."""

    sha256: str = ""
    transfer: str = ""
    file: str = ""
    status: int = 200


class Failed(Struct, frozen=True):
    """The channel ends with this error."""

    error: ImError
    transfer: str = ""


Frame = Data | Ack | Hello | End | Failed


def _bad(text: str) -> WireError:
    return WireError(ErrorCode.BAD_REQUEST, text, fatal=True)


class FrameBuffer:
    """Cuts a byte stream into frames; holds at most one unfinished frame.

    Args:
        chunk: bytes of the largest chunk.

    Attributes:
        whole: DATA comes as it was sent. False: in pieces as they are received, each with its own offset,
            and without a copy; for chunks that are not sealed.
    """

    __slots__ = ("_at", "_left", "_length", "_limit", "_more", "_pieces", "_type", "_want", "whole")

    def __init__(self, chunk: int, *, whole: bool = True) -> None:
        self.whole = whole
        self._limit = chunk + OVERHEAD
        self._pieces: list[bytes] = []
        self._length = 0  # of _pieces
        self._want = _HEAD.size
        self._type = 0  # 0: the head is read
        # Of a DATA frame that comes in pieces: bytes after its offset, then those still to come, and where.
        self._more = self._left = self._at = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Takes the next bytes; returns the frames now complete.

        Raises:
            WireError: fatal; TOO_LARGE for a frame beyond the limit, else BAD_REQUEST. Frames of the same
                bytes that came before the fault are lost, as the channel is.
        """
        frames: list[Frame] = []
        start, end = 0, len(data)
        while True:
            if self._left:
                start = self._piece(frames, data, start)
            stop = start + self._want - self._length
            if stop > end:
                break
            part = data[start:stop]
            if self._pieces:
                part = b"".join((*self._pieces, part))
                self._pieces.clear()
                self._length = 0
            start = stop
            if self._type:
                self._body(frames, part)
            else:
                self._head(part)
        if start < end:
            self._pieces.append(data[start:])
            self._length += end - start
        return frames

    def _head(self, part: bytes) -> None:
        self._type, self._want = _HEAD.unpack(part)
        if self._type not in _TYPES:
            raise _bad("there is no such type of frame")
        if self._want > self._limit or (self._type != FrameType.DATA and self._want > MAX_JSON):
            raise WireError(ErrorCode.TOO_LARGE, "the frame is too long", fatal=True)
        if self._type == FrameType.DATA and not self.whole and self._want > _OFFSET.size:
            self._more = self._want - _OFFSET.size
            self._want = _OFFSET.size

    def _body(self, frames: list[Frame], part: bytes) -> None:
        frame = _decode(self._type, part)
        self._type, self._want = 0, _HEAD.size
        if self._more:
            assert isinstance(frame, Data)
            self._at, self._left, self._more = frame.offset, self._more, 0
        else:
            frames.append(frame)

    def _piece(self, frames: list[Frame], data: bytes, start: int) -> int:
        """Takes what there is of a DATA frame that comes in pieces; returns where the rest begins."""
        stop = min(start + self._left, len(data))
        if stop > start:
            frames.append(Data(self._at, memoryview(data)[start:stop]))
            self._at += stop - start
            self._left -= stop - start
        return stop


_TYPES: Final = frozenset(int(one) for one in FrameType)


class _Json(Struct):
    transfer_id: str = ""
    token: str = ""
    role: str = ""
    offset: int = 0
    status: int = 200
    sha256: str = ""
    file_id: str = ""


_read: Final = msgspec.json.Decoder(_Json).decode
_object: Final = msgspec.json.Decoder(dict[str, Any]).decode


def _decode(kind: int, payload: bytes) -> Frame:
    if kind == FrameType.DATA:
        if len(payload) < _OFFSET.size:
            raise _bad("a DATA frame is too short")
        (offset,) = _OFFSET.unpack_from(payload)
        if offset > MAX_OFFSET:
            raise _bad("the offset is out of range")
        return Data(offset, payload[_OFFSET.size :])
    try:
        payload.decode()
        if kind == FrameType.ERROR:
            fields = _object(payload)
            transfer = fields.get("transfer_id")
            return Failed(error_from_payload(fields), transfer if isinstance(transfer, str) else "")
        read = _read(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _bad("a frame's JSON cannot be read") from None
    if not 0 <= read.offset <= MAX_OFFSET:
        raise _bad("the offset is out of range")
    if kind == FrameType.ACK:
        return Ack(read.transfer_id, read.offset, read.status)
    if kind == FrameType.HELLO:
        return Hello(read.transfer_id, read.role, read.offset, read.token)
    return End(read.sha256.removeprefix("sha256:").lower(), read.transfer_id, read.file_id, read.status)


def _json(kind: FrameType, fields: dict[str, Any]) -> bytes:
    payload = _encode(fields)
    return _HEAD.pack(kind, len(payload)) + payload


def data_head(offset: int, length: int) -> bytes:
    """What stands before `length` bytes of a DATA frame."""
    return _HEAD.pack(FrameType.DATA, _OFFSET.size + length) + _OFFSET.pack(offset)


def encode(frame: Frame) -> bytes:
    """Writes a frame."""
    match frame:
        case Data():
            return b"".join((data_head(frame.offset, len(frame.data)), frame.data))
        case Ack():
            fields: dict[str, Any] = {
                "transfer_id": frame.transfer,
                "offset": frame.offset,
                "status": frame.status,
            }
            return _json(FrameType.ACK, fields)
        case Hello():
            fields = {"transfer_id": frame.transfer, "role": frame.role, "offset": frame.offset}
            if frame.token:
                fields["token"] = frame.token
            return _json(FrameType.HELLO, fields)
        case End():
            fields = {"sha256": frame.sha256}
            if frame.transfer:
                fields |= {"transfer_id": frame.transfer, "file_id": frame.file, "status": frame.status}
            return _json(FrameType.END, fields)
    fields = ProtocolError.of(frame.error).to_dict()
    return _json(FrameType.ERROR, {"transfer_id": frame.transfer, **fields})


class Seal:
    """AES-256-GCM over chunks, hop by hop.

    Args:
        key: 32 bytes, for one channel token.
        transfer: bound to every chunk, as its offset is.
    """

    def __init__(self, key: bytes, transfer: str) -> None:
        self._cipher = AESGCM(key)
        self._transfer = transfer.encode()

    def seal(self, offset: int, data: bytes, nonce: bytes) -> bytes:
        """nonce ‖ ciphertext ‖ tag; a nonce must never be used twice with a key: 12 random bytes."""
        return nonce + self._cipher.encrypt(nonce, data, self._transfer + _OFFSET.pack(offset))

    def open(self, offset: int, sealed: bytes | memoryview) -> bytes:
        """The chunk.

        Raises:
            WireError: fatal; it was not sealed with this key for this place.
        """
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise _bad("a sealed chunk is too short")
        nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, body, self._transfer + _OFFSET.pack(offset))
        except InvalidTag:
            text = "a chunk was not sealed for this place"
            raise WireError(ErrorCode.SIGNATURE, text, fatal=True) from None
