"""Charts as inline SVG in the page's colours, each a figure with its title; all text in them is escaped."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.report.markup import clipped, element, joined

WIDTH, HEIGHT = 340, 230
MINUS = "\N{MINUS SIGN}"
CHARACTER_WIDTH = 6.3
"""Approximate width of a character."""
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Scale:
    """A linear map from numbers between `low` and `high` to coordinates between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def position(self, value: float) -> float:
        """Coordinate of a number."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 2)


def ticks(low: float, high: float, most: int = 5) -> list[tuple[float, str]]:
    """Round numbers between `low` and `high`, about `most` of them, each with its label."""
    rough = (high - low) / most
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * (1 - 1e-9))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    number_format = ".3g" if decimals > 7 or max(abs(low), abs(high)) >= 1e6 else f",.{decimals}f"
    labelled = ((number * step, format(number * step, number_format)) for number in range(first, last + 1))
    return [(number, label.replace("-", MINUS)) for number, label in labelled]


def padded_range(values: Sequence[float]) -> tuple[float, float]:
    """A range that contains the values with a margin; never empty."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or abs(low) * 0.05 or 0.5
    return low - margin, high + margin


def lines(series: Mapping[str, Points], *, title: str, note: str = "", x: str, y: str) -> Markup:
    """Curves by name, each with its own x values; they differ in dashes and markers as well as colour."""
    points = [point for curve in series.values() for point in curve]
    x_range = padded_range([point[0] for point in points])
    if len({point[0] for point in points}) > 1:
        x_range = (min(point[0] for point in points), max(point[0] for point in points))

    def draw(x_scale: Scale, y_scale: Scale) -> list[Markup]:
        drawn = []
        for index, curve in enumerate(series.values()):
            path = "".join(
                f"{'L' if step else 'M'}{x_scale.position(a)} {y_scale.position(b)}"
                for step, (a, b) in enumerate(curve)
            )
            drawn.append(element("path", d=path, class_=f"line c{index % 4}"))
            if len(curve) <= 12:
                drawn += [_marker(index, x_scale.position(a), y_scale.position(b)) for a, b in curve]
        return drawn

    descriptions = [
        f"{name or y}: {_short(curve[0][1])} at {_short(curve[0][0])}, {_short(curve[-1][1])} at "
        f"{_short(curve[-1][0])}, lowest {_short(min(value for _, value in curve))}, "
        f"highest {_short(max(value for _, value in curve))}"
        for name, curve in series.items()
    ]
    y_range = padded_range([point[1] for point in points])
    names = list(series) if len(series) > 1 else []
    return _with_axes(draw, x_range, y_range, title=title, note=note, x=x, y=y, names=names, descriptions=descriptions)


def bars(spans: Sequence[tuple[float, float, float]], *, title: str, note: str = "", x: str, y: str) -> Markup:
    """Upright bars that start at 0: (left, right, height)."""
    x_range = min(span[0] for span in spans), max(span[1] for span in spans)
    top = max(span[2] for span in spans) or 1.0

    def draw(x_scale: Scale, y_scale: Scale) -> list[Markup]:
        corners = [
            (x_scale.position(left), x_scale.position(right), y_scale.position(height)) for left, right, height in spans
        ]
        floor = y_scale.position(0)
        return [
            element("rect", x=left, y=head, width=max(right - left - 1, 0.5), height=floor - head, class_="bar")
            for left, right, head in corners
        ]

    tallest = max(spans, key=lambda span: span[2])
    descriptions = [f"{len(spans)} bars, the highest {_short(top)} from {_short(tallest[0])} to {_short(tallest[1])}"]
    return _with_axes(draw, x_range, (0, top * 1.05), title=title, note=note, x=x, y=y, descriptions=descriptions)


def scatter(points: Points, *, title: str, note: str = "", x: str, y: str) -> Markup:
    """Dots, and the diagonal on which both numbers are equal."""
    low, high = padded_range([number for point in points for number in point])

    def draw(x_scale: Scale, y_scale: Scale) -> list[Markup]:
        dots = "".join(f"M{x_scale.position(a)} {y_scale.position(b)}h0" for a, b in points)
        start = f"M{x_scale.position(low)} {y_scale.position(low)}"
        end = f"L{x_scale.position(high)} {y_scale.position(high)}"
        return [element("path", d=start + end, class_="diagonal"), element("path", d=dots, class_="dots")]

    descriptions = [f"{len(points):,} dots"]
    return _with_axes(draw, (low, high), (low, high), title=title, note=note, x=x, y=y, descriptions=descriptions)


def intervals(rows: Sequence[tuple[str, float, float, float]], *, title: str, note: str = "", x: str) -> Markup:
    """A dot with its interval for each name: (name, value, low, high)."""
    left = 14 + CHARACTER_WIDTH * max(len(clipped(name, 24)) for name, *_ in rows)
    height = 70 + 34 * len(rows)
    low, high = padded_range([bound for row in rows for bound in row[1:]])
    scale = Scale(low, high, left, WIDTH - 12.0)
    drawn = _x_axis(scale, 12, height - 40, x)
    for index, (name, value, lower, upper) in enumerate(rows):
        y = 34.0 + 34 * index
        drawn += [
            element("text", clipped(name, 24), x=left - 8, y=y + 4, class_="end"),
            element("path", d=f"M{scale.position(lower)} {y}H{scale.position(upper)}", class_="range"),
            element("circle", cx=scale.position(value), cy=y, r=5, class_="dot"),
            element("text", f"{value:.3f}", x=scale.position(value), y=y - 9, class_="middle strong"),
        ]
    descriptions = [f"{name} {value:.3f}, from {lower:.3f} to {upper:.3f}" for name, value, lower, upper in rows]
    return _figure(drawn, height, title, note, descriptions)


def _with_axes(
    draw: Callable[[Scale, Scale], list[Markup]],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    *,
    title: str,
    note: str,
    x: str,
    y: str,
    descriptions: Sequence[str],
    names: Sequence[str] = (),
) -> Markup:
    """A figure with both axes, a legend of `names`, and what `draw` returns."""
    legend, top = _legend(names)
    labels = [(number, label) for number, label in ticks(*y_range) if y_range[0] <= number <= y_range[1]]
    left = 12 + CHARACTER_WIDTH * max((len(label) for _, label in labels), default=1)
    x_scale, y_scale = Scale(*x_range, left, WIDTH - 14.0), Scale(*y_range, HEIGHT - 40.0, top)
    drawn = [element("text", y, x=4, y=14, class_="axis"), *legend]
    for number, label in labels:
        drawn.append(element("path", d=f"M{left} {y_scale.position(number)}H{WIDTH - 14}", class_="grid"))
        drawn.append(element("text", label, x=left - 6, y=y_scale.position(number) + 4, class_="end"))
    drawn += _x_axis(x_scale, top, HEIGHT - 40, x)
    return _figure(drawn + draw(x_scale, y_scale), HEIGHT, title, note, descriptions)


def _legend(names: Sequence[str]) -> tuple[list[Markup], float]:
    """A line sample with its name for each series, in as many rows as needed, and the y coordinate below them."""
    drawn: list[Markup] = []
    x, y = 4.0, 30.0
    for index, name in enumerate(clipped(name, 30) for name in names):
        width = 44 + CHARACTER_WIDTH * len(name)
        if x > 4 and x + width > WIDTH:
            x, y = 4.0, y + 18
        drawn.append(element("path", d=f"M{x} {y}h26", class_=f"line c{index % 4}"))
        drawn += [_marker(index, x + 13, y), element("text", name, x=x + 32, y=y + 4)]
        x += width
    return drawn, y + 16 if drawn else 28.0


def _x_axis(scale: Scale, top: float, bottom: float, title: str) -> list[Markup]:
    """The x axis with grid lines, numbers and its title."""
    drawn = [element("path", d=f"M{scale.start} {bottom}H{scale.end}", class_="base")]
    widest = max(len(label) for _, label in ticks(scale.low, scale.high)) if scale.high > scale.low else 1
    for number, label in ticks(scale.low, scale.high, 3 if widest > 6 else 5):
        if scale.low <= number <= scale.high:
            drawn.append(element("path", d=f"M{scale.position(number)} {top}V{bottom + 4}", class_="grid"))
            drawn.append(element("text", label, x=scale.position(number), y=bottom + 18, class_="middle"))
    middle = (scale.start + scale.end) / 2
    return [*drawn, element("text", title, x=middle, y=bottom + 36, class_="axis middle")]


def _marker(index: int, x: float, y: float) -> Markup:
    """A dot, square, triangle or diamond."""
    outlines = ("m-4 -4h8v8h-8z", "m0 -5l5 9h-10z", "m0 -5l5 5l-5 5l-5 -5z")
    if index % 4 == 0:
        return element("circle", cx=x, cy=y, r=4, class_="mark c0")
    return element("path", d=f"M{x} {y}{outlines[index % 4 - 1]}", class_=f"mark c{index % 4}")


def _figure(drawn: Sequence[Markup], height: int, title: str, note: str, descriptions: Sequence[str]) -> Markup:
    description = f"{title}. {'; '.join(descriptions)}."
    drawing = element(
        "svg",
        element("title", description),
        *drawn,
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_label=description,
    )
    caption = element("figcaption", element("strong", title), joined(" ", element("span", note)) if note else "")
    return element("figure", caption, drawing)


def _short(number: float) -> str:
    return f"{number:.4g}"
