"""What a Redis says of itself, and what that means for what is entrusted to it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class About(Struct, frozen=True):
    """From the reply to `INFO`.

    Attributes:
        run_id: which process it is; "" = it does not say.
        evicts: the policy by which it throws keys away when it is full; "" = it refuses then.
        keeps_file: whether it writes down what it is told; a Redis that does not say so is believed to.
    """

    run_id: str = ""
    evicts: str = ""
    keeps_file: bool = True

    @property
    def fault(self) -> str:
        """Why it cannot be used; "" = it can."""
        if not self.run_id:
            return "it does not say which process it is"
        if self.evicts:
            return f"it would throw messages away: maxmemory-policy is {self.evicts}, and must be noeviction"
        return ""


def about(reply: Any) -> About:
    """Reads the reply to `INFO`; an error says nothing."""
    if not isinstance(reply, bytes):
        return About()
    said: dict[str, str] = {}
    for line in reply.decode(errors="replace").splitlines():
        key, _, value = line.partition(":")
        said[key] = value
    policy = said.get("maxmemory_policy", "noeviction")
    limited = said.get("maxmemory", "0") != "0"
    return About(
        said.get("run_id", ""),
        policy if limited and policy != "noeviction" else "",
        said.get("aof_enabled", "1") != "0",
    )
