"""The directory: accounts, grants, groups and friends."""

from __future__ import annotations

from imserver.backends.redis.accounts import Accounts
from imserver.backends.redis.core import Core
from imserver.backends.redis.friends import Friends
from imserver.backends.redis.groups import Groups


class RedisDirectory(Accounts, Groups, Friends):
    """`ports.Directory` over Redis; the documentation of the methods is there."""

    def __init__(self, core: Core) -> None:
        Accounts.__init__(self, core)
        Groups.__init__(self, core)
        Friends.__init__(self, core)
