"""The embedding models: an encoder, the mean over its tokens, and length one, as both are published."""

import tempfile
from pathlib import Path

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

from benchmarks.peers.protocol import Task, folder_size

LENGTHS = {"minilm": 256, "mpnet": 384}
"""Tokens of a text that the models read."""


def load(task: Task, model: str = "") -> SentenceTransformer:
    """One of the two published models, by default the task's."""
    name = model or task.model
    encoder = Transformer(str(task.mpnet if name == "mpnet" else task.minilm), max_seq_length=LENGTHS[name])
    pooling = Pooling(encoder.get_embedding_dimension(), "mean")
    return SentenceTransformer(modules=[encoder, pooling, Normalize()], device="cpu")


def parameters(model: SentenceTransformer) -> int:
    """The number of a model's weights."""
    return sum(weights.numel() for weights in model.parameters())


def saved_size(model: SentenceTransformer) -> int:
    """Bytes of a model's files."""
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch, create_model_card=False)
        return folder_size(Path(scratch))
