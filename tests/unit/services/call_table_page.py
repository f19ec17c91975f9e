"""The table of calls as docs/calls.md shows it: `python -m tests.unit.services.call_table_page`."""

from __future__ import annotations

from collections.abc import Sequence

from imserver.services.call_table import TABLE
from imserver.services.call_terms import Do, On, State, Table


def page(table: Table = TABLE) -> str:
    """Two tables in Markdown, for the states that live and the rest."""
    live = [state for state in State if state not in (State.NEW, State.ENDED)]
    return f"{_part(table, live)}\n\n{_part(table, [State.NEW, State.ENDED])}\n"


def _part(table: Table, states: Sequence[State]) -> str:
    lines = [
        "| | " + " | ".join(f"**{state.value}**" for state in states) + " |",
        "|---|" + "---|" * len(states),
    ]
    for event in On:
        cells = [_cell(table, state, event) for state in states]
        if any(cells):
            lines.append(f"| {event.value} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(table: Table, state: State, event: On) -> str:
    step = table[state][event]
    if step.do is Do.NEVER:
        return ""
    text = step.do.value if step.ending is None else f"{step.do.value}: {step.ending.value}"
    return text if step.next in (state, State.ENDED) else f"{text} → *{step.next.value}*"


if __name__ == "__main__":
    print(page(), end="")
