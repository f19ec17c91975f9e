"""The doors: framing, sessions, outboxes and the liveness of connections.

A connection is a protocol (cuts frames), a `Link` (what one connection is made
of), an `Outbox` and a `Session` (authentication states and all error policy).
What connections share is in `Doors`.
"""
