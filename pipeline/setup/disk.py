"""The room on the disk that a run takes, told from the params and the texts before anything is made."""

import copy
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from pipeline.compute.batching import encode
from pipeline.data.texts import Texts
from pipeline.models.bilstm import BiLSTMConfig
from pipeline.models.loading import load_config, load_encoder_config, load_tokenizer, parameter_count, quiet
from pipeline.models.student import fresh_config
from pipeline.params.schema import Params
from pipeline.params.types import Domain

MEASURED = 1000
"""Texts of a domain whose tokens are counted."""
ROW = 60
"""Bytes of a neighbour's row beside its texts: what was changed, where, how likely it was."""
PACKED = 0.5
"""A prepared file in the size of its texts, compressed."""
KEPT = 4
"""A checkpoint in the size of its model's weights: those, the best ones, and two numbers of Adam's for each."""


def estimate(params: Params, texts: dict[Domain, Texts]) -> dict[str, int]:
    """Bytes of what a run leaves, by the name of the artifact, and under `work cache` what stands there beside it.

    Neighbours: texts × samples × (bytes of the text + `ROW`), for the text and its original, compressed, take about the
    room of one. Prepared texts: `PACKED` of theirs, with those of validation and test as long as the target's others.
    Teacher's cache: (neighbours + originals imitated) × (2 bytes × tokens × width for hidden states + 2 bytes × heads ×
    tokens² for attention), both of them means over a sample of the texts, cut at max_length, and neighbours are as long
    as their originals. Models: 4 bytes a weight, in int8 one; what `export.vocabulary: seen` saves is not known before
    there are neighbours. Served and shared are the last round's. The work cache holds neighbours and teacher's cache
    once more, and a checkpoint of each model that is trained. Later rounds add what they make.

    Args:
        texts: the training texts of each domain, as `prepare` gives them.

    Raises InputError if a model cannot be had.
    """
    address = params.teacher.model
    config = load_encoder_config(address, "teacher.model")
    tokenizer = load_tokenizer(address, "teacher.model")
    augmented = cache = 0
    prepared = 0.0
    held = params.data.target.validation + params.data.target.test
    for domain, given in texts.items():
        tokens, squares, size = _means(given, tokenizer, params.max_length)
        neighbours = len(given) * getattr(params.augment.samples, domain)
        cached = neighbours + (len(given) if domain in params.distill.originals else 0)
        prepared += PACKED * size * (len(given) + (held if domain == "target" else 0))
        augmented += int(neighbours * (size + ROW))
        hidden = 2 * tokens * config.hidden_size * params.cache.hidden
        attention = 2 * squares * config.num_attention_heads * params.cache.attention
        cache += int(cached * (hidden + attention))
    teacher = _weights(AutoModelForSequenceClassification, config)
    student = _weights(AutoModelForSequenceClassification, _student_config(params, config, tokenizer))
    generator = _weights(AutoModelForMaskedLM, load_config(params.generator.model, "generator.model"))
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
        "share/augmented": augmented,
        "work cache": (augmented + cache) * rounds + KEPT * (teacher + 2 * student),
    }


def _means(texts: Texts, tokenizer: PreTrainedTokenizerFast, max_length: int) -> tuple[float, float, float]:
    """Mean number of tokens of a text, of their square, and of bytes; over every so many-th text."""
    every = slice(None, None, max(1, len(texts) // MEASURED))
    firsts, seconds = texts.texts[every], None if texts.pairs is None else texts.pairs[every]
    if not firsts:
        return 0.0, 0.0, 0.0
    lengths = encode(tokenizer, firsts, seconds, max_length).lengths.astype(np.float64)
    size = sum(len(text.encode()) for text in [*firsts, *(seconds or [])]) / len(firsts)
    return float(lengths.mean()), float((lengths**2).mean()), size


def _student_config(params: Params, teacher: Any, tokenizer: PreTrainedTokenizerFast) -> Any:
    given = params.student
    if given.init == "fresh":
        return fresh_config(params, tokenizer, [])
    if given.init == "bilstm":
        return BiLSTMConfig(vocab_size=teacher.vocab_size)
    if given.model is not None:
        return load_encoder_config(given.model, "student.model")
    config = copy.deepcopy(teacher)
    config.num_hidden_layers = given.layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[: given.layers]
    return config


def _weights(kind: Any, config: Any) -> int:
    """Bytes of a model's weights, which are not made for that."""
    with torch.device("meta"), quiet():
        return 4 * parameter_count(kind.from_config(config))
