"""The promise, over what everybody was told: acknowledged exactly once, in order, nothing made up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from tests.e2e.chaos import Listener, Sending
from tests.e2e.people import Row

FOREVER = 1 << 60


def check(
    sendings: Sequence[Sending], inboxes: Mapping[str, Sequence[Row]], listeners: Sequence[Listener]
) -> list[str]:
    """What is wrong; nothing if nothing is.

    Args:
        inboxes: every user's, read at the end.
    """
    wrong: list[str] = []
    by_text = {sending.text: sending for sending in sendings}
    places: dict[str, set[str]] = defaultdict(set)
    for user, rows in inboxes.items():
        if [row.seq for row in rows] != list(range(1, len(rows) + 1)):
            wrong.append(f"{user}: numbers are not dense")
        if len({row.message_id for row in rows}) != len(rows) or len({row.text for row in rows}) != len(rows):
            wrong.append(f"{user}: a message twice")
        for row in rows:
            sending = by_text.get(row.text)
            if sending is None or row.sender != sending.sender or user not in sending.recipients:
                wrong.append(f"{user}: a phantom, {row}")
            else:
                places[row.text].add(user)
        wrong += order(user, [by_text[row.text] for row in rows if row.text in by_text])
    for sending in sendings:
        wrong += accepted(sending, inboxes, places[sending.text])
    for listener in listeners:
        rows = inboxes[listener.user]
        for seq, row in listener.rows.items():
            if seq > len(rows) or rows[seq - 1] != row:
                wrong.append(f"{listener.name}: was told {row}, which is not in the inbox")
        missing = [row.seq for row in rows if row.seq not in listener.rows]
        if missing:
            wrong.append(f"{listener.name}: was never told {missing[:10]} of {len(rows)}")
    return wrong


def accepted(sending: Sending, inboxes: Mapping[str, Sequence[Row]], places: set[str]) -> list[str]:
    """One message against all inboxes."""
    name = sending.client_id
    if not sending.answers:
        if not sending.given_up:
            return [f"{name}: has no answer"]
        if places and places != sending.recipients:
            return [f"{name}: reached {places} of {sending.recipients}"]
        return []
    wrong = []
    if len(set(sending.answers)) != 1:
        wrong.append(f"{name}: answered differently, {sending.answers}")
    if places != sending.recipients:
        wrong.append(f"{name}: acknowledged, and reached {places} of {sending.recipients}")
    answer = sending.answers[0]
    own = inboxes[sending.sender]
    row = own[answer.seq - 1] if answer.seq <= len(own) else None
    if row is None or (row.message_id, row.text) != (answer.message_id, sending.text):
        wrong.append(f"{name}: acknowledged as {answer}, and there is {row}")
    return wrong


def order(user: str, rows: Sequence[Sending]) -> list[str]:
    """What was acknowledged before something else was sent, by whomever, comes before it."""
    earliest, first = FOREVER, ""
    for sending in reversed(rows):
        if sending.begun > earliest:
            return [f"{user}: {sending.client_id} comes before {first}, acknowledged before it was sent"]
        if sending.accepted and sending.accepted < earliest:
            earliest, first = sending.accepted, sending.client_id
    return []
