"""Export of the student to ONNX, checked against the PyTorch student and timed beside the teacher."""

import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.augment.shards import shards
from pipeline.compute.batching import Inputs, collate, encode
from pipeline.data.texts import Texts, read_texts
from pipeline.errors import InputError
from pipeline.evaluation.scoring import decide, headline, rounded, scores
from pipeline.models.compatibility import check_labels, check_length, check_wordpiece
from pipeline.models.loading import load_classifier, load_tokenizer, quiet, weight_bytes
from pipeline.models.positions import max_positions
from pipeline.models.tokenization import name_inputs
from pipeline.params.schema import Params
from pipeline.serving.conversion import to_onnx
from pipeline.serving.int8 import to_int8
from pipeline.serving.onnx_model import ONNX, PAIRS_KEY, UNLIMITED, onnx_inputs, onnx_runner
from pipeline.serving.timing import random_batch, timings
from pipeline.serving.torch_model import Runner, ServedModel, torch_runner
from pipeline.serving.vocabulary import cut_vocabulary, used_pieces
from pipeline.storage.atomic import publish_folder
from pipeline.storage.checksums import write_sums
from pipeline.storage.json_file import write_json
from pipeline.storage.layout import LEFT_OUT
from pipeline.storage.parquet import scan

logger = logging.getLogger(__name__)

EXAMPLES = 128
"""Texts by which weights are rounded to int8."""


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
    """Publish the student as two ONNX folders with config and tokenizer.

    If int8 loses more than `export.max_drop`, its folder has only the reason.

    Args:
        augmented: folders of the neighbours; their pieces are kept if the vocabulary is cut.
        outs: the folders to write, `onnx` in float32 and `int8` with int8 weights.
        metrics: JSON, for teacher, student and both exports: `bytes` of weights and the results of `timings`; for all
            but the teacher, which `evaluate` scores, the score's metric on the test set; for both exports `agreement`,
            the share of test texts for which they predict the student's class, and `largest_difference` between two
            outputs; for int8 `left_out`, the reason, if it is. If the vocabulary is cut, `vocabulary` has its sizes.

    Returns a one-line summary. Raises InputError if the conversion to float32 loses more than `export.max_drop`.
    """
    test = read_texts(prepared / "test.parquet")
    folders = {"teacher": teacher, "student": student}
    loaded = {name: _load(folder, name, test, params.max_length) for name, folder in folders.items()}
    model, tokenizer = loaded["student"]
    if params.export.vocabulary == "seen":
        check_wordpiece(tokenizer)
    # All models run on the CPU, as ONNX does, so that the comparison is between models and not between devices.
    runners: dict[str, Runner] = {name: torch_runner(each, torch.device("cpu")) for name, (each, _) in loaded.items()}

    def test_outputs(name: str, tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
        return ServedModel(runners[name], tokenizer, test.names, params.max_length).outputs(test.texts, test.pairs)

    labels = read_texts(prepared / "validation.parquet").labels
    metric = headline(params.score, labels, test.names)
    outputs = {"student": test_outputs("student", tokenizer)}
    measured: dict[str, dict[str, Any]] = {name: {"bytes": weight_bytes(folder)} for name, folder in folders.items()}
    measured["student"] |= _score(outputs["student"], test, metric)
    vocabulary = {}
    exported, exported_tokenizer = model, tokenizer
    if params.export.vocabulary == "seen":
        pieces = used_pieces(tokenizer, _texts(prepared, augmented))
        exported, exported_tokenizer = cut_vocabulary(load_classifier(student, "student"), tokenizer, pieces)
        vocabulary = {"vocabulary": _vocabulary_metrics(tokenizer, exported_tokenizer, test)}
    with TemporaryDirectory() as scratch:
        files = {name: Path(scratch) / f"{name}.onnx" for name in outs}
        to_onnx(exported, _example(exported_tokenizer, test, params.max_length), files["onnx"])
        to_int8(files["onnx"], files["int8"], examples(exported_tokenizer, prepared, params.max_length))
        for name, file in files.items():
            runners[name] = onnx_runner(file)
            outputs[name] = test_outputs(name, exported_tokenizer)
            measured[name] = {"bytes": file.stat().st_size} | _score(outputs[name], test, metric)
            measured[name] |= _agreement(outputs[name], outputs["student"], test)
            if loss := _too_large_loss(measured, name, metric, params.export.max_drop, len(test)):
                if name != "int8":
                    raise InputError(loss)
                measured[name]["left_out"] = f"{loss}; use {outs['onnx']}"
                logger.warning("%s holds no model: %s", outs[name], loss)
        models = loaded | dict.fromkeys(files, (exported, exported_tokenizer))
        latencies = timings(
            runners,
            {
                name: partial(random_batch, each.config.vocab_size, inputs=cuts.model_input_names)
                for name, (each, cuts) in models.items()
            },
            {name: max_positions(each, UNLIMITED) for name, (each, _) in models.items()},
        )
        setattr(exported.config, PAIRS_KEY, test.pairs is not None)
        # Texts are truncated at the same length in serving as in training.
        exported_tokenizer.model_max_length = params.max_length
        with ExitStack() as stack:
            for name, file in files.items():
                folder = stack.enter_context(publish_folder(outs[name]))
                if reason := measured[name].get("left_out"):
                    (folder / LEFT_OUT).write_text(json.dumps(reason, ensure_ascii=False) + "\n", encoding="utf-8")
                else:
                    _fill(folder, file, exported, exported_tokenizer)
    write_json(metrics, {name: values | latencies[name] for name, values in measured.items()} | vocabulary)
    parts = []
    for name, values in measured.items():
        score = f" {metric} {values[metric]}" if metric in values else ""
        left_out = " (left out)" if "left_out" in values else ""
        parts.append(f"{name} {values['bytes'] / 1e6:.1f} MB{score}{left_out}")
    summary = ", ".join(parts)
    return f"{summary}, in {metrics}"


def _load(folder: Path, name: str, test: Texts, max_length: int) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    if not folder.is_dir():
        raise InputError(f"{name}: no such model folder: {folder}; run the stage that writes it first")
    model = load_classifier(folder, name)
    check_labels(model.config, test.names, name)
    tokenizer = load_tokenizer(folder, name)
    check_length(max_length, tokenizer, model, name)
    return model, tokenizer


def _texts(prepared: Path, augmented: Sequence[Path]) -> Iterable[str]:
    """All texts from which the student may have learnt: originals and neighbours."""
    originals = [prepared / f"{name}.parquet" for name in ("source", "train", "validation", "unlabelled")]
    neighbours = [file for folder in augmented for file in shards(folder)]
    for files, stage in ((originals, "prepare"), (neighbours, "augment")):
        for batch in scan(files, ["text", "text_pair"], stage):
            for column in batch.columns:
                yield from (text for text in column.to_pylist() if text is not None)


def _example(tokenizer: PreTrainedTokenizerFast, test: Texts, max_length: int) -> Inputs:
    """A batch of two texts of different lengths, as an example of the inputs."""
    texts, pairs = [test.texts[0], test.texts[0] * 2], test.pairs and [test.pairs[0]] * 2
    return collate(encode(tokenizer, texts, pairs, max_length), [0, 1])


def examples(tokenizer: PreTrainedTokenizerFast, prepared: Path, max_length: int) -> Iterator[Inputs]:
    """Texts of the training set, one by one."""
    train = read_texts(prepared / "train.parquet")
    encoded = encode(tokenizer, train.texts[:EXAMPLES], train.pairs and train.pairs[:EXAMPLES], max_length)
    return (collate(encoded, [row]) for row in range(min(len(train), EXAMPLES)))


def _score(outputs: np.ndarray, test: Texts, metric: str) -> dict[str, float | None]:
    return {metric: rounded(scores(test.labels, decide(outputs, test.names), test.names))[metric]}


def _agreement(outputs: np.ndarray, expected: np.ndarray, test: Texts) -> dict[str, float]:
    metrics = {"largest_difference": float(f"{np.abs(outputs - expected).max():.2g}")}
    if test.names:
        metrics["agreement"] = round(float(np.mean(outputs.argmax(1) == expected.argmax(1))), 4)
    return metrics


def _too_large_loss(
    measured: Mapping[str, Mapping[str, Any]], name: str, metric: str, max_drop: float, texts: int
) -> str | None:
    """How the metric drops, if by more than `max_drop`; in classification one text may always differ."""
    exported, student = measured[name][metric], measured["student"][metric]
    allowed = max(max_drop, 1.01 / texts) if metric == "accuracy" else max_drop
    if metric in ("f1", "mcc") and measured[name]["agreement"] >= round(1 - 1 / texts, 4):
        # A single text can be a large part of these, if its class is rare.
        return None
    if student is not None and (exported is None or student - exported > allowed):
        return (
            f"export.max_drop: as {name} the student's {metric} falls from {student} to {exported}; "
            f"accepted: a loss of at most {allowed:.4g}"
        )
    return None


def _vocabulary_metrics(before: PreTrainedTokenizerFast, after: PreTrainedTokenizerFast, test: Texts) -> dict[str, Any]:
    """Sizes of the cut and the full vocabulary, and the share of test texts that are split differently."""
    texts = test.texts + (test.pairs or [])
    # Without special tokens and truncation; the warning about long texts is of no concern here.
    split = [tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] for tokenizer in (before, after)]
    different = sum(
        before.convert_ids_to_tokens(whole) != after.convert_ids_to_tokens(cut)
        for whole, cut in zip(*split, strict=True)
    )
    return {"pieces": len(after), "of": len(before), "test_texts_split_otherwise": round(different / len(texts), 4)}


def _fill(folder: Path, file: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    # A tokenizer that gives more than the session takes would be refused by it.
    name_inputs(tokenizer, onnx_inputs(file))
    with quiet():
        model.config.save_pretrained(folder)
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        tokenizer.save_pretrained(folder)
    shutil.copyfile(file, folder / ONNX)
    write_sums(folder)
