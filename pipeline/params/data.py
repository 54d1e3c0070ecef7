"""The schema of tables: where texts come from, which columns hold what, how many rows are used."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.params.types import Name, Probability, RowCount, Section
from pipeline.params.written import Filters, Names


class Columns(Section):
    """Which columns of the user's table hold what."""

    text: str = "text"
    """The text, or the first text of a pair."""
    text_pair: str | None = None
    """The second text of a pair (premise and hypothesis, two questions)."""
    label: str | None = "label"
    """The class or, in regression, the number to predict."""
    group: Name | Annotated[list[Name], Field(min_length=1)] | None = None
    """Rows that share this value stay in one split (the author of a review). With several columns no value of any of
    them is in two splits (`[question1, question2]`: no question is both trained and tested on)."""


class Table(Section):
    """Where texts come from."""

    path: Name
    """A CSV, TSV, JSON, JSONL or Parquet file or glob; `package:module/file`; or a hub id, also as `id@revision`."""
    config: str | None = None
    """The hub data set's configuration."""
    split: str = "train"
    """The hub data set's split."""
    columns: Columns = Columns()
    labels: Names = {}
    """A new name for a label: `{0: negative}`. Labels not named here keep their name; an empty name means no label, and
    such rows are left out: `{"?": ""}`."""
    where: Filters = {}
    """Keep the rows whose column has this value, or one of these values."""


class Source(Table):
    """The source domain: a related domain with many texts."""

    rows: RowCount | None = None
    """Use this many rows, drawn at random, stratified by label; all of them if null."""
    sentences: RowCount | None = None
    """Augment, and teach the student on, this many sentences of these rows' texts, drawn in the same way; each has its
    text's label. The teacher learns from the whole texts all the same. null: the student, too, has whole texts."""


class Target(Table):
    """The target domain: a few labelled rows to train on, a validation set and a test set."""

    per_class: RowCount | None = None
    """Training rows of each class (the paper: 40)."""
    fraction: Probability | None = None
    """Training rows as a share of the rows that are not in validation or test (the paper: 0.01)."""
    rows: RowCount | None = None
    """Training rows, stratified by label."""
    validation: RowCount = 200
    """Rows of D^v, which picks the best model and rewards the selector (Eq. 13)."""
    test: RowCount = 2000
    """Rows of the test set, which only `evaluate` and the stages after it read."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        sizes = [name for name in ("per_class", "fraction", "rows") if getattr(self, name) is not None]
        if len(sizes) != 1:
            raise ValueError(f"got {' and '.join(sizes) or 'no size'}; accepted: one of per_class, fraction, rows")
        return self


class Unlabelled(Table):
    """Texts of the target domain without labels: the teacher predicts them, and the student learns from that.

    Of the table only texts are read: `labels`, `columns.label` and `columns.group` are ignored. It may be the target's
    own table: what is in train, validation or test is left out, and rows of the target without a label are accepted.
    """

    rows: RowCount | None = None
    """Use this many rows, drawn at random; all of them if null."""


class Heldout(Table):
    """Texts on which the masked language model is measured."""

    rows: RowCount = 500
    """Number of texts, drawn at random."""


class Data(Section):
    """The domains."""

    target: Target
    source: Source | None = None
    unlabelled: Unlabelled | None = None
    labels: Annotated[list[str], Field(min_length=1)] | None = None
    """The classes in order; F1 of two classes is of the last one. Sorted by name if not given."""
