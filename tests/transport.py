"""Which transport the tests are over: the one that is the default, or Twisted's own.

The environment variable IMSERVER_TEST_TRANSPORT says which: fast (default) or stock. Every server that
tests/e2e/server.py starts has it, and so have the unit tests over sockets of their own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twisted.internet.tcp import Connection

from imserver.tap.fast_transport import FastConnection

TRANSPORT = os.environ.get("IMSERVER_TEST_TRANSPORT", "fast")
if TYPE_CHECKING:
    CONNECTION = Connection
else:
    CONNECTION = {"fast": FastConnection, "stock": Connection}[TRANSPORT]  # a server's end of a connection
