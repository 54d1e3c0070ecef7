"""Cost of the selector: state, policy and, every few steps, the rewards of texts.

python -m benchmarks.speed.selector
"""

import statistics
from functools import partial

from benchmarks.errors import exit_on_input_error
from benchmarks.speed import flops
from benchmarks.speed.default_run import default_params, output
from benchmarks.speed.measure import Figure, publish, rate, ratio, side_by_side
from benchmarks.speed.timed_steps import default_dataset, default_student, default_validation, time_steps
from pipeline.models.loading import load_config

STEPS = 36
"""Three times `selector.every` of the default."""


def main() -> None:
    """Measure the loop of the default run with its selector, with one rewarded after every step, and with none."""
    params = default_params()
    without, metric = (
        params.model_copy(update={"selector": params.selector.model_copy(update=update)})
        for update in ({"kind": "none"}, {"reward": "metric"})
    )
    dataset, validation, student = default_dataset(params), default_validation(params), default_student(params)
    teacher_width = load_config(output("models/teacher"), "teacher").hidden_size
    seconds = side_by_side(
        {
            name: partial(time_steps, STEPS, student, teacher_width, dataset, validation, each)
            for name, each in (("text", params), ("none", without), ("metric", metric))
        }
    )
    batch, lengths = params.distill.batch_size, dataset.encoded.lengths.tolist()
    validated = [length for texts in validation.padded.batches for length in texts["attention_mask"].sum(1).tolist()]
    trained = 3 * flops.classifier(student.config, lengths) * batch / len(dataset)
    valued = flops.first_token_classifier(student.config, lengths) * batch / len(dataset)
    rewarded = (flops.first_token_classifier(student.config, validated) + valued) / params.selector.every
    shares = {
        name: 100 * statistics.median(1 - b / a for a, b in zip(seconds[name], seconds["none"], strict=True))
        for name in ("text", "metric")
    }
    publish(
        "selector",
        [
            Figure("the selector's share of a step", shares["text"], "%", 10, at_most=True),
            Figure("with a reward after every step, as in the paper", shares["metric"], "%"),
            Figure("faster than with a reward after every step", ratio(seconds, "metric", "text"), "times", 1.4),
            Figure("steps with the selector", rate(seconds, "text", STEPS), "per second"),
            Figure("steps without a selector", rate(seconds, "none", STEPS), "per second"),
            Figure(
                "the rewards' share of a step's operations, a backward pass counted as two forward passes",
                100 * rewarded / (rewarded + trained),
                "%",
            ),
        ],
    )


if __name__ == "__main__":
    with exit_on_input_error():
        main()
