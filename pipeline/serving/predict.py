"""Predictions for a stream of texts of any length, in constant memory and in order."""

import json
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

from pipeline.data.cells import as_text
from pipeline.errors import InputError
from pipeline.evaluation.prediction import Outputs, as_prediction, most_probable

Row = dict[str, Any]

ANSWER = ("predicted", "probability")
"""What a row gets."""
CHUNK = 2048
"""Texts read before they are predicted: enough to batch texts of similar length together."""


class Classifier(Protocol):
    """A classifier, or a model of numbers, of texts or pairs."""

    @property
    def names(self) -> list[str]:
        """The classes in order; empty for regression."""

    @property
    def pairs(self) -> bool | None:
        """Whether it reads pairs; None if unknown."""

    def outputs(self, texts: list[str], pairs: list[str] | None) -> Outputs:
        """Logits, or predicted numbers, of texts or pairs in their order, (texts, outputs)."""


def predict_rows(
    model: Classifier,
    rows: Iterable[Row],
    chunk: int = CHUNK,
    *,
    text: str = "text",
    text_pair: str = "text_pair",
    name: str | None = None,
) -> Iterator[Row]:
    """Yield each row with the prediction for its text, or for its pair of texts.

    A row keeps its values and gets `predicted`, a class or a number, and for a class its `probability`.

    Args:
        chunk: rows read before they are predicted.
        text: the name of a row's text, or first text.
        text_pair: the name of its second text, if it has one.
        name: of the file of the rows, for errors.

    Raises InputError if pairs and single texts are mixed, or if the model is known to read the other kind.
    """
    rows = iter(rows)
    pairs_expected, number = model.pairs, 0
    while batch := list(islice(rows, chunk)):
        if pairs_expected is None:
            # Tables of single texts may have the column, empty.
            pairs_expected = any(row.get(text_pair) for row in batch)
        for row in batch:
            is_pair = row.get(text_pair) is not None if pairs_expected else bool(row.get(text_pair))
            number += 1
            check_kind(is_pair, pairs_expected, f"{name + ': ' if name else ''}row {number}")
        pairs = [row[text_pair] for row in batch] if pairs_expected else None
        values, probs = most_probable(model.outputs([row[text] for row in batch], pairs), model.names)
        for row, value, prob in zip(batch, values, probs, strict=True):
            prediction = as_prediction(value, prob, model.names)
            if isinstance(prediction, float):
                yield row | {"predicted": prediction}
            else:
                yield row | {"predicted": prediction["class"], "probability": prediction["probability"]}


def check_kind(is_pair: bool, pairs_expected: bool | None, where: str = "text_pair") -> None:
    """Raise InputError if a text is of the other kind than expected, a pair or single; None expects either."""
    if pairs_expected is not None and is_pair != pairs_expected:
        got, expected = ("a pair", "single texts") if is_pair else ("a single text", "pairs")
        raise InputError(f"{where}: got {got}; accepted: {expected}, as the model or other rows have")


def check_unanswered(columns: Collection[str], where: str) -> None:
    """Raise InputError that starts with `where` if a column's name is that of an answer."""
    for column in ANSWER:
        if column in columns:
            raise InputError(f"{where} has {column!r} already, which is where the answer goes; accepted: another name")


def check_text(text: str, where: str) -> str:
    """Return the text. Raises InputError that starts with `where` if it has a lone surrogate, so is not valid UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where} is not valid UTF-8 text") from error
    return text


def read_lines(
    lines: Iterable[bytes], name: str, *, objects: bool, text: str = "text", text_pair: str = "text_pair"
) -> Iterator[Row]:
    """Turn lines into rows with a text: each line is a text or, with `objects`, a JSON object that has one.

    Args:
        name: of the file, for errors.
        text: the name of an object's text, or first text.
        text_pair: the name of its second text, which it may lack.

    Raises InputError naming the line that is not UTF-8, or not an object with a text.
    """
    for number, line in enumerate(lines, 1):
        try:
            decoded = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{name}: line {number} is not UTF-8") from error
        if not objects:
            yield {"text": decoded}
        elif decoded.strip():
            yield _row(decoded, f"{name}: line {number}", text, text_pair)


def _row(line: str, where: str, text: str, text_pair: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not a JSON object") from error
    if isinstance(row, dict):
        # As in the other kinds of table, a number is a text, and null an empty one.
        texts = {name: row[name] for name in (text, text_pair) if name in row}
        row |= {name: as_text(value) for name, value in texts.items() if isinstance(value, int | float | None)}
    if not isinstance(row, dict) or not isinstance(row.get(text), str):
        raise InputError(f'{where} has no text; accepted: {{"{text}": "…"}}, for pairs also "{text_pair}": "…"')
    check_unanswered(row, where)
    if not isinstance(row.get(text_pair, ""), str):
        raise InputError(f"{where}: {text_pair} is not a text")
    for name in (text, text_pair):
        check_text(row.get(name, ""), f"{where}: {name}")
    return row
