"""The paper's neighbours z ~ P_s(z|x): Eq. 11 draws how many words change, Eq. 12 draws the words."""

from functools import partial

from pipeline.augment.distance import log_p_distance
from pipeline.augment.filler import Filler, load_generator
from pipeline.augment.methods.interface import Draw, MethodInputs
from pipeline.augment.sampler import sample_neighbours


def build(inputs: MethodInputs) -> Draw:
    """Load the generator and make the function that draws."""
    params = inputs.params
    distances = partial(
        log_p_distance,
        alpha=params.alpha,
        vocabulary=len(inputs.tokenizer),
        count=params.augment.count,
        min_distance=params.augment.min_distance,
    )
    filler = Filler(load_generator(inputs.generator), inputs.tokenizer, params)
    return partial(sample_neighbours, filler=filler, distances=distances, seed=params.seed)
