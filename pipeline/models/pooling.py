"""Mean pooling inside the architecture: a last layer that starts as the mean over a text's tokens.

Classifiers of these families read the first token. Sentence encoders are trained on the mean, and in the lower layers
of any encoder the first token knows little of the others. The layer is one of the family's own, so that what is saved
opens with transformers as it is.
"""

import copy
from typing import Any

import torch
from transformers import PreTrainedModel

from pipeline.errors import InputError
from pipeline.models.forward_shortcuts import FIRST_TOKEN_FAMILIES
from pipeline.models.layers import new_classifier


def check_mean_pooling(config: Any) -> None:
    """Raise InputError if classifiers with this config do not have the layers and the head that it needs."""
    if config.model_type not in FIRST_TOKEN_FAMILIES:
        raise InputError(
            f"student.pooling: got mean, but the student is a {config.model_type}; accepted: first_token, or a "
            f"student of these families: {', '.join(FIRST_TOKEN_FAMILIES)}"
        )


def with_mean_pooling(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of a classifier with one more layer, of `FIRST_TOKEN_FAMILIES`.

    Its queries start at zero, so that every token is attended alike, values and output as the identity, and what its
    feed-forward part adds at zero: the first token becomes the normalised sum of itself and the mean. All of it is
    trained with the rest.
    """
    config = copy.deepcopy(model.config)
    config.num_hidden_layers += 1
    pooled = new_classifier(config)
    pooled.load_state_dict(model.state_dict(), strict=False)
    *_, last, added = pooled.base_model.encoder.layer
    added.load_state_dict(last.state_dict())
    attention, feed_forward = added.attention, added.output
    attention.output.LayerNorm.load_state_dict(last.output.LayerNorm.state_dict())
    with torch.no_grad():
        for identity in (attention.self.value, attention.output.dense):
            torch.nn.init.eye_(identity.weight)
            torch.nn.init.zeros_(identity.bias)
        for zero in (attention.self.query, feed_forward.dense):
            torch.nn.init.zeros_(zero.weight)
            torch.nn.init.zeros_(zero.bias)
    feed_forward.LayerNorm.reset_parameters()
    return pooled
