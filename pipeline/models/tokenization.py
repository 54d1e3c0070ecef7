"""A tokenizer as its files say: transformers' class of a family rebuilds it with rules of its own, and other inputs."""

import inspect
import json
import logging
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, normalizers
from tokenizers.processors import TemplateProcessing
from transformers import MODEL_MAPPING, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import SentencePieceExtractor

from pipeline.errors import InputError

logger = logging.getLogger(__name__)

TOKEN_TYPES = "token_type_ids"
PROBES = (
    "The U.S. film WASN'T half-bad: it's 100% \"fine\" (for 5€/$6) & more…",
    "Ünïque naïve ÉTÉ Straße œuvre Ωμέγα Привет 你好",
    "x² ½ ﬁne Ｆｕｌｌ № ™ “so” ‘to’ a—b a–b",
    "  two  spaces\tand\na line , #tag @user a_b 3.5 1,000",
)
"""Texts on which a class and a file that cut alike are taken to be one tokenizer."""
SETTINGS = {
    "do_lower_case": ("normalizer", "lowercase"),
    "strip_accents": ("normalizer", "strip_accents"),
    "tokenize_chinese_chars": ("normalizer", "handle_chinese_chars"),
    "add_prefix_space": ("pre_tokenizer", "add_prefix_space"),
}
"""Settings of tokenizer_config.json, and where tokenizer.json has the same."""


def follow_files(
    tokenizer: PreTrainedTokenizerFast, folder: Path, key: str, address: str | Path
) -> PreTrainedTokenizerFast:
    """A tokenizer that cuts as its folder's tokenizer.json or SentencePiece model says, whatever its class makes of it.

    Raises InputError if tokenizer_config.json sets what tokenizer.json has otherwise, and texts are cut differently.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        _add_rewriting_rules(tokenizer, folder)
        return tokenizer
    if type(tokenizer) is PreTrainedTokenizerFast:
        return tokenizer
    own = Tokenizer.from_file(str(file))
    rebuilt = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    for each in (own, rebuilt):
        # Files may ask for both, and whoever encodes decides.
        each.no_truncation()
        each.no_padding()
    by_class, by_file = _cuts(rebuilt), _cuts(own)
    if by_class == by_file:
        return tokenizer
    one, other = next((one, other) for one, other in zip(by_class, by_file, strict=True) if one != other)
    kind, (theirs, its) = type(tokenizer).__name__, _first_difference(one, other)
    if contradicted := _contradicted(folder, own):
        raise InputError(
            f"{key}: {contradicted} of tokenizer_config.json in {address} is not that of its tokenizer.json: the one "
            f"cuts {theirs}, the other {its}; accepted: one of them in both"
        )
    _log_once(f"{key}: {kind} would cut {theirs} where tokenizer.json of {address} cuts {its}; taken: tokenizer.json")
    if own.encode("a").ids == own.encode("a", add_special_tokens=False).ids:
        own.post_processor = tokenizer.backend_tokenizer.post_processor
    return PreTrainedTokenizerFast(
        tokenizer_object=own,
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        split_special_tokens=tokenizer.split_special_tokens,
        **tokenizer.special_tokens_map,
    )


def _cuts(tokenizer: Tokenizer) -> list[list[str]]:
    """The tokens of the probes, with their ids."""
    encoded = [tokenizer.encode(text, add_special_tokens=False) for text in PROBES]
    return [[f"{token}#{token_id}" for token, token_id in zip(each.tokens, each.ids, strict=True)] for each in encoded]


def _first_difference(one: list[str], other: list[str]) -> tuple[str, str]:
    """A few tokens from where two cuts differ."""
    pairs = enumerate(zip(one, other, strict=False))
    start = next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))
    left, right = (" ".join(token.rpartition("#")[0] for token in cut[start : start + 4]) for cut in (one, other))
    return left or "nothing", right or "nothing"


def _contradicted(folder: Path, own: Tokenizer) -> str | None:
    """The first setting of tokenizer_config.json that tokenizer.json has otherwise."""
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for name, (part, field) in SETTINGS.items():
        state = json.loads(getattr(own, part).__getstate__()) if getattr(own, part) is not None else {}
        if settings.get(name) is not None and field in state and bool(state[field]) != bool(settings[name]):
            return f"{name}: {json.dumps(settings[name])}"
    return None


@cache
def _log_once(message: str) -> None:
    logger.warning(message)


def _add_rewriting_rules(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Let a tokenizer made from a SentencePiece model rewrite texts as that does, such as … to three dots."""
    file = folder / tokenizer.vocab_files_names.get("vocab_file", "")
    backend = tokenizer.backend_tokenizer
    if (
        file.suffix != ".model"
        or not file.is_file()
        or "Precompiled" in (backend.normalizer.__getstate__().decode() if backend.normalizer else "")
    ):
        return
    rules = SentencePieceExtractor(str(file)).proto.normalizer_spec.precompiled_charsmap
    if rules:
        added = [normalizers.Precompiled(rules)]
        backend.normalizer = normalizers.Sequence([*added, *([backend.normalizer] if backend.normalizer else [])])


def name_inputs(tokenizer: PreTrainedTokenizerFast, names: list[str]) -> None:
    """Make a tokenizer return these inputs of a model, now and when it is opened from where it is saved."""
    tokenizer.model_input_names = names
    tokenizer.init_kwargs["model_input_names"] = names


def match_token_types(tokenizer: PreTrainedTokenizerFast, config: Any) -> None:
    """Make a tokenizer return token types if the model with this config tells texts of a pair apart by them.

    The class of a tokenizer does not say it: a BERT may come with any, and transformers' PreTrainedTokenizerFast
    returns none.
    """
    names = [name for name in tokenizer.model_input_names if name != TOKEN_TYPES]
    if _reads_token_types(config, given=len(names) < len(tokenizer.model_input_names)):
        names.insert(1, TOKEN_TYPES)
    name_inputs(tokenizer, names)


def wrap_each_text(tokenizer: PreTrainedTokenizerFast, key: str) -> tuple[int | None, int]:
    """Make a tokenizer put around each text of a pair what it puts around a single text, such as [CLS] and [SEP].

    Returns the ids of the tokens that begin a text, None if none does, and that end it.
    Raises InputError if none ends it that is not also elsewhere.
    """
    probe = tokenizer("a")
    ids, texts = probe["input_ids"], probe.sequence_ids(0)
    start, end = texts.index(0), len(texts) - texts[::-1].index(0)
    before, after = ids[:start], ids[end:]
    if not after or after[-1] in (*before, *after[:-1]):
        raise InputError(f"pairs: got each, but the tokenizer of {key} puts no token of its own at the end of a text")
    pieces = [
        [*(f"{tokenizer.convert_ids_to_tokens(each)}:{side}" for each in before), f"${text}:{side}",
         *(f"{tokenizer.convert_ids_to_tokens(each)}:{side}" for each in after)]
        for side, text in enumerate("AB")
    ]  # fmt: skip
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=pieces[0],
        pair=pieces[0] + pieces[1],
        special_tokens=[(tokenizer.convert_ids_to_tokens(each), each) for each in dict.fromkeys(before + after)],
    )
    return int(before[0]) if before else None, int(after[-1])


def _reads_token_types(config: Any, *, given: bool) -> bool:
    """Whether a model has token types.

    Args:
        given: whether its tokenizer returns them, which decides for families whose config does not count them.
    """
    types = getattr(config, "type_vocab_size", None)
    if types is not None:
        return bool(types > 1)
    model = MODEL_MAPPING.get(type(config), None)
    return given and model is not None and TOKEN_TYPES in inspect.signature(model.forward).parameters
