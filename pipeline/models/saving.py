"""A model as a folder that transformers opens: the same bytes for the same weights, wherever it was made."""

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.models.loading import quiet
from pipeline.storage.atomic import publish_folder
from pipeline.storage.checksums import write_sums


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Publish a model and its tokenizer in the `save_pretrained` layout, all or nothing."""
    # A tokenizer remembers how it was last called and would write that down.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    with publish_folder(out) as folder, quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for file in folder.iterdir():
            # safetensors lets nobody else read what it writes.
            file.chmod(0o644)
        write_sums(folder)
