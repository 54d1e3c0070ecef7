"""A vocabulary cut down to the pieces seen in training: embeddings are most of a small student's weights."""

import json
from collections.abc import Iterable
from itertools import islice
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.models.compatibility import check_wordpiece

CHUNK = 4096
SPECIAL = ("bos", "cls", "eos", "mask", "pad", "sep", "unk")


def used_pieces(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> set[int]:
    """Ids of all pieces that the texts are split into; reads CHUNK texts at a time."""
    texts = iter(texts)
    pieces: set[int] = set()
    while chunk := list(islice(texts, CHUNK)):
        pieces.update(*tokenizer(chunk, add_special_tokens=False, verbose=False)["input_ids"])
    return pieces


def cut_vocabulary(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, seen: set[int]
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Reduce model and tokenizer to the pieces that were seen, special tokens and single characters.

    A text whose pieces are all kept is split the same way and has the same logits. A word with a removed piece is split
    into shorter pieces, down to letters; no known word becomes unknown. The model is changed in place.

    Raises InputError if the tokenizer is not WordPiece.
    """
    check_wordpiece(tokenizer)
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    prefix = state["model"]["continuing_subword_prefix"]
    special = {each["id"] for each in state["added_tokens"]} | set(tokenizer.all_special_ids)
    # Some models number positions from the padding token's id: it keeps its id.
    special |= set(range(tokenizer.pad_token_id + 1))
    vocabulary: dict[str, int] = state["model"]["vocab"]
    letters = {token_id for piece, token_id in vocabulary.items() if len(piece.removeprefix(prefix)) == 1}
    kept = sorted(seen | special | letters)
    new_id = {old: new for new, old in enumerate(kept)}
    state["model"]["vocab"] = {piece: new_id[old] for piece, old in vocabulary.items() if old in new_id}
    state["added_tokens"] = [each | {"id": new_id[each["id"]]} for each in state["added_tokens"]]
    state["post_processor"] = _renumbered(state["post_processor"], new_id)
    _keep_rows(model, kept)
    for name in SPECIAL:
        old = getattr(model.config, f"{name}_token_id", None)
        if old is not None:
            setattr(model.config, f"{name}_token_id", new_id[old])
    return model, PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        **tokenizer.special_tokens_map,
    )


def _keep_rows(model: PreTrainedModel, kept: list[int]) -> None:
    embeddings = model.get_input_embeddings()
    embeddings.weight = torch.nn.Parameter(embeddings.weight.detach()[kept].clone())
    embeddings.num_embeddings = model.config.vocab_size = len(kept)


def _renumbered(processor: Any, new_id: dict[int, int]) -> Any:
    """The post-processor, which adds special tokens around texts, with their new ids."""
    if processor is None:
        return None
    if processor["type"] == "TemplateProcessing":
        tokens = {
            name: each | {"ids": [new_id[old] for old in each["ids"]]}
            for name, each in processor["special_tokens"].items()
        }
        return processor | {"special_tokens": tokens}
    special = {name: [processor[name][0], new_id[processor[name][1]]] for name in ("sep", "cls") if name in processor}
    return processor | special
