"""The directory: accounts, grants, groups and friends."""

from __future__ import annotations

from imserver.backends.embedded.accounts import Accounts
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.friends import Friends
from imserver.backends.embedded.groups import Groups


class EmbeddedDirectory(Accounts, Groups, Friends):
    """`ports.Directory` over the embedded engine; the documentation of the methods is there."""

    def __init__(self, core: Core) -> None:
        Accounts.__init__(self, core)
        Groups.__init__(self, core)
        Friends.__init__(self, core)
