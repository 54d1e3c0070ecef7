"""Charts as inline SVG in the page's own colours, each a figure with its title; every word in them is escaped."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.report.markup import clipped, element, joined

WIDTH, HEIGHT = 340, 230
MINUS = "\N{MINUS SIGN}"
LETTER = 6.3
"""Width of a character, about."""
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` along a line of the drawing."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a number stands."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 2)


def ticks(low: float, high: float, most: int = 5) -> list[tuple[float, str]]:
    """Round numbers between two, at most so many, each with what is written beside it."""
    rough = (high - low) / most
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * (1 - 1e-9))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    form = ".3g" if decimals > 7 or max(abs(low), abs(high)) >= 1e6 else f",.{decimals}f"
    signed = ((number * step, format(number * step, form)) for number in range(first, last + 1))
    return [(number, label.replace("-", MINUS)) for number, label in signed]


def around(values: Sequence[float]) -> tuple[float, float]:
    """A range that holds the values, with room; never empty."""
    low, high = min(values), max(values)
    room = (high - low) * 0.05 or abs(low) * 0.05 or 0.5
    return low - room, high + room


def lines(series: Mapping[str, Points], *, title: str, note: str = "", x: str, y: str) -> Markup:
    """Curves by name, with steps of their own; names are told by dashes and marks as well as colour."""
    every = [point for points in series.values() for point in points]
    columns = around([point[0] for point in every])
    if len({point[0] for point in every}) > 1:
        columns = (min(point[0] for point in every), max(point[0] for point in every))

    def draw(across: Scale, up: Scale) -> list[Markup]:
        drawn = []
        for order, points in enumerate(series.values()):
            path = "".join(f"{'L' if at else 'M'}{across.at(a)} {up.at(b)}" for at, (a, b) in enumerate(points))
            drawn.append(element("path", d=path, class_=f"line c{order % 4}"))
            if len(points) <= 12:
                drawn += [_mark(order, across.at(a), up.at(b)) for a, b in points]
        return drawn

    said = [
        f"{name or y}: {_few(points[0][1])} at {_few(points[0][0])}, {_few(points[-1][1])} at {_few(points[-1][0])}, "
        f"lowest {_few(min(value for _, value in points))}, highest {_few(max(value for _, value in points))}"
        for name, points in series.items()
    ]
    rows = around([point[1] for point in every])
    names = list(series) if len(series) > 1 else []
    return _framed(draw, columns, rows, title=title, note=note, x=x, y=y, names=names, said=said)


def bars(spans: Sequence[tuple[float, float, float]], *, title: str, note: str = "", x: str, y: str) -> Markup:
    """Upright bars, each from one number to another and so high, on a ground of 0."""
    columns = min(span[0] for span in spans), max(span[1] for span in spans)
    top = max(span[2] for span in spans) or 1.0

    def draw(across: Scale, up: Scale) -> list[Markup]:
        corners = [(across.at(left), across.at(right), up.at(height)) for left, right, height in spans]
        floor = up.at(0)
        return [
            element("rect", x=left, y=head, width=max(right - left - 1, 0.5), height=floor - head, class_="bar")
            for left, right, head in corners
        ]

    tallest = max(spans, key=lambda span: span[2])
    said = [f"{len(spans)} bars, the highest {_few(top)} from {_few(tallest[0])} to {_few(tallest[1])}"]
    return _framed(draw, columns, (0, top * 1.05), title=title, note=note, x=x, y=y, said=said)


def scatter(points: Points, *, title: str, note: str = "", x: str, y: str) -> Markup:
    """Dots, and the diagonal on which both numbers are equal."""
    both = around([number for point in points for number in point])

    def draw(across: Scale, up: Scale) -> list[Markup]:
        dots = "".join(f"M{across.at(a)} {up.at(b)}h0" for a, b in points)
        ends = f"M{across.at(both[0])} {up.at(both[0])}L{across.at(both[1])} {up.at(both[1])}"
        return [element("path", d=ends, class_="rule"), element("path", d=dots, class_="dots")]

    said = [f"{len(points):,} dots"]
    return _framed(draw, both, both, title=title, note=note, x=x, y=y, said=said)


def ranges(
    rows: Sequence[tuple[str, float, float, float]], *, title: str, note: str = "", x: str, form: str = ".3f"
) -> Markup:
    """A dot with its interval for each name: (name, value, low, high)."""
    left = 14 + LETTER * max(len(clipped(name, 24)) for name, *_ in rows)
    height = 70 + 34 * len(rows)
    low, high = around([bound for row in rows for bound in row[1:]])
    across = Scale(low, high, left, WIDTH - 12.0)
    drawn = _columns(across, 12, height - 40, x)
    for order, (name, value, least, most) in enumerate(rows):
        y = 34.0 + 34 * order
        drawn += [
            element("text", clipped(name, 24), x=left - 8, y=y + 4, class_="end"),
            element("path", d=f"M{across.at(least)} {y}H{across.at(most)}", class_="range"),
            element("circle", cx=across.at(value), cy=y, r=5, class_="dot"),
            element("text", format(value, form), x=across.at(value), y=y - 9, class_="middle strong"),
        ]
    said = [f"{name} {value:{form}}, from {least:{form}} to {most:{form}}" for name, value, least, most in rows]
    return _figure(drawn, height, title, note, said)


def _framed(
    draw: Callable[[Scale, Scale], list[Markup]],
    columns: tuple[float, float],
    rows: tuple[float, float],
    *,
    title: str,
    note: str,
    x: str,
    y: str,
    said: Sequence[str],
    names: Sequence[str] = (),
) -> Markup:
    """What is drawn between two axes."""
    keys, top = _legend(names)
    labels = [(number, label) for number, label in ticks(*rows) if rows[0] <= number <= rows[1]]
    left = 12 + LETTER * max((len(label) for _, label in labels), default=1)
    across, up = Scale(*columns, left, WIDTH - 14.0), Scale(*rows, HEIGHT - 40.0, top)
    drawn = [element("text", y, x=4, y=14, class_="axis"), *keys]
    for number, label in labels:
        drawn.append(element("path", d=f"M{left} {up.at(number)}H{WIDTH - 14}", class_="grid"))
        drawn.append(element("text", label, x=left - 6, y=up.at(number) + 4, class_="end"))
    drawn += _columns(across, top, HEIGHT - 40, x)
    return _figure(drawn + draw(across, up), HEIGHT, title, note, said)


def _legend(names: Sequence[str]) -> tuple[list[Markup], float]:
    """Which line is whose, in as many rows as that takes, and where they end."""
    drawn: list[Markup] = []
    behind, y = 4.0, 30.0
    for order, name in enumerate(clipped(name, 30) for name in names):
        wide = 44 + LETTER * len(name)
        if behind > 4 and behind + wide > WIDTH:
            behind, y = 4.0, y + 18
        drawn.append(element("path", d=f"M{behind} {y}h26", class_=f"line c{order % 4}"))
        drawn += [_mark(order, behind + 13, y), element("text", name, x=behind + 32, y=y + 4)]
        behind += wide
    return drawn, y + 16 if drawn else 28.0


def _columns(across: Scale, top: float, bottom: float, x: str) -> list[Markup]:
    """The axis below, with its numbers and title."""
    drawn = [element("path", d=f"M{across.start} {bottom}H{across.end}", class_="ground")]
    wide = max(len(label) for _, label in ticks(across.low, across.high)) if across.high > across.low else 1
    for number, label in ticks(across.low, across.high, 3 if wide > 6 else 5):
        if across.low <= number <= across.high:
            drawn.append(element("path", d=f"M{across.at(number)} {top}V{bottom + 4}", class_="grid"))
            drawn.append(element("text", label, x=across.at(number), y=bottom + 18, class_="middle"))
    middle = (across.start + across.end) / 2
    return [*drawn, element("text", x, x=middle, y=bottom + 36, class_="axis middle")]


def _mark(order: int, x: float, y: float) -> Markup:
    """A dot, square, triangle or diamond."""
    outlines = ("m-4 -4h8v8h-8z", "m0 -5l5 9h-10z", "m0 -5l5 5l-5 5l-5 -5z")
    if order % 4 == 0:
        return element("circle", cx=x, cy=y, r=4, class_="mark c0")
    return element("path", d=f"M{x} {y}{outlines[order % 4 - 1]}", class_=f"mark c{order % 4}")


def _figure(drawn: Sequence[Markup], height: int, title: str, note: str, said: Sequence[str]) -> Markup:
    told = f"{title}. {'; '.join(said)}."
    drawing = element(
        "svg", element("title", told), *drawn, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=told
    )
    caption = element("figcaption", element("strong", title), joined(" ", element("span", note)) if note else "")
    return element("figure", caption, drawing)


def _few(number: float) -> str:
    return f"{number:.4g}"
