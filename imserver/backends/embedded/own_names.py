"""Clients' own names for a pair: who knows them, who learns them (CONTRACT.md).

A name is local to its pair and an alias only: the same name may be another user's for
another conversation, and is then not written to that user.
"""

from __future__ import annotations

from imserver.backends.embedded.entities import Pair, User
from imserver.backends.embedded.journal import Journal
from imserver.backends.embedded.settings import EngineSettings
from imserver.backends.embedded.state import State


def knows_otherwise(state: State, user: User, name: str, pair: Pair) -> bool:
    """Whether a user knows this name for another conversation and must be written the canonical one."""
    known = state.names_of(user, name)
    if known and known != (pair.no,):
        return True
    if known:
        return False
    group = state.group(name)
    return group is not None and user.no in group.members


def use_name(
    state: State, sender: User, peer: User, pair: Pair | None, name: str, settings: EngineSettings
) -> tuple[str, list[User], list[int]]:
    """A client's own name for a pair.

    Returns:
        (the name, "" if no more are remembered; users who get to know it; numbers of users
        who know it for another conversation and are written the canonical one)
    """
    users = [sender] if sender is peer else [sender, peer]
    # A conversation that does not exist yet has a number nobody knows a name for.
    same = pair if pair is not None else Pair(0, 0, 0, "", 0)
    if pair is not None:
        names = state.names_of_pair(pair)
        if name not in names and len(names) >= settings.conversation_names:
            return "", [], []
    renamed = [user for user in users if knows_otherwise(state, user, name, same)]
    # The sender said it, so for the sender it denotes this conversation too;
    # the other learns only what it is written.
    learners = [
        user for user in users
        if (user is sender or user not in renamed) and same.no not in state.names_of(user, name)
    ]  # fmt: skip
    return name, learners, [user.no for user in renamed]


def learn(state: State, journal: Journal, user: User, name: str, pair: Pair) -> None:
    """A user gets to know a name for a pair, which it remembers."""
    user.learn(name, (*state.names_of(user, name), pair.no))
    serial = journal.serial
    user.mark = pair.mark = serial
    state.names_of_pair(pair).add(name)
    journal.statement("INSERT OR IGNORE INTO aliases VALUES (?, ?, ?)", user.no, name, pair.no)
