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
    Column("id", TEXT, required=True, meaning="the original's id and the sample's number"),
    Column(
        "original_id",
        TEXT,
        required=True,
        meaning="row of `source.parquet`, `train.parquet` or `unlabelled.parquet` in `data/prepared`",
    ),
    Column(
        "domain", TEXT, required=True, meaning="`source`, `target` or `unlabelled`: the target's texts without labels"
    ),
    Column("text", TEXT, required=True, meaning="the neighbour z, or the first text of a pair"),
    Column("text_pair", TEXT, meaning="the second text of a pair"),
    Column("original_text", TEXT, required=True, meaning="the original x, or its first text"),
    Column("original_text_pair", TEXT, meaning="its second text"),
    Column(
        "label",
        None,
        meaning="the original's label, which may be wrong for the neighbour; the teacher decides. Null if it has none",
    ),
    Column(
        "distance",
        INTEGER,
        meaning="d, how many words were changed (Eq. 11); one that changes alike in several places counts once",
    ),
    Column("length", INTEGER, meaning="m, how many words of the original may change, counted in the same way"),
    Column(
        "positions",
        pa.list_(INTEGER),
        meaning="which of them, from 0; in a pair the second text's words follow the first's",
    ),
    Column("old_words", pa.list_(TEXT), meaning="the original's words at these positions"),
    Column("new_words", pa.list_(TEXT), meaning="the words that replaced them"),
    Column(
        "old_spans",
        SPANS,
        meaning="where each old word is: `original_text[start:end]`, or `original_text_pair[start:end]` if `side` is "
        "1; `start` and `end` count characters",
    ),
    Column(
        "new_spans",
        SPANS,
        meaning="where each new word is: `text[start:end]`, or `text_pair[start:end]` if `side` is 1; all outside is "
        "as in the original, except for a blank where two words would run together",
    ),
    Column("log_p_distance", FLOAT, meaning="log P(d), in nats (Eq. 11)"),
    Column("log_p_positions", FLOAT, meaning="log P of these positions (Eq. 10)"),
    Column("log_p_words", FLOAT, meaning="log P of these words (Eq. 12)"),
    Column("log_p", FLOAT, meaning=r"log P_s(z\|x), the sum of the three"),
)
"""Columns of the shards of neighbours.

With `eda` and `rules` the distance and the log-probabilities are null, and positions, words and spans are empty lists.
"""
SELECTION = (
    Column("id", TEXT, required=True),
    Column("domain", TEXT, required=True),
    Column("pi", pa.float32(), required=True),
    Column("kept", pa.bool_(), required=True),
)
"""Columns of selection.parquet: what the selector made of each text that it may drop."""
CACHE_INDEX = (
    Column("id", TEXT, required=True),
    Column("text_hash", pa.int64(), required=True),
    Column("tokens", pa.int64(), required=True),
    Column("logits", pa.list_(pa.float32()), required=True),
    Column("hidden_start", pa.int64(), required=True),
    Column("attention_start", pa.int64(), required=True),
)
"""Columns of the index of the teacher's cache; `logits` is missing if logits are not cached."""
COLUMNS = {column.name: column for table in (AUGMENTED, SELECTION, CACHE_INDEX) for column in table}
"""All columns by name: a name means the same in every file."""


def augmented_schema(task: str) -> pa.Schema:
    """The Arrow schema of the shards of neighbours; the label is text or, in regression, a number."""
    label = FLOAT if task == "regression" else TEXT
    return pa.schema([(column.name, column.type or label) for column in AUGMENTED])
