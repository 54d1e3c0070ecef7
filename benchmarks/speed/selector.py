"""Cost of the selector: state, policy and, every few steps, the rewards of texts.

python -m benchmarks.speed.selector
"""

import statistics

from benchmarks.errors import exit_on_input_error
from benchmarks.speed import flops
from benchmarks.speed.default_run import default_params
from benchmarks.speed.measure import Figure, publish, rate, side_by_side, timed
from benchmarks.speed.timed_steps import (
    default_dataset,
    default_student,
    default_validation,
    time_steps,
    without_selector,
)

STEPS = 30
"""Twice `selector.every` of the default."""


def main() -> None:
    """Measure the loop of the default run with and without the selector."""
    params = default_params()
    without = without_selector(params)
    dataset, validation, student = default_dataset(params), default_validation(params), default_student(params)
    width = student.config.hidden_size
    seconds = side_by_side(
        {
            "reinforced": lambda: time_steps(STEPS, student, width, dataset, validation, params),
            "none": lambda: time_steps(STEPS, student, width, dataset, validation, without),
            "reward": timed(lambda: [validation.score(student.train()) for _ in range(STEPS)]),
        }
    )
    texts = [length for batch in validation.prepared.batches for length in batch["attention_mask"].sum(1).tolist()]
    rewarded = flops.first_token_classifier(student.config, texts)
    trained = 3 * flops.classifier(student.config, dataset.encoded.lengths.tolist()) / len(dataset)
    expected = rewarded / (rewarded + trained * params.distill.batch_size)
    selector_share = [1 - b / a for a, b in zip(seconds["reinforced"], seconds["none"], strict=True)]
    reward_share = [b / a for a, b in zip(seconds["reinforced"], seconds["reward"], strict=True)]
    publish(
        "selector",
        [
            Figure("steps with the selector", rate(seconds, "reinforced", STEPS), "per second"),
            Figure("steps without the selector", rate(seconds, "none", STEPS), "per second"),
            Figure("the selector's share of a step", 100 * statistics.median(selector_share), "%", 25, at_most=True),
            Figure(
                "the reward's share of a step's operations, a backward pass counted as two forward passes",
                100 * expected,
                "%",
            ),
            Figure(
                "the reward's share of a step's time, for a pass over the validation texts",
                100 * statistics.median(reward_share),
                "%",
            ),
        ],
    )


if __name__ == "__main__":
    with exit_on_input_error():
        main()
