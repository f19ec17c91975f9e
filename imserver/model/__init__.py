"""The vocabulary every floor shares: commands, events, replies, ids and error codes.

Frozen structs without behaviour. Commands are imperatives (`SendMessage`),
events are past facts (`MessageRevoked`), replies are results
(`MessageAccepted`, `InboxPage`). Nothing here knows bytes, sockets or the name
of a wire format.
"""
