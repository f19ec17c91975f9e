"""The dialect chat-app of document 004, for the Python client that is in the field (CONTRACT §6).

docs/wire/chat-app.md describes it.
"""

from __future__ import annotations

from imserver.wire.jsonline.chat_app.client import ChatAppClientCodec
from imserver.wire.jsonline.chat_app.server import ChatAppServerCodec

__all__ = ["ChatAppClientCodec", "ChatAppServerCodec"]
