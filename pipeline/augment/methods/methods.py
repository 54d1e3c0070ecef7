"""The ways to augment that `augment.method` names, each as one function from originals to rows of `augmented`."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.augment.distance import log_p_binomial, log_p_distance
from pipeline.augment.filler import Filler
from pipeline.augment.methods.cbert import SHARE as CBERT_SHARE
from pipeline.augment.methods.cbert import Labels, label_conditioned
from pipeline.augment.methods.eda import eda
from pipeline.augment.methods.rule_based import augment_each
from pipeline.augment.methods.rules import rules
from pipeline.augment.methods.wordnet import load_wordnet
from pipeline.augment.originals import Original, read_originals
from pipeline.augment.sampler import sample_neighbours
from pipeline.data.texts import Texts
from pipeline.errors import InputError
from pipeline.models.loading import load_masked_lm
from pipeline.params.schema import Params

TINYBERT_SHARE, TINYBERT_CANDIDATES = 0.4, 15
"""TinyBERT: the chance that a word changes, and how many of the likeliest words it may become (Jiao et al. 2020)."""
Drawn = tuple[list[dict[str, object]], dict[str, int]]
Method = Callable[[Sequence[Original], int, int], Drawn]
"""From originals, samples of each, and samples drawn in earlier rounds, to rows and counts (see `sampler`)."""


def method(params: Params, generator: Path, tokenizer: PreTrainedTokenizerFast, train: Texts) -> Method:
    """Make what draws `augment.method`'s samples.

    Args:
        generator: folder of the masked language model, which some ways ask.
        train: the target's training texts, which CBERT learns, and whose words the rules put into others.

    Raises InputError if something the method needs is not there.
    """
    name, seed = params.augment.method, params.seed
    if name in ("eda", "rules"):
        wordnet = load_wordnet()
        sides = {"both": (0, 1), "first": (0,), "second": (1,)}[params.augment.side]
        texts = [*train.texts, *(train.pairs or [])]
        change = eda(wordnet, sides) if name == "eda" else rules(wordnet, texts, str(tokenizer.mask_token), sides)
        return lambda originals, samples, behind: augment_each(originals, samples, change, seed, behind=behind)
    model = _with_head(generator)
    if name == "neighbours":
        distances = partial(
            log_p_distance,
            alpha=params.alpha,
            vocabulary=len(tokenizer),
            count=params.augment.count,
            least=params.augment.min_distance,
        )
        filler = Filler(model, tokenizer, params)
        return lambda originals, samples, behind: sample_neighbours(
            originals, samples, filler, distances, seed, behind=behind
        )
    if name == "tinybert":
        share, filler = TINYBERT_SHARE, Filler(model, tokenizer, params, candidates=TINYBERT_CANDIDATES)
        labels = None
    else:
        labels, share = Labels(train), CBERT_SHARE
        own = labels.conditioned(originals_of(train, range(len(train)), tokenizer, params))
        filler = Filler(label_conditioned(model, tokenizer, own, labels, seed), tokenizer, params)
    binomial = partial(log_p_binomial, share=share)
    return lambda originals, samples, behind: sample_neighbours(
        labels.conditioned(originals) if labels else originals, samples, filler, binomial, seed, behind=behind
    )


def originals_of(
    texts: Texts, rows: Sequence[int], tokenizer: PreTrainedTokenizerFast, params: Params
) -> list[Original]:
    """The texts at `rows` as `augment.side` and `max_length` let them change."""
    return read_originals(
        [texts.ids[i] for i in rows],
        [texts.texts[i] for i in rows],
        [texts.pairs[i] for i in rows] if texts.pairs is not None else None,
        [texts.names[texts.labels[i]] if texts.names else float(texts.labels[i]) for i in rows],
        tokenizer,
        max_length=params.max_length,
        side=params.augment.side,
    )


def _with_head(generator: Path) -> PreTrainedModel:
    model, has_head = load_masked_lm(generator, "generator")
    if not has_head:
        raise InputError(f"generator: {generator} has no masked-LM head; accepted: what the generator stage leaves")
    return model
