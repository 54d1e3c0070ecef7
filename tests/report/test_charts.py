"""Charts: positions of numbers, round ticks, and no text in them becomes markup."""

import xml.etree.ElementTree as ElementTree

import pytest

from pipeline.report.charts import Scale, bars, intervals, lines, scatter, ticks

WORDS = {"title": "a <b> & ]]>", "x": "x <i>", "y": "y \"'"}
DRAWN = {
    "lines": lambda: lines({"one <s>": [(0, 1), (2, 5)], "two": [(0, 3), (2, 4)]}, **WORDS),
    "bars": lambda: bars([(0, 1, 3), (1, 2, 6)], **WORDS),
    "scatter": lambda: scatter([(0, 1), (2, 3)], **WORDS),
    "intervals": lambda: intervals([("a <u>", 0.5, 0.4, 0.7)], title=WORDS["title"], x=WORDS["x"]),
}


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (1, 258, ["100", "200"]),
        (0.89994, 0.90016, ["0.89995", "0.90000", "0.90005", "0.90010", "0.90015"]),
        (-0.03, 0.02, ["−0.03", "−0.02", "−0.01", "0.00", "0.01", "0.02"]),
        (0, 4000, ["0", "1,000", "2,000", "3,000", "4,000"]),
    ],
)
def test_ticks_are_round(low, high, labels):
    assert [label for _, label in ticks(low, high)] == labels


def test_a_scale():
    scale = Scale(10, 20, 100, 50)
    assert [scale.position(number) for number in (10, 15, 20)] == [100, 75, 50]


@pytest.mark.parametrize("kind", DRAWN)
def test_titles_and_axes_are_written_and_escaped(kind):
    figure = ElementTree.fromstring(DRAWN[kind]())
    texts = [text for text in figure.itertext() if text.strip()]
    assert WORDS["title"] in texts
    assert WORDS["x"] in texts
    assert kind == "intervals" or WORDS["y"] in texts
    drawing = figure.find("svg")
    assert drawing.attrib["role"] == "img"
    assert drawing.attrib["aria-label"].startswith(WORDS["title"])
    assert {element.tag for element in figure.iter()} <= {
        "figure", "figcaption", "strong", "span", "svg", "title", "path", "text", "rect", "circle",
    }  # fmt: skip


def test_bars_are_as_high_as_their_numbers():
    drawing = ElementTree.fromstring(bars([(0, 1, 3.0), (1, 2, 6.0)], **WORDS))
    low, high = (float(bar.attrib["height"]) for bar in drawing.iter("rect"))
    assert high == pytest.approx(2 * low, abs=0.02)


def test_series_have_their_names_and_marks_of_their_own():
    figure = ElementTree.fromstring(DRAWN["lines"]())
    assert {"one <s>", "two"} <= set(figure.itertext())
    assert {path.attrib["class"] for path in figure.iter("path")} >= {"line c0", "line c1", "mark c1"}


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e-9, 1e12])
def test_one_number_alone_can_be_drawn(value):
    for drawn in (lines({"": [(1, value)]}, **WORDS), intervals([("a", value, value, value)], title="t", x="x")):
        numbers = [part for element in ElementTree.fromstring(drawn).iter() for part in element.attrib.values()]
        assert not any(bad in part for part in numbers for bad in ("nan", "inf"))
