"""Finding the columns of a table by small rules: text, second text of a pair, label, group."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence

from pipeline.data.labels import spelling
from pipeline.data.quoting import listed, shown
from pipeline.errors import InputError
from pipeline.setup.column import CLASSES, EACH, FEW, LABELS, LONG, TEXTS, WORDS, Column

Choose = Callable[[str, Sequence[str]], int]
"""Asks a question and returns the index of the chosen answer; the first answer is the likeliest."""

PAIRS = (
    ("premise", "hypothesis"), ("question", "answer"), ("question", "passage"), ("query", "passage"),
    ("query", "document"), ("context", "response"), ("text", "textpair"), ("question", "sentence"),
    ("claim", "evidence"), ("prompt", "response"),
)  # fmt: skip
SIDES = (("1", "2"), ("a", "b"), ("0", "1"), ("left", "right"), ("first", "second"), ("ltable", "rtable"))
"""How the names of the two texts of a pair differ."""
ASPECTS = ("aspect", "aspectterm", "aspectcategory")
"""Second texts of a word or two."""
GROUPS = ("group", "author", "user", "customer", "thread", "conversation", "session", "ticket", "product")
FEWEST_GROUPS = 10
"""With fewer, the test has the rows of one or two of them."""
KEY = re.compile(r"(^|[\W_])[iI][dD]$|[a-z]I[dD]$")
"""How the names of columns end that number rows, or people."""
TIMES = ("time", "date", "datetime", "timestamp", "createdat", "updatedat")
INDICATORS = ({"0", "1"}, {"false", "true"})
"""The values of a one-hot label's column, which marks the rows of one class."""
_DECIMAL = re.compile(r"[-+]?\d+(,\d+)?")
PLAIN = "3.5 in place of 3,5, and 1000 in place of 1,000"
"""How numbers are written that are read."""
RATERS = ("rater", "annotator", "worker", "coder", "judge", "rating")
"""Usual names of such columns, in lower-case letters and digits only."""


def text_columns(columns: Sequence[Column], path: str, choose: Choose) -> list[Column]:
    """The column of the texts, or the two columns of pairs.

    Two names that go together are a pair (premise and hypothesis, question1 and question2), one known name is a text;
    otherwise the user is asked, with the longest texts first: a text that repeats beside another is a side of pairs.

    Raises InputError if no column has texts.
    """
    texts = [column for column in columns if column.is_text]
    if len(columns) == 1:
        raise InputError(
            f"{path}: one column, {columns[0].shown()}; accepted: one with texts and one with labels, or of texts "
            "alone --unlabelled"
        )
    if not texts:
        found = ", ".join(shown(column.name) for column in columns)
        raise InputError(
            f"{path}: no column has texts, of {WORDS} words or more and mostly different; found: {found}; accepted: "
            f"texts of two words, too, in a column that is called {TEXTS[0]}"
        )
    pairs = [[one, other] for one in texts for other in texts if _go_together(one.plain_name, other.plain_name)]
    if pairs:
        return pairs[0]
    aspects = [column for column in columns if column.plain_name in ASPECTS and len(column.counts) > 1]
    if len(texts) == len(aspects) == 1 and texts != aspects:
        return [*texts, *aspects]
    known = [column for column in texts if column.plain_name in TEXTS]
    sides = [column for column in texts if column.is_side and not column.plain_name.startswith(GROUPS)]
    if len(texts) == 1 or (len(known) == 1 and not sides):
        return known or texts
    answers = [[column] for column in sorted(known or texts, key=lambda column: -column.words)]
    twos = [[one, other] for index, one in enumerate(texts) for other in texts[index + 1 :]]
    answers = [*twos, *answers] if sides and len(texts) == 2 else [*answers, *twos]
    names = [" and ".join(column.shown() for column in answer) for answer in answers]
    return answers[choose(f"{path}: which column holds the text, or which two make pairs?", names)]


def texts_like(columns: Sequence[Column], path: str, like: Sequence[Column], of: str, choose: Choose) -> list[Column]:
    """The columns of the texts, as many as those of the table `of`: those of the same names, else as `text_columns`.

    Raises InputError if they make pairs and `like` does not, or the reverse.
    """
    named = {column.name: column for column in columns}
    texts = [named[text.name] for text in like if text.name in named]
    if len(texts) < len(like):
        texts = text_columns(columns, path, choose)
    if len(texts) != len(like):
        kinds = ["pairs" if len(found) > 1 else "single texts" for found in (texts, like)]
        raise InputError(f"{path}: it has {kinds[0]} and {of} {kinds[1]}; accepted: the same in both")
    return texts


def _go_together(one: str, other: str) -> bool:
    sides = any(first in one and one.replace(first, second, 1) == other for first, second in SIDES[3:])
    lettered = one[:-1] == other[:-1] and (one[-1:], other[-1:]) in SIDES
    different = [pair for pair in zip(one, other, strict=False) if pair[0] != pair[1]]
    numbered = len(one) == len(other) and len(different) == 1 and different[0] in (("1", "2"), ("0", "1"))
    return (one, other) in PAIRS or lettered or numbered or sides


def second_text(columns: Sequence[Column], text: Column, label: Column, path: str, choose: Choose) -> Column | None:
    """The column on whose value a text's label depends, such as the aspect of a review, if the user takes it for one.

    It is looked for if one row in twenty has a text that another row has with another label.
    """
    fewest = max(2, len(text.cells) / 20)
    if (
        sum(count for count in text.counts.values() if count > 1) < fewest
        or (unclear := _unclear(label, text)) < fewest
    ):
        return None
    for column in columns:
        if not _may_be_second(column, text, label) or 4 * _unclear(label, text, column) > unclear:
            continue
        question = f"{path}: the same {shown(text.name)} has another {shown(label.name)} in other rows: is "
        answers = [f"pairs of {shown(text.name)} and {shown(column.name)}", f"{shown(text.name)} alone"]
        if choose(f"{question}{shown(column.name)} the second text?", answers) == 0:
            return column
    return None


def _may_be_second(column: Column, text: Column, label: Column) -> bool:
    """Whether it has names or texts in every row, which are not of people: those who rate a text differ, too."""
    name = column.plain_name
    taken = column.name in (text.name, label.name) or name in LABELS
    person = name.removesuffix("id").startswith((*GROUPS, *RATERS))
    return not (taken or person or column.nested or column.numbers or column.missing) and len(column.counts) > 1


def _unclear(label: Column, *texts: Column) -> int:
    """The rows whose texts other rows have with another label."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, *row in zip(label.cells, *(text.cells for text in texts), strict=True):
        if name in label.classes:
            found[tuple(row)].append(label.classes[name])
    return sum(len(names) for names in found.values() if len(set(names)) > 1)


def label_column(
    columns: Sequence[Column], texts: Sequence[Column], path: str, choose: Choose, like: str = ""
) -> Column:
    """The column of the labels.

    A column called `like`, or one with a known name, is taken; otherwise, if several are possible, the user is asked:
    class names first, then numbers with a fraction, then whole numbers; among equals the last column, because labels
    usually come after texts.

    Raises InputError if no column has few values or numbers, or if a column with a known name has neither.
    """
    others = [column for column in columns if column not in texts]
    fit = [column for column in others if (column.has_classes or column.has_numbers) and not _is_key(column)]
    fit = [column for column in fit if len(column.classes) <= CLASSES or not column.has_classes] or fit
    named = [column for column in others if column.plain_name in LABELS or column.name == like]
    fit += [column for column in named if column.has_classes and column not in fit]
    if not fit or (named and not any(column in fit for column in named)):
        found = "all columns are texts"
        for column in named or others:
            values = f"{len(column.counts):,} different values in {len(column.cells):,} rows"
            if column.words >= LONG:
                values = f"{column.words:.0f} words on average"
            if column.has_lists:
                values = "several labels in a cell"
            if _has_commas(column):
                values = f"numbers with a comma ({PLAIN})"
            found = f"column {shown(column.name)} has {values}"
        accepted = f"one label a row, of two names or more for {EACH} rows or more each, or numbers"
        accepted += "; for texts without labels --unlabelled"
        raise InputError(f"{path}: no column can be the label: {found}; accepted: {accepted}")
    same = [column for column in fit if column.name == like]
    candidates = same or [column for column in fit if column in named] or fit
    if len(candidates) == 1:
        return candidates[0]
    _check_not_one_hot(candidates, path)
    candidates.sort(key=lambda column: (*_unlike_a_label(column), -others.index(column)))
    return candidates[choose(f"{path}: which column holds the label?", [column.shown() for column in candidates])]


def check_decimal_points(column: Column, path: str) -> None:
    """Raise InputError if a column has numbers with commas."""
    if _has_commas(column):
        raise InputError(f"{path}: column {column.shown()}: numbers with a comma; accepted: {PLAIN}")


def _has_commas(column: Column) -> bool:
    return any("," in value for value in column.counts) and all(map(_DECIMAL.fullmatch, column.counts))


def _is_key(column: Column) -> bool:
    """Whether it has numbers, and its name says that they are of rows or people, or times."""
    name = column.plain_name
    numbered = bool(KEY.search(column.name.strip())) and name.removesuffix("id") not in LABELS
    return bool(column.numbers) and (numbered or name.removesuffix("id") in GROUPS or name in TIMES)


def _check_not_one_hot(columns: Sequence[Column], path: str) -> None:
    """Raise InputError if columns of 0 and 1 are a one-hot label, a column for each class; of two, either is one."""
    marks = [column for column in columns if {*map(spelling, column.counts)} in INDICATORS and not column.missing]
    rows = zip(*(column.cells for column in marks), strict=True)
    if len(marks) > 2 and all(sum(spelling(cell) in ("1", "true") for cell in row) == 1 for row in rows):
        names = listed([column.name for column in marks])
        raise InputError(
            f"{path}: columns {names} are one label, one-hot: in every row one of them is 1; "
            "accepted: one column with the names of the classes"
        )


def _unlike_a_label(column: Column) -> tuple[bool, bool, bool]:
    """A key by which likely labels come first: classes, then numbers with a fraction; few classes before many."""
    classes = column.has_classes and (len(column.numbers) in (0, 2) or column.is_consecutive)
    return not classes, classes and len(column.classes) > FEW, column.whole and len(column.numbers) > 2


def group_columns(columns: Sequence[Column], texts: Sequence[Column], label: Column) -> list[list[Column]]:
    """Columns that may group rows, the strictest first: one with a known name, and the texts of pairs if they repeat.

    A second text of a word or two, such as an aspect, ties no rows together.
    """
    repeated = [column for column in columns if 1 < len(column.counts) < 0.9 * column.counts.total()]
    known = [
        [column]
        for column in repeated
        if len(column.counts) >= FEWEST_GROUPS
        and column.plain_name.removesuffix("id") in GROUPS
        and column.name != label.name
        and column not in texts
    ][:1]
    sides = [column for column in texts if column in repeated and column.words >= WORDS]
    tied = [list(texts), *([column] for column in sides)] if len(texts) > 1 and sides else []
    # A text that two splits share gives more away than a person.
    return [[*column, *sides_] for column in known for sides_ in tied] + tied + known
