"""G_θ as the pipeline uses it: any masked language model, or an encoder that is given a head."""

from pathlib import Path

import torch

from pipeline.augment.adapter import load_adapter, masked_accuracy, merge, save_adapter, train
from pipeline.data.loading import load_table
from pipeline.data.sentences import sentences
from pipeline.errors import InputError
from pipeline.models.compatibility import check_ids, check_length
from pipeline.models.loading import load_masked_lm, load_tokenizer, parameter_count
from pipeline.models.saving import save_model
from pipeline.params.schema import Params
from pipeline.storage.atomic import publish_file, write_json
from pipeline.storage.fingerprint import fingerprint
from pipeline.training.checkpoint import Checkpoint, model_hash


def publish(params: Params, *, out: Path, metrics: Path, adapter: Path | None = None) -> str:
    """Write the generator as a `save_pretrained` folder and what was measured of it as JSON.

    Args:
        adapter: where to keep the trained weights alone, if any were trained.

    Returns what was made, in a few words. Raises InputError if the model has no head and is given none.
    """
    given = params.generator
    checkpoint: Checkpoint | None = None
    with torch.random.fork_rng():
        # A model without a head is given one with random weights.
        torch.manual_seed(params.seed)
        model, has_head = load_masked_lm(given.model, "generator.model")
    tokenizer = load_tokenizer(given.model, "generator.model")
    if tokenizer.mask_token_id is None:
        raise InputError(f"generator.model: {given.model} has no mask token; accepted: a masked language model")
    check_ids(tokenizer, model.config, "generator.model")
    check_length(given.max_length, tokenizer, model.config, given.model, key="generator.max_length")
    if not (has_head or given.adapter or given.steps):
        raise InputError(
            f"generator.model: {given.model} has no masked-LM head; "
            "accepted: a masked language model, or one with generator.adapter or generator.steps above 0"
        )
    heldout: list[str] = []
    if given.heldout is not None:
        table = load_table(given.heldout, "generator.heldout", labelled=False)
        rows = min(given.heldout.rows, len(table))
        heldout = table["text"].sample(rows, random_state=params.seed).tolist()
    if given.adapter:
        model = load_adapter(model, Path(given.adapter), "generator.adapter")
    if given.steps and given.text is not None:
        texts = load_table(given.text, "generator.text", labelled=False)["text"]
        pieces = [piece for text in texts for piece in sentences(text)]
        if not pieces:
            raise InputError(f"generator.text: {given.text.path} has no sentence of four words or more")
        checkpoint = Checkpoint(
            "generator",
            __name__,
            params=params.model_dump(include={"seed", "generator"}),
            start=model_hash(model, tokenizer),
            texts=fingerprint(pieces=pieces),
        )
        trained = train(model, tokenizer, pieces, given, params.seed, checkpoint)
        if adapter is not None:
            with publish_file(adapter) as temporary:
                save_adapter(trained, temporary)
        model = merge(trained)

    measured: dict[str, float | int] = {"parameters": parameter_count(model), "trained_steps": given.steps}
    said = f"{measured['parameters'] / 1e6:.1f}M parameters, {given.steps} steps"
    if heldout:
        accuracy = masked_accuracy(model, tokenizer, heldout, given, params.seed)
        measured |= {"masked_accuracy": round(accuracy, 4), "heldout_texts": len(heldout)}
        said += f", {accuracy:.3f} of masked tokens guessed"
    save_model(model, tokenizer, out)
    write_json(metrics, measured)
    if checkpoint:
        checkpoint.finish()
    return f"{said}, in {out}"
