"""The student fine-tuned on the true labels of the texts that the run takes as unlabelled: what they would be worth.

    python -m benchmarks.all_labels
    python -m benchmarks.all_labels --layers 6 --learning-rate 1e-4

Reads params.yaml, the table of `data.unlabelled`, which must have labels after all, and data/prepared. The student
learns from these labels and the target's own, with the epochs, batch size, learning rate, warm-up and weight decay of
`distill`; unlike there it has dropout, and `least_steps` adds no epochs.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from benchmarks.errors import exit_on_input_error
from pipeline.data.loading import load_table
from pipeline.data.texts import Texts, read_texts
from pipeline.errors import InputError
from pipeline.evaluation.validation import Validation
from pipeline.models.loading import parameter_count
from pipeline.models.student import build_student, load_student_tokenizer
from pipeline.params.file import check, load
from pipeline.params.schema import Params
from pipeline.training.cosine_start import start_from_cosine
from pipeline.training.finetune import fine_tune

PREPARED = Path("data/prepared")


def main(
    layers: Annotated[int | None, typer.Option(help="In place of student.layers.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="In place of distill.learning_rate.")] = None,
) -> None:
    """Train and print the score on the test texts."""
    values = load(Path("params.yaml")).model_dump()
    if layers is not None:
        values["student"]["layers"] = layers
    if learning_rate is not None:
        values["distill"]["learning_rate"] = learning_rate
    params = check(values, "params.yaml")
    train, validation, test, unlabelled = (
        read_texts(PREPARED / f"{name}.parquet") for name in ("train", "validation", "test", "unlabelled")
    )
    texts = joined(train, labelled(params, unlabelled))
    tokenizer = load_student_tokenizer(params, teacher=None)
    model = fitted(params, tokenizer, texts, validation)
    scorer = Validation(test, tokenizer, params.max_length, params.score)
    print(
        f"{len(texts):,} labels: {parameter_count(model) / 1e6:.1f}M parameters, "
        f"{scorer.metric} {scorer.score(model).metric:.4g} on {len(test):,} test texts"
    )


def labelled(params: Params, unlabelled: Texts) -> Texts:
    """Unlabelled texts with the labels that their table has.

    Raises InputError if there is no such table, or a text has no label, or one that is not a class of the target.
    """
    table = params.data.unlabelled
    if table is None or not unlabelled.names:
        raise InputError("data.unlabelled: null, or labels are numbers; accepted: a table, in a task with classes")
    target = params.data.target
    table = table.model_copy(update={"columns": target.columns, "labels": target.labels})
    frame = load_table(table, "data.unlabelled", labelled=True, partly=True)
    label = dict(zip(frame["row"], frame["label"], strict=True))
    names = [label.get(int(id_.rpartition("-")[2]), "") for id_ in unlabelled.ids]
    if missing := set(names) - {*unlabelled.names}:
        raise InputError(
            f"{table.path}, column {target.columns.label!r}: got {min(missing)!r} for a text that is used; "
            f"accepted: {', '.join(unlabelled.names)}"
        )
    return replace(unlabelled, labels=np.array([unlabelled.names.index(name) for name in names]))


def joined(one: Texts, other: Texts) -> Texts:
    """Two sets of texts, one after the other."""
    return replace(
        one,
        ids=[*one.ids, *other.ids],
        texts=one.texts + other.texts,
        pairs=None if one.pairs is None else one.pairs + (other.pairs or []),
        labels=np.concatenate([one.labels, other.labels]),
    )


def fitted(params: Params, tokenizer: PreTrainedTokenizerFast, texts: Texts, validation: Texts) -> PreTrainedModel:
    """The student, fine-tuned on these texts as `distill` says; of its epochs that with the lowest validation loss."""
    model = build_student(params, teacher=None, labels=texts.names, pairs=texts.pairs is not None)
    start_from_cosine(model, tokenizer, texts, params.max_length)
    fine_tune(
        model,
        tokenizer,
        [(texts, params.distill.epochs)],
        validation,
        params.distill,
        max_length=params.max_length,
        seed=params.seed,
        section="distill",
        by_loss=True,
    )
    return model


if __name__ == "__main__":
    with exit_on_input_error():
        typer.run(main)
