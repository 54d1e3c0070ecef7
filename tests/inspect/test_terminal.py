"""Neighbours for a person, and for another program."""

import io
import re

import pytest
from helpers.hand_made import neighbour
from rich.console import Console

from pipeline.inspect.terminal import harmless, print_neighbour, print_summary

UNKNOWN = dict.fromkeys(("pi", "kept", "teacher", "teacher_on_original", "student"))
HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b2J a\rb\nc\x00 \u202eback [bold]no[/bold] :smile:"


def printed(row, *, terminal=False, width=80):
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=terminal, color_system="standard" if terminal else None, width=width, highlight=False,
        soft_wrap=not terminal, _environ={},
    )  # fmt: skip
    print_neighbour(console, UNKNOWN | row)
    return out.getvalue()


def test_all_that_is_known_is_printed():
    known = {"pi": 0.75, "kept": False, "student": {"class": "positive", "probability": 0.625}}
    known |= {"teacher": {"class": "negative", "probability": 0.9}}
    known |= {"teacher_on_original": {"class": "positive", "probability": 0.8}}
    assert printed(neighbour() | known).splitlines() == [
        "t0-001  target  positive  distance 1 of 3  log P_s -4.0  π 0.750  dropped",
        "  original   a good film",
        "  neighbour  a bad film",
        "  changed    good → bad",
        "  teacher    negative 0.90 (original: positive 0.80)",
        "  student    positive 0.62",
        "",
    ]


def test_a_neighbour_of_a_text_without_a_label():
    row = neighbour(label=None, domain="unlabelled")
    assert printed(row).splitlines()[0] == "t0-001  unlabelled  distance 1 of 3  log P_s -4.0"


def test_spans_say_which_of_equal_words_changed():
    row = neighbour(original="a man , a plan", text="a man , the plan", old_words=["a"], new_words=["the"])
    row |= {"old_spans": [{"side": 0, "start": 8, "end": 9}], "new_spans": [{"side": 0, "start": 8, "end": 11}]}
    assert "a man , \x1b[31ma\x1b[0m plan" in printed(row, terminal=True)


def test_without_spans_the_texts_are_compared():
    row = neighbour(old_words=[], new_words=[], old_spans=[], new_spans=[])
    assert "a \x1b[31mgood\x1b[0m film" in printed(row, terminal=True)


def test_plain_text_is_not_broken_into_lines():
    long = "so " * 60 + "good"
    assert f"  original   {long}\n" in printed(neighbour(original=long, text="so " * 60 + "bad"), width=40)


def test_changed_words_have_colours_on_a_terminal():
    out = printed(neighbour(), terminal=True)
    assert re.search(r"a \x1b\[31mgood\x1b\[0m film", out)
    assert re.search(r"a \x1b\[1;32mbad\x1b\[0m film", out)


def test_the_second_text_of_a_pair_is_below_the_first():
    changes = {"old_spans": [{"side": 1, "start": 3, "end": 7}], "new_spans": [{"side": 1, "start": 3, "end": 6}]}
    lines = printed(neighbour(text="a good film", pair=("so good", "so bad"), **changes)).splitlines()
    assert lines[1:5] == [
        "  original   a good film", "             so good", "  neighbour  a good film", "             so bad",
    ]  # fmt: skip


def test_most_of_what_follows_the_last_change_is_left_out():
    lines = printed(neighbour(original=f"good {'x' * 500}", text=f"bad {'x' * 500}")).splitlines()
    assert lines[1] == f"  original   good {'x' * 79}… and 421 characters more"
    assert lines[2] == f"  neighbour  bad {'x' * 79}… and 421 characters more"


def test_regression_has_numbers():
    lines = printed(
        neighbour(label=2.5) | {"teacher": 2.25, "teacher_on_original": 3.125, "student": -1.5}
    ).splitlines()
    assert lines[0].startswith("t0-001  target  2.5  ")
    assert lines[-3:-1] == ["  teacher    2.25 (original: 3.12)", "  student    -1.5"]


@pytest.mark.parametrize("terminal", [False, True])
def test_no_text_controls_the_terminal(terminal):
    changes = {"label": HOSTILE, "old_words": [HOSTILE], "new_words": ["bad"]}
    row = neighbour(HOSTILE, original=HOSTILE, text="bad", pair=(HOSTILE, HOSTILE), **changes)
    out = printed(row | {"teacher": {"class": HOSTILE, "probability": 1.0}}, terminal=terminal, width=4000)
    colours = re.sub(r"\x1b\[[0-9;]*m", "", out)
    assert not set(colours) & set("\x1b\x9b\x07\r\x00\u202e")
    assert len(colours.splitlines()) == 8
    assert "[bold]no[/bold] :smile:" in colours
    if not terminal:
        assert colours == out


def test_what_is_harmless_stays_as_it_is():
    assert harmless("naïve “film” – 映画 👩‍👧 می‌شود") == "naïve “film” – 映画 👩‍👧 می‌شود"
    assert harmless("a\x1bb\n\u2028\u2066") == r"a\x1bb\n\u2028\u2066"


def test_a_summary_is_a_page():
    summary = {
        "neighbours": {"source": 4, "target": 1200},
        "originals": 64,
        "distinct": 0.987,
        "distances": [{"distance": 1, "drawn": 4, "expected": 3.5}, {"distance": 2, "drawn": 2, "expected": 0.25}],
        "replacements": [["good", "\x1bbad", 12]],
        "teacher": {"neighbours": 1200, "another_class": 0.125},
    }
    out = io.StringIO()
    print_summary(Console(file=out, width=80, soft_wrap=True, highlight=False, _environ={}), summary)
    assert out.getvalue().splitlines() == [
        "neighbours  4 source, 1,200 target, of 64 texts; 98.7% distinct",
        "teacher     another class than the original's for 12.5% of 1,200 neighbours",
        "",
        "  distance      drawn     Eq. 11   (drawn: 1.33 on average)",
        f"         1          4        3.5   {'█' * 40}",
        f"         2          2        0.2   {'█' * 20}",
        "",
        "replaced most often",
        r"        12  good → \x1bbad",
        "",
    ]
