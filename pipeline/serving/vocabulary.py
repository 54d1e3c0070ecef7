"""A vocabulary cut down to what was seen: embeddings are most of a small student."""

import json
from collections.abc import Iterable
from itertools import islice
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.errors import InputError

KEY = "export.vocabulary"
CHUNK = 4096
SPECIAL = ("bos", "cls", "eos", "mask", "pad", "sep", "unk")


def pieces_of(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> set[int]:
    """The ids of all pieces that texts are split into, of which a few thousand are in memory at once."""
    texts = iter(texts)
    pieces: set[int] = set()
    while some := list(islice(texts, CHUNK)):
        pieces.update(*tokenizer(some, add_special_tokens=False, verbose=False)["input_ids"])
    return pieces


def check_cut(tokenizer: PreTrainedTokenizerFast) -> None:
    """Raise InputError if a tokenizer's words would not fall apart: all but WordPiece's would want other rules."""
    kind = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["type"]
    if kind != "WordPiece":
        raise InputError(f"{KEY}: got seen, but the student's tokenizer is of {kind}; accepted: full")


def cut(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, seen: set[int]
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Keep of model and tokenizer the pieces that were seen, special tokens and single characters.

    What was split into kept pieces before is split alike and has the same logits. A word with a piece that is gone
    falls into shorter pieces, down to letters; nothing becomes unknown that was known. The model is changed in place.

    Raises InputError as `check_cut` does.
    """
    check_cut(tokenizer)
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    prefix = state["model"]["continuing_subword_prefix"]
    special = {each["id"] for each in state["added_tokens"]} | set(tokenizer.all_special_ids)
    # Some models number positions from the padding token on: it keeps its place.
    special |= set(range(tokenizer.pad_token_id + 1))
    vocabulary: dict[str, int] = state["model"]["vocab"]
    letters = {place for piece, place in vocabulary.items() if len(piece.removeprefix(prefix)) == 1}
    kept = sorted(seen | special | letters)
    place_of = {old: new for new, old in enumerate(kept)}
    state["model"]["vocab"] = {piece: place_of[old] for piece, old in vocabulary.items() if old in place_of}
    state["added_tokens"] = [each | {"id": place_of[each["id"]]} for each in state["added_tokens"]]
    state["post_processor"] = _renumbered(state["post_processor"], place_of)
    _keep_rows(model, kept)
    for name in SPECIAL:
        old = getattr(model.config, f"{name}_token_id", None)
        if old is not None:
            setattr(model.config, f"{name}_token_id", place_of[old])
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


def _renumbered(processor: Any, place_of: dict[int, int]) -> Any:
    """The tokens that a template puts around texts, by their new ids."""
    if processor is None:
        return None
    if processor["type"] == "TemplateProcessing":
        tokens = {
            name: each | {"ids": [place_of[old] for old in each["ids"]]}
            for name, each in processor["special_tokens"].items()
        }
        return processor | {"special_tokens": tokens}
    ends = {end: [processor[end][0], place_of[processor[end][1]]] for end in ("sep", "cls") if end in processor}
    return processor | ends
