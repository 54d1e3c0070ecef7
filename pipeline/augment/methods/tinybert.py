"""TinyBERT's augmentation: words drawn evenly from the likeliest of a masked language model (Jiao et al. 2020)."""

from functools import partial

from pipeline.augment.distance import log_p_binomial
from pipeline.augment.filler import Filler, load_generator
from pipeline.augment.methods.interface import Draw, MethodInputs
from pipeline.augment.sampler import sample_neighbours

SHARE = 0.4
"""Probability that a word changes."""
CANDIDATES = 15
"""How many of the likeliest words it may become."""


def build(inputs: MethodInputs) -> Draw:
    """Load the generator and make the function that draws."""
    filler = Filler(load_generator(inputs.generator), inputs.tokenizer, inputs.params, candidates=CANDIDATES)
    distances = partial(log_p_binomial, share=SHARE)
    return partial(sample_neighbours, filler=filler, distances=distances, seed=inputs.params.seed)
