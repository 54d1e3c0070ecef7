"""Saving a model as a folder that transformers opens, with the same bytes for the same weights on any machine."""

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.models.loading import quiet
from pipeline.storage.atomic import publish_folder
from pipeline.storage.checksums import write_sums


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write a model and its tokenizer in the `save_pretrained` layout, atomically."""
    # A tokenizer keeps the truncation and padding of its last call, and would save them.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    with publish_folder(out) as folder, quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for file in folder.iterdir():
            # safetensors writes files that only their owner can read.
            file.chmod(0o644)
        write_sums(folder)
