"""A tiny random model of every encoder family in the mapping of the installed transformers."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
)

from pipeline.models.loading import quiet

FAMILIES = sorted(set(MODEL_FOR_MASKED_LM_MAPPING_NAMES) & set(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES))
"""Families with a masked language model and a classifier, encoder-decoders among them."""
REFUSED = {"bart", "mbart", "mvp", "modernvbert", "perceiver", "ultravbert", "xmod"}
"""Encoder-decoders, models of images, and one that must be told the language of each text."""
SIZES = {
    "num_hidden_layers": 3,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "intermediate_size": 64,
    "max_position_embeddings": 80,
    "initializer_range": 0.1,
    # By family: ALBERT and others, Longformer, Funnel, Luke, MobileBERT, XLM, Reformer.
    "embedding_size": 32,
    "attention_window": 8,
    "block_sizes": [1, 1],
    "d_head": 8,
    "entity_vocab_size": 8,
    "entity_emb_size": 8,
    "true_hidden_size": 32,
    "intra_bottleneck_size": 32,
    "n_head": 4,
    "d_model": 32,
    "d_inner": 64,
    "axial_pos_embds": False,
}
"""Sizes by the names that the families' configs have for them; a config takes those that it knows."""


def tiny_family_config(family: str, tokenizer: PreTrainedTokenizerFast) -> Any:
    """A small config of a family over a tokenizer's vocabulary."""
    kind = CONFIG_MAPPING[family]
    default = kind()
    tokens = {"vocab_size": len(tokenizer)}
    for name in ("pad", "bos", "eos", "cls", "sep", "mask"):
        special = {"bos": "cls", "eos": "sep"}.get(name, name)
        tokens[f"{name}_token_id"] = getattr(tokenizer, f"{special}_token_id")
    # XLM and Flaubert number their padding apart.
    tokens["pad_index"] = tokens["pad_token_id"]
    sizes = {name: size for name, size in (SIZES | tokens).items() if hasattr(default, name)}
    if family == "mobilebert":
        # Its head has as many columns as the embeddings are narrower than the states.
        sizes["embedding_size"] = 16
    if "block_sizes" in sizes:
        del sizes["num_hidden_layers"]
    # Two names of one attribute: the one that all families share stays.
    doubled = {kind.attribute_map[name] for name in kind.attribute_map if name in sizes}
    return kind(**{name: size for name, size in sizes.items() if name not in doubled})


def save_family(family: str, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save a tiny masked language model of a family with its tokenizer."""
    torch.manual_seed(0)
    with quiet():
        AutoModelForMaskedLM.from_config(tiny_family_config(family, tokenizer)).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)


def save_config(family: str, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save a family's default config with a tokenizer and a file without weights: all that is read before any work."""
    with quiet():
        CONFIG_MAPPING[family]().save_pretrained(folder)
    save_file({}, folder / "model.safetensors")
    save_tokenizer(tokenizer, folder)


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save a tokenizer that opens beside the config of any family."""
    names = ("pad", "unk", "cls", "sep", "mask")
    special = {f"{name}_token": getattr(tokenizer, f"{name}_token") for name in names}
    with quiet():
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer.backend_tokenizer, model_max_length=64, **special
        ).save_pretrained(folder)
