"""The table's targets as a chart: how much of each is reached, as SVG."""

from __future__ import annotations

from xml.sax.saxutils import escape

from benchmarks.figures import Line

_ROW, _LEFT, _WIDE, _TOP = 26, 300, 360, 56
_LONGEST = 2.0
"""Where bars are cut off; 1 is the target."""


def chart(lines: list[Line], title: str, *, shared: bool) -> str:
    """Bars from left to right, the target a line at 1; only figures with a target."""
    shown = [(line, share) for line in lines if (share := _share(line, shared)) is not None]
    height = _TOP + _ROW * len(shown) + 16
    at_one = _LEFT + _WIDE / _LONGEST
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDE + 110}" height="{height}"'
        ' font-family="sans-serif" font-size="13">',
        f'<rect width="100%" height="100%" fill="#ffffff"/><text x="12" y="22">{escape(title)}</text>',
        f'<text x="{at_one}" y="44" text-anchor="middle" fill="#555555">target</text>',
    ]
    for number, (line, share) in enumerate(shown):
        top = _TOP + _ROW * number
        wide = min(share, _LONGEST) * _WIDE / _LONGEST
        colour = "#4a8f5c" if line.reached else "#c0653a"
        parts += [
            f'<text x="{_LEFT - 8}" y="{top + 14}" text-anchor="end">{escape(line.name)}</text>',
            f'<rect x="{_LEFT}" y="{top}" width="{wide:.1f}" height="18" fill="{colour}"/>',
            f'<text x="{_LEFT + _WIDE + 8}" y="{top + 14}">{escape(_words(line, shared))}</text>',
        ]
    parts.append(
        f'<path d="M{at_one} {_TOP - 6}V{height - 12}" stroke="#333333" stroke-dasharray="4 3"/></svg>'
    )
    return "\n".join(parts) + "\n"


def _compared(line: Line, shared: bool) -> float:
    if line.ratio is None:
        return line.value
    return line.core_ratio if shared and line.core_ratio is not None else line.ratio


def _share(line: Line, shared: bool) -> float | None:
    if line.target is None or line.reached is None:
        return None
    compared = _compared(line, shared)
    return line.target / max(compared, 1e-9) if line.at_most else compared / line.target


def _words(line: Line, shared: bool) -> str:
    compared = _compared(line, shared)
    return f"{compared:.2f} ×" if line.ratio is not None else f"{compared:.1f} {line.unit}"
