"""The generator G_θ: a masked language model as it is, or an encoder with an adapter, loaded or trained here."""

from pathlib import Path
from typing import Any

import torch

from pipeline.addresses.commits import recorded
from pipeline.augment.adapter import load_adapter, masked_accuracy, merge, save_adapter, train_adapter
from pipeline.data.sentences import sentences
from pipeline.errors import InputError
from pipeline.models.compatibility import check_length
from pipeline.models.ids import check_ids
from pipeline.models.loading import load_masked_lm, load_tokenizer, parameter_count
from pipeline.models.saving import save_model
from pipeline.params.data import Table
from pipeline.params.schema import Params
from pipeline.storage.atomic import publish_file
from pipeline.storage.fingerprint import fingerprint
from pipeline.storage.json_file import write_json
from pipeline.training.checkpoint import Checkpoint, model_hash


def prepare_generator(params: Params, *, out: Path, metrics: Path, adapter: Path | None = None) -> str:
    """Write the generator as a `save_pretrained` folder, and its number of parameters and masked accuracy as JSON.

    Args:
        adapter: file for the trained weights alone, if any are trained.

    Returns a one-line summary. Raises InputError if the model has no masked-LM head and params set neither an adapter
    nor training steps, or if it does not fit `generator.max_length`.
    """
    generator = params.generator
    checkpoint: Checkpoint | None = None
    with torch.random.fork_rng():
        # A missing head is initialised at random.
        torch.manual_seed(params.seed)
        model, has_head = load_masked_lm(generator.model, "generator.model")
    tokenizer = load_tokenizer(generator.model, "generator.model")
    if tokenizer.mask_token_id is None:
        raise InputError(f"generator.model: {generator.model} has no mask token; accepted: a masked language model")
    check_ids(tokenizer, model.config, "generator.model")
    check_length(generator.max_length, tokenizer, model, generator.model, key="generator.max_length")
    if not (has_head or generator.adapter or generator.steps):
        raise InputError(
            f"generator.model: {generator.model} has no masked-LM head; "
            "accepted: a masked language model, or one with generator.adapter or generator.steps above 0"
        )
    heldout: list[str] = []
    if generator.heldout is not None:
        texts = _texts(generator.heldout, "generator.heldout")
        heldout = texts.sample(min(generator.heldout.rows, len(texts)), random_state=params.seed).tolist()
    if generator.adapter:
        model = load_adapter(model, Path(generator.adapter), "generator.adapter")
    if generator.steps and generator.text is not None:
        texts = _texts(generator.text, "generator.text")
        training_sentences = [sentence for text in texts for sentence in sentences(text)]
        if not training_sentences:
            raise InputError(f"generator.text: {generator.text.path} has no sentence of four words or more")
        checkpoint = Checkpoint(
            "generator",
            __name__,
            params=params.model_dump(include={"seed", "generator"}),
            start=model_hash(model, tokenizer),
            texts=fingerprint(sentences=training_sentences),
        )
        adapted = train_adapter(model, tokenizer, training_sentences, generator, params.seed, checkpoint)
        if adapter is not None:
            with publish_file(adapter) as temporary:
                save_adapter(adapted, temporary)
        model = merge(adapted, "generator.steps")

    measured: dict[str, Any] = {"commit": recorded("generator.model", generator.model)}
    measured |= {"parameters": parameter_count(model), "trained_steps": generator.steps}
    summary = f"{measured['parameters'] / 1e6:.1f}M parameters, {generator.steps} steps"
    if heldout:
        accuracy = masked_accuracy(model, tokenizer, heldout, generator, params.seed)
        measured |= {"masked_accuracy": round(accuracy, 4), "heldout_texts": len(heldout)}
        summary += f", {accuracy:.3f} of masked tokens guessed"
    save_model(model, tokenizer, out)
    write_json(metrics, measured)
    if checkpoint:
        checkpoint.finish()
    return f"{summary}, in {out}"


def _texts(table: Table, key: str) -> Any:
    """The column of texts of a table that the user named."""
    # Imported here, because it imports pandas, which a generator that is neither trained nor measured can do without.
    from pipeline.data.loading import load_table

    return load_table(table, key, labelled=False)["text"]
