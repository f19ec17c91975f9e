"""The Redis cellar: many nodes over one Redis.

From the bottom:

1. `protocol` reads and writes the bytes of one connection (txredisapi's protocol, by
   hiredis, in batches); `connection` keeps one open, whatever happens; `link` sends
   commands over it, `subscriber` listens to channels over another one; `scripts` are
   what Redis runs itself.
2. `keys` names every key; docs/scaling.md shows them all.

Modules here import txredisapi, which sees the global reactor when it is imported:
import this package only where the reactor is chosen already.
"""
