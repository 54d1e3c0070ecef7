"""Finding the columns of a table by small rules: text, second text of a pair, label, group."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from pipeline.data.loading import MISSING, as_text, read_frames
from pipeline.data.quoting import WIDTH, shown
from pipeline.errors import InputError
from pipeline.params.data import Table

Choose = Callable[[str, Sequence[str]], int]
"""Asks a question and returns the index of the chosen answer; the first answer is the likeliest."""

WORDS = 3
"""Texts have at least this many words on average: labels, names and numbers have fewer."""
CLASSES = 100
"""A column with more values than this is not a label."""
EACH = 5
"""Rows that a class needs to be in train, validation and test, and more than once in train."""
SAMPLED = 1000
"""Cells of a column whose words are counted."""
PAIRS = (
    ("premise", "hypothesis"), ("question", "answer"), ("question", "passage"), ("query", "passage"),
    ("query", "document"), ("context", "response"), ("text", "textpair"),
)  # fmt: skip
TEXTS = ("text", "message", "body", "review", "comment", "content", "sentence", "question", "utterance", "tweet")
LABELS = (
    "label", "labels", "goldlabel", "class", "category", "target", "topic", "intent", "sentiment", "score", "rating",
    "stars", "isduplicate", "y",
)  # fmt: skip
GROUPS = ("group", "author", "user", "customer", "thread", "conversation", "session", "ticket", "product")
"""Usual names of such columns, in lower-case letters and digits only."""


@dataclass(frozen=True)
class Column:
    """A column of a user's table; a cell without a value is an empty text."""

    name: str
    cells: list[str]

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value occurs, without cells that mark a missing value."""
        return Counter(cell for cell in self.cells if cell and cell.lower() not in MISSING)

    @cached_property
    def numbers(self) -> list[float]:
        """The distinct values in order if all are finite numbers, else an empty list."""
        try:
            numbers = sorted(float(value) for value in self.counts)
        except ValueError:
            return []
        return numbers if all(map(math.isfinite, numbers)) else []

    @cached_property
    def words(self) -> float:
        """Mean number of words of a cell."""
        step = max(1, len(self.cells) // SAMPLED)
        return sum(map(_word_count, self.cells[::step])) / max(1, len(self.cells[::step]))

    @property
    def whole(self) -> bool:
        """Whether all its values are whole numbers."""
        return bool(self.numbers) and all(number.is_integer() for number in self.numbers)

    @property
    def is_text(self) -> bool:
        """Whether it has sentences, which are rarely repeated in a table, as even long labels are."""
        return not self.numbers and self.words >= WORDS and len(self.counts) > min(CLASSES, len(self.cells) / 2)

    @property
    def has_classes(self) -> bool:
        """Whether it has few values for many rows; numbers must be consecutive from 0 or 1, or two in all."""
        few = 2 <= len(self.counts) <= CLASSES and self.counts.total() >= EACH * len(self.counts)
        return few and (not self.numbers or len(self.numbers) == 2 or self.is_consecutive)

    @property
    def is_consecutive(self) -> bool:
        """Whether its values are 0, 1, 2 … or 1, 2, 3 …, as class indices and stars are."""
        return self.whole and self.numbers[0] in (0, 1) and self.numbers[-1] - self.numbers[0] < len(self.numbers)

    @property
    def has_numbers(self) -> bool:
        """Whether it has numbers to predict; whole numbers that are all different are row numbers."""
        return len(self.numbers) > 2 and not (self.whole and len(self.numbers) == len(self.cells))

    @property
    def plain_name(self) -> str:
        """Its name in lower-case letters and digits only."""
        return "".join(character for character in self.name.casefold() if character.isalnum())

    def shown(self) -> str:
        """Its name with a few of its values, on one line that a terminal can show."""
        values = [value for value, _ in self.counts.most_common(1 if self.is_text else 4)]
        return f"{shown(self.name)}, such as {', '.join(shown(value[:WIDTH]) for value in values)}"


def _word_count(cell: str) -> int:
    # Chinese, Japanese and Thai have no spaces: two characters are counted as a word.
    return max(
        len(cell.split()), sum("\u0e00" <= character <= "\u0e7f" or character >= "\u2e80" for character in cell) // 2
    )


def read_columns(path: str) -> list[Column]:
    """Read the columns that all files of a table have, without columns of lists or mappings.

    Args:
        path: as in `data.target.path`: a file, glob, hub id or `package:` address.

    Raises InputError if there is no such table or it has no rows.
    """
    key = "data.target"
    try:
        parts = [frame for _, frame in read_frames(Table(path=path), key) if not frame.empty]
    except InputError as error:
        # The user named the table on the command line, not in params.yaml.
        raise InputError(str(error).removeprefix(f"{key}.path: ")) from error
    if not parts:
        raise InputError(f"{path} has no rows")
    names = [name for name in parts[0].columns if all(name in frame.columns for frame in parts)]
    whole = pd.concat([frame[names] for frame in parts], ignore_index=True)
    single = [name for name in names if all(isinstance(cell, (str, float, int, type(None))) for cell in whole[name])]
    return [Column(str(name), [as_text(cell).strip() for cell in whole[name]]) for name in single]


def text_columns(columns: Sequence[Column], path: str, choose: Choose) -> list[Column]:
    """The column of the texts, or the two columns of pairs.

    Two names that go together are a pair (premise and hypothesis, question1 and question2), one known name is a text;
    otherwise the user is asked, with the longest texts first.

    Raises InputError if no column has texts.
    """
    texts = [column for column in columns if column.is_text]
    if len(columns) == 1:
        raise InputError(f"{path}: one column, {columns[0].shown()}; accepted: one with texts and one with labels")
    if not texts:
        found = ", ".join(shown(column.name) for column in columns)
        raise InputError(f"{path}: no column has texts, of {WORDS} words or more and mostly different; found: {found}")
    pairs = [[one, other] for one in texts for other in texts if _go_together(one.plain_name, other.plain_name)]
    if pairs:
        return pairs[0]
    known = [column for column in texts if column.plain_name in TEXTS]
    if len(texts) == 1 or len(known) == 1:
        return known or texts
    answers = [[column] for column in sorted(known or texts, key=lambda column: -column.words)]
    answers += [[one, other] for index, one in enumerate(texts) for other in texts[index + 1 :]]
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
    numbered = one[:-1] == other[:-1] and (one[-1:], other[-1:]) in (("1", "2"), ("a", "b"), ("0", "1"))
    return (one, other) in PAIRS or numbered


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
    fit = [column for column in others if column.has_classes or column.has_numbers]
    named = [column for column in others if column.plain_name in LABELS or column.name == like]
    if not fit or (named and not any(column in fit for column in named)):
        found = "all columns are texts"
        for column in named or others:
            values = f"{len(column.counts):,} different values in {len(column.cells):,} rows"
            found = f"column {shown(column.name)} has {values}"
        accepted = f"2 to {CLASSES} names, for {EACH} rows or more each, or numbers"
        raise InputError(f"{path}: no column can be the label: {found}; accepted: {accepted}")
    same = [column for column in fit if column.name == like]
    candidates = same or [column for column in fit if column in named] or fit
    if len(candidates) == 1:
        return candidates[0]
    candidates.sort(key=lambda column: (not column.has_classes, column.whole, -others.index(column)))
    return candidates[choose(f"{path}: which column holds the label?", [column.shown() for column in candidates])]


def group_columns(columns: Sequence[Column], texts: Sequence[Column], label: Column) -> list[list[Column]]:
    """Columns that may group rows, the strictest first: one with a known name, or the texts of pairs if they repeat."""
    repeated = [column for column in columns if 1 < len(column.counts) < 0.9 * column.counts.total()]
    for column in repeated:
        if column.plain_name.removesuffix("id") in GROUPS and column is not label and column not in texts:
            return [[column]]
    sides = [column for column in texts if column in repeated]
    return [list(texts), *([column] for column in sides)] if len(texts) > 1 and sides else []
