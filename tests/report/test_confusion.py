"""Who is right where: counts, and the order of what is worth reading."""

import numpy as np

from pipeline.data.texts import Texts
from pipeline.report.confusion import CASES, confusions, differing, scatters

NAMES = ["no", "yes"]
ANSWERS = {
    "teacher": ["no", "yes", "no", "yes", "yes"],
    "student": ["yes", "no", "yes", "yes", "no"],
    "student_ft": ["no", "yes", "yes", "no", "yes"],
}
TEST = Texts(list("abcde"), ["long text a", "text b", "c", "d", "e"], None, np.array([0, 1, 0, 0, 0]), NAMES)
# The teacher is right on a, b, c; the student on e alone; Student-FT on a, b, d.
NUMBERS = Texts(list("abc"), ["a", "b", "c"], ["x", "y", "z"], np.array([1.0, 2.0, 3.0], np.float32), [])
GUESSES = {"teacher": [1.0, 2.5, 3.0], "student": [1.25, 2.0, 5.0], "student_ft": [0.0, 0.0, 0.0]}


def test_what_distilling_did_comes_first_and_then_the_short():
    worse, better = differing(TEST, ANSWERS)
    assert [case.id for case in worse.cases] == ["b", "a", "c"]
    assert worse.count == 3
    assert [case.id for case in better.cases] == ["e"]
    first = worse.cases[0]
    assert (first.texts, first.label) == (["text b"], "yes")
    assert first.answers == [("teacher", "yes", True), ("student", "no", False), ("Student-FT", "yes", True)]


def test_only_so_many_are_shown_but_all_are_counted():
    rows = 5 * CASES
    test = Texts([str(row) for row in range(rows)], ["t"] * rows, None, np.zeros(rows, np.int64), NAMES)
    worse, better = differing(test, {"teacher": ["no"] * rows, "student": ["yes"] * rows, "student_ft": ["no"] * rows})
    assert (worse.count, len(worse.cases)) == (rows, CASES)
    assert (better.count, better.cases) == (0, [])


def test_numbers_by_how_much_worse_they_are():
    worse, better = differing(NUMBERS, GUESSES)
    assert [case.id for case in worse.cases] == ["c", "a"]
    assert [case.id for case in better.cases] == ["b"]
    assert worse.cases[0].texts == ["c", "z"]
    assert worse.cases[0].answers[1] == ("student", "5.000", None)


def test_a_confusion_matrix():
    teacher = confusions(TEST, ANSWERS)[0]
    assert (teacher.model, teacher.wrong) == ("teacher", 2)
    assert [(label, [count for count, _ in cells]) for label, cells in teacher.matrix] == [
        ("no", [2, 2]),
        ("yes", [0, 1]),
    ]
    shades = [[shade for _, shade in cells] for _, cells in teacher.matrix]
    assert shades == [[2, 2], [0, 4]]


def test_of_many_classes_the_commonest_mistakes():
    names = [f"class {number}" for number in range(20)]
    labels = np.array([0, 0, 0, 1, 2])
    test = Texts(list("abcde"), list("abcde"), None, labels, names)
    given = [names[number] for number in (3, 3, 0, 1, 4)]
    found = confusions(test, dict.fromkeys(("teacher", "student", "student_ft"), given))[0]
    assert found.matrix == []
    assert found.mistakes == [("class 0", "class 3", 2), ("class 2", "class 4", 1)]
    assert found.wrong == 3


def test_scatters_of_all_models():
    drawn = scatters(NUMBERS, GUESSES | {"student_ft": [float("nan")] * 3})
    assert ["teacher" in drawn[0], "student" in drawn[1], len(drawn)] == [True, True, 2]
    assert "3 dots" in drawn[0]
