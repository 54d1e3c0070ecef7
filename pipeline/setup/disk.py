"""The disk space that a run takes, estimated from params and texts before the run, beside what is free."""

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from pipeline.compute.batching import encode
from pipeline.data.texts import Texts
from pipeline.models.attention import attention_heads
from pipeline.models.bilstm import BiLSTMConfig
from pipeline.models.layers import cut_config
from pipeline.models.loading import load_config, load_encoder_config, load_tokenizer, parameter_count, quiet
from pipeline.models.student import fresh_config
from pipeline.params.schema import Params
from pipeline.params.types import Domain
from pipeline.setup.environment import Finding, format_bytes, nearest_existing
from pipeline.storage import workcache

MEASURED = 1000
"""Texts of a domain whose tokens are counted."""
ROW = 60
"""Bytes of a neighbour's row besides its texts: changed words, positions, log-probabilities."""
ENTRY = 35
"""Bytes of a text's entry in the teacher's cache besides states: id, hash, logits."""
COMPRESSED = 0.5
"""Size of a prepared file relative to its texts."""
CHECKPOINT = 4
"""Size of a checkpoint relative to the trained weights: these, the best ones, and two numbers of Adam for each."""


def estimate(params: Params, texts: dict[Domain, Texts], teacher_source: Texts) -> dict[str, int]:
    """Bytes of a run's artifacts by name, and of the `work cache`.

    Neighbours: texts × samples × (bytes of the text + `ROW`); a text and its original, compressed, take about the space
    of one. Prepared texts: `COMPRESSED` × their bytes; validation and test texts are as long as the target's training
    texts. Teacher's cache: (neighbours + originals distilled on) × (`ENTRY` + 2 bytes × tokens × width for hidden
    states + 2 bytes × heads × tokens² for attention), with means over a sample of the texts, cut at max_length;
    neighbours are as long as their originals. Models: 4 bytes a weight, 1 in int8; what `export.vocabulary: seen` saves
    is unknown before there are neighbours. Only the last round's student and neighbours are exported and shared. The
    work cache holds neighbours and teacher's cache again, and a checkpoint of each trained model. Each round adds its
    artifacts.

    Args:
        texts: the texts of each domain that the student learns from, as `prepare` writes them.
        teacher_source: the source's that the teacher learns from.

    Raises InputError if a model cannot be loaded.
    """
    address = params.teacher.model
    config = load_encoder_config(address, "teacher.model")
    tokenizer = load_tokenizer(address, "teacher.model")
    augmented = cache = 0
    prepared = COMPRESSED * len(teacher_source) * _means(teacher_source, tokenizer, params.max_length)[2]
    evaluated = params.data.target.validation + params.data.target.test
    for domain, originals in texts.items():
        tokens, squares, size = _means(originals, tokenizer, params.max_length)
        neighbours = len(originals) * getattr(params.augment.samples, domain)
        cached = neighbours + (len(originals) if domain in params.distill.originals else 0)
        prepared += COMPRESSED * size * (len(originals) + (evaluated if domain == "target" else 0))
        augmented += int(neighbours * (size + ROW))
        hidden = 2 * tokens * config.hidden_size * params.cache.hidden
        attention = 2 * squares * attention_heads(config) * params.cache.attention
        cache += int(cached * (ENTRY + hidden + attention))
    teacher = _weight_bytes(AutoModelForSequenceClassification, config)
    student = _weight_bytes(AutoModelForSequenceClassification, _student_config(params, config, tokenizer))
    generator = _weight_bytes(AutoModelForMaskedLM, load_config(params.generator.model, "generator.model"))
    trained = teacher
    if params.teacher.frozen:
        trained -= _weight_bytes(AutoModel, cut_config(config, params.teacher.frozen, "first"))
    rounds = params.rounds
    return {
        "data/prepared": int(prepared),
        "data/augmented": augmented * rounds,
        "data/teacher": cache * rounds,
        "models/teacher": teacher,
        "models/generator": generator * rounds,
        "models/student": student * rounds,
        "models/student_ft": student,
        "models/onnx": student,
        "models/int8": student // 4,
        "share/student": student,
        "share/onnx": student + student // 4,
        "share/augmented": augmented,
        "work cache": (augmented + cache) * rounds + CHECKPOINT * (trained + 2 * student),
    }


def _means(texts: Texts, tokenizer: PreTrainedTokenizerFast, max_length: int) -> tuple[float, float, float]:
    """Means over a sample of texts: number of tokens, its square, and bytes."""
    sample = slice(None, None, max(1, len(texts) // MEASURED))
    firsts, seconds = texts.texts[sample], None if texts.pairs is None else texts.pairs[sample]
    if not firsts:
        return 0.0, 0.0, 0.0
    lengths = encode(tokenizer, firsts, seconds, max_length).lengths.astype(np.float64)
    size = sum(len(text.encode()) for text in [*firsts, *(seconds or [])]) / len(firsts)
    return float(lengths.mean()), float((lengths**2).mean()), size


def _student_config(params: Params, teacher: Any, tokenizer: PreTrainedTokenizerFast) -> Any:
    config = _unpooled_config(params, teacher, tokenizer)
    if params.student.pooling == "mean" and not params.encodes_each:
        config.num_hidden_layers += 1
    return config


def _unpooled_config(params: Params, teacher: Any, tokenizer: PreTrainedTokenizerFast) -> Any:
    student = params.student
    if student.init == "fresh":
        return fresh_config(params, tokenizer, [])
    if student.init == "bilstm":
        return BiLSTMConfig(vocab_size=teacher.vocab_size)
    config = copy.deepcopy(teacher) if student.model is None else load_encoder_config(student.model, "student.model")
    if student.init == "pretrained":
        return config
    return cut_config(config, student.layers, student.pick)


def _weight_bytes(kind: Any, config: Any) -> int:
    """Bytes of a model's weights, without creating them."""
    with torch.device("meta"), quiet():
        return 4 * parameter_count(kind.from_config(config))


def room(needed: dict[str, int]) -> Iterator[Finding]:
    """Free disk space compared with `estimate`, for each disk that holds the project or the work cache."""
    disks = {"disk of the project": (Path.cwd(), sum(size for name, size in needed.items() if name != "work cache"))}
    cache = nearest_existing(workcache.root())
    if cache.stat().st_dev == Path.cwd().stat().st_dev:
        disks = {"disk": (Path.cwd(), sum(needed.values()))}
    else:
        disks["disk of the work cache"] = (cache, needed["work cache"])
    largest = ", ".join(
        f"{name} {format_bytes(size)}" for name, size in sorted(needed.items(), key=lambda item: -item[1])[:3]
    )
    for what, (folder, size) in disks.items():
        free = shutil.disk_usage(folder).free
        found = f"{format_bytes(free)} free; a run from the start takes about {format_bytes(size)} ({largest})"
        advice = "free disk space, or cache.attention: false with objectives.attention: 0, or fewer augment.samples"
        if size > free:
            yield Finding("wrong", what, found, advice)
        else:
            yield Finding("look" if 2 * size > free else "ok", what, found, advice if 2 * size > free else "")
