"""The cost of a forward pass that also gives the last layer's attention, by each way that a family allows.

python -m benchmarks.speed.attention
"""

from collections.abc import Callable

import torch
from transformers import AutoModelForSequenceClassification, BertConfig, MPNetConfig, PretrainedConfig, PreTrainedModel

from benchmarks.speed.measure import Figure, publish, rate, ratio, side_by_side, timed
from pipeline.models.forward import forward
from pipeline.models.loading import quiet

TEXTS, TOKENS = 48, 40
"""A batch of the default run, without padding."""
PASSES = 4
SIZES: dict[str, int] = {}
"""Changes of BERT-base's sizes."""


def main() -> None:
    """Time models of BERT-base's size with random weights."""
    fused, eager, own = build(BertConfig(**SIZES)), build(BertConfig(**SIZES), "eager"), build(MPNetConfig(**SIZES))
    seconds = side_by_side(
        {
            "fused": timed(passes(fused)),
            "recorded": timed(passes(fused, attention=True)),
            "eager": timed(passes(eager, whole=True)),
            "own": timed(passes(own)),
            "own, recorded": timed(passes(own, attention=True)),
            "own, all layers": timed(passes(own, whole=True)),
        }
    )
    publish(
        "attention",
        [
            Figure("BERT, fused attention", rate(seconds, "fused", PASSES * TEXTS), "texts per second"),
            Figure("BERT, its last layer recorded", ratio(seconds, "recorded", "fused"), "times fused"),
            Figure("BERT, eager attention of all layers", ratio(seconds, "eager", "fused"), "times fused"),
            Figure("MPNet, its last layer recorded", ratio(seconds, "own, recorded", "own"), "times without"),
            Figure("MPNet, attention of all layers", ratio(seconds, "own, all layers", "own"), "times without"),
        ],
    )


def build(config: PretrainedConfig, attention: str | None = None) -> PreTrainedModel:
    """A classifier with random weights and, if it is named, another attention implementation than the default."""
    with quiet():
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config, attn_implementation=attention)
    return model.eval()


def passes(model: PreTrainedModel, *, attention: bool = False, whole: bool = False) -> Callable[[], None]:
    """A function that runs the model on a few batches.

    Args:
        attention: the last layer's attention is recorded.
        whole: the model itself returns the attention of all layers.
    """
    tokens = torch.randint(5, 1000, (TEXTS, TOKENS), generator=torch.Generator().manual_seed(1))
    inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}

    @torch.inference_mode()
    def run() -> None:
        for _ in range(PASSES):
            if whole:
                model(**inputs, output_attentions=True)
            else:
                forward(model, inputs, ["attention"] if attention else [])

    return run


if __name__ == "__main__":
    main()
