"""A stream of texts answered: as many as come, in constant memory, in their order."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from pipeline.errors import InputError
from pipeline.inspect.predictions import opinion
from pipeline.serving.runtime import Served

Row = dict[str, Any]

CHUNK = 2048
"""Texts read before they are answered: enough to put those of like length together."""


def answers(served: Served, rows: Iterable[Row], chunk: int = CHUNK) -> Iterator[Row]:
    """Give each row with what the model says of its `text`, or of `text` and `text_pair`.

    A row keeps all it has and gets `predicted`, a class or a number, and of a class its `probability`.
    Raises InputError if pairs and single texts are mixed, or the model is known to read the others.
    """
    rows = iter(rows)
    kind = served.pairs
    while many := list(islice(rows, chunk)):
        for row in many:
            paired = row.get("text_pair") is not None
            if kind is not None and paired != kind:
                what = ("a pair", "a single text") if paired else ("a single text", "pairs")
                raise InputError(f"text_pair: got {what[0]} where the model or the rows before have {what[1]}")
            kind = paired
        pairs = [row["text_pair"] for row in many] if kind else None
        for row, said in zip(many, served.outputs([row["text"] for row in many], pairs), strict=True):
            found = opinion(said, served.names)
            if isinstance(found, float):
                yield row | {"predicted": found}
            else:
                yield row | {"predicted": found["class"], "probability": found["probability"]}


def check_text(text: str, place: str) -> str:
    """Raise InputError naming the place if a text holds half of a character, which no UTF-8 text does."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{place} is no UTF-8 text") from None
    return text


def read_lines(lines: Iterable[bytes], name: str, *, objects: bool) -> Iterator[Row]:
    """Turn lines into rows with a `text`: each line is one, or a JSON object that has it.

    Raises InputError naming the line that is not UTF-8, or no object with a text.
    """
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise InputError(f"{name}: line {number} is not UTF-8") from None
        if not objects:
            yield {"text": text}
        elif text.strip():
            yield _row(text, f"{name}: line {number}")


def _row(line: str, place: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise InputError(f"{place} is no JSON object") from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise InputError(f'{place} has no text; accepted: {{"text": "…"}}, of pairs with "text_pair": "…"')
    if not isinstance(row.get("text_pair", ""), str | None):
        raise InputError(f"{place}: text_pair is no text")
    for name in ("text", "text_pair"):
        check_text(row.get(name) or "", f"{place}: {name}")
    return row
