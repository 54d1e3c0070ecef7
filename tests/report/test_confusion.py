"""Confusion matrices and scatter plots, and the order of the texts on which the models disagree."""

import numpy as np

from pipeline.data.texts import Texts
from pipeline.report.confusion import MAX_CASES, confusions, disagreements, scatters

NAMES = ["no", "yes"]
PREDICTIONS = {
    "teacher": ["no", "yes", "no", "yes", "yes"],
    "student": ["yes", "no", "yes", "yes", "no"],
    "student_ft": ["no", "yes", "yes", "no", "yes"],
}
TEST = Texts(list("abcde"), ["long text a", "text b", "c", "d", "e"], None, np.array([0, 1, 0, 0, 0]), NAMES)
# The teacher is right on a, b and c; the student on e alone; Student-FT on a, b and d.
NUMBERS = Texts(list("abc"), ["a", "b", "c"], ["x", "y", "z"], np.array([1.0, 2.0, 3.0], np.float32), [])
NUMBER_PREDICTIONS = {"teacher": [1.0, 2.5, 3.0], "student": [1.25, 2.0, 5.0], "student_ft": [0.0, 0.0, 0.0]}


def test_effects_of_distillation_come_first_and_then_short_texts():
    worse, better = disagreements(TEST, PREDICTIONS)
    assert [case.id for case in worse.cases] == ["b", "a", "c"]
    assert worse.count == 3
    assert [case.id for case in better.cases] == ["e"]
    first = worse.cases[0]
    assert (first.texts, first.label) == (["text b"], "yes")
    assert first.predictions == [("teacher", "yes", True), ("student", "no", False), ("Student-FT", "yes", True)]


def test_the_number_of_cases_is_limited_but_all_are_counted():
    rows = 5 * MAX_CASES
    test = Texts([str(row) for row in range(rows)], ["t"] * rows, None, np.zeros(rows, np.int64), NAMES)
    worse, better = disagreements(
        test, {"teacher": ["no"] * rows, "student": ["yes"] * rows, "student_ft": ["no"] * rows}
    )
    assert (worse.count, len(worse.cases)) == (rows, MAX_CASES)
    assert (better.count, better.cases) == (0, [])


def test_in_regression_the_largest_excess_of_error_comes_first():
    worse, better = disagreements(NUMBERS, NUMBER_PREDICTIONS)
    assert [case.id for case in worse.cases] == ["c", "a"]
    assert [case.id for case in better.cases] == ["b"]
    assert worse.cases[0].texts == ["c", "z"]
    assert worse.cases[0].predictions[1] == ("student", "5.0", None)


def test_a_confusion_matrix():
    teacher = confusions(TEST, PREDICTIONS)[0]
    assert (teacher.model, teacher.wrong) == ("teacher", 2)
    assert [(label, [count for count, _ in cells]) for label, cells in teacher.matrix] == [
        ("no", [2, 2]),
        ("yes", [0, 1]),
    ]
    shades = [[shade for _, shade in cells] for _, cells in teacher.matrix]
    assert shades == [[2, 2], [0, 4]]


def test_with_many_classes_the_most_frequent_mistakes_are_listed():
    names = [f"class {number}" for number in range(20)]
    labels = np.array([0, 0, 0, 1, 2])
    test = Texts(list("abcde"), list("abcde"), None, labels, names)
    predicted = [names[number] for number in (3, 3, 0, 1, 4)]
    found = confusions(test, dict.fromkeys(("teacher", "student", "student_ft"), predicted))[0]
    assert found.matrix == []
    assert found.mistakes == [("class 0", "class 3", 2), ("class 2", "class 4", 1)]
    assert found.wrong == 3


def test_scatter_plots_of_all_models():
    drawn = scatters(NUMBERS, NUMBER_PREDICTIONS | {"student_ft": [float("nan")] * 3})
    assert ["teacher" in drawn[0], "student" in drawn[1], len(drawn)] == [True, True, 2]
    assert "3 dots" in drawn[0]
