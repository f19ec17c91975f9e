"""How large a message is on a page."""

from __future__ import annotations

from imserver.model.messages import Form, Message

_CONTROLS = bytes(range(0x20))
_FRAME = 336
"""More than any format writes around a message's own strings."""


def _written(data: bytes) -> int:
    """Bytes of a string once a JSON format has escaped it."""
    escaped = data.count(b'"') + data.count(b"\\")
    return len(data) + escaped + 5 * (len(data) - len(data.translate(None, _CONTROLS)))


def page_bytes(message: Message) -> int:
    """How much a message counts against a page's bound: at least what any format needs to write it."""
    data, form = message.content.data, message.content.form
    size = _FRAME + len(message.attachments) + len(message.meta)
    if form == Form.TEXT:
        size += _written(data)
    elif form == Form.JSON:
        size += len(data)
        if b'"text"' in data:
            size += len(data)  # document 001 may have the text beside the object
    else:
        size += len(data) * 4 // 3 + 4
    # Twice, because the canonical name of the conversation is made of them.
    ids = message.sender, message.recipient, message.group
    size += _written(message.client_id.encode()) + 2 * sum(_written(one.encode()) for one in ids)
    if message.conversation != message.canonical:
        size += _written(message.conversation.encode())
    for key, value in message.extra.items():
        size += _written(key.encode()) + _written(value.encode()) + 6
    return size
