"""A column of a user's table, and what its cells look like: sentences, classes, numbers."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.data.cells import as_text, missing_values
from pipeline.data.labels import spelling
from pipeline.data.loading import Files, read_files
from pipeline.data.quoting import WIDTH, shown
from pipeline.data.scripts import word_count
from pipeline.errors import InputError
from pipeline.params.data import Table

WORDS = 3
"""Texts have at least this many words on average: labels, names and numbers have fewer."""
SHORT = 1.5
"""Texts in a column that is called so have at least this many: search queries, product names."""
LONG = 6
"""Labels have fewer words on average."""
CLASSES = 100
"""A column with more values than this is a label only by its name or if no other can be."""
FEW = 20
"""A text that repeats has at least so many values; of whole numbers, so many are more likely classes than a scale."""
EACH = 5
"""Rows that a class needs to be in train, validation and test, and more than once in train."""
SAMPLED = 1000
"""Cells of a column that are looked at closely, evenly spaced."""
LABELS = (
    "label", "labels", "goldlabel", "class", "category", "target", "topic", "intent", "sentiment", "score", "rating",
    "stars", "isduplicate", "y", "match", "ismatch", "emotion", "stance", "polarity", "verdict", "similarity",
)  # fmt: skip
"""Usual names of labels, in lower-case letters and digits only."""
TEXTS = ("text", "message", "body", "review", "comment", "content", "sentence", "question", "utterance", "tweet")
"""Usual names of texts, which may be short."""
_SEVERAL = re.compile(r"[\[(]\s*('[^']*'|\"[^\"]*\"|[\w.-]+)[\s,]+\S.*[\])]", re.DOTALL)
"""A list of two values or more, written into one cell."""


@dataclass(frozen=True)
class Column:
    """A column of a user's table; a cell without a value is an empty text.

    Args:
        nested: whether its cells are lists or mappings, which are not read.
        absent: values that mean that there is none, besides the usual ones.
    """

    name: str
    cells: list[str]
    nested: bool = False
    absent: frozenset[str] = frozenset()

    @cached_property
    def missing(self) -> set[str]:
        """Its values that mean that there is none: beside names the index -1, beside numbers what is none."""
        present = set(self.cells)
        missing = missing_values(present) | (present & self.absent)
        others = present - missing - {"-1"}
        if "-1" in present and len(others) > 1 and not any(map(_is_number, others)):
            return missing | {"-1"}
        if not any(_is_number(cell) for cell in self._sample if cell in others):
            return missing
        words = {value for value in others if not _is_number(value)}
        few = sum(cell in words for cell in self.cells) <= len(self.cells) / 10
        return missing | words if few and len(others) - len(words) > 2 else missing

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value occurs, without those that mean none."""
        counts = Counter(self.cells)
        for value in self.missing:
            del counts[value]
        return counts

    @cached_property
    def classes(self) -> dict[str, str]:
        """The class of each value: the most frequent of its spellings, such as `yes` of YES and 1 of 1.0."""
        names: dict[str, str] = {}
        return {value: names.setdefault(spelling(value), value) for value, _ in self.counts.most_common()}

    @cached_property
    def numbers(self) -> list[float]:
        """The distinct values in order if all are finite numbers, else an empty list."""
        try:
            numbers = sorted({float(value) for value in self.counts})
        except ValueError:
            return []
        return numbers if all(map(math.isfinite, numbers)) else []

    @cached_property
    def words(self) -> float:
        """Mean number of words of a cell."""
        return sum(map(_words, self._sample)) / max(1, len(self._sample))

    @cached_property
    def _sample(self) -> list[str]:
        return self.cells[:: max(1, len(self.cells) // SAMPLED)]

    @property
    def whole(self) -> bool:
        """Whether all its values are whole numbers."""
        return bool(self.numbers) and all(number.is_integer() for number in self.numbers)

    @property
    def is_text(self) -> bool:
        """Whether it has sentences: mostly different ones, or those of one side of pairs, which repeats."""
        return self.is_distinct or self.is_side

    @property
    def is_distinct(self) -> bool:
        """Whether it has sentences that are rarely repeated in the table, as even long labels are."""
        many = len(self.counts) > min(CLASSES, len(self.cells) / 2)
        words = self.words >= (SHORT if self.plain_name in TEXTS else WORDS)
        return not self.numbers and words and many and not self._is_label_by_name

    @property
    def is_side(self) -> bool:
        """Whether it has sentences that are repeated: too long for labels, or too many."""
        some = self.words >= LONG or (len(self.counts) >= FEW and not self._is_label_by_name)
        return not self.numbers and self.words >= WORDS and not self.is_distinct and len(self.counts) > 1 and some

    @property
    def _is_label_by_name(self) -> bool:
        often = self.counts.total() >= EACH * len(self.counts)
        return self.plain_name in LABELS and often and self.words < LONG

    @property
    def has_classes(self) -> bool:
        """Whether it has few values for many rows, which are neither sentences nor numbers with a fraction."""
        names = set(self.classes.values())
        few = 2 <= len(names) <= self.counts.total() / EACH and self.words < LONG
        return few and (not self.numbers or len(self.numbers) == 2 or self.whole) and not self.has_lists

    @property
    def is_consecutive(self) -> bool:
        """Whether its values are 0, 1, 2 …, 1, 2, 3 … or -1, 0, 1 …, as class indices and stars are."""
        return self.whole and self.numbers[0] in (-1, 0, 1) and self.numbers[-1] - self.numbers[0] < len(self.numbers)

    @property
    def has_numbers(self) -> bool:
        """Whether it has numbers to predict; whole numbers that are all different are row numbers."""
        return len(self.numbers) > 2 and not (self.whole and len(self.counts) == len(self.cells))

    @property
    def has_lists(self) -> bool:
        """Whether some cell has several values: in a list, written as one, or separated by a sign."""
        return self.nested or any(_SEVERAL.fullmatch(value) for value in self.counts) or any(map(self._combines, ";|,"))

    def _combines(self, separator: str) -> bool:
        """Whether its values are made of parts that others have, too, such as `b;c` beside `a;b` and `c`."""
        values = [{part.strip() for part in value.split(separator)} for value in self.counts]
        several = [parts for parts in values if len(parts) > 1]
        times = Counter(part for parts in values for part in parts)
        # 1,5 and 2,5 are decimals.
        names = separator != "," or not all(part.isdecimal() for parts in several for part in parts)
        return bool(several) and names and all(times[part] > 1 for parts in several for part in parts)

    @property
    def plain_name(self) -> str:
        """Its name in lower-case letters and digits only."""
        return "".join(character for character in self.name.casefold() if character.isalnum())

    def shown(self) -> str:
        """Its name with a few of its values, on one line that a terminal can show."""
        if self.nested:
            return f"{shown(self.name)}, which has lists or mappings"
        values = [value for value, _ in self.counts.most_common(1 if self.is_text else 4)]
        return f"{shown(self.name)}, such as {', '.join(shown(value[:WIDTH]) for value in values)}"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _words(cell: str) -> int:
    # Two Korean syllables say as much as a word, though there are blanks, too.
    return max(word_count(cell), sum(character >= "\u2e80" for character in cell) // 2)


def read_section(section: Mapping[str, Any]) -> Files:
    """Read the files of a table that have rows.

    Args:
        section: the keys of params.yaml that say where it is, as in `data.target`: path and maybe config and split.

    Raises InputError if there is no such table or it has no rows.
    """
    key = "data.target"
    try:
        files = [(file, frame) for file, frame in read_files(Table.model_validate(section), key) if not frame.empty]
    except InputError as error:
        # The user named the table on the command line, not in params.yaml.
        raise InputError(str(error).removeprefix(f"{key}.path: ")) from error
    if not files:
        raise InputError(f"{section['path']} has no rows")
    return files


def columns_of(files: Files) -> list[Column]:
    """The columns that all files of a table have."""
    names = [name for name in files[0][1].columns if all(name in frame.columns for _, frame in files)]
    return [_column(str(name), [value for _, frame in files for value in frame[name]]) for name in names]


def _column(name: str, values: list[Any]) -> Column:
    if any(issubclass(kind, (list, tuple, dict, set, bytes, np.ndarray)) for kind in set(map(type, values))):
        return Column(name, [], nested=True)
    return Column(name, [as_text(value).strip() for value in values])
