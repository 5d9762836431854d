"""Plots, in SVG, by hand."""

from __future__ import annotations

from html import escape

FONT = 'font-family="system-ui, sans-serif" font-size="13"'
OURS_COLOUR = "#1f6feb"
PEERS_COLOUR = "#8b949e"
TEXT_COLOUR = "#24292f"
GRID_COLOUR = "#d0d7de"
# Of the bars, in pixels.
ROW = 22
LABEL_WIDTH = 330
BAR_WIDTH = 470
VALUE_WIDTH = 70
GROUP_GAP = 30
# Of the line, in pixels.
PLOT_WIDTH, PLOT_HEIGHT = 760, 320
MARGIN_LEFT, MARGIN_TOP, MARGIN_BELOW = 70, 66, 50


def svg(width: float, height: float, parts: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" {FONT} fill="{TEXT_COLOUR}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def text(x: float, y: float, words: str, anchor: str = "start", extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{escape(words)}</text>'


def step(most: float) -> float:
    """A round distance between lines of the grid, of which there are four to ten."""
    size = 1.0
    while most / size > 10:
        size *= 10
    while most / size < 4:
        size /= 2
    return size


def bars(title: str, groups: list[tuple[str, list[tuple[str, float, bool]]]]) -> str:
    """Groups of a heading and its bars: name, value, and whether it is ours. Each has a scale of its own:
    a body of 1 MB would leave the others no room."""
    parts = [text(10, 24, title, extra='font-weight="bold" font-size="15"')]
    y = 44.0
    for heading, rows in groups:
        parts.append(text(10, y + 16, heading, extra='font-weight="bold"'))
        y += ROW + 2
        most = max(value for _, value, _ in rows)
        for name, value, ours in rows:
            width = BAR_WIDTH * value / most
            parts.append(text(LABEL_WIDTH - 8, y + 15, name, "end"))
            colour = OURS_COLOUR if ours else PEERS_COLOUR
            parts.append(
                f'<rect x="{LABEL_WIDTH}" y="{y + 3:.1f}" width="{width:.1f}" '
                f'height="{ROW - 6}" fill="{colour}"/>'
            )
            parts.append(text(LABEL_WIDTH + width + 6, y + 15, f"{value:.1f}"))
            y += ROW
        y += GROUP_GAP - ROW
    return svg(LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH, y + 10, parts)


def line(title: str, across: str, up: str, points: list[tuple[float, float]]) -> str:
    """One line over its points, with the axis of its values from zero."""
    right = max(x for x, _ in points) or 1.0
    top = max(y for _, y in points) * 1.1 or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            MARGIN_LEFT + PLOT_WIDTH * x / right,
            MARGIN_TOP + PLOT_HEIGHT * (1 - y / top),
        )

    parts = [text(10, 24, title, extra='font-weight="bold" font-size="15"')]
    bottom = MARGIN_TOP + PLOT_HEIGHT
    for number in range(int(top / step(top)) + 1):
        value = number * step(top)
        _, y = place(0, value)
        parts.append(
            f'<path d="M{MARGIN_LEFT} {y:.1f}h{PLOT_WIDTH}" stroke="{GRID_COLOUR}" fill="none"/>'
        )
        parts.append(text(MARGIN_LEFT - 8, y + 4, f"{value:g}", "end"))
    for number in range(int(right / step(right)) + 1):
        value = number * step(right)
        x, _ = place(value, 0)
        parts.append(text(x, bottom + 20, f"{value:g}", "middle"))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    parts.append(f'<polyline points="{path}" fill="none" stroke="{OURS_COLOUR}" stroke-width="2"/>')
    parts.append(text(MARGIN_LEFT + PLOT_WIDTH / 2, bottom + 42, across, "middle"))
    parts.append(text(MARGIN_LEFT, MARGIN_TOP - 10, up, "start"))
    return svg(MARGIN_LEFT + PLOT_WIDTH + 30, bottom + MARGIN_BELOW, parts)
