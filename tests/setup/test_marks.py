"""Marks that are found in tables as people bring them."""

import pytest

from pipeline.params.schema import Augment
from pipeline.params.yaml12 import inline, parse
from pipeline.setup.marks import marks


@pytest.mark.parametrize(
    ("rows", "pattern", "common"),
    [
        ([("the <e1>pump</e1> feeds the <e2>tank</e2>",)] * 9, r"</?\w+>", "</e1>, </e2>"),
        ([("[NAME] is late",), ("thanks [NAME]",), ("where is it",)], r"\[[A-Z][A-Z0-9_]*\]", "[NAME]"),
        ([("COL title VAL lamp COL price VAL 3", "COL title VAL a lamp")] * 4, r"\bCOL .+? VAL\b",
         "COL price VAL, COL title VAL"),
        ([("<a> [B]",)] * 3, r"</?\w+>|\[[A-Z][A-Z0-9_]*\]", "<a>, [B]"),
        ([("[NAME] is late",), ("where is it",)], "", ""),
        ([("a < b and c > d",), ("[1] [see] COL",)], "", ""),
        ([("<a>",), ("<b>",), ("<c>",)], "", ""),
        ([], "", ""),
    ],
)  # fmt: skip
def test_the_same_marks_in_most_rows(rows, pattern, common):
    assert marks(rows) == (pattern, common)
    if pattern:
        written = parse(f"keep: {inline(pattern)}  # a comment")["keep"]
        assert Augment(keep=written).keep == pattern


def test_a_mark_counts_once_a_row():
    assert marks([("<a> <a> <a>", "<a>"), ("b",), ("c",)]) == ("", "")
