"""The student as ONNX, checked against itself in PyTorch and timed beside its teacher."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.augment.shards import scan, shards
from pipeline.compute.batching import Batch, collate, encode
from pipeline.data.texts import Texts, read_texts
from pipeline.errors import InputError
from pipeline.evaluation.scoring import decide, headline, rounded, scores
from pipeline.models.compatibility import check_labels, check_length, longest
from pipeline.models.loading import load_classifier, load_tokenizer, quiet, weight_bytes
from pipeline.params.schema import Params
from pipeline.serving.conversion import to_int8, to_onnx
from pipeline.serving.runtime import MOST, ONNX, PAIRS, Run, Served, in_onnx, in_torch
from pipeline.serving.timing import random_batch, timings
from pipeline.serving.vocabulary import check_cut, cut, pieces_of
from pipeline.storage.atomic import publish_folder, write_json
from pipeline.storage.checksums import write_sums


def export(
    params: Params,
    *,
    prepared: Path,
    teacher: Path,
    student: Path,
    augmented: Sequence[Path],
    outs: Mapping[str, Path],
    metrics: Path,
) -> str:
    """Publish the student as two folders of ONNX, with its config and tokenizer; nothing if one of them is much worse.

    Args:
        augmented: folders of the neighbours, whose pieces stay in a vocabulary that is cut.
        outs: the folders to write, `onnx` in float32 and `int8` with weights of 8 bits.
        metrics: JSON, for teacher, student and both: `bytes` of weights, the task's metric on the test set, and what
            `timings` measures; for both `agreement`, the share of test texts they decide like the student, and
            `largest_difference` between two outputs. With a vocabulary that is cut, `vocabulary` tells how far.

    Returns what was made, in a few words. Raises InputError if a conversion loses more than `export.max_drop`.
    """
    test = read_texts(prepared / "test.parquet")
    folders = {"teacher": teacher, "student": student}
    opened = {name: _open(folder, name, test, params.max_length) for name, folder in folders.items()}
    model, tokenizer = opened["student"]
    if params.export.vocabulary == "seen":
        check_cut(tokenizer)
    # All on the CPU, where ONNX answers: what is compared is the model and not the device.
    runs: dict[str, Run] = {name: in_torch(each, torch.device("cpu")) for name, (each, _) in opened.items()}

    def answered(name: str, known: PreTrainedTokenizerFast) -> np.ndarray:
        return Served(runs[name], known, test.names, params.max_length).outputs(test.texts, test.pairs)

    given = {name: answered(name, known) for name, (_, known) in opened.items()}
    measured: dict[str, dict[str, Any]] = {
        name: {"bytes": weight_bytes(folder)} | _score(given[name], test) for name, folder in folders.items()
    }
    vocabulary = {}
    small, known = model, tokenizer
    if params.export.vocabulary == "seen":
        small = load_classifier(student, "student")
        pieces = pieces_of(tokenizer, _texts(prepared, augmented))
        small, known = cut(small, tokenizer, pieces)
        vocabulary = {"vocabulary": _compared(tokenizer, known, test)}
    metric = headline(test.names)
    with TemporaryDirectory() as scratch:
        files = {name: Path(scratch) / f"{name}.onnx" for name in outs}
        to_onnx(small, _example(known, test, params.max_length), files["onnx"])
        to_int8(files["onnx"], files["int8"])
        for name, file in files.items():
            runs[name] = in_onnx(file)
            answers = answered(name, known)
            measured[name] = {"bytes": file.stat().st_size} | _score(answers, test)
            measured[name] |= _agreement(answers, given["student"], test)
            _check_drop(name, measured, metric, params.export.max_drop, len(test))
        sizes = {"teacher": opened["teacher"][0], "student": model, "onnx": small, "int8": small}
        taken = timings(
            runs,
            {name: partial(random_batch, each.config.vocab_size) for name, each in sizes.items()},
            {name: longest(each.config, MOST) for name, each in sizes.items()},
        )
        setattr(small.config, PAIRS, test.pairs is not None)
        # What it was trained with is what it is to be served with.
        known.model_max_length = params.max_length
        with ExitStack() as stack:
            for name, file in files.items():
                _fill(stack.enter_context(publish_folder(outs[name])), file, small, known)
    write_json(metrics, {name: figures | taken[name] for name, figures in measured.items()} | vocabulary)
    said = ", ".join(
        f"{name} {measured[name]['bytes'] / 1e6:.1f} MB {metric} {measured[name][metric]}" for name in runs
    )
    return f"{said}, in {metrics}"


def _open(folder: Path, name: str, test: Texts, max_length: int) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    if not folder.is_dir():
        raise InputError(f"{name}: no such model folder: {folder}; run the stage that makes it first")
    model = load_classifier(folder, name)
    check_labels(model.config, test.names, name)
    tokenizer = load_tokenizer(folder, name)
    check_length(max_length, tokenizer, model.config, name)
    return model, tokenizer


def _texts(prepared: Path, augmented: Sequence[Path]) -> Iterable[str]:
    """All texts that the student has learnt from or could have: originals and neighbours."""
    files = [prepared / name for name in ("source.parquet", "train.parquet", "validation.parquet")]
    files += [file for folder in augmented for file in shards(folder)]
    for batch in scan(files, ["text", "text_pair"], "augment"):
        for column in batch.columns:
            yield from (text for text in column.to_pylist() if text is not None)


def _example(tokenizer: PreTrainedTokenizerFast, test: Texts, max_length: int) -> Batch:
    """Two texts of unlike length, which show what the inputs are."""
    texts, pairs = [test.texts[0], test.texts[0] * 2], test.pairs and [test.pairs[0]] * 2
    return collate(encode(tokenizer, texts, pairs, max_length), [0, 1])


def _score(outputs: np.ndarray, test: Texts) -> dict[str, float | None]:
    metric = headline(test.names)
    found = rounded(scores(test.labels, decide(outputs, test.names), test.names))
    return {metric: found[metric]}


def _agreement(outputs: np.ndarray, wanted: np.ndarray, test: Texts) -> dict[str, float]:
    numbers = {"largest_difference": float(f"{np.abs(outputs - wanted).max():.2g}")}
    if test.names:
        numbers["agreement"] = round(float(np.mean(outputs.argmax(1) == wanted.argmax(1))), 4)
    return numbers


def _check_drop(name: str, measured: Mapping[str, Mapping[str, Any]], metric: str, most: float, texts: int) -> None:
    """Raise InputError if a conversion loses more than that; one text of few may be more, and is no sign of harm."""
    ours, theirs = measured[name][metric], measured["student"][metric]
    allowed = max(most, 1.01 / texts) if metric == "accuracy" else most
    if theirs is not None and (ours is None or theirs - ours > allowed):
        raise InputError(
            f"export.max_drop: as {name} the student's {metric} falls from {theirs} to {ours}; "
            f"accepted: a loss of at most {allowed:.4g}"
        )


def _compared(before: PreTrainedTokenizerFast, after: PreTrainedTokenizerFast, test: Texts) -> dict[str, Any]:
    """How far a vocabulary was cut, and what that does to the test texts."""
    texts = test.texts + (test.pairs or [])
    other = sum(before.tokenize(text) != after.tokenize(text) for text in texts)
    return {"pieces": len(after), "of": len(before), "test_texts_split_otherwise": round(other / len(texts), 4)}


def _fill(folder: Path, file: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    with quiet():
        model.config.save_pretrained(folder)
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        tokenizer.save_pretrained(folder)
    shutil.copyfile(file, folder / ONNX)
    write_sums(folder)
