"""Document 004: JSON lines over TCP, as a library for both sides.

```python
import imserver.wire.jsonline as proto

line = proto.encode_msg(proto.create_msg(proto.MsgType.LOGIN, {"username": "alice", "password": "…"}))
async for message in proto.decode_stream(reader):
    print(message.command, message.payload)
```

`sign_msg`, `validate_signature`, `seal_msg` and `open_msg` are for sessions that are signed or
encrypted; `schemas/` holds the JSON Schemas of all payloads.

`JsonLineClientCodec` and `JsonLineServerCodec` translate between lines and the
structs of `imserver.model`. Nothing here opens a socket or needs an event loop.
docs/wire/jsonline.md describes the format.
"""

from imserver.wire.jsonline.client import JsonLineClientCodec, SendFailed
from imserver.wire.jsonline.commands import COMMAND_MAP, Command, Direction, MsgType
from imserver.wire.jsonline.errors import ErrorCode, ProtocolError, StatusCode
from imserver.wire.jsonline.extensions import ContentType, Extension, OwnCommand, OwnContent
from imserver.wire.jsonline.framing import (
    MAX_LINE,
    LineBuffer,
    decode_msg,
    decode_stream,
    encode_msg,
    is_blank,
)
from imserver.wire.jsonline.messages import MsgBase, create_msg
from imserver.wire.jsonline.sealing import Nonces, open_msg, seal_msg
from imserver.wire.jsonline.server import JsonLineServerCodec
from imserver.wire.jsonline.signing import derived_key, sign_msg
from imserver.wire.jsonline.validator import SUPPORTED_VERSIONS, VERSION, validate_signature, validate_version

__all__ = [
    "COMMAND_MAP",
    "MAX_LINE",
    "SUPPORTED_VERSIONS",
    "VERSION",
    "Command",
    "ContentType",
    "Direction",
    "ErrorCode",
    "Extension",
    "JsonLineClientCodec",
    "JsonLineServerCodec",
    "LineBuffer",
    "MsgBase",
    "MsgType",
    "Nonces",
    "OwnCommand",
    "OwnContent",
    "ProtocolError",
    "SendFailed",
    "StatusCode",
    "create_msg",
    "decode_msg",
    "decode_stream",
    "derived_key",
    "encode_msg",
    "is_blank",
    "open_msg",
    "seal_msg",
    "sign_msg",
    "validate_signature",
    "validate_version",
]
