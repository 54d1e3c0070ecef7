"""The columns of the Parquet files that one stage writes and others read: name, type, whether each row has a value."""

from dataclasses import dataclass

import pyarrow as pa

TEXT, INTEGER, FLOAT = pa.string(), pa.int32(), pa.float64()
SPANS = pa.list_(pa.struct([("side", pa.int8()), ("start", pa.int32()), ("end", pa.int32())]))
"""Stretches of a text or pair: `side` is 0 in the text and 1 in the second text of a pair."""


@dataclass(frozen=True)
class Column:
    """A column of a Parquet file.

    Args:
        type: None for a label, which is text in classification and a float64 in regression.
        required: whether every row has a value.
        meaning: in Markdown, for the card of a shared folder.
    """

    name: str
    type: pa.DataType | None
    required: bool = False
    meaning: str = ""


AUGMENTED = (
    Column("id", TEXT, True, "the original's id and the sample's number"),
    Column("original_id", TEXT, True, "row of `data/prepared/source.parquet` or `train.parquet`"),
    Column("domain", TEXT, True, "`source` or `target`"),
    Column("text", TEXT, True, "the neighbour z, or the first text of a pair"),
    Column("text_pair", TEXT, False, "the second text of a pair"),
    Column("original_text", TEXT, True, "the original x, or its first text"),
    Column("original_text_pair", TEXT, False, "its second text"),
    Column("label", None, True, "the original's label, which may be wrong for the neighbour; the teacher decides"),
    Column("distance", INTEGER, False, "d, how many words were changed (Eq. 11)"),
    Column("length", INTEGER, False, "m, how many words the original has"),
    Column(
        "positions",
        pa.list_(INTEGER),
        False,
        "which of them, from 0; in a pair the second text's words follow the first's",
    ),
    Column("old_words", pa.list_(TEXT), False, "the original's words at these positions"),
    Column("new_words", pa.list_(TEXT), False, "the words that replaced them"),
    Column(
        "old_spans",
        SPANS,
        False,
        "where each old word is: `original_text[start:end]`, or `original_text_pair[start:end]` if `side` is 1; "
        "`start` and `end` count characters",
    ),
    Column(
        "new_spans",
        SPANS,
        False,
        "where each new word is: `text[start:end]`, or `text_pair[start:end]` if `side` is 1; all outside is as in the "
        "original, except for a blank where two words would run together",
    ),
    Column("log_p_distance", FLOAT, False, "log P(d), in nats (Eq. 11)"),
    Column("log_p_positions", FLOAT, False, "log P of these positions (Eq. 10)"),
    Column("log_p_words", FLOAT, False, "log P of these words (Eq. 12)"),
    Column("log_p", FLOAT, False, r"log P_s(z\|x), the sum of the three"),
)
"""Of the neighbours; methods other than the paper's leave some of them null or empty."""
SELECTION = (
    Column("id", TEXT, True),
    Column("domain", TEXT, True),
    Column("pi", pa.float32(), True),
    Column("kept", pa.bool_(), True),
)
CACHE_INDEX = (
    Column("id", TEXT, True),
    Column("text_hash", pa.int64(), True),
    Column("tokens", pa.int64(), True),
    Column("logits", pa.list_(pa.float32()), True),
    Column("hidden_start", pa.int64()),
    Column("attention_start", pa.int64()),
)
"""Of the teacher's cache; the kinds that are not cached have no column."""
COLUMNS = {column.name: column for table in (AUGMENTED, SELECTION, CACHE_INDEX) for column in table}
"""By name: a name means the same in every file."""


def augmented_schema(task: str) -> pa.Schema:
    """The Arrow schema of the shards of neighbours; the label is text or, in regression, a number."""
    label = FLOAT if task == "regression" else TEXT
    return pa.schema([(column.name, column.type or label) for column in AUGMENTED])
