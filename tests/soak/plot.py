"""Lines over time, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 900, 150, 90, 34, 56
_COLOURS = ("#1f6fb4", "#c9481b", "#3b8f3b", "#8254a8", "#8a6d3b")

#: Seconds and value of each point.
Line = Sequence[tuple[float, float]]


def plot(
    title: str, panels: Mapping[str, Mapping[str, Line]], shaded: Sequence[tuple[float, float]], end: float
) -> str:
    """Return one panel under the other, all over the same time.

    Args:
        title: stands above.
        panels: the lines of each panel, by their names.
        shaded: spans of time that are marked in all panels.
        end: where the axis of time ends, in seconds.
    """
    height = _TOP + len(panels) * (_HEIGHT + _GAP)
    width = _LEFT + _WIDTH + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        "<style>text { font-size: 12px }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (name, lines) in enumerate(panels.items()):
        parts += _panel(name, lines, shaded, end, _TOP + number * (_HEIGHT + _GAP) + 16)
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    name: str, lines: Mapping[str, Line], shaded: Sequence[tuple[float, float]], end: float, top: float
) -> list[str]:
    most = max((value for line in lines.values() for _, value in line), default=0.0) or 1.0
    bottom = top + _HEIGHT

    def x(seconds: float) -> float:
        return round(_LEFT + _WIDTH * seconds / end, 1)

    def y(value: float) -> float:
        return round(bottom - _HEIGHT * value / most, 1)

    parts = [f'<text x="{_LEFT}" y="{top - 5}" font-weight="bold">{escape(name)}</text>']
    for first, last in shaded:
        width = max(1.0, x(last) - x(first))
        parts.append(f'<rect x="{x(first)}" y="{top}" width="{width:.1f}" height="{_HEIGHT}" fill="#f3e3d3"/>')
    parts.append(f'<path d="M{_LEFT} {top}V{bottom}H{_LEFT + _WIDTH}" fill="none" stroke="#666"/>')
    for share in (0.0, 0.5, 1.0):
        parts.append(f'<text x="{_LEFT - 6}" y="{y(share * most) + 4}" text-anchor="end">{most * share:.4g}</text>')
        parts.append(
            f'<text x="{x(share * end)}" y="{bottom + 15}" text-anchor="middle">{share * end / 60:.0f} min</text>'
        )
    for number, (label, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(f"{x(seconds)},{y(value)}" for seconds, value in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
        place = _LEFT + 160 + 150 * number
        parts.append(f'<text x="{place}" y="{top - 5}" fill="{colour}">{escape(label)}</text>')
    return parts
