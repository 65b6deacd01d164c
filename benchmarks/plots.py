"""Bar charts as SVG, written by hand: groups of horizontal bars, each with its number, on a scale of its own."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

_WIDTH, _COLUMNS = 960, 2
_LABEL, _NUMBER = 118, 64
_BAR, _GAP, _TITLE, _MARGIN = 16, 5, 30, 16
_OURS, _OTHERS, _TEXT = "#c2410c", "#94a3b8", "#1e293b"

#: Values by name, by group; None is a bar that is not there.
Groups = Mapping[str, Mapping[str, float | None]]


def bars(title: str, groups: Groups, ours: str) -> str:
    """Return the drawing; the bars of `ours` stand out."""
    width = (_WIDTH - _MARGIN) // _COLUMNS - _MARGIN
    parts, top, left = list[str](), float(_MARGIN + _TITLE), _MARGIN
    lowest = top
    for number, (name, values) in enumerate(groups.items()):
        if number % _COLUMNS == 0:
            left, top = _MARGIN, lowest
        else:
            left += width + _MARGIN
        panel, height = _panel(name, values, ours, left, top, width)
        parts.append(panel)
        lowest = max(lowest, top + height)
    heading = _text(_MARGIN, _MARGIN + 10, title, size=16, weight="bold")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {lowest:g}" font-family="sans-serif" '
        f'role="img" aria-label="{escape(title)}">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join([heading, *parts])
        + "\n</svg>\n"
    )


def _panel(
    name: str, values: Mapping[str, float | None], ours: str, left: float, top: float, width: float
) -> tuple[str, float]:
    """Return the bars of a group, and their height."""
    greatest = max((value for value in values.values() if value is not None), default=1.0) or 1.0
    room = width - _LABEL - _NUMBER
    lines = [_text(left, top + 14, name, weight="bold")]
    for number, (label, value) in enumerate(values.items()):
        y = top + _TITLE - 6 + number * (_BAR + _GAP)
        lines.append(_text(left + _LABEL - 8, y + _BAR - 4, label, anchor="end"))
        length = 0.0 if value is None else max(1.0, room * value / greatest)
        colour = _OURS if label == ours else _OTHERS
        lines.append(f'<rect x="{left + _LABEL:g}" y="{y:g}" width="{length:.1f}" height="{_BAR}" fill="{colour}"/>')
        shown = "none" if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
        lines.append(_text(left + _LABEL + length + 6, y + _BAR - 4, shown))
    return "\n".join(lines), _TITLE + len(values) * (_BAR + _GAP) + _MARGIN


def _text(x: float, y: float, text: str, *, size: int = 12, weight: str = "normal", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:g}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{_TEXT}">{escape(text)}</text>'
    )
